"""Analyses of a table that are no law with parameters: a latent-skill model, a time to target, a trend's shape. One file in `laws/procedures/` each.

    @procedure("time-to-target", papers=(124,), title="...", columns=(Column("submission", "...", "label"), ...), source="...")
    def run(table: Table, seed: int) -> Outcome: ...

The file reads columns, calls the analysis in `laws/` and returns plain rows; `outthink laws list`, `show` and `fit` then know it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from outthink.core.errors import UsageError
from outthink.laws.table import Table


@dataclass(frozen=True)
class Column:
    """What a procedure reads. kind "number" or "label"; `others` stands for all remaining columns of numbers, whatever their names."""

    name: str
    meaning: str
    kind: Literal["number", "label", "others"] = "number"


@dataclass(frozen=True)
class Outcome:
    """What it found: rows of one shape, printed as a table, and sentences."""

    rows: tuple[Mapping[str, float | str], ...]
    notes: tuple[str, ...] = ()


Run = Callable[[Table, int], Outcome]
"""(table, seed) -> outcome."""


@dataclass(frozen=True)
class Procedure:
    """An analysis with the columns it needs.

    Args:
        name: under which commands know it; no law may have the same.
        papers: of the list.
        title: one line.
        columns: that the table must have.
        source: paper and section, or official code.
        run: does it.
    """

    name: str
    papers: tuple[int, ...]
    title: str
    columns: tuple[Column, ...]
    source: str
    run: Run

    def __call__(self, table: Table, seed: int = 0) -> Outcome:
        """Run on a table.

        Raises:
            UsageError: columns are missing; says which and what there is.
        """
        table.require([column.name for column in self.columns if column.kind != "others"])
        return self.run(table, seed)


_PROCEDURES: dict[str, Procedure] = {}


def procedure(name: str, *, papers: tuple[int, ...], title: str, columns: tuple[Column, ...], source: str) -> Callable[[Run], Run]:
    """Make a function a procedure that commands know; see `Procedure`.

    Raises:
        ValueError: the name is taken.
    """

    def decorate(run: Run) -> Run:
        if name in _PROCEDURES:
            raise ValueError(f"procedure {name!r} is there already")
        _PROCEDURES[name] = Procedure(name, papers, title, columns, source, run)
        return run

    return decorate


def procedures() -> dict[str, Procedure]:
    """Every procedure by name."""
    room = importlib.import_module("outthink.laws.procedures")
    for module in pkgutil.iter_modules(room.__path__):
        importlib.import_module(f"{room.__name__}.{module.name}")
    return dict(sorted(_PROCEDURES.items()))


def shares(table: Table, besides: tuple[str, ...]) -> list[str]:
    """Names of the columns of numbers that lie in [0, 1] and vary, apart from those named: the benchmarks of a table of models.

    Raises:
        UsageError: there are fewer than two.
    """
    found = []
    for name, values in table.columns.items():
        known = values[np.isfinite(values)]
        if name not in besides and known.size > 1 and known.min() >= 0.0 and known.max() <= 1.0 and np.ptp(known) > 0.0:
            found.append(name)
    if len(found) < 2:
        raise UsageError(
            f"{table.source or 'the table'} needs two benchmarks or more, columns of scores in [0, 1]; it has {', '.join(found) or 'none'}"
        )
    return found
