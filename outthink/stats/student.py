"""Quantiles of Student's t distribution, and the level at which a bootstrap of few units is read."""

import math
from functools import lru_cache
from statistics import NormalDist

_MANY = 200  # degrees of freedom beyond which three terms of the expansion are exact to 1e-9


def student_quantile(probability: float, degrees: int) -> float:
    """The value below which Student's t falls with this probability.

    Args:
        probability: in (0, 1).
        degrees: of freedom, at least 1.

    Raises:
        ValueError: arguments out of range.
    """
    if not 0.0 < probability < 1.0 or degrees < 1:
        raise ValueError(f"need a probability in (0, 1) and at least one degree of freedom, got {probability} and {degrees}")
    if probability < 0.5:
        return -student_quantile(1.0 - probability, degrees)
    if degrees > _MANY:
        return _expansion(NormalDist().inv_cdf(probability), degrees)
    low, high = 0.0, 0.5 * math.pi  # t = sqrt(degrees) tan(angle): bounded, so bisection ends
    for _ in range(60):
        angle = 0.5 * (low + high)
        low, high = (angle, high) if _within(angle, degrees) < 2.0 * probability - 1.0 else (low, angle)
    return math.sqrt(degrees) * math.tan(0.5 * (low + high))


def _within(angle: float, degrees: int) -> float:
    """P(|t| < sqrt(degrees) tan(angle)): the finite sums 26.7.3 and 26.7.4 of Abramowitz and Stegun."""
    cosine, odd = math.cos(angle), degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for step in range(2 + odd, degrees, 2):
        term *= cosine * cosine * (step - 1) / step
        total += term
    total *= math.sin(angle)
    return 2.0 / math.pi * (angle + total) if odd else total


def _expansion(z: float, degrees: int) -> float:
    """Cornish-Fisher, 26.7.5 of Abramowitz and Stegun."""
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)


@lru_cache(maxsize=4096)
def bootstrap_tail(units: int, level: float) -> float:
    """Share of the replicates below (and above) a percentile interval over `units` independent units, 2 or more.

    Quantiles of the replicates themselves are too narrow: they take the spread of the units for known (a factor of sqrt(n / (n - 1)) and
    Student's quantile in the place of the normal one). Reading them further out makes up for both (Hesterberg 2015, section 5.3).
    """
    return NormalDist().cdf(-math.sqrt(units / (units - 1)) * student_quantile(0.5 + level / 2.0, units - 1))
