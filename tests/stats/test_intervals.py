from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.stats import bootstrap_mean, clustered_bootstrap, holm, mcnemar, paired_bootstrap, sign_flip, wilson_interval


def test_bootstrap_width_is_that_of_the_normal_interval():
    values = np.random.default_rng(0).random(500)
    found = bootstrap_mean(values, seed=1)
    half = 1.96 * values.std() / np.sqrt(500)
    assert found.estimate == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.05)


def test_pairing_narrows_and_seeds_of_a_problem_are_not_new_problems():
    rng = np.random.default_rng(0)
    hard = rng.random(200)
    first, second = hard + 0.1 + 0.01 * rng.random(200), hard
    paired = paired_bootstrap(first, second, seed=0)
    assert 0.1 < paired.low < paired.estimate < paired.high < 0.11
    once = bootstrap_mean(hard, seed=0)
    assert bootstrap_mean(np.tile(hard[:, None], 50), seed=0).low == pytest.approx(once.low, abs=1e-12)


def test_basic_is_the_reflected_percentile():
    values = np.random.default_rng(0).exponential(size=60)
    p, b = bootstrap_mean(values, seed=3), bootstrap_mean(values, seed=3, kind="basic")
    assert (b.low, b.high) == pytest.approx((2 * p.estimate - p.high, 2 * p.estimate - p.low))
    assert p == bootstrap_mean(values, seed=3)


@pytest.mark.parametrize("kind", ["percentile", "basic"])
def test_the_interval_holds_the_truth_as_often_as_it_says(kind):
    rng = np.random.default_rng(5)
    hits = 0
    for i in range(400):
        found = bootstrap_mean(rng.random(60) < 0.4, seed=i, draws=400, kind=kind)
        hits += found.low <= 0.4 <= found.high
    assert 0.90 < hits / 400 < 0.985  # nominal .95, 3 sigma .033, slightly low by construction


def test_copies_of_a_sample_in_a_cluster_do_not_narrow_the_interval():
    values = (np.random.default_rng(0).random(300) < 0.3).astype(float)
    names = np.arange(300)
    once, alone = bootstrap_mean(values, seed=0), clustered_bootstrap(values, names, seed=0)
    assert (alone.low, alone.high) == pytest.approx((once.low, once.high), abs=0.01)
    copies = clustered_bootstrap(np.tile(values, 5), np.tile(names, 5), seed=0)
    assert copies.estimate == pytest.approx(once.estimate)
    assert copies.high - copies.low == pytest.approx(alone.high - alone.low, rel=0.05)


def test_clusters_of_different_size_are_covered_as_often_as_it_says():
    """Each cluster has its own rate (mean .4) and 1 to 6 values; taken as independent they would be covered far less often."""
    rng = np.random.default_rng(1)
    hits = naive = 0
    for number in range(300):
        sizes = rng.integers(1, 7, size=80)
        rates = rng.beta(0.4, 0.6, size=80)
        names = np.repeat(np.arange(80), sizes)
        values = (rng.random(names.size) < rates[names]).astype(float)
        found, plain = clustered_bootstrap(values, names, seed=number, draws=400), bootstrap_mean(values, seed=number, draws=400)
        hits += found.low <= 0.4 <= found.high
        naive += plain.low <= 0.4 <= plain.high
    assert 0.90 < hits / 300 < 0.985
    assert naive / 300 < 0.85


@pytest.mark.parametrize(
    ("values", "clusters", "said"), [([1.0, 2.0], [0, 0], "2 clusters"), ([1.0], [0, 1], "samples"), ([np.nan, 1.0], [0, 1], "finite")]
)
def test_a_clustered_bootstrap_says_what_it_needs(values, clusters, said):
    with pytest.raises(ValueError, match=said):
        clustered_bootstrap(values, clusters, seed=0)


def test_wilson_solves_its_equation_and_stays_inside():
    low, high = wilson_interval([0, 3, 40], [10, 10, 100])
    assert low[0] == pytest.approx(0, abs=1e-12)
    assert high[0] == pytest.approx(1.959964**2 / (10 + 1.959964**2), abs=1e-6)
    for edge in (low[2], high[2]):
        assert abs(0.4 - edge) == pytest.approx(1.959964 * np.sqrt(edge * (1 - edge) / 100), abs=1e-7)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_by_the_step_down_rule(p):
    adjusted = holm(p)
    for alpha in (0.01, 0.05, 0.5):
        rejected, order = set(), sorted(range(len(p)), key=lambda i: p[i])
        for step, i in enumerate(order):
            if (len(p) - step) * p[i] > alpha:
                break
            rejected.add(i)
        assert set(np.flatnonzero(adjusted <= alpha)) == rejected


def test_mcnemar_and_sign_flip_agree_on_right_and_wrong():
    first = np.array([1] * 9 + [0] * 2 + [1] * 5)
    second = np.array([0] * 9 + [1] * 2 + [1] * 5)
    expected = 2 * sum(comb(11, j) for j in range(3)) / 2**11
    assert mcnemar(first, second) == pytest.approx(expected, abs=1e-12)
    assert sign_flip(first, second, seed=0) == pytest.approx(expected, abs=1e-12)
    assert mcnemar(second, first) == pytest.approx(expected, abs=1e-12)
    assert mcnemar([1, 0], [1, 0]) == sign_flip([1, 0], [1, 0], seed=0) == 1.0
    assert mcnemar([1, 0], [0, 1]) == 1.0


def test_drawn_sign_flips_match_the_exact_binomial():
    first, second = np.array([1] * 25 + [0] * 12), np.array([0] * 25 + [1] * 12)
    exact = mcnemar(first, second)
    assert sign_flip(first, second, seed=0, draws=20_000) == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="same problems"):
        paired_bootstrap([1, 0, 1], [1, 0], seed=0)
    with pytest.raises(ValueError, match="finite"):
        bootstrap_mean([1.0, np.nan], seed=0)
    with pytest.raises(ValueError, match="at least 2"):
        bootstrap_mean([1.0], seed=0)
    with pytest.raises(ValueError, match="right/wrong"):
        mcnemar([2, 0], [1, 0])
    with pytest.raises(ValueError, match="level"):
        wilson_interval(1, 2, level=95)
