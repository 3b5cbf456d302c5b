"""[84] STAMP: recognise the known and leave the unknown alone: a class-balanced memory of samples that two models agree on.

    prediction  p_b = mean of softmax over x_b and its views;   score of being unknown H(p_b)
    remembered  {b: H(p_b) < margin log classes, and the source model (with batch statistics) gives the same label}
    step        sharpness-aware, on mean_m w_m H(model(x_m)) over the memory,   w_m = n exp(-H_m) / sum exp(-H), n samples remembered

Returns log p_b. Cost: 1 + views forward passes and one of the source a sample; two forward and two backward passes of the memory a batch.
Identities: the weights sum to n; a sample above the margin is never remembered. Trap: as coded in the official repository the gradient also flows
through w, which pushes certain samples more; `detach` is the switch. The step size falls by half a cosine over `updates` steps.
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


def self_weighted(logits: Tensor, *, detach: bool) -> Tensor:
    """Mean of w H over samples, w = n exp(-H) / sum exp(-H): certain samples count for more; logits (samples, classes) -> a scalar."""
    uncertainty = entropy(logits)
    weights = len(logits) * torch.softmax(-uncertainty, 0)
    return ((weights.detach() if detach else weights) * uncertainty).mean()


class _Stamp(State):
    def __init__(self, model: nn.Module, generator: torch.Generator, parameters: list[nn.Parameter], knobs: Stamp) -> None:
        super().__init__(model, generator, parameters, lambda free: torch.optim.SGD(free, lr=knobs.lr, momentum=0.9))
        self.knobs, self.adapting, self.done = knobs, parameters, 0
        self.anchor = frozen_copy(model)
        self.bank = Bank(knobs.memory, 0, SmoothedCount())

    def step(self, batch: Tensor) -> Tensor:
        view = self.knobs.view or default_views(batch)
        with torch.no_grad():
            shown = [batch, *(view(batch, self.generator) for _ in range(self.knobs.views))]
            mean = torch.stack([self.predict(each).softmax(1) for each in shown]).mean(0)
            agreed = self.predict(batch, self.anchor).argmax(1) == mean.argmax(1)
        doubt = entropy_of(mean)
        self.bank.classes = mean.shape[1]
        chosen = agreed & (doubt < self.knobs.margin * math.log(mean.shape[1]))
        for row in chosen.nonzero()[:, 0].tolist():
            self.bank.add(batch[row], int(mean[row].argmax()), float(doubt[row]), self.generator)
        if len(self.bank) > 1:
            self._learn(self.bank.inputs())
        return mean.clamp_min(torch.finfo(mean.dtype).tiny).log()

    def _learn(self, remembered: Tensor) -> None:
        assert self.optimiser is not None
        share = min(self.done / self.knobs.updates, 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = self.knobs.lr * (1 + math.cos(math.pi * share)) / 2
        self.done += 1
        first = self_weighted(self.predict(remembered), detach=self.knobs.detach)
        self.cost.backwards += 2 * len(remembered)
        self.optimiser.zero_grad(set_to_none=True)
        with climbed(self.adapting, first, self.knobs.rho):
            self_weighted(self.predict(remembered), detach=self.knobs.detach).backward()  # type: ignore[no-untyped-call]
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
    """Learn from a balanced memory of samples on which the source and all views agree, so that unknown ones stay recognisable.

    Args:
        lr: of SGD at the start; .05 for CIFAR-10.
        views: of each sample, beside itself.
        margin: samples above margin x log(classes) nats are not remembered.
        memory: most samples it remembers.
        rho: length of the sharpness-aware climb.
        updates: steps until the step size has fallen to 0.
        detach: let no gradient flow through the weights.
        skip: beginnings of names of layers that do not adapt; the paper leaves the last stage.
        view: how views are made; image views for images, noise for other data if None.
    """

    lr: float = 0.05
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
