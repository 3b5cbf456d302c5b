"""Problem files of the user: JSON lines, CSV and Parquet, every row with the place it stands at, for messages."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from outthink.core.data import Row, read_jsonl
from outthink.core.errors import DataError, need

ENDINGS = (".jsonl", ".csv", ".parquet")


def read_table(path: Path) -> list[tuple[str, Row]]:
    """The rows of a file, each with its place (`line 3`; of a Parquet file `row 3`).

    Raises:
        DataError: if the file is missing, empty, of another kind, or has a broken line (named).
        MissingExtra: a Parquet file without polars.
    """
    if path.suffix not in ENDINGS:
        raise DataError(f"{path}: not a problem file; use one of {', '.join(ENDINGS)}")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    read = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}[path.suffix]
    rows = list(read(path))
    if not rows:
        raise DataError(f"{path} is empty: a problem file has at least one row with a question")
    return rows


def _jsonl(path: Path) -> Iterator[tuple[str, Row]]:
    rows = list(read_jsonl(path))
    with path.open("rb") as lines:
        places = [number for number, line in enumerate(lines, 1) if line.strip()]
    yield from ((f"line {place}", row) for place, row in zip(places, rows, strict=True))


def _csv(path: Path) -> Iterator[tuple[str, Row]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header: list[str] | None = None
        start = 1
        try:
            for cells in reader:
                here, start = start, reader.line_num + 1
                if not cells:
                    continue
                if header is None:
                    header = cells
                    continue
                if len(cells) != len(header):
                    raise DataError(f"{path}, line {here}: {len(cells)} fields where the first line names {len(header)}; quote a field with commas")
                yield f"line {here}", dict(zip(header, cells, strict=True))
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: not CSV ({error})") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 after line {reader.line_num} ({error.reason})") from error
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _parquet(path: Path) -> Iterator[tuple[str, Row]]:
    polars = need("polars", extra="tables")
    try:
        rows: list[Row] = polars.read_parquet(path).to_dicts()
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    yield from ((f"row {number}", row) for number, row in enumerate(rows, 1))
