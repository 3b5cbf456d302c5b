"""[106] SQRL: statistical rules of each class, mined at the source, that predictions on the stream are brought to keep.

    a sample fires where its predicted class breaks a rule;   c* the class whose rules it breaks least (share of those that apply)
    loss = mean over firing pairs of sample and rule of clip(max_k p_k - p_c*, 0, 1);   one Adam step a batch

Rules are mined on half of the source and must hold on the other half. The statistics of a sample are its values, flattened. Predicts before the step.
Cost: one forward pass a sample, and a backward pass where something fires. Identities: without a violation nothing moves; fresh samples of the source
break a rule in (1 - delta) of cases. Departures from the paper: its logical rules come from an external tool and are left out; a statistical rule
says what a sample is not, so c* is what all rules together leave. Trap: with many rules some are broken by design: count the excess
(`rules.count_violations`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from outthink.adapt.method import Contract, State, method
from outthink.adapt.rules import Rules, checked, mine
from outthink.adapt.source import Source
from outthink.adapt.view import free_parameters, train_only


class _Sqrl(State):
    def __init__(self, model: nn.Module, generator: torch.Generator, parameters: list[nn.Parameter], lr: float, rules: Rules) -> None:
        super().__init__(model, generator, parameters, lambda free: torch.optim.Adam(free, lr=lr))
        self.rules = rules

    def step(self, batch: Tensor) -> Tensor:
        logits = self.predict(batch)
        share = logits.softmax(1)
        statistics, classes = batch.flatten(1), logits.shape[1]
        firing = self.rules.violated(statistics, share.argmax(1)).sum(1)  # (batch,)
        if firing.any():
            said = self._said(statistics, classes)
            gap = (share.amax(1) - share.gather(1, said[:, None])[:, 0]).clamp(0, 1)
            self.descend((firing * gap).sum() / firing.sum(), len(batch))
        return logits

    def _said(self, statistics: Tensor, classes: int) -> Tensor:
        # the class whose rules are broken least; one without rules is never said
        member = torch.nn.functional.one_hot(self.rules.label, classes).to(statistics)
        broken, applies = (found.to(statistics) @ member for found in (self.rules.broken(statistics), self.rules.applies(statistics)))
        return torch.where(applies > 0, broken / applies.clamp_min(1), torch.inf).argmin(1)


@method("sqrl", papers=(106,))
@dataclass(frozen=True)
class Sqrl:
    """Lower the violations of statistical rules that were mined at the source, on tables, images or any input.

    Args:
        lr: of Adam.
        delta: share of a class that keeps to a rule.
        nested: rules on pairs of statistics; leave them out where there are hundreds.
        most: rules of each class.
    """

    lr: float = 1e-3
    delta: float = 0.98
    nested: bool = False
    most: int = 20
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student", changes="every weight", keeps="bounds of the statistics of each class",
        needs=("source", "source labels"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not self.lr >= 0 or not 0 < self.delta < 1 or self.most < 1:
            raise ValueError(f"lr must be 0 or more, delta in (0, 1) and most 1 or more, got {self.lr}, {self.delta} and {self.most}")

    def rules(self, source: Source, *, seed: int = 0) -> Rules:
        """Mined on one half of the source and checked on the other."""
        assert source.labels is not None, "adapt() sees to the contract's needs"
        statistics = source.inputs.flatten(1)
        order = torch.randperm(len(statistics), generator=torch.Generator().manual_seed(seed))
        first, second = order.chunk(2)
        fewest = max(2, min(20, len(first) // (4 * int(source.labels.max() + 1))))
        found = mine(statistics[first], source.labels[first], delta=self.delta, nested=self.nested, fewest=fewest)
        return checked(found, statistics[second], source.labels[second], most=self.most)

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs the source's inputs with labels."""
        assert source is not None, "adapt() sees to the contract's needs"
        parameters = free_parameters(model)
        train_only(model, parameters)
        return _Sqrl(model, generator, parameters, self.lr, self.rules(source))
