"""Intervals over the seeds of a sweep, which are few and so need Student's distribution, and rank correlation."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from outthink.stats import Interval, student_quantile


def mean_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Mean of (seeds,) values with its Student interval."""
    array = np.asarray(values, dtype=np.float64)
    mean = float(array.mean())
    half = student_quantile(0.5 + level / 2.0, array.size - 1) * float(array.std(ddof=1)) / math.sqrt(array.size)
    return Interval(mean, mean - half, mean + half, level)


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Rank correlation of two vectors without ties."""
    ranks = [np.argsort(np.argsort(np.asarray(values))) for values in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
