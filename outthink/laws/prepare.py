"""What every command on a law does first: the objective that suits the law, which rows belong to one run, and the order of the rows by compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from outthink.core.errors import DataError
from outthink.laws.form import Form, Link
from outthink.laws.objective import Objective
from outthink.laws.table import Table
from outthink.stats._arrays import FloatArray

COMPUTE = ("flops", "compute", "C")
"""Columns that order the rows where the law itself has no parameters and tokens."""


def relative(form: Form) -> bool:
    """Whether errors of a law are relative, log(predicted / observed), or plain differences: for shares, and targets that may be 0 or below."""
    return form.target.low >= 0.0 and form.target.open_low and form.target.unit != "share"


def objective_of(form: Form, *, loss: str | None = None, delta: float = 1e-3, overestimate: float = 1.0, reduction: str = "sum") -> Objective:
    """The objective that is minimised where nobody says which.

    Coverage is fitted by least squares on its double logarithm, as the published exponents are, and a law that is linear there or on a logit
    likewise; one of another share by least squares on the share itself; every other by Huber on logarithms, as the Chinchilla fits are.

    Args:
        form: of the law.
        loss: huber, squared or absolute, to have another one on the same scale.
        delta, overestimate, reduction: as in `Objective`.
    """
    scale: Link
    if form.target.name == "coverage":
        scale, usual = "loglog", "squared"
    elif form.link in ("loglog", "logit"):
        scale, usual = form.link, "squared"
    elif relative(form):
        scale, usual = "log", "huber"
    else:
        scale, usual = "identity", "squared"
    return Objective(scale, loss or usual, delta, overestimate, reduction)  # type: ignore[arg-type]  # Objective checks the words


def with_label(table: Table, columns: Sequence[str], name: str) -> Table:
    """The table with a text column `name` that is equal for rows which agree in all of `columns`.

    Raises:
        UsageError: a column is not there; says which there are.
    """
    table.require(list(columns))
    parts = [table.label(column) for column in columns]
    joined = np.array([", ".join(map(str, cells)) for cells in zip(*parts, strict=True)])
    kept = {column: values for column, values in table.columns.items() if column != name}
    return Table(kept, {**table.labels, name: joined}, table.source, table.lines)


def order_of(form: Form, table: Table, column: str | None = None) -> FloatArray:
    """(rows,) the logarithm of what a row cost, by which extrapolation is told from interpolation.

    Args:
        form: of the law.
        table: with its variables.
        column: the cost itself, above 0; None takes 6 parameters * tokens where the law has both, else a column named flops, compute or C, else the
            product of the law's variables.

    Raises:
        DataError: a cost is 0, below or empty.
    """
    names = [variable.name for variable in form.variables]
    if column is not None:
        chosen = [column]
    elif {"parameters", "tokens"} <= set(names):
        chosen = ["parameters", "tokens"]
    else:
        chosen = next(([name] for name in COMPUTE if name in table.columns), names)
    total = np.zeros(len(table))
    for name in chosen:
        values = table.column(name)
        bad = np.flatnonzero(~(values > 0.0) | ~np.isfinite(values))
        if bad.size and column is not None:
            raise DataError(f"{table.place(int(bad[0]))}, column {name!r} is {values[bad[0]]:g}; rows are ordered by it, so it must be above 0")
        total += np.where(values > 0.0, np.log(np.where(values > 0.0, values, 1.0)), 0.0)
    return total
