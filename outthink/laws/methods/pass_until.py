"""[68] PassUntil: measuring tiny success probabilities by sampling until some successes, and the law that predicts them from small models.

Sampling stops at r successes (or at a cap); K samples were used. r / K is biased upwards, by a factor of log(1/p) / (1 - p) at r = 1; the
unbiased estimate is (r - 1) / (K - 1) for r of 2 and more. Pooled over instances of one probability the maximum likelihood is sum r / sum K. An
instance that hit its cap stays in: it saw c of n, where leaving it out would count the easy ones alone.

Task law: pass rate = exp(-c N^-alpha), so log(-log pass rate) falls in a straight line over log N: the form of `coverage` with model size in
the place of samples (`outthink.stats.fit_coverage_law`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import DataError, UsageError
from outthink.stats._arrays import FloatArray, as_integers
from outthink.stats.coverage_law import fit_coverage_law


@dataclass(frozen=True)
class Sampled:
    """What sampling until r successes used.

    Args:
        successes: seen, r unless the cap came first.
        samples: used.
        capped: whether the cap ended it.
    """

    successes: int
    samples: int
    capped: bool


def sample_until(draw: Callable[[], bool], successes: int, cap: int) -> Sampled:
    """Sample until so many successes, or the cap.

    Args:
        draw: one attempt; True if it passes.
        successes: r, 1 or more; 2 or more for an unbiased estimate.
        cap: most samples.

    Raises:
        UsageError: a number is below 1.
    """
    if successes < 1 or cap < 1:
        raise UsageError(f"successes and cap must be 1 or more, got {successes} and {cap}")
    seen = 0
    for used in range(1, cap + 1):
        seen += bool(draw())
        if seen == successes:
            return Sampled(seen, used, False)
    return Sampled(seen, cap, True)


def pass_rate(successes: ArrayLike, samples: ArrayLike, *, capped: ArrayLike = False, biased: bool = False) -> FloatArray:
    """The pass rate of each instance.

    Args:
        successes, samples: (instances,) as `sample_until` counted.
        capped: (instances,) whether the cap ended it; then c / n, which is unbiased for a number of samples that was fixed beforehand.
        biased: use r / K throughout, as the paper does.

    Returns:
        (instances,); nan for an instance that stopped at its first success, from which nothing unbiased follows.

    Raises:
        DataError: more successes than samples, or no samples.
    """
    r, k = as_integers("successes", successes).astype(np.float64), as_integers("samples", samples).astype(np.float64)
    if np.any(k < 1) or np.any(r > k) or np.any(r < 0):
        raise DataError("every instance needs at least one sample and no more successes than samples")
    at_cap = np.broadcast_to(np.asarray(capped, dtype=bool), r.shape)
    if biased:
        return np.asarray(r / k)
    with np.errstate(divide="ignore", invalid="ignore"):
        unbiased = np.where(r >= 2, (r - 1.0) / (k - 1.0), np.where(k == 1, 1.0, np.nan))
    return np.where(at_cap, r / k, unbiased)


def pooled_pass_rate(successes: ArrayLike, samples: ArrayLike) -> float:
    """Maximum likelihood of one pass rate behind all instances, capped or not: sum of successes over sum of samples."""
    r, k = as_integers("successes", successes), as_integers("samples", samples)
    if k.sum() < 1:
        raise DataError("a pooled pass rate needs at least one sample")
    return float(r.sum() / k.sum())


@dataclass(frozen=True)
class TaskLaw:
    """pass rate = exp(-c N^-alpha). Callable on N, the models' parameters.

    Args:
        c: -log pass rate of a model with one parameter.
        alpha: exponent of the size.
        r_squared: share of the variance of log(-log pass rate) that the line explains on what it was fitted to.
    """

    c: float
    alpha: float
    r_squared: float

    def __call__(self, parameters: ArrayLike) -> FloatArray:
        """Pass rates in (0, 1)."""
        return np.asarray(np.exp(-self.c * np.asarray(parameters, dtype=np.float64) ** -self.alpha))


def fit_task_law(parameters: ArrayLike, pass_rates: ArrayLike) -> TaskLaw:
    """The line through log(-log pass rate) over log size.

    Args:
        parameters: (models,) sizes.
        pass_rates: (models,) means over instances, in (0, 1): average pass rates, not their logarithms.

    Raises:
        ValueError: fewer than two sizes with a pass rate inside (0, 1).
    """
    size, rate = np.asarray(parameters, dtype=np.float64), np.asarray(pass_rates, dtype=np.float64)
    law = fit_coverage_law(size, rate)
    inside = (rate > 0.0) & (rate < 1.0)
    observed = np.log(-np.log(rate[inside]))
    rest = observed - (np.log(law.a) - law.b * np.log(size[inside]))
    return TaskLaw(law.a, law.b, float(1.0 - (rest**2).sum() / ((observed - observed.mean()) ** 2).sum()))


def emergence(parameters: ArrayLike, pass_rates: ArrayLike) -> float:
    """Curvature of log(-log pass rate) over log size: below 0 the pass rate accelerates beyond the task law, which the paper calls emergence.

    Args:
        parameters, pass_rates: (models,), at least three different sizes.

    Raises:
        DataError: fewer than three sizes with a pass rate inside (0, 1).
    """
    size, rate = np.asarray(parameters, dtype=np.float64), np.asarray(pass_rates, dtype=np.float64)
    inside = (rate > 0.0) & (rate < 1.0)
    if np.unique(size[inside]).size < 3:
        raise DataError(f"curvature needs three sizes with a pass rate inside (0, 1), got {np.unique(size[inside]).size}")
    return float(np.polyfit(np.log(size[inside]), np.log(-np.log(rate[inside])), 2)[0])
