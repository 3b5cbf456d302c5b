"""Checks at the door and the tie-aware ranking that several estimators share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def as_integers(name: str, values: ArrayLike) -> IntArray:
    """`values` as int64; raises ValueError if any is not a whole number."""
    array = np.asarray(values)
    if array.dtype.kind in "iub":
        return array.astype(np.int64)
    numbers = array.astype(np.float64)
    if not np.all(np.isfinite(numbers)) or np.any(numbers != np.floor(numbers)):
        raise ValueError(f"{name} must hold whole numbers, got {array.dtype} values that are not; count samples before calling.")
    return numbers.astype(np.int64)


def as_fractions(name: str, values: ArrayLike) -> FloatArray:
    """`values` as float64 in [0, 1]; raises ValueError on nan or a value outside."""
    array = np.asarray(values, dtype=np.float64)
    outside = ~((array >= 0.0) & (array <= 1.0))
    if np.any(outside):
        raise ValueError(f"{name} must lie in [0, 1], got {array[outside].flat[0]}; grade every sample first (a sample with no answer is 0).")
    return array


def as_table(name: str, array: FloatArray) -> FloatArray:
    """A (problems, samples) table; a single problem may come as a vector."""
    table = array[None, :] if array.ndim == 1 else array
    if table.ndim != 2 or table.shape[0] == 0 or table.shape[1] == 0:
        raise ValueError(f"{name} must have shape (problems, samples) with at least one of each, got {array.shape}.")
    return table


def as_budgets(k: ArrayLike | None, n: int) -> IntArray:
    """The sample budgets asked for, 1-D: every k from 1 to n when `k` is None. Each must be at least 1."""
    budgets = np.arange(1, n + 1) if k is None else np.atleast_1d(as_integers("k", k))
    if budgets.ndim != 1 or budgets.size == 0:
        raise ValueError(f"k must be a number or a non-empty 1-D list of numbers, got shape {budgets.shape}.")
    if np.any(budgets < 1):
        raise ValueError(f"k must be at least 1, got {int(budgets.min())}; a budget of no samples has no answer to score.")
    return budgets


def same_shape(first: tuple[str, NDArray[np.generic]], others: Sequence[tuple[str, NDArray[np.generic]]]) -> None:
    """Raise ValueError unless every named array has the shape of the first."""
    for name, array in others:
        if array.shape != first[1].shape:
            raise ValueError(f"{name} has shape {array.shape} and {first[0]} has shape {first[1].shape}; they must be equal.")


def ranked_by_score(scores: FloatArray, values: FloatArray) -> FloatArray:
    """`values` in order of falling score, each replaced by the mean value of its tie group.

    scores, values: (problems, samples); nan scores rank last, as one tie group. Replacing a value by its group's mean
    gives the expectation over a uniformly random order within each group, which is exact for everything linear in the values.
    """
    problems, n = scores.shape
    missing = np.isnan(scores)
    if np.any(missing.any(axis=1) & np.isneginf(scores).any(axis=1)):
        raise ValueError("scores must not mix nan and -inf within one problem: a failed judgement is nan, a veto is a low finite score.")
    keys = np.where(missing, np.inf, -scores)
    order = np.argsort(keys, axis=1)
    keys = np.take_along_axis(keys, order, axis=1)
    ranked = np.take_along_axis(values, order, axis=1)
    starts = np.ones((problems, n), dtype=bool)
    np.not_equal(keys[:, 1:], keys[:, :-1], out=starts[:, 1:])
    if starts.all():
        return ranked
    group = np.cumsum(starts.ravel()) - 1
    sizes = np.bincount(group)
    means = np.bincount(group, weights=ranked.ravel()) / sizes
    tied: FloatArray = means[group].reshape(problems, n)
    return tied
