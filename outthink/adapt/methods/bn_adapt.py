"""[31 baseline] Batch normalisation on statistics of the test batch, or a blend of them with those of the source.

    mean = (1 - a) source + a batch, variance likewise;  a fixed, or n / (n + prior) for a batch of n samples

Cost: one forward pass a sample. Identities: a = 0 is the source model, a = 1 its layers in train mode, both bit for bit.
On a network with batch normalisation this is nearly all of the gain on independent streams, and the whole loss on label-correlated ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from outthink.adapt.method import Contract, State, method
from outthink.adapt.norms import BatchStatistics, BlendStatistics, SourceStatistics, Statistics, replace_norms
from outthink.adapt.source import Source


class Predicting(State):
    """Predicts and learns nothing: all that a method changes is where its layers take their moments from."""

    @torch.no_grad()
    def step(self, batch: Tensor) -> Tensor:
        """(batch, ...) -> logits (batch, classes)."""
        return self.predict(batch)


@method("bn_adapt", papers=(31,))
@dataclass(frozen=True)
class BatchNormAdapt:
    """Normalise with the statistics of the test batch, blended with those of the source.

    Args:
        alpha: the batch's share in [0, 1]; 1 uses the batch alone.
        prior: samples that the source counts for, in place of alpha: a batch of n then has the share n / (n + prior).
    """

    alpha: float = 1.0
    prior: float | None = None
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student", changes="statistics of batch normalisation, anew for every batch", needs=("batch norm",)
    )

    def __post_init__(self) -> None:
        BlendStatistics(self.alpha, self.prior)  # checks both

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs batch normalisation layers."""
        statistics: Statistics = BlendStatistics(self.alpha, self.prior)
        if self.prior is None and self.alpha in (0.0, 1.0):
            statistics = BatchStatistics() if self.alpha else SourceStatistics()
        replace_norms(model, lambda *_: statistics)
        return Predicting(model, generator)
