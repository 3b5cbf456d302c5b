"""Schedules: ends, continuity, cost identity; averages: an exact mean over the window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import UsageError
from outthink.laws.methods.schedules import COOLDOWNS, CosineDecay, WarmupStableDecay, WeightAverage, cooldown, training_cost


@pytest.mark.parametrize("shape", COOLDOWNS)
def test_every_shape_falls_from_one_to_nothing(shape):
    values = cooldown(shape, np.linspace(0, 1, 201))
    assert values[0] == pytest.approx(1.0, abs=1e-12)
    assert values[-1] == pytest.approx(0.0, abs=1e-12)
    assert np.all(np.diff(values) <= 1e-12)


def test_the_shapes_half_way():
    half = {shape: float(cooldown(shape, 0.5)) for shape in COOLDOWNS}
    assert half == pytest.approx({"1-sqrt": 1 - 0.5**0.5, "linear": 0.5, "cosine": 0.5, "mirror-cosine": 0.5, "square": 0.75, "exp": 1 / 11})


@given(steps=st.integers(50, 5000), decay=st.floats(0.0, 0.8), warmup=st.integers(0, 10), floor=st.floats(0.0, 1.0), shape=st.sampled_from(COOLDOWNS))
def test_plateau_is_one_and_the_end_is_the_floor(steps, decay, warmup, floor, shape):
    plan = WarmupStableDecay(steps, decay=decay, warmup=warmup, shape=shape, floor=floor)
    assert np.all(plan(np.arange(warmup, plan.start)) == 1.0)
    assert abs(plan.start - (1.0 - decay) * steps) <= 0.5 + 1e-9
    if plan.start < steps:
        assert float(plan(steps)) == pytest.approx(floor, abs=1e-9)
    factors = plan(np.arange(steps + 1))
    assert np.all((factors >= -1e-12) & (factors <= 1.0 + 1e-12))


def test_the_share_is_of_the_whole_duration():
    assert WarmupStableDecay(1000, decay=0.2, warmup=100).start == 800


def test_the_cosine_is_half_way_down_half_way_through():
    plan = CosineDecay(1100, warmup=100, floor=0.1)
    assert float(plan(600)) == pytest.approx(0.55)
    assert float(plan(1100)) == pytest.approx(0.1)
    assert float(plan(49)) == pytest.approx(0.5)


def test_cost_of_the_notebooks_three_durations():
    ours, cosine = training_cost([3000, 7000, 10000], 0.2)
    assert ours / cosine == pytest.approx(0.6, abs=1e-12)


@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=8), st.floats(0.0, 1.0))
def test_cost_lies_between_the_longest_run_and_all_of_them(durations, decay):
    ours, cosine = training_cost(durations, decay)
    assert max(durations) * (1 - 1e-12) <= ours <= cosine * (1 + 1e-12)


@given(st.integers(0, 30), st.integers(1, 7))
def test_average_is_the_mean_of_what_its_turns_saw(start, every):
    mean = WeightAverage(start=start, every=every)
    weights = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
    for step in range(60):
        mean.add(step, weights[step])
    assert mean.mean == pytest.approx(weights[start::every].astype(float).mean(axis=0), abs=1e-12)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: WarmupStableDecay(100, decay=1.5, warmup=10), "share"),
        (lambda: WarmupStableDecay(100, decay=0.5, warmup=80), "reach into the cooldown"),
        (lambda: WarmupStableDecay(100, warmup=10, shape="step"), "there is no cooldown 'step'"),
        (lambda: cooldown("linear", 1.2), "progress"),
        (lambda: training_cost([], 0.2), "durations"),
        (lambda: training_cost([1.0, -1.0], 0.2), "positive"),
        (lambda: WeightAverage(start=5, every=1).mean, "no weights"),
    ],
)
def test_bad_input_is_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make()
