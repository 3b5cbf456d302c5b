"""The interval of one parameter by profile: hold it, refit all others, and see how far it can go before the objective says no.

    statistic(v) = 2 (objective(v) - objective) scale        below the chi-squared quantile with one degree of freedom

For squares `scale` is 1 / residual variance and this is the profile likelihood. For Huber it is mean psi' / mean psi^2, psi the slope of the
loss, which makes the statistic chi-squared all the same if residuals are alike everywhere (the likelihood-ratio test of M-estimates). It
follows curved valleys, such as that of a coefficient and its exponent, where a standard error cannot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from outthink.core.errors import UsageError, nearest
from outthink.laws.fit import Fit
from outthink.laws.identified import standard_errors
from outthink.laws.minimise import minimise
from outthink.laws.problem import Problem, from_coordinate, to_coordinate
from outthink.stats._arrays import FloatArray

_WIDENED = 8
"""Doublings of the range before an end counts as open."""


@dataclass(frozen=True)
class Profile:
    """The objective along one parameter.

    Args:
        name: the parameter.
        grid: (points,) values it was held at, increasing.
        values: (points,) objective, all other parameters refitted.
        low, high: ends of the interval; the parameter's own bound (or infinity) where the data set no end.
    """

    name: str
    grid: FloatArray
    values: FloatArray
    low: float
    high: float


def profile(fit: Fit, name: str, *, level: float = 0.95, points: int = 41) -> Profile:
    """Profile one parameter of a fit.

    Args:
        fit: made from a table, not read from JSON.
        name: of a parameter that was searched.
        level: of the interval.
        points: of the grid; odd, so that the optimum is on it.

    Raises:
        UsageError: the fit has no table, or the parameter was fixed or is unknown, or there are no rows to estimate the noise from.
    """
    if not len(fit.table):
        raise UsageError("this fit was read from JSON, without its table: fit again to profile it")
    if name not in fit.free:
        raise UsageError(f"no parameter {name!r} was searched in this fit of {fit.form.name!r}.{nearest(name, list(fit.free))}")
    if points < 5 or not 0.0 < level < 1.0:
        raise UsageError(f"points must be at least 5 and level between 0 and 1, got {points} and {level}")
    if not fit.residual_sd > 0.0:
        raise UsageError("a profile needs residuals to estimate the noise from; this fit leaves none")
    limit = NormalDist().inv_cdf(0.5 + level / 2.0) ** 2
    scale = _scale(fit)
    factors = fit.table.column(fit.weights) if fit.weights else None
    held = {other: fit.values[other] for other in fit.fixed}
    whole = Problem(fit.form, fit.table, fit.objective, factors, held)
    values = np.array([fit.values[other] for other in fit.form.names])
    place = fit.free.index(name)
    parameter = whole.parameters[place]
    best = float(to_coordinate(parameter, values[[whole.free[place]]])[0])
    error = float(standard_errors(whole, values, fit.residual_sd)[place])
    width = 4.0 * error if math.isfinite(error) and error > 0.0 else 1.0
    left = right = min(width, 4.0)
    for _ in range(_WIDENED):
        at = np.concatenate([np.linspace(best - left, best, points // 2 + 1), np.linspace(best, best + right, points // 2 + 1)[1:]])
        grid = from_coordinate(parameter, at)[0]
        found = _held(fit, factors, {**held, name: grid}, values)
        statistic = 2.0 * (found - fit.value) * scale
        open_left, open_right = statistic[0] <= limit, statistic[-1] <= limit
        if not open_left and not open_right:
            break
        left, right = left * (2.0 if open_left else 1.0), right * (2.0 if open_right else 1.0)
    root = np.sign(at - best) * np.sqrt(np.maximum(statistic, 0.0))
    ends = [
        end if is_open else float(from_coordinate(parameter, np.array([_crossing(at, root, target)]))[0][0])
        for end, is_open, target in ((parameter.low, open_left, -math.sqrt(limit)), (parameter.high, open_right, math.sqrt(limit)))
    ]
    order = np.argsort(grid)  # a coordinate of a parameter bounded above alone runs backwards
    low, high = (ends[0], ends[1]) if grid[0] <= grid[-1] else (ends[1], ends[0])
    return Profile(name, grid[order], found[order], low, high)


def _held(fit: Fit, factors: FloatArray | None, fixed: dict[str, float | FloatArray], values: FloatArray) -> FloatArray:
    """(points,) objective with parameters held at a grid, the others searched from the optimum and then from each point's neighbours."""
    problem = Problem(fit.form, fit.table, fit.objective, factors, fixed)
    count = len(problem.template)
    everyone = np.arange(count)
    if not problem.free.size:
        return problem(np.empty((count, 0)), everyone)[0]
    start = np.repeat(problem.coordinates(values[None]), count, axis=0)
    found = minimise(problem, start, inverse=problem.inverse(start, everyone), tolerance=1e-9)
    points, objective = found.points, found.values
    for shift in (1, -1):
        near = np.roll(points, shift, axis=0)
        again = minimise(problem, near, inverse=problem.inverse(near, everyone), tolerance=1e-9)
        better = again.values < objective
        points[better], objective[better] = again.points[better], again.values[better]
    return objective


def _crossing(at: FloatArray, root: FloatArray, target: float) -> float:
    """Where the signed root first passes the target, going outwards from the optimum."""
    steps = range(len(at) // 2, len(at) - 1) if target > 0.0 else range(len(at) // 2, 0, -1)
    for step in steps:
        other = step + (1 if target > 0.0 else -1)
        if abs(root[other]) >= abs(target):
            return float(at[step] + (at[other] - at[step]) * (target - root[step]) / (root[other] - root[step]))
    raise AssertionError("the caller has seen an end beyond the target")


def _scale(fit: Fit) -> float:
    """mean psi' / mean psi^2 of the objective's slope, in the objective's own units."""
    residual = fit.residuals()
    rows, freedom = len(residual), len(residual) - len(fit.free)
    weights = fit.table.column(fit.weights) if fit.weights else np.ones(rows)
    weights = weights / weights.mean()
    factor = fit.objective.factor(rows)
    slope = fit.objective.losses(residual)[1]
    square = float((weights * slope**2).sum()) / freedom
    if fit.objective.loss == "squared":
        steep = float(fit.objective.curvature(residual, weights).mean())
    else:
        # few residuals lie within delta: the density at zero is read off a wider window
        window = max(fit.objective.bend, 0.3 * float(np.median(np.abs(residual))) / 0.6745)
        steep = float((weights * (np.abs(residual) < window)).mean()) * fit.objective.bend / window
        if fit.objective.overestimate != 1.0:
            steep *= 0.5 * (1.0 + fit.objective.overestimate)
    mean_weight = float(fit.table.column(fit.weights).mean()) if fit.weights else 1.0
    return steep / (square * factor * mean_weight)
