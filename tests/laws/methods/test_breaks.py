"""Breaks: known ones are found, invariances hold, none is found in an exact line or in noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outthink.core.errors import DataError, UsageError
from outthink.laws.methods.breaks import envelope, find_break

X = np.geomspace(1e3, 1e7, 41)


def _broken(at=1e5, before=-0.05, after=-0.2):
    return 3.0 * np.where(at > X, (X / at) ** before, (X / at) ** after)


def test_an_exact_break_is_found_with_its_slopes():
    found = find_break(X, _broken(), seed=1, grid=401)
    assert found.found()
    assert found.at == pytest.approx(1e5, rel=0.02)
    assert (found.before, found.after) == pytest.approx((-0.05, -0.2), abs=2e-3)


def test_an_exact_line_has_no_break_and_keeps_its_slope():
    found = find_break(X, 2.0 * X**-0.1, seed=1)
    assert not found.found()
    assert found.bic_gain < 0
    assert found.slope == pytest.approx(-0.1, abs=1e-12)


@settings(max_examples=20)
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.integers(0, 5))
def test_units_move_the_break_and_nothing_else(times_x, times_y, seed):
    noise = np.exp(0.02 * np.random.default_rng(seed).standard_normal(X.size))
    one = find_break(X, _broken() * noise, seed=0, permutations=99)
    other = find_break(times_x * X, times_y * _broken() * noise, seed=0, permutations=99)
    assert other.at == pytest.approx(times_x * one.at, rel=1e-6)
    assert (other.before, other.after, other.bic_gain) == pytest.approx((one.before, one.after, one.bic_gain), abs=1e-6)
    assert other.p_value == one.p_value


def test_order_of_points_does_not_matter():
    noise = np.exp(0.02 * np.random.default_rng(3).standard_normal(X.size))
    turned = np.random.default_rng(4).permutation(X.size)
    assert find_break(X[turned], (_broken() * noise)[turned], seed=0) == find_break(X, _broken() * noise, seed=0)


def test_false_alarms_are_rare_and_the_p_value_is_even():
    rng = np.random.default_rng(0)
    values = [find_break(X, X**-0.1 * np.exp(0.05 * rng.standard_normal(X.size)), seed=trial, permutations=99) for trial in range(400)]
    tail = np.array([one.p_value for one in values])
    assert abs((tail <= 0.2).mean() - 0.2) < 3 * (0.2 * 0.8 / 400) ** 0.5  # a search that is not repeated gives .6 here
    assert sum(one.found() for one in values) / 400 < 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_the_envelope_keeps_only_what_beats_all_cheaper_points():
    assert envelope([4, 1, 2, 3, 2], [1.0, 3.0, 2.0, 2.5, 2.2]).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("x", "y", "kind", "said"),
    [
        (X[:5], X[:5], UsageError, "at least 8"),
        (X, np.where(X > 1e6, np.nan, 1.0), DataError, "y of point"),
        (X, -X, DataError, "point 1"),
        (np.ones(9), np.ones(9), UsageError, "different x"),
    ],
)
def test_bad_input_is_refused(x, y, kind, said):
    with pytest.raises(kind, match=said):
        find_break(x, y, seed=0)
