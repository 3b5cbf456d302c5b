"""Exact weighted majority by enumerating every subset: for n so small that 2^n subsets are few."""

import numpy as np

from outthink.stats._arrays import FloatArray, IntArray
from outthink.stats._ballots import Ballots
from outthink.stats._vote_walk import TIE_SHARE

LARGEST_ENUMERATED = 16


def enumerate_subsets(ballots: Ballots, ks: IntArray) -> FloatArray:
    """Mean correctness of the winner over all k-subsets, ties shared: (problems, len(ks)). ks at most n <= LARGEST_ENUMERATED."""
    n = ballots.n
    chosen = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1  # (subsets, n)
    size = chosen.sum(axis=1)
    per_size = np.bincount(size)
    weights = np.ones(ballots.labels.shape) if ballots.weights is None else ballots.weights
    result = np.empty((ballots.problems, ks.size))
    for row in range(ballots.problems):
        member = ballots.labels[row][:, None] == np.arange(ballots.classes)  # (n, classes)
        sums = chosen @ np.where(member, weights[row][:, None], 0.0)
        seen = chosen @ member.astype(np.int64) > 0
        sums[~seen] = -np.inf
        top = np.max(sums, axis=1, keepdims=True)
        level = seen & (sums >= top - weights[row].sum() * TIE_SHARE)
        outcome = (level @ ballots.value[row]) / np.maximum(level.sum(axis=1), 1)
        result[row] = (np.bincount(size, weights=outcome) / per_size)[ks]
    return result
