"""[60] TeSLA: Test-Time Self-Learning With Automatic Adversarial Augmentation.

The paper: a flipped cross-entropy to a slow teacher, balanced by class, with augmentations that are learnt to be hard, adapts better than entropy or
plain cross-entropy and stays calibrated.

Here: three networks for digits on one long stream (fog, drawn four times, met twice, 7,176 images, where the paper's has 10,000), batches of 128, the
official constants for CIFAR-10 (Adam 1e-3, teacher .99, four easy views beside the image, a queue of two of each class and the nearest of it).
Controls: the same loop with plain cross-entropy, and without hard views; batch statistics; TENT, which predicts before its step, where TeSLA predicts
after it. The length was doubled after a stream of half of it, five seeds, on which TeSLA lost to batch statistics (error .471 against .451); it loses
on this one too, so that the start of running moments at the source's is not the reason. Which of the queue and the running moments costs it was not
separated; an earlier version with neither, which the official code is not, was at .447. Nothing else was changed. Not covered: CIFAR-C, ImageNet-C,
segmentation, the variant with source statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from outthink.papers.adapting import DIGITS, SEEDS, by_image, digit_world, paired, shown
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.stats import bootstrap_mean

if TYPE_CHECKING:
    from outthink.adapt.method import Method

DRAWS, TIMES = 4, 2


@reproduction(paper=60, kind="real", needs=("extra:adapt",), prepare=DIGITS)
def long_stream() -> Iterator[Measured]:
    """Against batch statistics, TENT, plain cross-entropy and no hard views: error and calibration."""
    from outthink.adapt.adapter import adapt
    from outthink.adapt.augment import ImageViews
    from outthink.adapt.methods.bn_adapt import BatchNormAdapt
    from outthink.adapt.methods.tent import Tent
    from outthink.adapt.methods.tesla import Tesla
    from outthink.adapt.online import run_online
    from outthink.adapt.streams import in_turn, independent

    view = ImageViews(flip=False)  # a mirrored digit is another sign
    ways: dict[str, Method] = {
        "bn": BatchNormAdapt(), "tent": Tent(), "tesla": Tesla(view=view), "plain": Tesla(view=view, flipped=False),
        "easy": Tesla(view=view, hard=0.0),
    }  # fmt: skip
    wrong: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    calibration: dict[str, list[float]] = {name: [] for name in ways}
    for seed in SEEDS[:3]:
        world = digit_world(seed)
        stream = in_turn([independent(world.long(), batch=128, seed=100 * time + seed) for time in range(TIMES)])
        for name, way in ways.items():
            run = run_online(adapt(world.network, way, seed=seed), stream)
            wrong[name].append(by_image(run, stream))
            calibration[name].append(run.calibration_error())
    mean = {name: float(np.mean(np.concatenate(values))) for name, values in wrong.items()}
    images = [shown(897, TIMES * DRAWS, seed) for seed in SEEDS[:3]]
    data, size = "scikit-learn digits under fog, drawn four times", f"3 seeds, {TIMES * DRAWS * 897:,} samples each; interval over images"
    against = (("bn", "batch statistics"), ("tent", "TENT"), ("plain", "the same with plain cross-entropy"), ("easy", "the same without hard views"))
    for other, label in against:
        gain = paired(wrong[other], wrong["tesla"], images=images)
        yield Measured.above(
            f"error of {label} ({mean[other]:.3f}) less that of TeSLA ({mean['tesla']:.3f})", value=gain.estimate, interval=(gain.low, gain.high),
            bound=0.0, data=data, size=size,
        )  # fmt: skip
    size = "3 seeds; interval over seeds"
    for other, label in (("tent", "TENT"), ("plain", "the same with plain cross-entropy")):
        apart = bootstrap_mean(np.array(calibration[other]) - np.array(calibration["tesla"]), seed=60)
        yield Measured.above(
            f"expected calibration error of {label} ({np.mean(calibration[other]):.3f}) less that of TeSLA ({np.mean(calibration['tesla']):.3f})",
            value=apart.estimate, interval=(apart.low, apart.high), bound=0.0, data=data, size=size,
        )  # fmt: skip
