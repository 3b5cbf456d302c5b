"""[72] The cheapest knockout for a chance of failure, by the exact law; the published bound beside it, and when it says nothing.

    calls = N + (N - 1) K          N candidates, N - 1 matches of K comparisons each
    failure(N, K) >= (1 - p_gen)^N whatever K, with equality for p_comp = 1

The bound (1 - p_gen)^N + ceil(log2 N) exp(-2 K (p_comp - 1/2)^2) is vacuous, 1 or more, at practical K; a plan by it buys many times the calls.
Both hold for one problem. Averages of p_comp above 1/2 hide problems below 1/2, where more comparisons make the result worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from outthink.core.errors import UsageError
from outthink.stats.tournament import knockout_failure_bound, knockout_success

LARGEST = 4096
"""Candidates, and comparisons a match, that are looked at."""


@dataclass(frozen=True)
class Size:
    """A knockout: `candidates` N, `comparisons` a match K, `calls` N + (N - 1) K, and its exact chance of `failure`."""

    candidates: int
    comparisons: int
    calls: int
    failure: float


@dataclass(frozen=True)
class KnockoutPlan:
    """What a knockout needs for a chance of failure.

    Args:
        target: chance of failure asked for.
        exact: the one with the fewest calls that meets it by the exact law; None if none does up to 4096 candidates and comparisons.
        bound: what the published bound says of the exact plan; 1 or more says nothing. nan for p_comp of 1/2 or less.
        by_bound: the one with the fewest calls for which the bound itself promises the target; None likewise.
        floor: the lowest failure that any number of candidates and comparisons looked at gives.
    """

    target: float
    exact: Size | None
    bound: float
    by_bound: Size | None
    floor: float

    @property
    def vacuous(self) -> bool:
        """Whether the published bound promises nothing for the exact plan."""
        return not self.bound < 1.0

    def sentence(self) -> str:
        """The answer in words."""
        if self.exact is None:
            return f"no knockout of up to {LARGEST} candidates fails at most {self.target:g} of the time; the lowest is {self.floor:.3g}."
        one = self.exact
        said = f"N = {one.candidates}, K = {one.comparisons}: {one.calls:,} calls, fails {one.failure:.3g} of the time by the exact law"
        if self.vacuous:
            said += "; the published bound says nothing there"
        if self.by_bound is not None:
            other = self.by_bound
            said += f"; a plan by the bound takes N = {other.candidates}, K = {other.comparisons}: {other.calls / one.calls:.1f} times the calls"
        return said + "."


def plan_knockout(p_gen: float, p_comp: float, failure: float) -> KnockoutPlan:
    """[72] The fewest calls for a chance of failure.

    Args:
        p_gen: chance that a candidate is right. p_comp: chance that one comparison picks the right one of a right and a wrong candidate.
        failure: allowed chance that the winner is wrong, in (0, 1).

    Raises:
        UsageError: failure outside (0, 1).
        ValueError: chances outside [0, 1].
    """
    if not 0.0 < failure < 1.0:
        raise UsageError(f"the allowed failure must be between 0 and 1, got {failure}")
    deepest = LARGEST - 1 if p_comp > 0.5 else 1  # more comparisons do not help a comparer at chance

    def law(n: int, k: int) -> float:
        return 1.0 - knockout_success(p_gen, p_comp, n, k)

    def promise(n: int, k: int) -> float:
        return knockout_failure_bound(p_gen, p_comp, n, k)

    sizes = [2**power for power in range(int(math.log2(LARGEST)) + 1)]
    exact = _cheapest([(n, _fewest(law, n, failure, deepest)) for n in sizes], law)
    by_bound = _cheapest([(n, _fewest(promise, n, failure, deepest)) for n in sizes], law) if p_comp > 0.5 else None
    bound = math.nan if exact is None or p_comp <= 0.5 else promise(exact.candidates, max(1, exact.comparisons))
    return KnockoutPlan(failure, exact, bound, by_bound, min(law(n, deepest) for n in sizes))


def _fewest(chance: Callable[[int, int], float], n: int, failure: float, deepest: int) -> int | None:
    """The fewest comparisons, an odd number (an even one decides its draws by a coin and is worth the odd one below), that n candidates need."""
    if chance(n, deepest) > failure:
        return None
    low, high = 0, (deepest - 1) // 2  # K = 2 low + 1
    while low < high:
        middle = (low + high) // 2
        if chance(n, 2 * middle + 1) <= failure:
            high = middle
        else:
            low = middle + 1
    return 2 * low + 1


def _cheapest(found: list[tuple[int, int | None]], law: Callable[[int, int], float]) -> Size | None:
    sizes = [Size(n, k if n > 1 else 0, n + (n - 1) * k, law(n, k)) for n, k in found if k is not None]
    return min(sizes, key=lambda size: size.calls, default=None)
