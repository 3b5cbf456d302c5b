"""[113] Repeated sampling. Draw n samples and return the first: what is measured is coverage, the chance that any of them is right.

    coverage(k) = mean over problems of 1 - C(n - c, k) / C(n, k)        c of a problem's n samples are right

Cost: n calls. The answer is that of one sample (the random-choice control); coverage is read from the recorded pool, where only a
checker that can be trusted turns it into accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

from outthink.core.problem import Problem
from outthink.core.registry import strategy
from outthink.core.session import Session
from outthink.core.solution import Solution


@strategy("repeated_sampling", papers=(113, 119))
@dataclass(frozen=True)
class RepeatedSampling:
    """Draw n samples to fill the pool and answer with the first: for coverage, and as the random-choice control."""

    n: int = 16

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be 1 or more, got {self.n}")

    async def solve(self, problem: Problem, session: Session) -> Solution:
        """Sample n times; the first sample answers."""
        candidates = await session.sample(problem, n=self.n)
        return Solution.of(next(iter(candidates), None), candidates=len(candidates))
