"""[11] Weighted vote (best-of-n weighted). Draw n samples, add up the verifier's scores of equal answers, return the heaviest.

    answer = argmax_a sum_i s_i 1[a_i = a]        s_i >= 0: verifier score of sample i

Cost: n samples and n judgements in two batches.
Identity: equal scores give the majority vote; doubling a weight is duplicating its sample.
Departure: scores of a verifier with negative range (log probabilities) enter as exp(score), so that they are weights; a sample whose
judgement failed does not vote, unless every judgement failed: then all count as one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from outthink.core.problem import Problem
from outthink.core.protocols import Verifier
from outthink.core.registry import strategy
from outthink.core.session import Session
from outthink.core.solution import Solution
from outthink.verifiers.sequence_likelihood import SequenceLikelihood


@strategy("weighted_vote", papers=(11,))
@dataclass(frozen=True)
class WeightedVote:
    """Sample n answers and vote, each vote weighted by the verifier's score."""

    n: int = 16
    verifier: Verifier = SequenceLikelihood()

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be 1 or more, got {self.n}")

    async def solve(self, problem: Problem, session: Session) -> Solution:
        """Sample, judge, vote by weight."""
        candidates = await session.sample(problem, n=self.n, judged_by=self.verifier)
        judgements = await session.judge(self.verifier, problem, candidates)
        negative = self.verifier.score_range[0] < 0
        weights = [0.0 if j.score is None else math.exp(j.score) if negative else j.score for j in judgements]
        return await Solution.vote(problem.answer, candidates, weights)
