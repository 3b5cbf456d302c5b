"""Claims that many reproductions make in the same way: a share of trials against a known chance."""

from __future__ import annotations

import math

from outthink.papers.measured import Measured
from outthink.stats import wilson_interval

SIGMAS = 3.0
"""Half width, in standard errors, of what a share of independent trials may differ from its known chance."""


def standard_error(chance: float, trials: int) -> float:
    """Of the share of successes in independent trials."""
    return math.sqrt(chance * (1.0 - chance) / trials)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """95% interval of a share."""
    low, high = wilson_interval(successes, trials)
    return float(low), float(high)


def share_matches(
    claim: str, *, successes: int, trials: int, chance: float, expected: str = "", data: str = "", seed: int | None = None, not_covered: str = ""
) -> Measured:
    """A share of independent trials equals a known chance: within 3 standard errors of it (and half a trial, for chances near 0 or 1)."""
    error = SIGMAS * standard_error(chance, trials) + 0.5 / trials
    return Measured.within(
        claim, value=successes / trials, target=chance, tolerance=error, interval=wilson(successes, trials), expected=expected, data=data,
        seed=seed, size=f"{trials} trials", not_covered=not_covered,
    )  # fmt: skip
