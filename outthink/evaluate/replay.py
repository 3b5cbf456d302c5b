"""Strategies on a recorded pool: exactly as they would have run, sample by sample, at no cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from outthink.core.pool import Pool
from outthink.core.protocols import Strategy
from outthink.core.request import Sampling
from outthink.core.spend import Budget
from outthink.evaluate.plan import Plan
from outthink.evaluate.run import Run, run
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
) -> Run:
    """Run strategies with the pool as the model. What the pool does not hold is missing in the records, never invented.

    For every k of the plain votes and of best-of-n at once, `curves` is exact over all subsets and thousands of times faster.

    Args:
        pool: what was recorded.
        strategies, problems, budgets, seeds, sampling: as in `Plan`; with the sampling that filled the pool every sample is found.
        model: `name@engine`, where the pool holds several models' samples.
        folder: where to record; in memory if None.
    """
    plan = Plan(tuple(strategies), problems, tuple(budgets), tuple(seeds), sampling, model=f"replay:{pool.journal.path}")
    return await run(plan, ReplayModel(pool, model=model), folder)
