"""Allocation under a budget: the arg max against a search, frontiers, and exponents that a grid's end may not decide."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import UsageError
from outthink.laws.allocation import best_under, grid, growth, pareto

ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 20)), min_size=1, max_size=30)


@given(ROWS, st.integers(1, 20))
def test_the_choice_is_the_best_affordable_and_the_cheapest_of_those(rows: list[tuple[int, int]], budget: int):
    scores, costs = ([float(row[part]) for row in rows] for part in (0, 1))
    affordable = [(-score, cost) for score, cost in rows if cost <= budget]
    if not affordable:
        with pytest.raises(UsageError, match="the cheapest that was scored costs"):
            best_under(scores, costs, budget)
        return
    choice = best_under(scores, costs, budget)
    assert (-choice.score, choice.cost) == min(affordable)
    assert (scores[choice.index], costs[choice.index]) == (choice.score, choice.cost)


@given(ROWS)
def test_a_frontier_beats_everything_that_costs_no_more(rows: list[tuple[int, int]]):
    scores, costs = (np.array([float(row[part]) for row in rows]) for part in (0, 1))
    frontier = pareto(scores, costs)
    assert np.all(np.diff(scores[frontier]) > 0)
    assert np.all(np.diff(costs[frontier]) > 0)
    for score, cost in zip(scores, costs, strict=True):
        assert any(scores[row] >= score and costs[row] <= cost for row in frontier)


def test_a_configuration_without_a_score_is_never_chosen():
    assert best_under([math.nan, 0.2], [1.0, 2.0], 5.0).index == 1
    assert pareto([math.nan, 0.2], [1.0, 2.0]).tolist() == [1]
    with pytest.raises(UsageError, match="at least one configuration"):
        best_under([math.nan], [1.0], 5.0)


@given(st.floats(0.1, 2.0), st.floats(0.1, 10.0))
def test_a_power_gives_its_exponent_and_clipped_points_do_not_count(exponent: float, scale: float):
    costs = 2.0 ** np.arange(1, 11)
    settings = scale * costs**exponent
    top = float(settings[7])
    clipped = np.minimum(settings, top)
    found = growth(clipped, costs, largest=top)
    assert found.exponent == pytest.approx(exponent, rel=1e-9)
    assert (found.points, found.clipped) == (7, 3)
    assert float(found(costs[0])) == pytest.approx(settings[0])
    assert growth(clipped, costs).exponent < exponent  # what a fit through the grid's end would say


def test_exponents_need_points_inside_the_grid():
    with pytest.raises(UsageError, match="widen the grid"):
        growth([1.0, 8.0, 8.0], [1.0, 2.0, 4.0], largest=8.0)
    with pytest.raises(UsageError, match="above 0"):
        growth([0.0, 1.0], [1.0, 2.0])


def test_a_grid_is_every_combination():
    columns = grid(documents=[0, 1], shots=[0, 2, 4])
    assert columns["documents"].tolist() == [0, 0, 0, 1, 1, 1]
    assert columns["shots"].tolist() == [0, 2, 4, 0, 2, 4]
