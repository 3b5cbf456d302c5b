"""[98] [122] The shape of a score over model size: rising, falling, U, inverted U or flat, with the probability of each.

Two lines are fitted (Simonsohn's two-lines test), one up to the lowest or highest inner size and one from there on: a U needs a significant fall
followed by a significant rise. A quadratic would call any plateau a U. Without a turn the slope of one line over all sizes decides. Slopes are
taken for every item, so that their errors are those of paired differences, and items are drawn anew for the probabilities.
The verdict holds for the sizes that were measured and no others, so the result names their range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import DataError
from outthink.stats._arrays import FloatArray

Shape = Literal["rising", "falling", "U", "inverted U", "flat"]
SHAPES: tuple[Shape, ...] = ("rising", "falling", "U", "inverted U", "flat")

_SLOPE, _TURN = 2.33, 2.8  # standard errors of a slope that is taken for one; more at a turn, whose place was chosen by the same data


@dataclass(frozen=True)
class Trend:
    """What the curve looks like.

    Args:
        shape: of the whole data.
        probabilities: share of the bootstrap replicates with each shape.
        sizes: smallest and largest that were measured; the verdict is about these.
        turn: size at which a U or an inverted U turns; nan for other shapes.
    """

    shape: Shape
    probabilities: dict[Shape, float]
    sizes: tuple[float, float]
    turn: float


def trend(sizes: ArrayLike, scores: ArrayLike, *, draws: int = 400, seed: int = 0) -> Trend:
    """Classify the curve of mean score over size.

    Args:
        sizes: (models,) parameters or training FLOPs, above 0, at least three different ones in any order.
        scores: (models, items) score of each model on each item; higher is better.
        draws: bootstrap replicates over items.
        seed: of these.

    Raises:
        DataError: too few sizes or items, or numbers that are not finite.
    """
    size, table = np.asarray(sizes, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or size.shape != table.shape[:1]:
        raise DataError(f"scores must be (models, items) for (models,) sizes, got {table.shape} for {size.shape}")
    if np.unique(size).size < 3:
        raise DataError(f"a shape needs at least three different sizes, got {np.unique(size).size}; with two there is a direction only")
    if table.shape[1] < 2 or not np.all(np.isfinite(table)) or not np.all(size > 0):
        raise DataError("a shape needs finite scores on at least two items, and sizes above 0")
    order = np.argsort(size)
    size, table = size[order], table[order]
    x = np.log(size)
    rng = np.random.default_rng(seed)
    items = rng.integers(table.shape[1], size=(draws, table.shape[1]))
    shape, turn = _classified(x, table)
    counted = [_classified(x, table[:, chosen])[0] for chosen in items]
    chances: dict[Shape, float] = {name: counted.count(name) / draws for name in SHAPES}
    return Trend(shape, chances, (float(size[0]), float(size[-1])), float("nan") if turn is None else float(size[turn]))


def _classified(x: FloatArray, table: FloatArray) -> tuple[Shape, int | None]:
    mean, last = table.mean(axis=1), len(x) - 1
    low, high = int(np.argmin(mean)), int(np.argmax(mean))
    if 0 < low < last and _slope(x[: low + 1], table[: low + 1]) < -_TURN and _slope(x[low:], table[low:]) > _TURN:
        return "U", low
    if 0 < high < last and _slope(x[: high + 1], table[: high + 1]) > _TURN and _slope(x[high:], table[high:]) < -_TURN:
        return "inverted U", high
    whole = _slope(x, table)
    if abs(whole) > _SLOPE:
        return ("rising" if whole > 0 else "falling"), None
    return "flat", None


def _slope(x: FloatArray, table: FloatArray) -> float:
    # slope of score over log size in standard errors over items: (sizes,), (sizes, items) -> z
    slopes = (x - x.mean()) @ table
    error = slopes.std(ddof=1) / np.sqrt(table.shape[1])
    return float(slopes.mean() / error) if error > 0 else float(np.copysign(np.inf, slopes.mean())) if slopes.mean() else 0.0
