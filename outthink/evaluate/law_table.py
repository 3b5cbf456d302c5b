"""A run or a pool as a table that laws are fitted to: what k samples of each problem are worth, or what a strategy's budgets bought.

Every row is a mean over the same problems, so rows are not independent and drawing rows again would say nothing about uncertainty. What is
drawn again is problems: `Recorded.resampled` makes the table that other problems of the same kind would have given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from outthink.core.errors import DataError, UsageError, nearest
from outthink.core.journal import Journal
from outthink.evaluate.curves import curves
from outthink.evaluate.run import JOURNAL, Run
from outthink.evaluate.summary import groups, outcomes, summarise
from outthink.evaluate.table import FloatArray, IntArray, SampleTable
from outthink.laws.table import Table

BUDGETS = 30
"""Numbers of samples in a table, spaced evenly in their logarithm: those of the published coverage fits."""


@dataclass(frozen=True)
class Recorded:
    """A table whose columns are means over problems.

    Args:
        fixed: (rows,) columns that do not depend on the problems drawn: k, tokens.
        means: name -> (problems, rows) whose mean over problems is the column.
        source: the run or pool.
        right, samples: (problems,) right and drawn ones of each problem; None for a strategy's budgets.
        tokens_per_sample: completion tokens of a sample, on average; None likewise.
    """

    fixed: Mapping[str, FloatArray]
    means: Mapping[str, FloatArray]
    source: str
    right: IntArray | None = None
    samples: IntArray | None = None
    tokens_per_sample: float | None = None

    @property
    def problems(self) -> int:
        """How many the means are over."""
        return int(next(iter(self.means.values())).shape[0])

    @property
    def table(self) -> Table:
        """Over all problems."""
        return self._table(np.arange(self.problems))

    def resampled(self, rng: np.random.Generator) -> Table:
        """Over as many problems drawn with replacement."""
        return self._table(rng.integers(self.problems, size=self.problems))

    def _table(self, rows: IntArray) -> Table:
        means = {name: np.asarray(values[rows].mean(axis=0)) for name, values in self.means.items()}
        return Table({**self.fixed, **means}, {}, self.source)


def is_recorded(path: Path | str) -> bool:
    """Whether a path is a run's folder, or a file that begins as a journal does."""
    place = Path(path)
    if place.is_dir():
        return True
    try:
        with place.open("rb") as file:
            return file.read(15) == b"SQLite format 3"
    except OSError:
        return False


def samples_table(path: Path | str, *, model: str | None = None) -> Recorded:
    """A row for each number of samples k: `k`, `tokens`, `coverage`, `majority`, and the accuracy of each verifier's choice and weighted vote.

    Args:
        path: of a run's folder or a pool.
        model: `name@engine` where several models' samples are recorded.

    Raises:
        StoreError: no journal is there. DataError: nothing in it is graded. UsageError: which of several models is not said.
    """
    place = Path(path)
    with Journal(place / JOURNAL if place.is_dir() else place, writable=False) as journal:
        table = SampleTable.load(journal, model=model)
    budgets = np.unique(np.round(np.geomspace(1, table.n, BUDGETS)).astype(np.int64))
    found = curves(table, budgets.tolist(), draws=2)
    names = {"oracle ceiling": "coverage", "random choice": "single"}
    k = budgets.astype(np.float64)
    means = {names.get(curve.name, curve.name): curve.values for curve in found}
    drawn = table.n * np.array(list(Counter(table.problems).values()), dtype=np.int64)  # several seeds of a problem count together
    right = np.rint(table.by_problem(table.correct.mean(axis=1)) * drawn).astype(np.int64)
    return Recorded({"k": k, "tokens": k * table.tokens_per_sample}, means, str(path), right, drawn, table.tokens_per_sample)


def strategy_table(path: Path | str, strategy: str) -> Recorded:
    """A row for each budget of one strategy of a run: `tokens` (completion, a problem), `samples` where budgets are samples, `accuracy`, `error`.

    Raises:
        StoreError: no run is there. UsageError: it has no such strategy. DataError: it has one budget only.
    """
    with Run.open(path) as run:
        rows = [row for row in summarise(run) if row.family == strategy]
        families = sorted({record.family for record in run.records})
        by_budget = [outcomes(records) for (_, _), records in groups(run).items() if records[0].family == strategy]
    if not rows:
        raise UsageError(f"{path} has no strategy {strategy!r}.{nearest(strategy, families)}")
    if len(rows) < 2:
        raise DataError(f"{path} has {strategy!r} at one budget only; a law needs several: outthink run ... --budgets 1,2,4,8,16")
    shared = [problem for problem in by_budget[0] if all(problem in other for other in by_budget)]
    right = np.array([[float(np.mean(budget[problem])) for budget in by_budget] for problem in shared])
    fixed = {"tokens": np.array([row.completion_tokens for row in rows])}
    if all(row.samples is not None for row in rows):
        fixed["samples"] = np.array([float(row.samples or 0) for row in rows])
    return Recorded(fixed, {"accuracy": right, "error": 1.0 - right}, str(path))
