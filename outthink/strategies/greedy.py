"""Greedy decoding. One sample at temperature 0: the baseline of every comparison.

Cost: 1 call.
"""

from __future__ import annotations

from dataclasses import dataclass

from outthink.core.problem import Problem
from outthink.core.registry import strategy
from outthink.core.session import Session
from outthink.core.solution import Solution


@strategy("greedy")
@dataclass(frozen=True)
class Greedy:
    """Take one sample at temperature 0."""

    async def solve(self, problem: Problem, session: Session) -> Solution:
        """Sample once, greedily."""
        candidates = await session.sample_each([(problem, problem.request(session.sampling.greedy()))])
        return Solution.of(next(iter(candidates[0]), None), candidates=len(candidates[0]))
