"""[63] Efficient Test-Time Model Adaptation without Forgetting (EATA).

The paper: learn from certain and new samples alone, and hold important parameters near the source. That takes fewer backward passes than
TENT, is more accurate, and keeps the accuracy on clean images.

Here: a small network trained on scikit-learn's digits, one long stream of fog (CIFAR-C's constants, severity 5, four draws of every test
image), five seeds, paired over images (intervals take the seeds as given). Fog and the step size 3e-2 are where TENT was seen to drift, on
seeds 0 and 1; on elastic deformation at 1e-2 and on motion blur at 1e-1 it went on gaining and forgot little. Not covered: ImageNet-C, the
Fisher penalty's own part (ETA forgets nothing here, so there is nothing for it to prevent).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from outthink.papers.adapting import BATCH, DIGITS, SEEDS, by_image, digit_world, paired, shown
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured

if TYPE_CHECKING:
    from outthink.adapt.method import Method

LR = 3e-2
LONG = "scikit-learn digits under fog, severity 5, four draws"
SIZE = f"{len(SEEDS)} seeds, 3,588 images each; interval over images"


@reproduction(paper=63, kind="real", needs=("extra:adapt",), prepare=DIGITS)
def long_stream() -> Iterator[Measured]:
    """With large steps on a long stream TENT drifts and forgets where EATA does neither, on fewer backward passes."""
    from outthink.adapt.adapter import adapt
    from outthink.adapt.methods.bn_adapt import BatchNormAdapt
    from outthink.adapt.methods.eata import Eata
    from outthink.adapt.methods.tent import Tent
    from outthink.adapt.online import run_afterwards, run_online
    from outthink.adapt.source import Source
    from outthink.adapt.streams import independent

    ways: dict[str, Method] = {"bn": BatchNormAdapt(), "tent": Tent(lr=LR), "eta": Eata(lr=LR, beta=0.0), "eata": Eata(lr=LR)}
    wrong: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    matched: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    after: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    backwards = dict.fromkeys(ways, 0)
    for seed in SEEDS:
        world = digit_world(seed)
        stream = independent(world.long(), batch=BATCH, seed=seed)
        clean = independent(world.domain("clean"), batch=BATCH, seed=seed)
        for name, way in ways.items():
            model = adapt(world.network, way, source=Source(world.train.inputs), seed=seed)
            run = run_online(model, stream)
            wrong[name].append(run.wrong)
            matched[name].append(by_image(run, stream))
            after[name].append(run_afterwards(model, clean).wrong)
            backwards[name] += run.cost.backwards
    mean = {name: float(np.mean(np.concatenate(values))) for name, values in wrong.items()}
    better = paired(matched["tent"], matched["eata"], images=[shown(897, 4, seed) for seed in SEEDS])
    yield Measured.above(
        f"online error of TENT ({mean['tent']:.3f}) less that of EATA ({mean['eata']:.3f}; batch statistics alone {mean['bn']:.3f})",
        value=better.estimate, interval=(better.low, better.high), bound=0.0, data=LONG, size=SIZE, not_covered="ImageNet-C",
    )  # fmt: skip
    # thirds of one length, each as the difference to batch statistics on the same images
    third = len(wrong["bn"][0]) // 3
    apart = {name: [method - plain for method, plain in zip(wrong[name], wrong["bn"], strict=True)] for name in ("tent", "eata")}
    drift = {name: paired([part[-third:] for part in parts], [part[:third] for part in parts]) for name, parts in apart.items()}
    yield Measured.above(
        "TENT against batch statistics: error in the last third less error in the first", value=drift["tent"].estimate, bound=0.0,
        interval=(drift["tent"].low, drift["tent"].high), data=LONG, size=SIZE,
    )  # fmt: skip
    yield Measured.at_most(
        "the same of EATA, which does not drift", value=drift["eata"].estimate, interval=(drift["eata"].low, drift["eata"].high), bound=0.02,
        data=LONG, size=SIZE,
    )  # fmt: skip
    forgot = paired(after["tent"], after["eata"])
    seeds = sum(tent.mean() > eata.mean() for tent, eata in zip(after["tent"], after["eata"], strict=True))
    yield Measured.above(
        f"clean error after TENT less clean error after EATA (more in {seeds} of {len(SEEDS)} seeds)", value=forgot.estimate,
        interval=(forgot.low, forgot.high), bound=0.0, data=LONG, size=f"{len(SEEDS)} seeds, 897 clean images each; interval over images",
    )  # fmt: skip
    kept = paired(after["eata"], after["bn"])
    yield Measured.at_most(
        "clean error after EATA less that of the network before, with batch statistics", value=kept.estimate, interval=(kept.low, kept.high),
        bound=0.02, data=LONG, size=f"{len(SEEDS)} seeds, 897 clean images each; interval over images",
        not_covered=f"the Fisher penalty's part: without it (ETA) clean error is {float(np.mean(np.concatenate(after['eta']))):.3f} here",
    )  # fmt: skip
    yield Measured.below(
        "backward passes of EATA over those of TENT", value=backwards["eata"] / backwards["tent"], bound=0.9, data=LONG, size=SIZE
    )  # fmt: skip
