"""Early-stopping self-consistency. Sample in windows of w; stop when all answers of a window agree, else at n; then vote.

    stop after window j if a_(jw+1) = ... = a_(jw+w) and none of them is missing

Cost: between w and n samples, in up to n/w batches one after the other.
Identity: its samples are a prefix of the majority vote's (same place, same seeds), so where no window agrees it is majority_vote(n).
The decision reads whole windows in a fixed order: what finishes first has no louder voice, short answers are not favoured.
Departure: the vote counts all samples so far, not only those of the last window.
"""

from __future__ import annotations

from dataclasses import dataclass

from outthink.core.problem import Problem
from outthink.core.registry import strategy
from outthink.core.session import Session
from outthink.core.solution import Candidate, Solution


@strategy("early_stopping_vote", papers=(30,))
@dataclass(frozen=True)
class EarlyStoppingVote:
    """Sample in windows, stop as soon as a whole window agrees, and return the most frequent answer."""

    n: int = 16
    window: int = 4

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be 1 or more, got {self.n}")
        if self.window < 2:
            raise ValueError(f"window must be 2 or more (one sample always agrees with itself), got {self.window}")

    async def solve(self, problem: Problem, session: Session) -> Solution:
        """Sample window by window until one agrees."""
        seen: list[Candidate] = []
        drawn = 0
        while drawn < self.n:
            size = min(self.window, self.n - drawn)
            window = await session.sample(problem, n=size)
            drawn += size
            seen += window
            labels = await problem.answer.group([c.answer for c in window])
            agreed = len(window) == self.window and len(set(labels)) == 1 and labels[0] >= 0
            if agreed or window.missing.get("budget") or window.missing.get("seconds"):
                break
        return await Solution.vote(problem.answer, seen)
