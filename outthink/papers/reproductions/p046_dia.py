"""[46] Uncovering Adversarial Risks of Test-Time Adaptation (the Distribution Invading Attack, DIA).

The paper: an attacker with a few samples of a batch can choose the label of another one, through the batch statistics that adapting models use;
blending them with the source's, or robust estimates, protects at a price.

Here: digits under motion blur (severity 5), five networks of three convolutions, six targets each, batches of 100, 25 steps of 16/255 in place of
the paper's 500 of 1/255 for time. So shallow a network hardly gives way to a wanted label (4 of 40 targets with 20 malicious, of eight no more with
40 or with 60 steps), so the attack on it is the untargeted one, on a sample that was right under every defence; its success without a defence was
tried on eight targets before (none with 5 malicious, five with 20), the defences were not. The targeted attack is on CIFAR-10 images under Gaussian
noise, where a ResNet-20 does give way: six targets, 5 of 50 malicious, 16 steps of 24/255, which were set for time before a number was seen. TENT
is attacked as published, through the statistics alone, and read after its step. Accuracy is over the benign samples but the target. Not covered:
attacks through the gradient step itself (the paper does not either), hundreds of targets.
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
    from torch import Tensor

    from outthink.adapt.adapter import Adapted
    from outthink.adapt.attack import Loss
    from outthink.adapt.method import Method

BATCH, TARGETS, STEPS, STEP, FEW, MANY = 100, 6, 25, 16 / 255, 5, 20
IMAGES, IMAGE_TARGETS, IMAGE_STEPS, IMAGE_STEP, MALICIOUS = 50, 6, 16, 24 / 255, 5
DATA = "scikit-learn digits under motion blur, severity 5"
SIZE = f"{len(SEEDS)} networks, {TARGETS} targets each; interval over targets"


@reproduction(paper=46, kind="real", needs=("extra:adapt",), prepare=DIGITS)
def invading() -> Iterator[Measured]:
    """Untargeted on digits: success against batch statistics and TENT, three defences, and nothing at all through the source's statistics."""
    import torch

    from outthink.adapt.adapter import adapt
    from outthink.adapt.attack import away_from, invade
    from outthink.adapt.methods.bn_adapt import BatchNormAdapt
    from outthink.adapt.methods.robust_bn import RobustBatchNorm
    from outthink.adapt.methods.source_model import SourceModel
    from outthink.adapt.methods.tent import Tent

    ways: dict[str, Method] = {
        "batch": BatchNormAdapt(), "blend": BatchNormAdapt(alpha=0.4), "median": RobustBatchNorm(), "last": RobustBatchNorm(median=False, last=1),
        "source": SourceModel(),
    }  # fmt: skip
    fooled: dict[str, list[float]] = {name: [] for name in (*ways, "batch 5", "tent")}
    right: dict[str, list[float]] = {name: [] for name in ways}
    lost: dict[str, list[float]] = {name: [] for name in ways}
    for seed in SEEDS:
        world = digit_world(seed)
        inputs, labels = world.corrupted["motion_blur"].clamp(0, 1), world.test.labels
        models = {name: adapt(world.network, way, seed=seed) for name, way in ways.items()}
        for number in range(TARGETS):
            rows = slice(BATCH * number, BATCH * (number + 1))
            batch, truth = inputs[rows], labels[rows]
            # these ways keep nothing from batch to batch
            clean = {name: model(batch).argmax(1) == truth for name, model in models.items()}
            target = int(torch.stack(list(clean.values())).all(0)[: BATCH - MANY].nonzero()[0])
            others = torch.arange(BATCH - MANY) != target
            aim = away_from(torch.tensor([target]), truth[target : target + 1])

            def poisoned(name: str, count: int, batch: Tensor = batch, aim: Loss = aim, models: dict[str, Adapted] = models) -> Tensor:
                return invade(models[name], batch, malicious=torch.arange(BATCH - count, BATCH), loss=aim, steps=STEPS, size=STEP)

            for name, model in models.items():
                made = poisoned(name, MANY)
                after = model(made).argmax(1) == truth
                fooled[name].append(float(not after[target]))
                before = float(clean[name][: BATCH - MANY][others].double().mean())
                right[name].append(before)
                lost[name].append(before - float(after[: BATCH - MANY][others].double().mean()))
                if name == "batch":  # before its step TENT is batch statistics, so the attack on it is the same
                    tent = adapt(world.network, Tent(), seed=seed)
                    tent(made)
                    with torch.no_grad():
                        fooled["tent"].append(float(tent.state.preview(made)[target].argmax() != truth[target]))
            few = models["batch"](poisoned("batch", FEW))
            fooled["batch 5"].append(float(few[target].argmax() != truth[target]))
    hit, kept = ({name: np.array(values) for name, values in one.items()} for one in (fooled, right))
    for name, label in (("batch", f"batch statistics, {MANY} malicious of {BATCH}"), ("tent", f"TENT after its step, {MANY} of {BATCH}")):
        share = bootstrap_mean(hit[name], seed=46)
        yield Measured.above(
            f"{label}: share of targets that lost their label", value=share.estimate, interval=(share.low, share.high), bound=0.0, data=DATA,
            size=SIZE,
        )  # fmt: skip
    more = paired([hit["batch"]], [hit["batch 5"]])
    yield Measured.above(
        f"success with {MANY} malicious samples ({hit['batch'].mean():.2f}) less that with {FEW} ({hit['batch 5'].mean():.2f})", value=more.estimate,
        interval=(more.low, more.high), bound=0.0, data=DATA, size=SIZE,
    )  # fmt: skip
    defences = {"blend": "six parts source, four parts batch", "median": "median in place of mean", "last": "source in the last of three layers"}
    for name, label in defences.items():
        less = paired([hit["batch"]], [hit[name]])
        yield Measured.above(
            f"defence, {label}: success without it ({hit['batch'].mean():.2f}) less success with it ({hit[name].mean():.2f}); accuracy without an "
            f"attack {kept['batch'].mean():.3f} -> {kept[name].mean():.3f}", value=less.estimate, interval=(less.low, less.high), bound=0.0,
            data=DATA, size=SIZE,
        )  # fmt: skip
    sweep = ("batch", "blend", "source")
    shares = [float(hit[name].mean()) for name in sweep]
    yield Measured.at_most(
        f"largest rise of success as the share of the batch in the statistics falls (1, .4, 0: success "
        f"{', '.join(f'{share:.2f}' for share in shares)}; accuracy without an attack {', '.join(f'{kept[name].mean():.3f}' for name in sweep)})",
        value=max(after - before for before, after in pairwise(shares)), bound=0.0, data=DATA, size=SIZE,
        not_covered="intervals of the single differences",
    )  # fmt: skip
    yield Measured.at_most(
        "source statistics: targets that lost their label, and largest change of accuracy", value=max(*fooled["source"], *map(abs, lost["source"])),
        bound=0.0, data=DATA, size=SIZE,
    )  # fmt: skip
    harm = bootstrap_mean(np.array(lost["batch"]), seed=46)
    yield Measured.above(
        f"batch statistics, {MANY} of {BATCH}: accuracy of the other benign samples lost", value=harm.estimate, interval=(harm.low, harm.high),
        bound=0.0, data=DATA, size=SIZE, not_covered="the paper's indiscriminate attack",
    )  # fmt: skip


@reproduction(paper=46, kind="real", needs=NEEDS, prepare=CIFAR)
def invading_images() -> Iterator[Measured]:
    """On CIFAR-10 images 5 of 50 samples choose the label of another one, and three defences protect."""
    import torch

    from outthink.adapt.adapter import adapt
    from outthink.adapt.attack import Attempt, attempt, coupling
    from outthink.adapt.methods.bn_adapt import BatchNormAdapt
    from outthink.adapt.methods.robust_bn import RobustBatchNorm
    from outthink.adapt.methods.source_model import SourceModel

    net, domains = cifar_world()
    images, truth = domains["gaussian_noise"].inputs.clamp(0, 1), domains["gaussian_noise"].labels
    ways: dict[str, Method] = {
        "batch": BatchNormAdapt(), "blend": BatchNormAdapt(alpha=0.4), "median": RobustBatchNorm(), "last": RobustBatchNorm(median=False, last=6),
    }  # fmt: skip
    tried: dict[str, list[Attempt]] = {name: [] for name in ways}
    for number in range(IMAGE_TARGETS):
        rows = slice(IMAGES * number, IMAGES * (number + 1))
        for name, way in ways.items():
            tried[name].append(attempt(adapt(net, way), images[rows], truth[rows], malicious=MALICIOUS, steps=IMAGE_STEPS, size=IMAGE_STEP))
    hit = {name: np.array([one.succeeded for one in found], dtype=np.float64) for name, found in tried.items()}
    right = {name: float(np.mean([one.right_before for one in found])) for name, found in tried.items()}
    data, size = "CIFAR-10 (JPEG) under Gaussian noise, severity 5", f"one ResNet-20, {IMAGE_TARGETS} targets; interval over targets"
    share = bootstrap_mean(hit["batch"], seed=46)
    yield Measured.above(
        f"batch statistics, {MALICIOUS} malicious of {IMAGES}: share of targets that got the wanted label", value=share.estimate,
        interval=(share.low, share.high), bound=0.0, data=data, size=size, not_covered="500 steps",
    )  # fmt: skip
    defences = {
        "blend": "six parts source and four parts batch", "median": "median in place of mean", "last": "source in the last 6 of 19 layers",
    }  # fmt: skip
    for name, label in defences.items():
        less = paired([hit["batch"]], [hit[name]])
        yield Measured.above(
            f"defence, {label}: success without it ({hit['batch'].mean():.2f}) less success with it ({hit[name].mean():.2f}); accuracy without an "
            f"attack {right['batch']:.3f} -> {right[name]:.3f}", value=less.estimate, interval=(less.low, less.high), bound=0.0, data=data, size=size,
        )  # fmt: skip
    still = coupling(adapt(net, SourceModel()), images[:BATCH], malicious=torch.arange(BATCH - 5, BATCH))
    yield Measured.at_most(
        "source statistics: largest change of another sample's logit, and its slope", value=max(still.moved, still.slope), bound=0.0, data=data,
        size="one batch of 100",
    )  # fmt: skip
