"""[22, 87, 113] Best-of-k: draw k of the n scored samples and keep the one with the highest score, exactly and for every k at once.

    best@k = sum_i C(n - i, k - 1) / C(n, k) * correct_(i)      i = 1..n in order of falling score

This is the rank-score@k of [87] and the estimator of [22]: the expectation over uniformly random k-subsets. Tied scores take
the expectation over a uniformly random order of the tied samples (each counts as the mean of its group), which [22]'s code
approximates by averaging random orders. Cost: one sort, and one product of a (problems, n) with an (n, budgets) table.
Limits: k = 1 is the mean; k = n is the top group's mean; a perfect score gives pass@k; a constant score gives pass@1 at every k.
The score-weighted vote ("weighted best-of-n") is `outthink.stats.weighted_majority_at_k`.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from outthink.stats._arrays import FloatArray, as_budgets, as_fractions, as_table, ranked_by_score, same_shape
from outthink.stats._hypergeometric import log_miss_table

# Largest table of rank weights held at once, in float64 entries: 32 MB.
_CHUNK = 1 << 22


def best_of_k(scores: ArrayLike, correct: ArrayLike, k: ArrayLike | None = None, *, unjudged: Literal["abstain", "random"] = "abstain") -> FloatArray:
    """[22, 87] Expected correctness of the best-scored of k random samples. Exact.

    scores: (problems, n), higher is better, nan = the judgement failed. correct: (problems, n), bool or in [0, 1].
    k: a number, (budgets,), or None for every k from 1 to n. Returns (problems, budgets), nan where k > n.

    A sample without a judgement is passed over while any of the k drawn has a score. It still counts as one of the k, since
    it was paid for. If none of the k has a score, `unjudged="abstain"` gives no answer (counted 0) and `"random"` answers
    with one of them at random. Raises ValueError on shapes that differ, correctness outside [0, 1], or k < 1.
    """
    score_table = as_table("scores", np.asarray(scores, dtype=np.float64))
    correct_table = as_table("correct", as_fractions("correct", correct))
    same_shape(("scores", score_table), [("correct", correct_table)])
    if unjudged not in ("abstain", "random"):
        raise ValueError(f"unjudged must be 'abstain' or 'random', got {unjudged!r}.")
    if unjudged == "abstain":
        correct_table = np.where(np.isnan(score_table), 0.0, correct_table)
    ranked = ranked_by_score(score_table, correct_table)
    n = ranked.shape[1]
    budgets = as_budgets(k, n)
    result = np.full((ranked.shape[0], budgets.size), np.nan)
    possible = np.flatnonzero(budgets <= n)
    step = max(1, _CHUNK // n)
    for start in range(0, possible.size, step):
        columns = possible[start : start + step]
        result[:, columns] = ranked @ rank_weights(n, budgets[columns]).T
    # The weights sum to 1 up to rounding; a probability must not leave [0, 1] by it.
    return np.clip(result, 0.0, 1.0, out=result)


def random_choice(correct: ArrayLike, k: ArrayLike | None = None) -> FloatArray:
    """Control: correctness when one of the k samples is kept at random, which is pass@1 at every k <= n. Shapes as in `best_of_k`."""
    table = as_table("correct", as_fractions("correct", correct))
    return best_of_k(np.zeros_like(table), table, k)


def oracle_choice(correct: ArrayLike, k: ArrayLike | None = None) -> FloatArray:
    """Ceiling: correctness when the best of the k samples is always found, which is pass@k. Shapes as in `best_of_k`."""
    table = as_table("correct", as_fractions("correct", correct))
    return best_of_k(table, table, k)


def rank_weights(n: int, k: ArrayLike) -> FloatArray:
    """C(n - i, k - 1) / C(n, k), the chance that rank i = 1..n is the best of k random ones: (budgets, n). Needs 1 <= k <= n.

    Computed as (chance that ranks 1..i-1 are all absent) * k / (n - i + 1), so that nothing cancels.
    """
    budgets = as_budgets(k, n)
    if np.any(budgets > n):
        raise ValueError(f"k must be at most n = {n}, got {int(budgets.max())}; there is no such subset.")
    absent = np.exp(log_miss_table(n, budgets, n - 1))  # (budgets, n)
    left = (n - np.arange(n)).astype(np.float64)
    return np.asarray(absent * np.minimum(budgets[:, None] / left[None, :], 1.0))
