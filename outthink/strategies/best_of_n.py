"""[113, 119] Best-of-n. Draw n samples, return the one that the verifier scores highest.

    answer = a_i*,  i* = argmax_i s_i        s_i: verifier score of sample i; the first index wins a tie

Cost: n samples and n judgements in two batches; the samples share one prompt, so a server prefills it once.
Identity: with a perfect verifier P(right) = 1 - (1 - p)^n, p = P(one sample is right); with a constant one it is p.
Departure: a sample whose judgement failed is passed over, and one without an answer wins only if none has one; the papers do not say.
"""

from __future__ import annotations

from dataclasses import dataclass

from outthink.core.problem import Problem
from outthink.core.protocols import Verifier
from outthink.core.registry import strategy
from outthink.core.session import Session
from outthink.core.solution import Solution
from outthink.verifiers.sequence_likelihood import SequenceLikelihood


@strategy("best_of_n", papers=(113, 119))
@dataclass(frozen=True)
class BestOfN:
    """Sample n answers and keep the one that the verifier scores highest."""

    n: int = 16
    verifier: Verifier = SequenceLikelihood()

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be 1 or more, got {self.n}")

    async def solve(self, problem: Problem, session: Session) -> Solution:
        """Sample, judge, take the best."""
        candidates = await session.sample(problem, n=self.n, judged_by=self.verifier)
        judgements = await session.judge(self.verifier, problem, candidates)
        return Solution.best(candidates, judgements)
