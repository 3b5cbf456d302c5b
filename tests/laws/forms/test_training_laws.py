"""Limits and identities of the laws of loss by size and data: Chinchilla and its kin, repeated data, breaks, learning rate and batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.laws.forms.broken import Broken, softplus
from outthink.laws.forms.chinchilla import Chinchilla, ChinchillaTied, Kaplan
from outthink.laws.forms.data_constrained import PUBLISHED, DataConstrained
from outthink.laws.forms.hyperparameters import BatchSize, LearningRate
from outthink.laws.forms.power import PowerFloor, PowerShifted

N, D = np.array([1e7, 1e9, 1e11]), np.array([1e9, 1e11, 1e12])


def test_chinchilla_prints_its_papers_loss() -> None:
    """Hoffmann et al.'s coefficients at Chinchilla's own 70B and 1.4T tokens: 1.69 + .083 + .163."""
    assert Chinchilla(A=406.4, B=410.7, E=1.69, alpha=0.34, beta=0.28)(np.array(7e10), np.array(1.4e12)) == pytest.approx(1.937, abs=1e-3)


def test_kins_agree_where_they_should() -> None:
    np.testing.assert_allclose(ChinchillaTied(400.0, 2000.0, 1.8, 0.35)(N, D), Chinchilla(400.0, 2000.0, 1.8, 0.35, 0.35)(N, D), rtol=1e-14)
    plentiful = Kaplan(A=8.8e13, B=5.4e13, E=0.0, alpha=0.076, beta=0.103)(N, np.full(3, 1e30))
    np.testing.assert_allclose(plentiful, (8.8e13 / N) ** 0.076, rtol=1e-3)  # endless data: the law of size alone
    np.testing.assert_allclose(Kaplan(8.8e13, 5.4e13, 0.5, 0.1, 0.1)(N, D), 0.5 + (8.8e13 / N + 5.4e13 / D) ** 0.1, rtol=1e-12)


PUBLISHED_LAW = DataConstrained(**PUBLISHED)


def test_one_epoch_of_enough_data_is_the_tied_law() -> None:
    tokens = N * 50.0
    tied = ChinchillaTied(PUBLISHED["A"], PUBLISHED["B"], PUBLISHED["E"], PUBLISHED["alpha"])
    np.testing.assert_allclose(PUBLISHED_LAW(N, tokens, tokens), tied(N, tokens), rtol=1e-12)


def test_repeated_tokens_lose_their_worth_as_published() -> None:
    """Four epochs are worth 3.73 fresh ones and sixteen 10.58 (equation 5 by hand); none is worth more than 16.39."""
    size, unique = np.array(1e8), np.array(1e10)
    tied = ChinchillaTied(PUBLISHED["A"], PUBLISHED["B"], PUBLISHED["E"], PUBLISHED["alpha"])
    for epochs, worth in ((4, 3.73), (16, 10.58), (1e6, 16.3878)):
        assert PUBLISHED_LAW(size, unique * epochs, unique) == pytest.approx(tied(size, unique * worth), rel=2e-4)


def test_the_size_that_suits_the_data_is_the_published_share() -> None:
    """U_N = 0.051 U_D (equation 17): up to there parameters count in full, beyond they count less."""
    unique = np.array(1e9)
    tied = ChinchillaTied(PUBLISHED["A"], PUBLISHED["B"], PUBLISHED["E"], PUBLISHED["alpha"])
    below, above = np.array(0.050e9), np.array(0.2e9)
    assert PUBLISHED_LAW(below, unique, unique) == pytest.approx(tied(below, unique), rel=1e-12)
    assert PUBLISHED_LAW(above, unique, unique) > tied(above, unique) * 1.001


def test_a_break_without_change_is_none_and_slopes_are_as_named() -> None:
    x = np.logspace(0, 12, 7)
    np.testing.assert_allclose(Broken(0.3, 5.0, 0.2, 0.0, 1e6, 0.5)(x), PowerFloor(0.3, 5.0, 0.2)(x), rtol=1e-12)
    law = Broken(0.0, 5.0, 0.2, 0.3, 1e6, 0.5)
    slopes = np.log(law(np.array([2.0, 2e12])) / law(np.array([1.0, 1e12]))) / np.log(2.0)
    np.testing.assert_allclose(slopes, [-0.2, -0.5], rtol=1e-4)
    assert law(np.array(1e6)) == pytest.approx(5.0 * 1e6**-0.2 * 2.0 ** (-0.3 * 0.5))
    assert np.isfinite(Broken(0.0, 5.0, 0.2, 0.3, 1e6, 1e-3)(x)).all()  # a sharp break must not overflow


@given(st.floats(-700.0, 700.0))
def test_softplus_and_its_complex_step(z: float) -> None:
    assert softplus(np.array(z)) == pytest.approx(np.logaddexp(0.0, z), rel=1e-12)
    step = softplus(np.array(z + 1e-30j)).imag / 1e-30
    assert step == pytest.approx(1.0 / (1.0 + np.exp(-z)) if z > -700 else 0.0, rel=1e-9, abs=1e-200)


def test_a_shift_is_flat_below_and_a_power_above() -> None:
    law = PowerShifted(0.1, 3.0, 1e5, 0.4)
    assert law(np.array(1.0)) == pytest.approx(law(np.array(10.0)), rel=1e-3)
    assert law(np.array(1e12)) == pytest.approx(PowerFloor(0.1, 3.0, 0.4)(np.array(1e12)), rel=1e-4)


def test_the_step_law_at_a_billion() -> None:
    """1B parameters on 100B tokens: 1.79 * 1e9^-.713 * 1e11^.307 = 1.6e-3 and .58 * 1e11^.571 = 1.1M tokens a step."""
    assert LearningRate(1.79, -0.713, 0.307)(np.array(1e9), np.array(1e11)) == pytest.approx(1.64e-3, rel=0.01)
    assert BatchSize(0.58, 0.571)(np.array(1e11)) == pytest.approx(1.11e6, rel=0.01)
