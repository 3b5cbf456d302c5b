"""[93] What a training step costs in seconds: bytes moved or operations."""

from __future__ import annotations

from typing import get_args

import numpy as np

from outthink.laws.methods.wall_clock import Proxy, TransformerShape, fit_step_time
from outthink.laws.procedure import Column, Outcome, procedure
from outthink.laws.table import Table

_SHAPE = ("depth", "width", "feed_forward", "heads", "context", "batch", "vocabulary")


@procedure(
    "wall-clock", papers=(93,), title="Seconds of a training step as a line in bytes moved, and in FLOPs",
    columns=(
        Column("depth", "layers"), Column("width", "of the residual stream"), Column("feed_forward", "inner width"), Column("heads", "a layer"),
        Column("context", "tokens a sequence"), Column("batch", "sequences a step"), Column("vocabulary", "tokens"),
        Column("seconds", "measured, of one step after warm-up, on one kind of device"),
    ),
    source="[93]; the count of bytes is ours and stands in `outthink.laws.methods.wall_clock`",
)  # fmt: skip
def run(table: Table, seed: int) -> Outcome:
    """One row a way to count; the lower error on left-out shapes is the one to plan with. Nothing in it is random."""
    depth, width, inner, heads, context, batch, vocabulary = (table.column(name).astype(int).tolist() for name in _SHAPE)
    shapes = [TransformerShape(*shape) for shape in zip(depth, width, inner, heads, context, batch, vocabulary, strict=True)]
    rows = []
    for proxy in get_args(Proxy):
        found = fit_step_time([shape.of(proxy) for shape in shapes], table.column("seconds"), proxy)
        rows.append({
            "seconds by": proxy, "fixed (s)": found.fixed, "seconds a unit": found.rate, "R²": found.r2,
            "error left out": float(np.abs(found.left_out).mean()),
        })  # fmt: skip
    best = min(rows, key=lambda row: row["error left out"])
    return Outcome(tuple(rows), (f"plan with {best['seconds by']}: mean error {best['error left out']:.1%} on shapes left out",))
