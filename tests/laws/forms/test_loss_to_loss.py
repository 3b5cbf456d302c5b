"""Laws between losses: known floors make a straight line, whose inverse is the law the other way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import DataError
from outthink.laws.forms.loss_to_loss import LossToLoss, transfer

SOURCE = np.linspace(2.4, 4.5, 12)


@given(st.floats(0.2, 3.0), st.floats(0.5, 1.5), st.floats(0.1, 2.3), st.floats(0.1, 2.5))
def test_the_law_is_found_and_the_way_back_undoes_it(k: float, kappa: float, source_floor: float, target_floor: float) -> None:
    target = LossToLoss(K=k, E_1=target_floor, E_0=source_floor, kappa=kappa)(SOURCE)
    there, back = transfer(SOURCE, target, source_floor, target_floor), transfer(target, SOURCE, target_floor, source_floor)
    assert (there.K, there.kappa) == pytest.approx((k, kappa), rel=1e-6)
    assert there.kappa * back.kappa == pytest.approx(1.0, rel=1e-6)
    np.testing.assert_allclose(back(there(SOURCE)), SOURCE, rtol=1e-6)


def test_pairs_may_come_in_any_order_but_must_stay_pairs() -> None:
    rng = np.random.default_rng(0)
    target = LossToLoss(0.9, 1.0, 1.5, 1.1)(SOURCE) * np.exp(0.05 * rng.standard_normal(SOURCE.size))
    order = rng.permutation(SOURCE.size)
    straight, mixed = transfer(SOURCE, target, 1.5, 1.0), transfer(SOURCE[order], target[order], 1.5, 1.0)
    assert (mixed.K, mixed.kappa) == pytest.approx((straight.K, straight.kappa))
    assert transfer(SOURCE, np.sort(target), 1.5, 1.0).kappa != pytest.approx(straight.kappa, abs=1e-3)  # pairing by rank is another law


def test_a_loss_below_its_floor_is_named() -> None:
    with pytest.raises(DataError, match=r"target loss of 2\.4 lies at or below its floor"):
        transfer(SOURCE, SOURCE, 1.0, 3.0)
    with pytest.raises(DataError, match="two pairs"):
        transfer([2.0], [2.0], 1.0, 1.0)
