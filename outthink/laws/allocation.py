"""[12, 22] Allocation: the configuration with the best predicted score that a budget pays for, and how the best one moves with the budget.

    best(B) = arg max over configurations with cost <= B of score        cheapest first among equal scores
    x_best ~ G B^e          exponent e of a setting along the frontier, by least squares on logs

A frontier keeps only configurations that beat every cheaper one. Budgets at which the best configuration sits at the end of the grid say
nothing on the exponent (the grid chose, not the budget), so they are left out of the fit, with their number told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.stats._arrays import FloatArray, IntArray


@dataclass(frozen=True)
class Choice:
    """The best configuration under a budget. `index` is its row; `score` and `cost` are that row's."""

    index: int
    score: float
    cost: float


@dataclass(frozen=True)
class Growth:
    """How a setting grows with the budget along a frontier: setting = scale * cost^exponent.

    Args:
        scale, exponent: by least squares on logs.
        standard_error: of the exponent, from the scatter of the points; nan with fewer than three.
        points: of the frontier that were used.
        clipped: of the frontier that were left out since they sit at the largest value of the grid.
    """

    scale: float
    exponent: float
    standard_error: float
    points: int
    clipped: int

    def __call__(self, cost: ArrayLike) -> FloatArray:
        """The setting at a cost."""
        return np.asarray(self.scale * np.asarray(cost, dtype=np.float64) ** self.exponent)


def best_under(scores: ArrayLike, costs: ArrayLike, budget: float) -> Choice:
    """The configuration with the highest score whose cost is at most the budget; the cheapest of equal ones.

    Args:
        scores, costs: (configurations,), of one unit each; a nan score is a configuration that was not measured and is never chosen.
        budget: in the unit of the costs.

    Raises:
        UsageError: nothing is affordable (the message names the cheapest), or shapes that differ.
    """
    values, prices = _columns(scores, costs)
    allowed = (prices <= budget) & ~np.isnan(values)
    if not allowed.any():
        raise UsageError(f"no configuration costs {budget:g} or less; the cheapest that was scored costs {prices[~np.isnan(values)].min():g}")
    rows = np.flatnonzero(allowed)
    best = int(rows[np.lexsort((prices[rows], -values[rows]))[0]])
    return Choice(best, float(values[best]), float(prices[best]))


def pareto(scores: ArrayLike, costs: ArrayLike) -> IntArray:
    """Rows of the configurations that score more than every one that costs no more, from the cheapest to the best: (points,)."""
    values, prices = _columns(scores, costs)
    rows = np.flatnonzero(~np.isnan(values))
    rows = rows[np.lexsort((-values[rows], prices[rows]))]
    before = np.concatenate([[-np.inf], np.maximum.accumulate(values[rows])[:-1]])
    return rows[values[rows] > before]


def growth(settings: ArrayLike, costs: ArrayLike, *, largest: float = np.inf, smallest: float = 0.0) -> Growth:
    """The exponent of a setting along a frontier.

    Args:
        settings, costs: (points,), both positive: what the best configuration at each cost has.
        largest: of the grid; points there are left out, since a larger one was not on offer.
        smallest: of the grid, likewise; the default leaves none out.

    Raises:
        UsageError: fewer than two different costs remain.
    """
    values, prices = _columns(settings, costs)
    if np.any(values <= 0.0) or np.any(prices <= 0.0):
        raise UsageError("an exponent needs settings and costs above 0; leave out configurations that do not use the setting")
    inside = (values < largest) & (values > smallest)
    x, y = np.log(prices[inside]), np.log(values[inside])
    if np.unique(x).size < 2:
        raise UsageError(
            f"an exponent needs two frontier points inside the grid, got {x.size} of {values.size} (the others sit at its end); widen the grid"
        )
    centred = x - x.mean()
    exponent = float((centred * (y - y.mean())).sum() / (centred**2).sum())
    level = float(y.mean() - exponent * x.mean())
    error = np.nan
    if x.size > 2:
        residual = y - level - exponent * x
        error = float(np.sqrt((residual**2).sum() / (x.size - 2) / (centred**2).sum()))
    return Growth(float(np.exp(level)), exponent, error, int(x.size), int(values.size - x.size))


def _columns(scores: ArrayLike, costs: ArrayLike) -> tuple[FloatArray, FloatArray]:
    values, prices = np.asarray(scores, dtype=np.float64), np.asarray(costs, dtype=np.float64)
    if values.ndim != 1 or values.shape != prices.shape or values.size == 0:
        raise UsageError(f"scores and costs must be vectors of one length, got shapes {values.shape} and {prices.shape}")
    if np.all(np.isnan(values)) or not np.all(np.isfinite(prices)):
        raise UsageError("every cost must be finite and at least one configuration must have a score")
    return values, prices


def grid(**axes: Sequence[float]) -> dict[str, FloatArray]:
    """Every combination of the axes' values: one flat (configurations,) column an axis, the last axis fastest."""
    meshes = np.meshgrid(*(np.asarray(values, dtype=np.float64) for values in axes.values()), indexing="ij")
    return {name: mesh.ravel() for name, mesh in zip(axes, meshes, strict=True)}
