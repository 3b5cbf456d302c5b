"""Votes counted along an order of the samples: one pass gives the result after every k.

Sums only grow, so after a vote the leader either stays or the class voted for takes over or draws level: each step costs a
dozen array operations over all rows, whatever the number of classes.
"""

import numpy as np

from outthink.stats._arrays import FloatArray, IntArray
from outthink.stats._ballots import Ballots

# Weighted sums closer than this share of the largest possible sum are level: .1 + .2 ties with .3 whatever the order of adding.
TIE_SHARE = 1e-12

# Rows (problem, draw) walked together: enough to hide the cost of a step, few enough that their sums stay in cache.
_ROWS = 4096


def walk(
    ballots: Ballots, order: IntArray | None, rows: IntArray, ks: IntArray, *, first_seen: bool = False, plain: Ballots | None = None
) -> FloatArray:
    """Correctness of the winner after each k votes: (len(ks), rows).

    rows: the problem each row counts. order: (rows, n) sample indices, or None for the stored order. ks: sorted, at most n.
    A tie gives the mean correctness of the tied classes, or with `first_seen` that of the tied class that appeared first
    (which needs the stored order, by which classes are numbered). plain: unweighted ballots that decide where nobody has a weight above 0.
    """
    last = int(ks[-1])
    count, classes = rows.size, ballots.classes
    labels = ballots.labels[rows] if order is None else np.take_along_axis(ballots.labels[rows], order[:, :last], axis=1)
    votes = np.ascontiguousarray(labels[:, :last].T)  # (last, rows)
    silent = votes < 0
    votes[silent] = classes
    if ballots.weights is None:
        weights = np.where(silent, -np.inf, 1.0)
        slack: FloatArray = np.zeros(count)
    else:
        table = ballots.weights[rows]
        shuffled = table if order is None else np.take_along_axis(table, order[:, :last], axis=1)
        weights = np.where(silent, -np.inf, shuffled[:, :last].T)
        slack = table.sum(axis=1) * TIE_SHARE
    slots = votes + np.arange(count) * (classes + 1)
    # One slot more per row takes the votes of samples without an answer: their sum is -inf and never leads.
    sums = np.full(count * (classes + 1), -1.0)
    value = np.concatenate([ballots.value[rows], np.zeros((count, 1))], axis=1).ravel()
    results, tops = _count_votes(slots, weights, sums, value, slack, ks, first_seen)
    return results if plain is None else np.where(tops > 0.0, results, walk(plain, order, rows, ks))


def _count_votes(
    slots: IntArray, weights: FloatArray, sums: FloatArray, value: FloatArray, slack: FloatArray, ks: IntArray, first_seen: bool
) -> tuple[FloatArray, FloatArray]:
    """Walk the steps: the winner's correctness and its sum, (len(ks), rows) each.

    `sums` starts at -1 = not seen, so that a class seen with weight 0 ties at 0 with its like, not with the unseen.
    """
    rows = slack.size
    top = np.full(rows, -0.5)
    tied = np.ones(rows)  # classes level at the top
    gained = np.zeros(rows)  # sum of their correctness
    leader = np.full(rows, -1)
    results, tops = np.empty((ks.size, rows)), np.empty((ks.size, rows))
    wanted = 0
    for step in range(int(ks[-1])):
        slot = slots[step]
        before = sums[slot]
        after = np.maximum(before, 0.0) + weights[step]
        sums[slot] = after
        gain = value[slot]
        lead = after > top + slack
        joins = (after >= top - slack) & (before < top - slack) & ~lead
        if first_seen:
            takes = lead | (joins & (slot < leader))
            leader = np.where(takes, slot, leader)
            gained = np.where(takes, gain, gained)
        else:
            tied = np.where(lead, 1.0, tied + joins)
            gained = np.where(lead, gain, gained + joins * gain)
        top = np.maximum(top, after)
        while wanted < ks.size and ks[wanted] == step + 1:
            results[wanted], tops[wanted] = gained / tied, top
            wanted += 1
    return results, tops


def permutation_moments(ballots: Ballots, ks: IntArray, draws: int, seed: int, plain: Ballots | None = None) -> tuple[FloatArray, FloatArray]:
    """Mean over `draws` random orders, each problem with its own, and the standard error of that mean: two (problems, len(ks)).

    ks: sorted, at most n. Needs draws >= 2. plain: as in `walk`.
    """
    rng = np.random.default_rng(seed)
    problems, n = ballots.problems, ballots.n
    totals = np.zeros((ks.size, problems))
    squares = np.zeros((ks.size, problems))
    block = min(problems, _ROWS)
    for start in range(0, problems, block):
        members = np.arange(start, min(start + block, problems))
        together = min(draws, max(1, _ROWS // members.size))
        for done in range(0, draws, together):
            repeats = min(together, draws - done)
            rows = np.tile(members, repeats)
            order = rng.permuted(np.tile(np.arange(n, dtype=np.int32), (rows.size, 1)), axis=1).astype(np.int64)
            outcome = walk(ballots, order, rows, ks, plain=plain).reshape(ks.size, repeats, members.size)
            totals[:, members] += outcome.sum(axis=1)
            squares[:, members] += np.einsum("krp,krp->kp", outcome, outcome)
    mean = totals / draws
    variance = np.maximum(squares / draws - mean * mean, 0.0) * (draws / (draws - 1))
    return mean.T.copy(), np.sqrt(variance / draws).T.copy()
