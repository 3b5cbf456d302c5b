import numpy as np
import pytest

from outthink.stats import knockout_failure_bound, knockout_success, match_win_probability


@pytest.mark.parametrize(
    ("p_gen", "p_comp", "n", "k", "expected"),
    [
        (0.3, 0.7, 8, 1, 0.578),
        (0.3, 0.7, 64, 1, 0.836),
        (0.3, 0.7, 64, 5, 0.984),
        (0.1, 0.6, 64, 5, 0.452),
        (0.1, 0.6, 64, 41, 0.947),
        (0.3, 0.45, 64, 5, 0.116),
    ],
)
def test_values_of_the_law(p_gen, p_comp, n, k, expected):
    assert knockout_success(p_gen, p_comp, n, k) == pytest.approx(expected, abs=6e-4)


def test_a_simulated_knockout_agrees():
    rng, runs, n, k = np.random.default_rng(0), 20_000, 8, 4
    right = rng.random((runs, n)) < 0.3
    while right.shape[1] > 1:
        a, b = right[:, ::2], right[:, 1::2]
        wins = rng.binomial(k, 0.7, a.shape) + rng.random(a.shape) - 0.5 > k / 2  # a draw is a fair coin
        right = np.where(a == b, a, wins)
    expected = knockout_success(0.3, 0.7, n, k)
    assert right.mean() == pytest.approx(expected, abs=3 * np.sqrt(expected * (1 - expected) / runs))


def test_limits_and_the_bound():
    assert knockout_success(0.3, 1.0, 16, 1) == pytest.approx(1 - 0.7**16)
    assert knockout_success(0.3, 0.5, 16, 4) == pytest.approx(0.3)
    assert knockout_success(0.3, 0.0, 2, 3) == pytest.approx(0.09)
    assert match_win_probability(0.7, 2) == pytest.approx(0.7)  # a second comparison with fair draws buys nothing
    for p_comp in (0.6, 0.8, 0.95):
        for k in (1, 8, 64):
            assert 1 - knockout_success(0.4, p_comp, 16, k) <= knockout_failure_bound(0.4, p_comp, 16, k) + 1e-12
    assert knockout_failure_bound(0.3, 0.7, 64, 5) > 1
    assert knockout_failure_bound(0.4, 0.8, 8, 16) == pytest.approx(0.1852, abs=1e-4)  # [72], simulated failure .0173
    with pytest.raises(ValueError, match="power of two"):
        knockout_success(0.3, 0.7, 6, 1)
    with pytest.raises(ValueError, match="1/2"):
        knockout_failure_bound(0.3, 0.5, 8, 1)
