"""Selection: best and vote, ties, failed judgements, samples without an answer."""

from __future__ import annotations

import math
from collections import Counter

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.completion import Completion, Usage
from outthink.core.problem import Answer
from outthink.core.solution import Candidate, Judgement, Ledger, Solution
from outthink.core.spend import Spend
from outthink.problems.answers import Number

answers = st.lists(st.sampled_from(["1", "2", "3", None]), max_size=9)


def candidates(values: list[str | None]) -> list[Candidate]:
    return [
        Candidate(Completion(str(value), "stop", Usage(1, 1)), None if value is None else Answer(value), f"k{i}", i) for i, value in enumerate(values)
    ]


def vote(values: list[str | None], weights: list[float] | None = None) -> Solution:
    return anyio.run(Solution.vote, Number(), candidates(values), weights)


def chosen(solution: Solution) -> str | None:
    return None if solution.answer is None else solution.answer.value


@given(values=answers)
def test_a_vote_is_won_by_a_most_frequent_answer_the_first_seen_of_them(values: list[str | None]) -> None:
    counts = Counter(value for value in values if value is not None)
    most = max(counts.values(), default=0)
    expected = next((value for value in values if value is not None and counts[value] == most), None)
    solution = vote(values)
    assert chosen(solution) == expected
    assert solution.candidates == len(values)
    if expected is not None:
        assert solution.candidate is not None
        assert solution.candidate.index == values.index(expected)
        assert solution.confidence == most / len(values)


@given(values=answers, data=st.data())
def test_a_doubled_weight_is_a_sample_that_is_there_twice(values: list[str | None], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(1, 3), min_size=len(values), max_size=len(values)))
    repeated = [value for value, weight in zip(values, weights, strict=True) for _ in range(weight)]
    assert chosen(vote(values, [float(w) for w in weights])) == chosen(vote(repeated))


@given(values=answers)
def test_weights_of_zero_for_all_count_as_one(values: list[str | None]) -> None:
    weights = [5.0 if value is None else 0.0 for value in values]
    assert vote(values, weights) == vote(values)


def test_no_answer_wins_only_if_it_is_alone() -> None:
    assert chosen(vote([None, None, None, "3"])) == "3"
    alone = vote([None, None])
    assert (alone.answer, alone.candidate is not None, alone.candidates) == (None, True, 2)
    assert vote([]).candidate is None


@pytest.mark.parametrize("weights", [[1.0], [1.0, -0.5], [1.0, math.nan]])
def test_weights_must_be_one_each_and_not_negative(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weighted vote needs"):
        vote(["1", "2"], weights)


@given(values=answers.filter(len), data=st.data())
def test_best_is_the_highest_score_among_those_with_an_answer(values: list[str | None], data: st.DataObject) -> None:
    scores = data.draw(st.lists(st.none() | st.floats(-3, 3), min_size=len(values), max_size=len(values)))
    solution = Solution.best(candidates(values), [Judgement(s, failure="failed" if s is None else None) for s in scores])
    answered = [i for i, value in enumerate(values) if value is not None]
    field = answered or list(range(len(values)))
    judged = [i for i in field if scores[i] is not None]
    assert solution.candidate is not None
    winner = solution.candidate.index
    if not judged:
        assert (winner, solution.confidence) == (field[0], None)
        return
    best = max(scores[i] for i in judged)  # type: ignore[type-var]
    assert winner == next(i for i in judged if scores[i] == best)
    assert solution.confidence == best


def test_no_answer_is_not_best_where_the_judgement_of_every_answer_failed() -> None:
    solution = Solution.best(candidates([None, "7"]), [Judgement(1.0), Judgement(None, failure="failed")])
    assert (solution.answer and solution.answer.value, solution.confidence) == ("7", None)


def test_best_needs_one_judgement_each() -> None:
    with pytest.raises(ValueError, match="zip"):
        Solution.best(candidates(["1", "2"]), [Judgement(1.0)])


@pytest.mark.parametrize(
    ("score", "failure"),
    [(0.0, None), (1.0, None), (1.1, "outside"), (-0.1, "outside"), (math.nan, "not a number"), (math.inf, "outside"), (None, "no score")],
)
def test_a_score_outside_its_range_is_a_failure(score: float | None, failure: str | None) -> None:
    checked = Judgement(score, text="kept").checked(0.0, 1.0)
    assert checked.text == "kept"
    if failure is None:
        assert checked == Judgement(score, text="kept")
    else:
        assert checked.score is None
        assert failure in str(checked.failure)


def test_spending_adds_up_over_roles() -> None:
    ledgers = {"policy": Ledger(Spend(5, 2, 1), Spend(1)), "judge": Ledger(Spend(7, 1, 2), Spend())}
    solution = Solution(ledgers=ledgers)
    assert solution.charged == Spend(12, 3, 3)
    assert solution.paid == Spend(1)
