"""A scripted verifier: exact scores, for tests and for showing what a selection rule does. Not registered: it needs its script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from outthink.core.errors import VerifierError
from outthink.core.problem import Problem
from outthink.core.request import Sampling
from outthink.core.session import Session
from outthink.core.solution import Candidate, Judgement
from outthink.core.spend import Spend


@dataclass(frozen=True, init=False)
class ScriptedVerifier:
    """Gives sample i the i-th score; None is a failed judgement. Scores in (-inf, inf).

    Args:
        scores: a number, None, or a whole judgement for each sample index.
    """

    scores: tuple[float | Judgement | None, ...]
    score_range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def __init__(self, *scores: float | Judgement | None) -> None:
        object.__setattr__(self, "scores", scores)

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """Free."""
        return Spend()

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        """The scripted scores, by the candidates' index.

        Raises:
            VerifierError: the script is too short.
        """
        most = max((candidate.index for candidate in candidates), default=-1)
        if most >= len(self.scores):
            raise VerifierError(f"scripted verifier: it has {len(self.scores)} scores, and sample {most + 1} is to be judged")
        return [self._one(self.scores[candidate.index]) for candidate in candidates]

    def _one(self, score: float | Judgement | None) -> Judgement:
        if isinstance(score, Judgement):
            return score
        return Judgement(score, failure="scripted to fail" if score is None else None)
