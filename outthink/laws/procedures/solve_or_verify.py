"""[22] How to split inference between solving and verifying, from measured accuracies."""

from __future__ import annotations

import numpy as np

from outthink.core.errors import DataError
from outthink.laws.methods.solve_verify import Grid, compute
from outthink.laws.procedure import Column, Outcome, procedure
from outthink.laws.table import Table


@procedure(
    "solve-or-verify", papers=(22,), title="Solutions and verifications that are best at each inference budget, and how both grow with it",
    columns=(
        Column("solutions", "S, samples a problem"), Column("verifications", "V, verdicts a solution, 1 or more"),
        Column("accuracy", "of the best of S by the mean of V verdicts, a share"),
        Column("ratio", "tokens of a verification over tokens of a solution, the same in every row"),
    ),
    source="[22] section 4: compute S (1 + ratio V), in solutions",
)  # fmt: skip
def run(table: Table, seed: int) -> Outcome:
    """One row a configuration that no cheaper one beats. Nothing in it is random."""
    solutions, verifications = (table.column(name).astype(np.int64) for name in ("solutions", "verifications"))
    ratio = np.unique(table.column("ratio"))
    if ratio.size != 1:
        raise DataError(f"{table.source or 'the table'}: column 'ratio' must be the same in every row, got {ratio.size} values")
    cost = np.array([compute(int(s), int(v), float(ratio[0])) for s, v in zip(solutions, verifications, strict=True)])
    grid = Grid(solutions, verifications, cost, table.column("accuracy"))
    rows = tuple(
        {
            "compute": float(cost[row]), "solutions": float(solutions[row]), "verifications": float(verifications[row]),
            "accuracy": float(grid.accuracy[row]),
        }
        for row in grid.frontier()
    )  # fmt: skip
    more, checks = grid.exponents(np.unique(cost))
    said = (
        f"solutions grow as compute^{more.exponent:.3f} and verifications as compute^{checks.exponent:.3f} over {more.points} budgets inside the grid"
    )
    return Outcome(rows, (said,))
