"""[92] SDA: diffusion-driven test-time adaptation via synthetic-domain alignment.

The paper: a diffusion model takes corrupted images back towards the source, but to a synthetic domain that the classifier does not know;
fine-tuning the classifier on synthetic images that went through the same projection closes that gap. (Its figures for ImageNet-C were not
at hand.)

Here: scikit-learn's digits, a small diffusion model trained on the 900 training images, three kinds of noise, three seeds. Their strengths are those
of ImageNet-C at severity 5, as in the paper; they took the place of CIFAR-C's, at which the network, as was seen, is wrong on 6 images of 100 and has
nothing to gain. All ways share denoiser, projection and noise, so each comparison isolates one part. Everything else was fixed before any number was
seen. Not covered: ImageNet, diffusion models that were trained on far more than the classifier, other corruptions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from outthink.papers.adapting import DIGITS, digit_world, paired, shown
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured

SEEDS = (0, 1, 2)
# severity 5 of hendrycks/robustness, ImageNet-C/create_c/make_imagenet_c.py: deviation, photons, and share of pixels
NOISES = {"gaussian_noise": 0.38, "shot_noise": 3.0, "impulse_noise": 0.27}
DATA = "scikit-learn digits under Gaussian, shot and impulse noise, severity 5 of ImageNet-C"
SIZE = f"{len(SEEDS)} seeds, 897 images under {len(NOISES)} corruptions each; interval over images"


@reproduction(paper=92, kind="real", needs=("extra:adapt",), prepare=DIGITS)
def alignment() -> Iterator[Measured]:
    """Projection helps under noise, and a classifier that was tuned on projected images helps more."""
    import torch

    from outthink.adapt.adapter import adapt
    from outthink.adapt.corruptions import CORRUPTIONS
    from outthink.adapt.methods.sda import Aligned, Sda
    from outthink.adapt.source import Source

    way, plain = Sda(), Sda(align=False)
    wrong: dict[str, list[NDArray[np.float64]]] = {name: [] for name in ("source", "dda", "unaligned", "sda")}
    clean: dict[str, list[NDArray[np.float64]]] = {name: [] for name in wrong}
    for seed in SEEDS:
        world = digit_world(seed)
        made = way.prepare(world.network, Source(world.train.inputs, world.train.labels), seed=seed)
        assert isinstance(made, Aligned)
        unaligned = copy.deepcopy(made)
        unaligned.tuned = copy.deepcopy(made.model).requires_grad_(True)
        labels, draw = torch.arange(10).repeat_interleave(way.images), torch.Generator().manual_seed(seed)
        plain.tune(unaligned, plain.synthetic(unaligned, labels, draw), labels, draw)
        draw = torch.Generator().manual_seed(seed)
        domains = [world.test.inputs, *(CORRUPTIONS[name].apply(world.test.inputs, (c,), draw).clamp(0, 1) for name, c in NOISES.items())]
        model = adapt(made, way, seed=seed)
        for at, inputs in enumerate(domains):
            kept = wrong if at else clean
            logits = {"sda": model(inputs)}
            with torch.no_grad():
                # the same projection for all: the noise is one for all images, and drawn once
                noises = model.state.noises
                assert isinstance(noises, torch.Tensor)
                moved = made.projected(inputs, noises, factor=way.factor, scale=way.scale)
                logits["source"] = world.network(inputs)
                for name, other in (("dda", made.model), ("unaligned", unaligned.tuned)):
                    logits[name] = logits["source"].softmax(1) + other(moved).softmax(1)
            for name, found in logits.items():
                kept[name].append((found.argmax(1) != world.test.labels).double().numpy())
    images = [shown(897, 1, seed) for seed in SEEDS for _ in NOISES]
    mean = {name: float(np.mean(np.concatenate(parts))) for name, parts in wrong.items()}
    gains = (
        ("source", f"error without adaptation ({mean['source']:.3f}) less that of SDA ({mean['sda']:.3f})", "ImageNet-C"),
        ("dda", f"error with the source's classifier on the projected image too (DDA, {mean['dda']:.3f}) less that of SDA", "ImageNet-C"),
        ("unaligned", f"error with fine-tuning on synthetic images that were not projected ({mean['unaligned']:.3f}) less that of SDA", "ImageNet-C"),
    )
    for name, claim, missing in gains:
        apart = paired(wrong[name], wrong["sda"], images=images)
        yield Measured.above(
            claim, value=apart.estimate, interval=(apart.low, apart.high), bound=0.0, data=DATA, size=SIZE, not_covered=missing
        )  # fmt: skip
    harm = paired(clean["sda"], clean["source"])
    yield Measured.at_most(
        "error of SDA on clean images less that of the source's classifier", value=harm.estimate, interval=(harm.low, harm.high), bound=0.02,
        data="scikit-learn digits, clean", size=f"{len(SEEDS)} seeds, 897 images each; interval over images",
    )  # fmt: skip
