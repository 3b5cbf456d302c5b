"""A table of votes in the form that the vote estimators work on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.stats._arrays import FloatArray, IntArray, as_fractions, as_integers, as_table, same_shape


@dataclass(frozen=True)
class Ballots:
    """labels: (problems, n), classes 0..classes-1 within each problem in order of first appearance, -1 = does not vote.
    value: (problems, classes), correctness of the answer if the class wins. weights: (problems, n), 0 where it does not vote, or None.
    """

    labels: IntArray
    value: FloatArray
    weights: FloatArray | None

    @property
    def problems(self) -> int:
        return int(self.labels.shape[0])

    @property
    def n(self) -> int:
        return int(self.labels.shape[1])

    @property
    def classes(self) -> int:
        return int(self.value.shape[1])

    def expected_first(self) -> FloatArray:
        """Correctness of the vote of one random sample, (problems,): exact majority@1."""
        ballots = np.where(self.labels >= 0, np.take_along_axis(self.value, np.maximum(self.labels, 0), axis=1), 0.0)
        return np.asarray(ballots.mean(axis=1))


def make_ballots(labels: ArrayLike, correct: ArrayLike, weights: ArrayLike | None) -> Ballots:
    """Check and number the classes. Samples whose weight is nan do not vote. Raises ValueError on what the public functions name."""
    label_table = np.atleast_2d(as_integers("labels", labels))
    graded = as_table("correct", as_fractions("correct", correct))
    as_table("labels", label_table.astype(np.float64))
    same_shape(("labels", label_table), [("correct", graded)])
    if np.any(label_table < -1):
        raise ValueError(f"labels must be -1 (no answer) or a class number from 0, got {int(label_table.min())}.")
    weight_table = None
    if weights is not None:
        weight_table = as_table("weights", np.asarray(weights, dtype=np.float64))
        same_shape(("labels", label_table), [("weights", weight_table)])
        silent = np.isnan(weight_table)
        if np.any((weight_table < 0.0) | np.isinf(weight_table)):
            raise ValueError("weights must be finite and at least 0 (nan = the judgement failed); exponentiate log scores before voting.")
        label_table = np.where(silent, -1, label_table)
        weight_table = np.where(label_table < 0, 0.0, weight_table)
    numbered = _number_by_appearance(label_table)
    problems, classes = numbered.shape[0], max(1, int(numbered.max()) + 1)
    voting = numbered >= 0
    flat = (np.arange(problems)[:, None] * classes + numbered)[voting]
    votes = np.bincount(flat, minlength=problems * classes)
    right = np.bincount(flat, weights=graded[voting], minlength=problems * classes)
    value = (right / np.maximum(votes, 1)).reshape(problems, classes)
    return Ballots(numbered, value, weight_table)


def _number_by_appearance(labels: IntArray) -> IntArray:
    """Renumber each row's classes 0, 1, ... in order of first appearance, keeping -1."""
    problems, n = labels.shape
    order = np.argsort(labels, axis=1, kind="stable")
    sorted_labels = np.take_along_axis(labels, order, axis=1)
    starts = np.ones((problems, n), dtype=bool)
    np.not_equal(sorted_labels[:, 1:], sorted_labels[:, :-1], out=starts[:, 1:])
    # The sort is stable, so a group's first entry is where its class first appears.
    row, column = np.nonzero(starts)
    group = np.cumsum(starts.ravel()).reshape(problems, n) - 1
    appears = order[row, column]
    answers = sorted_labels[row, column] >= 0
    by_appearance = np.lexsort((appears, ~answers, row))
    offset = np.searchsorted(row, np.arange(problems))
    number = np.empty(row.size, dtype=np.int64)
    number[by_appearance] = np.arange(row.size) - offset[row[by_appearance]]
    number[~answers] = -1
    result = np.empty_like(labels)
    np.put_along_axis(result, order, number[group], axis=1)
    return result
