"""Published tables that several tests read; each skips where the data is absent."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from outthink.core import data
from outthink.core.errors import DataError
from outthink.laws.table import Table, read_table


@cache
def replication() -> Table:
    """The 240 points of the Chinchilla replication: those read off the figure less the five highest losses, tokens from C = 6 N D."""
    try:
        path = data.recording("laws/chinchilla-svg", "svg_extracted_data.csv")
    except DataError as absent:
        pytest.skip(str(absent))
    table = read_table(path, {"Model Size": "parameters", "Training FLOP": "flops"})
    table = table.with_columns(tokens=table.column("flops") / (6.0 * table.column("parameters")))
    return table.where(np.sort(np.argsort(table.column("loss"), kind="stable")[:-5]))


@cache
def gemstones(name: str) -> Table:
    """Losses of the Gemstones runs."""
    try:
        path = data.recording("laws/gemstones", f"wandb_df_for_fitting_{name}.jsonl")
    except DataError as absent:
        pytest.skip(str(absent))
    return read_table(path, {"params_active_precise": "parameters", "final_loss": "loss"})
