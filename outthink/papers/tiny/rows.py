"""Rows of a sweep in a file of JSON lines: each run is written when it ends, so that an interrupted sweep goes on after the last whole row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from outthink.core.data import read_jsonl
from outthink.laws.table import Table, read_table
from outthink.papers.fixtures import Progress

Row = Mapping[str, str | int | float]
FILE = "rows.jsonl"


def sweep(folder: Path, plan: Iterable[tuple[str, Callable[[], Iterable[Row]]]], what: str, progress: Progress) -> None:
    """Run what is not in `folder/rows.jsonl` yet, and add its rows there.

    Args:
        folder: of the fixture.
        plan: (key, function that trains and returns rows) for each run; rows are marked with their key.
        what: for the progress.
        progress: told after each run.
    """
    path = folder / FILE
    runs = list(plan)
    done = _whole(path)
    with path.open("a", encoding="utf-8") as file:
        for position, (key, run) in enumerate(runs):
            if key not in done:
                # all rows of a run in one write: a run is there whole or, if the write was torn, dropped by `_whole`
                file.write("".join(json.dumps({"run": key, **row}) + "\n" for row in run()) + json.dumps({"run": key, "end": 1}) + "\n")
                file.flush()
            progress(what, position + 1, len(runs))


def rows_of(folder: Path) -> Table:
    """The rows of a complete sweep, without the marks that end a run.

    Raises:
        DataError: the file cannot be read.
    """
    table = read_table(folder / FILE)
    return table.where(table.column("end") != 1.0)


def _whole(path: Path) -> set[str]:
    """Keys of the runs that were written to their end. What follows the last of them is cut off."""
    if not path.exists():
        return set()
    text = path.read_bytes()
    end = 0
    place = 0
    for line in text.splitlines(keepends=True):
        place += len(line)
        if line.endswith(b'"end": 1}\n'):
            end = place
    if end < len(text):
        with path.open("r+b") as file:
            file.truncate(end)
    return {str(row["run"]) for row in read_jsonl(path)}
