"""A teacher that follows its student, and a student that is drawn back to where it began."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

N = TypeVar("N", bound=nn.Module)


def frozen_copy(model: N) -> N:
    """A deep copy in evaluation mode through whose parameters no gradient flows."""
    return copy.deepcopy(model).eval().requires_grad_(False)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """teacher <- momentum teacher + (1 - momentum) student, in place, for parameters; buffers stay each network's own.

    Args:
        momentum: in [0, 1]; 1 leaves the teacher as it is.
    """
    for follower, leader in zip(teacher.parameters(), student.parameters(), strict=True):
        follower.lerp_(leader.detach(), 1.0 - momentum)


@torch.no_grad()
def restore(parameters: Sequence[nn.Parameter], origin: Sequence[Tensor], share: float, generator: torch.Generator) -> None:
    """Put each single weight back to its origin with a given probability, in place (CoTTA's stochastic restoration).

    Args:
        origin: a tensor for each parameter.
        share: the probability, in [0, 1].
    """
    for parameter, before in zip(parameters, origin, strict=True):
        back = (torch.rand(parameter.shape, generator=generator) < share).to(parameter.device)
        parameter.copy_(torch.where(back, before, parameter))
