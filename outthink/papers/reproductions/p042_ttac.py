"""[42] Revisiting Realistic Test-Time Training: Sequential Inference and Adaptation by Anchored Clustering (TTAC).

The paper: aligning class and global Gaussians of the features with the source's, one pass over the stream, lowers the error where entropy
alone gains little.

Here: the variant without a queue against batch statistics and TENT at the same step size (Adam, 1e-3), batches of 200; digits under six corruptions
with five networks, and 2,000 CIFAR-10 images under Gaussian noise and contrast (ResNet-20, 1,280 source images, one seed), each domain from the
source anew. TTAC predicts after its step and TENT before, which alone is worth something: TENT that predicts once more after its step stands
beside it as a control, added later. The bound of 1.5 points on noise was set before. The project's notes measured a loss
on contrast (22.6 -> 23.2) from a lower baseline. Not covered: the queue, CIFAR-100-C, other protocols of access to the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from outthink.papers.adapting import DIGITS, SEEDS, SHIFTS, digit_world, paired, shown
from outthink.papers.cifar import CIFAR, NEEDS, cifar_images, cifar_world
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured

if TYPE_CHECKING:
    import torch
    from torch import nn

    from outthink.adapt.method import Method, State
    from outthink.adapt.source import Source


def tent_after() -> Method:
    """TENT that predicts with what it has just learnt from the batch, as TTAC does."""
    from outthink.adapt.methods.tent import Tent

    class After(Tent):
        def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
            import torch

            state = super().start(model, source, generator)
            before = state.step

            def step(batch: torch.Tensor) -> torch.Tensor:
                before(batch)
                with torch.no_grad():
                    return state.predict(batch)

            state.step = step  # type: ignore[method-assign]
            return state

    return After()


@reproduction(paper=42, kind="real", needs=NEEDS, prepare=CIFAR)
def images() -> Iterator[Measured]:
    """On CIFAR-10 images it gains on batch statistics, and on entropy in the same order, in ten steps."""
    from outthink.adapt.adapter import adapt
    from outthink.adapt.methods.bn_adapt import BatchNormAdapt
    from outthink.adapt.methods.ttac import Ttac
    from outthink.adapt.online import run_online
    from outthink.adapt.source import Source
    from outthink.adapt.streams import independent

    net, domains = cifar_world()
    source = Source(cifar_images("train", count=1280, seed=1).inputs)
    for name, bound in (("gaussian_noise", 0.015), ("contrast", 0.0)):
        stream = independent(domains[name], batch=200, seed=0)
        ways = (BatchNormAdapt(), Ttac(), tent_after())
        plain, aligned, entropy = (run_online(adapt(net, way, source=source), stream).wrong for way in ways)
        gain = paired([plain], [aligned])
        yield Measured.at_least(
            f"{name}: error of batch statistics ({plain.mean():.3f}) less that of TTAC ({aligned.mean():.3f})", value=gain.estimate, bound=bound,
            interval=(gain.low, gain.high), data="CIFAR-10 (JPEG), severity 5", size="2,000 images, one seed; interval over images",
            not_covered="the queue of 4,096 samples",
        )  # fmt: skip
        apart = paired([entropy], [aligned])
        yield Measured.above(
            f"{name}: error of TENT predicting after its step ({entropy.mean():.3f}) less that of TTAC ({aligned.mean():.3f})", value=apart.estimate,
            interval=(apart.low, apart.high), bound=0.0, data="CIFAR-10 (JPEG), severity 5", size="2,000 images, one seed; interval over images",
        )  # fmt: skip


@reproduction(paper=42, kind="real", needs=("extra:adapt",), prepare=DIGITS)
def digits() -> Iterator[Measured]:
    """On digits it gains on batch statistics and on TENT."""
    from outthink.adapt.adapter import adapt
    from outthink.adapt.methods.bn_adapt import BatchNormAdapt
    from outthink.adapt.methods.tent import Tent
    from outthink.adapt.methods.ttac import Ttac
    from outthink.adapt.online import run_online
    from outthink.adapt.source import Source
    from outthink.adapt.streams import independent

    wrong: dict[str, list[np.ndarray]] = {"bn": [], "tent": [], "after": [], "ttac": []}
    for seed in SEEDS:
        world = digit_world(seed)
        for name in SHIFTS:
            stream = independent(world.domain(name), batch=200, seed=seed)  # one order for all of a seed
            for way, found in ((BatchNormAdapt(), "bn"), (Tent(), "tent"), (tent_after(), "after"), (Ttac(), "ttac")):
                wrong[found].append(run_online(adapt(world.network, way, source=Source(world.train.inputs), seed=seed), stream).wrong)
    mean = {name: float(np.mean(np.concatenate(values))) for name, values in wrong.items()}
    images = [shown(897, 1, seed) for seed in SEEDS for _ in SHIFTS]
    for other, label in (("bn", "batch statistics"), ("tent", "TENT"), ("after", "TENT predicting after its step")):
        gain = paired(wrong[other], wrong["ttac"], images=images)
        yield Measured.above(
            f"error of {label} ({mean[other]:.3f}) less that of TTAC ({mean['ttac']:.3f})", value=gain.estimate, interval=(gain.low, gain.high),
            bound=0.0, data="scikit-learn digits, six corruptions at severity 5", size=f"{len(SEEDS)} seeds, 5,382 images each; interval over images",
        )  # fmt: skip
