"""[114] What a larger run should reach, from small ones, and whether it did."""

from __future__ import annotations

from collections.abc import Mapping

from outthink.core.errors import DataError
from outthink.laws.methods.alarm import forecast
from outthink.laws.procedure import Column, Outcome, procedure
from outthink.laws.table import Table


@procedure(
    "forecast", papers=(114,), title="The loss of the largest size predicted from the smaller ones, and runs that did not converge",
    columns=(Column("parameters", "size of each run; runs of one size are its seeds"), Column("loss", "of each run at its end, above 0")),
    source="[114]: hierarchical bootstrap over sizes and seeds, 90% interval of one new run",
)  # fmt: skip
def run(table: Table, seed: int) -> Outcome:
    """One row a run of the largest size. A run above the interval has probably not converged; the law itself may fail near chance or a floor."""
    sizes, losses = table.column("parameters"), table.column("loss")
    largest = sizes.max()
    small = sizes < largest
    if not small.any():
        raise DataError(f"{table.source or 'the table'}: all runs have {largest:g} parameters; a forecast needs smaller ones")
    told = forecast(sizes[small], losses[small], float(largest), seed=seed)
    rows: tuple[Mapping[str, float | str], ...] = tuple(
        {
            "parameters": float(largest), "loss": float(loss), "predicted": told.loss, "low": told.low, "high": told.high,
            "verdict": _verdict(told.low, told.high, float(loss)),
        }
        for loss in losses[~small]
    )  # fmt: skip
    return Outcome(rows, (f"loss falls as parameters^{told.slope:.4f} over {told.sizes} smaller sizes, R² {told.r2:.3f} (high on few points)",))


def _verdict(low: float, high: float, loss: float) -> str:
    if loss > high:
        return "worse than the small ones promise"
    return "better than the small ones promise" if loss < low else "as predicted"
