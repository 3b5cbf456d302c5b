"""[31 baseline] TENT: one gradient step a batch on the entropy of the predictions, for scale and shift of the normalisation layers alone.

    loss = mean_b H(p_b)   (nats);  batch normalisation uses the batch's own statistics

Cost: one forward and one backward pass a sample. Identities: lr 0 predicts as `bn_adapt(alpha=1)`; every other weight stays, bit for bit.
Layers without batch statistics (layer and group normalisation) keep theirs and adapt scale and shift. Predicts before the step, as the
paper does. Trap: large steps or many passes first gain, then drift, and forget the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from outthink.adapt.losses import entropy
from outthink.adapt.method import Contract, State, method
from outthink.adapt.source import Source
from outthink.adapt.view import affine_parameters, train_on_batches


class _Tent(State):
    def step(self, batch: Tensor) -> Tensor:
        logits = self.predict(batch)
        self.descend(entropy(logits).mean(), len(batch))
        return logits


@method("tent", papers=(31,))
@dataclass(frozen=True)
class Tent:
    """Minimise the entropy of predictions by one Adam step a batch on scale and shift of the normalisation layers.

    Args:
        lr: step size; 1e-3 is the published one for CIFAR with batches of 200.
    """

    lr: float = 1e-3
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student", changes="scale and shift of normalisation layers; batch statistics in place of stored ones",
        needs=("affine norm",),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not self.lr >= 0:
            raise ValueError(f"lr must be 0 or more, got {self.lr}")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs normalisation layers with scale and shift."""
        parameters = affine_parameters(model)
        train_on_batches(model, parameters)
        return _Tent(model, generator, parameters, lambda free: torch.optim.Adam(free, lr=self.lr))
