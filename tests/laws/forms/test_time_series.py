"""The law without a floor: least squares in logs finds it, and losses that have no logarithm are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import DataError
from outthink.laws.forms.time_series import TimeSeries, fit_log_line

SIZES = np.geomspace(1e3, 1e9, 9)


@given(st.floats(12.0, 48.0), st.floats(0.01, 0.15))
def test_a_law_is_found_from_its_points(decades: float, a: float) -> None:
    truth = TimeSeries(10.0**decades, a)
    found = fit_log_line(SIZES, truth(SIZES))
    assert found.a == pytest.approx(a, rel=1e-9)
    np.testing.assert_allclose(found(SIZES * 100), truth(SIZES * 100), rtol=1e-9)


def test_the_loss_is_one_at_x0() -> None:
    assert TimeSeries(1e31, 0.026)(np.array([1e31]))[0] == pytest.approx(1.0)


def test_another_unit_of_size_moves_x0_and_nothing_else() -> None:
    losses = 0.6 * SIZES**-0.02 * np.exp(0.01 * np.sin(np.arange(9.0))) * 3.0
    raw, billions = fit_log_line(SIZES, losses), fit_log_line(SIZES / 1e9, losses)
    assert billions.a == pytest.approx(raw.a)
    assert billions.x0 == pytest.approx(raw.x0 / 1e9, rel=1e-6)


def test_what_has_no_logarithm_or_no_fall_is_refused() -> None:
    with pytest.raises(DataError, match="at point 3; a likelihood below 0"):
        fit_log_line(SIZES, np.where(np.arange(9) == 3, -0.1, 1.0))
    with pytest.raises(DataError, match="does not fall"):
        fit_log_line(SIZES, SIZES**0.1)
    with pytest.raises(DataError, match="two different sizes"):
        fit_log_line([5.0, 5.0], [1.0, 1.0])
