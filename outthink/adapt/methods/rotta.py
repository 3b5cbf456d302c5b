"""[37] RoTTA: for streams where classes come in runs and the world drifts: slow statistics, a balanced memory of recent samples, a slow teacher.

    every `every` samples:  loss = mean_m E(age_m / capacity) CE(teacher(x_m), student(strong view of x_m)),   E(a) = exp(-a) / (1 + exp(-a))
                            teacher <- (1 - nu) teacher + nu student                                            (parameters alone)
    normalisation:          mean <- (1 - alpha) mean + alpha batch mean, variance likewise, updated by passes of the memory and of nothing else

Predicts with the teacher before the step, on its kept statistics: no prediction depends on the other samples of its batch.
Cost: one forward pass a sample; for every update two forward passes and one backward pass of the memory. Identities: alpha 0 is the source
until scale and shift move; E(0) = 1/2. Trap: alpha .05 takes some 30 updates to reach the statistics of a new domain, so it trails `bn_adapt`
on independent streams by design, and its clean error right after a stream shows those statistics, not lost weights.
Departures from the official code: views are milder (no hue, saturation, gamma or blur, no clipping to [0, 1]); of two equally ready samples the
older one goes, there the younger; dropout stays off in updates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from outthink.adapt.augment import Augmentation, default_views
from outthink.adapt.losses import cross_entropy_to
from outthink.adapt.memory import Timely
from outthink.adapt.method import Contract, State, method
from outthink.adapt.norms import RunningStatistics, replace_norms
from outthink.adapt.remembering import Remembering
from outthink.adapt.source import Source
from outthink.adapt.teacher import follow, frozen_copy
from outthink.adapt.view import affine_parameters, train_only


def timeliness(ages: Tensor, capacity: int) -> Tensor:
    """E(age / capacity): the weight of a remembered sample, 1/2 at age 0 and falling with its age; ages (samples,)."""
    return torch.sigmoid(-ages / capacity)


class _Rotta(Remembering):
    teacher: nn.Module

    def __init__(self, model: nn.Module, generator: torch.Generator, parameters: list[nn.Parameter], knobs: Rotta) -> None:
        super().__init__(
            model, generator, parameters, lr=knobs.lr, capacity=knobs.memory, eviction=Timely(knobs.age_weight, knobs.uncertainty_weight),
            every=knobs.every, teacher=frozen_copy(model),
        )  # fmt: skip
        self.knobs = knobs

    def learn(self, remembered: Tensor) -> None:
        view = self.knobs.view or default_views(remembered)
        with torch.no_grad():
            target = self.predict(remembered, self.teacher).softmax(1)
        losses = cross_entropy_to(target, self.predict(view(remembered, self.generator)))
        self.descend((timeliness(self.bank.ages, self.bank.capacity).to(losses) * losses).mean(), len(remembered))
        follow(self.teacher, self.model, 1.0 - self.knobs.nu)


@method("rotta", papers=(37, 31))
@dataclass(frozen=True)
class Rotta:
    """Keep slow statistics and a class-balanced memory of recent certain samples, and follow a slow teacher on them.

    Args:
        lr: of Adam.
        alpha: weight of a batch in the running statistics.
        nu: weight of the student in the teacher.
        memory: most samples it remembers.
        every: samples between two updates.
        age_weight, uncertainty_weight: what makes a remembered sample go.
        view: how strong views are made; image views for images, noise for other data if None.
    """

    lr: float = 1e-3
    alpha: float = 0.05
    nu: float = 0.001
    memory: int = 64
    every: int = 64
    age_weight: float = 1.0
    uncertainty_weight: float = 1.0
    view: Augmentation | None = None
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="teacher",
        changes="scale and shift of normalisation layers, running statistics, and what it remembers of the stream", needs=("batch norm",),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.memory < 1 or self.every < 1:
            raise ValueError(f"memory and every must be 1 or more samples, got {self.memory} and {self.every}")
        if not 0 <= self.alpha <= 1 or not 0 <= self.nu <= 1:
            raise ValueError(f"alpha and nu must be in [0, 1], got {self.alpha} and {self.nu}")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs batch normalisation layers with scale and shift."""
        parameters = affine_parameters(model)
        replace_norms(model, lambda layer, *_: RunningStatistics(layer, self.alpha))
        train_only(model, parameters)
        return _Rotta(model, generator, parameters, self)
