"""What a table must be before a law is fitted to it, and what looks wrong with it all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from outthink.core.errors import DataError, UsageError
from outthink.laws.form import Form, Variable
from outthink.laws.objective import RANGES, Objective
from outthink.laws.table import Table
from outthink.stats._arrays import FloatArray

Kind = Literal["degenerate", "at_bound", "not_unique", "not_converged", "few_rows", "units", "constant"]


@dataclass(frozen=True)
class Flag:
    """A warning about a fit or its data.

    Args:
        kind: what it is about, for programs.
        text: one sentence.
    """

    kind: Kind
    text: str


def checked(form: Form, table: Table, objective: Objective | None = None, *, extra: tuple[str, ...] = (), some_fixed: bool = False) -> Table:
    """The table, if a law can be fitted to the columns that it reads.

    Args:
        form: of the law.
        table: may have other columns, whose empty cells do not matter.
        objective: of the fit; its scale limits what may be observed.
        extra: further columns that are read, such as weights.
        some_fixed: parameters are held fixed, so that a variable which does not vary may be meant.

    Raises:
        UsageError: columns are missing; there is one row; a variable does not vary, so that its exponent cannot be found.
        DataError: a cell is empty, not a number, or outside the range of its variable; names file, line and column.
    """
    names = [variable.name for variable in (*form.variables, form.target)]
    table.require([*names, *extra])
    for variable in (*form.variables, form.target):
        _in_range(table, variable, table.column(variable.name))
    for name in extra:
        _finite(table, name, table.column(name))
    if objective is not None:
        _on_scale(table, form, objective)
    if len(table) < 2:
        raise UsageError(
            f"a fit of {form.name!r} needs more than one row to tell its parameters apart; {table.source or 'the table'} has {len(table)}"
        )
    for variable in form.variables:
        values = table.column(variable.name)
        # unique tokens may stay while tokens vary: the ratio does
        alike = [other for other in form.variables if other is not variable and other.unit and other.unit == variable.unit]
        varies = any(np.ptp(table.column(other.name)) > 0.0 for other in alike)
        if not some_fixed and not varies and values.min() == values.max():
            raise UsageError(
                f"every one of the {len(table)} rows has {variable.name} = {values[0]:g}: a variable that does not vary cannot identify "
                f"its exponent in {form.name!r}; add rows with other {variable.name}, fit a law without it, or hold its parameters fixed"
            )
    return table


def suspicious(form: Form, table: Table) -> tuple[Flag, ...]:
    """Units that look off by 10^3, 10^6 or 10^9, losses that look like perplexities or percent, and too few rows."""
    flags = []
    for variable in form.variables:
        values = table.column(variable.name)
        most = float(values.max())
        for unit, least, words in (("parameters", 1e4, "a language model has 1e6 to 1e12"), ("tokens", 1e5, "training takes 1e7 to 1e14"),
                                   ("FLOPs", 1e9, "training takes 1e13 to 1e26")):  # fmt: skip
            if variable.unit == unit and most < least:
                flags.append(
                    Flag("units", f"{variable.name} goes up to {most:g} only, where {words}: is it in millions or billions? give raw counts")
                )
            if variable.unit == unit and unit != "FLOPs" and float(np.median(values)) > 1e17:
                flags.append(Flag("units", f"{variable.name} has a median of {np.median(values):.3g}, beyond any {unit} so far: is it FLOPs?"))
    observed = table.column(form.target.name)
    if form.target.unit == "nats per token" and float(np.median(observed)) > 12.0:
        flags.append(
            Flag(
                "units", f"{form.target.name} has a median of {np.median(observed):.3g} where nats per token lie below 12: a perplexity, or percent?"
            )
        )
    count = len(form.names)
    if len(table) < 2 * count:
        flags.append(Flag("few_rows", f"{len(table)} rows for {count} parameters: at least {2 * count} are needed to say anything about errors"))
    return tuple(flags)


def _finite(table: Table, name: str, values: FloatArray) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        what = "empty or NaN" if np.isnan(values[bad[0]]) else "infinite"
        more = f" ({bad.size} such cells in all)" if bad.size > 1 else ""
        raise DataError(f"{table.place(int(bad[0]))}, column {name!r} is {what}{more}; fill it in or leave the row out")


def _in_range(table: Table, variable: Variable, values: FloatArray) -> None:
    _finite(table, variable.name, values)
    below = values <= variable.low if variable.open_low else values < variable.low
    bad = np.flatnonzero(below | (values > variable.high))
    if not bad.size:
        return
    value = float(values[bad[0]])
    hint = ""
    if value < 0.0 and float(np.abs(values).max()) > 1e15:
        hint = " (a count that overflowed in 64-bit integers? compute it in float64)"
    elif variable.high == 1.0 and 1.0 < float(values.max()) <= 100.0:
        hint = " (a percentage? divide by 100)"
    elif variable.open_low and value == variable.low:
        hint = f" ({variable.low:g} itself has no logarithm here)"
    left, right = "above" if variable.open_low else "at least", f" and at most {variable.high:g}" if np.isfinite(variable.high) else ""
    more = f", and {bad.size - 1} more" if bad.size > 1 else ""
    raise DataError(f"{table.place(int(bad[0]))}, column {variable.name!r} is {value:g}{more}; it must be {left} {variable.low:g}{right}{hint}")


def _on_scale(table: Table, form: Form, objective: Objective) -> None:
    low, high = RANGES[objective.scale]
    values = table.column(form.target.name)
    bad = np.flatnonzero((values <= low) | (values >= high))
    if bad.size:
        raise DataError(
            f"{table.place(int(bad[0]))}, column {form.target.name!r} is {values[bad[0]]:g}, which has no {objective.scale}; leave the "
            f"{bad.size} such row{'s' if bad.size > 1 else ''} out, or fit on another scale"
        )
