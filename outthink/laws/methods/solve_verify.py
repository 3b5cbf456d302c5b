"""[22] Solve or verify: S solutions, each judged V times, against a vote of more solutions at the same compute.

    C(S, V) = S (1 + ratio V)          compute in solutions; ratio = tokens of one verification / tokens of one solution
    score of a solution = mean of its V verdicts in [0, 1];  answer = best of S by score, ties at random, or a vote weighted by the score
    V = 0 is self-consistency: the plain vote of S solutions

Exact, for a problem where a solution is right with chance p and a verdict says yes with chance t to a right and f to a wrong one:

    accuracy(S, V) = sum_j [F(j)^S - F(j-1)^S] p t_j / (p t_j + (1 - p) f_j)

t_j, f_j the binomial chances of j yes of V, F the distribution of j over a random solution: given the best level, the solutions at it are
right independently. Limits: t = 1, f = 0 gives pass@S; t = f gives p at every S and V. From tables, best-of-S is the unbiased rank
estimator over subsets of solutions, averaged over disjoint groups of V verdicts, so that no chain is counted twice in one score.
The best (S, V) is taken for the whole set, at equal compute: at equal S the verifier looks free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.laws.allocation import Choice, Growth, best_under, growth, pareto
from outthink.stats import best_of_k, majority_law, weighted_majority_at_k
from outthink.stats._arrays import FloatArray, IntArray, as_fractions
from outthink.stats._hypergeometric import log_factorials


def compute(solutions: ArrayLike, verifications: ArrayLike, ratio: float) -> FloatArray:
    """C(S, V) = S (1 + ratio V), in solutions. ratio: tokens of a verification over tokens of a solution, above 0."""
    if not ratio > 0.0:
        raise UsageError(f"the ratio of verification to solution tokens must be above 0, got {ratio}")
    return np.asarray(np.asarray(solutions, dtype=np.float64) * (1.0 + ratio * np.asarray(verifications, dtype=np.float64)))


@dataclass(frozen=True)
class Grid:
    """Accuracy of every (S, V) with V >= 1.

    Args:
        solutions, verifications: (configurations,).
        cost: (configurations,), in solutions.
        accuracy: (configurations,), mean over problems.
    """

    solutions: IntArray
    verifications: IntArray
    cost: FloatArray
    accuracy: FloatArray

    def best(self, budget: float) -> Choice:
        """The best (S, V) that the budget, in solutions, pays for. Raises UsageError if none is affordable."""
        return best_under(self.accuracy, self.cost, budget)

    def frontier(self) -> IntArray:
        """Rows that beat everything cheaper, from the cheapest up."""
        return pareto(self.accuracy, self.cost)

    def exponents(self, budgets: ArrayLike) -> tuple[Growth, Growth]:
        """[22] (S_best ~ C^a, V_best ~ C^b) over the best configurations at these budgets; those at the end of the grid are left out.

        Raises:
            UsageError: fewer than two budgets have their best configuration inside the grid.
        """
        spent = np.atleast_1d(np.asarray(budgets, dtype=np.float64))
        rows = np.array([self.best(budget).index for budget in spent])
        inside = (self.solutions[rows] < self.solutions.max()) & (self.verifications[rows] < self.verifications.max())
        if np.unique(spent[inside]).size < 2:
            raise UsageError(f"only {inside.sum()} of {spent.size} budgets have their best configuration inside the grid; widen it")
        clipped = int((~inside).sum())
        fits = (growth(setting[rows][inside], spent[inside]) for setting in (self.solutions, self.verifications))
        a, b = (Growth(one.scale, one.exponent, one.standard_error, one.points, clipped) for one in fits)
        return a, b


@dataclass(frozen=True)
class SimulatedVerifier:
    """Problems with known chances, for exact curves.

    Args:
        right: (problems,), chance that a solution is right.
        hit: t, chance that a verdict accepts a right solution.
        false_alarm: f, chance that it accepts a wrong one.
        wrong_answers: how many equally likely wrong answers a problem has.
        weights: (problems,), of each problem in the mean; equal if None. With nodes and weights of a quadrature the mean is an expectation.
    """

    right: ArrayLike
    hit: float
    false_alarm: float
    wrong_answers: int = 4
    weights: ArrayLike | None = None

    def best_of(self, solutions: Sequence[int], verifications: int) -> FloatArray:
        """Exact accuracy of the best of S by the mean of V verdicts: (problems, len(solutions)); V = 0 picks at random."""
        chance = as_fractions("right", np.atleast_1d(self.right))[:, None]
        hit, alarm = (_binomial(verifications, float(as_fractions("chance", p))) for p in (self.hit, self.false_alarm))
        right, either = chance * hit, chance * hit + (1.0 - chance) * alarm  # (problems, V + 1)
        share = np.divide(right, either, out=np.zeros_like(right), where=either > 0.0)
        reached = np.concatenate([np.zeros_like(chance), np.cumsum(either, axis=1)], axis=1)
        reached[:, -1] = 1.0
        return np.stack([(np.diff(reached**s, axis=1) * share).sum(axis=1) for s in solutions], axis=1)

    def vote(self, solutions: Sequence[int]) -> FloatArray:
        """Exact accuracy of the plain vote: (problems, len(solutions))."""
        correct = [True] + [False] * self.wrong_answers
        chances = as_fractions("right", np.atleast_1d(self.right))
        rows = [majority_law([p] + [(1.0 - p) / self.wrong_answers] * self.wrong_answers, correct, list(solutions)) for p in chances.tolist()]
        return np.stack(rows)

    def mean(self, values: FloatArray) -> FloatArray:
        """Weighted mean over problems: (problems, ...) -> (...)."""
        return np.asarray(np.average(values, axis=0, weights=None if self.weights is None else np.asarray(self.weights)))

    def grid(self, solutions: Sequence[int], verifications: Sequence[int], *, ratio: float) -> Grid:
        """The exact grid of best-of-S."""
        accuracy = np.stack([self.mean(self.best_of(solutions, v)) for v in verifications])  # (V, S)
        return _grid(solutions, verifications, accuracy, ratio)

    def draw(self, solutions: int, verifications: int, *, seed: int) -> tuple[IntArray, FloatArray]:
        """Answers (problems, S), 0 the right one, and verdicts (problems, S, V) in {0, 1}."""
        rng = np.random.default_rng(seed)
        chances = np.atleast_1d(np.asarray(self.right, dtype=np.float64))
        shape = (chances.size, solutions)
        correct = rng.random(shape) < chances[:, None]
        answers = np.where(correct, 0, rng.integers(1, self.wrong_answers + 1, size=shape))
        yes = np.where(correct, self.hit, self.false_alarm)[..., None]
        return answers, (rng.random((*shape, verifications)) < yes).astype(np.float64)


def measured_grid(
    answers: ArrayLike, correct: ArrayLike, verdicts: ArrayLike, solutions: Sequence[int], verifications: Sequence[int],
    *, ratio: float, select: Literal["best", "vote"] = "best", seed: int | None = None,
) -> Grid:  # fmt: skip
    """[22] The grid from recorded solutions and verdicts.

    Args:
        answers: (problems, n), answer classes from 0; -1 = no answer, which is chosen only if none has one, and then counts 0.
        correct: (problems, n), bool or in [0, 1].
        verdicts: (problems, n, m), in [0, 1], the chance or the fact of "yes"; nan = not parsed, which is dropped, and if all V are, the score is 0.
        solutions, verifications: the grid; at most n, and 1 to m.
        ratio: tokens of a verification over tokens of a solution.
        select: best by mean verdict, or the vote weighted by it.
        seed: of the orders of the weighted vote beyond 16 solutions.

    Raises:
        UsageError: shapes that do not belong together, or a grid beyond the record.
    """
    labels, values = np.asarray(answers), as_fractions("correct", correct)
    judged = np.asarray(verdicts, dtype=np.float64)
    if judged.ndim != 3 or judged.shape[:2] != values.shape or labels.shape != values.shape:
        raise UsageError(f"answers and correct must be (problems, n), verdicts (problems, n, m); got {labels.shape}, {values.shape}, {judged.shape}")
    if max(solutions) > values.shape[1] or max(verifications) > judged.shape[2] or min(*solutions, *verifications) < 1:
        raise UsageError(f"the grid must lie in 1..{values.shape[1]} solutions and 1..{judged.shape[2]} verdicts, as recorded")
    accuracy = []
    for v in verifications:
        rows = []
        for start in range(0, judged.shape[2] - v + 1, v):
            scores = mean_verdict(judged[:, :, start : start + v])
            if select == "best":
                rows.append(best_of_k(np.where(labels < 0, np.nan, scores), values, list(solutions)).mean(axis=0))
            else:
                rows.append(weighted_majority_at_k(labels, scores, values, list(solutions), seed=seed).mean())
        accuracy.append(np.mean(rows, axis=0))
    return _grid(solutions, verifications, np.stack(accuracy), ratio)


def mean_verdict(verdicts: FloatArray) -> FloatArray:
    """Mean over the last axis of those that were parsed; 0 where none was."""
    parsed = ~np.isnan(verdicts)
    return np.asarray(np.where(parsed, verdicts, 0.0).sum(axis=-1) / np.maximum(parsed.sum(axis=-1), 1))


def _grid(solutions: Sequence[int], verifications: Sequence[int], accuracy: FloatArray, ratio: float) -> Grid:
    v, s = (mesh.ravel() for mesh in np.meshgrid(np.asarray(verifications), np.asarray(solutions), indexing="ij"))
    return Grid(s, v, compute(s, v, ratio), accuracy.ravel())


def _binomial(n: int, p: float) -> FloatArray:
    """Chances of 0..n successes: (n + 1,)."""
    table, hits = log_factorials(n), np.arange(n + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        some = np.where(hits > 0, hits * np.log(p), 0.0) + np.where(hits < n, (n - hits) * np.log1p(-p), 0.0)
    return np.asarray(np.exp(table[n] - table[hits] - table[n - hits] + some))
