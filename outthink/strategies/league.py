"""[72] League. Draw N candidates; each meets m others, K comparisons a match; the highest mean win rate is the answer.

    answer = a_i*,  i* = argmax_i (1/m) sum_{j in opponents of i} (share of the K comparisons that i wins against j)

Cost: N samples and N m / 2 matches of K comparisons, all in one batch: one wait in place of the knockout's log2 N.
Identity: p_comp = 1 finds a right candidate whenever there is one and not all are right; with the same p_comp it needs about m/2 times
the comparisons of a knockout, and forgives single lost matches.
Half of a match's comparisons are asked in turned order; a tie of win rates is broken at random.
Departures: equal answers are not compared and count as a draw (1/2, the expectation of comparing them); a candidate without an answer
does not take part unless none has one; who meets whom is a ring in random order, so that every candidate has exactly m opponents (m + 1
where m and N are odd), where the paper draws them independently. Under a budget the comparisons with those before it are set aside with
each sample, at most m (up to twice what a large league with few opponents needs), so a tight cap means a smaller league and not unplayed
matches.
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


@strategy("league", papers=(72,))
@dataclass(frozen=True)
class League:
    """Sample n answers, compare each with `opponents` others (all if none is given), and keep the one with the best win rate."""

    n: int = 8
    comparisons: int = 2
    opponents: int | None = None
    comparer: Comparer = PairwiseJudge()

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be 1 or more, got {self.n}")
        if self.comparisons < 1:
            raise ValueError(f"comparisons must be 1 or more a match, got {self.comparisons}")
        if self.opponents is not None and self.opponents < 1:
            raise ValueError(f"opponents must be 1 or more, or none for all others, got {self.opponents}")

    async def solve(self, problem: Problem, session: Session) -> Solution:
        """Sample, play all matches, rank by win rate."""
        candidates, labels, players = await entered(session, problem, self.comparer, self._added(), self.comparisons)
        if not players:
            return Solution.of(next(iter(candidates), None), candidates=len(candidates))
        if len({labels[player] for player in players}) == 1:
            return Solution.of(candidates[players[0]], candidates=len(candidates))
        session.offer(candidates[players[0]], 0.0)
        rng = session.rng("league")
        ring = [players[int(place)] for place in rng.permutation(len(players))]
        pairs = _ring_pairs(ring, self.opponents or len(ring))
        matches = [(one, other) for one, other in pairs if labels[one] != labels[other]]
        shares = await win_shares(session, self.comparer, problem, [(candidates[a], candidates[b]) for a, b in matches], self.comparisons)
        won = dict.fromkeys(players, 0.0)
        met = dict.fromkeys(players, 0)
        for one, other in pairs:
            met[one] += 1
            met[other] += 1
        for one, other in pairs:
            if labels[one] == labels[other]:
                won[one] += 0.5
                won[other] += 0.5
        for (one, other), share in zip(matches, shares, strict=True):
            won[one] += share
            won[other] += 1.0 - share
        rates = {player: won[player] / met[player] for player in players}
        best = max(rates.values())
        leaders = [player for player in players if rates[player] >= best - 1e-12]
        chosen = leaders[int(rng.integers(len(leaders)))]
        return Solution.of(candidates[chosen], candidates=len(candidates), confidence=rates[chosen])

    def _added(self) -> list[int]:
        # matches with those before it: no candidate meets more than its opponents, one more where their number and the league's are odd
        most = self.n if self.opponents is None else self.opponents + self.opponents % 2
        return [min(place, most) for place in range(self.n)]


def _ring_pairs(ring: list[int], opponents: int) -> list[tuple[int, int]]:
    # a distance on the ring gives everyone two opponents; half way round (even rings only) gives one
    n = len(ring)
    wanted = min(opponents, n - 1)
    halves = 1 if wanted % 2 == 1 and n % 2 == 0 else 0
    distances = range(1, (wanted - halves + 1) // 2 + 1)
    pairs = [(ring[i], ring[(i + distance) % n]) for distance in distances for i in range(n)]
    return pairs + [(ring[i], ring[i + n // 2]) for i in range(n // 2 * halves)]
