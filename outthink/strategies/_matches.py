"""What knockout and league share: who plays, and matches of K comparisons between two candidates."""

from __future__ import annotations

from collections.abc import Sequence

from outthink.core.problem import Problem
from outthink.core.protocols import Comparer
from outthink.core.session import Session
from outthink.core.solution import Candidate


async def entered(
    session: Session, problem: Problem, comparer: Comparer, matches: Sequence[int], comparisons: int
) -> tuple[Sequence[Candidate], list[int], list[int]]:
    """Samples, the label of each one's answer class, and the positions of those that have an answer: they play.

    With every sample the comparisons are set aside that it adds, so that those who are admitted can play.

    Args:
        session, problem, comparer: of the strategy.
        matches: how many matches each sample adds to those before it, at most; one number a sample. They must not fall, for else a
            later sample would be admitted where one before it was not, and the sum would be short.
        comparisons: of one match.
    """
    one = comparer.bound(problem, session.sampling, session.role("judge")) * comparisons
    candidates = await session.sample(problem, n=len(matches), aside=[one * added for added in matches])
    labels = await problem.answer.group([candidate.answer for candidate in candidates])
    return candidates, labels, [position for position, label in enumerate(labels) if label >= 0]


async def win_shares(
    session: Session, comparer: Comparer, problem: Problem, pairs: Sequence[tuple[Candidate, Candidate]], comparisons: int
) -> list[float]:
    """Share of the votes that the first of each pair wins, in [0, 1]; 1/2 where no comparison succeeded.

    All matches are asked in one batch; every second comparison of a match is asked in turned order. A comparison votes for the one
    that it prefers, 1/2 for each if neither; a failed one does not vote.
    """
    asked = [pair if turn % 2 == 0 else pair[::-1] for pair in pairs for turn in range(comparisons)]
    preferences = await session.compare(comparer, problem, asked)
    shares = []
    for match in range(len(pairs)):
        votes = []
        for turn, preference in enumerate(preferences[match * comparisons : (match + 1) * comparisons]):
            if preference.first is not None:
                vote = 0.5 + 0.5 * ((preference.first > 0.5) - (preference.first < 0.5))
                votes.append(vote if turn % 2 == 0 else 1.0 - vote)
        shares.append(sum(votes) / len(votes) if votes else 0.5)
    return shares
