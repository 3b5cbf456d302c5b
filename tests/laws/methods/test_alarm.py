"""Forecasts: exact laws, coverage on simulated sweeps, scale invariance, Student's quantiles from tables."""

from __future__ import annotations

import numpy as np
import pytest

from outthink.core.errors import DataError, UsageError
from outthink.laws.methods.alarm import forecast

SIZES = np.repeat(np.geomspace(1e4, 1e6, 6), 5)


def test_an_exact_law_is_continued_exactly():
    told = forecast(SIZES, 9.0 * SIZES**-0.12, 1e8, seed=0)
    assert (told.loss, told.low, told.high) == pytest.approx((9.0 * 1e8**-0.12,) * 3, rel=1e-9)
    assert told.slope == pytest.approx(-0.12)
    assert told.r2 == pytest.approx(1.0)


def test_scaling_all_losses_scales_the_forecast():
    losses = 9.0 * SIZES**-0.12 * np.exp(0.01 * np.random.default_rng(0).standard_normal(SIZES.size))
    one, other = forecast(SIZES, losses, 1e7, seed=0), forecast(SIZES, 7.0 * losses, 1e7, seed=0)
    assert (other.loss, other.low, other.high) == pytest.approx((7.0 * one.loss, 7.0 * one.low, 7.0 * one.high), rel=1e-9)


@pytest.mark.parametrize("seeds", [1, 5])
def test_the_interval_holds_a_new_run_as_often_as_it_says(seeds):
    rng = np.random.default_rng(seeds)
    sizes = np.repeat(np.geomspace(1e4, 1e6, 7), seeds)
    inside, trials = 0, 400
    for trial in range(trials):
        lack = np.repeat(0.01 * rng.standard_normal(7), seeds)
        losses = 9.0 * sizes**-0.12 * np.exp(lack + 0.01 * rng.standard_normal(sizes.size))
        new = 9.0 * 3e6**-0.12 * np.exp(0.01 * rng.standard_normal(2).sum())
        told = forecast(sizes, losses, 3e6, seed=trial, replicates=300)
        inside += told.low <= new <= told.high
    # with Student's factor left out coverage is .80 to .84; sigma of 400 trials at .9 is .015
    assert 0.85 <= inside / trials <= 0.97


def test_where_single_runs_go_wrong_upwards_the_interval_is_longer_upwards():
    rng = np.random.default_rng(0)
    sizes = np.repeat(np.geomspace(1e4, 1e6, 8), 5)
    for skew in (1.0, -1.0):
        told = forecast(sizes, 9.0 * sizes**-0.12 * np.exp(skew * 0.02 * rng.exponential(size=40)), 3e6, seed=0)
        above, below = np.log(told.high / told.loss), np.log(told.loss / told.low)
        assert (above > 1.2 * below) if skew > 0 else (below > 1.2 * above)


def test_a_run_above_the_interval_is_flagged_and_one_below_is_not():
    losses = 9.0 * SIZES**-0.12 * np.exp(0.005 * np.random.default_rng(1).standard_normal(SIZES.size))
    told = forecast(SIZES, losses, 3e6, seed=0)
    assert told.alarms(1.05 * told.loss)
    assert not told.alarms(told.loss)
    assert not told.alarms(0.9 * told.loss)


@pytest.mark.parametrize(
    ("sizes", "losses", "kind", "said"),
    [
        ([1, 2, 3], [1, 1, 1], UsageError, "at least 4 sizes"),
        ([1, 2, 3, 4], [1, 1, 0, 1], DataError, "loss of run 3"),
        ([1, 2, -3, 4], [1, 1, 1, 1], DataError, "size of run 3"),
        ([1, 2], [1, 1, 1], UsageError, "one length"),
    ],
)
def test_bad_input_is_refused(sizes, losses, kind, said):
    with pytest.raises(kind, match=said):
        forecast(sizes, losses, 10.0, seed=0)
