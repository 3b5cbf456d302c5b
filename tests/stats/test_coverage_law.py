"""The coverage law [113]: exact recovery, points that cannot be used."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.stats.coverage_law import CoverageLaw, fit_coverage_law


@given(a=st.floats(0.2, 8.0), b=st.floats(0.05, 0.6))
def test_a_curve_that_follows_the_law_gives_its_parameters(a: float, b: float):
    k = np.array([1, 3, 10, 30, 100])
    fitted = fit_coverage_law(k, CoverageLaw(a, b)(k))
    assert fitted.a == pytest.approx(a, rel=1e-6)
    assert fitted.b == pytest.approx(b, rel=1e-6)


def test_points_at_0_and_1_are_left_out():
    law = CoverageLaw(2.0, 0.3)
    k = np.array([1, 10, 100, 1000])
    fitted = fit_coverage_law([*k, 5, 10**6], [*law(k), 0.0, 1.0])
    assert fitted.b == pytest.approx(0.3)
    with pytest.raises(ValueError, match="two different k"):
        fit_coverage_law([1, 2, 3], [0.0, 0.5, 1.0])
    with pytest.raises(ValueError, match="one length"):
        fit_coverage_law([1, 2], [0.5])
