"""[140] Whether the better of two methods at small scale stays better, and where they cross."""

from __future__ import annotations

import numpy as np

from outthink.core.errors import DataError
from outthink.laws.fit import fit
from outthink.laws.methods.crossover import crossover
from outthink.laws.procedure import Column, Outcome, procedure
from outthink.laws.table import Table


@procedure(
    "crossover", papers=(140,), title="Crossover: which of two methods has the lower loss, up to a hundred times beyond the data",
    columns=(
        Column("method", "exactly two, with runs at the same resources", "label"),
        Column("x", "resource: parameters, tokens or FLOPs"),
        Column("loss", "of the run, above 0"),
    ),
    source="[140]; a power law above a floor for each method, refitted to the same draws of the runs",
)  # fmt: skip
def run(table: Table, seed: int) -> Outcome:
    """One row of numbers, and the verdict."""
    methods = np.unique(table.label("method"))
    if methods.size != 2:
        raise DataError(f"{table.source}: a crossover is between two methods, got {methods.size}: {', '.join(map(str, methods))}")
    parts = [table.where(table.label("method") == method) for method in methods]
    ordered = [part.where(np.argsort(part.column("x"), kind="stable")) for part in parts]
    if not np.array_equal(ordered[0].column("x"), ordered[1].column("x")):
        raise DataError(f"{table.source}: runs of {methods[0]} and {methods[1]} must have the same x, since they are drawn in pairs")
    found = crossover(fit("power-floor", ordered[0], seed=seed), fit("power-floor", ordered[1], seed=seed), seed=seed)
    named = {"first": str(methods[0]), "second": str(methods[1])}
    row: dict[str, float | str] = {
        "crosses at": found.place, "low": found.interval[0], "high": found.interval[1], "probability of a crossing": found.crosses,
        f"probability that {methods[0]} leads at the end": found.first_ahead, "end": found.horizon,
    }  # fmt: skip
    return Outcome((row,), (f"verdict: {named.get(found.verdict, found.verdict)}",))
