"""Data mixtures [85]: the law found back, its gradient, the projection's identities, and a selection whose answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import UsageError
from outthink.laws.methods.mixtures import MixtureLaw, Sources, fit_mixture_law, onto_simplex, project, select_mixture

PILOTS = np.random.default_rng(0).dirichlet(np.ones(2), size=14)


def sources() -> Sources:
    rng = np.random.default_rng(1)
    target = rng.normal(size=(40, 2))
    near, far = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + 3.0
    return Sources([near, far], [np.zeros(30), np.zeros(30)], target, np.zeros(40), label_weight=1.0, regularisation=0.1)


@given(st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=8))
def test_the_projection_onto_the_simplex_is_the_nearest_mixture(values: list[float]):
    point = np.array(values)
    p = onto_simplex(point)
    assert p.min() >= 0.0
    assert p.sum() == pytest.approx(1.0)
    rng = np.random.default_rng(0)
    others = rng.dirichlet(np.ones(point.size), size=50)
    assert np.all(((others - point) ** 2).sum(axis=1) >= ((p - point) ** 2).sum() - 1e-9)


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(2.0, 50.0))
def test_the_extrapolation_returns_the_pilots_and_a_line_is_exact(first: float, second: float, ratio: float):
    low, high = (100.0, first), (100.0 * ratio, second)
    for space in ("linear", "log"):
        assert float(project(low[0], low, high, space=space)) == pytest.approx(first)
        assert float(project(high[0], low, high, space=space)) == pytest.approx(second)
    middle = float(project(100.0 * ratio**0.5, low, high))
    assert middle == pytest.approx((first + second) / 2)


def test_a_power_law_is_exact_in_the_log_space_only():
    low, high = ((n, 5.0 * n**-0.3) for n in (1000.0, 1500.0))
    assert float(project(1e4, low, high, space="log")) == pytest.approx(5.0 * 1e4**-0.3)
    assert float(project(1e4, low, high)) == pytest.approx(0.2201, abs=5e-5)
    with pytest.raises(UsageError, match="0 < N0 < N1"):
        project(10.0, high, low)


def test_performance_of_the_law_gives_its_coefficients():
    rng = np.random.default_rng(2)
    truth = MixtureLaw(rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), 0.0, 0)
    mixtures, distances = rng.dirichlet(np.ones(3), size=30), rng.uniform(0.5, 3.0, size=30)
    fitted = fit_mixture_law(mixtures, distances, truth(mixtures, distances))
    assert fitted.by_distance == pytest.approx(truth.by_distance, abs=1e-8)
    assert fitted.by_share == pytest.approx(truth.by_share, abs=1e-8)


def test_two_sources_have_six_free_coefficients_and_predictions_all_the_same():
    truth = MixtureLaw(np.array([[-0.2, 0.05], [-0.1, 0.02]]), np.array([[0.9, 0.1], [0.7, -0.1]]), 0.0, 0)
    distances = np.random.default_rng(2).uniform(0.5, 3.0, size=len(PILOTS))
    fitted = fit_mixture_law(PILOTS, distances, truth(PILOTS, distances))
    assert float(fitted([0.3, 0.7], 1.5)) == pytest.approx(float(truth([0.3, 0.7], 1.5)))
    assert fitted.residual_sd == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(UsageError, match="do not fix"):
        fit_mixture_law(PILOTS[:5], distances[:5], np.ones(5))


def test_the_gradient_is_that_of_the_law_along_the_simplex():
    law = MixtureLaw(np.array([[-0.2, 0.05], [-0.1, 0.02]]), np.array([[0.9, 0.1], [0.7, -0.1]]), 0.0, 0)
    data, p = sources(), np.array([0.4, 0.6])
    distance, slope = data.distance(p)
    gradient = law.gradient(p, distance, slope)
    step = np.array([1e-3, -1e-3])
    up, down = (float(law(p + sign * step, data.distance(p + sign * step)[0])) for sign in (1, -1))
    assert (up - down) / 2e-3 == pytest.approx(gradient[0] - gradient[1], rel=1e-3)


def test_a_mixture_of_the_validation_set_itself_is_at_distance_0():
    data = sources()
    own = Sources([data.target, data.features[1]], [np.zeros(40), np.zeros(30)], data.target, np.zeros(40), label_weight=1.0, regularisation=0.1)
    assert own.distance([1.0, 0.0])[0] == pytest.approx(0.0, abs=1e-3)
    assert own.distance([0.5, 0.5])[0] > 0.5


def test_where_only_distance_counts_the_near_source_is_selected():
    law = MixtureLaw(np.array([[-0.1, 0.0], [-0.1, 0.0]]), np.array([[0.9, 0.0], [0.9, 0.0]]), 0.0, 0)
    chosen = select_mixture(sources(), (100.0, law), (200.0, law), 1000.0)
    assert chosen.mixture[0] > 0.9
    assert chosen.projected > float(law([0.5, 0.5], sources().distance([0.5, 0.5])[0]))


def test_no_mixture_is_refused():
    with pytest.raises(UsageError, match="add up to 1"):
        sources().distance([0.5, 0.6])
    with pytest.raises(UsageError, match="each of the 2 sources"):
        sources().distance([1.0])
