"""Runs of real strategies through real sessions, for reproductions on simulated models, and samples of a model into a pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio

from outthink.core.attempt import attempt
from outthink.core.journal import Journal
from outthink.core.pool import Pool
from outthink.core.problem import Problem
from outthink.core.protocols import Model, Strategy
from outthink.core.request import Message, Sampling
from outthink.core.session import Session
from outthink.core.solution import Solution
from outthink.papers.fixtures import Progress, silent
from outthink.problems.numbers import Number

RIGHT = "42"
"""The right answer to every problem of `same_problems`."""

_AT_ONCE = 16  # the embedded engine's slots


def same_problems(count: int) -> list[Problem]:
    """Problems `t0`, `t1`, ... that differ in nothing but their id; simulated models look at the id only."""
    return [Problem(f"t{number}", (Message("user", "What is the number?"),), Number()) for number in range(count)]


def truths(problems: Sequence[Problem]) -> dict[str, str]:
    """`RIGHT` for each."""
    return {problem.id: RIGHT for problem in problems}


def solve_each(strategy: Strategy, model: Model, problems: Sequence[Problem], *, seed: int, journal: Journal | None = None) -> list[Solution]:
    """One attempt at each problem, in order, through `Session` and `attempt`."""
    record = Journal() if journal is None else journal  # an empty journal is falsy

    async def work() -> list[Solution]:
        return [
            await attempt(strategy, problem, Session.open(model, journal=record, seed=seed, place=(problem.id,), sampling=Sampling()))
            for problem in problems
        ]

    return anyio.run(work)


def right_ones(solutions: Sequence[Solution], right: str = RIGHT) -> int:
    """How many solutions give the right answer."""
    return sum(solution.answer is not None and solution.answer.value == right for solution in solutions)


def record_samples(
    path: Path, model: Model, problems: Sequence[Problem], *, n: int, sampling: Sampling, seed: int, progress: Progress = silent
) -> None:
    """Sample every problem n times into the journal at `path`, about 16 samples at once; what is there already is not sampled again."""

    async def work() -> None:
        done = 0
        room = anyio.CapacityLimiter(max(1, _AT_ONCE // n))
        with Journal(path) as journal:

            async def one(problem: Problem) -> None:
                nonlocal done
                async with room:
                    session = Session.open(model, journal=journal, seed=seed, place=(problem.id,), sampling=sampling)
                    await session.sample(problem, n=n)
                done += 1
                progress(f"{model.name}: {path.stem}", done, len(problems))

            try:
                async with anyio.create_task_group() as group:
                    for problem in problems:
                        group.start_soon(one, problem)
            finally:
                await model.aclose()

    anyio.run(work)


def answers_in(path: Path, problems: Sequence[Problem]) -> Mapping[str, list[str | None]]:
    """Problem id -> the parsed answers of its recorded samples, in the order of their draws."""
    kinds = {problem.id: problem.answer for problem in problems}
    found: dict[str, list[tuple[int, str | None]]] = {problem.id: [] for problem in problems}
    pool = Pool.open(path)
    for sample in pool.samples():
        if sample.problem in found:
            answer = kinds[sample.problem].parse(sample.completion.text)
            found[sample.problem].append((sample.draw, answer.value if answer else None))
    pool.journal.close()
    return {problem: [answer for _, answer in sorted(rows, key=lambda row: row[0])] for problem, rows in found.items()}
