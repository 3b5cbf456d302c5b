"""What a fit makes small: a loss of residuals on a scale, as a sum (or, for comparison, a mean) over rows.

    residual = scale(predicted) - scale(observed)
    huber(r) = r^2 / 2 for |r| <= delta, else delta (|r| - delta / 2)

The default is that of the Chinchilla fits: Huber with delta = 1e-3 on the natural logarithm, summed. A mean has the same minimum, but an
optimiser with an absolute tolerance stops early on it: that explains the coefficients printed in the Chinchilla paper ([96], notes).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.laws.form import Link
from outthink.stats._arrays import FloatArray

Loss = Literal["huber", "squared", "absolute"]

RANGES: dict[Link, tuple[float, float]] = {
    "identity": (-math.inf, math.inf), "log": (0.0, math.inf), "log10": (0.0, math.inf), "logit": (0.0, 1.0), "loglog": (0.0, 1.0),
}  # fmt: skip
"""The open range in which a scale takes values."""


def scaled(link: Link, y: ArrayLike) -> FloatArray:
    """`y` on a scale."""
    array = np.asarray(y)
    if link == "identity":
        return array
    if link == "log":
        return np.asarray(np.log(array))
    if link == "log10":
        return np.asarray(np.log10(array))
    if link == "logit":
        return np.asarray(np.log(array) - np.log1p(-array))
    return np.asarray(np.log(-np.log(array)))


def scale_slope(link: Link, y: ArrayLike) -> FloatArray:
    """d scale / d y."""
    array = np.asarray(y)
    if link == "identity":
        return np.ones_like(array)
    if link == "log":
        return np.asarray(1.0 / array)
    if link == "log10":
        return np.asarray(1.0 / (array * math.log(10.0)))
    if link == "logit":
        return np.asarray(1.0 / (array * (1.0 - array)))
    return np.asarray(1.0 / (array * np.log(array)))


def unscaled(link: Link, z: ArrayLike) -> FloatArray:
    """The inverse of `scaled`."""
    array = np.asarray(z)
    if link == "identity":
        return array
    if link == "log":
        return np.asarray(np.exp(array))
    if link == "log10":
        return np.asarray(10.0**array)
    if link == "logit":
        return np.asarray(1.0 / (1.0 + np.exp(-array)))
    return np.asarray(np.exp(-np.exp(array)))


@dataclass(frozen=True)
class Objective:
    """How far predictions are from observations.

    Args:
        scale: on which residuals are taken.
        loss: of one residual; `absolute` is smoothed by a Huber of 1e-6 of the scale's unit, which moves no coefficient but keeps a gradient.
        delta: where Huber turns from square to line; 1e-3 on logs is the Chinchilla setting, 1e-4 makes many fits stop at no optimum.
        overestimate: factor on the loss where the prediction is too high. Above 1 the law leans on the best runs, for tables in which
            some runs are undertuned (10 is in use); 1 treats both sides alike.
        reduction: "sum", or "mean" to compare with scripts that use it.
    """

    scale: Link = "log"
    loss: Loss = "huber"
    delta: float = 1e-3
    overestimate: float = 1.0
    reduction: Literal["sum", "mean"] = "sum"

    def __post_init__(self) -> None:
        if self.scale not in RANGES:
            raise UsageError(f"no scale {self.scale!r}; use one of {', '.join(RANGES)}")
        if self.loss not in ("huber", "squared", "absolute"):
            raise UsageError(f"no loss {self.loss!r}; use huber, squared or absolute")
        if not self.delta > 0.0:
            raise UsageError(f"delta must be above 0, got {self.delta}")
        if not 0.0 < self.overestimate < math.inf:
            raise UsageError(f"overestimate must be a finite factor above 0, got {self.overestimate}")
        if self.reduction not in ("sum", "mean"):
            raise UsageError(f"no reduction {self.reduction!r}; use sum or mean")

    @property
    def bend(self) -> float:
        """Size of the residual at which the loss turns from square to line; infinite for squares."""
        return {"huber": self.delta, "squared": math.inf, "absolute": 1e-6}[self.loss]

    def factor(self, rows: int) -> float:
        """By which the weighted sum over rows is multiplied."""
        return (1.0 if self.loss != "absolute" else 1.0 / self.bend) / (1 if self.reduction == "sum" else rows)

    def losses(self, residual: FloatArray, weights: FloatArray | float = 1.0) -> tuple[FloatArray, FloatArray]:
        """Weighted loss of each residual before `factor`, and its derivative. Any shape that broadcasts."""
        if self.overestimate != 1.0:
            weights = weights * np.where(residual > 0.0, self.overestimate, 1.0)
        if self.loss == "squared":
            slope = weights * residual
            return 0.5 * slope * residual, slope
        held = np.clip(residual, -self.bend, self.bend)
        slope = weights * held
        return slope * (residual - 0.5 * held), slope  # held (r - held / 2): r^2/2 inside, delta (|r| - delta/2) outside

    def curvature(self, residual: FloatArray, weights: FloatArray | float = 1.0) -> FloatArray:
        """Weights of the squares that lie on or above the loss and touch it at each residual: slope / residual, before `factor`."""
        if self.overestimate != 1.0:
            weights = weights * np.where(residual > 0.0, self.overestimate, 1.0)
        if self.loss == "squared":
            return np.broadcast_to(np.asarray(weights, dtype=np.float64), residual.shape)
        return np.asarray(weights * (self.bend / np.maximum(np.abs(residual), self.bend)))

    def value(self, predicted: ArrayLike, observed: ArrayLike, weights: FloatArray | float = 1.0) -> float:
        """The objective of predictions against observations, both (rows,)."""
        target = scaled(self.scale, observed)
        residual = scaled(self.scale, predicted) - target
        return float(self.losses(residual, weights)[0].sum()) * self.factor(target.shape[-1])
