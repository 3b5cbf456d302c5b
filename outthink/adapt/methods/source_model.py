"""The source model as it is: what every method is measured against.

Cost: one forward pass a sample. Identity: a prediction does not depend on the rest of its batch, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from outthink.adapt.method import Contract, State, method
from outthink.adapt.source import Source


class _Predicting(State):
    @torch.no_grad()
    def step(self, batch: Tensor) -> Tensor:
        return self.predict(batch)


@method("source", papers=(31,))
@dataclass(frozen=True)
class SourceModel:
    """Predict with the source model and change nothing."""

    contract: ClassVar[Contract] = Contract(predicts="before", network="student", changes="nothing")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Any classifier serves."""
        return _Predicting(model, generator)
