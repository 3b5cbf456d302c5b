"""What a deployed model keeps of its source: moments, prototypes, importances; computed once, small, and serialisable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from outthink.adapt.view import Split


@dataclass(frozen=True)
class Source:
    """Batches of source inputs, without labels unless a method says that it needs them.

    Args:
        inputs: (samples, ...), some thousands are enough.
        labels: (samples,) class indices, or None.
        domains: (samples,) index of the domain that each comes from, or None; for methods that learn from several.
    """

    inputs: Tensor
    labels: Tensor | None = None
    domains: Tensor | None = None

    def __post_init__(self) -> None:
        if len(self.inputs) == 0:
            raise ValueError("source needs at least one sample; give some hundreds of the inputs that the model was trained on")
        if self.labels is not None and self.labels.shape != (len(self.inputs),):
            raise ValueError(f"source labels must be ({len(self.inputs)},), one a sample, got {tuple(self.labels.shape)}")
        if self.domains is not None and self.domains.shape != (len(self.inputs),):
            raise ValueError(f"source domains must be ({len(self.inputs)},), one a sample, got {tuple(self.domains.shape)}")

    def batches(self, size: int = 256) -> Iterable[Tensor]:
        """The inputs in pieces."""
        return torch.split(self.inputs, size)


@dataclass(frozen=True)
class Moments:
    """Feature statistics of the source, by the classes that the source model itself predicts.

    Args:
        class_means: (classes, features); a class that was never predicted has the global mean.
        class_covariances: (classes, features, features), biased.
        mean: (features,).
        covariance: (features, features), biased.
        counts: (classes,) samples of each predicted class.
    """

    class_means: Tensor
    class_covariances: Tensor
    mean: Tensor
    covariance: Tensor
    counts: Tensor


@torch.no_grad()
def feature_moments(model: nn.Module, source: Source) -> Moments:
    """Means and covariances of the features before the head ([42], [73], [99]).

    Args:
        model: the source model in evaluation mode.
        source: its inputs.
    """
    split = Split(model)
    pairs = [split(batch) for batch in source.batches()]
    logits, features = torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])
    predicted, classes = logits.argmax(1), logits.shape[1]
    mean = features.mean(0)
    covariance = _covariance(features, mean)
    counts = torch.bincount(predicted, minlength=classes)
    means, covariances = [], []
    for label in range(classes):
        own = features[predicted == label]
        centre = own.mean(0) if len(own) else mean
        means.append(centre)
        covariances.append(_covariance(own, centre) if len(own) > 1 else covariance)
    return Moments(torch.stack(means), torch.stack(covariances), mean, covariance, counts)


def _covariance(features: Tensor, mean: Tensor) -> Tensor:
    centred = features - mean
    return centred.T @ centred / len(features)
