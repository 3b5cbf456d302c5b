"""One attempt of a strategy at one problem, whatever happens to its budget."""

from __future__ import annotations

import dataclasses

import anyio

from outthink.core.problem import Problem
from outthink.core.protocols import Strategy
from outthink.core.session import Session
from outthink.core.solution import Solution

# after the wall-time cap a strategy may still choose among what it has; one that computes for longer is ended
GRACE_SECONDS = 5.0


async def attempt(strategy: Strategy, problem: Problem, session: Session) -> Solution:
    """Solve one problem and return the solution with its ledgers, its missing samples and why it stopped.

    At the end of the wall-time cap, requests in flight are cancelled and the strategy chooses among what came back; if it does not
    come to an end by itself, the best candidate that it offered is the solution.

    Raises:
        OutthinkError: what made the work impossible (model unreachable, verifier broken). What was done stays in the journal.
    """
    shared = session.shared
    solution: Solution | None = None
    with anyio.move_on_at(shared.deadline + GRACE_SECONDS):
        solution = await strategy.solve(problem, session)
    if solution is None:
        offered = shared.offered[1] if shared.offered else None
        solution = Solution.of(offered, candidates=1 if offered else 0)
        shared.stopped = "seconds"
    return dataclasses.replace(
        solution,
        stopped=shared.stopped,
        missing=dict(shared.missing),
        reasons=dict(shared.reasons),
        ledgers=dict(shared.ledgers),
        saw_key=solution.saw_key or shared.saw_key,
    )
