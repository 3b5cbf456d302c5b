"""[98] [122] The shape of a score over model size: rising, falling, U, inverted U or flat."""

from __future__ import annotations

import numpy as np

from outthink.core.errors import DataError
from outthink.laws.methods.trend import trend
from outthink.laws.procedure import Column, Outcome, procedure
from outthink.laws.table import Table


@procedure(
    "trend", papers=(98, 122), title="Trend over size: rising, inverse, U-shaped or flat, with the probability of each",
    columns=(
        Column("parameters", "size of the model, or its training FLOPs"),
        Column("item", "the question; every model must have answered every one", "label"),
        Column("score", "of the model on the item; higher is better"),
    ),
    source="[98] and [122], by Simonsohn's two-lines test, items drawn anew",
)  # fmt: skip
def run(table: Table, seed: int) -> Outcome:
    """One row a shape."""
    sizes, row = np.unique(table.column("parameters"), return_inverse=True)
    items, column = np.unique(table.label("item"), return_inverse=True)
    scores = np.full((sizes.size, items.size), np.nan)
    scores[row, column] = table.column("score")
    if np.isnan(scores).any() or len(table) != scores.size:
        raise DataError(
            f"{table.source}: {sizes.size} sizes and {items.size} items need {scores.size} rows, one for each pair; there are {len(table)}"
        )
    found = trend(sizes, scores, seed=seed)
    turn = f", turning at {found.turn:.3g}" if np.isfinite(found.turn) else ""
    rows = tuple({"shape": shape, "probability": share} for shape, share in found.probabilities.items())
    return Outcome(rows, (f"{found.shape}{turn}, from {found.sizes[0]:.3g} to {found.sizes[1]:.3g} and not beyond",))
