"""[46] Batch normalisation that a few poisoned samples of a batch cannot steer: robust estimates, and source statistics in the last layers.

    mean <- median of the batch, variance <- (1.4826 median |x - median|)^2;   the last `last` layers keep the source's

The third defence of the paper, blending with the source, is `bn_adapt(alpha=0.4)`. Cost: one forward pass a sample. Identity: with `last` as
many as there are layers it is the source model, bit for bit, and no sample moves another's prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from outthink.adapt.method import Contract, State, method
from outthink.adapt.methods.bn_adapt import Predicting
from outthink.adapt.norms import BatchStatistics, RobustStatistics, SourceStatistics, Statistics, replace_norms
from outthink.adapt.source import Source


@method("robust_bn", papers=(46,))
@dataclass(frozen=True)
class RobustBatchNorm:
    """Normalise with the median and the median deviation of the test batch, and with the source's statistics in the last layers.

    Args:
        median: take robust estimates; mean and variance of the batch if not.
        last: how many of the last layers keep the source's statistics.
    """

    median: bool = True
    last: int = 0
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student", changes="statistics of batch normalisation, anew for every batch", needs=("batch norm",)
    )

    def __post_init__(self) -> None:
        if self.last < 0:
            raise ValueError(f"last must be 0 or more layers, got {self.last}")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs batch normalisation layers."""
        own: Statistics = RobustStatistics() if self.median else BatchStatistics()
        replace_norms(model, lambda _, position, count: SourceStatistics() if position >= count - self.last else own)
        return Predicting(model, generator)
