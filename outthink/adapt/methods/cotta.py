"""[31 baseline] CoTTA: a slow teacher labels, averaged over views where the source is unsure, and weights fall back to the source by chance.

    loss = mean_b CE(t_b, student(x_b)),   t_b = teacher(x_b), or the mean over `views` augmented x_b where the source is not confident
    teacher <- momentum teacher + (1 - momentum) student;   then every single weight is the source's again with probability `restore`

The source's confidence is the mean over the batch of its highest probability, as in the official code. Returns the target t_b as logits.
Cost: a forward pass of the source, one of the teacher or `views` of them, one forward and one backward pass of the student, a sample.
Identity: with momentum 1 and confidence 0 the prediction is `bn_adapt(alpha=1)`'s whatever the student does.
The target over views is a mean of logits, as in the official code, and the anchor normalises with batch statistics, as student and teacher do.
Departures: views are milder (no hue, saturation, gamma or blur, no clipping to [0, 1]); every parameter may be restored, there those named weight
or bias alone; the loss is the code's for CIFAR, whose half-symmetric one for ImageNet is `losses.symmetric_cross_entropy`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from outthink.adapt.augment import Augmentation, default_views
from outthink.adapt.losses import cross_entropy_to
from outthink.adapt.method import Contract, State, method
from outthink.adapt.source import Source
from outthink.adapt.teacher import follow, frozen_copy, restore
from outthink.adapt.view import free_parameters, train_on_batches


class _Cotta(State):
    def __init__(self, model: nn.Module, generator: torch.Generator, parameters: list[nn.Parameter], knobs: Cotta) -> None:
        super().__init__(model, generator, parameters, lambda free: torch.optim.Adam(free, lr=knobs.lr))
        self.knobs, self.adapting = knobs, parameters
        self.anchor, self.teacher = frozen_copy(model), frozen_copy(model)
        self.origin = [parameter.detach().clone() for parameter in parameters]

    def step(self, batch: Tensor) -> Tensor:
        with torch.no_grad():
            confidence = float(self.predict(batch, self.anchor).softmax(1).amax(1).mean())
            target = self._target(batch, confidence)
        self.descend(cross_entropy_to(target.softmax(1), self.predict(batch)).mean(), len(batch))
        follow(self.teacher, self.model, self.knobs.momentum)
        if self.knobs.restore:
            restore(self.adapting, self.origin, self.knobs.restore, self.generator)
        return target

    def _target(self, batch: Tensor, confidence: float) -> Tensor:
        if confidence >= self.knobs.confidence:
            return self.predict(batch, self.teacher)
        view = self.knobs.view or default_views(batch)
        total = sum(self.predict(view(batch, self.generator), self.teacher) for _ in range(self.knobs.views))
        assert isinstance(total, Tensor)
        return total / self.knobs.views


@method("cotta", papers=(31,))
@dataclass(frozen=True)
class Cotta:
    """Follow a slowly moving teacher, which averages over views where the source is unsure, and restore some weights by chance.

    Args:
        lr: of Adam.
        momentum: of the teacher.
        confidence: mean confidence of the source below which the teacher looks at several views; .92 for CIFAR-10, .1 for ImageNet.
        views: how many.
        restore: probability that a weight goes back to the source's after a step.
        view: how views are made; image views for images, noise for other data if None.
    """

    lr: float = 1e-3
    momentum: float = 0.999
    confidence: float = 0.92
    views: int = 32
    restore: float = 0.01
    view: Augmentation | None = None
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="teacher", changes="every weight of student and teacher; batch statistics in place of stored ones",
        keeps="the source model itself",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.views < 1:
            raise ValueError(f"views must be 1 or more, got {self.views}")
        if not 0 <= self.momentum <= 1 or not 0 <= self.restore <= 1:
            raise ValueError(f"momentum and restore must be in [0, 1], got {self.momentum} and {self.restore}")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Takes any classifier with free parameters."""
        parameters = free_parameters(model)
        train_on_batches(model, parameters)
        return _Cotta(model, generator, parameters, self)
