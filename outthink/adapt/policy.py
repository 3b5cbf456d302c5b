"""[60] Augmentations that are learnt to be hard: pairs of image operations with a probability and two magnitudes each.

    policy = Policy(); hard = policy.applied(images, policy.drawn(count, generator), generator)

Operations take images in [0, 1], (batch, channels, height, width), and a value for each; ranges are those of the official code
(devavratTomar/TeSLA). What turns or moves an image does so to a side that is drawn, and mirrors it at its edges. Where an operation is a step or has
no value, the gradient goes straight through it, as there. Operations are batched: each runs once on the images that it falls to.

Departures: rotations vary (there both ends of their range are equal), the threshold of solarisation gets the gradient of a steep slope (there one
that says that raising it brightens), and images of other than three channels are gray by their plain mean.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LEVELS = 256
_LUMINANCE = (0.2989, 0.5870, 0.1140)


def _spread(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _affine(images: Tensor, *, a: Tensor | float = 1.0, b: Tensor | float = 0.0, c: Tensor | float = 0.0, d: Tensor | float = 0.0,
            e: Tensor | float = 1.0, f: Tensor | float = 0.0) -> Tensor:  # fmt: skip
    # a map from places in the result to places in the image, in halves of a side
    ones = torch.ones(len(images), device=images.device, dtype=images.dtype)
    rows = [torch.stack([value * ones for value in row], 1) for row in ((a, b, c), (d, e, f))]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    found: Tensor = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return found


def _rotated(images: Tensor, angle: Tensor) -> Tensor:
    ratio = images.shape[2] / images.shape[3]
    return _affine(images, a=angle.cos(), b=-angle.sin() * ratio, d=angle.sin() / ratio, e=angle.cos())


def _blended(images: Tensor, other: Tensor, amount: Tensor) -> Tensor:
    return other + _spread(amount) * (images - other)


def _gray(images: Tensor) -> Tensor:
    if images.shape[1] != len(_LUMINANCE):
        return images.mean(1, keepdim=True)
    return (images * torch.tensor(_LUMINANCE, device=images.device, dtype=images.dtype)[:, None, None]).sum(1, keepdim=True)


def _smooth(images: Tensor) -> Tensor:
    kernel = torch.tensor([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]], device=images.device, dtype=images.dtype) / 13.0
    count = images.shape[1]
    return F.conv2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), kernel.expand(count, 1, 3, 3), groups=count)


def _straight(found: Tensor, images: Tensor) -> Tensor:
    # the values of the one with the gradient of the other
    return found.detach() + images - images.detach()


def _stretched(images: Tensor, _: Tensor) -> Tensor:
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return _straight(torch.where(high > low, (images - low) / (high - low).clamp_min(1e-6), images), images)


def _equalised(images: Tensor, _: Tensor) -> Tensor:
    level = (images * (_LEVELS - 1)).long().flatten(2)  # (batch, channels, places)
    count = torch.zeros(*level.shape[:2], _LEVELS, dtype=torch.long, device=images.device).scatter_add_(2, level, torch.ones_like(level))
    step = (level.shape[2] - count.gather(2, level.amax(2, keepdim=True))) // (_LEVELS - 1)
    below = count.cumsum(2) - count  # pixels that are darker
    table = ((below + step // 2) // step.clamp_min(1)).clamp(0, _LEVELS - 1)
    made = torch.where(step > 0, table.gather(2, level), level).reshape(images.shape).to(images) / (_LEVELS - 1)
    return _straight(made, images)


def _posterised(images: Tensor, bits: Tensor) -> Tensor:
    size = _spread(2.0 ** (8 - bits.detach().floor()))
    made = ((images * (_LEVELS - 1)).floor() / size).floor() * size / (_LEVELS - 1)
    return _straight(made, images) + _spread(bits - bits.detach())


def _solarised(images: Tensor, threshold: Tensor) -> Tensor:
    above = torch.sigmoid(50.0 * (images - _spread(threshold)))
    return above * (1.0 - images) + (1.0 - above) * images


Operation = Callable[[Tensor, Tensor], Tensor]
OPERATIONS: dict[str, tuple[Operation, float, float]] = {
    "shear x": (lambda images, v: _affine(images, b=v), -0.3, 0.3),
    "shear y": (lambda images, v: _affine(images, d=v), -0.3, 0.3),
    "translate x": (lambda images, v: _affine(images, c=v), -0.45, 0.45),
    "translate y": (lambda images, v: _affine(images, f=v), -0.45, 0.45),
    "rotate": (_rotated, -math.pi / 6, math.pi / 6),
    "contrast": (lambda images, v: _blended(images, images.mean((1, 2, 3), keepdim=True), v), 0.1, 1.9),
    "colour": (lambda images, v: _blended(images, _gray(images), v), 0.1, 1.9),
    "brightness": (lambda images, v: images * _spread(v), 0.1, 1.9),
    "sharpness": (lambda images, v: _blended(images, _smooth(images), v), 0.1, 1.9),
    "autocontrast": (_stretched, 0.0, 1.0),
    "invert": (lambda images, _: 1.0 - images, 0.0, 1.0),
    "equalise": (_equalised, 0.0, 1.0),
    "solarise": (_solarised, 0.0, 1.0),
    "posterise": (_posterised, 4.0, 8.0),
}
"""Name -> what it does to images with a value of each, and the values of magnitudes 0 and 1; a shift is in halves of a side."""

SIDED = ("shear x", "shear y", "translate x", "translate y", "rotate")
"""What goes to one side or the other by chance."""


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

    def applied(self, images: Tensor, which: Tensor, generator: torch.Generator) -> Tensor:
        """Images (batch, channels, height, width) in [0, 1] after both operations of their pairs (batch,); sides come from the generator."""
        pairs = torch.tensor(self.pairs)[which]
        magnitudes = torch.sigmoid(self.strengths)[which.to(self.strengths.device)]
        sides = (2 * torch.randint(2, (len(images), 2), generator=generator) - 1).to(magnitudes)
        for place in range(2):
            images = images.clamp(0, 1)
            for at, (name, (operation, low, high)) in enumerate(OPERATIONS.items()):
                rows = (pairs[:, place] == at).nonzero()[:, 0].to(images.device)
                if len(rows):
                    value = low + magnitudes[rows, place] * (high - low)
                    value = value * sides[rows, place] if name in SIDED else value
                    images = images.index_copy(0, rows, operation(images[rows], value).clamp(0, 1))
        return images
