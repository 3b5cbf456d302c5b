"""[101] Choosing the model to fine-tune from small tunings: accept, then stop.

Losses at sizes B, B/2, B/4, ... are taken from the largest downwards. A line through log loss over log size starts with the `least` largest; each
smaller one is accepted while its residual is at most `tolerance` standard deviations of the line's own residuals, and the first that is not
stops: from there on down the model is in its flat phase. The line predicts the loss at full size, and the lowest prediction wins.
As published, the deviation is that of the population, and the smallest size is dropped even if nothing stopped before it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import DataError, UsageError
from outthink.stats._arrays import FloatArray


def accept_then_stop(samples: ArrayLike, losses: ArrayLike, full: float, *, least: int = 3, tolerance: float = 5.0) -> FloatArray:
    """Losses at full size, predicted from small tunings.

    Args:
        samples: (sizes,) examples tuned on, in any order.
        losses: (models, sizes), above 0.
        full: size that is predicted.
        least: points that a line needs, 2 or more.
        tolerance: standard deviations of a point that is still accepted.

    Returns:
        (models,) predicted losses; the model to tune has the lowest.

    Raises:
        DataError: shapes do not fit, sizes are too few or repeat, or a loss is not above 0.
        UsageError: `least` or `tolerance` is out of range.
    """
    sizes, table = np.asarray(samples, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    if least < 2 or not tolerance > 0:
        raise UsageError(f"a line needs at least 2 points and a tolerance above 0, got {least} and {tolerance}")
    if sizes.ndim != 1 or table.ndim != 2 or table.shape[1] != len(sizes):
        raise DataError(f"losses must be (models, sizes) for (sizes,) samples, got {table.shape} for {sizes.shape}")
    if len(np.unique(sizes)) != len(sizes) or len(sizes) < least:
        raise DataError(f"a prediction needs at least {least} different sizes, got {len(np.unique(sizes))} in {len(sizes)}")
    if not (np.all(table > 0.0) and np.all(sizes > 0.0) and np.all(np.isfinite(table))):
        raise DataError("sizes and losses must be finite and above 0: their logarithms are taken")
    order = np.argsort(-sizes)
    x, rows = np.log(sizes[order]), np.log(table[:, order])
    return np.array([_predicted(x, row, np.log(full), least, tolerance) for row in rows])


def _predicted(x: FloatArray, y: FloatArray, full: float, least: int, tolerance: float) -> float:
    used = least
    line = np.polyfit(x[:used], y[:used], 1)
    while used < len(x) - 1:
        spread = float(np.std(y[:used] - np.polyval(line, x[:used])))
        if abs(y[used] - np.polyval(line, x[used])) > tolerance * spread:
            break
        used += 1
        line = np.polyfit(x[:used], y[:used], 1)
    return float(np.exp(np.polyval(line, full)))


def relative_accuracy(predicted: ArrayLike, actual: ArrayLike) -> float:
    """How good the chosen model is between the worst, 0, and the best, 1: (worst - chosen) / (worst - best) in actual loss.

    Args:
        predicted: (models,) by which the lowest is chosen.
        actual: (models,) losses at full size.
    """
    guess, truth = np.asarray(predicted, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    return float((truth.max() - truth[np.argmin(guess)]) / (truth.max() - truth.min()))
