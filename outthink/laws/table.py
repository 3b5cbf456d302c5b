"""Plain tables of runs: float64 columns and text labels, read from a file or made from arrays, with the line of every cell for messages.

Every number becomes float64 at this door: `6 * parameters * tokens` in int64 overflows on published tables. A column in which any cell is
not a number is kept as text, and asking for it as numbers says which cell that is. An empty cell is NaN, and only a column that somebody
uses must be free of them (`outthink.laws.check`).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outthink.core.errors import DataError, UsageError, nearest, need
from outthink.stats._arrays import FloatArray

TextArray = NDArray[np.str_]

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-"})


@dataclass(frozen=True)
class Table:
    """Columns of one length.

    Args:
        columns: (rows,) float64 by name; NaN where a cell is empty.
        labels: (rows,) text by name, for columns that are not numbers: run ids, families.
        source: the file, for messages; "" for arrays.
        lines: (rows,) number of each row's line in the file; None counts rows from 1.
    """

    columns: Mapping[str, FloatArray]
    labels: Mapping[str, TextArray] = field(default_factory=dict)
    source: str = ""
    lines: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        sizes = {name: array.shape for name, array in {**self.columns, **self.labels}.items()}
        if not sizes:
            raise UsageError(f"{self.source or 'the table'} has no columns")
        name, shape = next(iter(sizes.items()))
        for other, found in sizes.items():
            if len(found) != 1 or found != shape:
                raise UsageError(f"column {other!r} has shape {found} and {name!r} has {shape}; all must be vectors of one length")

    def __len__(self) -> int:
        return int(next(iter({**self.columns, **self.labels}.values())).size)

    @property
    def names(self) -> list[str]:
        """Names of all columns, numbers first."""
        return [*self.columns, *self.labels]

    def place(self, row: int) -> str:
        """Where a row stands, for messages: `runs.csv, line 17`, or `row 3`."""
        if self.lines is None:
            return f"row {row + 1}" + (f" of {self.source}" if self.source else "")
        return f"{self.source}, line {self.lines[row]}"

    def column(self, name: str) -> FloatArray:
        """(rows,) numbers.

        Raises:
            UsageError: there is no such column; says which there are.
            DataError: it is text; names the first cell that is not a number.
        """
        if name in self.columns:
            return self.columns[name]
        if name not in self.labels:
            raise UsageError(self._missing([name]))
        cells = self.labels[name]
        row = next((row for row, cell in enumerate(cells) if _number(str(cell)) is None), 0)
        raise DataError(f"{self.place(row)}, column {name!r}: {str(cells[row])!r} is not a number")

    def label(self, name: str) -> TextArray:
        """(rows,) text; a column of numbers is written out, so that run ids may be numbers.

        Raises:
            UsageError: there is no such column.
        """
        if name in self.labels:
            return self.labels[name]
        if name not in self.columns:
            raise UsageError(self._missing([name]))
        return np.array([f"{value:.17g}" for value in self.columns[name]])

    def require(self, names: Sequence[str]) -> None:
        """Raise UsageError naming every one of `names` that is not there."""
        if missing := [name for name in names if name not in self.columns and name not in self.labels]:
            raise UsageError(self._missing(missing))

    def where(self, mask: ArrayLike) -> Table:
        """The rows of a (rows,) boolean mask, or of row numbers in the order given (repeats are allowed)."""
        chosen = np.asarray(mask)
        return Table(
            {name: array[chosen] for name, array in self.columns.items()},
            {name: array[chosen] for name, array in self.labels.items()},
            self.source,
            None if self.lines is None else self.lines[chosen],
        )

    def with_columns(self, **columns: ArrayLike) -> Table:
        """The table with more (rows,) columns of numbers, or others in the place of those with the same name."""
        added = {name: _floats(name, values) for name, values in columns.items()}
        labels = {name: array for name, array in self.labels.items() if name not in added}
        return Table({**self.columns, **added}, labels, self.source, self.lines)

    def _missing(self, missing: list[str]) -> str:
        many = "s" if len(missing) > 1 else ""
        wanted = ", ".join(map(repr, missing))
        hint = "".join(text for name in missing if "Did you mean" in (text := nearest(name, self.names)))
        return f"{self.source or 'the table'} has no column{many} {wanted}; it has {', '.join(map(repr, self.names))}.{hint}"


def table_of(columns: Mapping[str, ArrayLike | Sequence[str]], source: str = "") -> Table:
    """A table from arrays or lists; text becomes labels, integers of any kind float64.

    Raises:
        UsageError: a column is neither numbers nor text, or they differ in length.
    """
    numbers: dict[str, FloatArray] = {}
    labels: dict[str, TextArray] = {}
    for name, values in columns.items():
        array = np.asarray(values)
        if array.dtype.kind == "U":
            labels[name] = array
        else:
            numbers[name] = _floats(name, array)
    return Table(numbers, labels, source)


def read_table(path: str | Path, rename: Mapping[str, str] | None = None) -> Table:
    """A table from a file: .csv, .tsv, .jsonl, .json (records, or lists by column), each also .gz, or .parquet (needs the extra `tables`).

    Args:
        path: the file.
        rename: heading in the file -> name here.

    Raises:
        DataError: the file cannot be read, is empty, or a line is broken; names file and line.
        UsageError: the ending is not one of these, or a heading to be renamed is not there.
    """
    path = Path(path)
    kind = path.suffixes[-2] if path.suffix == ".gz" and len(path.suffixes) > 1 else path.suffix
    if kind == ".parquet":
        headings, rows, lines = _parquet(path)
    elif kind in (".csv", ".tsv"):
        headings, rows, lines = _csv(path, _text(path), "\t" if kind == ".tsv" else ",")
    elif kind in (".jsonl", ".json"):
        headings, rows, lines = _records(path, _text(path), by_line=kind == ".jsonl")
    else:
        raise UsageError(f"{path}: cannot read {kind or 'a file without ending'} as a table; give .csv, .tsv, .jsonl, .json or .parquet")
    if not rows:
        raise DataError(f"{path} has no rows" + (f" below its headings {', '.join(headings)}" if headings else ": it is empty"))
    given = dict(rename or {})
    if absent := [name for name in given if name not in headings]:
        raise UsageError(f"{path} has no column {absent[0]!r} to rename; it has {', '.join(map(repr, headings))}.{nearest(absent[0], headings)}")
    names = [given.get(heading, heading) for heading in headings]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"{path} has the column {twice!r} twice" + (" after renaming" if given else ""))
    numbers: dict[str, FloatArray] = {}
    labels: dict[str, TextArray] = {}
    for name, heading in zip(names, headings, strict=True):
        cells = [row.get(heading) for row in rows]
        values = [_number(cell) for cell in cells]
        if any(value is None for value in values):
            labels[name] = np.array([cell if isinstance(cell, str) else json.dumps(cell) for cell in cells])
        else:
            numbers[name] = np.array(values, dtype=np.float64)
    return Table(numbers, labels, str(path), np.array(lines, dtype=np.int64))


Row = dict[str, object]


def _number(cell: object) -> float | None:
    """A cell as a number, NaN if it is empty, None if it is neither."""
    if cell is None:
        return math.nan
    if isinstance(cell, (int, float)):
        return float(cell)
    if not isinstance(cell, str):
        return None
    text = cell.strip()
    if text.lower() in _MISSING:
        return math.nan
    try:
        return float(text)
    except ValueError:
        return None


def _floats(name: str, values: ArrayLike) -> FloatArray:
    array = np.asarray(values)
    if array.dtype.kind not in "iufbO":
        raise UsageError(f"column {name!r} holds {array.dtype} where numbers are needed")
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"column {name!r} holds something that is no number: {error}") from error


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        data = gzip.decompress(raw) if path.suffix == ".gz" else raw
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8; save the table as UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _csv(path: Path, text: str, separator: str) -> tuple[list[str], list[Row], list[int]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    headings: list[str] = []
    rows: list[Row] = []
    lines: list[int] = []
    try:
        for cells in reader:
            if not cells:
                continue
            if not headings:
                headings = [heading.strip() or f"unnamed {place}" for place, heading in enumerate(cells, 1)]
            elif len(cells) != len(headings):
                raise DataError(f"{path}, line {reader.line_num}: {len(cells)} cells where the headings name {len(headings)}")
            else:
                rows.append(dict(zip(headings, cells, strict=True)))
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error
    return headings, rows, lines


def _records(path: Path, text: str, *, by_line: bool) -> tuple[list[str], list[Row], list[int]]:
    rows: list[Row] = []
    lines: list[int] = []
    for number, found in _json_lines(path, text) if by_line else _json_rows(path, text):
        if not isinstance(found, dict):
            raise DataError(f"{path}, {'line' if by_line else 'record'} {number}: a {type(found).__name__} where an object is expected")
        rows.append(found)
        lines.append(number)
    return list(dict.fromkeys(name for row in rows for name in row)), rows, lines


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}, line {number}: not JSON ({error.msg} at column {error.colno})") from error


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, object]]:
    if not text.strip():
        return
    try:
        found: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from error
    if isinstance(found, dict):
        lists = {name: cells for name, cells in found.items() if isinstance(cells, list)}
        if len(lists) != len(found) or len({len(cells) for cells in lists.values()}) > 1:
            raise DataError(f"{path}: an object of columns must hold lists of one length; or give a list of records")
        found = [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
    if not isinstance(found, list):
        raise DataError(f"{path}: a {type(found).__name__} where a list of records or an object of columns is expected")
    yield from enumerate(found, 1)


def _parquet(path: Path) -> tuple[list[str], list[Row], list[int]]:
    polars = need("polars", extra="tables")
    try:
        frame = polars.read_parquet(path)
    except (OSError, polars.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read as parquet: {error}") from error
    rows: list[Row] = frame.to_dicts()
    return list(frame.columns), rows, list(range(1, len(rows) + 1))
