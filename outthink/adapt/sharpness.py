"""Sharpness-aware steps: look at the loss a short climb uphill, and step down the gradient found there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def climbed(parameters: Sequence[nn.Parameter], loss: Tensor, rho: float) -> Iterator[None]:
    """While inside, the parameters stand rho g / |g| above where they were, g the gradient of the loss; afterwards they are back.

    Args:
        parameters: changed in place.
        loss: a scalar that depends on them; its graph is used up.
        rho: length of the climb.
    """
    gradients = torch.autograd.grad(loss, list(parameters))
    length = torch.stack([gradient.norm() for gradient in gradients]).norm()
    climbs = [gradient * (rho / (length + 1e-12)) for gradient in gradients]
    # kept whole: taking the climb off again would not give back the same bits
    before = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter, climb in zip(parameters, climbs, strict=True):
            parameter.add_(climb)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, kept in zip(parameters, before, strict=True):
                parameter.copy_(kept)
