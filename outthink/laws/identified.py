"""Which parameters of a fit mean nothing: terms that vanish, bounds that hold, directions that the data leave open."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from outthink.laws.check import Flag
from outthink.laws.objective import scale_slope, scaled
from outthink.laws.problem import Problem, from_coordinate, to_coordinate
from outthink.stats._arrays import FloatArray

_NOTHING = 1e-3
"""A term that is nowhere more than this share of the prediction has vanished."""

_LOOSE, _LOOSE_COEFFICIENT = 1.0, 4.0
"""Standard errors of a logarithm above which a number means nothing. A coefficient is the law at 1 parameter or 1 token, eight orders of magnitude
outside any data, and moves with its exponent: a factor of e is usual there."""


def judged(problem: Problem, values: FloatArray, residual_sd: float) -> Iterator[Flag]:
    """Flags of one fitted (parameters,) vector.

    A parameter counts as not identified if its standard error, of the squares on the objective's scale, exceeds `_LOOSE` (for one searched by
    its logarithm) or ten times its value and its range of starts (for one that may have any sign).
    """
    vanished = set()
    for name, share in _terms(problem, values).items():
        if share < _NOTHING:
            vanished.add(name)
            value = values[problem.form.names.index(name)]
            yield Flag("degenerate", f"{name} vanishes ({value:.3g}): its term is nowhere above {share:.1g} of the prediction")
    errors = standard_errors(problem, values, residual_sd)
    for k, (parameter, i) in enumerate(zip(problem.parameters, problem.free, strict=True)):
        name, value = parameter.name, float(values[i])
        if name in vanished:
            continue
        if math.isfinite(parameter.low) and math.isfinite(parameter.high):
            share = (value - parameter.low) / (parameter.high - parameter.low)
            if not 1e-6 < share < 1.0 - 1e-6:
                yield Flag("at_bound", f"{name} = {value:.6g} lies at the end of its range, {parameter.low:g} to {parameter.high:g}")
                continue
        elif math.isfinite(parameter.low) and name not in problem.form.linear and value - parameter.low < 1e-6 * (parameter.starts[0] or 1.0):
            yield Flag("at_bound", f"{name} = {value:.6g} lies at its bound, {parameter.low:g}")
            continue
        free = not (math.isfinite(parameter.low) or math.isfinite(parameter.high))
        widest = _LOOSE_COEFFICIENT if name in problem.form.linear else _LOOSE
        if free:
            widest = 10.0 * max(abs(value), parameter.starts[1] - parameter.starts[0])
        if errors[k] > widest:
            size = f"by {errors[k]:.2g}" if free else f"by a factor of {math.exp(min(errors[k], 700.0)):.2g}"
            yield Flag("degenerate", f"{name} = {value:.4g} is not identified: one standard error changes it {size}")


def _terms(problem: Problem, values: FloatArray) -> dict[str, float]:
    """For each free linear parameter, the largest share that its term has in the prediction's link."""
    if problem.form.link != "identity" or len(problem.form.linear) < 2:
        return {}
    predicted, slopes = problem.predicted(values[None])
    size = np.abs(scaled("identity", predicted[0]))
    shares = {}
    for k, (parameter, i) in enumerate(zip(problem.parameters, problem.free, strict=True)):
        if parameter.name in problem.form.linear:
            shares[parameter.name] = float(np.max(np.abs(values[i] * np.broadcast_to(slopes[k], (1, problem.rows))[0]) / np.maximum(size, 1e-300)))
    return shares


def standard_errors(problem: Problem, values: FloatArray, residual_sd: float) -> FloatArray:
    """(free,) standard errors of the coordinates, inf along directions that the squares leave flat; 0 where there is no noise to judge by."""
    size = problem.free.size
    if not residual_sd > 0.0:
        return np.zeros(size)
    predicted, slopes = problem.predicted(values[None])
    steepness = scale_slope(problem.objective.scale, predicted[0])
    at = [from_coordinate(p, to_coordinate(p, values[[i]]))[1] for p, i in zip(problem.parameters, problem.free, strict=True)]
    jacobian = np.stack([np.broadcast_to(s, (1, problem.rows))[0] * steepness * a for s, a in zip(slopes, at, strict=True)], axis=1)
    if problem.weights is not None:
        jacobian = jacobian * np.sqrt(problem.weights / problem.weights.mean())[:, None]
    if not np.isfinite(jacobian).all():
        return np.full(size, np.inf)
    length = np.sqrt((jacobian**2).sum(axis=0))
    _, singular, axes = np.linalg.svd(jacobian / np.where(length > 0.0, length, 1.0), full_matrices=False)
    with np.errstate(divide="ignore"):
        inverse = np.where(singular > 1e-12, 1.0 / singular, np.inf)
    variance = np.zeros(size)
    for scale, axis in zip(inverse, axes, strict=True):
        variance += (np.where(np.abs(axis) > 1e-6, scale, 0.0) * axis) ** 2  # inf times a rounding error is no evidence
    with np.errstate(divide="ignore"):
        return np.where(length > 0.0, residual_sd * np.sqrt(variance) / length, np.inf)
