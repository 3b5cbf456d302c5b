"""[5] Repetition filter. Find texts that fell into a loop: the same words over and over.

    looped = the largest share of the words that lie in one block of p words repeated at least `copies` times in a row, p = 1..longest
    score  = 1 if looped < threshold else 0

Cost: none; O(words x longest) in numpy.
The paper filters looping responses out of its training data, where few of them ruin long chains of thought; here the same check vetoes
samples (weighted_vote with it counts only texts that do not loop). Departure: the paper's filter also uses a model's quality score and
hand-written rules, which are not here; exact repeats only, so a loop that counts up ("Step 1: ..., Step 2: ...") is not one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from outthink.core.problem import Problem
from outthink.core.registry import verifier
from outthink.core.request import Sampling
from outthink.core.session import Session
from outthink.core.solution import Candidate, Judgement
from outthink.core.spend import Spend


@verifier("repetition", papers=(5,))
@dataclass(frozen=True)
class Repetition:
    """1 for a text that does not loop, 0 for one that does.

    Args:
        threshold: smallest looped share of the words that is a loop, in (0, 1].
        copies: how often a block must stand in a row to count.
        longest: most words of a block.
    """

    threshold: float = 0.2
    copies: int = 3
    longest: int = 64
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be in (0, 1], got {self.threshold}")
        if self.copies < 2:
            raise ValueError(f"copies must be 2 or more, got {self.copies}")
        if self.longest < 1:
            raise ValueError(f"longest must be 1 word or more, got {self.longest}")

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """Free."""
        return Spend()

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        """Look for a loop in each text, its reasoning included."""
        return [Judgement(float(not self.loops(f"{c.completion.reasoning} {c.text}"))) for c in candidates]

    def loops(self, text: str) -> bool:
        """Whether the text fell into a loop."""
        return looped_share(text, copies=self.copies, longest=self.longest) >= self.threshold


def looped_share(text: str, *, copies: int = 3, longest: int = 64) -> float:
    """Largest share of the text's words in one block of at most `longest` words that stands at least `copies` times in a row; in [0, 1]."""
    import numpy as np

    words = text.split()
    if len(words) < copies:
        return 0.0
    codes = {word: code for code, word in enumerate(dict.fromkeys(words))}
    line = np.array([codes[word] for word in words])
    most = 0
    for period in range(1, min(longest, len(words) // copies) + 1):
        # a run of r places that equal the one `period` further on is a stretch of r + period words with that period
        equal = np.concatenate([[False], line[:-period] == line[period:], [False]])
        edges = np.flatnonzero(equal[1:] != equal[:-1])
        runs = edges[1::2] - edges[::2]
        stretch = int(runs.max(initial=0)) + period
        if stretch >= copies * period:
            most = max(most, stretch)
    return most / len(words)
