"""[5] Majority vote (self-consistency). Draw n samples, return the most frequent answer.

    answer = argmax_a sum_i 1[a_i = a]        a_i: answer of sample i, compared as equivalence classes

Cost: n samples in one batch; they share one prompt, so a server prefills it once. No judgement.
Limit: with a right answer of probability p and every wrong one below p, accuracy -> 1 as n grows; with one wrong answer above p it
-> 0. Against a single wrong answer at n odd it is the binomial tail P(Bin(n, p) > n/2).
Departure: samples without an answer do not vote (they win only if no sample has one); a tie goes to the answer seen first.
"""

from __future__ import annotations

from dataclasses import dataclass

from outthink.core.problem import Problem
from outthink.core.registry import strategy
from outthink.core.session import Session
from outthink.core.solution import Solution


@strategy("majority_vote", papers=(5,))
@dataclass(frozen=True)
class MajorityVote:
    """Sample n answers and return the most frequent one (self-consistency)."""

    n: int = 16

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be 1 or more, got {self.n}")

    async def solve(self, problem: Problem, session: Session) -> Solution:
        """Sample n times and vote."""
        candidates = await session.sample(problem, n=self.n)
        return await Solution.vote(problem.answer, candidates)
