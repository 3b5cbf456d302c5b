"""[60] Augmentations that are learnt to be hard: pairs of image operations with a probability and two magnitudes each.

    policy = Policy(); pairs, magnitudes = policy.chosen(policy.drawn(count, generator)); hard = policy.applied(images, pairs, magnitudes)

Operations take images in [0, 1], (batch, channels, height, width), and a magnitude in [0, 1] for each, in which they are differentiable; ranges
are AutoAugment's. They are batched: each operation runs once on the images that it falls to.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _spread(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _moved(images: Tensor, matrix: Tensor) -> Tensor:
    # a map (batch, 2, 3) from places in the result to places in the image, in halves of a side
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    found: Tensor = F.grid_sample(images, grid, align_corners=False)
    return found


def _affine(images: Tensor, *, a: Tensor | float = 1.0, b: Tensor | float = 0.0, c: Tensor | float = 0.0, d: Tensor | float = 0.0,
            e: Tensor | float = 1.0, f: Tensor | float = 0.0) -> Tensor:  # fmt: skip
    ones = torch.ones(len(images), device=images.device, dtype=images.dtype)
    rows = [torch.stack([value * ones for value in row], 1) for row in ((a, b, c), (d, e, f))]
    return _moved(images, torch.stack(rows, 1))


def _rotated(images: Tensor, angle: Tensor) -> Tensor:
    ratio = images.shape[2] / images.shape[3]
    return _affine(images, a=angle.cos(), b=-angle.sin() * ratio, d=angle.sin() / ratio, e=angle.cos())


def _blended(images: Tensor, other: Tensor, amount: Tensor) -> Tensor:
    return other + _spread(amount) * (images - other)


def _gray(images: Tensor) -> Tensor:
    return images.mean(1, keepdim=True)


def _smooth(images: Tensor) -> Tensor:
    kernel = torch.tensor([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]], device=images.device, dtype=images.dtype) / 13.0
    count = images.shape[1]
    return F.conv2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), kernel.expand(count, 1, 3, 3), groups=count)


def _stretched(images: Tensor, amount: Tensor) -> Tensor:
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return _blended(images, (images - low) / (high - low).clamp_min(1e-6), 1.0 - amount)


def _solarized(images: Tensor, threshold: Tensor) -> Tensor:
    # a steep slope in place of a step, so that the threshold has a gradient
    above = torch.sigmoid(50.0 * (images - _spread(threshold)))
    return above * (1.0 - images) + (1.0 - above) * images


Operation = Callable[[Tensor, Tensor], Tensor]
OPERATIONS: dict[str, tuple[Operation, float, float]] = {
    "shear x": (lambda images, v: _affine(images, b=v), -0.3, 0.3),
    "shear y": (lambda images, v: _affine(images, d=v), -0.3, 0.3),
    "translate x": (lambda images, v: _affine(images, c=2 * v), -0.45, 0.45),
    "translate y": (lambda images, v: _affine(images, f=2 * v), -0.45, 0.45),
    "rotate": (_rotated, -math.pi / 6, math.pi / 6),
    "contrast": (lambda images, v: _blended(images, _gray(images).mean((2, 3), keepdim=True), v), 0.1, 1.9),
    "colour": (lambda images, v: _blended(images, _gray(images), v), 0.1, 1.9),
    "brightness": (lambda images, v: images * _spread(v), 0.1, 1.9),
    "sharpness": (lambda images, v: _blended(images, _smooth(images), v), 0.1, 1.9),
    "autocontrast": (_stretched, 0.0, 1.0),
    "invert": (lambda images, v: _blended(images, 1.0 - images, 1.0 - v), 0.0, 1.0),
    "solarize": (_solarized, 0.0, 1.0),
}
"""Name -> what it does to images with a value of each, and the values of magnitudes 0 and 1."""


class Policy(nn.Module):
    """Probabilities of all pairs of operations, and the magnitudes of both."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs = list(itertools.combinations(range(len(OPERATIONS)), 2))
        self.scores = nn.Parameter(torch.zeros(len(self.pairs)))
        self.strengths = nn.Parameter(torch.zeros(len(self.pairs), 2))

    @property
    def probabilities(self) -> Tensor:
        """(pairs,), summing to 1."""
        return self.scores.softmax(0)

    def drawn(self, count: int, generator: torch.Generator, *, uniform: bool = False) -> Tensor:
        """A pair for each of some images, by the learnt probabilities or all alike: (count,)."""
        weights = torch.ones(len(self.pairs)) if uniform else self.probabilities.detach().cpu()
        return torch.multinomial(weights, count, replacement=True, generator=generator)

    def applied(self, images: Tensor, which: Tensor) -> Tensor:
        """Images (batch, channels, height, width) in [0, 1] after both operations of their pairs (batch,)."""
        pairs = torch.tensor(self.pairs)[which]
        magnitudes = torch.sigmoid(self.strengths)[which.to(self.strengths.device)]
        for place in range(2):
            images = images.clamp(0, 1)
            for at, (operation, low, high) in enumerate(OPERATIONS.values()):
                rows = (pairs[:, place] == at).nonzero()[:, 0].to(images.device)
                if len(rows):
                    images = images.index_copy(0, rows, operation(images[rows], low + magnitudes[rows, place] * (high - low)).clamp(0, 1))
        return images
