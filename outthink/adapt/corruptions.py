"""Image corruptions with the constants of CIFAR-C, for images of any size: `corrupt(images, "gaussian_noise", severity=5, seed=0)`.

Constants: hendrycks/robustness, ImageNet-C/create_c/make_cifar_c.py. Lengths stay in pixels as published; where the original writes 32 (the
reduced size of pixelate, the fog's map, the displacements of elastic) the size of the images stands. Written anew on whole batches, so single
pixels differ from CIFAR-10-C: random draws are torch's, values are not rounded to bytes (JPEG's are), motion blur and zoom interpolate
linearly, and elastic moves pixels once where the original interpolates twice. Left out: glass blur, snow, frost and spatter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from outthink.adapt.images import box_weights, displaced, gaussian_blurred, jpeg, pixel_grid, plasma
from outthink.core.errors import UsageError, nearest

Constants = tuple[float, ...]


@dataclass(frozen=True)
class Corruption:
    """One corruption.

    Args:
        apply: called with (images, constants of the severity, generator); its result is cut to [0, 1].
        severities: the constants of severities 1 to 5.
        colour: needs three channels.
    """

    apply: Callable[[Tensor, Constants, torch.Generator], Tensor]
    severities: tuple[Constants, Constants, Constants, Constants, Constants]
    colour: bool = False


def corrupt(images: Tensor, name: str, *, severity: int, seed: int) -> Tensor:
    """Corrupted copies of images; the same seed gives the same ones.

    Args:
        images: (images, 1 or 3, height, width), floats in [0, 1], sides of 4 pixels or more.
        name: of the corruption, one of `CORRUPTIONS`.
        severity: 1 to 5.

    Raises:
        UsageError: no such corruption.
        ValueError: a severity outside 1..5, images of another shape or range, or one channel where colour is needed.
    """
    if name not in CORRUPTIONS:
        raise UsageError(f"there is no corruption {name!r}.{nearest(name, list(CORRUPTIONS))}")
    if isinstance(severity, bool) or severity not in (1, 2, 3, 4, 5):
        raise ValueError(f"severity must be 1, 2, 3, 4 or 5, got {severity!r}")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or min(images.shape[2:]) < 4:
        raise ValueError(f"images must be (images, 1 or 3 channels, height, width) with sides of 4 or more, got {tuple(images.shape)}")
    if not images.is_floating_point():
        raise ValueError(f"images must be floats in [0, 1], got {images.dtype}; divide bytes by 255")
    if len(images) and not (float(images.min()) >= 0.0 and float(images.max()) <= 1.0):
        raise ValueError(f"pixels must be in [0, 1], got {float(images.min()):.3g} to {float(images.max()):.3g}")
    corruption = CORRUPTIONS[name]
    if corruption.colour and images.shape[1] != 3:
        raise ValueError(f"{name} changes colours and these images have one channel")
    draw = torch.Generator().manual_seed(seed)
    return corruption.apply(images, corruption.severities[severity - 1], draw).clamp(0.0, 1.0)


def _normal(like: Tensor, draw: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=draw, dtype=like.dtype).to(like.device)


def _uniform(shape: tuple[int, ...], like: Tensor, draw: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=draw, dtype=like.dtype).to(like.device)


def _gaussian_noise(x: Tensor, c: Constants, draw: torch.Generator) -> Tensor:
    return x + c[0] * _normal(x, draw)


def _shot_noise(x: Tensor, c: Constants, draw: torch.Generator) -> Tensor:
    return torch.poisson((x * c[0]).cpu(), generator=draw).to(x.device) / c[0]


def _impulse_noise(x: Tensor, c: Constants, draw: torch.Generator) -> Tensor:
    hit, salt = _uniform(x.shape, x, draw) < c[0], _uniform(x.shape, x, draw) < 0.5
    return torch.where(hit, salt.to(x.dtype), x)


def _speckle_noise(x: Tensor, c: Constants, draw: torch.Generator) -> Tensor:
    return x + c[0] * x * _normal(x, draw)


def _gaussian_blur(x: Tensor, c: Constants, draw: torch.Generator) -> Tensor:
    return gaussian_blurred(x, c[0])


def _defocus_blur(x: Tensor, c: Constants, draw: torch.Generator) -> Tensor:
    radius, alias = c
    reach = math.floor(radius) + 1
    axis = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    disk = (axis[:, None] ** 2 + axis**2 <= radius**2).to(x.dtype)
    near = torch.exp(-(torch.arange(-1, 2, dtype=x.dtype, device=x.device) ** 2) / (2 * alias**2))
    soft = F.conv2d((disk / disk.sum())[None, None], (near[:, None] * near)[None, None] / near.sum() ** 2, padding=1)
    channels = x.shape[1]
    return F.conv2d(F.pad(x, (reach,) * 4, mode="reflect"), soft.repeat(channels, 1, 1, 1), groups=channels)


def _motion_blur(x: Tensor, c: Constants, draw: torch.Generator) -> Tensor:
    radius, sigma = c
    angle = (_uniform((len(x),), x, draw) - 0.5) * math.pi / 2  # -45 to 45 degrees, one an image
    weights = torch.exp(-((torch.arange(2 * int(radius) + 1, dtype=x.dtype) / sigma) ** 2) / 2)
    weights = weights[weights > 1e-4 * weights.sum()]
    rows, columns = pixel_grid(x)
    blurred = torch.zeros_like(x)
    for step, weight in enumerate((weights / weights.sum()).tolist()):
        down, right = step * angle.sin()[:, None, None], step * angle.cos()[:, None, None]
        blurred += weight * displaced(x, rows - down, columns - right, outside="border")
    return blurred


def _zoom_blur(x: Tensor, c: Constants, draw: torch.Generator) -> Tensor:
    rows, columns = pixel_grid(x)
    middle = ((x.shape[2] - 1) / 2, (x.shape[3] - 1) / 2)
    factors = [1.0 + 0.01 * step for step in range(round((c[0] - 1.0) / 0.01) + 1)]
    zoomed = [displaced(x, middle[0] + (rows - middle[0]) / f, middle[1] + (columns - middle[1]) / f, outside="border") for f in factors]
    return (x + torch.stack(zoomed).sum(0)) / (len(factors) + 1)


def _fog(x: Tensor, c: Constants, draw: torch.Generator) -> Tensor:
    amount, decay = c
    most = x.amax((1, 2, 3), keepdim=True)
    clouds = plasma(len(x), max(x.shape[2:]), decay, draw)[:, None, : x.shape[2], : x.shape[3]].to(x)
    return (x + amount * clouds) * most / (most + amount)


def _brightness(x: Tensor, c: Constants, draw: torch.Generator) -> Tensor:
    # hue and saturation fixed, the HSV value raised: the channels scale with it
    value = x.amax(1, keepdim=True)
    raised = (value + c[0]).clamp(0.0, 1.0)
    return torch.where(value > 0, x * raised / value.clamp_min(torch.finfo(x.dtype).tiny), raised)


def _contrast(x: Tensor, c: Constants, draw: torch.Generator) -> Tensor:
    means = x.mean((2, 3), keepdim=True)
    return (x - means) * c[0] + means


def _saturate(x: Tensor, c: Constants, draw: torch.Generator) -> Tensor:
    value, least = x.amax(1, keepdim=True), x.amin(1, keepdim=True)
    spread = value - least
    red = torch.tensor([0.0, 1.0, 1.0], dtype=x.dtype, device=x.device)[:, None, None]  # a grey pixel's hue is red's
    hue = torch.where(spread > 0, (value - x) / spread.clamp_min(torch.finfo(x.dtype).tiny), red)
    saturation = torch.where(value > 0, spread / value.clamp_min(torch.finfo(x.dtype).tiny), 0.0)
    return value * (1.0 - (saturation * c[0] + c[1]).clamp(0.0, 1.0) * hue)


def _pixelate(x: Tensor, c: Constants, draw: torch.Generator) -> Tensor:
    for axis in (2, 3):
        size = x.shape[axis]
        small = max(1, int(size * c[0]))
        there_and_back = box_weights(size, small) @ box_weights(small, size)
        x = torch.tensordot(x, there_and_back.to(x), dims=([axis], [0])).movedim(-1, axis)
    return x


def _jpeg_compression(x: Tensor, c: Constants, draw: torch.Generator) -> Tensor:
    return jpeg(x, quality=int(c[0]))


def _elastic_transform(x: Tensor, c: Constants, draw: torch.Generator) -> Tensor:
    side = min(x.shape[2:])
    height, smooth, jitter = (side * part for part in c)
    third = side // 3
    centre = torch.tensor([x.shape[2] // 2, x.shape[3] // 2], dtype=x.dtype, device=x.device)
    corners = centre + torch.tensor([[third, third], [third, -third], [-third, -third]], dtype=x.dtype, device=x.device)
    moved = corners + jitter * (2 * _uniform((len(x), 3, 2), x, draw) - 1)
    # the affine map from where corners come to lie back to where they were: (row, column, 1) @ back
    # (three points determine it; a least-squares solver would differ in the last bits with where its arrays lie in memory)
    back = torch.linalg.solve(torch.cat([moved, torch.ones_like(moved[..., :1])], 2), corners.expand_as(moved))
    rows, columns = pixel_grid(x)
    pushes = [2 * _uniform((len(x), 1, *x.shape[2:]), x, draw) - 1 for _ in range(2)]
    down, right = (height * gaussian_blurred(push, smooth)[:, 0] if height else torch.zeros_like(push[:, 0]) for push in pushes)
    at = torch.stack([rows + down, columns + right, torch.ones_like(down)], 3)  # (images, height, width, 3)
    source = torch.einsum("nhwk,nkj->nhwj", at, back)
    return displaced(x, source[..., 0], source[..., 1], outside="reflection")


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian_noise": Corruption(_gaussian_noise, ((0.04,), (0.06,), (0.08,), (0.09,), (0.10,))),
    "shot_noise": Corruption(_shot_noise, ((500,), (250,), (100,), (75,), (50,))),
    "impulse_noise": Corruption(_impulse_noise, ((0.01,), (0.02,), (0.03,), (0.05,), (0.07,))),
    "speckle_noise": Corruption(_speckle_noise, ((0.06,), (0.1,), (0.12,), (0.16,), (0.2,))),
    "gaussian_blur": Corruption(_gaussian_blur, ((0.4,), (0.6,), (0.7,), (0.8,), (1.0,))),
    "defocus_blur": Corruption(_defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))),
    "motion_blur": Corruption(_motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))),
    "zoom_blur": Corruption(_zoom_blur, ((1.06,), (1.11,), (1.16,), (1.21,), (1.26,))),
    "fog": Corruption(_fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "brightness": Corruption(_brightness, ((0.05,), (0.1,), (0.15,), (0.2,), (0.3,))),
    "contrast": Corruption(_contrast, ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,))),
    "saturate": Corruption(_saturate, ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)), colour=True),
    "elastic_transform": Corruption(_elastic_transform, ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))),
    "pixelate": Corruption(_pixelate, ((0.95,), (0.9,), (0.85,), (0.75,), (0.65,))),
    "jpeg_compression": Corruption(_jpeg_compression, ((80,), (65,), (58,), (50,), (40,))),
}
"""By name. Constants: noise in [0, 1] units (shot: photons), blurs (radius, softness) in pixels, elastic in parts of the side."""
