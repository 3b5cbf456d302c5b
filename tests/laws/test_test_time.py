"""Samples for an accuracy [113]: the smallest number by search, ceilings, prices, and intervals from resamples."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import UsageError
from outthink.laws.test_time import MOST, MeasuredCurve, Unit, plan_coverage, plan_samples
from outthink.stats.coverage_distribution import CoverageDistribution
from outthink.stats.coverage_law import CoverageLaw

UNIT = Unit(tokens=200, dollars_per_million=0.5, parameters=1e9)


@given(a=st.floats(0.1, 6.0), b=st.floats(0.2, 0.9), target=st.floats(0.01, 0.9))
def test_the_plan_is_the_fewest_samples(a: float, b: float, target: float):
    law = CoverageLaw(a, b)
    plan = plan_samples(law, target, unit=UNIT, measured=100)
    exact = (a / -math.log(target)) ** (1.0 / b)
    if exact > MOST:
        assert not plan.reachable
        return
    assert plan.samples is not None
    assert float(law(plan.samples)) >= target
    assert plan.samples == 1 or float(law(plan.samples - 1)) < target
    assert plan.tokens == plan.samples * 200
    assert plan.dollars == pytest.approx(plan.samples * 200 * 0.5e-6)
    assert plan.flops == pytest.approx(2e9 * plan.samples * 200)
    assert plan.beyond == plan.samples / 100


def test_a_target_above_the_ceiling_is_out_of_reach_and_says_so():
    plan = plan_samples(CoverageDistribution(0.5, 2.0, unsolvable=0.3), 0.8, unit=UNIT, measured=50, ceiling=0.7, name="beta")
    assert not plan.reachable
    assert (plan.samples, plan.tokens, plan.dollars, plan.beyond) == (None, None, None, None)
    assert plan.sentence() == "beta: 0.8 is out of reach, its limit is 0.7."


def test_a_measured_vote_may_fall_and_is_not_extended():
    vote = MeasuredCurve((1, 2, 4, 8, 16), (0.3, 0.4, 0.5, 0.45, 0.4))
    plan = plan_samples(vote, 0.5, unit=UNIT, measured=16, name="vote")
    assert (plan.samples, plan.ceiling) == (4, 0.5)
    assert not plan_samples(vote, 0.51, unit=UNIT, measured=16).reachable
    assert plan_samples(vote, 0.2, unit=UNIT, measured=16).samples == 1


def test_the_interval_is_of_the_draws_and_infinite_where_they_do_not_reach():
    draws = [CoverageLaw(2.0, b) for b in np.linspace(0.3, 0.5, 101)]
    plan = plan_samples(CoverageLaw(2.0, 0.4), 0.5, unit=UNIT, measured=100, draws=draws)
    assert plan.interval is not None
    assert plan.interval[0] < plan.samples < plan.interval[1]
    hopeless = [CoverageDistribution(0.5, 2.0, unsolvable=0.9)] * 10
    plan = plan_samples(CoverageLaw(2.0, 0.4), 0.5, unit=UNIT, measured=100, draws=[*draws, *hopeless])
    assert plan.interval is not None
    assert plan.interval[1] == math.inf
    assert "to never" in plan.sentence()


def test_counts_are_planned_by_three_laws_side_by_side():
    rng = np.random.default_rng(0)
    right = np.where(rng.random(150) < 0.4, 0, rng.binomial(100, rng.beta(2.0, 3.0, size=150)))
    plans = plan_coverage(100, right, 0.88, unit=UNIT, replicates=20)
    assert [plan.curve for plan in plans] == ["power law", "beta-binomial", "beta-binomial with unsolvable problems"]
    assert [plan.reachable for plan in plans[1:]] == [True, False]
    assert plans[2].ceiling == pytest.approx(0.6, abs=0.1)
    assert plans[1].beyond is not None
    assert plans[1].beyond > 10.0  # only by far extrapolation
    assert "beyond the 100 samples" in plans[1].sentence()
    assert plans == plan_coverage(100, right, 0.88, unit=UNIT, replicates=20)


def test_a_resample_without_success_reaches_nothing():
    right = np.zeros(30, dtype=int)
    right[:2] = (3, 7)  # a resample of 30 has neither with chance e^-2
    plans = plan_coverage(10, right, 0.3, unit=UNIT, replicates=60)
    assert plans[0].interval is not None
    assert plans[0].interval[0] > 10  # those resamples count as never, not as at once
    assert plans[0].interval[1] == math.inf


def test_wrong_questions_are_refused():
    with pytest.raises(UsageError, match="between 0 and 1"):
        plan_samples(CoverageLaw(1.0, 0.5), 1.0, unit=UNIT, measured=10)
    with pytest.raises(UsageError, match="at least one sample"):
        plan_samples(CoverageLaw(1.0, 0.5), 0.5, unit=UNIT, measured=0)
    with pytest.raises(UsageError, match="rising k"):
        MeasuredCurve((4, 2), (0.1, 0.2))
    with pytest.raises(UsageError, match="tokens a sample"):
        Unit(tokens=0)
