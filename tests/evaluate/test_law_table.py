"""What a law is fitted to is what the pool says, and what is drawn again is problems."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import numpy as np
import pytest

from outthink import stats
from outthink.core.errors import DataError, UsageError
from outthink.core.journal import Journal
from outthink.evaluate import pools
from outthink.evaluate.law_table import is_recorded, samples_table, strategy_table
from outthink.evaluate.plan import Plan
from outthink.evaluate.run import run
from outthink.evaluate.table import SampleTable
from outthink.strategies.greedy import Greedy
from outthink.strategies.majority_vote import MajorityVote
from tests.evaluate.support import latent, numbered


def test_coverage_is_the_unbiased_one_and_counts_are_those_of_the_pool(tmp_path: Path) -> None:
    problems, path = numbered(12), tmp_path / "pool.sqlite"
    anyio.run(partial(pools.build, problems, latent(problems), 8, path))
    found = samples_table(path)
    with Journal(path, writable=False) as journal:
        table = SampleTable.load(journal)
    assert found.table.column("k").tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert found.table.column("tokens")[3] == pytest.approx(4 * table.tokens_per_sample)
    assert found.right is not None
    assert found.samples is not None
    assert found.right.tolist() == table.correct.sum(axis=1).tolist()
    assert found.samples.tolist() == [8] * 12
    assert found.table.column("coverage") == pytest.approx(stats.coverage(8, found.right, np.arange(1, 9)))


def test_a_draw_is_a_mean_over_whole_problems(tmp_path: Path) -> None:
    problems, path = numbered(12), tmp_path / "pool.sqlite"
    anyio.run(partial(pools.build, problems, latent(problems), 4, path))
    found = samples_table(path)
    chosen = np.random.default_rng(7).integers(12, size=12)
    drawn = found.resampled(np.random.default_rng(7))
    assert found.right is not None
    assert drawn.column("coverage") == pytest.approx(stats.coverage(4, found.right[chosen], np.arange(1, 5)))
    assert drawn.column("k").tolist() == found.table.column("k").tolist()


def test_several_seeds_of_a_problem_count_together(tmp_path: Path) -> None:
    problems, path = numbered(6), tmp_path / "pool.sqlite"
    anyio.run(partial(pools.build, problems, latent(problems), 4, path, seeds=(0, 1)))
    found = samples_table(path)
    assert found.problems == 6
    assert found.samples is not None
    assert found.samples.tolist() == [8] * 6


def test_budgets_of_a_strategy(tmp_path: Path) -> None:
    problems = numbered(10)
    plan = Plan((Greedy(), MajorityVote()), problems, (1, 4, 8), (0,))
    with anyio.run(partial(run, plan, latent(problems), tmp_path / "run")) as done:
        right = [[r.right for r in done.records if r.family == "majority_vote" and r.samples == k] for k in (1, 4, 8)]
    found = strategy_table(tmp_path / "run", "majority_vote")
    assert found.table.column("samples").tolist() == [1, 4, 8]
    assert found.table.column("accuracy") == pytest.approx([float(np.mean(one)) for one in right])
    assert found.table.column("error") == pytest.approx(1.0 - found.table.column("accuracy"))
    assert np.all(np.diff(found.table.column("tokens")) > 0.0)
    with pytest.raises(UsageError, match="Did you mean 'majority_vote'"):
        strategy_table(tmp_path / "run", "majority")
    with pytest.raises(DataError, match="one budget only"):
        strategy_table(tmp_path / "run", "greedy")


def test_a_table_is_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("loss\n1\n")
    assert not is_recorded(path)
    assert not is_recorded(tmp_path / "none.csv")
    assert is_recorded(tmp_path)
