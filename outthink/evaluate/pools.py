"""Pools: many recorded and graded samples of each problem, from which every curve can be computed and every strategy replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from outthink import stats
from outthink.core.journal import Journal
from outthink.core.protocols import Model
from outthink.core.request import Sampling
from outthink.core.shared import Event
from outthink.evaluate.plan import Plan
from outthink.evaluate.run import enter
from outthink.evaluate.table import SampleTable
from outthink.evaluate.work import Progress, Work
from outthink.problems.sets import ProblemSet
from outthink.strategies.repeated_sampling import RepeatedSampling


async def build(
    problems: ProblemSet,
    model: Model,
    n: int,
    path: Path | str,
    *,
    sampling: Sampling = Sampling(),
    seeds: Sequence[int] = (0,),
    progress: Callable[[Progress], None] | None = None,
    listen: Callable[[Event], None] | None = None,
    concurrency: int = 8,
) -> None:
    """Record and grade n samples of every problem in a journal file. The same call goes on where it was; a larger n adds samples.

    Args:
        problems: the set.
        model: who answers.
        n: samples of each problem under each seed.
        path: the pool's file, made if absent.
        sampling, seeds: as in `Plan`.
        progress, listen, concurrency: as in `run`.

    Raises:
        UsageError: the file holds another pool; the message says what differs.
        OutthinkError: what made it impossible to go on. What was done is recorded.
    """
    plan = Plan((RepeatedSampling(n),), problems, seeds=tuple(seeds), sampling=sampling)
    with Journal(path) as journal:
        enter(plan, {"policy": model}, journal, may_change=frozenset({"strategies"}))
        await Work(plan, {"policy": model}, journal, progress, listen, None).do(concurrency)


@dataclass(frozen=True)
class PoolSummary:
    """What one model's samples in a pool are.

    Args:
        model: `name@engine`.
        problems, samples: how many; `samples` a problem.
        single, majority, coverage: accuracy of one sample, of the vote of all, and the chance that any is right.
        tokens: mean completion tokens of a sample.
        verifiers: who judged them.
        absent: samples that failed.
        unfinished: samples that ended at their allowance of tokens before an answer.
    """

    model: str
    problems: int
    samples: int
    single: float
    majority: float
    coverage: float
    tokens: float
    verifiers: tuple[str, ...]
    absent: int
    unfinished: int


def show(path: Path | str) -> list[PoolSummary]:
    """A row for every model whose samples are graded in a pool, a run's journal or an import.

    Raises:
        StoreError: no journal is there.
        DataError: nothing in it is graded.
    """
    with Journal(path, writable=False) as journal:
        graded = {name for name, _ in journal.records("grade")}
        models = list(dict.fromkeys(call.model for call in journal.calls("sample", state="done") if call.key in graded))
        if not models:
            SampleTable.load(journal)  # says what is missing
        return [_summary(SampleTable.load(journal, model=model)) for model in models]


def _summary(table: SampleTable) -> PoolSummary:
    vote = stats.majority_at_k(table.labels, table.correct, table.n, seed=0)
    covered = stats.pass_at_k(table.n, table.correct.sum(axis=1), table.n)
    judged = tuple(verifier for verifier, scores in table.scores.items() if not np.isnan(scores).all())
    return PoolSummary(
        table.model, len(set(table.problems)), table.n, float(table.by_problem(table.correct.mean(axis=1)).mean()),
        float(table.by_problem(vote.values).mean()), float(table.by_problem(covered).mean()), table.tokens_per_sample, judged, table.absent,
        table.unfinished,
    )  # fmt: skip
