"""[84] STAMP: recognise the known and leave the unknown alone: a class-balanced memory of samples that two models agree on.

    prediction  p_b = mean of softmax over x_b and its views;   score of being unknown H(p_b)
    remembered  {b: H(p_b) < margin log classes, and the model and its source (both on batch statistics) give x_b itself the same label}
    step        sharpness-aware, on mean_m w_m H(model(x_m)) over the memory,   w_m = capacity exp(-H_m) / sum exp(-H)

Predicts before the step; returns log p_b. The memory's smoothed counts move once a batch, when all its samples were offered. Constants and order
are those of the official code (yuyongcan/STAMP): plain SGD, the weights multiplied by the memory's capacity however few it holds, and a step size
along a cosine that reaches 0 after `updates` steps and rises again in as many.
Cost: 1 + views forward passes and one of the source a sample; two forward and two backward passes of the memory a batch.
Identities: the weights of a full memory sum to its size; a sample above the margin is never remembered. Trap: as in the official code the gradient
also flows through w, which pushes certain samples more; `detach` is the switch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from outthink.adapt.augment import Augmentation, default_views
from outthink.adapt.losses import entropy, entropy_of
from outthink.adapt.memory import Bank, SmoothedCount
from outthink.adapt.method import Contract, State, method
from outthink.adapt.norms import BatchStatistics, replace_norms
from outthink.adapt.sharpness import climbed
from outthink.adapt.source import Source
from outthink.adapt.teacher import frozen_copy
from outthink.adapt.view import affine_parameters, has_batch_norm, train_only


def self_weighted(logits: Tensor, capacity: int, *, detach: bool) -> Tensor:
    """Mean of w H over samples, w = capacity exp(-H) / sum exp(-H): certain samples count for more.

    Args:
        logits: (samples, classes).
        capacity: what the weights sum to.
        detach: let no gradient flow through the weights.

    Returns:
        A scalar in nats.
    """
    uncertainty = entropy(logits)
    weights = capacity * torch.softmax(-uncertainty, 0)
    return ((weights.detach() if detach else weights) * uncertainty).mean()


class _Stamp(State):
    def __init__(self, model: nn.Module, generator: torch.Generator, parameters: list[nn.Parameter], knobs: Stamp) -> None:
        super().__init__(model, generator, parameters, lambda free: torch.optim.SGD(free, lr=knobs.lr, momentum=knobs.momentum))
        self.knobs, self.adapting, self.done = knobs, parameters, 0
        self.anchor = frozen_copy(model)
        self.balance = SmoothedCount()
        self.bank = Bank(knobs.memory, 0, self.balance)

    def step(self, batch: Tensor) -> Tensor:
        view = self.knobs.view or default_views(batch)
        with torch.no_grad():
            own = self.predict(batch).softmax(1)
            mean = torch.stack([own, *(self.predict(view(batch, self.generator)).softmax(1) for _ in range(self.knobs.views))]).mean(0)
            label = own.argmax(1)
            agreed = self.predict(batch, self.anchor).argmax(1) == label
        doubt = entropy_of(mean)
        self.bank.classes = mean.shape[1]
        chosen = agreed & (doubt < self.knobs.margin * math.log(mean.shape[1]))
        for row in chosen.nonzero()[:, 0].tolist():
            self.bank.add(batch[row], int(label[row]), float(doubt[row]), self.generator)
        if len(self.bank) > 1:
            self.balance.refresh(self.bank)
            self._learn(self.bank.inputs())
        return mean.clamp_min(torch.finfo(mean.dtype).tiny).log()

    def _learn(self, remembered: Tensor) -> None:
        assert self.optimiser is not None
        for group in self.optimiser.param_groups:
            group["lr"] = self.knobs.lr * (1 + math.cos(math.pi * self.done / self.knobs.updates)) / 2
        self.done += 1
        first = self_weighted(self.predict(remembered), self.bank.capacity, detach=self.knobs.detach)
        self.cost.backwards += 2 * len(remembered)
        self.optimiser.zero_grad(set_to_none=True)
        with climbed(self.adapting, first, self.knobs.rho):
            self_weighted(self.predict(remembered), self.bank.capacity, detach=self.knobs.detach).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def get_extra_state(self) -> dict[str, object]:
        return super().get_extra_state() | {"done": self.done}

    def set_extra_state(self, state: dict[str, object]) -> None:
        super().set_extra_state(state)
        assert isinstance(state["done"], int)
        self.done = state["done"]


@method("stamp", papers=(84,))
@dataclass(frozen=True)
class Stamp:
    """Learn from a balanced memory of samples on which model and source agree, so that unknown ones stay recognisable.

    Args:
        lr: of SGD at the start; .05 for CIFAR-10.
        momentum: of SGD.
        views: of each sample, beside itself.
        margin: samples above margin x log(classes) nats are not remembered.
        memory: most samples it remembers.
        rho: length of the sharpness-aware climb.
        updates: steps until the step size has fallen to 0; 150 for 10 and 100 classes, 750 for 1,000.
        detach: let no gradient flow through the weights.
        skip: beginnings of names of layers that do not adapt; the official code leaves `layer4` of a ResNet.
        view: how views are made; image views for images, noise for other data if None.
    """

    lr: float = 0.05
    momentum: float = 0.0
    views: int = 15
    margin: float = 0.45
    memory: int = 64
    rho: float = 0.05
    updates: int = 150
    detach: bool = False
    skip: tuple[str, ...] = ()
    view: Augmentation | None = None
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student",
        changes="scale and shift of normalisation layers, and what it remembers; batch statistics in place of stored ones",
        keeps="the source model itself", needs=("affine norm",),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.views < 0 or self.memory < 1 or self.updates < 1:
            raise ValueError(f"views must be 0 or more, memory and updates 1 or more, got {self.views}, {self.memory} and {self.updates}")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs normalisation layers with scale and shift outside `skip`."""
        parameters = affine_parameters(model, skip=self.skip)
        train_only(model, parameters)
        if has_batch_norm(model):
            replace_norms(model, lambda *_: BatchStatistics())
        return _Stamp(model, generator, parameters, self)
