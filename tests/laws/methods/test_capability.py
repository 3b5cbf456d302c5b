import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import UsageError
from outthink.laws.methods.capability import CapabilityLink, choose_families, fit_capabilities, fit_family_lines, fit_link
from outthink.laws.table import table_of

NAMES = ["a", "b", "c", "d"]


def scores(rows):
    return table_of({name: np.asarray(rows)[:, place] for place, name in enumerate(NAMES)})


def rank_one(models, seed=0):
    rng = np.random.default_rng(seed)
    return 0.5 + np.outer(rng.uniform(-0.4, 0.4, models), [0.9, 0.5, 0.3, 0.7])


def test_one_ability_is_one_component_and_a_gap_is_filled_exactly():
    rows = rank_one(20)
    full = fit_capabilities(scores(rows), NAMES, components=2)
    assert full.explained[0] == pytest.approx(1.0)
    gaps = rows.copy()
    gaps[3, 1] = gaps[7, 2] = math.nan
    table = scores(gaps)
    fitted = fit_capabilities(table, NAMES, components=1)
    np.testing.assert_allclose(fitted.filled(table), rows, atol=1e-5)


def test_components_are_of_scores_that_are_not_standardised():
    rng = np.random.default_rng(1)
    rows = np.clip(0.5 + rng.normal(0.0, [0.2, 0.02, 0.02, 0.02], (200, 4)), 0, 1)
    fitted = fit_capabilities(scores(rows), NAMES, components=1)
    # standardised, four independent columns would share the first component
    assert fitted.components[0, 0] > 0.99
    assert fitted.explained[0] > 0.9


def test_test_models_are_measured_with_what_training_models_showed():
    rows = rank_one(20)
    train, new = scores(rows[:12]), scores(rows[12:])
    fitted = fit_capabilities(train, NAMES, components=1)
    np.testing.assert_allclose(fitted.of(new), (rows[12:] - rows[:12].mean(axis=0)) @ fitted.components.T, atol=1e-12)
    direction = np.array([0.9, 0.5, 0.3, 0.7])
    np.testing.assert_allclose(fitted.components[0], direction / np.linalg.norm(direction), atol=1e-9)


def test_logarithms_change_the_slope_by_ln_10_and_nothing_else():
    flops = np.array([1e20, 1e21, 1e22, 1e23, 3e22])
    capability = 0.3 * np.log10(flops) - 6 + np.array([0, 0, 0.1, 0, 0])
    ours = fit_family_lines(capability, flops, ["x"] * 5)["x"]
    theirs = fit_family_lines(capability, flops, ["x"] * 5, as_published=True)["x"]
    assert ours.slope / theirs.slope == pytest.approx(math.log(10.0))
    assert ours.r2 == pytest.approx(theirs.r2)
    np.testing.assert_allclose(ours.equivalent_flops(0.4), theirs.equivalent_flops(0.4))
    np.testing.assert_allclose(ours(ours.equivalent_flops([0.1, 0.5])), [0.1, 0.5])


def test_families_of_one_model_or_of_unknown_compute_have_no_line():
    lines = fit_family_lines([0.1, 0.2, 0.3, 0.4, 0.5], [1e20, 1e21, math.nan, 1e22, 1e22], ["x", "x", "y", "z", "z"])
    assert list(lines) == ["x"]
    assert lines["x"].r2 == pytest.approx(1.0)


def test_the_link_is_recovered():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(60, 2))
    truth = CapabilityLink(np.array([2.0, -1.0]), 0.5, 0.12)
    found = fit_link(features, truth(features))
    np.testing.assert_allclose([*found.weights, found.intercept, found.floor], [2.0, -1.0, 0.5, 0.12], atol=1e-5)


def test_no_neighbour_of_the_link_fits_better():
    rng = np.random.default_rng(5)
    features = rng.normal(size=(50, 1))
    observed = CapabilityLink(np.array([2.0]), 0.3, 0.1)(features) + rng.normal(0.0, 0.05, 50)
    found = fit_link(features, observed)
    assert 0.0 < found.floor < 0.2

    def error(weight, intercept, floor):
        return float(((CapabilityLink(np.array([weight]), intercept, floor)(features) - observed) ** 2).sum())

    best = error(found.weights[0], found.intercept, found.floor)
    for step in (1e-3, -1e-3):
        assert best <= error(found.weights[0] + step, found.intercept, found.floor)
        assert best <= error(found.weights[0], found.intercept + step, found.floor)
        assert best <= error(found.weights[0], found.intercept, found.floor + step)


def test_the_floor_keeps_its_bound():
    features = np.linspace(-4, 4, 30)[:, None]
    assert fit_link(features, CapabilityLink(np.array([2.0]), 0.0, 0.5)(features)).floor <= 0.2


@given(st.floats(0.1, 50.0), st.floats(-30.0, 30.0))
def test_units_of_a_feature_do_not_matter(scale, shift):
    features = np.linspace(-2, 2, 25)[:, None]
    observed = CapabilityLink(np.array([1.5]), -0.5, 0.05)(features) + 0.02 * np.sin(17 * features[:, 0])
    np.testing.assert_allclose(
        fit_link(features * scale + shift, observed)(features * scale + shift), fit_link(features, observed)(features), atol=1e-5
    )


def test_the_chosen_set_is_the_best_of_all():
    rng = np.random.default_rng(3)
    points = rng.normal(size=(24, 2))
    families = np.repeat([f"f{number}" for number in range(8)], 3)
    chosen = choose_families(points, families, most_models=9)
    gram = points.T @ points

    def objective(names):
        some = points[np.isin(families, names)]
        return float(np.trace(gram @ np.linalg.inv(some.T @ some)))

    assert chosen.objective == pytest.approx(objective(chosen.families))
    best = min(objective(names) for size in (1, 2, 3) for names in itertools.combinations(np.unique(families), size))
    assert chosen.objective == pytest.approx(best)
    assert choose_families(points, families, most_models=24).objective == pytest.approx(2.0)


def test_errors_name_what_is_wrong():
    rows = rank_one(6)
    rows[:, 2] = 0.5
    with pytest.raises(UsageError, match="'c' has no spread"):
        fit_capabilities(scores(rows), NAMES)
    with pytest.raises(UsageError, match="components"):
        fit_capabilities(scores(rank_one(6)), NAMES, components=5)
    with pytest.raises(UsageError, match="2 models do not determine"):
        fit_link([[1.0], [2.0]], [0.1, 0.2])
    with pytest.raises(UsageError, match="raise most_models"):
        choose_families(np.eye(3), ["a", "b", "c"], most_models=2)
