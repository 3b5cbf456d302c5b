"""[31 baseline] NOTE: instance-aware batch normalisation, and a memory with as many samples of every predicted class as can be had.

A sample leaves the running moments only as far as chance does not explain (`norms.InstanceAware`). Every `every` samples one Adam step on the mean
entropy of the memory moves scale and shift, and the running moments by their momentum; in that step layers normalise about the memory's own moments.
Predicts before the step.
Cost: one forward pass a sample, and for every update one forward and one backward pass of the memory. Identities: k -> infinity normalises
with the running moments alone, k = 0 is instance normalisation. No prediction depends on the other samples of its batch.
Departures from the official code: the source is a network trained with plain batch normalisation, where the paper trains it with these layers;
a batch is predicted whole before it is learnt from, where the official loop takes samples one by one (the same for batches of `every`); dropout
stays off; and the loss is not divided by the number of classes, which Adam does not notice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from outthink.adapt.losses import entropy
from outthink.adapt.memory import BalancedReservoir
from outthink.adapt.method import Contract, State, method
from outthink.adapt.norms import InstanceAware, replace_norms
from outthink.adapt.remembering import Remembering
from outthink.adapt.source import Source
from outthink.adapt.view import affine_parameters, train_only


class _Note(Remembering):
    def learn(self, remembered: Tensor) -> None:
        self.descend(entropy(self.predict(remembered)).mean(), len(remembered))


@method("note", papers=(31,))
@dataclass(frozen=True)
class Note:
    """Normalise each sample by moments it shares with the source unless its own differ for good, and learn from a class-balanced memory.

    Args:
        lr: of Adam.
        memory: most samples it remembers.
        every: samples between two updates.
        strength: k: how many standard errors a sample's own moments must differ before they count.
        momentum: of the running moments, with every update.
    """

    lr: float = 1e-4
    memory: int = 64
    every: int = 64
    strength: float = 4.0
    momentum: float = 0.01
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student",
        changes="scale and shift of normalisation layers, running moments, and what it remembers of the stream", needs=("batch norm",),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.memory < 1 or self.every < 1:
            raise ValueError(f"memory and every must be 1 or more samples, got {self.memory} and {self.every}")
        if self.strength < 0 or not 0 <= self.momentum <= 1:
            raise ValueError(f"strength must be 0 or more and momentum in [0, 1], got {self.strength} and {self.momentum}")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs batch normalisation layers."""
        parameters = affine_parameters(model)
        replace_norms(model, lambda layer, *_: InstanceAware(layer, self.momentum, self.strength))
        train_only(model, parameters)
        return _Note(model, generator, parameters, lr=self.lr, capacity=self.memory, eviction=BalancedReservoir(), every=self.every)
