"""Online calibration: what its theorems say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.stats.calibration import expected_calibration_error
from outthink.stats.online_calibration import Hedging, OnlinePlatt, Tracking, forecast_online


def stream(steps=3000, seed=0, slope=0.4, offset=-1.0):
    rng = np.random.default_rng(seed)
    scores = rng.beta(2, 2, steps)
    chance = 1 / (1 + np.exp(-(slope * np.log(scores / (1 - scores)) + offset)))
    return scores, (rng.random(steps) < chance).astype(int)


def test_platt_scaling_learns_the_true_scaling():
    learner = OnlinePlatt()
    scores, outcomes = stream(8000)
    forecasts = forecast_online(learner, scores, outcomes)
    assert learner.theta == pytest.approx([0.4, -1.0], abs=0.1)
    assert expected_calibration_error(forecasts[1000:], outcomes[1000:], bins=10) < 0.3 * expected_calibration_error(
        scores[1000:], outcomes[1000:], bins=10
    )


def test_the_first_forecast_knows_nothing_and_none_sees_its_own_outcome():
    scores, outcomes = stream(50)
    turned = outcomes.copy()
    turned[30] = 1 - turned[30]
    for make in (
        OnlinePlatt,
        lambda: Tracking(OnlinePlatt()),
        lambda: Hedging(OnlinePlatt(), seed=1),
        lambda: OnlinePlatt(features="beta", diameter=2.0),
    ):
        first, second = (forecast_online(make(), scores, given_) for given_ in (outcomes, turned))
        assert np.array_equal(first[:31], second[:31])
    assert OnlinePlatt().forecast(0.9) == 0.5


def test_the_inverse_kept_by_rank_one_steps_is_the_inverse():
    learner = OnlinePlatt(features="beta")
    scores, outcomes = stream(500)
    forecast_online(learner, scores, outcomes)
    assert learner._inverse @ learner.curvature == pytest.approx(np.eye(3), abs=1e-6)


def test_theta_is_projected_in_the_norm_of_the_curvature():
    # the projection is the least A-distance point of the ball: no nearby point of the ball is nearer
    free, held = OnlinePlatt(radius=1e9), OnlinePlatt(radius=0.3)
    for score, outcome in zip(*stream(40), strict=True):
        before, curvature = held.theta, held.curvature
        held.observe(float(score), int(outcome))
        free.theta, free.curvature, free._inverse = before, curvature.copy(), np.linalg.inv(curvature)
        free.observe(float(score), int(outcome))
        assert np.linalg.norm(held.theta) <= 0.3 + 1e-9
        gap = held.theta - free.theta
        for angle in np.linspace(0, 2 * np.pi, 100):
            other = 0.3 * np.array([np.cos(angle), np.sin(angle)]) - free.theta
            assert gap @ held.curvature @ gap <= other @ held.curvature @ other + 1e-6


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_forecasts_are_probabilities_on_any_stream(steps):
    for calibrator in (OnlinePlatt(), Tracking(OnlinePlatt()), Hedging(OnlinePlatt(), seed=0), OnlinePlatt(features="beta", diameter=2.0)):
        forecasts = forecast_online(calibrator, [s for s, _ in steps], [o for _, o in steps])
        assert np.all((forecasts >= 0) & (forecasts <= 1))


@given(st.integers(0, 10_000))
def test_hedging_finds_two_neighbouring_points_whatever_came_before(seed):
    rng = np.random.default_rng(seed)
    hedged = Hedging(OnlinePlatt(), seed=0)
    hedged._counts = rng.integers(0, 5, hedged._counts.shape).astype(float)
    hedged._sums = np.floor(rng.random(hedged._counts.shape) * (hedged._counts + 1)).clip(0, hedged._counts)
    _, chances = hedged.distribution(float(rng.random()))
    assert chances.sum() == pytest.approx(1.0)
    played = np.flatnonzero(chances)
    assert len(played) == 1 or (len(played) == 2 and played[1] == played[0] + 1)


def test_tracking_forecasts_the_mean_of_its_bin():
    tracking = Tracking(OnlinePlatt(), bins=1)
    outcomes = [1, 0, 0, 1, 1]
    forecasts = forecast_online(tracking, [0.5] * 5, outcomes)
    assert forecasts == pytest.approx([(0.995 + sum(outcomes[:k])) / (k + 1) for k in range(5)])


@pytest.mark.parametrize(("scores", "outcomes"), [([0.5, 1.2], [0, 1]), ([0.5], [0.5]), ([0.5, 0.4], [1]), ([[0.5]], [[1]])])
def test_bad_streams_are_refused(scores, outcomes):
    with pytest.raises(ValueError, match="must"):
        forecast_online(OnlinePlatt(), scores, outcomes)


def test_hedging_refuses_an_outcome_that_it_did_not_forecast():
    hedged = Hedging(OnlinePlatt(), seed=0)
    with pytest.raises(ValueError, match="right before"):
        hedged.observe(0.5, 1)
