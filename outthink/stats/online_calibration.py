"""[117] Scores that keep their calibration while the world drifts: online Platt scaling, and calibeating on top of it.

Each calibrator forecasts P(outcome = 1) for a score before its outcome is known, and learns from the outcome afterwards:

    for score, outcome in stream:
        probability = calibrator.forecast(score)
        ...
        calibrator.observe(score, outcome)

Works on any score in [0, 1]: a classifier's confidence, a verifier's judgement. Cost: a few microseconds a score, memory independent of the
stream. Trap: learning from an outcome before forecasting it; `forecast_online` keeps the order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from outthink.stats._arrays import FloatArray, as_fractions, same_shape

_CLIP = 1e-5  # scores nearer to 0 and 1 than this have no finite logit worth learning from


class OnlineCalibrator(Protocol):
    """Turns scores into probabilities and learns from outcomes."""

    def forecast(self, score: float) -> float:
        """P(outcome = 1) for a score in [0, 1], from what was observed so far."""
        ...

    def observe(self, score: float, outcome: int) -> None:
        """Learn that this score had this outcome, 0 or 1."""
        ...


def _features(score: float, kind: Literal["platt", "beta"]) -> FloatArray:
    clipped = min(max(score, _CLIP), 1.0 - _CLIP)
    for_it, against = np.log(clipped), np.log1p(-clipped)
    return np.array([for_it - against, 1.0] if kind == "platt" else [for_it, against, 1.0])


@dataclass
class OnlinePlatt:
    """p = sigmoid(theta . x), theta by the Online Newton Step on the logistic loss; x = (logit score, 1), or (log s, log(1 - s), 1) for beta.

    A starts at I / (beta D)^2 and grows by g g' with g = (p - y) x; theta moves by -A^-1 g / beta and is projected onto the ball of radius
    `radius` in the norm of A. Theorem: regret to the best fixed theta in hindsight is O(log T).

    Args:
        features: "platt" or "beta".
        beta, diameter: of the Newton step; D is 1 for Platt, 2 for beta scaling in the official code.
        radius: of the ball that theta stays in.
    """

    features: Literal["platt", "beta"] = "platt"
    beta: float = 0.1
    diameter: float = 1.0
    radius: float = 100.0
    theta: FloatArray = field(init=False)
    curvature: FloatArray = field(init=False)
    _inverse: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.features not in ("platt", "beta"):
            raise ValueError(f"features must be platt or beta, got {self.features!r}")
        if not (self.beta > 0 and self.diameter > 0 and self.radius > 0):
            raise ValueError(f"beta, diameter and radius must be above 0, got {self.beta}, {self.diameter}, {self.radius}")
        size = 2 if self.features == "platt" else 3
        self.theta = np.zeros(size)
        self.curvature = np.eye(size) / (self.beta * self.diameter) ** 2
        self._inverse = np.eye(size) * (self.beta * self.diameter) ** 2

    def forecast(self, score: float) -> float:
        """P(outcome = 1)."""
        return float(1.0 / (1.0 + np.exp(-np.clip(self.theta @ _features(score, self.features), -500.0, 500.0))))

    def observe(self, score: float, outcome: int) -> None:
        """One Newton step."""
        x = _features(score, self.features)
        gradient = (self.forecast(score) - outcome) * x
        self.curvature += np.outer(gradient, gradient)
        direction = self._inverse @ gradient
        self._inverse -= np.outer(direction, direction) / (1.0 + gradient @ direction)
        self.theta = self.theta - self._inverse @ gradient / self.beta
        if float(self.theta @ self.theta) > self.radius**2:
            self.theta = _project(self.theta, self.curvature, self.radius)


def _project(point: FloatArray, curvature: FloatArray, radius: float) -> FloatArray:
    # least (t - point)' A (t - point) on the ball: (A + m I) t = A point, with m >= 0 such that |t| = radius; |t| falls with m
    values, axes = np.linalg.eigh(curvature)
    along = values * (axes.T @ point)
    low, high = 0.0, float(np.linalg.norm(along)) / radius
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if np.linalg.norm(along / (values + middle)) > radius else (low, middle)
    return np.asarray(axes @ (along / (values + high)))


@dataclass
class Tracking:
    """Calibeating: forecast the running mean of the outcomes of those scores whose base forecast fell into the same bin.

    Args:
        base: makes the first forecast.
        bins: equal bins of [0, 1]. Each starts as if it had seen one outcome just under its right edge.
    """

    base: OnlineCalibrator
    bins: int = 10
    _counts: FloatArray = field(init=False, repr=False)
    _sums: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_bins(self.bins)
        self._counts = np.ones(self.bins)
        self._sums = (np.arange(self.bins) + 1.0) / self.bins - 0.005

    def forecast(self, score: float) -> float:
        """The mean outcome of the bin."""
        own = _bin(self.base.forecast(score), self.bins)
        return float(self._sums[own] / self._counts[own])

    def observe(self, score: float, outcome: int) -> None:
        """Count the outcome in its bin, then let the base learn."""
        own = _bin(self.base.forecast(score), self.bins)
        self._counts[own] += 1.0
        self._sums[own] += outcome
        self.base.observe(score, outcome)


@dataclass
class Hedging:
    """Calibeating with a guarantee: in every bin of the base forecast, Foster's randomised forecaster on a grid.

    Its forecasts are calibrated on any sequence, even one chosen against it, up to half the grid's width and sampling noise.

    Args:
        base: makes the first forecast.
        seed: of the randomisation. The outcome must not depend on the draw, only on what was announced before.
        bins: of the base forecast.
        grid: points of each bin's forecaster.
    """

    base: OnlineCalibrator
    seed: int
    bins: int = 10
    grid: int = 10
    _counts: FloatArray = field(init=False, repr=False)
    _sums: FloatArray = field(init=False, repr=False)
    _rng: np.random.Generator = field(init=False, repr=False)
    _drawn: tuple[float, int, int] | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        _check_bins(self.bins)
        _check_bins(self.grid)
        self._counts, self._sums = np.zeros((self.bins, self.grid)), np.zeros((self.bins, self.grid))
        self._rng = np.random.default_rng(self.seed)

    def distribution(self, score: float) -> tuple[int, FloatArray]:
        """The base forecast's bin, and the chances (grid,) of each point: the middles of equal cells of [0, 1]."""
        own = _bin(self.base.forecast(score), self.bins)
        cells = np.arange(self.grid)
        middles = (cells + 0.5) / self.grid
        seen = self._counts[own]
        mean = np.divide(self._sums[own], seen, out=middles.copy(), where=seen > 0)
        deficit, excess = cells / self.grid - mean, mean - (cells + 1) / self.grid
        chances = np.zeros(self.grid)
        right = np.flatnonzero((deficit <= 0) & (excess <= 0))
        if len(right):
            # among cells whose mean fits, the one nearest to the base forecast's bin: what the base says counts until it is wrong
            home = (own + 0.5) / self.bins * self.grid - 0.5
            chances[right[np.argmin(np.abs(right - home))]] = 1.0
            return own, chances
        # outcomes are never below the first cell nor above the last, so somewhere an excess is followed by a deficit
        at = int(np.flatnonzero((excess[:-1] > 0) & (deficit[1:] > 0))[0])
        chances[at] = deficit[at + 1] / (deficit[at + 1] + excess[at])
        chances[at + 1] = 1.0 - chances[at]
        return own, chances

    def forecast(self, score: float) -> float:
        """A draw from the distribution; kept until its outcome is observed."""
        own, chances = self.distribution(score)
        point = int(self._rng.choice(self.grid, p=chances))
        self._drawn = (score, own, point)
        return (point + 0.5) / self.grid

    def observe(self, score: float, outcome: int) -> None:
        """Count the outcome at the point that was played for it, then let the base learn.

        Raises:
            ValueError: this score was not the last forecast.
        """
        if self._drawn is None or self._drawn[0] != score:
            raise ValueError(f"hedging must forecast a score right before its outcome; observed {score}, forecast {self._drawn and self._drawn[0]}")
        _, own, point = self._drawn
        self._counts[own, point] += 1.0
        self._sums[own, point] += outcome
        self._drawn = None
        self.base.observe(score, outcome)


def forecast_online(calibrator: OnlineCalibrator, scores: ArrayLike, outcomes: ArrayLike) -> FloatArray:
    """Run a stream: every score is forecast before its outcome is observed.

    Args:
        calibrator: is changed.
        scores: (steps,) in [0, 1].
        outcomes: (steps,) 0 or 1.

    Returns:
        The forecasts (steps,).

    Raises:
        ValueError: shapes differ, a score is outside [0, 1], or an outcome is neither 0 nor 1.
    """
    score, outcome = as_fractions("scores", scores), as_fractions("outcomes", outcomes)
    same_shape(("scores", score), [("outcomes", outcome)])
    if score.ndim != 1:
        raise ValueError(f"scores must be one stream, (steps,), got shape {score.shape}")
    if not np.all((outcome == 0.0) | (outcome == 1.0)):
        raise ValueError("outcomes must be 0 or 1: a partial grade is no event that a probability could be about")
    forecasts = np.empty(len(score))
    for step, (one, happened) in enumerate(zip(score.tolist(), outcome.astype(int).tolist(), strict=True)):
        forecasts[step] = calibrator.forecast(one)
        calibrator.observe(one, happened)
    return forecasts


def _bin(probability: float, bins: int) -> int:
    return min(int(probability * bins), bins - 1)


def _check_bins(bins: int) -> None:
    if bins < 1:
        raise ValueError(f"bins and grid must be 1 or more, got {bins}")
