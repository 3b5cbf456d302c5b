"""The Beta-binomial of coverage [113]: exact moments, derivatives, recovery, weights, the share of unsolvable problems."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outthink.stats import coverage
from outthink.stats.coverage_distribution import CoverageDistribution, _likelihood, fit_coverage_distribution


@given(alpha=st.floats(0.05, 5.0), beta=st.floats(0.1, 200.0), k=st.integers(1, 3000))
def test_coverage_is_the_product_of_the_beta_binomial(alpha: float, beta: float, k: int):
    # E[(1-p)^k] = prod_{j<k} (beta + j) / (alpha + beta + j)
    j = np.arange(k)
    miss = math.exp(float(np.log1p(-alpha / (alpha + beta + j)).sum()))
    assert float(CoverageDistribution(alpha, beta)(k)) == pytest.approx(1.0 - miss, rel=1e-9, abs=1e-12)


def test_far_beyond_the_sum_the_series_goes_on_smoothly_and_falls_like_k_to_minus_alpha():
    law = CoverageDistribution(0.3, 12.0)
    missing = 1.0 - law(np.array([1e6, 1e7, 1e8, 1e12]))
    assert np.log10(missing[:-1] / missing[1:]) == pytest.approx([0.3, 0.3, 1.2], rel=1e-4)
    assert float(law(0)) == pytest.approx(0.0, abs=1e-12)


def test_one_sample_is_the_mean_and_unsolvable_problems_are_a_ceiling():
    law = CoverageDistribution(0.5, 2.0, unsolvable=0.25)
    assert float(law(1)) == pytest.approx(0.75 * 0.2)
    assert float(law(1e15)) == pytest.approx(0.75, abs=1e-6)


@given(st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=3), st.integers(2, 3))
def test_the_derivatives_are_those_of_the_likelihood(point: list[float], size: int):
    x = np.array(point[:size])
    samples, right, counts = np.array([10, 10, 20, 30, 5]), np.array([0, 3, 0, 30, 1]), np.array([1.0, 2.0, 3.0, 1.0, 5.0])
    _, gradient, hessian = _likelihood(x, samples, right, counts)
    for axis, unit in enumerate(np.eye(size) * 1e-5):
        up, down = (_likelihood(x + sign * unit, samples, right, counts) for sign in (1.0, -1.0))
        assert gradient[axis] == pytest.approx((up[0] - down[0]) / 2e-5, abs=1e-4)
        assert hessian[axis] == pytest.approx((up[1] - down[1]) / 2e-5, abs=1e-4)


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 12.0), (0.7, 2.0), (2.0, 5.0)])
def test_many_problems_give_the_parameters_back(alpha: float, beta: float):
    rng = np.random.default_rng(1)
    right = rng.binomial(50, rng.beta(alpha, beta, size=20_000))
    fitted = fit_coverage_distribution(50, right)
    assert fitted.alpha == pytest.approx(alpha, rel=0.05)
    assert fitted.beta == pytest.approx(beta, rel=0.08)


def test_a_share_of_unsolvable_problems_is_found_where_it_shows():
    rng = np.random.default_rng(2)
    right = np.where(rng.random(5000) < 0.3, 0, rng.binomial(100, rng.beta(2.0, 3.0, size=5000)))
    fitted = fit_coverage_distribution(100, right, unsolvable=True)
    assert fitted.unsolvable == pytest.approx(0.3, abs=0.02)
    assert fitted.log_likelihood > fit_coverage_distribution(100, right).log_likelihood + 50
    none = np.minimum(right + 1, 100)  # no problem without success
    assert fit_coverage_distribution(100, none, unsolvable=True).unsolvable == 0.0


@settings(max_examples=20)
@given(st.lists(st.integers(0, 20), min_size=12, max_size=20), st.integers(0, 10**6))
def test_a_weight_is_a_repeated_problem_and_order_does_not_count(counts: list[int], seed: int):
    right = np.array([*counts, 0, 3, 9])
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 4, size=right.size)
    try:
        repeated = fit_coverage_distribution(20, np.repeat(right, weights))
    except ValueError:  # these counts show no spread, weighted or not
        with pytest.raises(ValueError, match="do not show"):
            fit_coverage_distribution(20, right, weights=weights)
        return
    order = rng.permutation(right.size)
    weighted = fit_coverage_distribution(20, right[order], weights=weights[order])
    assert (weighted.alpha, weighted.beta) == pytest.approx((repeated.alpha, repeated.beta), rel=1e-4)


def test_the_forecast_within_the_samples_agrees_with_the_unbiased_estimate():
    rng = np.random.default_rng(3)
    right = rng.binomial(200, rng.beta(0.4, 3.0, size=5000))
    fitted = fit_coverage_distribution(200, right)
    for k in (1, 10, 100, 200):
        assert float(fitted(k)) == pytest.approx(float(coverage(200, right, k)[0]), abs=0.01)


def test_counts_that_say_nothing_are_refused():
    for right in ([0, 0, 0], [5, 5, 5], [2, 2, 3]):
        with pytest.raises(ValueError, match="do not show how problems differ"):
            fit_coverage_distribution(5, right)
    with pytest.raises(ValueError, match="between 0 and n"):
        fit_coverage_distribution(5, [6])
    with pytest.raises(ValueError, match="weights"):
        fit_coverage_distribution(5, [1, 2], weights=[0.0, 0.0])


def test_a_share_that_the_likelihood_asks_for_is_found_also_where_the_rest_looks_alike():
    # 20 problems never solved, 20 solved about half the time, spread no more than sampling spreads them: a point beside the unsolvable
    right = np.array([0] * 20 + [4, 5, 5, 5, 6] * 4)
    plain, some = fit_coverage_distribution(10, right), fit_coverage_distribution(10, right, unsolvable=True)
    assert some.log_likelihood > plain.log_likelihood + 10.0
    assert some.unsolvable == pytest.approx(0.5, abs=0.01)
    assert some.alpha / (some.alpha + some.beta) == pytest.approx(0.5, abs=0.01)
    assert float(some(1000)) == pytest.approx(0.5, abs=0.01)
