"""[113] The exponentiated power law of coverage: coverage(k) = exp(-a k^-b), k samples a problem, a > 0; b > 0 where more samples help.

Fitted by least squares on log(-log coverage) against log k, on which the law is a straight line, so it needs no start and no SciPy.
Fitting coverage itself weighs the points differently and gives other parameters (12B: b .379 against .370).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.stats._arrays import FloatArray


@dataclass(frozen=True)
class CoverageLaw:
    """coverage(k) = exp(-a k^-b). Callable on k, a number or an array of at least 1."""

    a: float
    b: float

    def __call__(self, k: ArrayLike) -> FloatArray:
        """Coverage in [0, 1] at k samples a problem."""
        return np.asarray(np.exp(-self.a * np.asarray(k, dtype=np.float64) ** -self.b))


def fit_coverage_law(k: ArrayLike, coverage: ArrayLike) -> CoverageLaw:
    """The law through (k, coverage) points, each (points,).

    Points at coverage 0 or 1 have no log(-log) and are left out. Raises ValueError if fewer than two different k remain.
    """
    budgets, covered = np.asarray(k, dtype=np.float64), np.asarray(coverage, dtype=np.float64)
    if budgets.ndim != 1 or budgets.shape != covered.shape:
        raise ValueError(f"k and coverage must be vectors of one length, got shapes {budgets.shape} and {covered.shape}.")
    usable = (covered > 0.0) & (covered < 1.0) & (budgets >= 1.0)
    if np.unique(budgets[usable]).size < 2:
        raise ValueError(
            f"the law needs two different k with 0 < coverage < 1, got {int(usable.sum())} of {usable.size} points; add larger k or harder problems."
        )
    x, y = np.log(budgets[usable]), np.log(-np.log(covered[usable]))
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    return CoverageLaw(float(np.exp(y.mean() - slope * x.mean())), -slope)
