"""[72] Knockout tournament. Draw N candidates; pair them up, compare each pair K times, the winner goes on, until one is left.

    P(wrong) <= (1 - p_gen)^N + ceil(log2 N) exp(-2 K (p_comp - 1/2)^2)
    p_gen: P(a candidate is right); p_comp: P(one comparison of a right with a wrong candidate picks the right one)

Cost: N samples, and at most (N - 1) K comparisons in ceil(log2 N) batches one after the other.
Identity: for N a power of two the success is exactly q_{log2 N}, q_0 = p_gen, q_{r+1} = q_r^2 + 2 q_r (1 - q_r) W, W the chance that a
match is won by the right one (`stats.knockout_success`); the bound is vacuous at practical K. It loses where p_comp < 1/2: every
round then makes it worse, and more so with larger K.
Half of a match's comparisons are asked in turned order; an exact draw is broken at random; no comparison is used twice; pairs are drawn
anew each round; the odd one passes; the tournament ends as soon as all candidates that are left say the same.
Departures: two candidates with the same answer are not compared (either one stands for it, so the answer's chances are the same), and a
candidate without an answer does not take part unless none has one. Under a budget the comparisons of a match are set aside with each
sample after the first, so a tight cap means fewer candidates and not unplayed matches; a match of which no comparison came back counts as
a draw.
"""

from __future__ import annotations

from dataclasses import dataclass

from outthink.core.problem import Problem
from outthink.core.protocols import Comparer
from outthink.core.registry import strategy
from outthink.core.session import Session
from outthink.core.solution import Solution
from outthink.strategies._matches import entered, win_shares
from outthink.verifiers.pairwise_judge import PairwiseJudge


@strategy("knockout", papers=(72,))
@dataclass(frozen=True)
class Knockout:
    """Sample n answers and let them play a knockout tournament of pairwise comparisons."""

    n: int = 16
    comparisons: int = 4
    comparer: Comparer = PairwiseJudge()

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be 1 or more, got {self.n}")
        if self.comparisons < 1:
            raise ValueError(f"comparisons must be 1 or more a match, got {self.comparisons}")

    async def solve(self, problem: Problem, session: Session) -> Solution:
        """Sample, then play round after round."""
        candidates, labels, left = await entered(session, problem, self.comparer, [0] + [1] * (self.n - 1), self.comparisons)
        if not left:
            return Solution.of(next(iter(candidates), None), candidates=len(candidates))
        session.offer(candidates[left[0]], 0.0)
        played = 0
        while len({labels[position] for position in left}) > 1:
            rng = session.rng("round", played)
            order = [left[int(place)] for place in rng.permutation(len(left))]
            pairs = list(zip(order[::2], order[1::2], strict=False))
            matches = [(one, other) for one, other in pairs if labels[one] != labels[other]]
            shares = await win_shares(session, self.comparer, problem, [(candidates[a], candidates[b]) for a, b in matches], self.comparisons)
            left = [one for one, other in pairs if labels[one] == labels[other]] + order[2 * len(pairs) :]
            for (one, other), share in zip(matches, shares, strict=True):
                first_wins = share > 0.5 or (share == 0.5 and rng.random() < 0.5)
                left.append(one if first_wins else other)
            played += 1
            session.offer(candidates[left[0]], float(played))
        return Solution.of(candidates[min(left)], candidates=len(candidates))
