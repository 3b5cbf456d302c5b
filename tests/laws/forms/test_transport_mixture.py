"""The two-source mixture law [85] predicts what the many-source law predicts."""

import numpy as np
import pytest

from outthink.laws.fit import fit
from outthink.laws.methods.mixtures import fit_mixture_law
from outthink.laws.objective import Objective
from outthink.laws.table import table_of


def test_it_agrees_with_the_law_of_many_sources():
    rng = np.random.default_rng(0)
    share, distance = rng.uniform(0.0, 1.0, size=20), rng.uniform(0.5, 3.0, size=20)
    performance = 0.8 - 0.1 * distance + 0.05 * share * distance - 0.1 * share**2 + rng.normal(0.0, 0.01, size=20)
    table = table_of({"share": share, "distance": distance, "performance": performance})
    two = fit("transport-mixture", table, objective=Objective(scale="identity", loss="squared"))
    many = fit_mixture_law(np.stack([1.0 - share, share], axis=1), distance, performance)
    assert float(two.predict([0.3], [1.2])[0]) == pytest.approx(float(many([0.7, 0.3], 1.2)), abs=1e-6)
