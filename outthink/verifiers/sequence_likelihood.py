"""Sequence likelihood. How probable the model found its own text.

    score = (1/T) sum_t log p(y_t | y_<t, x)        nats a token, T tokens; in (-inf, 0]; `normalise=false` leaves out 1/T

T counts the tokens whose log probability is known: with those of the end of the turn, and without those of a stop text on llama.cpp's server.

Cost: none: the log probability is captured with the sample.
Departure: the mean is the default; the plain sum favours short texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from outthink.core.problem import Problem
from outthink.core.registry import verifier
from outthink.core.request import Sampling
from outthink.core.session import Session
from outthink.core.solution import Candidate, Judgement
from outthink.core.spend import Spend

_UNKNOWN = (
    "the sample has no log probability; use a backend that returns them, raise max_tokens (the embedded engine generates the tokens of some "
    "characters once more to learn it), or take another verifier"
)


@verifier("sequence_likelihood")
@dataclass(frozen=True)
class SequenceLikelihood:
    """Log probability of the text under its own model, a token on average (nats, at most 0)."""

    normalise: bool = True
    score_range: ClassVar[tuple[float, float]] = (-math.inf, 0.0)

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """Free."""
        return Spend()

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        """Read the captured log probabilities; a sample without one is a failed judgement."""
        return [self._one(candidate) for candidate in candidates]

    def _one(self, candidate: Candidate) -> Judgement:
        logprob, tokens = candidate.completion.logprob, candidate.completion.scored_tokens
        if logprob is None:
            return Judgement(None, failure=_UNKNOWN)
        # an engine may report +1e-7 for a certain token
        return Judgement(min(0.0, logprob / max(1, tokens) if self.normalise else logprob))
