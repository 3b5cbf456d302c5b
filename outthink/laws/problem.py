"""A law, a table and an objective as one function of free coordinates, with its gradient, for many starts at once.

Coordinates: a parameter with a finite lower bound is searched by the logarithm of its distance from it, one between two finite bounds by
its logit, any other as it is. Derivatives are exact: by the complex step through the law, or by the law's own
`gradient(self, *columns) -> tuple of d prediction / d field` where it has one, which is faster and is held against the step by a test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol, cast

import numpy as np

from outthink.core.errors import UsageError, nearest
from outthink.laws.form import Form, Parameter
from outthink.laws.objective import Objective, scale_slope, scaled
from outthink.laws.table import Table
from outthink.stats._arrays import FloatArray, IntArray

_STEP = 1e-30
_CHUNK = 1 << 15
"""Numbers in one temporary array: a few of them fit into a core's cache."""


class _Differentiable(Protocol):
    def gradient(self, *columns: FloatArray) -> tuple[FloatArray, ...]: ...


def to_coordinate(parameter: Parameter, value: FloatArray) -> FloatArray:
    """Values of a parameter as unbounded coordinates; a value on or outside a bound is moved just inside."""
    low, high = parameter.low, parameter.high
    if math.isfinite(low) and math.isfinite(high):
        share = np.clip((value - low) / (high - low), 1e-12, 1.0 - 1e-12)
        return np.asarray(np.log(share) - np.log1p(-share))
    if math.isfinite(low):
        return np.asarray(np.log(np.maximum(value - low, 1e-200)))
    if math.isfinite(high):
        return np.asarray(np.log(np.maximum(high - value, 1e-200)))
    return np.asarray(value, dtype=np.float64)


def from_coordinate(parameter: Parameter, u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Values of a parameter, and their derivative by the coordinate."""
    low, high = parameter.low, parameter.high
    if math.isfinite(low) and math.isfinite(high):
        share = 1.0 / (1.0 + np.exp(-u))
        return low + (high - low) * share, (high - low) * share * (1.0 - share)
    if math.isfinite(low):
        above = np.exp(u)
        return low + above, above
    if math.isfinite(high):
        below = np.exp(u)
        return high - below, -below
    return u, np.ones_like(u)


class Problem:
    """See the module's text.

    Args:
        form: of the law.
        table: with the law's variables and, unless `observed` is given, its target.
        objective: of the fit.
        weights: (rows,) or (S, rows) factors of each row's loss, such as how often a bootstrap drew it; None for 1.
        fixed: parameters that are not searched: a number, or (S,) numbers for one each start.
        observed: (S, rows) targets in place of the table's column, for a parametric bootstrap.
    """

    def __init__(
        self, form: Form, table: Table, objective: Objective, weights: FloatArray | None = None,
        fixed: Mapping[str, float | FloatArray] | None = None, observed: FloatArray | None = None,
    ) -> None:  # fmt: skip
        self.form, self.objective, self.weights = form, objective, weights
        self.fixed = {name: np.asarray(value, dtype=np.float64) for name, value in (fixed or {}).items()}
        if unknown := [name for name in self.fixed if name not in form.names]:
            raise UsageError(f"law {form.name!r} has no parameter {unknown[0]!r}.{nearest(unknown[0], list(form.names))}")
        self.columns = tuple(table.column(variable.name) for variable in form.variables)
        self.observed = table.column(form.target.name) if observed is None else observed
        self.target = scaled(objective.scale, self.observed)
        self.rows = self.target.shape[-1]
        self.free = np.array([i for i, name in enumerate(form.names) if name not in self.fixed], dtype=np.int64)
        self.parameters = [form.parameters[i] for i in self.free]
        held = np.broadcast_arrays(np.empty(1), *(np.atleast_1d(value) for value in self.fixed.values()))
        self.template = np.zeros((held[0].size, len(form.names)))  # (1 or S, parameters)
        for name, column in zip(self.fixed, held[1:], strict=True):
            self.template[:, form.names.index(name)] = column
        self.analytic = hasattr(form.law, "gradient")
        self.by_euler = self.analytic and form.link == "identity" and bool(form.linear)

    def coordinates(self, values: FloatArray) -> FloatArray:
        """(S, parameters) values as (S, free) coordinates."""
        return np.stack([to_coordinate(p, values[:, i]) for p, i in zip(self.parameters, self.free, strict=True)], axis=1)

    def values(self, coordinates: FloatArray, starts: IntArray | None = None) -> FloatArray:
        """(S, free) coordinates as (S, parameters) values, the fixed ones filled in: those of the starts, where these have their own."""
        return self._values(coordinates, np.arange(len(coordinates)) if starts is None else starts)[0]

    def _values(self, coordinates: FloatArray, starts: IntArray) -> tuple[FloatArray, FloatArray]:
        one = len(self.template) == 1
        values = np.tile(self.template, (coordinates.shape[0], 1)) if one else self.template[starts]
        slopes = np.empty_like(coordinates)
        for k, (parameter, i) in enumerate(zip(self.parameters, self.free, strict=True)):
            values[:, i], slopes[:, k] = from_coordinate(parameter, coordinates[:, k])
        return values, slopes

    def __call__(self, coordinates: FloatArray, starts: IntArray) -> tuple[FloatArray, FloatArray]:
        """Objective (S,) and gradient (S, free) at (S, free) coordinates; inf where the law gives no number on the objective's scale."""
        f, g = np.empty(coordinates.shape[0]), np.empty_like(coordinates)
        step = max(1, _CHUNK // self.rows)
        factor = self.objective.factor(self.rows)
        with np.errstate(all="ignore"):
            for begin in range(0, len(f), step):
                part = slice(begin, begin + step)
                values, slopes = self._values(coordinates[part], starts[part])
                predicted, jacobian = self.predicted(values)
                residual = scaled(self.objective.scale, predicted) - self._target(starts[part])
                losses, pull = self.objective.losses(residual, self._weights(starts[part]))
                pull = pull * scale_slope(self.objective.scale, predicted)
                f[part] = losses.sum(axis=1)
                for k, column in enumerate(jacobian):
                    g[part, k] = np.einsum("sn,sn->s", pull, np.broadcast_to(column, pull.shape)) * slopes[:, k]
        f *= factor
        f[~np.isfinite(f)] = np.inf
        return f, g * factor

    def predicted(self, values: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        """(S, rows) predictions of (S, parameters), and their derivatives by each free parameter, (S, rows) or broadcasting to it."""
        if self.analytic:
            slopes = self.slopes(values)
            if self.by_euler:  # a law that is linear and homogeneous in some parameters is their sum over its slopes
                linear = [i for i, name in enumerate(self.form.names) if name in self.form.linear]
                predicted = sum((values[:, i, None] * slopes[i] for i in linear[1:]), values[:, linear[0], None] * slopes[linear[0]])
            else:
                predicted = self.form.predict(values, self.columns)
            return np.broadcast_to(predicted, (len(values), self.rows)), [slopes[i] for i in self.free]
        shape = (len(values), self.rows)
        if not self.free.size:
            return np.broadcast_to(self.form.predict(values, self.columns), shape), []
        jacobian = []
        for i in self.free:
            moved = values.astype(np.complex128)
            moved[:, i] += 1j * _STEP
            both = np.broadcast_to(self.form.predict(moved, self.columns), shape)
            jacobian.append(both.imag / _STEP)
        return both.real, jacobian

    def slopes(self, values: FloatArray) -> tuple[FloatArray, ...]:
        """The law's own derivatives by every parameter at (S, parameters); only where it has a `gradient`."""
        law = self.form.law(*np.moveaxis(values, -1, 0)[..., None])
        return cast(_Differentiable, law).gradient(*self.columns)

    def bowl(self, coordinates: FloatArray, starts: IntArray) -> FloatArray:
        """(S, free, free) Gauss-Newton matrices of the objective: squares that touch its losses at the residuals, linear law."""
        found = np.empty((coordinates.shape[0], coordinates.shape[1], coordinates.shape[1]))
        step = max(1, _CHUNK // self.rows)
        with np.errstate(all="ignore"):
            for begin in range(0, len(found), step):
                part = slice(begin, begin + step)
                values, slopes = self._values(coordinates[part], starts[part])
                predicted, jacobian = self.predicted(values)
                residual = scaled(self.objective.scale, predicted) - self._target(starts[part])
                weight = self.objective.curvature(residual, self._weights(starts[part])) * scale_slope(self.objective.scale, predicted) ** 2
                matrix = np.stack([np.broadcast_to(c, residual.shape) * slopes[:, k, None] for k, c in enumerate(jacobian)], axis=1)
                found[part] = (matrix * weight[:, None, :]) @ np.swapaxes(matrix, 1, 2)
        return found * self.objective.factor(self.rows)

    def inverse(self, coordinates: FloatArray, starts: IntArray) -> FloatArray:
        """(S, free, free) inverses of the bowls, lightly damped: the first inverse Hessians of a search."""
        bowl = self.bowl(coordinates, starts)
        size = bowl.shape[1]
        good = np.isfinite(bowl).all(axis=(1, 2))
        bowl[~good] = np.eye(size)
        scale = np.sqrt(np.maximum(np.einsum("sii->si", bowl), 1e-300))
        unit = bowl / (scale[:, :, None] * scale[:, None, :])
        unit += 1e-8 * np.eye(size)
        return np.asarray(np.linalg.inv(unit) / (scale[:, :, None] * scale[:, None, :]))

    def _weights(self, starts: IntArray) -> FloatArray | float:
        if self.weights is None:
            return 1.0
        return self.weights if self.weights.ndim == 1 else self.weights[starts]

    def _target(self, starts: IntArray) -> FloatArray:
        return self.target if self.target.ndim == 1 else self.target[starts]
