"""[106] SQRL: statistical rules of each class, mined at the source, that predictions on the stream are brought to keep.

    loss = mean over rules r that are contradicted of the mean over samples x, of which r says c_r and the model another class, of
           clip(max_k p_k(x) - p_c_r(x), 0, 1);   one Adam step a batch

Rules are mined on half of the source and must hold on the other half; `rules.Rules.says` is what they say. The statistics of a sample are
`statistics` of it, or its values, flattened. Scale and shift of normalisation layers move, with batch statistics, and every weight where there is no
such layer. Predicts before the step. Cost: one forward pass a sample, and a backward pass where a rule is contradicted. Identities: where none is,
nothing moves; fresh samples of the source break a rule in (1 - delta) of cases. The loss, what says what, and the step size are those of the official
code (BrachioLab/sqrl; per-sample rules as for texts, Adam 1e-3 as for tables). Departures: a rule must hold on the other half of the source (there
its bounds must overlap those mined on a validation set by a fifth); where taking off other classes leaves several pieces of a range, all count (there
the lowest alone); no entropy is added (there for texts); logical rules come from an external tool and are left out, and rules on the F1 score of a
batch with them. There the test set is gone through 15 to 50 times before it predicts; here a stream is met once, and more passes are more calls.
Traps: statistics that have shifted themselves, on which rules say the wrong class with the same voice; and classes that overlap, of which the tails
are left, where the rarer class is said too often.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from outthink.adapt.method import Contract, State, method
from outthink.adapt.norms import OTHER_NORMS
from outthink.adapt.rules import Rules, checked, mine
from outthink.adapt.source import Source
from outthink.adapt.view import affine_parameters, free_parameters, has_batch_norm, train_on_batches


class _Sqrl(State):
    def __init__(self, model: nn.Module, generator: torch.Generator, parameters: list[nn.Parameter], knobs: Sqrl, rules: Rules) -> None:
        super().__init__(model, generator, parameters, lambda free: torch.optim.Adam(free, lr=knobs.lr))
        self.knobs, self.rules = knobs, rules

    def step(self, batch: Tensor) -> Tensor:
        logits = self.predict(batch)
        share = logits.softmax(1)
        firing = self.rules.contradicted(self.knobs.told(batch), share.argmax(1)).to(share)  # (batch, rules)
        count = firing.sum(0)
        if count.any():
            gap = (share.amax(1, keepdim=True) - share).clamp(0, 1)[:, self.rules.label]  # (batch, rules)
            each = (firing * gap).sum(0) / count.clamp_min(1)
            self.descend(each.sum() / (count > 0).sum(), len(batch))
        return logits


@method("sqrl", papers=(106,))
@dataclass(frozen=True)
class Sqrl:
    """Bring predictions to what statistical rules say that were mined at the source, on tables, images or any input.

    Args:
        lr: of Adam.
        delta: share of a class that keeps to a rule.
        nested: rules on pairs of statistics; leave them out where there are hundreds.
        statistics: what rules are about, (batch, ...) -> (batch, count), such as columns of a table that do not drift; all values if None.
    """

    lr: float = 1e-3
    delta: float = 0.98
    nested: bool = False
    statistics: Callable[[Tensor], Tensor] | None = None
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student",
        changes="scale and shift of normalisation layers, every weight where there is none; batch statistics",
        keeps="bounds of the statistics of each class", needs=("source", "source labels"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not self.lr >= 0 or not 0 < self.delta < 1:
            raise ValueError(f"lr must be 0 or more and delta in (0, 1), got {self.lr} and {self.delta}")

    def told(self, batch: Tensor) -> Tensor:
        """The statistics of a batch, (batch, count)."""
        return batch.flatten(1) if self.statistics is None else self.statistics(batch)

    def rules(self, source: Source, *, seed: int = 0) -> Rules:
        """Mined on one half of the source and checked on the other."""
        assert source.labels is not None, "adapt() sees to the contract's needs"
        statistics = self.told(source.inputs)
        order = torch.randperm(len(statistics), generator=torch.Generator().manual_seed(seed))
        first, second = order.chunk(2)
        fewest = max(2, min(20, len(first) // (4 * int(source.labels.max() + 1))))
        found = mine(statistics[first], source.labels[first], delta=self.delta, nested=self.nested, fewest=fewest)
        return checked(found, statistics[second], source.labels[second])

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs the source's inputs with labels."""
        assert source is not None, "adapt() sees to the contract's needs"
        scaled = has_batch_norm(model) or any(isinstance(module, OTHER_NORMS) for module in model.modules())
        parameters = affine_parameters(model) if scaled else free_parameters(model)
        train_on_batches(model, parameters)
        return _Sqrl(model, generator, parameters, self, self.rules(source))
