"""[99] Robust Mean Teacher for Continual and Gradual Test-Time Adaptation (RMT).

The paper: a mean teacher with a symmetric cross-entropy, held to the source by prototypes and replay, is better than TENT on one shift after
another and does not degrade in the long run.

Here: networks for scikit-learn's digits that meet contrast, fog and motion blur (severity 5) twice, without a reset, in batches of 100; three
seeds. Step sizes 1e-3 for both, as published for CIFAR; warm-up on 2,000 source samples instead of 50,000. Views without mirroring. Set before any
number was seen. Not covered: CIFAR-10-C, fifteen domains, label-correlated streams (where the notes say it is worse than the source).
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

ROUND = ("contrast", "fog", "motion_blur")
DATA = "scikit-learn digits, three corruptions twice"


@reproduction(paper=99, kind="real", needs=("extra:adapt",), prepare=DIGITS)
def two_rounds() -> Iterator[Measured]:
    """Against TENT and batch statistics, with and without replay, and the second round against the first."""
    from outthink.adapt.adapter import adapt
    from outthink.adapt.augment import ImageViews
    from outthink.adapt.methods.bn_adapt import BatchNormAdapt
    from outthink.adapt.methods.rmt import Rmt
    from outthink.adapt.methods.tent import Tent
    from outthink.adapt.online import run_online
    from outthink.adapt.source import Source
    from outthink.adapt.streams import continual

    view = ImageViews(flip=False)  # a mirrored digit is another sign
    ways: dict[str, Method] = {"bn": BatchNormAdapt(), "tent": Tent(), "free": Rmt(view=view), "replay": Rmt(view=view, replay=1.0)}
    wrong: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    matched: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    for seed in SEEDS[:3]:
        world = digit_world(seed)
        source = Source(world.train.inputs, world.train.labels)
        stream = continual([world.domain(name) for name in (*ROUND, *ROUND)], batch=BATCH, seed=seed)
        for name, way in ways.items():
            run = run_online(adapt(world.network, way, source=source, seed=seed), stream)
            wrong[name].append(run.wrong)
            matched[name].append(by_image(run, stream))
    mean = {name: float(np.mean(np.concatenate(values))) for name, values in wrong.items()}
    images = [shown(897, 2 * len(ROUND), seed) for seed in SEEDS[:3]]
    size = "3 seeds, 5,382 images each; interval over images"
    for ours, label in (("free", "RMT without source samples"), ("replay", "RMT with replay")):
        for other, against in (("bn", "batch statistics"), ("tent", "TENT")):
            gain = paired(matched[other], matched[ours], images=images)
            yield Measured.above(
                f"error of {against} ({mean[other]:.3f}) less that of {label} ({mean[ours]:.3f})", value=gain.estimate, bound=0.0,
                interval=(gain.low, gain.high), data=DATA, size=size,
            )  # fmt: skip
    gain = paired(matched["free"], matched["replay"], images=images)
    yield Measured.above(
        "what replay gains on none", value=gain.estimate, interval=(gain.low, gain.high), bound=0.0, data=DATA, size=size
    )  # fmt: skip
    for ours, label in (("free", "without source samples"), ("replay", "with replay")):
        half = len(wrong[ours][0]) // 2
        drift = paired([values[half:].mean(keepdims=True) for values in wrong[ours]], [values[:half].mean(keepdims=True) for values in wrong[ours]])
        yield Measured.at_most(
            f"RMT {label}: error in the second round less that in the first", value=drift.estimate, interval=(drift.low, drift.high), bound=0.0,
            data=DATA, size="3 seeds; interval over seeds", not_covered="longer streams",
        )  # fmt: skip
