"""[63] EATA: TENT on samples that are certain and new, held near the source by their Fisher importance.

    loss = mean over selected of w_b H(p_b) + beta sum_i F_i (theta_i - theta_i^0)^2,   w_b = exp(E0 - H(p_b)), detached
    selected: H(p_b) < E0 = margin log classes, and |cos(p_b, m)| < redundancy, m the moving average (0.9) of what was selected before

Cost: one forward pass a sample, and a backward pass for the selected ones, the batch's graph pruned to them; Fisher once on the source.
Identities: beta -> infinity changes nothing; margin > 1 with redundancy > 1 selects all; the first batch has no redundancy filter.
ETA is beta = 0. Trap: E0 is for the model's own number of classes, and redundancy .05 (for 1000 classes) rejects nearly all of ten.
F: squared gradient of the mean cross-entropy to the model's own prediction, a batch at a time as in the official code, so beta is tied to
`fisher_batch`; the Fisher model normalises with batch statistics, as the adapting one does.
Departure: the source's batches are taken in the order given, where the official loader shuffles: shuffle a source that is sorted by class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outthink.adapt.losses import entropy
from outthink.adapt.method import Contract, State, method
from outthink.adapt.source import Source
from outthink.adapt.view import affine_parameters, train_on_batches


class _Eata(State):
    def __init__(self, model: nn.Module, generator: torch.Generator, parameters: list[nn.Parameter], knobs: Eata, fisher: list[Tensor]) -> None:
        super().__init__(model, generator, parameters, lambda free: torch.optim.Adam(free, lr=knobs.lr))
        self.knobs, self.adapting, self.fisher = knobs, parameters, fisher
        self.origin = [parameter.detach().clone() for parameter in parameters]
        self.seen: Tensor | None = None

    def step(self, batch: Tensor) -> Tensor:
        logits = self.predict(batch)
        uncertainty = entropy(logits)
        limit = self.knobs.margin * math.log(logits.shape[1])
        probability = logits.detach().softmax(1)
        chosen = uncertainty.detach() < limit
        if self.seen is not None:
            chosen &= F.cosine_similarity(probability, self.seen[None], dim=1).abs() < self.knobs.redundancy
        count = int(chosen.sum())
        if not count:
            return logits
        mean = probability[chosen].mean(0)
        self.seen = mean if self.seen is None else 0.9 * self.seen + 0.1 * mean
        kept = uncertainty[chosen]
        loss = (torch.exp(limit - kept.detach()) * kept).mean()
        if self.knobs.beta:
            pairs = zip(self.adapting, self.fisher, self.origin, strict=True)
            loss = loss + self.knobs.beta * sum((weight * (now - before) ** 2).sum() for now, weight, before in pairs)
        self.descend(loss, count)
        return logits

    def get_extra_state(self) -> dict[str, object]:
        return super().get_extra_state() | {"seen": self.seen, "fisher": self.fisher, "origin": self.origin}

    def set_extra_state(self, state: dict[str, object]) -> None:
        super().set_extra_state(state)
        seen, fisher, origin = state["seen"], state["fisher"], state["origin"]
        assert seen is None or isinstance(seen, Tensor)
        assert isinstance(fisher, list)
        assert isinstance(origin, list)
        self.seen, self.fisher, self.origin = seen, fisher, origin


@method("eata", papers=(63, 31))
@dataclass(frozen=True)
class Eata:
    """Minimise the entropy of certain and new samples, and keep important parameters near the source's.

    Args:
        lr: of Adam.
        margin: samples above margin x log(classes) nats are left out.
        redundancy: samples whose prediction is this similar to the average one are left out; .4 for ten classes, .05 for a thousand.
        beta: weight of the Fisher penalty; 0 is ETA, which needs no source.
        fisher_batch: batch size of the Fisher estimate.
    """

    lr: float = 1e-3
    margin: float = 0.4
    redundancy: float = 0.4
    beta: float = 1.0
    fisher_batch: int = 64
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student", changes="scale and shift of normalisation layers; batch statistics in place of stored ones",
        keeps="a Fisher importance a parameter, from about 2000 inputs without labels (none with beta=0)", needs=("affine norm",),
    )  # fmt: skip

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs normalisation layers, and the source's inputs unless beta is 0."""
        if self.beta and source is None:
            raise ValueError("eata weighs parameters by their importance on the source: give adapt(..., source=inputs), or set beta=0 (ETA)")
        parameters = affine_parameters(model)
        train_on_batches(model, parameters)
        fisher = [torch.zeros_like(parameter) for parameter in parameters]
        if self.beta and source is not None:
            fisher = _fisher(model, source, parameters, self.fisher_batch)
        return _Eata(model, generator, parameters, self, fisher)


def _fisher(model: nn.Module, source: Source, parameters: list[nn.Parameter], size: int) -> list[Tensor]:
    batches = [batch for batch in source.batches(size) if len(batch) > 1]
    total = [torch.zeros_like(parameter) for parameter in parameters]
    for batch in batches:
        logits = model(batch)
        gradients = torch.autograd.grad(F.cross_entropy(logits, logits.detach().argmax(1)), parameters)
        total = [so_far + gradient**2 for so_far, gradient in zip(total, gradients, strict=True)]
    return [value / max(1, len(batches)) for value in total]
