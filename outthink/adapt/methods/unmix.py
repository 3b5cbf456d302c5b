"""[130] UnMix-TNS: every sample is normalised by a mixture of source-like components and its own style, so that correlated batches do no harm.

The layer is `norms.InstanceMixture`; this method puts it in place of batch normalisation, and by itself changes no weight. With `lr` above 0 it
also takes a step on the entropy of the predictions, as TENT does, with a step size a hundred times smaller than TENT's own.
Cost: one forward pass a sample, and a backward pass with lr above 0. Identities: with one component a layer is instance normalisation; no
sample's statistics depend on the others of its batch, so that only the slow components carry anything from one sample to another.
Departures from the official code: `momentum` is one knob for all layers, there each layer's own (.1 by default); the step of the components follows
the size of the batch at hand, there the nominal one, which differ in the last batch of a stream alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from outthink.adapt.losses import entropy
from outthink.adapt.method import Contract, State, method
from outthink.adapt.norms import InstanceMixture, replace_norms
from outthink.adapt.source import Source
from outthink.adapt.view import affine_parameters, train_only


class _Unmix(State):
    def step(self, batch: Tensor) -> Tensor:
        if self.optimiser is None:
            with torch.no_grad():
                return self.predict(batch)
        logits = self.predict(batch)
        self.descend(entropy(logits).mean(), len(batch))
        return logits


@method("unmix", papers=(130,))
@dataclass(frozen=True)
class Unmix:
    """Normalise each sample by a mixture of components around the source's moments, each blended with its own.

    Args:
        components: K; 16, and 128 for a stream that mixes many domains.
        spread: share of the source's variance that lies between the components at the start.
        temperature: of the softmax over components.
        momentum: of the components, with a batch of `largest_batch`.
        largest_batch: batches of this size move the components by the full momentum; 64 for CIFAR, 16 for ImageNet.
        lr: of Adam on the entropy of the predictions, for scale and shift; 0 changes no weight.
    """

    components: int = 16
    spread: float = 0.5
    temperature: float = 0.07
    momentum: float = 0.1
    largest_batch: int = 64
    lr: float = 0.0
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student", changes="components of normalisation layers; with lr above 0 their scale and shift",
        needs=("batch norm",),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not self.lr >= 0:
            raise ValueError(f"lr must be 0 or more, got {self.lr}")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs batch normalisation layers."""
        parameters = affine_parameters(model) if self.lr else []
        replace_norms(
            model,
            lambda layer, *_: InstanceMixture(
                layer, self.components, generator, spread=self.spread, temperature=self.temperature, momentum=self.momentum,
                largest_batch=self.largest_batch,
            ),
        )  # fmt: skip
        train_only(model, parameters)
        return _Unmix(model, generator, parameters, lambda free: torch.optim.Adam(free, lr=self.lr))
