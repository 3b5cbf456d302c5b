"""Length. Prefers short answers (or long ones): the control that every learned verifier has to beat.

    score = exp(-T / scale) in (0, 1], T generated tokens; 1 - that for `prefer="long"`

Cost: none.
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


@verifier("length")
@dataclass(frozen=True)
class Length:
    """Short texts score high (or long ones with prefer="long"): a control, in [0, 1]."""

    prefer: str = "short"
    scale: float = 200.0
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.prefer not in ("short", "long"):
            raise ValueError(f"prefer must be 'short' or 'long', got {self.prefer!r}")
        if not self.scale > 0:
            raise ValueError(f"scale must be a positive number of tokens, got {self.scale}")

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """Free."""
        return Spend()

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        """Score by the number of generated tokens."""
        shorts = [math.exp(-candidate.completion.usage.completion_tokens / self.scale) for candidate in candidates]
        return [Judgement(short if self.prefer == "short" else 1 - short) for short in shorts]
