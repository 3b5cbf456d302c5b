"""Augmented views of a batch: one independent draw a sample, in batched tensor operations, from a generator that is handed in.

Values are not clamped: a network takes what its preprocessing gives, which need not lie in [0, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Augmentation(Protocol):
    """Makes another view of every sample of a batch."""

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """(batch, ...) -> the same shape; every draw comes from the generator, which lives on the CPU."""
        ...


@dataclass(frozen=True)
class ImageViews:
    """Images turned, shifted, zoomed, mirrored, made lighter or darker, with a little noise.

    Args:
        flip: mirror left and right, with probability 1/2. Turn it off where direction matters, as for digits.
        degrees: largest turn to either side.
        translate: largest shift, as a share of the side.
        zoom: side lengths change by a factor in [1 - zoom, 1 + zoom].
        brightness: largest amount added or taken off.
        contrast: distances from the image's mean change by a factor in [1 - contrast, 1 + contrast].
        noise: standard deviation of Gaussian noise.
    """

    flip: bool = True
    degrees: float = 15.0
    translate: float = 1 / 16
    zoom: float = 0.1
    brightness: float = 0.2
    contrast: float = 0.2
    noise: float = 0.005

    def __post_init__(self) -> None:
        if min(self.degrees, self.translate, self.zoom, self.brightness, self.contrast, self.noise) < 0 or self.zoom >= 1:
            raise ValueError(f"ranges of a view must be 0 or more, and zoom below 1, got {self}")

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """(batch, channels, height, width) -> the same shape.

        Raises:
            ValueError: these are no images.
        """
        if batch.ndim != 4:
            raise ValueError(f"image views need (batch, channels, height, width), got {tuple(batch.shape)}; use views=Jitter() for other data")
        count = len(batch)
        turn, size, right, down, light, strength, mirrored = (2 * torch.rand((7, count), generator=generator) - 1).to(batch)
        angle, scale = turn * math.radians(self.degrees), 1 + size * self.zoom
        sign = torch.where(mirrored < 0, -1.0, 1.0) if self.flip else torch.ones_like(scale)
        # the map from places in the view to places in the image, in units of half a side; sides of different length keep angles right
        ratio = batch.shape[2] / batch.shape[3]
        cosine, sine = angle.cos() / scale, angle.sin() / scale
        across = torch.stack([sign * cosine, -sine * ratio, 2 * right * self.translate], 1)
        along = torch.stack([sign * sine / ratio, cosine, 2 * down * self.translate], 1)
        grid = F.affine_grid(torch.stack([across, along], 1), list(batch.shape), align_corners=False)
        views: Tensor = F.grid_sample(batch, grid, padding_mode="border", align_corners=False)
        mean = views.mean((1, 2, 3), keepdim=True)
        views = mean + (views - mean) * (1 + strength * self.contrast)[:, None, None, None] + (light * self.brightness)[:, None, None, None]
        if self.noise:
            views = views + self.noise * torch.randn(batch.shape, generator=generator).to(batch)
        return views


@dataclass(frozen=True)
class Jitter:
    """Gaussian noise, for data whose symmetries are not known.

    Args:
        deviation: of the noise, in units of each feature's standard deviation over the batch (over the sample, in a batch of one).
    """

    deviation: float = 0.1

    def __post_init__(self) -> None:
        if self.deviation < 0:
            raise ValueError(f"deviation must be 0 or more, got {self.deviation}")

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """(batch, ...) -> the same shape."""
        spread = batch.std(0, keepdim=True, correction=0) if len(batch) > 1 else batch.std(correction=0)
        return batch + self.deviation * spread * torch.randn(batch.shape, generator=generator).to(batch)


def default_views(batch: Tensor) -> Augmentation:
    """Image views for (batch, channels, height, width), noise for anything else."""
    return ImageViews() if batch.ndim == 4 else Jitter()
