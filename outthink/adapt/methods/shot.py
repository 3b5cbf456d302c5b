"""[31 baseline] SHOT, online: information maximisation and confident pseudo labels for everything but the classifier.

    loss = mean_b H(p_b) - H(mean_b p_b) + c mean over {b: max p_b > threshold} of CE(argmax p_b, p_b)   (nats)

Cost: one forward and one backward pass a sample. Identities: the head stays, bit for bit; the first two terms are least, -log classes, at
certain and balanced predictions. Trap: it assumes balanced classes, and all weights move: it drifts on long streams and label-skewed ones.
Departure: pseudo labels are the predictions themselves, as TTAB does, not those of clustered features as in the offline original.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outthink.adapt.losses import information_maximisation
from outthink.adapt.method import Contract, State, method
from outthink.adapt.norms import BatchStatistics, replace_norms
from outthink.adapt.source import Source
from outthink.adapt.view import Split, free_parameters, has_batch_norm, train_only


class _Shot(State):
    weight: float
    threshold: float

    def step(self, batch: Tensor) -> Tensor:
        logits = self.predict(batch)
        loss = information_maximisation(logits)
        confidence, label = logits.detach().softmax(1).max(1)
        sure = confidence > self.threshold
        if self.weight and sure.any():
            loss = loss + self.weight * F.cross_entropy(logits[sure], label[sure])
        self.descend(loss, len(batch))
        return logits


@method("shot", papers=(31,))
@dataclass(frozen=True)
class Shot:
    """Make predictions certain and balanced by moving everything but the classifier.

    Args:
        lr: of Adam.
        pseudo_labels: weight c of the cross-entropy to confident predictions.
        threshold: least probability of a confident one.
    """

    lr: float = 1e-3
    pseudo_labels: float = 0.3
    threshold: float = 0.9
    contract: ClassVar[Contract] = Contract(
        predicts="before", network="student", changes="every weight but the head's; batch statistics in place of stored ones", needs=("head",)
    )

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs a linear head."""
        parameters = free_parameters(model, without=Split(model).head)
        train_only(model, parameters)
        if has_batch_norm(model):
            replace_norms(model, lambda *_: BatchStatistics())
        state = _Shot(model, generator, parameters, lambda free: torch.optim.Adam(free, lr=self.lr))
        state.weight, state.threshold = self.pseudo_labels, self.threshold
        return state
