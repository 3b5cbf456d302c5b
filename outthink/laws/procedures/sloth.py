"""[86] Sloth: two latent skills behind many benchmarks, and what each skill loads on."""

from __future__ import annotations

import numpy as np

from outthink.laws.methods.sloth import fit_sloth
from outthink.laws.procedure import Column, Outcome, procedure, shares
from outthink.laws.table import Table

_NAMED = ("parameters", "tokens", "flops")


@procedure(
    "sloth", papers=(86,), title="Sloth: skills of model families behind many benchmarks, by size and data",
    columns=(
        Column("family", "the model's family; each has its own efficiency", "label"),
        Column("parameters", "size of the model, raw count"),
        Column("tokens", "training tokens, raw count"),
        Column("benchmarks", "every other column of scores in [0, 1]; models that lack one are left out", "others"),
    ),
    source="[86] sections 3.1 and 3.2, two skills, family intercepts",
)  # fmt: skip
def run(table: Table, seed: int) -> Outcome:
    """One row a benchmark: loadings on the two skills, made uncorrelated, and the error of the fit."""
    benchmarks = shares(table, _NAMED)
    found = fit_sloth(table, benchmarks, skills=2, seed=seed)
    scores = np.column_stack([table.column(name) for name in benchmarks])
    inputs = np.column_stack([table.column("parameters"), table.column("tokens")])
    whole = table.where(np.isfinite(scores).all(axis=1) & np.isfinite(inputs).all(axis=1))
    turned = found.whitened(whole)
    errors = np.abs(turned(whole) - np.column_stack([whole.column(name) for name in benchmarks])).mean(axis=0)
    rows: list[dict[str, float | str]] = []
    for i, name in enumerate(benchmarks):
        loadings = {f"skill {skill + 1}": float(turned.loadings[skill, i]) for skill in range(2)}
        rows.append({"benchmark": name, **loadings, "mean error": float(errors[i])})
    return Outcome(tuple(rows), (f"{len(whole)} of {len(table)} models have all columns; {len(found.families)} families; errors are in sample",))
