"""[37] Robust Test-Time Adaptation in Dynamic Scenarios (RoTTA).

The paper: where classes come in runs, statistics of the batch at hand are those of one class, and methods that use them fall below the
source; slow statistics, a balanced memory and a slow teacher do not.

Here: both orders of the same images. The real benchmark is a ResNet-20 on 2,000 CIFAR-10 images under each of two corruptions at severity 5 (the
first two of the fixture's; a third took the whole over two minutes), one domain after the other without a reset, one seed; digits add five seeds of a
small network. Bounds of the CIFAR claims were set before this file was written, from runs with a reset at each domain, where RoTTA has less to catch
up with. Not covered: CIFAR-10-C itself, 15 domains, the paper's WideResNet and augmentations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from outthink.papers.adapting import DIGITS, SEEDS, by_image, digit_world, paired, shown
from outthink.papers.cifar import CIFAR, NEEDS, SHIFTS, cifar_world
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured

if TYPE_CHECKING:
    from outthink.adapt.method import Method

BATCH, CONCENTRATION = 64, 0.1
KINDS = SHIFTS[:2]


@reproduction(paper=37, kind="real", needs=NEEDS, prepare=CIFAR)
def correlated_images() -> Iterator[Measured]:
    """On CIFAR-10 images in runs of one class RoTTA loses little where batch statistics lose everything."""
    from outthink.adapt.adapter import adapt
    from outthink.adapt.methods.bn_adapt import BatchNormAdapt
    from outthink.adapt.methods.rotta import Rotta
    from outthink.adapt.methods.source_model import SourceModel
    from outthink.adapt.online import run_online
    from outthink.adapt.streams import continual, correlated

    net, domains = cifar_world()
    met = [domains[name] for name in KINDS]
    runs = {"independent": continual(met, batch=BATCH, seed=0), "correlated": correlated(met, batch=BATCH, seed=0, concentration=CONCENTRATION)}
    ways: dict[str, Method] = {"bn": BatchNormAdapt(), "rotta": Rotta()}
    wrong = {(order, name): by_image(run_online(adapt(net, way), stream), stream) for order, stream in runs.items() for name, way in ways.items()}
    source = by_image(run_online(adapt(net, SourceModel()), runs["independent"]), runs["independent"])  # to which no order matters
    mean = {key: float(values.mean()) for key, values in wrong.items()}
    size = "4,000 images, one seed; interval over images"
    told = ", ".join(f"{name} {mean['independent', name]:.3f} -> {mean['correlated', name]:.3f}" for name in ways)
    images = [shown(2000, len(KINDS))]
    worse = paired([wrong["correlated", "rotta"]], [wrong["independent", "rotta"]], images=images)
    yield Measured.at_most(
        f"RoTTA: error in the correlated order less that in the independent one (source {source.mean():.3f}, {told})", value=worse.estimate,
        interval=(worse.low, worse.high), bound=0.04, data="CIFAR-10 (JPEG), severity 5", size=size,
        not_covered="CIFAR-10-C, other seeds of the network",
    )  # fmt: skip
    gap = paired([wrong["correlated", "bn"]], [wrong["correlated", "rotta"]], images=images)
    yield Measured.at_least(
        "correlated order: error of batch statistics less that of RoTTA", value=gap.estimate, interval=(gap.low, gap.high), bound=0.25,
        data="CIFAR-10 (JPEG), severity 5", size=size,
    )  # fmt: skip
    trails = paired([wrong["independent", "rotta"]], [wrong["independent", "bn"]], images=images)
    yield Measured.above(
        "independent order: error of RoTTA less that of batch statistics, which its slow statistics trail", value=trails.estimate, bound=0.0,
        interval=(trails.low, trails.high), data="CIFAR-10 (JPEG), severity 5", size=size,
    )  # fmt: skip


@reproduction(paper=37, kind="real", needs=("extra:adapt",), prepare=DIGITS)
def correlated_digits() -> Iterator[Measured]:
    """On five small networks the order costs batch statistics more than it costs RoTTA."""
    from outthink.adapt.adapter import adapt
    from outthink.adapt.augment import ImageViews
    from outthink.adapt.methods.bn_adapt import BatchNormAdapt
    from outthink.adapt.methods.rotta import Rotta
    from outthink.adapt.online import run_online
    from outthink.adapt.streams import continual, correlated

    ways: dict[str, Method] = {"bn": BatchNormAdapt(), "rotta": Rotta(view=ImageViews(flip=False))}  # a mirrored digit is another sign
    lost: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    for seed in SEEDS:
        world = digit_world(seed)
        apart = continual(world.domains(), batch=BATCH, seed=seed)
        together = correlated(world.domains(), batch=BATCH, seed=seed, concentration=CONCENTRATION)
        for name, way in ways.items():
            runs = [by_image(run_online(adapt(world.network, way, seed=seed), stream), stream) for stream in (together, apart)]
            lost[name].append(runs[0] - runs[1])
    images = [shown(897, 6, seed) for seed in SEEDS]
    size = f"{len(SEEDS)} seeds, 5,382 images each; interval over images"
    for name, label in (("bn", "batch statistics"), ("rotta", "RoTTA")):
        zero = paired(lost[name], [np.zeros_like(values) for values in lost[name]], images=images)
        if name == "bn":
            yield Measured.above(
                f"{label}: error in the correlated order less that in the independent one", value=zero.estimate, interval=(zero.low, zero.high),
                bound=0.0, data="scikit-learn digits, six corruptions at severity 5", size=size,
            )  # fmt: skip
        else:
            yield Measured.at_most(
                f"{label}: error in the correlated order less that in the independent one", value=zero.estimate, interval=(zero.low, zero.high),
                bound=0.04, data="scikit-learn digits, six corruptions at severity 5", size=size,
            )  # fmt: skip
    more = paired(lost["bn"], lost["rotta"], images=images)
    yield Measured.above(
        "what the order costs batch statistics less what it costs RoTTA", value=more.estimate, interval=(more.low, more.high), bound=0.0,
        data="scikit-learn digits, six corruptions at severity 5", size=size, not_covered="domains long enough for RoTTA's statistics to arrive",
    )  # fmt: skip
