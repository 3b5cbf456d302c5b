from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import DataError, UsageError
from outthink.laws.table import read_table, table_of


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_the_same_rows_in_every_format_are_the_same_table(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars", reason="parquet needs the extra `tables`")
    rows = [{"n": 10, "loss": 2.5, "run": "a"}, {"n": 20, "loss": 2.25, "run": "b"}]
    csv = "n,loss,run\n10,2.5,a\n\n20,2.25,b\n"
    files = [
        write(tmp_path, "t.csv", csv),
        write(tmp_path, "t.csv.gz", csv),
        write(tmp_path, "t.tsv", csv.replace(",", "\t")),
        write(tmp_path, "t.jsonl", "\n".join(map(json.dumps, rows)) + "\n"),
        write(tmp_path, "records.json", json.dumps(rows)),
        write(tmp_path, "columns.json", json.dumps({name: [row[name] for row in rows] for name in rows[0]})),
        tmp_path / "t.parquet",
    ]
    polars.DataFrame(rows).write_parquet(files[-1])
    for path in files:
        table = read_table(path)
        np.testing.assert_array_equal(table.column("n"), [10.0, 20.0], err_msg=path.name)
        assert table.column("n").dtype == np.float64
        assert table.column("loss").tolist() == [2.5, 2.25]
        assert table.label("run").tolist() == ["a", "b"]
        assert len(table) == 2


def test_integers_that_would_overflow_become_floats_at_the_door() -> None:
    parameters, tokens = np.array([70_000_000_000]), np.array([1_400_000_000_000])
    table = table_of({"n": parameters, "d": tokens, "huge": [10**25]})
    assert (6 * parameters * tokens)[0] < 0  # what a script gets
    assert (6 * table.column("n") * table.column("d"))[0] == pytest.approx(5.88e23)
    assert table.column("huge")[0] == 1e25


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.csv", "n,loss\n1,2\n3\n", "t.csv, line 3: 1 cells where the headings name 2"),
        ("t.csv", "", "it is empty"),
        ("t.csv", "n,loss\n", "no rows below its headings n, loss"),
        ("t.csv", 'n,loss\n1,"2\n', "line 2: unexpected end of data"),
        ("t.csv", "n,n\n1,2\n", "'n' twice"),
        ("t.jsonl", '{"n": 1}\n{"n": \n', "t.jsonl, line 2: not JSON"),
        ("t.jsonl", '{"n": 1}\n[1]\n', "line 2: a list where an object is expected"),
        ("t.json", '{"n": [1, 2], "loss": [1]}', "lists of one length"),
        ("t.json", "3", "a int where a list of records"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said.replace("[", r"\[")):
        read_table(write(tmp_path, name, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(UsageError, match=r"cannot read \.xlsx as a table"):
        read_table(tmp_path / "t.xlsx")
    (tmp_path / "t.csv").write_bytes(b"n,loss\n1,2\n\xff,3\n")
    with pytest.raises(DataError, match="line 3: not UTF-8"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path / "t.csv.gz")


def test_a_cell_that_is_no_number_is_named_when_the_column_is_asked_for(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "t.csv", "n,loss\n1,2.0\n2,abc\n"))
    assert table.column("n").tolist() == [1.0, 2.0]
    with pytest.raises(DataError, match=r"t\.csv, line 3, column 'loss': 'abc' is not a number"):
        table.column("loss")


def test_missing_columns_are_all_named_with_what_there_is(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "t.csv", "params,Loss\n1,2.0\n"))
    with pytest.raises(UsageError, match=r"t\.csv has no columns 'parameters', 'loss'; it has 'params', 'Loss'\. Did you mean 'params'\?"):
        table.require(["parameters", "loss"])
    assert read_table(tmp_path / "t.csv", {"params": "parameters"}).column("parameters").tolist() == [1.0]
    with pytest.raises(UsageError, match=r"no column 'parms' to rename; .* Did you mean 'params'\?"):
        read_table(tmp_path / "t.csv", {"parms": "parameters"})


def test_empty_cells_are_nan_and_places_survive_selection(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "t.csv", "n,loss\n1,2.0\n2,\n3,NA\n4,1.0\n"))
    np.testing.assert_array_equal(np.isnan(table.column("loss")), [False, True, True, False])
    assert table.where(table.column("n") > 2).place(0).endswith("line 4")
    assert table_of({"n": [1.0, 2.0]}).place(1) == "row 2"


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(UsageError, match=r"column 'b' has shape \(3,\) and 'a' has shape|'a' has \(2,\)"):
        table_of({"a": [1.0, 2.0], "b": [1.0, 2.0, 3.0]})
    with pytest.raises(UsageError, match="complex128 where numbers are needed"):
        table_of({"a": [1j]})


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_csv_gives_back_every_bit(values: list[float]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        table = read_table(write(Path(folder), "t.csv", "v\n" + "\n".join(map(repr, values)) + "\n"))
    np.testing.assert_array_equal(table.column("v"), values)


def test_numbers_as_labels_tell_runs_apart() -> None:
    assert table_of({"run": [1, 2, 2]}).label("run").tolist() == ["1", "2", "2"]
