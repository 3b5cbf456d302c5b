"""[31 baseline] T3A: class centroids of confident test features in place of the classifier, without a gradient.

    score_c = cos(feature, centroid_c),   centroid_c = mean of the normalised features of class c's M most certain members

Every class starts with its own classifier row. A sample joins the class that the classifier gives it, with the entropy of that prediction.
Cost: one forward pass a sample. Identity: before any sample the prediction is the cosine classifier of the head's rows (its bias is not used),
not the source model's. Logits are cosines, as in the paper: their order counts, their scale is no confidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outthink.adapt.losses import entropy
from outthink.adapt.method import Contract, State, method
from outthink.adapt.source import Source
from outthink.adapt.view import Split


class _T3A(State):
    def __init__(self, model: nn.Module, generator: torch.Generator, keep: int) -> None:
        super().__init__(model, generator)
        self.split, self.keep = Split(model), keep
        rows = self.split.head.weight.detach()
        # supports of all classes in one table: features, class, entropy
        self.features = F.normalize(rows, dim=1)
        self.labels = self.split.head(rows).argmax(1)
        self.entropies = entropy(self.split.head(rows)).detach()

    @torch.no_grad()
    def step(self, batch: Tensor) -> Tensor:
        self.cost.forwards += len(batch)
        cosines, (self.features, self.labels, self.entropies) = self._classified(batch)
        return cosines

    def preview(self, batch: Tensor) -> Tensor:
        """Cosines to centroids that the batch is a part of."""
        return self._classified(batch)[0]

    def _classified(self, batch: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        # cosines, and the table of supports that the batch leaves
        logits, features = self.split(batch)
        unit, classes = F.normalize(features, dim=1), logits.shape[1]
        table = torch.cat([self.features, unit])
        labels = torch.cat([self.labels, logits.argmax(1)])
        doubts = torch.cat([self.entropies, entropy(logits)])
        kept = [rows[doubts[rows].argsort(stable=True)[: self.keep]] for rows in ((labels == label).nonzero()[:, 0] for label in range(classes))]
        chosen = torch.cat(kept).sort().values
        table, labels, doubts = table[chosen], labels[chosen], doubts[chosen]
        members = F.one_hot(labels, classes).to(unit.dtype)  # (supports, classes)
        return unit @ F.normalize(members.T @ table, dim=1).T, (table, labels, doubts)

    def get_extra_state(self) -> dict[str, object]:
        return super().get_extra_state() | {"features": self.features, "labels": self.labels, "entropies": self.entropies}

    def set_extra_state(self, state: dict[str, object]) -> None:
        super().set_extra_state(state)
        features, labels, entropies = state["features"], state["labels"], state["entropies"]
        assert isinstance(features, Tensor)
        assert isinstance(labels, Tensor)
        assert isinstance(entropies, Tensor)
        self.features, self.labels, self.entropies = features, labels, entropies


@method("t3a", papers=(31,))
@dataclass(frozen=True)
class T3A:
    """Classify by cosine to centroids of the most certain test features of each class.

    Args:
        keep: how many features a class keeps, M.
    """

    keep: int = 100
    contract: ClassVar[Contract] = Contract(
        predicts="after", network="student", changes="the centroids that stand for the classes", keeps="nothing but the classifier's rows",
        needs=("head",),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"keep must be 1 or more features a class, got {self.keep}")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs a linear head."""
        with torch.no_grad():
            return _T3A(model, generator, self.keep)
