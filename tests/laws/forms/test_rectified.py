"""The rectified law: flat below the pre-learned size, a power law far above it, and the plain law where nothing was learned before."""

from __future__ import annotations

import numpy as np
import pytest

from outthink.laws.forms.power import PowerFloor
from outthink.laws.forms.rectified import Rectified

SAMPLES = np.geomspace(1.0, 1e6, 20)


def test_without_pre_learned_data_it_is_the_plain_law() -> None:
    np.testing.assert_allclose(Rectified(B=8.0, E=0.5, D_l=0.0, beta=0.4)(SAMPLES), PowerFloor(floor=0.5, a=8.0, b=0.4)(SAMPLES), rtol=1e-12)


def test_half_of_what_tuning_removes_is_gone_at_the_bend() -> None:
    law = Rectified(B=300.0, E=0.5, D_l=100.0, beta=0.6)
    bend = np.array([100.0 ** (1 / 0.6)])
    assert law(bend)[0] - 0.5 == pytest.approx(1.5)  # B / D_l is 3
    assert law(np.array([1e-9]))[0] == pytest.approx(3.5)


def test_far_above_the_bend_the_slope_is_the_exponent() -> None:
    law, far = Rectified(B=300.0, E=0.5, D_l=100.0, beta=0.6), np.array([1e12, 1e13])
    assert np.diff(np.log(law(far) - 0.5)) / np.diff(np.log(far)) == pytest.approx(-0.6, abs=1e-4)
