"""[46] Uncovering Adversarial Risks of Test-Time Adaptation (the Distribution Invading Attack, DIA).

The paper: an attacker with a few samples of a batch can choose the label of another one, through the batch statistics that adapting models use;
blending them with the source's, or robust estimates, protects at a price.

Here: digits under motion blur (severity 5), five networks, eight targets each, batches of 100, 25 steps of 16/255 in place of the paper's 500 of
1/255 for time (on the digits 400 steps of 4/255 hit the same share of eight targets, tried once), pixels free in [0, 1]; and CIFAR-10 images under
Gaussian noise, where the network is deep: one network, six targets (eight, over the time limit, gave 5 hits and 1 under the defence), 5 of 100
malicious as in the paper's share. Accuracy is over the benign samples but the target. Not covered: attacks through the gradient step itself (the
paper does not either), hundreds of targets on CIFAR-10.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from outthink.papers.adapting import DIGITS, SEEDS, digit_world, paired
from outthink.papers.cifar import CIFAR, NEEDS, cifar_world
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.stats import bootstrap_mean

if TYPE_CHECKING:
    from outthink.adapt.method import Method

BATCH, TARGETS, STEPS, STEP = 100, 8, 25, 16 / 255
DATA = "scikit-learn digits under motion blur, severity 5"
SIZE = f"{len(SEEDS)} networks, {TARGETS} targets each; interval over targets"


@reproduction(paper=46, kind="real", needs=("extra:adapt",), prepare=DIGITS)
def invading() -> Iterator[Measured]:
    """Success against batch statistics, against TENT, and against three defences."""
    from outthink.adapt.adapter import adapt
    from outthink.adapt.attack import Attempt, attempt
    from outthink.adapt.methods.bn_adapt import BatchNormAdapt
    from outthink.adapt.methods.robust_bn import RobustBatchNorm
    from outthink.adapt.methods.source_model import SourceModel
    from outthink.adapt.methods.tent import Tent

    ways: dict[str, tuple[Method, int]] = {
        "bn 5": (BatchNormAdapt(), 5), "bn 20": (BatchNormAdapt(), 20), "tent 20": (Tent(), 20),
        "blend 20": (BatchNormAdapt(alpha=0.4), 20), "blend .1": (BatchNormAdapt(alpha=0.1), 20), "median 20": (RobustBatchNorm(), 20),
        "last 20": (RobustBatchNorm(median=False, last=1), 20), "source 20": (SourceModel(), 20),
    }  # fmt: skip
    tried: dict[str, list[Attempt]] = {name: [] for name in ways}
    for seed in SEEDS:
        world = digit_world(seed)
        inputs, labels = world.corrupted["motion_blur"].clamp(0, 1), world.test.labels
        for number in range(TARGETS):
            rows = slice(BATCH * number, BATCH * (number + 1))
            for name, (way, malicious) in ways.items():
                model = adapt(world.network, way, seed=seed)
                tried[name].append(attempt(model, inputs[rows], labels[rows], malicious=malicious, steps=STEPS, size=STEP))
    hit = {name: np.array([one.succeeded for one in found], dtype=np.float64) for name, found in tried.items()}
    lost = {name: np.array([one.right_before - one.right_after for one in found]) for name, found in tried.items()}
    right = {name: float(np.mean([one.right_before for one in found])) for name, found in tried.items()}
    for name, label in (("bn 5", "batch statistics, 5 malicious of 100"), ("bn 20", "20 of 100"), ("tent 20", "TENT, 20 of 100")):
        share = bootstrap_mean(hit[name], seed=46)
        yield Measured.above(
            f"{label}: share of targets that got the wanted label", value=share.estimate, interval=(share.low, share.high), bound=0.0, data=DATA,
            size=SIZE,
        )  # fmt: skip
    more = paired([hit["bn 20"]], [hit["bn 5"]])
    yield Measured.above(
        "success with 20 malicious samples less that with 5", value=more.estimate, interval=(more.low, more.high), bound=0.0, data=DATA, size=SIZE
    )
    defences = {"blend 20": "six parts source, four parts batch", "median 20": "median in place of mean", "last 20": "source in the last layer"}
    for name, label in defences.items():
        less = paired([hit["bn 20"]], [hit[name]])
        yield Measured.above(
            f"defence, {label}: success without it ({hit['bn 20'].mean():.2f}) less success with it ({hit[name].mean():.2f}); accuracy without an "
            f"attack {right['bn 20']:.3f} -> {right[name]:.3f}", value=less.estimate, interval=(less.low, less.high), bound=0.0, data=DATA, size=SIZE,
        )  # fmt: skip
    sweep = ("bn 20", "blend 20", "blend .1", "source 20")
    shares = [float(hit[name].mean()) for name in sweep]
    rises = max(after - before for before, after in pairwise(shares))
    yield Measured.at_most(
        f"largest rise of success as the share of the batch in the statistics falls (1, .4, .1, 0: success "
        f"{', '.join(f'{share:.3f}' for share in shares)}; accuracy without an attack {', '.join(f'{right[name]:.3f}' for name in sweep)})",
        value=rises, bound=0.0, data=DATA, size=SIZE, not_covered="intervals of the single differences",
    )  # fmt: skip
    yield Measured.at_most("source statistics: share of targets that changed", value=float(hit["source 20"].max()), bound=0.0, data=DATA, size=SIZE)
    yield Measured.at_most(
        "source statistics: largest change of accuracy", value=float(np.abs(lost["source 20"]).max()), bound=0.0, data=DATA, size=SIZE
    )
    harm = bootstrap_mean(lost["bn 20"], seed=46)
    yield Measured.above(
        "batch statistics, 20 of 100: accuracy of the other benign samples lost", value=harm.estimate, interval=(harm.low, harm.high), bound=0.0,
        data=DATA, size=SIZE, not_covered="the paper's indiscriminate attack",
    )  # fmt: skip


@reproduction(paper=46, kind="real", needs=NEEDS, prepare=CIFAR)
def invading_images() -> Iterator[Measured]:
    """On CIFAR-10 images 5 of 100 samples choose the label of another one, and blending protects."""
    import torch

    from outthink.adapt.adapter import adapt
    from outthink.adapt.attack import attempt, coupling
    from outthink.adapt.methods.bn_adapt import BatchNormAdapt
    from outthink.adapt.methods.source_model import SourceModel

    net, domains = cifar_world()
    images, truth = domains["gaussian_noise"].inputs.clamp(0, 1), domains["gaussian_noise"].labels
    ways = {"batch": BatchNormAdapt(), "blend": BatchNormAdapt(alpha=0.4)}
    hits: dict[str, list[float]] = {name: [] for name in ways}
    right: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(6):
        rows = slice(BATCH * number, BATCH * (number + 1))
        for name, way in ways.items():
            found = attempt(adapt(net, way), images[rows], truth[rows], malicious=5, steps=STEPS, size=STEP)
            hits[name].append(float(found.succeeded))
            right[name].append(found.right_before)
    data, size = "CIFAR-10 (JPEG) under Gaussian noise, severity 5", "one ResNet-20, 6 targets; interval over targets"
    share = bootstrap_mean(np.array(hits["batch"]), seed=46)
    yield Measured.above(
        "batch statistics, 5 malicious of 100: share of targets that got the wanted label", value=share.estimate, interval=(share.low, share.high),
        bound=0.0, data=data, size=size, not_covered="500 steps",
    )  # fmt: skip
    less = paired([np.array(hits["batch"])], [np.array(hits["blend"])])
    yield Measured.above(
        f"defence, six parts source and four parts batch: success without it ({np.mean(hits['batch']):.2f}) less success with it "
        f"({np.mean(hits['blend']):.2f}); accuracy without an attack {np.mean(right['batch']):.3f} -> {np.mean(right['blend']):.3f}",
        value=less.estimate, interval=(less.low, less.high), bound=0.0, data=data, size=size,
    )  # fmt: skip
    still = coupling(adapt(net, SourceModel()), images[:BATCH], malicious=torch.arange(BATCH - 5, BATCH))
    yield Measured.at_most(
        "source statistics: largest change of another sample's logit, and its slope", value=max(still.moved, still.slope), bound=0.0, data=data,
        size="one batch of 100",
    )  # fmt: skip
