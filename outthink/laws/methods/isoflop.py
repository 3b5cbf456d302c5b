"""[111] Compute-optimal sizes from isoFLOP curves: the least loss over size at every budget, and how it grows with compute.

At one budget the losses of models of several sizes make a curve; its minimum is read off an Akima interpolation of (log size, log loss) or off
a parabola through the points around the lowest. A minimum at an edge of the sizes is no minimum and is dropped. Of several runs of one size at
one budget the best counts, as in the official code. Noise: every replicate adds
Gaussian noise to the losses and finds the minima again; the spread of log N* weighs the budgets in the fit of log N* on log C.

Published slip: the noise level is meant to grow with the loss, but log loss is compared with thresholds of raw loss, so that every loss below 20
gets the low level. `Noise.at` interpolates as meant, log noise over log loss; `as_published` gives the constant low level of the official runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import DataError, UsageError, need
from outthink.laws.frontier import power_fit
from outthink.stats._arrays import FloatArray

Reading = Literal["akima", "parabola"]

_BETWEEN = 25  # points between two sizes at which the interpolation is read, as in the official code
_AROUND = 5  # points of the parabola


@dataclass(frozen=True)
class Noise:
    """Seed noise of a training run's loss, between two levels.

    Args:
        low, high: standard deviations in nats per token at and below `low_loss`, and at and above `high_loss`; the defaults are RefinedWeb's, and
            OpenWebText2 has 0.01 and 0.1 between losses 3 and 6.
        low_loss, high_loss: in nats per token.
        as_published: use the low level everywhere, as the official code does in effect.

    Raises:
        UsageError: levels or losses that are not above 0, or in the wrong order.
    """

    low: float = 0.002
    high: float = 0.05
    low_loss: float = 3.0
    high_loss: float = 7.0
    as_published: bool = False

    def __post_init__(self) -> None:
        if not (0.0 < self.low <= self.high and 0.0 < self.low_loss < self.high_loss):
            raise UsageError(
                f"noise needs levels 0 < low <= high and losses 0 < low_loss < high_loss, got {self.low:g}, {self.high:g} and {self.low_loss:g}, "
                f"{self.high_loss:g}"
            )

    def at(self, loss: ArrayLike) -> FloatArray:
        """Standard deviation in nats per token at these losses, between the two levels a straight line of log noise over log loss."""
        losses = np.asarray(loss, dtype=np.float64)
        if self.as_published:
            return np.full(losses.shape, self.low)
        levels = [math.log(self.low), math.log(self.high)]
        return np.exp(np.interp(np.log(losses), [math.log(self.low_loss), math.log(self.high_loss)], levels))


@dataclass(frozen=True)
class Minimum:
    """The best size at one budget.

    Args:
        flops: the budget.
        parameters: the size with the least loss; the median of the replicates where there are any.
        spread: standard deviation of log size over replicates; nan without noise.
        kept: share of the replicates whose minimum lies inside the sizes; 1 without noise.
    """

    flops: float
    parameters: float
    spread: float
    kept: float


def lowest(parameters: ArrayLike, loss: ArrayLike, reading: Reading = "akima") -> float:
    """The size of least loss on one isoFLOP curve; nan where it lies at an edge.

    Args:
        parameters: (models,) sizes, at least three different ones (five for a parabola are better).
        loss: (models,) losses above 0.
        reading: how the curve is interpolated.

    Raises:
        DataError: fewer than three sizes, or a number that is not finite and above 0.
        UsageError: there is no such reading.
    """
    size, value = _checked(sizes=parameters, losses=loss)
    x, best = _curve(size, value)
    if x.size < 3:
        raise DataError(f"an isoFLOP curve needs at least three sizes to have a minimum inside, got {x.size}")
    return float(_minima(x, np.log(best)[None], reading)[0])


def _checked(**columns: ArrayLike) -> list[FloatArray]:
    arrays = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    if len({array.shape for array in arrays.values()}) > 1 or any(array.ndim != 1 for array in arrays.values()):
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise DataError(f"isoFLOP columns must be vectors of one length, got {shapes}")
    for name, array in arrays.items():
        bad = np.flatnonzero(~(np.isfinite(array) & (array > 0.0)))
        if bad.size:
            raise DataError(
                f"isoFLOP curves are of logarithms: {name} must be finite and above 0, and {bad.size} of {array.size} are not, the first "
                f"{array[bad[0]]:g} in row {bad[0]}; leave those rows out"
            )
    return list(arrays.values())


def _curve(size: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray]:
    # (log sizes, rising and different, least loss of each)
    order = np.lexsort((loss, size))
    sizes, first = np.unique(size[order], return_index=True)
    return np.log(sizes), loss[order][first]


def _minima(x: FloatArray, curves: FloatArray, reading: Reading) -> FloatArray:
    # (replicates, models) log losses over (models,) rising log sizes -> (replicates,) sizes, nan at an edge
    if reading == "parabola":
        return np.array([_parabola(x, curve) for curve in curves])
    if reading != "akima":
        raise UsageError(f"an isoFLOP curve is read by akima or parabola, got {reading!r}")
    akima = need("scipy.interpolate", extra="laws").Akima1DInterpolator
    fine = np.concatenate([np.linspace(a, b, _BETWEEN, endpoint=False) for a, b in pairwise(x)] + [x[-1:]])
    place = np.argmin(akima(x, curves, axis=1)(fine), axis=1)
    inside = (place > 0) & (place < len(fine) - 1)
    return np.where(inside, np.exp(fine[place]), np.nan)


def _parabola(x: FloatArray, y: FloatArray) -> float:
    lowest_at = int(np.argmin(y))
    if lowest_at in (0, len(y) - 1):
        return math.nan
    first = min(max(0, lowest_at - _AROUND // 2), max(0, len(x) - _AROUND))
    a, b, _ = np.polyfit(x[first : first + _AROUND], y[first : first + _AROUND], 2)
    if not a > 0.0:
        return math.nan
    at = -b / (2.0 * a)
    return math.exp(at) if x[0] < at < x[-1] else math.nan


@dataclass(frozen=True)
class Growth:
    """How the best size grows with compute: N* = coefficient C^exponent.

    Args:
        exponent, coefficient: of the power law through the minima.
        low, high: interval of the exponent from refitting every replicate; nan without noise.
        minima: that it goes through.
        dropped: budgets whose minimum lies at an edge, or did in half of the replicates and more.
    """

    exponent: float
    coefficient: float
    low: float
    high: float
    minima: tuple[Minimum, ...]
    dropped: tuple[float, ...]


def growth(
    flops: ArrayLike, parameters: ArrayLike, loss: ArrayLike, *, reading: Reading = "akima", noise: Noise | None = None, replicates: int = 1000,
    seed: int = 0, level: float = 0.95,
) -> Growth:  # fmt: skip
    """Minima of isoFLOP curves and the power law through them.

    Args:
        flops: (rows,) budgets; rows of one budget agree exactly.
        parameters, loss: (rows,).
        reading: of the minima.
        noise: of the losses; None fits the minima as they are, unweighted.
        replicates, seed: of the noise; two replicates or more.
        level: of the interval.

    Raises:
        DataError: fewer than two budgets keep a minimum, or a number that is not finite and above 0.
        UsageError: too few replicates, or noise as large as the losses.
    """
    budget, size, value = _checked(budgets=flops, sizes=parameters, losses=loss)
    if noise is not None and replicates < 2:
        raise UsageError(f"a spread over replicates of the noise needs two of them, got {replicates}")
    rng = np.random.default_rng(seed)
    minima: list[Minimum] = []
    draws: list[FloatArray] = []
    dropped: list[float] = []
    for cost in np.unique(budget):
        x, best_losses = _curve(size[budget == cost], value[budget == cost])
        if x.size < 3:
            dropped.append(float(cost))
            continue
        curves = best_losses[None]
        if noise is not None:
            curves = best_losses + noise.at(best_losses) * rng.standard_normal((replicates, x.size))
            if not np.all(curves > 0.0):
                raise UsageError(f"noise of {noise.at(best_losses).max():g} nats takes losses at {cost:g} FLOPs below 0; give a lower level")
        found = _minima(x, np.log(curves), reading)
        kept = float(np.isfinite(found).mean())
        if kept < 0.5:
            dropped.append(float(cost))
            continue
        spread = math.nan
        if noise is not None:
            # not below a third of the grid's spacing, and wider where replicates had no minimum
            spread = max(float(np.nanstd(np.log(found))), float(np.diff(x).mean()) / 3.0) / kept
        minima.append(Minimum(float(cost), float(np.nanmedian(found)), spread, kept))
        draws.append(found)
    if len(minima) < 2:
        raise DataError(
            f"a growth law needs two budgets with a minimum inside their sizes, got {len(minima)}; train smaller and larger models at each"
        )
    cost, best = np.array([m.flops for m in minima]), np.array([m.parameters for m in minima])
    if noise is None:
        exponent, coefficient = power_fit(cost, best)
        return Growth(exponent, coefficient, math.nan, math.nan, tuple(minima), tuple(dropped))
    weights = np.array([m.spread for m in minima]) ** -2.0
    exponent, coefficient = power_fit(cost, best, weights)
    low, high = np.quantile(_slopes(np.log(cost), np.log(np.array(draws)), weights), [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Growth(exponent, coefficient, float(low), float(high), tuple(minima), tuple(dropped))


def _slopes(x: FloatArray, draws: FloatArray, weights: FloatArray) -> FloatArray:
    # (budgets, replicates) log sizes, nan where a replicate has no minimum -> (replicates,) weighted slopes of those with two or more
    w = weights[:, None] * np.isfinite(draws)
    y = np.where(np.isfinite(draws), draws, 0.0)
    total = w.sum(0)
    mean_x, mean_y = (w * x[:, None]).sum(0) / total, (w * y).sum(0) / total
    off = x[:, None] - mean_x
    usable = np.isfinite(draws).sum(0) >= 2
    return np.asarray(((w * off * (y - mean_y)).sum(0) / (w * off**2).sum(0))[usable])
