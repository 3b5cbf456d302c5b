"""The doing of a run: problems at once, the cells of a problem in sequence, so that a later cell finds what an earlier one sampled."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import anyio

from outthink.core.attempt import attempt
from outthink.core.journal import Journal
from outthink.core.problem import Problem
from outthink.core.protocols import Model, Sandbox
from outthink.core.session import Session
from outthink.core.shared import Event
from outthink.core.spend import Budget
from outthink.core.together import together
from outthink.evaluate.grading import UNGRADED, grade_pool, verdict_of
from outthink.evaluate.plan import Cell, Plan
from outthink.evaluate.record import Record, latest, name_of_try


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Args:
        done, total: records.
        record: the one that was just made; None at the start, when `done` counts what an earlier run left.
        completion_tokens: paid for since the start of this process.
    """

    done: int
    total: int
    record: Record | None
    completion_tokens: int


class Work:
    """What one call of `run` does: the cells that have no record yet, and those that lost samples or their grade to failures that may pass."""

    def __init__(
        self,
        plan: Plan,
        roles: Mapping[str, Model],
        journal: Journal,
        progress: Callable[[Progress], None] | None,
        listen: Callable[[Event], None] | None,
        sandbox: Sandbox | None,
    ) -> None:
        self.plan = plan
        self.roles = roles
        self.journal = journal
        self.progress = progress
        self.listen = listen
        self.sandbox = sandbox
        found = latest(journal.records("solution"))
        self.known = {name for name, (record, _) in found.items() if record.settled}
        self.tries = {name: tries for name, (_, tries) in found.items()}
        self.graded = {name for name, _ in journal.records("grade")}
        self.done = len(self.known)
        self.tokens = 0

    async def do(self, concurrency: int) -> None:
        """Work on up to `concurrency` problems at once. The first error ends all and is raised."""
        if concurrency < 1:
            raise ValueError(f"concurrency must be 1 or more, got {concurrency}")
        keys = self.plan.problems.keys
        self.journal.record("question", {p.id: {"question": p.question, "key": keys[p.id]} for p in self.plan.problems.problems})
        self._show(None)
        # the widest cell first: its samples go out in one batch, and the narrower ones are prefixes of it
        cells = sorted(self.plan.cells(), key=lambda cell: -(cell.samples or 0))
        waiting = iter(self.plan.problems.problems)

        async def worker() -> None:
            for problem in waiting:
                await self._problem(problem, cells)

        await together(worker for _ in range(min(concurrency, len(self.plan.problems.problems))))

    async def _problem(self, problem: Problem, cells: list[Cell]) -> None:
        left = [cell for cell in cells if cell.name(problem.id) not in self.known]
        for cell in left:
            await self._cell(problem, cell)
        for seed in self.plan.seeds:
            await grade_pool(problem, self.plan.problems.keys[problem.id], self._session(problem, seed, Budget()), self.graded)

    def _session(self, problem: Problem, seed: int, budget: Budget) -> Session:
        return Session.open(
            self.roles, journal=self.journal, budget=budget, sampling=self.plan.sampling, seed=seed, place=(problem.id,),
            sandbox=self.sandbox, listen=self.listen,
        )  # fmt: skip

    async def _cell(self, problem: Problem, cell: Cell) -> None:
        started, clock = time.time(), anyio.current_time()
        solution = await attempt(cell.strategy, problem, self._session(problem, cell.seed, cell.budget))
        seconds = anyio.current_time() - clock
        verdict, graded_by, failure = await verdict_of(problem, solution, self.plan.problems.keys[problem.id], self._session(problem, 0, Budget()))
        record = Record.of(problem.id, cell, solution, verdict, graded_by, started, seconds)
        if failure:
            record = dataclasses.replace(record, reasons={**record.reasons, UNGRADED: failure})
        name = cell.name(problem.id)
        self.journal.record("solution", {name_of_try(name, self.tries.get(name, 0)): record.to_json()})
        self.done += 1
        self.tokens += record.paid.completion_tokens
        self._show(record)

    def _show(self, record: Record | None) -> None:
        if self.progress:
            self.progress(Progress(self.done, self.plan.size, record, self.tokens))
