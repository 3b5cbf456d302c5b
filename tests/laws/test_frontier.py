"""Compute-optimal sizes: closed form, numbers, and the hull of runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outthink.core.errors import DataError, UsageError
from outthink.laws.forms.chinchilla import Chinchilla
from outthink.laws.frontier import closed_form, exponents, lower_hull, optimum, power_fit


@given(st.floats(0.1, 0.6), st.floats(0.1, 0.6), st.floats(18, 24))
@settings(max_examples=40)
def test_the_numeric_optimum_is_the_closed_form(alpha, beta, log_flops):
    law, flops = Chinchilla(A=400.0, B=400.0 * 10 ** (9 * (beta - alpha)), E=1.7, alpha=alpha, beta=beta), 10.0**log_flops
    found = optimum(law, flops)
    a, b = exponents(alpha, beta)
    best = closed_form(law.A, law.B, alpha, beta)
    assert found.parameters == pytest.approx(float(best.parameters(flops)), rel=1e-4)
    assert found.tokens == pytest.approx(float(best.tokens(flops)), rel=1e-4)
    assert 6 * best.parameters(flops) * best.tokens(flops) == pytest.approx(flops)
    assert found.parameters * found.tokens * 6 == pytest.approx(flops)
    assert a + b == pytest.approx(1.0)
    for moved in (0.9, 1.1):
        assert law(np.array(found.parameters * moved), np.array(found.tokens / moved)) >= found.loss


def test_a_law_without_an_optimum_is_refused():
    with pytest.raises(UsageError, match="edge"):
        optimum(lambda n, d: 2.0 + d**-0.3, 1e20)
    with pytest.raises(UsageError, match="no model"):
        optimum(Chinchilla(400.0, 400.0, 1.7, 0.3, 0.3), 3.0)
    with pytest.raises(UsageError, match="above 0"):
        exponents(0.3, 0.0)
    with pytest.raises(UsageError, match="coefficients"):
        closed_form(0.0, 400.0, 0.3, 0.3)


@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(0.5, 10)), min_size=3, max_size=40, unique=True))
@settings(max_examples=60)
def test_no_run_lies_below_the_hull(points):
    cost, loss = np.array(points).T
    hull = lower_hull(cost, loss)
    assert np.all(np.diff(cost[hull]) >= 0)
    assert np.all(np.diff(loss[hull]) < 0)
    assert loss.min() == loss[hull].min()
    if len(hull) > 1:
        inside = (cost >= cost[hull[0]]) & (cost <= cost[hull[-1]])
        line = np.interp(np.log(cost[inside]), np.log(cost[hull]), np.log(loss[hull]))
        assert np.all(np.log(loss[inside]) >= line - 1e-9)


@pytest.mark.parametrize(("cost", "loss"), [([1, 2], [1, 2]), ([1, 2, 0], [3, 2, 1]), ([1, 2, 3], [3, 2, -1]), ([1, 2, 3], [3, 2, np.nan])])
def test_a_hull_of_bad_runs_is_refused(cost, loss):
    with pytest.raises(DataError):
        lower_hull(cost, loss)


def test_a_power_is_found_and_weights_count_as_repeats():
    x = np.array([1.0, 10.0, 100.0, 1000.0])
    assert power_fit(x, 3 * x**-0.4) == pytest.approx((-0.4, 3.0))
    y = np.array([1.0, 3.0, 2.0, 9.0])
    repeated = power_fit(np.append(x, x[1]), np.append(y, y[1]))
    assert power_fit(x, y, [1, 2, 1, 1]) == pytest.approx(repeated)
    with pytest.raises(DataError, match="two different"):
        power_fit([2.0, 2.0], [1.0, 3.0])
