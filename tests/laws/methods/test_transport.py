"""Optimal transport [85]: limits, potentials as gradients, invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outthink.core.errors import UsageError
from outthink.laws.methods.transport import exact_transport, label_cost, sinkhorn, sinkhorn_with_itself, squared_distances


def points(seed: int, count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 2)), rng.normal(size=(count, 2)) + 0.7


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_the_entropic_cost_comes_down_to_the_exact_one(seed: int):
    x, y = points(seed)
    cost, weights = squared_distances(x, y), np.full(20, 0.05)
    exact = exact_transport(cost).value
    assert exact_transport(cost, weights, weights).value == pytest.approx(exact, rel=1e-8)
    values = [sinkhorn(cost, weights, weights, regularisation=level).value for level in (2.0, 0.5, 0.1)]
    assert values[0] > values[1] > values[2] > exact - 1e-6
    # the entropic cost exceeds the exact one by at most the regularisation times log(points)
    assert values[2] - exact < 0.1 * np.log(20)


def test_the_exact_potentials_are_feasible_and_tight():
    x, y = points(1, 8)
    cost, weights = squared_distances(x, y), np.random.default_rng(2).dirichlet(np.ones(8))
    found = exact_transport(cost, weights, np.full(8, 1 / 8))
    assert np.all(found.first[:, None] + found.second[None, :] <= cost + 1e-8)
    assert weights @ found.first + found.second.mean() == pytest.approx(found.value)


def test_a_set_moved_to_itself_and_weights_of_nothing():
    x, _ = points(3)
    cost, weights = squared_distances(x, x), np.full(20, 0.05)
    both = sinkhorn(cost, weights, weights, regularisation=0.2), sinkhorn_with_itself(cost, weights, regularisation=0.2)
    assert both[0].value == pytest.approx(both[1].value, abs=1e-4)
    assert exact_transport(cost).value == pytest.approx(0.0, abs=1e-12)
    # points of weight 0 change nothing, and have a potential all the same
    wider = np.concatenate([x, x + 5.0])
    padded = np.concatenate([weights, np.zeros(20)])
    found = sinkhorn(squared_distances(wider, x), padded, weights, regularisation=0.2)
    assert found.value == pytest.approx(both[0].value, abs=1e-4)
    assert np.all(np.isfinite(found.first))


def test_the_potential_is_the_gradient_by_the_weights():
    x, y = points(4, 10)
    cost, uniform = squared_distances(x, y), np.full(10, 0.1)
    move = np.zeros(10)
    move[0], move[1] = 1e-3, -1e-3
    found = sinkhorn(cost, uniform, uniform, regularisation=0.3, tolerance=1e-8)
    up, down = (sinkhorn(cost, uniform + sign * move, uniform, regularisation=0.3, tolerance=1e-8).value for sign in (1, -1))
    assert (up - down) / 2e-3 == pytest.approx(found.first[0] - found.first[1], rel=1e-3)


def test_a_label_that_differs_costs_more():
    x = np.zeros((2, 3))
    assert label_cost(x, [0, 1], x, [0, 0], label_weight=4.0).tolist() == [[0.0, 0.0], [4.0, 4.0]]


def test_wrong_weights_are_refused():
    cost = np.ones((2, 3))
    with pytest.raises(UsageError, match="add up to 1"):
        sinkhorn(cost, [0.5, 0.6], np.full(3, 1 / 3), regularisation=1.0)
    with pytest.raises(UsageError, match="by the weights"):
        sinkhorn(cost, [1.0], np.full(3, 1 / 3), regularisation=1.0)
    with pytest.raises(UsageError, match="above 0"):
        sinkhorn(cost, [0.5, 0.5], np.full(3, 1 / 3), regularisation=0.0)
    with pytest.raises(UsageError, match="finite"):
        sinkhorn(cost * np.nan, [0.5, 0.5], np.full(3, 1 / 3), regularisation=1.0)
