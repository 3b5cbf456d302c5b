"""[114] From small runs with seeds to the next larger model: its predicted loss, an interval for it, and an alarm where a run misses it.

    log loss = c - b log N + u_size + e_seed         least squares on each size's mean of log losses; b, c the law's

The interval comes from a hierarchical bootstrap: sizes give a residual u (what the law does not explain, widened by its leverage), seeds
within each size give e, the law is fitted again, and a new run gets a u and an e of its own. A run whose loss lies above the upper end is
flagged: it has probably not converged, or was not tuned like the others.

With one run a size there is no e, and u carries everything. Few sizes are allowed for by Student's quantile in the place of the normal one.
Cost: replicates x sizes; no model is trained. Identity for tests: with exact power laws the interval shrinks to the law; scaling all losses
by a constant scales the prediction by it.
Departure: the paper compares with the point prediction and its R²; here the interval decides, as R² on few points is always high.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import DataError, UsageError
from outthink.stats import student_quantile
from outthink.stats._arrays import FloatArray, IntArray


@dataclass(frozen=True)
class Forecast:
    """The predicted loss of one run of a larger model.

    Args:
        size: of the model, in parameters.
        loss: predicted.
        low, high: of one new run, at `level`.
        slope: d log loss / d log N of the law.
        r2: of the sizes' mean log losses; high on few points whatever they say.
        sizes: that the law was fitted on.
    """

    size: float
    loss: float
    low: float
    high: float
    level: float
    slope: float
    r2: float
    sizes: int

    def alarms(self, loss: float) -> bool:
        """Whether a finished run of that size has a loss above what the small ones promise."""
        return loss > self.high


def forecast(sizes: ArrayLike, losses: ArrayLike, size: float, *, seed: int, level: float = 0.9, replicates: int = 2000) -> Forecast:
    """Predict a run of another size from small ones.

    Args:
        sizes: (runs,) parameters of each run; runs of one size are its seeds.
        losses: (runs,) final losses, positive (nats, or an error rate).
        size: of the model to predict, in parameters.
        seed: of the bootstrap.
        level: of the interval, in (0, 1).
        replicates: of the bootstrap.

    Raises:
        UsageError: fewer than four sizes, or arguments out of range.
        DataError: a size or a loss that is not positive and finite.
    """
    runs, values = np.asarray(sizes, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    if runs.ndim != 1 or runs.shape != values.shape:
        raise UsageError(f"sizes and losses must be vectors of one length, got shapes {runs.shape} and {values.shape}")
    for name, array in (("size", runs), ("loss", values)):
        if bad := np.flatnonzero(~(np.isfinite(array) & (array > 0.0))).tolist():
            raise DataError(f"the {name} of run {bad[0] + 1} is {array[bad[0]]}; a power law needs positive finite numbers")
    if not (math.isfinite(size) and size > 0.0 and 0.0 < level < 1.0 and replicates >= 100):
        raise UsageError("need a positive size to predict, a level in (0, 1) and at least 100 replicates")
    distinct, member = np.unique(runs, return_inverse=True)
    if distinct.size < 4:
        raise UsageError(f"need at least 4 sizes to fit a law and see its scatter, got {distinct.size}")
    logs = np.log(values)
    member = member.astype(np.int64)
    counts = np.bincount(member).astype(np.int64)
    means = np.bincount(member, logs) / counts
    design = np.stack([np.ones(distinct.size), np.log(distinct)], axis=1)  # (sizes, 2)
    solve = np.linalg.pinv(design)  # (2, sizes)
    fitted = solve @ means
    at = np.array([1.0, math.log(size)])
    leverage = np.einsum("ij,ji->i", design, solve)
    lack = (means - design @ fitted) / np.sqrt(1.0 - leverage)  # (sizes,) u, each with the variance that it has before the fit
    within = (logs - means[member]) * np.sqrt(counts / np.maximum(1, counts - 1))[member]  # (runs,) e
    rng = np.random.default_rng(seed)
    noise = _noise(rng, within, member, counts, replicates)  # (replicates, sizes) of each mean, in the place of its seeds
    shifted = design @ fitted + rng.choice(lack, (replicates, distinct.size)) + noise
    centre = float(at @ fitted)
    # a new run has a lack of fit of its own and one seed's noise, of a size that is drawn first
    errors = rng.choice(lack, replicates) + rng.choice(within, replicates) - ((shifted @ solve.T) @ at - centre)  # new run less prediction
    middle, tail = np.median(errors), 0.5 + level / 2.0
    stretch = student_quantile(tail, distinct.size - 2) / NormalDist().inv_cdf(tail)
    low, high = (float(end) for end in np.quantile(errors - middle, [1.0 - tail, tail]) * stretch)
    total = float(((means - means.mean()) ** 2).sum())
    r2 = 1.0 - float(((means - design @ fitted) ** 2).sum()) / total if total > 0.0 else math.nan
    ends = math.exp(centre + low), math.exp(centre + high)
    return Forecast(float(size), math.exp(centre), *ends, level, float(fitted[1]), r2, int(distinct.size))


def _noise(rng: np.random.Generator, within: FloatArray, member: IntArray, counts: IntArray, replicates: int) -> FloatArray:
    """(replicates, sizes) deviations of each size's mean when its seeds are drawn again."""
    drawn = np.empty((replicates, counts.size))
    for group, count in enumerate(counts):
        drawn[:, group] = rng.choice(within[member == group], (replicates, int(count))).mean(axis=1)
    return drawn
