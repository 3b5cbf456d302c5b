"""[119] Oracle. Knows the key: the ceiling of every selection rule. Built here only; no spec names it and the gateway cannot serve it.

    score = 1[answer is right]

Cost: none. Identity: best-of-n under it has accuracy 1 - (1 - p)^n, the coverage of n samples.
A record that an oracle took part in says so (`saw_key`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from outthink.core.problem import Problem
from outthink.core.request import Sampling
from outthink.core.session import Session
from outthink.core.solution import Candidate, Judgement
from outthink.core.spend import Spend
from outthink.problems.sets import ProblemSet


@dataclass(frozen=True)
class Oracle:
    """Scores 1.0 where the answer equals the key and 0.0 elsewhere (a sample without an answer included).

    Raises:
        VerifierError: the key cannot be compared.
    """

    problems: ProblemSet = field(repr=False)
    sees_key: ClassVar[bool] = True
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __repr__(self) -> str:
        # the journal and the report name a verifier that is not registered by its repr: never the keys
        return "oracle()"

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """Free."""
        return Spend()

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        """Compare every answer with the key."""
        key = self.problems.keys.get(problem.id)
        if key is None:
            return [Judgement(None, failure=f"{self.problems.name} has no key for {problem.id}") for _ in candidates]
        return [Judgement(float(c.answer is not None and await problem.answer.equal(c.answer, key))) for c in candidates]
