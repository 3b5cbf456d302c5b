"""[101] Which pretrained model to fine-tune, predicted from small tunings."""

from __future__ import annotations

import numpy as np

from outthink.core.errors import DataError
from outthink.laws.methods.selection import accept_then_stop
from outthink.laws.procedure import Column, Outcome, procedure
from outthink.laws.table import Table


@procedure(
    "accept-then-stop", papers=(101,), title="Accept, then stop: the model to fine-tune, from its losses on small parts of the data",
    columns=(
        Column("model", "the candidate", "label"),
        Column("samples", "examples tuned on; the same sizes for every model"),
        Column("loss", "after that tuning, above 0"),
        Column("full", "examples of the whole data set, the same in every row"),
    ),
    source="[101] section 5, k = 3, delta = 5",
)  # fmt: skip
def run(table: Table, seed: int) -> Outcome:
    """One row a model, the best first. Nothing in it is random."""
    models, row = np.unique(table.label("model"), return_inverse=True)
    sizes, column = np.unique(table.column("samples"), return_inverse=True)
    losses = np.full((models.size, sizes.size), np.nan)
    losses[row, column] = table.column("loss")
    if np.isnan(losses).any() or len(table) != losses.size:
        raise DataError(
            f"{table.source}: {models.size} models at {sizes.size} sizes need {losses.size} rows, one for each pair; there are {len(table)}"
        )
    full = np.unique(table.column("full"))
    if full.size != 1:
        raise DataError(f"{table.source}: column 'full' must be the same in every row, got {full.size} values")
    predicted = accept_then_stop(sizes, losses, float(full[0]))
    return Outcome(tuple({"model": str(models[i]), "predicted loss": float(predicted[i])} for i in np.argsort(predicted)))
