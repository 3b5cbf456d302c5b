"""[96] How much a law's exponents owe to choices that papers seldom report: the same fit on other selections of the data and under other objectives.

A choice that moves an exponent by more than its interval is a finding, and one that makes the fit degenerate is a warning about the data. On the 261
runs published with [96] the compute exponent a = beta / (alpha + beta) goes from 0.51 to 0.93 by such choices alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from outthink.core.errors import OutthinkError, UsageError
from outthink.laws.bootstrap import Bootstrap, bootstrap, percentiles
from outthink.laws.fit import Fit, fit
from outthink.laws.form import Form, form, forms
from outthink.laws.objective import Objective
from outthink.laws.prepare import objective_of, order_of
from outthink.laws.table import Table
from outthink.stats._arrays import FloatArray

OUTLIER = 4.0
"""Robust standard deviations (1.4826 median absolute deviations) of a residual beyond which `drop outliers` leaves a row out."""


@dataclass(frozen=True)
class Variation:
    """One choice.

    Args:
        name: what differs from the fit as asked.
        rows: fitted.
        values: key exponents by name; empty where it could not be fitted.
        interval: whether the first key exponent lies outside the interval of the fit as asked; None without one.
        degenerate: texts of the flags that make it suspect.
        failed: why it could not be fitted, "" if it could.
    """

    name: str
    rows: int
    values: Mapping[str, float]
    outside: bool | None
    degenerate: tuple[str, ...]
    failed: str = ""


@dataclass(frozen=True)
class Naive:
    """A key exponent's intervals where rows are not independent: by runs, and as if every row were a run of its own."""

    name: str
    cluster: tuple[float, float]
    rows: tuple[float, float]

    @property
    def ratio(self) -> float:
        """Width by runs / width by rows: by how much the latter is too narrow."""
        return (self.cluster[1] - self.cluster[0]) / (self.rows[1] - self.rows[0])


@dataclass(frozen=True)
class Audit:
    """The fit as asked, what choices do to it, and the naive interval where rows repeat a run."""

    fit: Fit
    keys: tuple[str, ...]
    draws: Bootstrap | None
    variations: tuple[Variation, ...]
    naive: tuple[Naive, ...]

    def range(self, key: str) -> tuple[float, float]:
        """Lowest and highest value of a key exponent over all choices whose fit is not degenerate; over all if every one is."""
        sound = [v.values[key] for v in self.variations if not v.failed and not v.degenerate]
        everything = sound or [v.values[key] for v in self.variations if not v.failed]
        return min(everything), max(everything)


def keys_of(law: Form) -> dict[str, Callable[[Mapping[str, FloatArray]], FloatArray]]:
    """What an audit watches: the plain exponents of a law, and a = beta / (alpha + beta) where it has both over parameters and tokens."""
    found: dict[str, Callable[[Mapping[str, FloatArray]], FloatArray]] = {}
    names = set(law.names)
    if {"alpha", "beta"} <= names and {"parameters", "tokens"} <= {variable.name for variable in law.variables} and "(alpha/beta)" not in law.formula:
        found["a = beta/(alpha+beta)"] = lambda p: np.asarray(p["beta"] / (p["alpha"] + p["beta"]))
    for parameter in law.parameters:
        if not parameter.unit and parameter.name not in law.linear:
            found[parameter.name] = _taken(parameter.name)
    return found or {name: _taken(name) for name in law.names}


def audit(
    law: str | type | Form, table: Table, *, objective: Objective | None = None, weights: str | None = None, run: str | None = None,
    group: str | None = None, order: str | None = None, subsets: Mapping[str, tuple[str, str]] | None = None,
    instead: Mapping[str, Mapping[str, str]] | None = None, replicates: int = 200, seed: int = 0, progress: Callable[[str], None] | None = None,
) -> Audit:  # fmt: skip
    """Fit as asked, then again for each choice.

    Args:
        law: its name, class or form.
        table: as for `fit`.
        objective, weights, seed: as in `fit`.
        run: column that names the run of a row; with it, final checkpoints alone and the naive interval are looked at where runs repeat.
        group: column of groups of which only the lowest target is kept in `best of each`, such as the size with all its learning rates.
        order: column of cost; see `prepare.order_of`.
        subsets: name -> (column, value): rows where a column has a value.
        instead: name -> {variable: column}: other columns for variables, such as parameters without embeddings.
        replicates: of the bootstraps, 0 for none.
        progress: called with the name of each choice before it is fitted.

    Raises:
        UsageError, DataError: the fit as asked is impossible, or a column is missing. A choice that cannot be fitted says so in its row.
    """
    known = law if isinstance(law, Form) else form(law)
    chosen = objective or objective_of(known)
    say = progress or (lambda _: None)
    say("as asked")
    asked = fit(known, table, objective=chosen, weights=weights, seed=seed)
    keys = keys_of(known)
    repeated = run is not None and np.unique(table.label(run)).size < len(table)
    draws = None
    if replicates:
        say("bootstrap")
        draws = bootstrap(asked, replicates=replicates, cluster=run if repeated else None, seed=seed)
    first = next(iter(keys))
    interval = percentiles(draws.of(keys[first])) if draws else None

    def varied(name: str, law: Form, rows: Table, objective: Objective) -> Variation:
        say(name)
        try:
            found = fit(law, rows, objective=objective, weights=weights, seed=seed)
        except OutthinkError as error:  # told in the row
            return Variation(name, len(rows), {}, None, (), str(error))
        values = _values(found, keys)
        outside = None if interval is None or first not in values else not interval[0] <= values[first] <= interval[1]
        return Variation(name, found.rows, values, outside, tuple(f.text for f in found.flags if f.kind in _SUSPECT))

    table_rows = [
        (name, known, rows, chosen) for name, rows in _selections(asked, table, run if repeated else None, group, order, subsets or {}, instead or {})
    ]
    objectives = [(name, known, table, one) for name, one in _objectives(chosen)]
    tied = forms().get(f"{known.name}-tied")
    laws = [("tied exponents", tied, table, chosen)] if tied else []
    variations = [Variation("as asked", asked.rows, _values(asked, keys), None, tuple(f.text for f in asked.flags if f.kind in _SUSPECT))]
    variations += [varied(*one) for one in (*table_rows, *objectives, *laws)]
    naive: list[Naive] = []
    if repeated and draws is not None:
        say("bootstrap as if rows were runs")
        alone = bootstrap(asked, replicates=replicates, seed=seed)
        naive = [Naive(name, percentiles(draws.of(key)), percentiles(alone.of(key))) for name, key in keys.items()]
    return Audit(asked, tuple(keys), draws, tuple(variations), tuple(naive))


_SUSPECT = ("degenerate", "at_bound", "not_unique", "not_converged")


def _taken(name: str) -> Callable[[Mapping[str, FloatArray]], FloatArray]:
    return lambda values: values[name]


def _values(found: Fit, keys: Mapping[str, Callable[[Mapping[str, FloatArray]], FloatArray]]) -> dict[str, float]:
    arrays = {name: np.asarray(value) for name, value in found.values.items()}
    if "alpha" in arrays and "beta" not in arrays:  # tied
        arrays["beta"] = arrays["alpha"]
    return {name: float(key(arrays)) for name, key in keys.items() if name in arrays or name.startswith("a = ")}


def _selections(
    asked: Fit, table: Table, run: str | None, group: str | None, order: str | None, subsets: Mapping[str, tuple[str, str]],
    instead: Mapping[str, Mapping[str, str]],
) -> list[tuple[str, Table]]:  # fmt: skip
    known = asked.form
    cost = order_of(known, table, order)
    target = table.column(known.target.name)
    residual = asked.residuals()
    middle = float(np.median(residual))
    spread = 1.4826 * float(np.median(np.abs(residual - middle)))
    near = np.abs(residual - middle) <= OUTLIER * spread
    found: list[tuple[str, Table]] = []
    if run is not None:
        found.append(("last row of each run", table.where(_extreme(table.label(run), cost))))
    if group is not None:
        found.append((f"best of each {group}", table.where(_extreme(table.label(group), -target))))
    if not near.all() and spread > 0.0:
        found.append((f"without {int((~near).sum())} outliers", table.where(near)))
    half = float(np.median(cost))
    found.append(("lower half of compute", table.where(cost <= half)))
    found.append(("upper half of compute", table.where(cost >= half)))
    for name, (column, value) in subsets.items():
        found.append((name, table.where(_equal(table, column, value))))
    for name, columns in instead.items():
        found.append((name, table.with_columns(**{variable: table.column(column) for variable, column in columns.items()})))
    return found


def _objectives(chosen: Objective) -> list[tuple[str, Objective]]:
    found = [(f"{loss} residuals", dataclasses.replace(chosen, loss=loss)) for loss in ("huber", "squared", "absolute") if loss != chosen.loss]
    if chosen.loss == "huber":
        found += [(f"delta {chosen.delta * factor:g}", dataclasses.replace(chosen, delta=chosen.delta * factor)) for factor in (0.1, 10.0)]
    return found


def _extreme(labels: Sequence[str] | np.ndarray[tuple[int], np.dtype[np.str_]], values: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Row numbers of the largest value of each label, in the order of the rows."""
    best: dict[str, int] = {}
    for row, (label, value) in enumerate(zip(map(str, labels), values, strict=True)):
        if label not in best or value > values[best[label]]:
            best[label] = row
    return np.array(sorted(best.values()), dtype=np.int64)


def _equal(table: Table, column: str, value: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    table.require([column])
    if column in table.columns:
        try:
            number = float(value)
        except ValueError as error:
            raise UsageError(f"column {column!r} holds numbers and {value!r} is none") from error
        mask = np.isclose(table.column(column), number, rtol=1e-9, atol=0.0)
    else:
        mask = table.label(column) == value
    if not mask.any():
        kinds = [f"{kind:g}" for kind in np.unique(table.columns[column])] if column in table.columns else sorted(set(map(str, table.label(column))))
        raise UsageError(f"no row has {column} = {value}; it has {', '.join(kinds[:8])}{', ...' if len(kinds) > 8 else ''}")
    return np.asarray(mask)
