import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.stats import aurc, auroc, auroc_difference, brier_score, expected_calibration_error, risk_coverage, selective_utility

cases = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=25)


@given(cases)
def test_auroc_is_the_share_of_pairs_in_order(case):
    scores, correct = np.array([s for s, _ in case]), np.array([c for _, c in case])
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[correct] for b in scores[~correct]]
    if pairs:
        assert auroc(scores, correct) == pytest.approx(np.mean(pairs), abs=1e-12)
        assert auroc(3 * scores - 7, correct) + auroc(-scores, correct) == pytest.approx(1.0)
    else:
        assert np.isnan(auroc(scores, correct))


def test_the_interval_of_a_difference_of_aurocs_covers_as_often_as_it_says():
    """Binormal scores: AUROC = Phi(d / sqrt 2), so the true difference is known; the two scores of a sample share most of their noise."""
    from statistics import NormalDist

    rng, phi = np.random.default_rng(0), NormalDist().cdf
    truth = phi(1.0 / np.sqrt(2)) - phi(0.6 / np.sqrt(2))
    right = np.arange(160) < 60
    hits, widths = 0, []
    for _ in range(500):
        shared = 0.9 * rng.normal(size=160)
        one, two = (shared + np.sqrt(0.19) * rng.normal(size=160) + shift * right for shift in (1.0, 0.6))
        found = auroc_difference(one, two, right)
        assert found.estimate == pytest.approx(auroc(one, right) - auroc(two, right))
        hits += found.low <= truth <= found.high
        widths.append(found.high - found.low)
    assert 0.92 < hits / 500 < 0.98
    assert auroc_difference(one, one, right) == auroc_difference(two, two, right)  # nothing, and no width


def test_a_difference_of_aurocs_needs_both_kinds():
    with pytest.raises(ValueError, match="two right and two wrong"):
        auroc_difference([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1, 1, 0])
    with pytest.raises(ValueError, match="0 or 1"):
        auroc_difference([1.0, 2.0], [1.0, 2.0], [0.5, 1])


@given(cases)
def test_risk_coverage_and_utility_by_definition(case):
    sure, correct = np.array([s for s, _ in case]), np.array([c for _, c in case], dtype=float)
    curve = risk_coverage(sure, correct)
    for t, covered, risk in zip(curve.threshold, curve.coverage, curve.risk, strict=True):
        answered = sure >= t
        assert covered == pytest.approx(answered.mean())
        assert risk == pytest.approx(1 - correct[answered].mean())
    points = [-1.0, 0.2, 0.5, 0.7, 2.0]
    expected = [np.where(sure >= t, correct - 20 * (1 - correct), 0).mean() for t in points]
    assert selective_utility(sure, correct, points, cost=20) == pytest.approx(expected, abs=1e-9)
    assert selective_utility(sure, correct, 0.0, cost=0)[0] == pytest.approx(correct.mean())


def test_aurc_with_ties_is_the_mean_over_random_orders():
    rng = np.random.default_rng(0)
    sure, correct = rng.integers(0, 4, 30) / 4, rng.random(30) < 0.6
    orders = [np.argsort(-sure + 1e-6 * rng.random(30)) for _ in range(4000)]
    sampled = [np.mean(np.cumsum(1 - correct[o]) / np.arange(1, 31)) for o in orders]
    assert aurc(sure, correct) == pytest.approx(np.mean(sampled), abs=4 * np.std(sampled) / np.sqrt(4000))
    assert aurc(np.zeros(30), correct) == pytest.approx(1 - correct.mean())


@pytest.mark.parametrize("cost", [1, 20])
def test_the_best_threshold_of_calibrated_confidence(cost):
    rng = np.random.default_rng(0)
    sure = rng.random(400_000)
    correct = rng.random(400_000) < sure
    grid = np.linspace(0, 1, 51)
    best = grid[np.argmax(selective_utility(sure, correct, grid, cost=cost))]
    assert abs(best - cost / (1 + cost)) <= 0.0201  # [27]: within one grid step


def test_calibration_error_and_brier():
    sure, correct = np.array([0.1, 0.1, 0.9, 1.0]), np.array([0, 1, 1, 1])
    assert expected_calibration_error(sure, correct, bins=10) == pytest.approx((0.8 + 0.1) / 4)  # .9 and 1.0 share the last bin
    assert expected_calibration_error(sure, correct, bins=2, binning="mass") == pytest.approx((0.8 + 0.1) / 4)
    assert expected_calibration_error([0.5] * 4, [1, 0, 1, 0], binning="mass") == 0.0
    assert expected_calibration_error([1.0], [0]) == 1.0
    assert brier_score(sure, correct) == pytest.approx((0.01 + 0.81 + 0.01) / 4)
    rng = np.random.default_rng(0)
    p = rng.random(100_000)
    y = rng.random(100_000) < p
    for binning in ("width", "mass"):
        assert expected_calibration_error(p, y, binning=binning) < 0.006
        assert expected_calibration_error(p**2, y, binning=binning) == pytest.approx(1 / 6, abs=0.01)


def test_no_answer_abstains_and_bad_input_is_refused():
    assert selective_utility([np.nan, 0.9], [0, 1], [0.0], cost=20)[0] == 0.5
    for bad in ([1.2, 0.1], [np.nan, 0.1]):
        with pytest.raises(ValueError, match="confidence"):
            brier_score(bad, [0, 1])
    with pytest.raises(ValueError, match="0 or 1"):
        auroc([0.1, 0.2], [0.5, 1.0])
    with pytest.raises(ValueError, match="cost"):
        selective_utility([0.1], [1], 0.5, cost=-1)
