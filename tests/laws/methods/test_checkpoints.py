import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from outthink.core.errors import UsageError
from outthink.laws.methods.checkpoints import (
    align,
    cluster_abilities,
    distances,
    earliest_stable,
    kendall,
    monotone_fit,
    monotonicity,
    signal_to_noise,
)

scores = arrays(float, st.integers(5, 20), elements=st.floats(0, 1))
PROGRESS = np.linspace(0.0, 1.0, 41)


@given(scores)
def test_the_monotone_fit_is_a_projection(values):
    fitted = monotone_fit(values)
    steps = np.diff(fitted)
    assert (steps >= -1e-12).all() or (steps <= 1e-12).all()
    np.testing.assert_allclose(monotone_fit(fitted), fitted, atol=1e-12)
    assert fitted.mean() == pytest.approx(values.mean())
    # no constant and no line of the same direction is closer
    assert ((values - fitted) ** 2).sum() <= ((values - values.mean()) ** 2).sum() + 1e-12


def test_the_monotone_fit_by_hand():
    np.testing.assert_allclose(monotone_fit([1, 3, 2, 4]), [1, 2.5, 2.5, 4])
    np.testing.assert_allclose(monotone_fit([4, 2, 3, 1]), [4, 2.5, 2.5, 1])


def test_kendall_agrees_with_scipy_with_ties():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(0, 5, 12), rng.integers(0, 5, 12)
        assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b)[0])


def test_monotonicity_and_signal_at_their_limits():
    assert monotonicity(PROGRESS**2) == 1.0
    assert monotonicity(-PROGRESS) == -1.0
    assert math.isnan(monotonicity([0.5] * 5))
    assert signal_to_noise(PROGRESS) == math.inf
    assert signal_to_noise([0.5] * 5) == 0.0


def test_signal_to_noise_is_the_ratio_it_was_made_with():
    rng = np.random.default_rng(1)
    line = np.linspace(0.0, 1.0, 2000)
    assert signal_to_noise(line + rng.normal(0.0, 0.1, 2000)) == pytest.approx(10.0, rel=0.15)


def test_a_ranking_that_comes_apart_again_is_not_stable():
    final = np.arange(5.0)
    wrong = final[::-1]
    table = np.column_stack([wrong, final, wrong, final, final, final])
    found = earliest_stable(table)
    assert found.first == 3
    assert found.agreement[2] == -1.0
    assert earliest_stable(table[:, 3:]).first == 0


@given(scores, st.floats(0.1, 10.0), st.floats(-5.0, 5.0))
def test_scale_and_level_of_a_score_do_not_matter(values, scale, level):
    if np.ptp(values) < 1e-3:
        return
    assert align(values, values * scale + level).distance == pytest.approx(0.0, abs=1e-9)


@given(scores)
def test_no_window_compares_checkpoint_by_checkpoint(values):
    other = np.linspace(0.0, 1.0, values.size)
    found = align(values, other, window=0.0)
    np.testing.assert_array_equal(found.path, np.stack([np.arange(values.size)] * 2, axis=1))
    assert align(values, other, window=1.0).distance <= found.distance + 1e-12


def test_a_shift_within_the_window_is_the_same_shape_and_beyond_it_is_not():
    def step(middle):
        return 1.0 / (1.0 + np.exp(-(PROGRESS - middle) / 0.03))

    near, far = align(step(0.4), step(0.48)), align(step(0.4), step(0.75))
    # the two differ in their standard deviation; checkpoint by checkpoint they are further apart
    assert near.distance < 0.2 < align(step(0.4), step(0.48), window=0.0).distance < far.distance
    assert near.correlation > 0.99
    assert (np.diff(near.path, axis=0) >= 0).all()
    assert near.path[0].tolist() == [0, 0]
    assert near.path[-1].tolist() == [40, 40]


def test_trajectories_with_different_numbers_of_checkpoints_meet():
    assert align(PROGRESS, PROGRESS[::4]).distance < 0.2


def test_abilities_cluster_by_shape():
    pytest.importorskip("scipy")
    early, late = 1 - np.exp(-PROGRESS / 0.1), 1 / (1 + np.exp(-(PROGRESS - 0.75) / 0.05))
    groups = cluster_abilities({"a": early, "b": 3 * late, "c": 0.2 * early + 1, "d": late - 1}, 2)
    assert groups == {"a": 0, "b": 1, "c": 0, "d": 1}


def test_distances_are_symmetric():
    table = distances({"a": PROGRESS, "b": PROGRESS**2, "c": -PROGRESS})
    np.testing.assert_array_equal(table, table.T)
    np.testing.assert_array_equal(np.diag(table), 0.0)
    assert table[0, 1] < table[0, 2]


def test_errors_name_what_is_wrong():
    with pytest.raises(UsageError, match="same score"):
        earliest_stable(np.ones((3, 4)))
    with pytest.raises(UsageError, match="three runs"):
        earliest_stable(np.ones((2, 4)))
    with pytest.raises(UsageError, match="finite"):
        monotone_fit([0.1, math.nan])
    with pytest.raises(UsageError, match="3 groups"):
        cluster_abilities({"a": PROGRESS, "b": PROGRESS}, 3)
