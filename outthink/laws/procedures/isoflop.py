"""[111] The best size at each compute budget, read off isoFLOP curves, and how it grows with compute."""

from __future__ import annotations

from outthink.laws.methods.isoflop import growth
from outthink.laws.procedure import Column, Outcome, procedure
from outthink.laws.table import Table


@procedure(
    "isoflop", papers=(96, 111), title="IsoFLOP curves: the best size at each budget, and its growth with compute",
    columns=(
        Column("flops", "the budget; rows of one curve have the same"),
        Column("parameters", "size of the model, raw count"),
        Column("loss", "of the run, above 0"),
    ),
    source="Hoffmann et al. 2022, approach 2; [111] with Akima interpolation in place of a parabola",
)  # fmt: skip
def run(table: Table, seed: int) -> Outcome:
    """One row a budget. Without a noise level the minima are taken as they are, and there is no interval."""
    found = growth(table.column("flops"), table.column("parameters"), table.column("loss"), seed=seed)
    rows = tuple({"flops": one.flops, "parameters": one.parameters, "tokens (C / 6N)": one.flops / (6.0 * one.parameters)} for one in found.minima)
    lost = f"; {len(found.dropped)} budgets have no minimum inside their sizes and are left out" if found.dropped else ""
    return Outcome(rows, (f"parameters = {found.coefficient:.4g} flops^{found.exponent:.4f}, from {len(found.minima)} budgets{lost}",))
