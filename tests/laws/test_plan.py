"""Training plans: the numeric frontier against the closed form, round trips, floors, prices and draws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.laws.plan import Hardware, LossLaw, plan_budget, plan_loss

A, B, E, ALPHA, BETA = 477.83, 2143.4, 1.81722, 0.34731, 0.36717


def law_with(floor: float = E, alpha: float = ALPHA, beta: float = BETA) -> LossLaw:
    def law(parameters: ArrayLike, tokens: ArrayLike) -> np.ndarray:
        return floor + A * np.asarray(parameters) ** -alpha + B * np.asarray(tokens) ** -beta

    return law


@settings(max_examples=30)
@given(flops=st.floats(1e16, 1e27), alpha=st.floats(0.2, 0.6), beta=st.floats(0.2, 0.6))
def test_the_optimum_is_the_closed_form(flops: float, alpha: float, beta: float):
    plan = plan_budget(law_with(alpha=alpha, beta=beta), flops=flops)
    scale = (alpha * A / (beta * B)) ** (1.0 / (alpha + beta))
    assert plan.parameters == pytest.approx(scale * (flops / 6.0) ** (beta / (alpha + beta)), rel=1e-4)
    assert plan.parameters is not None
    assert plan.tokens is not None
    assert 6.0 * plan.parameters * plan.tokens == pytest.approx(flops)


@settings(max_examples=30)
@given(flops=st.floats(1e16, 1e27), ratio=st.one_of(st.none(), st.floats(1.0, 1000.0)))
def test_planning_for_a_budgets_loss_gives_the_budget_back(flops: float, ratio: float | None):
    reached = plan_budget(law_with(), flops=flops, tokens_per_parameter=ratio)
    assert reached.loss is not None
    back = plan_loss(law_with(), reached.loss * (1.0 + 1e-12), tokens_per_parameter=ratio)
    assert back.flops == pytest.approx(flops, rel=1e-6)
    if ratio is not None:
        assert back.tokens == pytest.approx(ratio * back.parameters)


def test_a_fixed_ratio_never_beats_the_optimal_split():
    best = plan_loss(law_with(), 2.1)
    for ratio in (1.0, 5.0, 20.0, 400.0):
        assert plan_loss(law_with(), 2.1, tokens_per_parameter=ratio).flops >= best.flops * (1.0 - 1e-6)


def test_a_loss_below_the_floor_is_out_of_reach():
    plan = plan_loss(law_with(), 1.8)
    assert not plan.reachable
    assert plan.floor == pytest.approx(E, abs=2e-3)
    assert plan.sentence() == f"loss 1.8: out of reach, the law's floor is {plan.floor:.4g}."


def test_hours_dollars_and_how_far_it_goes():
    hardware = Hardware(dollars_per_hour=2.0, flops_per_second=1e15, utilisation=0.5)
    plan = plan_budget(law_with(), flops=1.8e22, largest=1.8e21, hardware=hardware)
    assert plan.hours == pytest.approx(1e4)
    assert plan.dollars == pytest.approx(2e4)
    assert plan.beyond == pytest.approx(10.0)
    assert "10.0 times the compute of the largest fitted run" in plan.sentence()
    assert plan_budget(law_with(), dollars=2e4, hardware=hardware).flops == pytest.approx(1.8e22)
    twice = plan_budget(law_with(), flops=1.8e22, flops_per=12.0)
    assert twice.parameters is not None
    assert 12.0 * twice.parameters * (twice.tokens or 0.0) == pytest.approx(1.8e22)


def test_draws_give_intervals_and_those_that_never_get_there_are_infinite():
    draws = [law_with(E + shift) for shift in np.linspace(-0.05, 0.05, 41)]
    plan = plan_loss(law_with(), 2.1, draws=draws)
    assert plan.flops_interval is not None
    assert plan.flops_interval[0] < plan.flops < plan.flops_interval[1]
    assert plan_budget(law_with(), flops=1e21, draws=draws).loss_interval == pytest.approx(
        (plan_budget(draws[1], flops=1e21).loss, plan_budget(draws[-2], flops=1e21).loss)
    )
    close = plan_loss(law_with(), 1.85, draws=draws)
    assert close.flops_interval is not None
    assert close.flops_interval[1] == math.inf
    assert "to never" in close.sentence()


def test_wrong_questions_are_refused():
    with pytest.raises(UsageError, match="above 0"):
        plan_loss(law_with(), -1.0)
    with pytest.raises(UsageError, match="one of them"):
        plan_budget(law_with())
    with pytest.raises(UsageError, match="price per hour"):
        plan_budget(law_with(), dollars=1e3)
    with pytest.raises(UsageError, match="does not fall with compute"):
        plan_loss(lambda n, d: np.asarray(n) * 0.0 + 3.0, 2.0)
    with pytest.raises(UsageError, match="utilisation"):
        Hardware(1.0, 1e15, 1.5)
