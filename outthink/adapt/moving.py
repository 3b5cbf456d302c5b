"""Moving pictures from still ones: a crop slides and zooms over real images while a corruption drifts. And how long a memory should be.

frames = moving(images, labels, length=40, drift=fading_contrast, seed=0)      # a `Domain`, in order: streams.video(frames)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from outthink.adapt.streams import Domain

Drift = Callable[[Tensor, Tensor], Tensor]
"""(frames, channels, height, width) and the time of each in [0, 1] -> corrupted frames."""


def moving(images: Tensor, labels: Tensor, *, length: int, drift: Drift | None = None, zoom: float = 0.1, slide: float = 0.1, seed: int) -> Domain:
    """Each image becomes a clip of `length` frames; clips follow one another in the order of the images.

    Args:
        images: (images, channels, height, width).
        labels: (images,) the class of each, and of all its frames.
        length: frames of a clip.
        drift: what happens to the frames over the whole video's time.
        zoom: the crop's side changes by a factor within 1 +- zoom in the course of a clip.
        slide: largest shift of the crop to each side, as a share of the image's side.
        seed: of where each crop starts and ends.

    Raises:
        ValueError: no frames, or ranges below 0.
    """
    if length < 1 or zoom < 0 or zoom >= 1 or slide < 0:
        raise ValueError(f"a clip needs length of 1 or more, zoom in [0, 1) and slide of 0 or more, got {length}, {zoom} and {slide}")
    draw = torch.Generator().manual_seed(seed)
    ends = (2 * torch.rand((2, 3, len(images), 1), generator=draw) - 1).to(images)
    along = torch.linspace(0, 1, length).to(images)
    size, right, down = (1 - along) * ends[0] + along * ends[1]  # each (images, length)
    scale = (1 + zoom * size).flatten()
    none = torch.zeros_like(scale)
    across = torch.stack([scale, none, 2 * slide * right.flatten()], 1)
    downwards = torch.stack([none, scale, 2 * slide * down.flatten()], 1)
    still = images.repeat_interleave(length, 0)
    grid = F.affine_grid(torch.stack([across, downwards], 1), list(still.shape), align_corners=False)
    frames = F.grid_sample(still, grid, padding_mode="border", align_corners=False)
    if drift is not None:
        frames = drift(frames, torch.linspace(0, 1, len(frames)).to(frames))
    return Domain("video", frames, labels.repeat_interleave(length))


def window_error(window: int, *, noise: float, drift: float) -> float:
    """Mean squared error of the mean of the last `window` observations of a random walk: r/k + q (k-1)(2k-1)/(6k).

    Args:
        window: k, the current observation included.
        noise: r, variance of an observation.
        drift: q, variance of a step of what is observed.
    """
    return noise / window + drift * (window - 1) * (2 * window - 1) / (6 * window)


def best_window(*, noise: float, drift: float) -> int:
    """The window of the least `window_error`; near sqrt(3 r / q + 1/2)."""
    if noise < 0 or drift <= 0:
        raise ValueError(f"noise must be 0 or more and drift above 0, got {noise} and {drift}; without drift the longest window is best")
    near = math.sqrt(3 * noise / drift + 0.5)
    return min(range(max(1, math.floor(near)), math.floor(near) + 3), key=lambda window: window_error(window, noise=noise, drift=drift))
