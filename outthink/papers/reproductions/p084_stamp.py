"""[84] STAMP: Outlier-Aware Test-Time Adaptation with Stable Memory Replay.

The paper: where samples of unknown classes come along, methods that lower the entropy of everything lose the ability to tell them from the
known; learning from a memory of agreed and certain samples keeps it, and is better at both.

Here: networks that know the digits 0 to 7, which meet all ten under motion blur (severity 5), five seeds, batches of 64. Known against
unknown by the entropy of the prediction; H is the harmonic mean of accuracy on the known and rejection of the unknown at Otsu's threshold. The
step size of the paper for CIFAR-10 (.05) and that of TENT at which the project's notes saw detection fall (1e-2) were set before; EATA has its
own defaults. STAMP without views was added after seeing that views, turned and shifted 8 x 8 pixels, cost more than the memory gains. A first
version of the method had SGD with momentum .9, which the official code does not have; with it STAMP without views was better than TENT at
everything. Not covered: CIFAR-10-C with other data sets as unknown, ImageNet-C.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from outthink.papers.adapting import DIGITS, SEEDS, digit_world, paired
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.stats import bootstrap_mean

if TYPE_CHECKING:
    from outthink.adapt.method import Method

DATA = "scikit-learn digits under motion blur, 8 and 9 unknown"


@reproduction(paper=84, kind="real", needs=("extra:adapt",), prepare=DIGITS)
def known_and_unknown() -> Iterator[Measured]:
    """STAMP against batch statistics, TENT and EATA on a stream with unknown digits."""
    from outthink.adapt.adapter import adapt
    from outthink.adapt.augment import ImageViews
    from outthink.adapt.methods.bn_adapt import BatchNormAdapt
    from outthink.adapt.methods.eata import Eata
    from outthink.adapt.methods.stamp import Stamp
    from outthink.adapt.methods.tent import Tent
    from outthink.adapt.online import run_online
    from outthink.adapt.streams import Domain, open_world

    view = ImageViews(flip=False)  # a mirrored digit is another sign
    ways: dict[str, Method] = {
        "bn": BatchNormAdapt(), "tent": Tent(lr=1e-2), "eata": Eata(), "stamp": Stamp(view=view),
        "still": Stamp(lr=0.0, view=view), "plain": Stamp(views=0),
    }  # fmt: skip
    wrong: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    detection: dict[str, list[float]] = {name: [] for name in ways}
    harmonic: dict[str, list[float]] = {name: [] for name in ways}
    for seed in SEEDS:
        world = digit_world(seed)
        inputs, labels = world.corrupted["motion_blur"], world.test.labels
        known = labels < 8
        learnt = world.train.inputs[world.train.labels < 8]
        stream = open_world(
            Domain("motion blur", inputs[known], labels[known]), inputs[~known], batch=64, seed=seed, ratio=float((~known).sum() / known.sum())
        )
        for name, way in ways.items():
            run = run_online(adapt(world.eight, way, source=learnt, seed=seed), stream)
            wrong[name].append(run.wrong)
            seen = run.open_world()
            detection[name].append(seen.auroc)
            harmonic[name].append(seen.harmonic)
    mean = {name: float(np.mean(np.concatenate(values))) for name, values in wrong.items()}
    size = f"{len(SEEDS)} seeds, about 720 known and 180 unknown images each"
    for other, label in (("bn", "batch statistics"), ("tent", "TENT"), ("eata", "EATA"), ("still", "STAMP without its steps, views alone")):
        gain = paired(wrong[other], wrong["stamp"])
        yield Measured.above(
            f"error on known digits of {label} ({mean[other]:.3f}) less that of STAMP ({mean['stamp']:.3f})", value=gain.estimate,
            interval=(gain.low, gain.high), bound=0.0, data=DATA, size=f"{size}; interval over images",
        )  # fmt: skip
    for other, label in (("bn", "batch statistics"), ("tent", "TENT"), ("eata", "EATA")):
        gain = paired(wrong[other], wrong["plain"])
        yield Measured.above(
            f"error on known digits of {label} ({mean[other]:.3f}) less that of STAMP without views ({mean['plain']:.3f})", value=gain.estimate,
            interval=(gain.low, gain.high), bound=0.0, data=DATA, size=f"{size}; interval over images",
        )  # fmt: skip
    for what, values in (("AUROC of the entropy", detection), ("H", harmonic)):
        for other, label in (("bn", "batch statistics"), ("tent", "TENT"), ("eata", "EATA")):
            for ours, called in (("stamp", "STAMP"), ("plain", "STAMP without views")):
                apart = bootstrap_mean(np.array(values[ours]) - np.array(values[other]), seed=84)
                yield Measured.above(
                    f"{what}: {called} ({np.mean(values[ours]):.3f}) less {label} ({np.mean(values[other]):.3f})", value=apart.estimate,
                    interval=(apart.low, apart.high), bound=0.0, data=DATA, size=f"{size}; interval over the five seeds",
                )  # fmt: skip
