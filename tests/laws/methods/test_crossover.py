"""Crossovers: symmetry, verdicts, and the refusal to pair what does not pair."""

import numpy as np
import pytest

from outthink.core.errors import UsageError
from outthink.laws.fit import fit
from outthink.laws.methods.crossover import crossover
from outthink.laws.objective import Objective
from outthink.laws.table import table_of

X = np.repeat(np.geomspace(1e17, 1e20, 6), 3)


def fitted(loss, seed=0, noise=0.001):
    rng = np.random.default_rng(seed)
    return fit("power-floor", table_of({"x": X, "loss": loss * np.exp(noise * rng.standard_normal(len(X)))}), objective=Objective(loss="squared"))


@pytest.fixture(scope="module")
def crossing():
    first = 2.0 + 2e3 * X**-0.21
    place = 3e20
    scale = (2.0 + 2e3 * place**-0.21 - 1.8) * place**0.12
    return fitted(first), fitted(1.8 + scale * X**-0.12), place


def test_a_crossing_beyond_the_data_is_found_from_both_sides(crossing):
    first, second, place = crossing
    found = crossover(first, second, replicates=200)
    assert found.verdict == "crossover"
    assert found.interval[0] < place < found.interval[1]
    assert found.place == pytest.approx(place, rel=0.5)
    assert found.first_ahead == 0.0
    other = crossover(second, first, replicates=200)
    assert other.place == pytest.approx(found.place)
    assert other.first_ahead == 1.0


def test_a_law_that_is_better_throughout_wins_on_its_side():
    better, worse = fitted(2.0 + 2e3 * X**-0.21), fitted(2.2 + 2.2e3 * X**-0.21)
    assert crossover(better, worse, replicates=100, decades=1).verdict == "first"
    assert crossover(worse, better, replicates=100, decades=1).verdict == "second"


def test_two_samples_of_one_law_are_undecided():
    loss = 2.0 + 2e3 * X**-0.21
    assert crossover(fitted(loss, seed=1, noise=0.01), fitted(loss, seed=2, noise=0.01), replicates=100).verdict == "undecided"


def test_laws_that_do_not_pair_are_refused():
    loss = 2.0 + 2e3 * X**-0.21
    whole = fitted(loss)
    part = fit("power-floor", table_of({"x": X[:-1], "loss": loss[:-1]}))
    with pytest.raises(UsageError, match="18 rows and the second 17"):
        crossover(whole, part)
    sizes, tokens = np.repeat([1e7, 1e8, 1e9], 6), np.tile(np.geomspace(1e9, 1e11, 6), 3)
    two = fit("chinchilla", table_of({"parameters": sizes, "tokens": tokens, "loss": 1.7 + 400 * sizes**-0.34 + 400 * tokens**-0.28}))
    with pytest.raises(UsageError, match="one resource"):
        crossover(two, two)
