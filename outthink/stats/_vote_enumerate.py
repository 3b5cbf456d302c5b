"""Exact weighted majority by enumerating every subset: for n so small that 2^n subsets are few."""

import numpy as np

from outthink.stats._arrays import FloatArray, IntArray
from outthink.stats._ballots import Ballots
from outthink.stats._vote_walk import TIE_SHARE

LARGEST_ENUMERATED = 16


def enumerate_subsets(ballots: Ballots, ks: IntArray, plain: Ballots | None = None) -> FloatArray:
    """Mean correctness of the winner over all k-subsets, ties shared: (problems, len(ks)). ks at most n <= LARGEST_ENUMERATED.

    plain: unweighted ballots that decide the subsets in which nobody has a weight above 0.
    """
    n = ballots.n
    chosen = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1  # (subsets, n)
    size = chosen.sum(axis=1)
    per_size = np.bincount(size)
    result = np.empty((ballots.problems, ks.size))
    for row in range(ballots.problems):
        outcome, top = _outcomes(ballots, row, chosen)
        if plain is not None:
            outcome = np.where(top > 0.0, outcome, _outcomes(plain, row, chosen)[0])
        result[row] = (np.bincount(size, weights=outcome) / per_size)[ks]
    return result


def _outcomes(ballots: Ballots, row: int, chosen: IntArray) -> tuple[FloatArray, FloatArray]:
    """Correctness of each subset's winner, and the winner's sum, -inf where nobody votes: (subsets,) each."""
    weights = np.ones(ballots.n) if ballots.weights is None else ballots.weights[row]
    member = ballots.labels[row][:, None] == np.arange(ballots.classes)  # (n, classes)
    sums = chosen @ np.where(member, weights[:, None], 0.0)
    seen = chosen @ member.astype(np.int64) > 0
    sums[~seen] = -np.inf
    top = np.max(sums, axis=1, keepdims=True)
    level = seen & (sums >= top - weights.sum() * TIE_SHARE)
    outcome = (level @ ballots.value[row]) / np.maximum(level.sum(axis=1), 1)
    return np.asarray(outcome), np.asarray(top[:, 0])
