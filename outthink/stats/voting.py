"""[5, 22, 113] Majority@k and weighted majority@k from n samples: expectations over random k-subsets, ties in expectation.

    majority@k = E over k-subsets S of the mean of v_a over the answer classes a with the most votes in S
    weighted   = the same with the sum of the members' weights in place of the number of votes

v_a in [0, 1] is the correctness of class a: the mean of its samples' grades, which is what answering with a random member of the
winning class earns. Samples without an answer (-1) are drawn and paid for but do not vote; "no answer" wins only when all k drawn
have none, and then counts 0. Limits: k = 1 is the mean grade of the samples; equal weights give majority@k; with p the share of
the right answer and one rival of share q, majority@k goes to 1 if p > q and to 0 if p < q.

Methods. "exact" for the plain vote is a generating function (no enumeration, exact to about 1e-10; a second for 1000 problems x 1000 samples
at one small k). A vote with real weights has no such form: "exact" there enumerates subsets, for n <= 16 only. "permutations" counts
along random orders of the samples: unbiased, every k from one pass, and with a standard error.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from outthink.stats._arrays import FloatArray, IntArray, as_budgets, as_fractions
from outthink.stats._ballots import Ballots, make_ballots
from outthink.stats._hypergeometric import log_factorials
from outthink.stats._vote_enumerate import LARGEST_ENUMERATED, enumerate_subsets
from outthink.stats._vote_exact import Circle, exact_cost, exact_majority, poisson, win_chance
from outthink.stats._vote_walk import permutation_moments, walk

Method = Literal["auto", "exact", "permutations"]

# "auto" takes the exact method when it costs less than about a second.
_AFFORDABLE = 3e8
_AFFORDABLE_SUBSETS = 1 << 22


@dataclass(frozen=True)
class VoteCurve:
    """Expected correctness of the vote at each budget, and how it was found.

    k: (budgets,). values: (problems, budgets), nan where k > n. standard_error: (problems, budgets), of the estimate of `values`
    from random orders (0 where exact); it says nothing about having few problems: bootstrap the values for that.
    method: "exact" or "permutations". draws: random orders used, 0 when exact.
    """

    k: IntArray
    values: FloatArray
    standard_error: FloatArray
    method: Literal["exact", "permutations"]
    draws: int

    def mean(self) -> FloatArray:
        """Mean over problems: (budgets,)."""
        return np.asarray(self.values.mean(axis=0))

    def mean_standard_error(self) -> FloatArray:
        """Standard error of `mean` from the random orders, which are independent between problems: (budgets,)."""
        return np.asarray(np.sqrt((self.standard_error**2).sum(axis=0)) / self.values.shape[0])


def majority_at_k(
    labels: ArrayLike, correct: ArrayLike, k: ArrayLike | None = None, *, method: Method = "auto", draws: int = 4, seed: int | None = None
) -> VoteCurve:
    """[5, 113] Unbiased majority@k.

    labels: (problems, n), the answer class of each sample, any number from 0, -1 = no answer. correct: (problems, n), bool or in
    [0, 1]. k: a number, (budgets,), or None for every k from 1 to n. `draws` and `seed` matter for permutations only; there is no
    default seed. "auto" is exact when that takes about a second at most, which the result says. Raises ValueError on
    shapes that differ, labels below -1, correctness outside [0, 1], k < 1, fewer than 2 draws, or permutations without a seed.
    """
    ballots = make_ballots(labels, correct, None)
    budgets = as_budgets(k, ballots.n)
    ks = np.unique(budgets[budgets <= ballots.n])
    _check_method(method)
    if ks.size == 0 or method == "exact" or (method == "auto" and exact_cost(ballots, ks) <= _AFFORDABLE):
        return _curve(budgets, ks, exact_majority(ballots, ks) if ks.size else np.empty((ballots.problems, 0)), None, 0)
    return _estimate(ballots, budgets, ks, draws, seed)


def weighted_majority_at_k(
    labels: ArrayLike,
    weights: ArrayLike,
    correct: ArrayLike,
    k: ArrayLike | None = None,
    *,
    method: Method = "auto",
    draws: int = 4,
    seed: int | None = None,
    weightless: Literal["tie", "count"] = "tie",
) -> VoteCurve:
    """[22, 113] Unbiased majority@k where each sample votes with its weight (also called weighted best-of-n).

    weights: (problems, n), finite and at least 0; nan = the judgement failed, and the sample does not vote. Sums that differ by
    less than 1e-12 of the total are tied. Where none of the k drawn has a weight above 0, `weightless="tie"` keeps to that (answers of
    weight 0 are tied, and there is none if every judgement failed) and "count" lets every answer vote with 1, as the strategy
    `weighted_vote` does. Other arguments and errors as in `majority_at_k`; `method="exact"` needs n <= 16.
    """
    if weightless not in ("tie", "count"):
        raise ValueError(f"weightless must be 'tie' or 'count', got {weightless!r}.")
    ballots = make_ballots(labels, correct, weights)
    plain = make_ballots(labels, correct, None) if weightless == "count" else None
    budgets = as_budgets(k, ballots.n)
    ks = np.unique(budgets[budgets <= ballots.n])
    _check_method(method)
    small = ballots.n <= LARGEST_ENUMERATED
    if method == "exact" and not small:
        raise ValueError(
            f"weighted majority is exact only for at most {LARGEST_ENUMERATED} samples, got {ballots.n}; use method='permutations' with a seed."
        )
    if method == "exact" or (method == "auto" and small and ballots.problems << ballots.n <= _AFFORDABLE_SUBSETS):
        return _curve(budgets, ks, enumerate_subsets(ballots, ks, plain), None, 0)
    return _estimate(ballots, budgets, ks, draws, seed, plain)


def prefix_majority(
    labels: ArrayLike,
    correct: ArrayLike,
    k: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    ties: Literal["expected", "first"] = "expected",
) -> FloatArray:
    """Majority of the FIRST k samples in the stored order: (problems, budgets), nan where k > n.

    What a run with k samples really returned, and what an early-stopping rule sees; noisier than `majority_at_k`. ties="expected"
    shares a tie, "first" gives it to the tied class that appeared first. Other arguments and errors as in `weighted_majority_at_k`.
    """
    if ties not in ("expected", "first"):
        raise ValueError(f"ties must be 'expected' or 'first', got {ties!r}.")
    ballots = make_ballots(labels, correct, weights)
    budgets = as_budgets(k, ballots.n)
    ks = np.unique(budgets[budgets <= ballots.n])
    if ks.size == 0:
        return np.full((ballots.problems, budgets.size), np.nan)
    values = walk(ballots, None, np.arange(ballots.problems), ks, first_seen=ties == "first").T
    return _spread(budgets, ks, values)


def majority_law(probabilities: ArrayLike, correct: ArrayLike, k: ArrayLike) -> FloatArray:
    """[5] Majority@k when every sample is drawn independently from fixed class probabilities (n -> infinity). Exact: (budgets,).

    probabilities: (classes,), each at least 0, summing to at most 1; what is missing to 1 is the chance of no answer. correct:
    (classes,), bool or in [0, 1]. At .4 right and four wrong answers of .15 each the vote of 15 is right .779 of the time.
    """
    chances = np.asarray(probabilities, dtype=np.float64)
    values = as_fractions("correct", correct)
    if chances.ndim != 1 or chances.shape != values.shape:
        raise ValueError(f"probabilities and correct must be vectors of one length, got shapes {chances.shape} and {values.shape}.")
    if not np.all(chances >= 0.0) or chances.sum() > 1.0 + 1e-9:
        raise ValueError(f"probabilities must be at least 0 and sum to at most 1, got {chances.tolist()}.")
    budgets = as_budgets(k, 1)
    silent = max(0.0, 1.0 - float(chances.sum()))
    present = np.flatnonzero(chances > 0.0)
    result = np.zeros(budgets.size)
    for column, budget in enumerate(budgets.tolist()):
        log_factorial = log_factorials(budget)
        kept = [poisson(budget * float(chances[i]), budget, log_factorial) for i in present]
        noise = poisson(budget * silent, budget, log_factorial) if silent > 1e-15 else np.ones(1)
        total = poisson(float(budget), budget, log_factorial)[-1:]
        # Votes stop at k per class, so no total beyond (classes + 1) k exists and so many points alias nothing.
        points = budget * (present.size + 1) + 1
        circle = Circle(1.0, np.array([budget]), total, points, float(total[0]) * 1e-18)
        for position, i in enumerate(present):
            if values[i] > 0.0:
                rivals = kept[:position] + kept[position + 1 :]
                result[column] += values[i] * float(win_chance(kept[position], rivals, noise, circle)[0])
    return np.clip(result, 0.0, 1.0, out=result)


def _check_method(method: str) -> None:
    if method not in ("auto", "exact", "permutations"):
        raise ValueError(f"method must be 'auto', 'exact' or 'permutations', got {method!r}.")


def _estimate(ballots: Ballots, budgets: IntArray, ks: IntArray, draws: int, seed: int | None, plain: Ballots | None = None) -> VoteCurve:
    if seed is None:
        raise ValueError(
            f"the vote on {ballots.problems} x {ballots.n} samples is estimated over random orders; pass seed=, or method='exact' if it can wait."
        )
    if draws < 2:
        raise ValueError(f"draws must be at least 2 so that the error can be estimated, got {draws}.")
    values, errors = permutation_moments(ballots, ks, draws, seed, plain)
    # One sample's vote needs no estimate.
    single = ks == 1
    values[:, single] = (ballots if plain is None else plain).expected_first()[:, None]
    errors[:, single] = 0.0
    return _curve(budgets, ks, values, errors, draws)


def _curve(budgets: IntArray, ks: IntArray, values: FloatArray, errors: FloatArray | None, draws: int) -> VoteCurve:
    spread_errors = _spread(budgets, ks, np.zeros_like(values) if errors is None else errors)
    return VoteCurve(budgets, _spread(budgets, ks, values), spread_errors, "permutations" if draws else "exact", draws)


def _spread(budgets: IntArray, ks: IntArray, values: FloatArray) -> FloatArray:
    """Columns of the computed ks laid out as asked for, nan where k > n."""
    result = np.full((values.shape[0], budgets.size), np.nan)
    possible = np.isin(budgets, ks)
    result[:, possible] = values[:, np.searchsorted(ks, budgets[possible])]
    return result
