"""Curves against brute force and limits."""

from __future__ import annotations

from itertools import combinations, permutations

import anyio
import numpy as np
import pytest

from outthink.core.completion import Completion, Usage
from outthink.core.problem import Answer
from outthink.core.solution import Candidate, Judgement, Solution
from outthink.evaluate.curves import curves, matched_majority, weights
from outthink.evaluate.table import SampleTable
from outthink.problems.answers import answer_kind

LABELS = np.array([[0, 1, 0, 2, -1], [0, 1, 1, 1, 2], [0, 0, 1, 1, -1]])
CORRECT = np.array([[1, 0, 1, 0, 0], [1, 0, 0, 0, 0], [0, 0, 1, 1, 0]], dtype=float)
TOKENS = np.array([[10, 20, 10, 20, 40], [5, 5, 10, 10, 20], [30, 30, 30, 30, 30]], dtype=float)
SCORES = np.array([[0.9, 0.2, 0.3, 0.8, 1.0], [0.1, 0.9, 0.4, np.nan, 0.3], [0.5, 0.5, 0.5, 0.5, 0.5]])
TABLE = SampleTable(("a", "b", "c"), LABELS, CORRECT, TOKENS, {"v": SCORES}, model="m")


def brute_majority(k: int) -> float:
    """Mean over problems and k-subsets of the vote, ties shared, "no answer" only alone (and wrong)."""
    total = 0.0
    for labels, correct in zip(LABELS, CORRECT, strict=True):
        values = []
        for chosen in combinations(range(5), k):
            votes = [labels[i] for i in chosen if labels[i] >= 0]
            if not votes:
                values.append(0.0)
                continue
            most = max(votes.count(label) for label in votes)
            winners = {label for label in votes if votes.count(label) == most}
            values.append(np.mean([correct[list(labels).index(label)] for label in winners]))
        total += float(np.mean(values))
    return total / 3


def brute_best(k: int) -> float:
    """Mean over problems and k-subsets of the best-scored answered sample, tied scores shared."""
    total = 0.0
    for labels, correct, scores in zip(LABELS, CORRECT, SCORES, strict=True):
        values = []
        for chosen in combinations(range(5), k):
            answered = [i for i in chosen if labels[i] >= 0] or list(chosen)
            judged = [i for i in answered if not np.isnan(scores[i])]
            best = [i for i in judged if scores[i] == max(scores[j] for j in judged)] or answered
            values.append(np.mean([correct[i] for i in best]))
        total += float(np.mean(values))
    return total / 3


def named() -> dict[str, np.ndarray]:
    return {curve.name: curve.accuracy for curve in curves(TABLE, seed=0)}


def test_curves_equal_enumeration_over_all_subsets() -> None:
    found = named()
    for k in range(1, 6):
        assert found["majority"][k - 1] == pytest.approx(brute_majority(k), abs=1e-9)
        assert found["best of n (v)"][k - 1] == pytest.approx(brute_best(k), abs=1e-9)


def test_curves_are_what_the_strategies_answer_in_every_order() -> None:
    # failed judgements, scores of 0 and samples without an answer, alone and together
    nan = np.nan
    scores = np.array([[0.0, 0.0, 0.0, 0.7, nan], [nan, nan, 0.0, nan, 0.9], [nan, 0.0, 0.0, 0.3, 0.2]])
    labels = np.array([[0, 1, 0, 2, -1], [0, 1, 1, -1, -1], [0, 1, 1, 2, 0]])
    table = SampleTable(("a", "b", "c"), labels, (labels == 0) * 1.0, TOKENS, {"v": scores})
    found = {curve.name: curve.values for curve in curves(table, seed=0)}

    async def answered(row: int, order: tuple[int, ...]) -> tuple[bool, bool]:
        candidates = [
            Candidate(Completion("", "stop", Usage(0, 0)), None if labels[row, i] < 0 else Answer(str(labels[row, i])), index=i) for i in order
        ]
        judgements = [Judgement(None if np.isnan(scores[row, i]) else float(scores[row, i])) for i in order]
        best = Solution.best(candidates, judgements)
        vote = await Solution.vote(answer_kind("number"), candidates, [judgement.score or 0.0 for judgement in judgements])
        return best.answer == Answer("0"), vote.answer == Answer("0")

    for row in range(3):
        for k in range(1, 6):
            outcomes = [anyio.run(answered, row, order) for order in permutations(range(5), k)]
            best, vote = np.mean(outcomes, axis=0)
            assert found["best of n (v)"][row, k - 1] == pytest.approx(best, abs=1e-9)
            assert found["weighted (v)"][row, k - 1] == pytest.approx(vote, abs=1e-9)


def test_all_curves_start_at_one_sample_and_the_ceiling_is_above_all() -> None:
    found = named()
    single = CORRECT.mean()
    for name in ("majority", "random choice", "oracle ceiling"):
        assert found[name][0] == pytest.approx(single)
    assert found["random choice"] == pytest.approx([single] * 5)
    assert found["oracle ceiling"][-1] == 1.0
    for curve in found.values():
        assert (curve <= found["oracle ceiling"] + 1e-9).all()


def test_seeds_of_one_problem_are_one_unit() -> None:
    twice = SampleTable(("a", "a", "b"), LABELS, CORRECT, TOKENS)
    (majority, *_) = curves(twice, seed=0)
    assert majority.values.shape == (2, 5)
    one = curves(SampleTable(("a", "b", "c"), LABELS, CORRECT, TOKENS), seed=0)[0]
    assert majority.values[0] == pytest.approx(one.values[:2].mean(axis=0))


def test_intervals_hold_the_accuracy_and_are_absent_for_one_problem() -> None:
    for curve in curves(TABLE, seed=0):
        assert (curve.low <= curve.accuracy + 1e-12).all()
        assert (curve.accuracy <= curve.high + 1e-12).all()
    alone = SampleTable(("a",), LABELS[:1], CORRECT[:1], TOKENS[:1])
    rows = curves(alone, [2], seed=0)[0].rows()
    assert rows[0]["low"] is None
    assert rows[0]["samples"] == 2


def test_where_all_problems_are_alike_the_interval_is_wilsons() -> None:
    right = SampleTable(("a", "b", "c"), np.zeros((3, 2), dtype=int), np.ones((3, 2)), np.ones((3, 2)))
    wrong = SampleTable(("a", "b", "c"), np.zeros((3, 2), dtype=int), np.zeros((3, 2)), np.ones((3, 2)))
    # z^2 / (n + z^2) at n = 3
    width = 1.959964**2 / (3 + 1.959964**2)
    for table, low, high in ((right, 1 - width, 1.0), (wrong, 0.0, width)):
        for curve in curves(table, seed=0):
            assert curve.low == pytest.approx([low] * 2, abs=1e-6)
            assert curve.high == pytest.approx([high] * 2, abs=1e-6)
    # each problem has a right sample among its five: only there is the ceiling 1 everywhere
    ceiling = curves(TABLE, seed=0)[-1]
    assert ceiling.low[-1] == pytest.approx(1 - width, abs=1e-6)
    assert ceiling.low[0] < ceiling.accuracy[0] < ceiling.high[0]


def test_log_probabilities_become_weights() -> None:
    assert weights(np.array([[-1.0, 0.0]])) == pytest.approx(np.array([[np.exp(-1), 1.0]]))
    assert weights(np.array([[0.2, 0.0]])) == pytest.approx(np.array([[0.2, 0.0]]))


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9])
def test_the_matched_vote_is_exact_and_costs_what_it_should(share: float) -> None:
    mean = TOKENS.mean()
    found = matched_majority(TABLE, (2 + share) * mean)
    # a vote on 2 samples, or with probability `share` on 3, spends (2 + share) times the mean tokens of a sample
    assert found.samples == pytest.approx(2 + share)
    assert found.accuracy == pytest.approx((1 - share) * brute_majority(2) + share * brute_majority(3), abs=1e-9)
    assert found.limited == ""


def test_a_vote_that_cannot_be_matched_says_so() -> None:
    mean = TOKENS.mean()
    few, many = matched_majority(TABLE, 0.5 * mean), matched_majority(TABLE, 7 * mean)
    assert (few.samples, few.limited, many.samples, many.limited) == (1.0, "too few", 5.0, "pool")
    assert matched_majority(TABLE, 5 * mean).limited == ""
    assert many.accuracy == pytest.approx(brute_majority(5), abs=1e-9)


@pytest.mark.parametrize("k", [[0, 1], [6], []])
def test_budgets_outside_the_pool_are_refused(k: list[int]) -> None:
    with pytest.raises(ValueError, match=r"1\.\.5"):
        curves(TABLE, k)
