"""Identities of the published forms that a fit alone would not notice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outthink.core.errors import DataError
from outthink.laws.forms.dynamical import Dynamical
from outthink.laws.forms.loss_to_loss import transfer
from outthink.laws.forms.rectified import Rectified
from outthink.laws.forms.routed import Routed
from outthink.laws.forms.time_series import TimeSeries, fit_log_line
from outthink.laws.forms.trajectory import Trajectory, fit_trajectory
from outthink.laws.methods.dynamical import Teacher

ROUTED = Routed(a=-0.083, b=-0.118, c=0.0099, d=1.114, start=2.08, most=239.0)
TRAJECTORY = Trajectory(N_c=1.5e14, alpha_N=0.076, S_c=2.6e3, alpha_S=0.67, B_star=1.7e8, alpha_B=0.205)


def test_experts_saturate_from_their_start_to_their_most():
    effective = ROUTED.effective_experts(np.array([1.0, 2.0, 512.0, 1e9]))
    assert effective[0] == pytest.approx(2.08)
    assert np.all(np.diff(effective) > 0)
    assert effective[-1] == pytest.approx(239.0, rel=1e-4)


def test_a_routed_model_has_the_loss_of_its_dense_equivalent():
    sizes, experts = np.array([1e7, 1e8, 1e9]), np.array([8.0, 64.0, 512.0])
    dense = ROUTED.dense_equivalent(sizes, experts)
    assert ROUTED(dense, np.ones(3)) == pytest.approx(ROUTED(sizes, experts))
    assert np.all(dense > sizes)
    at = np.array([ROUTED.cutoff])
    assert ROUTED(at, np.array([1.0])) == pytest.approx(ROUTED(at, np.array([512.0])))


def test_the_rectified_law_is_flat_and_then_a_power():
    law = Rectified(B=1000.0, E=0.5, D_l=800.0, beta=0.7)
    slope = np.diff(np.log(law(np.array([1.0, 2.0, 1e9, 2e9])) - 0.5))[[0, 2]] / np.log(2)
    assert slope[0] == pytest.approx(0.0, abs=0.01)
    assert slope[1] == pytest.approx(-0.7, abs=0.01)


def test_a_transfer_there_and_back_is_the_identity_without_noise():
    source = np.linspace(2.2, 4.0, 20)
    target = 0.8 * (source - 1.9) ** 1.1 + 1.4
    there, back = transfer(source, target, 1.9, 1.4), transfer(target, source, 1.4, 1.9)
    assert there.kappa * back.kappa == pytest.approx(1.0)
    assert back(there(source)) == pytest.approx(source)
    with pytest.raises(DataError, match="at or below its floor"):
        transfer(source, target, 2.5, 1.4)
    with pytest.raises(DataError, match="two pairs"):
        transfer([2.0], [2.0], 1.0, 1.0)


def test_the_unit_point_is_where_the_loss_is_one():
    law = fit_log_line([1e3, 1e5, 1e7], TimeSeries(1e31, 0.026)(np.array([1e3, 1e5, 1e7])))
    assert (law.a, np.log10(law.x0)) == pytest.approx((0.026, 31))
    assert float(law(law.x0)) == pytest.approx(1.0)
    with pytest.raises(DataError, match="above 0"):
        fit_log_line([1.0, 2.0], [0.5, -0.1])


@given(st.floats(6, 10), st.floats(3.5, 6), st.floats(4, 8))
@settings(max_examples=40)
def test_a_trajectory_solves_its_own_equation(size, steps, batch):
    n, s, b = 10.0**size, 10.0**steps, 10.0**batch
    loss = float(TRAJECTORY(np.array([n]), np.array([s]), np.array([b]))[0])
    least_steps = s / (1 + float(TRAJECTORY.critical_batch(np.array(loss))) / b)
    assert loss == pytest.approx((1.5e14 / n) ** 0.076 + (2.6e3 / least_steps) ** 0.67, rel=1e-9)


def test_a_trajectorys_complex_step_is_its_derivative():
    columns = (np.array([1e8]), np.array([2e4]), np.array([5e5]))
    values = np.array([1.5e14, 0.076, 2.6e3, 0.67, 1.7e8, 0.205])
    for place, value in enumerate(values):
        moved = values.astype(complex)
        moved[place] += 1e-30j
        up, down = values.copy(), values.copy()
        up[place] *= 1 + 1e-6
        down[place] *= 1 - 1e-6
        numeric = (Trajectory(*up)(*columns) - Trajectory(*down)(*columns)) / (2e-6 * value)
        assert Trajectory(*moved)(*columns).imag / 1e-30 == pytest.approx(numeric, rel=1e-4)


def test_four_steps_give_the_constants_back_without_noise():
    sizes, batches, steps = np.geomspace(1e6, 6e7, 4), np.geomspace(3e4, 2e6, 5), np.geomspace(1e3, 1e5, 40)
    runs = [(n, b, steps, TRAJECTORY(np.full(40, n), steps, np.full(40, b))) for n in sizes for b in batches]
    found = fit_trajectory((sizes, TRAJECTORY.converged(sizes)), runs)
    assert (found.alpha_N, found.alpha_S, found.alpha_B) == pytest.approx((0.076, 0.67, 0.205), rel=0.03)
    with pytest.raises(DataError, match="three or more batch sizes"):
        fit_trajectory((sizes, TRAJECTORY.converged(sizes)), runs[:2])


def test_the_dynamical_laws_exponents_are_the_theorys() -> None:
    for a, b in ((1.5, 1.25), (2.0, 1.5), (4.0, 0.8)):
        law, theory = Dynamical(1.0, 1.0, a, b), Teacher(task=a, spectrum=b).exponents
        assert [float(exponent) for exponent in law.exponents] == pytest.approx([theory.time, theory.size])
        assert float(law(np.array(1e30), np.array(100.0))) == pytest.approx(100.0**-theory.time)
