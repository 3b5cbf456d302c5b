"""Operations on batches of images, (images, channels, height, width) floats in [0, 1], that corruptions are made of."""

from __future__ import annotations

import io
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from outthink.core.errors import need


def gaussian_blurred(images: Tensor, sigma: float) -> Tensor:
    """Convolved with a Gaussian of this width in pixels, cut at three widths and at the images' size; borders are mirrored."""
    for axis in (2, 3):
        reach = min(math.ceil(3 * sigma), images.shape[axis] - 1)
        weights = torch.exp(-((torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device) / sigma) ** 2) / 2)
        shape, padding = ((1, 1, -1, 1), (0, 0, reach, reach)) if axis == 2 else ((1, 1, 1, -1), (reach, reach, 0, 0))
        kernel = (weights / weights.sum()).reshape(shape).repeat(images.shape[1], 1, 1, 1)
        images = F.conv2d(F.pad(images, padding, mode="reflect"), kernel, groups=images.shape[1])
    return images


def pixel_grid(images: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column of every pixel: (1, height, width) twice."""
    rows = torch.arange(images.shape[2], dtype=images.dtype, device=images.device)
    columns = torch.arange(images.shape[3], dtype=images.dtype, device=images.device)
    down, right = torch.meshgrid(rows, columns, indexing="ij")
    return down[None], right[None]


def displaced(images: Tensor, rows: Tensor, columns: Tensor, *, outside: str) -> Tensor:
    """Images whose pixels are read, linearly interpolated, at other places.

    Args:
        rows, columns: (images or 1, height, width) places in pixels.
        outside: `border` repeats the edge, `reflection` mirrors at it.
    """
    places = torch.stack([2 * columns / (images.shape[3] - 1) - 1, 2 * rows / (images.shape[2] - 1) - 1], 3)
    return F.grid_sample(images, places.expand(len(images), -1, -1, -1), padding_mode=outside, align_corners=True)


def box_weights(size: int, target: int) -> Tensor:
    """(size, target) weights of a resampling along one axis by means over boxes, as Pillow's `BOX`: every column sums to 1."""
    scale = size / target
    reach = max(scale, 1.0) / 2
    weights = torch.zeros(size, target)
    for place in range(target):
        centre = (place + 0.5) * scale
        weights[max(0, int(centre - reach + 0.5)) : min(size, int(centre + reach + 0.5)), place] = 1.0
    return weights / weights.sum(0)


def plasma(count: int, side: int, decay: float, draw: torch.Generator) -> Tensor:
    """Cloud maps by the diamond-square method on a torus: (count, size, size) in [0, 1], size the next power of two.

    Args:
        decay: the draws' amplitude falls by its square from one scale to the next.
    """
    size = 1 << (side - 1).bit_length()
    maps = torch.zeros(count, size, size)
    step, amplitude = size, 1.0

    def mean(total: Tensor) -> Tensor:
        return total / 4 + amplitude * (2 * torch.rand(total.shape, generator=draw) - 1)

    while step >= 2:
        half = step // 2
        corners = maps[:, ::step, ::step].clone()
        pairs = corners + corners.roll(-1, 1)
        centres = mean(pairs + pairs.roll(-1, 2))
        maps[:, half::step, half::step] = centres
        maps[:, ::step, half::step] = mean(centres + centres.roll(1, 1) + corners + corners.roll(-1, 2))
        maps[:, half::step, ::step] = mean(centres + centres.roll(1, 2) + corners + corners.roll(-1, 1))
        step, amplitude = half, amplitude / decay**2
    maps = maps - maps.amin((1, 2), keepdim=True)
    return maps / maps.amax((1, 2), keepdim=True)


def jpeg(images: Tensor, *, quality: int) -> Tensor:
    """Encoded as JPEG at this quality (1 to 95) and decoded again; each image alone.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    need("PIL", extra="adapt")
    import numpy as np
    from PIL import Image

    found = []
    for image in (images.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8):
        pixels = image[0].numpy() if len(image) == 1 else image.permute(1, 2, 0).numpy()
        coded = io.BytesIO()
        Image.fromarray(pixels).save(coded, "JPEG", quality=quality)
        decoded = torch.from_numpy(np.array(Image.open(coded)))
        found.append(decoded[None] if decoded.ndim == 2 else decoded.permute(2, 0, 1))
    return torch.stack(found).to(images) / 255 if found else images.clone()
