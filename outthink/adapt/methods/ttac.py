"""[42] TTAC: bring the features of the stream back to the source's Gaussians, one for each class and one for all.

    loss = weight [ mean_k D(source_k, target_k) + D(source, target) ],   D the symmetric KL divergence of Gaussians with a ridge

Target moments run over the stream (`gaussians.Gaussian.updated`, rate 1 / n, not below 1 / `class_memory` and 1 / `memory`); a sample counts for its
class when its confidence is above `threshold`, a class counts once it has 16 samples. Everything but the head moves; predicts after the step.
Cost: a forward and a backward pass a sample, and one more forward for the prediction. Identity: moments equal to the source's give no loss and no
gradient. Departures: no queue of old samples (the paper's variant "without queue"); Adam with 1e-3, which serves networks of any depth, where the
official scripts have SGD with momentum .9 and .01. Trap: without the ridge, max(source covariance) / 30, the
covariance of few samples is singular; a head that moved would take the anchors along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from outthink.adapt.gaussians import Gaussian, symmetric_divergence
from outthink.adapt.method import Contract, State, method
from outthink.adapt.norms import BatchStatistics, replace_norms
from outthink.adapt.source import Moments, Source, feature_moments
from outthink.adapt.view import Split, free_parameters, has_batch_norm, train_only

_ENOUGH = 16  # samples before a class has moments of its own, as in the official script without a queue


class _Ttac(State):
    def __init__(self, model: nn.Module, generator: torch.Generator, parameters: list[nn.Parameter], knobs: Ttac, source: Moments) -> None:
        super().__init__(model, generator, parameters, lambda free: torch.optim.Adam(free, lr=knobs.lr))
        self.knobs, self.split = knobs, Split(model)
        self.anchors = [Gaussian(mean, covariance) for mean, covariance in zip(source.class_means, source.class_covariances, strict=True)]
        self.anchor = Gaussian(source.mean, source.covariance)
        self.ridge = source.covariance.max() / 30
        # running moments start at the source's and hold no sample yet, so the first batch replaces them
        self.classes, self.everything = list(self.anchors), self.anchor

    def step(self, batch: Tensor) -> Tensor:
        self.cost.forwards += len(batch)
        logits, features = self.split(batch)
        confidence, label = logits.detach().softmax(1).max(1)
        sure = confidence > self.knobs.threshold
        classes = [gaussian.updated(features[sure & (label == k)], least=1 / self.knobs.class_memory) for k, gaussian in enumerate(self.classes)]
        everything = self.everything.updated(features, least=1 / self.knobs.memory)
        # a class that this batch brought nothing to has no gradient
        moved = [k for k, gaussian in enumerate(classes) if gaussian.count >= _ENOUGH and gaussian is not self.classes[k]]
        loss = symmetric_divergence(self.anchor, everything, self.ridge)
        if moved:
            loss = loss + torch.stack([symmetric_divergence(self.anchors[k], classes[k], self.ridge) for k in moved]).sum() / len(classes)
        self.descend(self.knobs.weight * loss, len(batch))
        self.classes, self.everything = [gaussian.detached() for gaussian in classes], everything.detached()
        with torch.no_grad():
            return self.predict(batch)

    def get_extra_state(self) -> dict[str, object]:
        kept = [self.everything, *self.classes, self.anchor, *self.anchors]
        return super().get_extra_state() | {
            "moments": [[gaussian.mean, gaussian.covariance, gaussian.count] for gaussian in kept], "ridge": self.ridge
        }  # fmt: skip

    def set_extra_state(self, state: dict[str, object]) -> None:
        super().set_extra_state(state)
        rows, ridge = state["moments"], state["ridge"]
        assert isinstance(rows, list)
        assert isinstance(ridge, Tensor)
        kept, half = [Gaussian(*row) for row in rows], len(rows) // 2
        self.everything, self.classes, self.anchor, self.anchors = kept[0], kept[1:half], kept[half], kept[half + 1 :]
        self.ridge = ridge


@method("ttac", papers=(42,))
@dataclass(frozen=True)
class Ttac:
    """Align the stream's features with the source's class Gaussians and its global one, the head held fixed.

    Args:
        lr: of Adam.
        weight: of the divergence; .05 for ten classes, .5 for a hundred.
        threshold: a sample counts for its predicted class above this probability.
        class_memory: samples that a class's running moments look back on; 128 for ten classes, 64 for a hundred.
        memory: samples that the global ones look back on.
    """

    lr: float = 1e-3
    weight: float = 0.05
    threshold: float = 0.9
    class_memory: int = 128
    memory: int = 1280
    contract: ClassVar[Contract] = Contract(
        predicts="after", network="student", changes="every weight but the head's; batch statistics in place of stored ones",
        keeps="mean and covariance of the features, of each class and of all", needs=("head", "source"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.class_memory < 1 or self.memory < 1:
            raise ValueError(f"class_memory and memory must be 1 or more samples, got {self.class_memory} and {self.memory}")

    def start(self, model: nn.Module, source: Source | None, generator: torch.Generator) -> State:
        """Needs a linear head, and the source's inputs."""
        assert source is not None, "adapt() sees to the contract's needs"
        moments = feature_moments(model, source)
        parameters = free_parameters(model, without=Split(model).head)
        train_only(model, parameters)
        if has_batch_norm(model):
            replace_norms(model, lambda *_: BatchStatistics())
        return _Ttac(model, generator, parameters, self, moments)
