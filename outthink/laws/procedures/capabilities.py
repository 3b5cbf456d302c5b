"""[125] Principal components of benchmark scores: how many capabilities a table of models shows, and what each is made of."""

from __future__ import annotations

from outthink.laws.methods.capability import fit_capabilities
from outthink.laws.procedure import Column, Outcome, procedure, shares
from outthink.laws.table import Table

_NAMED = ("parameters", "tokens", "flops")


@procedure(
    "capabilities", papers=(125,), title="Observational laws: principal components of benchmark scores",
    columns=(Column("benchmarks", "every column of scores in [0, 1]; gaps are filled from the others", "others"),),
    source="[125] section 3.2, three components, gaps filled by iterated components of rank 1",
)  # fmt: skip
def run(table: Table, seed: int) -> Outcome:
    """One row a benchmark: its weight in each component. Nothing in it is random."""
    benchmarks = shares(table, _NAMED)
    found = fit_capabilities(table, benchmarks, components=min(3, len(benchmarks), len(table) - 1))
    rows: list[dict[str, float | str]] = []
    for place, name in enumerate(benchmarks):
        weights: dict[str, float | str] = {f"component {number + 1}": float(one[place]) for number, one in enumerate(found.components)}
        rows.append({"benchmark": name, **weights})
    explained = ", ".join(f"{100 * share:.1f}%" for share in found.explained)
    return Outcome(tuple(rows), (f"the components explain {explained} of the variance over {len(table)} models",))
