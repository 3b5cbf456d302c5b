"""[112] Does a curve follow one power law, or does its exponent change? One line against two that meet, on logs.

    one    log y = c + m log x
    two    log y = c + m log x + d max(0, log x - log x_break)        continuous; d the change of the slope

x_break is searched over a grid between the inner points, the rest is least squares. BIC = n log(RSS / n) + p log n with p = 3 for one line
and 5 for two (the break is a parameter, the noise another). The p-value permutes the residuals of the one line and searches the break
anew each time, as a search that is not repeated finds a break in any noise.

Cost: one matrix product for all permutations. Identity for tests: multiplying x or y by a constant moves the break or the level only.
Trap: the lowest points of a compute-optimal envelope are limited by the smallest model that was trained, and look like a break.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import DataError, UsageError
from outthink.stats._arrays import FloatArray, IntArray

LEAST = 3
"""Points on either side of a break."""


@dataclass(frozen=True)
class Break:
    """What one line and two lines say of the same points.

    Args:
        slope: of the one line.
        at: x where the two lines meet.
        before, after: their slopes.
        bic_gain: BIC of one line less BIC of two; positive where two are worth their parameters.
        p_value: share of permutations whose best break explains as much.
        points: that were used.
    """

    slope: float
    at: float
    before: float
    after: float
    bic_gain: float
    p_value: float
    points: int

    def found(self, level: float = 0.05) -> bool:
        """Whether both say that there is a break: the BIC, and the permutations at this level."""
        return self.bic_gain > 0.0 and self.p_value <= level


def find_break(x: ArrayLike, y: ArrayLike, *, seed: int, permutations: int = 999, grid: int = 200) -> Break:
    """Look for one change of exponent.

    Args:
        x: (points,) positive: compute, parameters, tokens.
        y: (points,) positive: losses.
        seed: of the permutations.
        permutations: for the p-value, whose least value is 1 / (permutations + 1).
        grid: places tried for the break, even in log x.

    Raises:
        UsageError: fewer than 8 points, or too few different x for three on either side of a break.
        DataError: a number that is not positive and finite.
    """
    given, values = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if given.ndim != 1 or given.shape != values.shape or given.size < 8:
        raise UsageError(f"need two vectors of one length, at least 8 points, got shapes {given.shape} and {values.shape}")
    for name, array in (("x", given), ("y", values)):
        if bad := np.flatnonzero(~(np.isfinite(array) & (array > 0.0))).tolist():
            raise DataError(f"{name} of point {bad[0] + 1} is {array[bad[0]]}; logarithms need positive finite numbers")
    if permutations < 1 or grid < 2:
        raise UsageError(f"need at least one permutation and two places for the break, got {permutations} and {grid}")
    order = np.argsort(given, kind="stable")
    log_x, log_y = np.log(given[order]), np.log(values[order])
    low, high = log_x[LEAST - 1], log_x[-LEAST]
    if not low < high:
        raise UsageError("fewer than three different x on either side of any break; add points")
    places = np.linspace(low, high, grid)
    line = np.stack([np.ones_like(log_x), log_x - log_x.mean()], axis=1)
    line /= np.linalg.norm(line, axis=0)  # orthonormal: the columns are orthogonal once x is centred
    hinges = _without(np.maximum(0.0, log_x[:, None] - places), line)  # (points, grid)
    hinges /= np.linalg.norm(hinges, axis=0)
    residuals = _without(log_y, line)
    explained = (residuals @ hinges) ** 2  # drop of the sum of squares for each place
    best = int(np.argmax(explained))
    rest = float(residuals @ residuals)
    two = np.stack([np.ones_like(log_x), log_x, np.maximum(0.0, log_x - places[best])], axis=1)
    coefficients, _, _, _ = np.linalg.lstsq(two, log_y, rcond=None)
    floor = 1e-24 * float(log_y @ log_y + 1.0)  # rounding: an exact line must not be split for what is left of it
    gain = _bic(rest, log_x.size, 3, floor) - _bic(rest - float(explained[best]), log_x.size, 5, floor)
    drawn = np.random.default_rng(seed).permuted(np.tile(residuals, (permutations, 1)), axis=1)
    drawn = _without(drawn.T, line).T
    share = ((drawn @ hinges) ** 2).max(axis=1) / np.maximum((drawn**2).sum(axis=1), floor)
    worse = int((share >= explained[best] / max(rest, floor) * (1.0 - 1e-12)).sum())
    slope = float(line[:, 1] @ log_y / (line[:, 1] @ log_x))
    before = float(coefficients[1])
    return Break(
        slope, math.exp(places[best]), before, before + float(coefficients[2]), gain, (worse + 1) / (permutations + 1), log_x.size
    )  # fmt: skip


def envelope(cost: ArrayLike, loss: ArrayLike) -> IntArray:
    """Row numbers of the compute-optimal points, cheapest first: those with a lower loss than everything that costs no more.

    Args:
        cost: (points,) FLOPs.
        loss: (points,) of the checkpoints of all runs.
    """
    order = np.lexsort((np.asarray(loss), np.asarray(cost)))
    sorted_losses = np.asarray(loss, dtype=np.float64)[order]
    before = np.concatenate([[np.inf], np.minimum.accumulate(sorted_losses)[:-1]])
    return np.asarray(order[sorted_losses < before], dtype=np.int64)


def _without(columns: FloatArray, basis: FloatArray) -> FloatArray:
    """Columns less their projection on an orthonormal basis."""
    return np.asarray(columns - basis @ (basis.T @ columns))


def _bic(rest: float, points: int, parameters: int, floor: float) -> float:
    return points * math.log(max(rest, floor) / points) + parameters * math.log(points)
