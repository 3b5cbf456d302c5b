"""[69] Learning rates that do not fix the length of training: warm up, stay constant, cool down; their cost; and the mean of weights.

    factor(s) = min(1, (s + 1) / warmup)             before the cooldown
              = floor + (1 - floor) g(t)             in it, t = share of the cooldown that is done, in [0, 1]
    g(t) = 1 - sqrt(t)                               recommended ("1-sqrt"); also linear, cosine, mirror-cosine, square and exp

Any checkpoint of the constant part can start a cooldown, so one run serves every duration. With a cooldown that takes a share f of each
duration T_i, all of them cost

    max T + f (sum T - max T)      against      sum T      for a cosine schedule each

Identities for tests: g(0) = 1, g(1) = 0, 1 - sqrt(1/2) = 0.293; durations 3000, 7000 and 10,000 with f = 0.2 cost 0.6 of the cosine's.
Trap: f is a share of the whole duration, not of what remains when the cooldown starts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.stats._arrays import FloatArray

Cooldown = Literal["1-sqrt", "linear", "cosine", "mirror-cosine", "square", "exp"]
COOLDOWNS: tuple[Cooldown, ...] = ("1-sqrt", "linear", "cosine", "mirror-cosine", "square", "exp")

EXP_END = 0.01
"""Where the exponential shape ends before it is shifted to 0: it has no zero of its own."""


def cooldown(shape: Cooldown, progress: ArrayLike) -> FloatArray:
    """g(t), from 1 at t = 0 to 0 at t = 1.

    Args:
        shape: one of `COOLDOWNS`.
        progress: t, the share of the cooldown that is done, in [0, 1], any shape.

    Raises:
        UsageError: an unknown shape, or progress outside [0, 1].
    """
    t = np.asarray(progress, dtype=np.float64)
    if not bool(np.all((t >= 0.0) & (t <= 1.0))):
        raise UsageError("the progress of a cooldown must lie in [0, 1]")
    match shape:
        case "1-sqrt":
            return np.asarray(1.0 - np.sqrt(t))
        case "linear":
            return np.asarray(1.0 - t)
        case "cosine":
            return np.asarray(0.5 * (1.0 + np.cos(np.pi * t)))
        case "mirror-cosine":
            # the cosine mirrored at the straight line: falls fast at both ends and slowly between
            return np.asarray(2.0 * (1.0 - t) - 0.5 * (1.0 + np.cos(np.pi * t)))
        case "square":
            return np.asarray(1.0 - t**2)
        case "exp":
            return np.asarray((EXP_END**t - EXP_END) / (1.0 - EXP_END))
    raise UsageError(f"there is no cooldown {shape!r}; there are {', '.join(COOLDOWNS)}")


@dataclass(frozen=True)
class WarmupStableDecay:
    """[69] Factor on the peak learning rate of step 0, 1, ... of a training of `steps` steps; 0-dimensional or any shape.

    Args:
        steps: of the whole training.
        decay: share of them that cools down, in [0, 1]; 0 for the plateau alone.
        warmup: steps until the peak.
        shape: of the cooldown.
        floor: where it ends, as a share of the peak.
    """

    steps: int
    decay: float = 0.1
    warmup: int = 300
    shape: Cooldown = "1-sqrt"
    floor: float = 0.0

    def __post_init__(self) -> None:
        _check_length(self.steps, self.warmup, self.floor)
        if not 0.0 <= self.decay <= 1.0:
            raise UsageError(f"the cooldown's share must lie in [0, 1], got {self.decay}")
        if self.warmup > self.start:
            raise UsageError(f"{self.warmup} steps of warm-up reach into the cooldown, which starts at step {self.start} of {self.steps}")
        cooldown(self.shape, 0.0)

    @property
    def start(self) -> int:
        """The first step of the cooldown: a share of the whole duration is left."""
        return self.steps - round(self.decay * self.steps)

    def __call__(self, step: ArrayLike) -> FloatArray:
        at = np.asarray(step, dtype=np.float64)
        factor = _warm(at, self.warmup)
        if self.start == self.steps:
            return factor
        progress = np.clip((at - self.start) / (self.steps - self.start), 0.0, 1.0)
        return np.asarray(factor * (self.floor + (1.0 - self.floor) * cooldown(self.shape, progress)))


@dataclass(frozen=True)
class CosineDecay:
    """The usual schedule, to compare with: warm-up, then half a cosine to the end. Its length must be known beforehand."""

    steps: int
    warmup: int = 300
    floor: float = 0.1

    def __post_init__(self) -> None:
        _check_length(self.steps, self.warmup, self.floor)

    def __call__(self, step: ArrayLike) -> FloatArray:
        at = np.asarray(step, dtype=np.float64)
        progress = np.clip((at - self.warmup) / max(1, self.steps - self.warmup), 0.0, 1.0)
        return np.asarray(_warm(at, self.warmup) * (self.floor + (1.0 - self.floor) * cooldown("cosine", progress)))


def training_cost(durations: ArrayLike, decay: float) -> tuple[float, float]:
    """Steps to train one size for each duration: (one constant run with a cooldown for each, a cosine run for each).

    Args:
        durations: (durations,) in steps, tokens or FLOPs.
        decay: the cooldown's share of each duration.

    Raises:
        UsageError: no duration, one that is not positive, or a share outside [0, 1].
    """
    lengths = np.asarray(durations, dtype=np.float64)
    if lengths.size == 0 or not bool(np.all(lengths > 0.0)):
        raise UsageError("the durations must be one or more positive numbers")
    if not 0.0 <= decay <= 1.0:
        raise UsageError(f"the cooldown's share must lie in [0, 1], got {decay}")
    longest, total = float(lengths.max()), float(lengths.sum())
    return longest + decay * (total - longest), total


@dataclass
class WeightAverage:
    """[69] Uniform mean of weights along a training, the cheap stand-in for a cooldown.

    Args:
        start: the first step that counts, so the mean covers a window at the end.
        every: steps between the weights that are taken; the paper keeps slots of 500 steps.
    """

    start: int
    every: int
    count: int = 0
    total: FloatArray | None = None

    def add(self, step: int, weights: ArrayLike) -> None:
        """Take in the (weights,) after a step if it is this step's turn."""
        if step < self.start or (step - self.start) % self.every:
            return
        vector = np.asarray(weights, dtype=np.float64)  # a sum of float32 weights would lose digits
        self.total = vector.copy() if self.total is None else self.total + vector
        self.count += 1

    @property
    def mean(self) -> FloatArray:
        """(weights,) mean.

        Raises:
            UsageError: no step was taken in yet.
        """
        if self.total is None:
            raise UsageError(f"no weights to average: none was given at step {self.start} or later")
        return np.asarray(self.total / self.count)


def _check_length(steps: int, warmup: int, floor: float) -> None:
    if steps < 1 or not 0 <= warmup <= steps:
        raise UsageError(f"a schedule needs steps >= 1 and a warm-up within them, got {steps} steps and {warmup} of warm-up")
    if not (math.isfinite(floor) and 0.0 <= floor <= 1.0):
        raise UsageError(f"the floor is a share of the peak rate in [0, 1], got {floor}")


def _warm(step: FloatArray, warmup: int) -> FloatArray:
    return np.asarray(np.minimum(1.0, (step + 1.0) / max(1, warmup)))
