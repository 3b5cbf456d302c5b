"""Shapes of curves: invariances, and no verdict from noise."""

import numpy as np
import pytest

from outthink.core.errors import DataError
from outthink.laws.methods.trend import trend

SIZES = np.geomspace(1e8, 1e11, 6)


def scores(accuracy, items=400, seed=0):
    common = np.random.default_rng(seed).random(items)
    return (common < np.array(accuracy)[:, None]).astype(float)


def test_order_of_models_and_of_items_does_not_matter_and_turning_scores_over_turns_the_shape():
    table, rng = scores((0.6, 0.5, 0.4, 0.42, 0.55, 0.7)), np.random.default_rng(1)
    found = trend(SIZES, table)
    order = rng.permutation(6)
    assert trend(SIZES[order], table[order][:, rng.permutation(400)]).shape == found.shape == "U"
    assert found.turn == SIZES[2]
    assert found.sizes == (SIZES[0], SIZES[-1])
    assert trend(SIZES, 1 - table).shape == "inverted U"
    assert trend(SIZES, scores((0.3, 0.4, 0.5, 0.55, 0.6, 0.65))).shape == "rising"
    assert np.isnan(trend(SIZES, scores((0.3, 0.4, 0.5, 0.55, 0.6, 0.65))).turn)


def test_a_fall_within_noise_is_flat():
    rng = np.random.default_rng(0)
    calls = [trend(SIZES, (rng.random((6, 60)) < np.linspace(0.5, 0.49, 6)[:, None]).astype(float), draws=1).shape for _ in range(100)]
    assert calls.count("flat") > 90


def test_a_sure_shape_has_a_sure_probability_and_a_doubtful_one_has_not():
    assert trend(SIZES, scores((0.7, 0.6, 0.5, 0.4, 0.3, 0.2))).probabilities["falling"] == 1.0
    doubtful = trend(SIZES, scores((0.50, 0.50, 0.49, 0.49, 0.48, 0.48), items=150))
    assert max(doubtful.probabilities.values()) < 1.0
    assert sum(doubtful.probabilities.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("sizes", "table"),
    [(SIZES[:2], np.ones((2, 5))), (SIZES, np.ones(6)), (SIZES, np.full((6, 5), np.nan)), (np.zeros(6), np.ones((6, 5))), (SIZES, np.ones((6, 1)))],
)
def test_too_little_is_refused(sizes, table):
    with pytest.raises(DataError):
        trend(sizes, table)
