"""The knockout planner [72]: the cheapest size by search, and a bound that says nothing."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outthink.core.errors import UsageError
from outthink.laws.methods.knockout_plan import plan_knockout
from outthink.stats import knockout_failure_bound, knockout_success


@settings(max_examples=25)
@given(p_gen=st.floats(0.1, 0.9), p_comp=st.floats(0.6, 1.0), failure=st.floats(0.02, 0.5))
def test_the_plan_is_the_cheapest_that_meets_the_target(p_gen: float, p_comp: float, failure: float):
    plan = plan_knockout(p_gen, p_comp, failure)
    assert plan.exact is not None
    assert plan.exact.failure <= failure
    searched = [
        n + (n - 1) * k
        for n in (1, 2, 4, 8, 16, 32, 64)
        for k in (range(1, 16, 2) if n > 1 else (0,))
        if 1.0 - knockout_success(p_gen, p_comp, n, max(k, 1)) <= failure
    ]
    if searched:
        assert plan.exact.calls <= min(searched)


def test_the_bound_is_vacuous_where_the_law_is_already_met():
    plan = plan_knockout(0.3, 0.7, 0.05)
    assert plan.exact is not None
    assert plan.by_bound is not None
    assert plan.vacuous
    assert plan.bound > 1.0
    assert plan.by_bound.calls > 3 * plan.exact.calls
    assert knockout_failure_bound(0.3, 0.7, plan.by_bound.candidates, plan.by_bound.comparisons) <= 0.05
    assert "says nothing there" in plan.sentence()


def test_a_comparer_at_chance_or_below_cannot_be_bought_out():
    for p_comp in (0.5, 0.45):
        plan = plan_knockout(0.3, p_comp, 0.1)
        assert (plan.exact, plan.by_bound) == (None, None)
        assert plan.floor == pytest.approx(0.7)
        assert math.isnan(plan.bound)
    assert "the lowest is 0.7" in plan_knockout(0.3, 0.45, 0.1).sentence()


def test_one_sample_that_is_good_enough_needs_no_comparison():
    plan = plan_knockout(0.9, 0.4, 0.2)
    assert plan.exact is not None
    assert (plan.exact.candidates, plan.exact.comparisons, plan.exact.calls) == (1, 0, 1)


def test_certainty_is_refused():
    with pytest.raises(UsageError, match="between 0 and 1"):
        plan_knockout(0.5, 0.7, 0.0)
