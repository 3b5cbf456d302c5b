from __future__ import annotations

import numpy as np
import pytest

from outthink.laws.minimise import minimise
from outthink.laws.objective import RANGES, Objective, scale_slope, scaled, unscaled


def rosenbrock(points: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = points.T
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2, np.stack([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)], axis=1)


def test_every_start_reaches_the_valley_floor() -> None:
    start = np.random.default_rng(0).uniform(-2, 2, (200, 2))
    found = minimise(rosenbrock, start)
    assert found.converged.all()
    np.testing.assert_allclose(found.points, 1.0, atol=1e-5)


def test_a_start_ends_where_it_would_alone() -> None:
    """Starts share arrays but nothing else: a mixed-up row shows here."""
    start = np.random.default_rng(1).uniform(-2, 2, (20, 2))
    together = minimise(rosenbrock, start)
    for row in range(20):
        alone = minimise(rosenbrock, start[[row]])
        np.testing.assert_array_equal(alone.points[0], together.points[row])
        assert alone.steps[0] == together.steps[row]


def test_each_start_minimises_its_own_function() -> None:
    centre = np.random.default_rng(2).normal(size=(50, 3))

    def bowl(points: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        away = (points - centre[starts]) * [1.0, 1e3, 1e-3]
        return 0.5 * (away * (points - centre[starts])).sum(axis=1), away

    np.testing.assert_allclose(minimise(bowl, np.zeros((50, 3)), tolerance=1e-12).points, centre, atol=1e-4)


def test_a_kink_does_not_stop_it() -> None:
    def median(points: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        away = points[:, :, None] - np.array([0.0, 1.0, 10.0])
        held = np.clip(away, -1e-4, 1e-4)
        return (held * (away - 0.5 * held)).sum(axis=(1, 2)), held.sum(axis=2)

    np.testing.assert_allclose(minimise(median, np.array([[-50.0], [3.0], [99.0]])).points, 1.0, atol=2e-4)


def test_outside_the_domain_is_reported_and_avoided() -> None:
    def logarithm(points: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = points[:, 0]
        with np.errstate(all="ignore"):
            return np.where(x > 0, x - np.log(x), np.inf), (1 - 1 / x)[:, None]

    found = minimise(logarithm, np.array([[-1.0], [1e-3], [30.0]]))
    assert np.isinf(found.values[0])
    assert not found.converged[0]
    np.testing.assert_allclose(found.points[1:], 1.0, atol=1e-4)


def test_a_limit_is_not_convergence() -> None:
    assert not minimise(rosenbrock, np.array([[-1.9, 1.9]]), limit=3).converged[0]


@pytest.mark.parametrize("link", list(RANGES))
def test_scales_have_inverses_and_slopes(link: str) -> None:
    y = np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(unscaled(link, scaled(link, y)), y, rtol=1e-12)  # type: ignore[arg-type]
    difference = (scaled(link, y + 1e-6) - scaled(link, y - 1e-6)) / 2e-6  # type: ignore[arg-type]
    np.testing.assert_allclose(scale_slope(link, y), difference, rtol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("objective", [Objective(), Objective(loss="squared"), Objective(loss="absolute"), Objective(overestimate=10.0)])
def test_losses_slope_and_bowl(objective: Objective) -> None:
    residual = np.linspace(-0.01, 0.01, 41)[:-1] + 1e-5  # no kink within the difference
    loss, slope = objective.losses(residual)
    difference = (objective.losses(residual + 1e-9)[0] - objective.losses(residual - 1e-9)[0]) / 2e-9
    np.testing.assert_allclose(slope, difference, rtol=1e-5, atol=1e-10)
    np.testing.assert_allclose(objective.curvature(residual) * residual, slope, rtol=1e-12)  # the bowl touches the loss
    for r, l0, s, c in zip(residual, loss, slope, objective.curvature(residual), strict=True):
        same_side = residual * r > 0
        assert np.all(l0 + s * (residual - r) + 0.5 * c * (residual - r) ** 2 >= loss - 1e-15, where=same_side)


def test_overestimates_cost_more_and_a_mean_is_the_sum_by_rows() -> None:
    over, under = Objective(overestimate=10.0).value([2.2], [2.0]), Objective(overestimate=10.0).value([2.0**2 / 2.2], [2.0])
    assert over == pytest.approx(10.0 * under)
    assert Objective(reduction="mean").value([2.2, 2.0], [2.0, 2.0]) == pytest.approx(Objective().value([2.2, 2.0], [2.0, 2.0]) / 2)
