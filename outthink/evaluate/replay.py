"""Strategies on a recorded pool: exactly as they would have run, sample by sample, at no cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from outthink.core.errors import DataError
from outthink.core.pool import Pool
from outthink.core.protocols import Strategy
from outthink.core.request import Sampling
from outthink.core.shared import Event
from outthink.core.spend import Budget
from outthink.evaluate.plan import Plan
from outthink.evaluate.run import Run, run
from outthink.evaluate.work import Progress
from outthink.models.replay import ReplayModel
from outthink.problems.sets import ProblemSet


async def replay(
    pool: Pool,
    strategies: Sequence[Strategy],
    problems: ProblemSet,
    budgets: Sequence[Budget | int | None] = (None,),
    *,
    seeds: Sequence[int] = (0,),
    sampling: Sampling = Sampling(),
    model: str | None = None,
    folder: Path | str | None = None,
    progress: Callable[[Progress], None] | None = None,
    listen: Callable[[Event], None] | None = None,
) -> Run:
    """Run strategies with the pool as the model. What the pool does not hold is missing in the records, never invented.

    For every k of the plain votes and of best-of-n at once, `curves` is exact over all subsets and thousands of times faster.

    Args:
        pool: what was recorded.
        strategies, problems, budgets, seeds, sampling: as in `Plan`; with the sampling that filled the pool every sample is found.
        model: `name@engine`, where the pool holds several models' samples.
        folder: where to record; in memory if None.
        progress, listen: as in `run`.

    Raises:
        DataError: the pool was drawn from another set, whose problems have the same names.
    """
    recorded = {} if pool.journal.meta("imported") else {name: body["key"] for name, body in pool.journal.records("question")}
    other = next((id for id, key in problems.keys.items() if id in recorded and recorded[id] != key), None)
    if other is not None:
        raise DataError(
            f"{pool.journal.path or 'this pool'}: its {other!r} has the answer {recorded[other]!r}, that of {problems.name} has "
            f"{problems.keys[other]!r}; name the set that the pool was drawn from, with its seed"
        )
    plan = Plan(tuple(strategies), problems, tuple(budgets), tuple(seeds), sampling, model=f"replay:{pool.journal.path}")
    return await run(plan, ReplayModel(pool, model=model), folder, progress=progress, listen=listen)
