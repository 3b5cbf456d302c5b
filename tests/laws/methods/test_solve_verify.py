"""Solving or verifying [22]: the exact law against its limits and a simulation, estimators, and the frontier."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import UsageError
from outthink.laws.methods.solve_verify import SimulatedVerifier, compute, mean_verdict, measured_grid

CHANCE = st.floats(0.0, 1.0)


@given(p=CHANCE, v=st.integers(1, 5), s=st.integers(1, 60))
def test_a_perfect_verdict_finds_any_right_solution(p: float, v: int, s: int):
    assert SimulatedVerifier([p], 1.0, 0.0).best_of([s], v)[0, 0] == pytest.approx(1.0 - (1.0 - p) ** s, abs=1e-9)


@given(p=CHANCE, t=CHANCE, v=st.integers(0, 6), s=st.integers(1, 60))
def test_a_verdict_that_cannot_tell_is_one_sample(p: float, t: float, v: int, s: int):
    assert SimulatedVerifier([p], t, t).best_of([s], v)[0, 0] == pytest.approx(p, abs=1e-9)


@given(p=CHANCE, t=CHANCE, f=CHANCE, v=st.integers(1, 3), s=st.integers(1, 3))
def test_the_law_is_the_sum_over_all_outcomes(p: float, t: float, f: float, v: int, s: int):
    total = 0.0
    outcomes = [(right, yes) for right in (True, False) for yes in range(v + 1)]

    def chance(right: bool, yes: int) -> float:
        rate = t if right else f
        ways = [1, v, v * (v - 1) // 2, 1][yes] if v == 3 else [1, v, 1][yes]
        return (p if right else 1.0 - p) * ways * rate**yes * (1.0 - rate) ** (v - yes)

    for drawn in itertools.product(outcomes, repeat=s):
        best = max(yes for _, yes in drawn)
        top = [right for right, yes in drawn if yes == best]
        total += float(np.prod([chance(*one) for one in drawn])) * float(np.mean(top))
    assert SimulatedVerifier([p], t, f).best_of([s], v)[0, 0] == pytest.approx(total, abs=1e-9)


def test_the_measured_grid_agrees_with_the_exact_one():
    # 600 problems, S up to 8, V up to 4: 3 standard errors of at most .5 / sqrt(600) are .061
    rng = np.random.default_rng(4)
    problems = SimulatedVerifier(rng.beta(0.6, 0.8, size=600), 0.8, 0.3)
    answers, verdicts = problems.draw(8, 4, seed=5)
    measured = measured_grid(answers, answers == 0, verdicts, [1, 2, 4, 8], [1, 2, 4], ratio=2.0)
    exact = problems.grid([1, 2, 4, 8], [1, 2, 4], ratio=2.0)
    assert measured.accuracy == pytest.approx(exact.accuracy, abs=0.061)
    assert measured.cost.tolist() == exact.cost.tolist()
    best = (exact.solutions == 8) & (exact.verifications == 4)
    assert measured.cost[best] == 8 * (1 + 2 * 4)


def test_the_weighted_vote_counts_by_the_verdict():
    answers = np.array([[0, 1, 1]])
    verdicts = np.array([[[1.0], [0.2], [0.3]]])
    grid = measured_grid(answers, answers == 0, verdicts, [3], [1], ratio=1.0, select="vote")
    assert grid.accuracy.tolist() == [1.0]  # 1.0 against .5; a plain vote answers 1


def test_verdicts_that_were_not_parsed_are_dropped_and_answers_that_are_missing_cannot_win():
    assert mean_verdict(np.array([[1.0, np.nan], [np.nan, np.nan], [0.0, 1.0]])).tolist() == [1.0, 0.0, 0.5]
    answers = np.array([[-1, 3]])
    grid = measured_grid(answers, [[1.0, 1.0]], np.array([[[1.0], [0.1]]]), [2], [1], ratio=1.0)
    assert grid.accuracy.tolist() == [1.0]  # the answered one, though the other has the better verdict
    grid = measured_grid(answers, [[1.0, 0.0]], np.array([[[1.0], [0.1]]]), [2], [1], ratio=1.0)
    assert grid.accuracy.tolist() == [0.0]


def test_a_sample_without_an_answer_does_not_tie_with_an_answer_that_every_verdict_refused():
    found = measured_grid(np.array([[-1, 3]]), np.array([[0, 1]]), np.zeros((1, 2, 1)), [1, 2], [1], ratio=1.0)
    assert found.accuracy == pytest.approx([0.5, 1.0])


def test_groups_of_verdicts_are_disjoint():
    # V = 2 of 4 verdicts: two groups with opposite rankings average; one group alone would say 1 or 0
    answers = np.array([[0, 1]])
    verdicts = np.array([[[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]])
    grid = measured_grid(answers, answers == 0, verdicts, [2], [2], ratio=1.0)
    assert grid.accuracy.tolist() == [0.5]


def test_the_frontier_grows_both_ways_and_clipped_budgets_are_refused():
    p = np.linspace(0.02, 0.98, 25)
    powers = [2**step for step in range(8)]
    grid = SimulatedVerifier(p, 0.75, 0.35).grid(powers, powers, ratio=1.0)
    a, b = grid.exponents(2.0 ** np.arange(3, 11))
    assert 0.3 < a.exponent < 0.9
    assert 0.1 < b.exponent < 0.7
    rows = grid.frontier()
    assert np.all(np.diff(grid.accuracy[rows]) > 0)
    with pytest.raises(UsageError, match="widen"):
        SimulatedVerifier(p, 0.9, 0.1).grid([1, 2], [1, 2], ratio=1.0).exponents([64, 128])


def test_a_record_that_does_not_fit_the_grid_is_refused():
    answers, verdicts = np.zeros((2, 4), dtype=int), np.zeros((2, 4, 3))
    with pytest.raises(UsageError, match="as recorded"):
        measured_grid(answers, answers == 0, verdicts, [8], [1], ratio=1.0)
    with pytest.raises(UsageError, match="verdicts"):
        measured_grid(answers, answers == 0, verdicts[:1], [2], [1], ratio=1.0)
    with pytest.raises(UsageError, match="ratio"):
        compute(1, 1, 0.0)
