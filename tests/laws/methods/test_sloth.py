from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from outthink.core.errors import UsageError
from outthink.laws.methods.sloth import BETA, Sloth, _Problem, fit_sloth
from outthink.laws.table import table_of

pytest.importorskip("scipy")
NAMES = ["a", "b", "c"]


def made(models=24, seed=0, noise=0.0):
    """A table whose scores follow the law with one skill, and the law."""
    rng = np.random.default_rng(seed)
    families = [f"f{number % 4}" for number in range(models)]
    table = table_of({"tokens": 10 ** rng.uniform(11, 13, models), "parameters": 10 ** rng.uniform(8, 11, models), "family": families})
    law = Sloth(
        tuple(NAMES), ("f0", "f1", "f2", "f3"), "resources", np.array([[0.3], [0.25], [0.02]]), rng.normal(size=(4, 1)),
        np.array([[0.8, 1.2, 0.5]]), np.array([0.1, -0.5, 0.3]), np.array([0.25, 0.0, 0.5]), 0.0,
    )  # fmt: skip
    scores = law(table) + rng.normal(0.0, noise, (models, 3))
    return table.with_columns(**{name: scores[:, place] for place, name in enumerate(NAMES)}), law


FLOORS = {"a": 0.25, "c": 0.5}


def test_predicts_models_that_it_has_not_seen():
    table, law = made()
    seen = np.arange(24) < 14
    found = fit_sloth(table.where(seen), NAMES, skills=1, floors=FLOORS)
    np.testing.assert_allclose(found(table.where(~seen)), law(table.where(~seen)), atol=2e-3)


@pytest.mark.parametrize("fit_floors", [False, True])
def test_the_gradient_is_that_of_the_loss(fit_floors):
    rng = np.random.default_rng(1)
    problem = _Problem(rng.normal(size=(9, 3)), np.arange(9) % 3, 3, rng.uniform(0, 1, (9, 4)), np.array([0.0, 0.1, 0.25, 0.5]), 2, fit_floors)
    point = problem.start(rng)
    _, gradient = problem.value(point)
    step = 1e-7
    numeric = [(problem.value(point + step * unit)[0] - problem.value(point - step * unit)[0]) / (2 * step) for unit in np.eye(point.size)]
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)


def test_skills_by_hand():
    _, law = made()
    table = table_of({"tokens": [2e12], "parameters": [3e9], "family": ["f1"]})
    two, three = np.log(2.0), np.log(3.0)
    assert law.skills(table).item() == pytest.approx(0.3 * two + 0.25 * three + 0.02 * two * three + law.intercepts[1, 0])


def test_the_loss_is_the_smooth_absolute_error():
    table, law = made(noise=0.03)
    found = fit_sloth(table, NAMES, skills=1, floors=FLOORS, starts=2)
    miss = np.abs(found(table) - np.column_stack([table.column(name) for name in NAMES]))
    assert found.loss == pytest.approx(np.where(miss < BETA, miss**2 / (2 * BETA), miss - BETA / 2).mean())
    true_miss = np.abs(law(table) - np.column_stack([table.column(name) for name in NAMES]))
    assert found.loss <= np.where(true_miss < BETA, true_miss**2 / (2 * BETA), true_miss - BETA / 2).mean()


@given(arrays(float, (2, 2), elements=st.floats(-2, 2)).filter(lambda matrix: abs(np.linalg.det(matrix)) > 0.1))
def test_skills_are_fixed_up_to_an_invertible_map(matrix):
    table, law = made()
    two = replace(
        law,
        slopes=np.array([[0.3, 0.1], [0.2, -0.1], [0.0, 0.05]]),
        intercepts=np.arange(8.0).reshape(4, 2) / 8,
        loadings=np.ones((2, 3)) * [[1], [0.5]],
    )
    np.testing.assert_allclose(two.mapped(matrix)(table), two(table), atol=1e-9)
    np.testing.assert_allclose(two.mapped(matrix).skills(table), two.skills(table) @ matrix, atol=1e-9)


def test_whitened_skills_are_uncorrelated_and_predict_the_same():
    table, law = made()
    two = replace(
        law, slopes=np.array([[0.3, 0.1], [0.2, -0.1], [0.0, 0.05]]), intercepts=np.zeros((4, 2)), loadings=np.array([[1.0, 0.2, 0.1], [0.1, 1, 1]])
    )
    white = two.whitened(table)
    np.testing.assert_allclose(white(table), two(table), atol=1e-10)
    skills = white.skills(table)
    np.testing.assert_allclose(skills.mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(skills.T @ skills / len(table), np.eye(2), atol=1e-9)
    np.testing.assert_allclose(white.loadings @ white.loadings.T, np.diag(np.diag(white.loadings @ white.loadings.T)), atol=1e-9)
    assert (white.loadings.sum(axis=1) >= 0).all()


def test_floors_hold_from_below():
    table, _ = made()
    found = fit_sloth(table, NAMES, skills=1, floors=FLOORS, starts=1)
    tiny = table_of({"tokens": [1.0], "parameters": [1e9], "family": ["f0"]})
    assert found(tiny)[0, 2] >= 0.5


def test_only_a_shared_intercept_predicts_a_new_family():
    table, _ = made()
    new = table_of({"tokens": [1e12], "parameters": [1e9], "family": ["unseen"]})
    with pytest.raises(UsageError, match="the family 'unseen'"):
        fit_sloth(table, NAMES, starts=1)(new)
    assert fit_sloth(table, NAMES, intercept="shared", starts=1)(new).shape == (1, 3)


def test_models_without_a_score_are_left_out():
    table, _ = made()
    holes = table.column("a").copy()
    holes[[2, 5]] = np.nan
    found = fit_sloth(table.with_columns(a=holes), NAMES, skills=1, starts=1)
    kept = np.isfinite(holes)
    np.testing.assert_array_equal(found.loadings, fit_sloth(table.where(kept), NAMES, skills=1, starts=1).loadings)


def test_errors_name_what_is_wrong():
    table, _ = made()
    with pytest.raises(UsageError, match="1 to 3 skills, got 4"):
        fit_sloth(table, NAMES, skills=4)
    with pytest.raises(UsageError, match="2 of 2 models"):
        fit_sloth(table.where([0, 1]), NAMES)
