"""Sampling until some successes: which estimates are unbiased, exactly."""

import itertools

import numpy as np
import pytest

from outthink.core.errors import DataError, UsageError
from outthink.laws.methods.pass_until import emergence, fit_task_law, pass_rate, pooled_pass_rate, sample_until


@pytest.mark.parametrize("rate", [0.05, 0.4, 0.9])
@pytest.mark.parametrize("successes", [2, 3])
def test_the_estimate_is_unbiased_with_a_cap_too(rate, successes):
    # every sequence of passes and fails up to the cap, with its chance
    cap, mean, biased = 8, 0.0, 0.0
    for outcomes in itertools.product([True, False], repeat=cap):
        draws = iter(outcomes)
        run = sample_until(lambda draws=draws: next(draws), successes, cap)
        chance = np.prod([rate if passed else 1 - rate for passed in outcomes])
        mean += chance * float(pass_rate(run.successes, run.samples, capped=run.capped))
        biased += chance * float(pass_rate(run.successes, run.samples, biased=True))
    assert mean == pytest.approx(rate, abs=1e-12)
    assert biased > rate + 1e-4


def test_one_success_says_nothing_unbiased():
    assert np.isnan(pass_rate(1, 7))
    assert float(pass_rate(1, 1)) == 1.0
    assert float(pass_rate(1, 7, biased=True)) == pytest.approx(1 / 7)
    assert float(pass_rate(1, 7, capped=True)) == pytest.approx(1 / 7)
    assert pooled_pass_rate([1, 1, 0], [7, 3, 10]) == pytest.approx(0.1)


def test_the_task_law_comes_back_and_has_no_curvature():
    sizes = np.geomspace(1e7, 1e10, 6)
    rates = np.exp(-30 * sizes**-0.12)
    law = fit_task_law(sizes, rates)
    assert (law.c, law.alpha, law.r_squared) == pytest.approx((30, 0.12, 1.0))
    assert law(sizes) == pytest.approx(rates)
    assert emergence(sizes, rates) == pytest.approx(0.0, abs=1e-9)
    # a pass rate that accelerates beyond its law
    assert emergence(sizes, np.exp(-30 * sizes**-0.12 * np.exp(-0.02 * np.log(sizes / 1e7) ** 2))) < -0.01


@pytest.mark.parametrize(("successes", "samples"), [(3, 2), (0, 0), (-1, 5)])
def test_impossible_counts_are_refused(successes, samples):
    with pytest.raises(DataError):
        pass_rate(successes, samples)
    with pytest.raises(UsageError):
        sample_until(lambda: True, 0, 5)
    with pytest.raises(DataError, match="three sizes"):
        emergence([1e7, 1e8], [0.1, 0.2])
