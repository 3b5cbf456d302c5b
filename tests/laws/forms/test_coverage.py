"""The coverage law as a registered law: the general fit is the estimators' own straight line."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outthink.laws.fit import fit
from outthink.laws.form import form
from outthink.laws.objective import Objective
from outthink.laws.table import table_of
from outthink.stats.coverage_law import CoverageLaw, fit_coverage_law


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_least_squares_on_the_double_logarithm_is_the_straight_line(seed: int):
    rng = np.random.default_rng(seed)
    k = np.array([1.0, 3, 10, 30, 100, 300])
    coverage = np.clip(CoverageLaw(rng.uniform(1, 6), rng.uniform(0.1, 0.5))(k) * rng.uniform(0.9, 1.1, size=k.size), 0.001, 0.999)
    line = fit_coverage_law(k, coverage)
    fitted = fit("coverage", table_of({"k": k, "coverage": coverage}), objective=Objective(scale="loglog", loss="squared"))
    assert fitted.values["b"] == pytest.approx(line.b, abs=1e-5)
    assert fitted.values["a"] == pytest.approx(line.a, rel=1e-5)


def test_the_class_is_the_one_of_stats():
    assert form("coverage").law is CoverageLaw
