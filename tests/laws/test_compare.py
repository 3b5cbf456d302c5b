"""The verdict follows unseen rows: the true law wins when it can be told apart, and it is undecided when it cannot."""

from __future__ import annotations

import math

import numpy as np
import pytest

from outthink.core.errors import UsageError
from outthink.laws.compare import compare, information
from outthink.laws.fit import fit
from outthink.laws.objective import Objective
from outthink.laws.table import Table, table_of


def curve(noise: float, *, floor: float = 2.0, rows: int = 48, seed: int = 0) -> Table:
    """A power law above a floor."""
    x = np.geomspace(1e6, 1e11, rows)
    clean = floor + 300.0 * x**-0.35
    return table_of({"x": x, "loss": clean * np.exp(noise * np.random.default_rng(seed).normal(size=rows))})


def test_a_floor_in_the_data_is_found_by_the_law_that_has_one() -> None:
    found = compare(["power", "power-floor"], curve(0.002))
    assert [row.fit.form.name for row in found.rows] == ["power-floor", "power"]
    assert found.rows[1].verdict == "worse"
    assert found.rows[1].low is not None
    assert found.rows[1].low > 0.0
    assert found.verdict.startswith("power-floor predicts held-out runs better than power")


@pytest.mark.parametrize("seed", [1, 3])
def test_laws_that_coincide_or_differ_by_chance_leave_it_undecided(seed: int) -> None:
    x = np.geomspace(1e6, 1e7, 24)  # a decade of a power law without floor: with seed 1 the fitted floor is 0 and only rounding differs
    table = table_of({"x": x, "loss": 50.0 * x**-0.1 * np.exp(0.05 * np.random.default_rng(seed).normal(size=24))})
    found = compare(["power", "power-floor"], table)
    assert found.rows[1].verdict == "undecided"
    assert found.verdict.startswith("undecided")


def test_rows_of_one_run_are_one_observation() -> None:
    table = curve(0.002, rows=48)
    runs = np.array([f"run {row // 16}" for row in range(48)])  # the held-out quarter lies in one run
    found = compare(["power", "power-floor"], Table(table.columns, {"run": runs}), cluster="run")
    assert found.clusters == 1
    assert found.rows[1].verdict == "undecided"
    assert "too few" in found.verdict
    assert all(row.aic is None for row in compare(["power", "power-floor"], Table(table.columns, {"run": runs}), cluster="run").rows)


def test_information_criteria_are_those_of_a_gaussian_and_absent_for_huber() -> None:
    table = curve(0.01)
    fitted = fit("power", table, objective=Objective(loss="squared"))
    aic, bic = information(fitted)
    residual = fitted.residuals()
    sd = math.sqrt(float(np.mean(residual**2)))
    likelihood = float(np.sum(-0.5 * (residual / sd) ** 2 - math.log(sd) - 0.5 * math.log(2.0 * math.pi)))
    assert aic == pytest.approx(-2.0 * likelihood + 2.0 * 3)  # a, b and the spread
    assert bic == pytest.approx(-2.0 * likelihood + math.log(48) * 3)
    assert information(fit("power", table)) == (None, None)


def test_what_cannot_be_compared_is_told() -> None:
    with pytest.raises(UsageError, match="two different laws"):
        compare(["power"], curve(0.01))
    with pytest.raises(UsageError, match="two different laws"):
        compare(["power", "power"], curve(0.01))
    with pytest.raises(UsageError, match="predicts loss and 'coverage' coverage"):
        compare(["power", "coverage"], curve(0.01))
