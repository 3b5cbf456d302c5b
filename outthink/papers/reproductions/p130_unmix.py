"""[130] Un-Mixing Test-Time Normalization Statistics (UnMix-TNS).

The paper: normalisation by a mixture of components, into which each sample blends its own style, stays stable where labels are correlated in
time and with single samples.

Here: the mixture's moments by simulation, one-sample batches on digits, and CIFAR-10 images in runs of one class (ResNet-20, 2,000 images of each
of three corruptions at severity 5, one seed). Against the source it gains little on so short a stream: its components move slowly. Not covered:
the method under other methods of adaptation, mixed domains with 128 components, CIFAR-10-C.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from outthink.papers.adapting import DIGITS, SEEDS, by_image, digit_world, paired, shown
from outthink.papers.cifar import CIFAR, NEEDS, SHIFTS, cifar_world
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.stats import bootstrap_mean

BATCH = 64


@reproduction(paper=130, kind="simulated", needs=("extra:adapt",))
def mixture_moments() -> Iterator[Measured]:
    """Over random starts the components' mixture has the source's mean and variance."""
    import torch
    from torch import nn

    from outthink.adapt.norms import InstanceMixture

    layer = nn.BatchNorm2d(4000)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    layer.running_mean.fill_(0.7)
    layer.running_var.fill_(2.3)
    means, variances = [], []
    for seed in range(20):
        mixture = InstanceMixture(layer, 16, torch.Generator().manual_seed(seed))
        means += mixture.means.mean(0).tolist()
        variances += (mixture.variances.mean(0) + mixture.means.var(0, correction=0)).tolist()
    size = "80,000 channels of 16 components"
    for what, values, truth in (("mean", means, 0.7), ("variance", variances, 2.3)):
        found = bootstrap_mean(np.array(values) - truth, seed=130)
        yield Measured.at_most(
            f"distance of the mixture's expected {what} from the source's {truth} (largest within its interval)",
            value=max(abs(found.low), abs(found.high)), bound=0.02, data="simulated", seed=130, size=size,
        )  # fmt: skip


@reproduction(paper=130, kind="real", needs=NEEDS, prepare=CIFAR)
def correlated_images() -> Iterator[Measured]:
    """On images in runs of one class it is far better than batch statistics, and its error is that of its own independent order."""
    from outthink.adapt.adapter import adapt
    from outthink.adapt.methods.bn_adapt import BatchNormAdapt
    from outthink.adapt.methods.source_model import SourceModel
    from outthink.adapt.methods.unmix import Unmix
    from outthink.adapt.online import run_online
    from outthink.adapt.streams import continual, correlated

    net, domains = cifar_world()
    met = [domains[name] for name in SHIFTS]
    runs, apart = correlated(met, batch=BATCH, seed=0), continual(met, batch=BATCH, seed=0)
    wrong = {
        name: by_image(run_online(adapt(net, way), stream), stream)
        for name, way, stream in (
            ("source", SourceModel(), runs), ("bn", BatchNormAdapt(), runs), ("unmix", Unmix(), runs), ("independent", Unmix(), apart),
        )
    }  # fmt: skip
    data, size = "CIFAR-10 (JPEG), severity 5, correlated", "6,000 images, one seed; interval over images"
    told = ", ".join(f"{name} {float(values.mean()):.3f}" for name, values in wrong.items())
    for other, label in (("bn", "batch statistics"), ("source", "the source")):
        gain = paired([wrong[other]], [wrong["unmix"]], images=[shown(2000, len(SHIFTS))])
        yield Measured.above(
            f"error of {label} less that of UnMix ({told})", value=gain.estimate, interval=(gain.low, gain.high), bound=0.0, data=data, size=size
        )
    apart_from = paired([wrong["unmix"]], [wrong["independent"]], images=[shown(2000, len(SHIFTS))])
    yield Measured.at_most(
        "UnMix: error in the correlated order less that in the independent one", value=apart_from.estimate, bound=0.04,
        interval=(apart_from.low, apart_from.high), data=data, size=size, not_covered="streams long enough for its components to settle",
    )  # fmt: skip


@reproduction(paper=130, kind="real", needs=("extra:adapt",), prepare=DIGITS)
def single_samples() -> Iterator[Measured]:
    """With one sample a batch it is to be better than the source, and better than that one sample's own statistics."""
    from outthink.adapt.adapter import adapt
    from outthink.adapt.methods.bn_adapt import BatchNormAdapt
    from outthink.adapt.methods.source_model import SourceModel
    from outthink.adapt.methods.unmix import Unmix
    from outthink.adapt.online import run_online
    from outthink.adapt.streams import continual

    wrong: dict[str, list[np.ndarray]] = {"source": [], "bn": [], "unmix": []}
    for seed in SEEDS[:3]:
        world = digit_world(seed)
        stream = continual([world.domain("fog"), world.domain("motion_blur")], batch=1, seed=seed)
        for name, way in (("source", SourceModel()), ("bn", BatchNormAdapt()), ("unmix", Unmix())):
            wrong[name].append(by_image(run_online(adapt(world.network, way, seed=seed), stream), stream))
    size = "3 seeds, 1,794 images each; interval over images"
    for other, label in (("source", "the source"), ("bn", "that sample's own batch statistics")):
        gain = paired(wrong[other], wrong["unmix"], images=[shown(897, 2, seed) for seed in SEEDS[:3]])
        yield Measured.above(
            f"error of {label} ({np.mean(np.concatenate(wrong[other])):.3f}) less that of UnMix ({np.mean(np.concatenate(wrong['unmix'])):.3f})",
            value=gain.estimate, interval=(gain.low, gain.high), bound=0.0, data="scikit-learn digits under fog and motion blur, batches of one",
            size=size,
        )  # fmt: skip
