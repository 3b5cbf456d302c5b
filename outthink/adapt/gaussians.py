"""Gaussians of features: running moments that a gradient flows through, and how far two Gaussians are apart ([42], [73])."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """Moments of features seen so far.

    Args:
        mean: (features,).
        covariance: (features, features), biased.
        count: samples seen.
    """

    mean: Tensor
    covariance: Tensor
    count: int = 0

    def updated(self, features: Tensor, *, least: float) -> Gaussian:
        """[42] The moments after some more samples; the gradient flows through the new ones alone.

        With a = 1 / count the result is exactly the mean and the biased covariance of all that was seen:
        d_i = h_i - mean, delta = a sum d_i, mean' = mean + delta, covariance' = covariance + a (sum d_i d_i^T - n covariance) - delta delta^T.

        Args:
            features: (samples, features).
            least: the rate a is not allowed below this, so that old samples are forgotten.
        """
        if len(features) == 0:
            return self
        count = self.count + len(features)
        rate = max(1.0 / count, least)
        mean, covariance = self.mean.detach(), self.covariance.detach()
        apart = features - mean
        delta = rate * apart.sum(0)
        moved = covariance + rate * (apart.T @ apart - len(features) * covariance) - torch.outer(delta, delta)
        return Gaussian(mean + delta, moved, count)

    def detached(self) -> Gaussian:
        """The same without a gradient."""
        return Gaussian(self.mean.detach(), self.covariance.detach(), self.count)


def symmetric_divergence(first: Gaussian, second: Gaussian, ridge: float | Tensor) -> Tensor:
    """KL(first || second) + KL(second || first) in nats, a scalar.

    = (tr(S2^-1 S1) + tr(S1^-1 S2) + d^T (S1^-1 + S2^-1) d) / 2 - features: the log determinants cancel.

    Args:
        ridge: added to the diagonal of both covariances, without which few samples make them singular.
    """
    eye = torch.eye(len(first.mean), dtype=first.mean.dtype, device=first.mean.device)
    one, two = (torch.linalg.cholesky(gaussian.covariance + ridge * eye) for gaussian in (first, second))
    apart = (first.mean - second.mean)[:, None]
    traces = torch.cholesky_solve(one @ one.T, two).trace() + torch.cholesky_solve(two @ two.T, one).trace()
    distance = (apart.T @ (torch.cholesky_solve(apart, one) + torch.cholesky_solve(apart, two))).squeeze()
    return (traces + distance) / 2 - len(apart)
