import numpy as np
import pytest

from outthink.core.errors import UsageError
from outthink.laws.methods.item_response import ItemResponse, fit_item_response
from outthink.stats import coverage

pytest.importorskip("scipy")


def drawn(models=8, problems=40, seed=0):
    rng = np.random.default_rng(seed)
    law = ItemResponse(rng.uniform(0.5, 1.5, (problems, 1)), rng.normal(-1.0, 1.0, problems))
    return np.linspace(-2, 2, models)[:, None], law


def test_coverage_is_the_mean_of_pass_at_k():
    skills, law = drawn()
    chances = law.chances(skills)
    np.testing.assert_allclose(law.coverage(skills, [1, 7]), np.stack([chances.mean(axis=1), (1 - (1 - chances) ** 7).mean(axis=1)], axis=1))
    assert law.coverage(skills, 10**6).max() <= 1.0


def test_coverage_agrees_with_counts_of_samples():
    skills, law = drawn(models=1)
    chances = law.chances(skills)[0]
    counts = np.random.default_rng(1).binomial(20_000, chances)
    np.testing.assert_allclose(coverage(20_000, counts, [1, 10, 100]), law.coverage(skills, [1, 10, 100])[0], atol=0.01)


def test_the_law_is_recovered_from_exact_shares():
    skills, law = drawn()
    found = fit_item_response(skills, law.chances(skills) * 1000, 1000, penalty=0.0)
    np.testing.assert_allclose(found.slopes, law.slopes, atol=1e-3)
    np.testing.assert_allclose(found.offsets, law.offsets, atol=1e-3)


def test_skills_in_another_frame_predict_the_same():
    rng = np.random.default_rng(2)
    skills = rng.normal(size=(10, 2))
    right = rng.binomial(50, 0.4, (10, 6))
    matrix = np.array([[2.0, 1.0], [-0.5, 1.0]])
    one, other = fit_item_response(skills, right, 50, penalty=0.0), fit_item_response(skills @ matrix, right, 50, penalty=0.0)
    np.testing.assert_allclose(one.chances(skills), other.chances(skills @ matrix), atol=1e-4)


def test_the_penalty_keeps_a_problem_that_nobody_solves_finite():
    skills, _ = drawn()
    found = fit_item_response(skills, np.zeros((8, 2)), 100)
    assert np.isfinite(found.offsets).all()
    assert found.chances(skills).max() < 0.2


def test_no_neighbour_fits_better_under_the_penalty():
    skills, _ = drawn(models=6)
    right, penalty = np.array([[0], [1], [0], [3], [4], [2]]), 0.05
    found = fit_item_response(skills, right, 5, penalty=penalty)

    def objective(slope, offset):
        chances = ItemResponse(np.array([[slope]]), np.array([offset])).chances(skills)
        share = right / 5
        return -(share * np.log(chances) + (1 - share) * np.log1p(-chances)).mean() + penalty * (slope**2 + offset**2) / 2

    slope, offset = found.slopes.item(), found.offsets.item()
    for step in (1e-3, -1e-3):
        assert objective(slope, offset) <= objective(slope + step, offset)
        assert objective(slope, offset) <= objective(slope, offset + step)


def test_errors_name_what_is_wrong():
    with pytest.raises(UsageError, match="same models"):
        fit_item_response([[1.0], [2.0]], [[1]], 10)
    with pytest.raises(UsageError, match="between 0 and the samples"):
        fit_item_response([[1.0], [2.0]], [[1], [11]], 10)
