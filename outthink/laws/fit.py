"""One fit for every law: the optimum, how sure it is that it is one, and what is wrong with it.

    fit("chinchilla", read_table("runs.csv"))   ->  Fit: .values, .law, .domain, .spread, .flags

A law that is linear in some parameters is fitted by variable projection and a polish of the best cells (`projection`); any other, and any
law as a cross-check, by a multi-start over its box (`multistart`). Both end in the batched quasi-Newton search of `minimise`. A published
optimum is not always one, so objectives are compared before coefficients: `Fit.value` is the objective reached.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.laws.check import Flag, checked, suspicious
from outthink.laws.form import Form, Law, form
from outthink.laws.identified import judged
from outthink.laws.minimise import Minima, minimise
from outthink.laws.objective import Objective, scaled
from outthink.laws.problem import Problem
from outthink.laws.projection import around, distinct, drawn, projected
from outthink.laws.table import Table
from outthink.stats._arrays import FloatArray

Method = Literal["projection", "multistart"]

POLISHED, POLISHED_OF_MANY, STARTS = 8, 40, 300
"""Starts where the caller names no number: cells polished, with up to two nonlinear parameters or with more, and drawn starts."""

_ROUNDS = 4
"""Of looking along the lines through an optimum for a lower one."""


@dataclass(frozen=True)
class Spread:
    """Where the starts of a fit ended.

    Args:
        starts: how many there were.
        share: of them within 1% of the best objective.
        distance: largest difference in any search coordinate (a logarithm, mostly) between ends whose objectives agree to 1e-6: 0 if
            there is one optimum, large if several laws fit equally well.
        second: objective of the best end that is more than 1e-6 worse, as a multiple of the best; inf if there is none.
    """

    starts: int
    share: float
    distance: float
    second: float


@dataclass(frozen=True)
class Fit:
    """A law with the parameters that a table gives it.

    Args:
        form: of the law.
        values: each parameter's value.
        objective: that was minimised.
        value: of the objective at `values`.
        rows: fitted to.
        domain: lowest and highest value of each variable in the table.
        residual_sd: root mean square residual on the objective's scale, with rows less free parameters in the denominator.
        spread: where the starts ended.
        flags: what is wrong or looks wrong; empty at best.
        fixed: names of the parameters that were held.
        weights: the column that weighed the rows, "" if none.
        table: the columns fitted to; without rows in a fit that was read from JSON.
    """

    form: Form
    values: Mapping[str, float]
    objective: Objective
    value: float
    rows: int
    domain: Mapping[str, tuple[float, float]]
    residual_sd: float
    spread: Spread
    flags: tuple[Flag, ...]
    fixed: tuple[str, ...]
    weights: str
    table: Table

    @property
    def law(self) -> Law:
        """The law with its parameters, callable on columns in the order of its variables."""
        return self.form.law(**self.values)

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the parameters that were searched."""
        return tuple(name for name in self.form.names if name not in self.fixed)

    def predict(self, *columns: ArrayLike) -> FloatArray:
        """Predictions on columns in the order of the law's variables; `outside` says how far they lie from the data.

        Raises:
            UsageError: not one column a variable.
        """
        if len(columns) != len(self.form.variables):
            wanted = ", ".join(variable.name for variable in self.form.variables)
            raise UsageError(f"law {self.form.name!r} is called on {wanted}; got {len(columns)} columns")
        return self.law(*(np.asarray(column, dtype=np.float64) for column in columns))

    def residuals(self) -> FloatArray:
        """(rows,) scale(predicted) - scale(observed) over the table that was fitted."""
        predicted = self.predict(*(self.table.column(variable.name) for variable in self.form.variables))
        scale = self.objective.scale
        return scaled(scale, predicted) - scaled(scale, self.table.column(self.form.target.name))

    def to_json(self) -> dict[str, object]:
        """Everything but the table, as JSON values; `Fit.from_json` reads it."""
        return {
            "law": self.form.name,
            "values": dict(self.values),
            "objective": dataclasses.asdict(self.objective),
            "value": self.value,
            "rows": self.rows,
            "domain": {name: list(ends) for name, ends in self.domain.items()},
            "residual_sd": None if math.isnan(self.residual_sd) else self.residual_sd,
            "spread": {**dataclasses.asdict(self.spread), "second": None if math.isinf(self.spread.second) else self.spread.second},
            "flags": [dataclasses.asdict(flag) for flag in self.flags],
            "fixed": list(self.fixed),
            "weights": self.weights,
            "source": self.table.source,
        }

    @staticmethod
    def from_json(data: object) -> Fit:
        """The fit that `to_json` wrote, with a table of no rows.

        Raises:
            UsageError: `data` is no such thing, or its law is unknown here.
        """
        from outthink.laws.saved import read_fit

        return read_fit(data)


def fit(
    law: str | type | Form, table: Table, *, objective: Objective | None = None, weights: str | None = None, method: Method | None = None,
    starts: int | None = None, fixed: Mapping[str, float] | None = None, seed: int = 0,
) -> Fit:  # fmt: skip
    """Fit a law to a table.

    Args:
        law: its name, its class, or its form.
        table: with the law's variables and target; see `outthink.laws.check.checked` for what is refused.
        objective: Huber with delta 1e-3 on logs if None.
        weights: a column of factors of each row's loss, 0 or more.
        method: `projection` where the law has linear parameters, `multistart` where not, if None. The other one is the cross-check.
        starts: cells polished (8, with three or more nonlinear parameters 40) or starts drawn (300) if not None.
        fixed: parameters held at values.
        seed: of the drawn starts.

    Raises:
        UsageError, DataError: the table cannot be fitted, or a name is wrong.
    """
    known = law if isinstance(law, Form) else form(law)
    objective, fixed = objective or Objective(), dict(fixed or {})
    extra = (weights,) if weights else ()
    data = checked(known, table, objective, extra=extra, some_fixed=bool(fixed))
    factors = _factors(data, weights) if weights else None
    problem = Problem(known, data, objective, factors, fixed)
    if not problem.free.size:
        raise UsageError(f"all parameters of {known.name!r} are fixed: there is nothing to fit")
    rng = np.random.default_rng(seed)
    linear = any(name in known.linear and name not in fixed for name in known.names)
    if method == "projection" and not linear:
        raise UsageError(f"law {known.name!r} has no free linear parameter: use method='multistart'")
    if method not in (None, "projection", "multistart"):
        raise UsageError(f"no method {method!r}; use projection or multistart")
    if starts is not None and starts < 1:
        raise UsageError(f"starts must be at least 1, got {starts}")
    begin = np.empty((0, len(known.names)))
    if linear and method != "multistart":
        cells = projected(problem, rng)
        curved = sum(name not in known.linear for name in known.names if name not in fixed)
        begin = distinct(problem, cells, _objective(problem, cells), starts or (POLISHED if curved <= 2 else POLISHED_OF_MANY))
    if not len(begin):
        begin = drawn(problem, starts or STARTS, rng)
    found = search(problem, begin)
    if linear and method != "multistart":
        found = _lower(problem, found)
    if not np.isfinite(found.values).any():
        raise UsageError(
            f"law {known.name!r} gives no number on the {objective.scale} scale from any of {len(begin)} starts; choose another scale, or check units"
        )
    return _result(problem, data, found, weights or "")


def search(problem: Problem, begin: FloatArray) -> Minima:
    """Minimise from (S, parameters) starts; the best end is searched once more to a tighter tolerance, from a fresh model of its bowl."""
    at = problem.coordinates(begin)
    found = minimise(problem, at, inverse=problem.inverse(at, np.arange(len(at))) if len(at) <= 50 else None)
    best = int(np.argmin(found.values))
    if np.isfinite(found.values[best]):
        last = found.points[[best]]
        polished = minimise(problem, last, inverse=problem.inverse(last, np.zeros(1, dtype=np.int64)), tolerance=1e-13)
        if polished.values[0] <= found.values[best]:
            found.points[best], found.values[best] = polished.points[0], polished.values[0]
            found.converged[best] |= polished.converged[0]
    return found


def _distance(problem: Problem, ends: FloatArray, best: FloatArray) -> float:
    # where on its way to zero a coefficient stopped means nothing: all below a billionth of its starts are alike
    least = np.array([math.log(1e-9 * p.starts[1]) if p.low == 0.0 and math.isinf(p.high) else -math.inf for p in problem.parameters])
    return float(np.abs(np.maximum(ends, least) - np.maximum(best, least)).max())


def _lower(problem: Problem, found: Minima) -> Minima:
    """The ends so far, and those from lower places on the lines through the best, if there are any."""
    for _ in range(_ROUNDS):
        best = int(np.argmin(found.values))
        if not np.isfinite(found.values[best]):
            break
        cells = around(problem, problem.values(found.points[[best]])[0])
        there = _objective(problem, cells)
        lower = there < found.values[best] - max(1e-6 * found.values[best], 1e-15)
        if not lower.any():
            break
        more = search(problem, distinct(problem, cells[lower], there[lower], POLISHED))
        found = Minima(
            np.concatenate([found.points, more.points]), np.concatenate([found.values, more.values]),
            np.concatenate([found.converged, more.converged]), np.concatenate([found.steps, more.steps]),
        )  # fmt: skip
    return found


def _objective(problem: Problem, values: FloatArray) -> FloatArray:
    return problem(problem.coordinates(values), np.arange(len(values)))[0]


def _factors(table: Table, name: str) -> FloatArray:
    factors = table.column(name)
    if (factors < 0.0).any() or not (factors > 0.0).any():
        row = int(np.argmax(factors < 0.0))
        raise UsageError(f"weights must be 0 or more, and some above: {table.place(row)}, column {name!r} is {factors[row]:g}")
    return factors


def _result(problem: Problem, table: Table, found: Minima, weights: str) -> Fit:
    best = int(np.argmin(found.values))
    least = float(found.values[best])
    values = problem.values(found.points[[best]])[0]
    floor = max(abs(least), 1e-15)  # objectives below that are rounding: noise-free data
    same = found.values <= least + 1e-6 * floor
    worse = found.values[~same & np.isfinite(found.values)]
    spread = Spread(
        starts=len(found.values),
        share=float(np.mean(found.values <= least + 0.01 * floor)),
        distance=_distance(problem, found.points[same], found.points[best]),
        second=float(worse.min() / floor) if worse.size else math.inf,
    )
    predicted, _ = problem.predicted(values[None])
    residual = scaled(problem.objective.scale, predicted[0]) - problem.target
    share = 1.0 if problem.weights is None else problem.weights / problem.weights.mean()
    freedom = problem.rows - problem.free.size
    sd = math.sqrt(float((share * residual**2).sum()) / freedom) if freedom > 0 else math.nan
    flags = [*suspicious(problem.form, table), *judged(problem, values, sd)]
    if not found.converged[best]:
        flags.append(Flag("not_converged", f"the search for {problem.form.name!r} stopped before its tolerance; try more starts"))
    if spread.distance > 0.05 and least > 1e-15:
        flags.append(
            Flag(
                "not_unique",
                f"starts that reach the same objective differ by up to {spread.distance:.2g} in a search coordinate: it is not determined",
            )
        )
    return Fit(
        problem.form, dict(zip(problem.form.names, map(float, values), strict=True)), problem.objective, least, problem.rows,
        {v.name: (float(c.min()), float(c.max())) for v, c in zip(problem.form.variables, problem.columns, strict=True)},
        sd, spread, tuple(flags), tuple(problem.fixed), weights, table,
    )  # fmt: skip


def outside(fit: Fit, columns: Mapping[str, ArrayLike]) -> tuple[str, ...]:
    """How far values lie outside the data of a fit, a sentence a variable and side; none if they are inside.

    Args:
        fit: any.
        columns: values asked for, by the variable's name; variables may be left out.

    Raises:
        UsageError: a name is no variable of the law.
    """
    sentences = []
    for name, asked in columns.items():
        if name not in fit.domain:
            raise UsageError(f"law {fit.form.name!r} has no variable {name!r}; it has {', '.join(fit.domain)}")
        unit = next(variable.unit or variable.name for variable in fit.form.variables if variable.name == name)
        low, high = fit.domain[name]
        values = np.asarray(asked, dtype=np.float64)
        for value, end, word, sign in ((float(values.max()), high, "largest", 1), (float(values.min()), low, "smallest", -1)):
            if sign * (value - end) <= 0.0:
                continue
            far = f"{(value / end) ** sign:.3g} times" if end > 0.0 and value > 0.0 else f"{abs(value - end):.2g}"
            sentences.append(f"asked at {value:.2g} {unit}: {far} beyond the {word}, {end:.2g}")
    return tuple(sentences)
