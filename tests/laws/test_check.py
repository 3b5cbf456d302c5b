from __future__ import annotations

import numpy as np
import pytest

from outthink.core.errors import DataError, UsageError
from outthink.laws.check import checked, suspicious
from outthink.laws.fit import fit
from outthink.laws.form import form
from outthink.laws.objective import Objective
from outthink.laws.table import Table, table_of

CHINCHILLA = form("chinchilla")


def runs(rows: int = 20, **other: object) -> Table:
    rng = np.random.default_rng(0)
    n, d = 10.0 ** rng.uniform(7, 10, rows), 10.0 ** rng.uniform(9, 12, rows)
    columns = {"parameters": n, "tokens": d, "loss": 1.8 + 480 * n**-0.35 + 2100 * d**-0.37, "note": np.full(rows, np.nan)}
    return table_of({**columns, **other})  # type: ignore[dict-item]


def changed(name: str, row: int, value: float) -> Table:
    table = runs()
    column = table.column(name).copy()
    column[row] = value
    return table.with_columns(**{name: column})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (changed("loss", 3, -1.0), r"row 4, column 'loss' is -1; it must be above 0"),
        (changed("loss", 3, 0.0), r"row 4, column 'loss' is 0; it must be above 0 \(0 itself has no logarithm here\)"),
        (changed("tokens", 5, np.nan), r"row 6, column 'tokens' is empty or NaN"),
        (changed("tokens", 5, np.inf), r"row 6, column 'tokens' is infinite"),
        (changed("tokens", 5, -7.4e18), r"overflowed in 64-bit integers"),
    ],
)
def test_bad_cells_are_named(table: Table, said: str) -> None:
    with pytest.raises(DataError, match=said):
        fit("chinchilla", table)


def test_an_empty_cell_in_an_unused_column_does_not_matter() -> None:
    assert checked(CHINCHILLA, runs()).column("note").size == 20
    with pytest.raises(DataError, match="column 'note' is empty"):
        fit("chinchilla", runs(), weights="note")


def test_one_row_and_one_size_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="more than one row"):
        fit("chinchilla", runs(1))
    with pytest.raises(UsageError, match=r"every one of the 20 rows has parameters = 1e\+09: .* cannot identify its exponent"):
        fit("chinchilla", runs(parameters=np.full(20, 1e9)))
    assert fit("chinchilla", runs(parameters=np.full(20, 1e9)), fixed={"A": 480.0, "alpha": 0.35}).rows == 20


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"parameters": 10.0 ** np.linspace(1, 4, 20) / 1.001}, "parameters goes up to 9990.01 only"),  # in millions
        ({"tokens": np.linspace(1, 1000, 20)}, "tokens goes up to 1000 only"),  # in billions
        ({"tokens": 10.0 ** np.linspace(18, 22, 20)}, "is it FLOPs"),
        ({"loss": np.linspace(20, 60, 20)}, "a perplexity, or percent"),
    ],
)
def test_units_that_look_off_are_flagged(columns: dict[str, np.ndarray], said: str) -> None:
    texts = [flag.text for flag in suspicious(CHINCHILLA, runs(**columns)) if flag.kind == "units"]
    assert len(texts) == 1
    assert said in texts[0]


def test_usual_units_raise_no_flag_and_few_rows_do() -> None:
    assert suspicious(CHINCHILLA, runs()) == ()
    (flag,) = suspicious(CHINCHILLA, runs(9))
    assert flag.kind == "few_rows"
    assert "9 rows for 5 parameters" in flag.text


def test_a_scale_without_the_value_names_it() -> None:
    table = table_of({"x": [1.0, 2.0, 3.0], "loss": [0.5, 1.0, 0.2]})
    with pytest.raises(DataError, match=r"row 2, column 'loss' is 1, which has no logit"):
        fit("power", table, objective=Objective(scale="logit"))
