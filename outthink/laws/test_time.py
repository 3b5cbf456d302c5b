"""[113] How many samples for an accuracy or a coverage, and what they cost: from coverage laws and from vote curves.

    tokens = samples x tokens a sample      dollars = tokens x dollars a million / 10^6      FLOPs = 2 x parameters x tokens (forward)

A target above the curve's ceiling is unreachable, and said so with the ceiling. How far the answer lies beyond the measured samples is always told:
`beyond` = samples / largest measured. Where there are draws of the curve (bootstrap over problems), the interval holds the middle 95% of the
samples that they need, infinite where more than 2.5% of them never get there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.stats import coverage
from outthink.stats._arrays import FloatArray, IntArray, as_integers
from outthink.stats.coverage_distribution import CoverageDistribution, fit_coverage_distribution
from outthink.stats.coverage_law import fit_coverage_law

Curve = Callable[[ArrayLike], FloatArray]
"""Accuracy or coverage in [0, 1] at samples a problem."""

MOST = 10**9
"""Samples a problem that are looked at; more is as good as unreachable."""


@dataclass(frozen=True)
class Unit:
    """What one sample costs.

    Args:
        tokens: generated, a sample.
        dollars_per_million: generated tokens; None for no price.
        parameters: of the model, for FLOPs; None for none.
    """

    tokens: float
    dollars_per_million: float | None = None
    parameters: float | None = None

    def __post_init__(self) -> None:
        if not self.tokens > 0.0:
            raise UsageError(f"tokens a sample must be above 0, got {self.tokens}")
        for name, value in (("dollars per million tokens", self.dollars_per_million), ("parameters", self.parameters)):
            if value is not None and not value >= 0.0:
                raise UsageError(f"{name} must be 0 or more, got {value}")

    def dollars(self, tokens: float) -> float | None:
        """Price of tokens; None without one."""
        return None if self.dollars_per_million is None else tokens * self.dollars_per_million / 1e6

    def flops(self, tokens: float) -> float | None:
        """Of generating them, 2 a parameter and token; None where the model's size is not known."""
        return None if self.parameters is None else 2.0 * self.parameters * tokens


@dataclass(frozen=True)
class SamplesPlan:
    """How many samples a problem a target needs. Numbers of spending are a problem's, not the set's.

    Args:
        curve: name of the law that was asked.
        target: accuracy or coverage asked for.
        reachable: whether the curve gets there within `MOST` samples.
        ceiling: the most that the curve gives.
        samples: the fewest that reach the target; None if unreachable.
        expected: the curve at that many samples, or its ceiling.
        interval: of the samples, 95%, over draws of the curve; None without draws.
        measured: largest number of samples that the curve rests on.
        beyond: samples / measured; above 1 it is an extrapolation. None if unreachable.
        tokens, dollars, flops: None where unreachable or not priced.
    """

    curve: str
    target: float
    reachable: bool
    ceiling: float
    samples: int | None
    expected: float
    interval: tuple[float, float] | None
    measured: float
    beyond: float | None
    tokens: float | None
    dollars: float | None
    flops: float | None

    def sentence(self) -> str:
        """The answer in words."""
        if self.samples is None:
            gap = "its limit" if self.target > self.ceiling else f"{MOST:.0e} samples do not get there; its limit"
            return f"{self.curve}: {self.target:.3g} is out of reach, {gap} is {self.ceiling:.3g}."
        said = f"{self.curve}: {self.samples:,} samples a problem for {self.target:.3g} (expected {self.expected:.3f})"
        if self.interval is not None:
            said += f", 95% {self.interval[0]:,.0f} to " + (f"{self.interval[1]:,.0f}" if math.isfinite(self.interval[1]) else "never")
        said += f"; {self.tokens:,.0f} tokens" + (f", ${self.dollars:,.4g}" if self.dollars is not None else "")
        if self.beyond is not None and self.beyond > 1.0:
            said += f"; {self.beyond:,.1f} times beyond the {self.measured:,.0f} samples that were measured"
        return said + "."


@dataclass(frozen=True)
class MeasuredCurve:
    """A curve that was measured and has no law, such as a vote's: straight in log k between its points and unknown beyond them.

    Args:
        k: (points,), rising, from 1.
        values: (points,).
    """

    k: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.k) != len(self.values) or len(self.k) < 2 or not np.all(np.diff(self.k) > 0.0) or self.k[0] < 1.0:
            raise UsageError("a measured curve needs at least two points of rising k from 1 on, with a value each")

    def __call__(self, k: ArrayLike) -> FloatArray:
        """Values at k; beyond the last point it is held level, since a vote that rises so far may fall later."""
        return np.asarray(np.interp(np.log(np.asarray(k, dtype=np.float64)), np.log(self.k), self.values))


def plan_samples(
    curve: Curve, target: float, *, unit: Unit, measured: float, name: str = "law", ceiling: float | None = None, draws: Sequence[Curve] = ()
) -> SamplesPlan:
    """The fewest samples at which a curve reaches a target.

    Args:
        curve: that does not fall before it first reaches the target (a `MeasuredCurve` may fall; its points are looked at in order).
        target: in (0, 1).
        unit: what a sample costs.
        measured: largest number of samples that the curve rests on.
        name: of the curve, for the answer.
        ceiling: its limit, if known; else its value at `MOST` samples, or its highest point.
        draws: other curves that the data allow.

    Raises:
        UsageError: a target outside (0, 1), or nothing measured.
    """
    if not 0.0 < target < 1.0:
        raise UsageError(f"the target must be between 0 and 1, got {target}; no number of samples makes certain")
    if not measured >= 1.0:
        raise UsageError(f"the curve must rest on at least one sample, got {measured}")
    top = ceiling if ceiling is not None else max(curve.values) if isinstance(curve, MeasuredCurve) else float(curve(MOST))
    needed = _fewest(curve, target)
    spread = _middle([_fewest(draw, target) for draw in draws]) if draws else None
    if needed is None:
        return SamplesPlan(name, target, False, top, None, top, spread, measured, None, None, None, None)
    tokens = needed * unit.tokens
    return SamplesPlan(
        name, target, True, top, needed, float(curve(needed)), spread, measured, needed / measured, tokens, unit.dollars(tokens), unit.flops(tokens)
    )


def plan_coverage(n: ArrayLike, c: ArrayLike, target: float, *, unit: Unit, replicates: int = 200, seed: int = 0) -> tuple[SamplesPlan, ...]:
    """[113] Samples for a coverage from counts, by three laws that differ in what they say about problems never solved.

    The power law (straight in log(-log coverage)) and the beta-binomial go to 1; the beta-binomial with a share of unsolvable problems has a
    ceiling. Counts cannot decide between the last two: read them side by side.

    Args:
        n: samples, a number or (problems,). c: right ones, (problems,).
        target: coverage in (0, 1).
        replicates: of the bootstrap over problems, 0 for no intervals.

    Raises:
        ValueError: counts that no law can be fitted to.
    """
    right = np.atleast_1d(as_integers("c", c))
    samples = np.broadcast_to(np.atleast_1d(as_integers("n", n)), right.shape)
    fewest = int(samples.min())
    grid = np.unique(np.round(np.geomspace(1, fewest, 30)).astype(int))
    rng = np.random.default_rng(seed)
    rows = rng.integers(right.size, size=(replicates, right.size))

    def power(chosen: IntArray) -> Curve:
        return fit_coverage_law(grid, coverage(samples[chosen], right[chosen], grid))

    def beta(chosen: IntArray) -> CoverageDistribution:
        return fit_coverage_distribution(samples[chosen], right[chosen])

    def limited(chosen: IntArray) -> CoverageDistribution:
        return fit_coverage_distribution(samples[chosen], right[chosen], unsolvable=True)

    everything = np.arange(right.size)
    ceiling = 1.0 - limited(everything).unsolvable
    laws: tuple[tuple[str, Callable[[IntArray], Curve], float], ...] = (
        ("power law", power, 1.0), ("beta-binomial", beta, 1.0), ("beta-binomial with unsolvable problems", limited, ceiling),
    )  # fmt: skip
    return tuple(
        plan_samples(
            law(everything), target, unit=unit, measured=fewest, name=name, ceiling=top, draws=[_drawn(law, chosen) for chosen in rows]
        )
        for name, law, top in laws
    )  # fmt: skip


def _drawn(law: Callable[[IntArray], Curve], chosen: IntArray) -> Curve:
    """The law of a resample; one to which none can be fitted (no success in it, say) reaches nothing."""
    try:
        return law(chosen)
    except ValueError:
        return np.zeros_like


def _fewest(curve: Curve, target: float) -> int | None:
    """The smallest whole number of samples at which the curve is at least the target."""
    if isinstance(curve, MeasuredCurve):
        high = next((k for k, value in zip(curve.k, curve.values, strict=True) if value >= target), None)
        if high is None:
            return None
        low, high = 1, math.ceil(high)
    else:
        powers = 2 ** np.arange(int(math.log2(MOST)) + 1)
        reached = np.flatnonzero(np.asarray(curve(powers)) >= target)
        if reached.size == 0:
            return None
        high = int(powers[reached[0]])
        low = high // 2 + 1 if high > 1 else 1
    while low < high:
        middle = (low + high) // 2
        if float(curve(middle)) >= target:
            high = middle
        else:
            low = middle + 1
    return int(high)


def _middle(needed: Sequence[int | None]) -> tuple[float, float]:
    """95% of the draws; one that never gets there counts as infinite."""
    ordered = sorted(math.inf if one is None else float(one) for one in needed)
    last = len(ordered) - 1
    return ordered[math.floor(0.025 * last)], ordered[math.ceil(0.975 * last)]
