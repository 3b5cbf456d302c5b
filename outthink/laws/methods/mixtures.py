"""[85] Which mixture of data sources to train on, from small trainings and optimal transport (the method "projektor").

    V(p) = sum_i (b2_i p_i^2 + b1_i p_i) OT(p) + sum_i (c2_i p_i^2 + c1_i p_i)        p on the simplex; OT(p) to the validation set
    V(N) = [log(N / N0) V(N1) - log(N / N1) V(N0)] / log(N1 / N0)                    N0 < N1 the pilot sizes

Stage 1 fits V at each pilot size: affine in OT, with coefficients quadratic in p without cross terms (constants are inside, since p adds up
to 1). Stage 2 has no parameter: the straight line in log N through the two. Selection climbs the projected V(N) by projected gradient; OT's
own gradient is the mean dual potential of each source's points.

What to know: OT is taken between the same points at both pilot sizes, since its bias depends on their number. The line in log N passes 1 for
accuracies at some N (`space="log"` projects log V and suits a loss that falls as a power: 5 N^-.3 is off by a third in the linear space). The
notes' formulas are from the authors' notebook and memory; their repository was not available.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.laws.methods.transport import Transport, label_cost, sinkhorn, sinkhorn_with_itself
from outthink.stats._arrays import FloatArray

Space = Literal["linear", "log"]


@dataclass(frozen=True)
class Sources:
    """Points of each source and of the validation set.

    Args:
        features: one (points, dimension) a source.
        labels: one (points,) a source.
        target: (points, dimension) of the validation set, and `target_labels` (points,).
        label_weight: what a differing label adds to the squared distance.
        regularisation: of the transport, as a share of the mean cost to the validation set.
    """

    features: Sequence[FloatArray]
    labels: Sequence[ArrayLike]
    target: FloatArray
    target_labels: ArrayLike
    label_weight: float
    regularisation: float = 0.02

    @cached_property
    def _costs(self) -> tuple[FloatArray, FloatArray, float, float]:
        """Costs to the validation set and within the sources, the regularisation in their unit, and OT of the validation set with itself."""
        points, labels = np.concatenate(list(self.features)), np.concatenate([np.asarray(part) for part in self.labels])
        out = label_cost(points, labels, self.target, self.target_labels, label_weight=self.label_weight)
        within = label_cost(points, labels, points, labels, label_weight=self.label_weight)
        own = label_cost(self.target, self.target_labels, self.target, self.target_labels, label_weight=self.label_weight)
        unit = self.regularisation * float(out.mean())
        weights = np.full(len(own), 1.0 / len(own))
        return out, within, unit, sinkhorn_with_itself(own, weights, regularisation=unit).value

    def distance(self, mixture: ArrayLike) -> tuple[float, FloatArray]:
        """Debiased transport from the mixture to the validation set, and its gradient along the simplex (its entries add up to 0): (sources,)."""
        p = as_mixture(mixture, len(self.features))
        out, within, unit, own = self._costs
        sizes = [len(part) for part in self.features]
        weights = np.repeat(p / sizes, sizes)
        target = np.full(out.shape[1], 1.0 / out.shape[1])
        across: Transport = sinkhorn(out, weights, target, regularisation=unit)
        itself = sinkhorn_with_itself(within, weights, regularisation=unit)
        bounds = np.cumsum([0, *sizes])
        slope = np.array([(across.first - itself.first)[low:high].mean() for low, high in itertools.pairwise(bounds)])
        return across.value - 0.5 * itself.value - 0.5 * own, slope - slope.mean()


@dataclass(frozen=True)
class MixtureLaw:
    """Performance of mixtures at one size.

    Args:
        by_distance: (sources, 2), b1 and b2 of each source.
        by_share: (sources, 2), c1 and c2.
        residual_sd: of the fit, in the unit of performance; nan where rows equal coefficients.
        rows: trainings it rests on.
    """

    by_distance: FloatArray
    by_share: FloatArray
    residual_sd: float
    rows: int

    def __call__(self, mixture: ArrayLike, distance: ArrayLike) -> FloatArray:
        """V at mixtures (..., sources) with their distances (...)."""
        p = np.asarray(mixture, dtype=np.float64)
        quadratic = [p @ part[:, 0] + p**2 @ part[:, 1] for part in (self.by_distance, self.by_share)]
        return np.asarray(quadratic[0] * np.asarray(distance) + quadratic[1])

    def gradient(self, mixture: FloatArray, distance: float, slope: FloatArray) -> FloatArray:
        """d V / d p, (sources,), where the distance has the gradient `slope`."""
        by_distance, by_share = (part[:, 0] + 2.0 * part[:, 1] * mixture for part in (self.by_distance, self.by_share))
        level = float(mixture @ self.by_distance[:, 0] + mixture**2 @ self.by_distance[:, 1])
        return np.asarray(by_distance * distance + level * slope + by_share)


@dataclass(frozen=True)
class Selection:
    """A mixture and what is expected of it: `projected` at the size asked for, `steps` of the climb."""

    mixture: FloatArray
    projected: float
    steps: int


def fit_mixture_law(mixtures: ArrayLike, distances: ArrayLike, performance: ArrayLike) -> MixtureLaw:
    """[85] Stage 1, by least squares.

    Args:
        mixtures: (rows, sources). distances: (rows,), of each mixture. performance: (rows,), of a model trained on it at one size.

    Raises:
        UsageError: fewer than 4 rows a source (6 for two), or mixtures too alike to tell the coefficients apart.
    """
    p, distance, observed = np.asarray(mixtures, dtype=np.float64), np.asarray(distances, dtype=np.float64), np.asarray(performance, dtype=np.float64)
    if p.ndim != 2 or distance.shape != p.shape[:1] or observed.shape != p.shape[:1]:
        raise UsageError(f"mixtures must be (rows, sources), the others (rows,); got {p.shape}, {distance.shape} and {observed.shape}")
    columns = np.concatenate([p * distance[:, None], p**2 * distance[:, None], p, p**2], axis=1)
    size = np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    # Shares add up to 1, so with two sources p_1^2 - p_2^2 = p_1 - p_2: fewer coefficients are free, and the shortest solution is taken.
    free = {1: 2, 2: 6}.get(p.shape[1], 4 * p.shape[1])
    if np.linalg.matrix_rank(columns / size, tol=1e-8) < free:
        raise UsageError(
            f"{len(p)} trainings of {len(np.unique(p, axis=0))} mixtures do not fix the {free} coefficients of {p.shape[1]} sources; "
            "train on more mixtures, corners and middles"
        )
    found = np.linalg.lstsq(columns / size, observed, rcond=None)[0] / size
    spare = len(p) - free
    scatter = math.sqrt(float(((observed - columns @ found) ** 2).sum()) / spare) if spare else math.nan
    b1, b2, c1, c2 = found.reshape(4, -1)
    return MixtureLaw(np.stack([b1, b2], axis=1), np.stack([c1, c2], axis=1), scatter, len(p))


def project(size: ArrayLike, low: tuple[float, float], high: tuple[float, float], *, space: Space = "linear") -> FloatArray:
    """[85] Stage 2: performance at a size from (N0, V(N0)) and (N1, V(N1)). At N0 and N1 it returns what was put in.

    space="log" draws the line through log V: for a loss that falls as a power of N.

    Raises:
        UsageError: sizes that are not 0 < N0 < N1, or a V of 0 or less in the log space.
    """
    (first, at_first), (second, at_second) = low, high
    if not 0.0 < first < second:
        raise UsageError(f"the pilot sizes must be 0 < N0 < N1, got {first:g} and {second:g}")
    if space == "log" and min(at_first, at_second) <= 0.0:
        raise UsageError(f"the log space needs performances above 0, got {at_first:g} and {at_second:g}")
    log_size = np.log(np.asarray(size, dtype=np.float64))
    values = np.log([at_first, at_second]) if space == "log" else np.array([at_first, at_second])
    line = ((log_size - math.log(first)) * values[1] - (log_size - math.log(second)) * values[0]) / math.log(second / first)
    return np.asarray(np.exp(line) if space == "log" else line)


def select_mixture(
    sources: Sources, low: tuple[float, MixtureLaw], high: tuple[float, MixtureLaw], size: float, *, start: ArrayLike | None = None, steps: int = 60
) -> Selection:
    """[85] The mixture with the highest projected performance at a size: projected gradient ascent with halved steps.

    Args:
        low, high: (N0, its law) and (N1, its law), of a performance for which higher is better.
        size: N, the number of training points to plan for.
        start: mixture to climb from; equal shares if None.
        steps: at most.
    """
    ahead = math.log(size / low[0]) / math.log(high[0] / low[0])  # weight of N1 in the line; N0 has the rest
    p = as_mixture(np.ones(len(sources.features)) if start is None else start, len(sources.features), scale=True)

    def projected(mixture: FloatArray) -> tuple[float, FloatArray]:
        distance, slope = sources.distance(mixture)
        value = ahead * float(high[1](mixture, distance)) + (1.0 - ahead) * float(low[1](mixture, distance))
        uphill = ahead * high[1].gradient(mixture, distance, slope) + (1.0 - ahead) * low[1].gradient(mixture, distance, slope)
        return value, uphill - uphill.mean()

    value, uphill = projected(p)
    rate = 0.3 / max(float(np.abs(uphill).max()), 1e-300)
    for step in range(steps):
        moved = onto_simplex(p + rate * uphill)
        if np.abs(moved - p).max() < 1e-4:
            return Selection(p, value, step)
        there = projected(moved)
        if there[0] > value:
            p, (value, uphill) = moved, there
            rate *= 1.5
        else:
            rate *= 0.4
    return Selection(p, value, steps)


def onto_simplex(point: ArrayLike) -> FloatArray:
    """The nearest mixture: entries of 0 or more that add up to 1."""
    x = np.asarray(point, dtype=np.float64)
    falling = np.sort(x)[::-1]
    excess = (np.cumsum(falling) - 1.0) / np.arange(1, x.size + 1)
    last = int(np.flatnonzero(falling > excess)[-1])
    return np.asarray(np.maximum(x - excess[last], 0.0))


def as_mixture(mixture: ArrayLike, sources: int, *, scale: bool = False) -> FloatArray:
    """(sources,) shares that add up to 1, or are made to (`scale`). Raises UsageError otherwise."""
    p = np.asarray(mixture, dtype=np.float64)
    if p.shape != (sources,) or np.any(p < 0.0) or not p.sum() > 0.0:
        raise UsageError(f"a mixture is one share of 0 or more for each of the {sources} sources, got {p}")
    if scale:
        return np.asarray(p / p.sum())
    if abs(float(p.sum()) - 1.0) > 1e-6:
        raise UsageError(f"the shares of a mixture must add up to 1, got {p.sum():.6g}")
    return p
