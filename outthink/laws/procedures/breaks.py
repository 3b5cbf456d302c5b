"""[112] Whether a power law changes its exponent, and where."""

from __future__ import annotations

from outthink.laws.methods.breaks import find_break
from outthink.laws.procedure import Column, Outcome, procedure
from outthink.laws.table import Table


@procedure(
    "break", papers=(112, 122), title="One power law or two: a change of exponent, by BIC and by permutations",
    columns=(Column("x", "resource: FLOPs, parameters, tokens; above 0"), Column("loss", "above 0")),
    source="two lines in log-log that meet, against one ([112] looks for a break below 2.2e15 FLOPs)",
)  # fmt: skip
def run(table: Table, seed: int) -> Outcome:
    """One row: the place of the break and the exponents on its sides. The points at the ends of an envelope are no evidence for a break."""
    found = find_break(table.column("x"), table.column("loss"), seed=seed)
    row = {"x": found.at, "exponent before": -found.before, "exponent after": -found.after, "one exponent": -found.slope}
    said = f"BIC of one line less that of two {found.bic_gain:.2f}, p {found.p_value:.3g} by permutations, {found.points} points"
    return Outcome((row,), (f"{'a break' if found.found() else 'no break is shown'}: {said}",))
