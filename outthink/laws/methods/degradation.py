"""[78] Why downstream performance is hard to predict: how a smooth log-probability becomes a score that hardly follows compute.

    log p_vocab(right) -> p_vocab(right) -> p_choices(right) = p(right) / sum_choices p -> accuracy and Brier score

Per item and step the correlation of the score with log compute over the models of ONE family (pooling families first mixes their
levels in); the distribution of these correlations over items is compared by its survival function. The break is at p_choices: it needs
the mass on particular wrong choices, which moves on its own.
Cost: a sort of the models an item. Identities: accuracy, Brier and p_choices do not change when all log-probabilities of an item move by
one constant; Spearman and Kendall are the same for log p_vocab and p_vocab.
Departures: none known; an item whose score is the same for all models has no correlation and is NaN (its share is reported).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.stats._arrays import FloatArray

Measure = Literal["pearson", "spearman", "kendall"]

STEPS = ("log_p_vocab", "p_vocab", "p_choices", "brier", "accuracy")
"""The chain, in the order of the transformations; the last two both follow p_choices."""


@dataclass(frozen=True)
class Chain:
    """Scores of items at each step; arrays are (models, items), higher is better (`brier` is the score turned round: 0 is best, -2 worst).

    Args:
        log_p_vocab: nats, of the right choice.
        p_vocab, p_choices: in [0, 1].
        brier: minus the squared distance of p_choices from the right choice.
        accuracy: 1 where the right choice has the most mass, 1/m where m choices share the top with it.
    """

    log_p_vocab: FloatArray
    p_vocab: FloatArray
    p_choices: FloatArray
    brier: FloatArray
    accuracy: FloatArray

    def steps(self) -> Mapping[str, FloatArray]:
        """The scores by name, in the order of `STEPS`."""
        return {name: getattr(self, name) for name in STEPS}


def chain(log_probabilities: ArrayLike, right: ArrayLike, *, lengths: ArrayLike | None = None) -> Chain:
    """The chain of scores from log-probabilities of given choices.

    Args:
        log_probabilities: (models, items, choices) in nats, of the whole choice; -inf where an item has fewer choices.
        right: (items,) index of the right choice.
        lengths: (items, choices) tokens of each choice; then scores are per token, which is needed where choices differ in length.

    Raises:
        UsageError: shapes that do not fit, a log-probability above 0, or a right choice that is not there.
    """
    logs = np.asarray(log_probabilities, dtype=np.float64)
    index = np.asarray(right)
    if logs.ndim != 3 or index.shape != logs.shape[1:2] or index.dtype.kind not in "iu" or np.any((index < 0) | (index >= logs.shape[2])):
        raise UsageError(
            f"log_probabilities must be (models, items, choices) and right (items,) indices of choices, got {logs.shape} and {index.shape}"
        )
    if lengths is not None:
        logs = logs / np.asarray(lengths, dtype=np.float64)
    if not np.all(logs <= 0.0):
        raise UsageError(f"log-probabilities must be 0 or less, got {float(np.max(logs)):g}; are they probabilities?")
    mine = np.take_along_axis(logs, index[None, :, None], axis=2)[:, :, 0]  # (models, items)
    if np.any(np.isneginf(mine)):
        raise UsageError("a right choice has log-probability -inf: it is missing from its item")
    top = logs.max(axis=2, keepdims=True)
    masses = np.exp(logs - top)
    shares = masses / masses.sum(axis=2, keepdims=True)
    p_right = np.take_along_axis(shares, index[None, :, None], axis=2)[:, :, 0]
    brier = (shares**2).sum(axis=2) - 2.0 * p_right + 1.0
    first = (logs == top).sum(axis=2)
    return Chain(mine, np.exp(mine), p_right, -brier, np.where(mine == top[:, :, 0], 1.0 / first, 0.0))


def correlations(scores: ArrayLike, compute: ArrayLike, *, measure: Measure = "spearman") -> FloatArray:
    """Correlation of each item's score with log compute over the models of one family.

    Args:
        scores: (models, items).
        compute: (models,) FLOPs of training, above 0; three models or more.
        measure: Pearson on log compute; Spearman and Kendall (tau-b) on ranks, ties shared.

    Returns:
        (items,) in [-1, 1]; NaN where the score does not vary.
    """
    table, flops = np.asarray(scores, dtype=np.float64), np.asarray(compute, dtype=np.float64)
    if table.ndim != 2 or flops.shape != table.shape[:1] or flops.size < 3 or np.any(flops <= 0.0):
        raise UsageError(
            f"correlations need (models, items) scores and the FLOPs, above 0, of three models or more; got {table.shape} and {flops.shape}"
        )
    logs = np.log(flops)
    if measure == "kendall":
        upper = np.triu_indices(flops.size, 1)
        first = np.sign(np.subtract.outer(logs, logs)[upper])[:, None]  # (pairs, 1)
        second = np.sign((table[:, None, :] - table[None, :, :])[upper])  # (pairs, items)
    elif measure == "spearman":
        first, second = _ranks(logs[:, None]), _ranks(table)
        first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    else:
        first, second = logs[:, None] - logs.mean(), table - table.mean(axis=0)
    size = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    # scores that differ by rounding alone do not vary
    varies = np.ptp(table, axis=0) > 1e-14 * np.abs(table).max(axis=0)
    found: FloatArray = np.full(table.shape[1], np.nan)
    np.divide((first * second).sum(axis=0), size, out=found, where=varies & (size > 0.0))
    return found


@dataclass(frozen=True)
class Survival:
    """Share of items whose correlation exceeds a threshold.

    Args:
        thresholds: (points,).
        shares: (points,) of the items that have a correlation.
        undefined: share of items whose score does not vary, so that they have none.
    """

    thresholds: FloatArray
    shares: FloatArray
    undefined: float

    @property
    def area(self) -> float:
        """Mean share over the thresholds by the trapezoid rule; over [-1, 1] it is (1 + mean correlation) / 2."""
        steps = np.diff(self.thresholds)
        return float(((self.shares[1:] + self.shares[:-1]) / 2.0 * steps).sum() / steps.sum())


def survival(correlation: ArrayLike, thresholds: ArrayLike | None = None) -> Survival:
    """The survival function over items.

    Args:
        correlation: (items,) from `correlations`.
        thresholds: 401 points over [-1, 1] if None.
    """
    values = np.asarray(correlation, dtype=np.float64)
    defined = values[~np.isnan(values)]
    if not defined.size:
        raise UsageError("no item has a correlation: every score is the same for all models")
    grid = np.linspace(-1.0, 1.0, 401) if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    shares = (defined[:, None] > grid).mean(axis=0)
    return Survival(grid, shares, float(np.isnan(values).mean()))


@dataclass(frozen=True)
class WrongMass:
    """How the mass on wrong choices moves with the mass on the right one, item by item.

    Args:
        slopes: (items,) of log p(wrong choices together) on log p(right); 1 keeps p_choices where it is.
        correlations: (items,) Pearson.
    """

    slopes: FloatArray
    correlations: FloatArray


def wrong_mass(log_probabilities: ArrayLike, right: ArrayLike) -> WrongMass:
    """Regress the log mass of all wrong choices on that of the right one over models.

    Args:
        log_probabilities: (models, items, choices) in nats.
        right: (items,) index of the right choice.
    """
    logs, index = np.asarray(log_probabilities, dtype=np.float64), np.asarray(right)
    mine = np.take_along_axis(logs, index[None, :, None], axis=2)[:, :, 0]
    others = np.where(np.arange(logs.shape[2]) == index[:, None], -np.inf, logs)
    top = others.max(axis=2, keepdims=True)
    wrong = np.log(np.exp(others - top).sum(axis=2)) + top[:, :, 0]
    x, y = mine - mine.mean(axis=0), wrong - wrong.mean(axis=0)
    xx, yy, xy = (x**2).sum(axis=0), (y**2).sum(axis=0), (x * y).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return WrongMass(np.where(xx > 0.0, xy / xx, np.nan), np.where(xx * yy > 0.0, xy / np.sqrt(xx * yy), np.nan))


def _ranks(table: FloatArray) -> FloatArray:
    """(models, items) ranks within each column, ties at their mean."""
    below = (table[None, :, :] < table[:, None, :]).sum(axis=1)
    same = (table[None, :, :] == table[:, None, :]).sum(axis=1)
    ranks: FloatArray = below + (same + 1) / 2.0
    return ranks
