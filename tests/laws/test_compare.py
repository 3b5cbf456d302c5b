"""The verdict follows unseen rows: the true law wins when it can be told apart, and it is undecided when it cannot."""

from __future__ import annotations

import math

import numpy as np
import pytest

from outthink.core.errors import UsageError
from outthink.laws.compare import compare, information, judged
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


def test_one_false_claim_in_twenty_also_over_few_runs() -> None:
    # squared errors of two laws that are equally good, the better one taken for the best: the interval alone would claim a difference 13% of the time
    rng = np.random.default_rng(0)
    claims, trials = 0, 600
    for trial in range(trials):
        errors = 0.7 * rng.normal(size=8) + math.sqrt(1.0 - 0.7**2) * rng.normal(size=(2, 8))
        best, other = sorted(errors**2, key=lambda squares: float(squares.mean()))
        claims += judged(other - best, float(best.mean()), 1, draws=500, seed=trial)[-1] == "worse"
    assert 0.01 < claims / trials < 0.05 + 3.0 * math.sqrt(0.05 * 0.95 / trials)


def test_checkpoints_of_a_held_out_run_are_not_fitted() -> None:
    rng = np.random.default_rng(0)
    size, share = np.repeat(np.geomspace(1e7, 1e9, 12), 6), np.tile(np.linspace(1.0, 20.0, 6), 12)
    loss = (1.7 + 400.0 * size**-0.34 + 4000.0 * (size * share) ** -0.36) * np.exp(0.01 * np.repeat(rng.normal(size=12), 6))
    runs = np.array([f"run {row // 6}" for row in range(72)])
    table = Table({"parameters": size, "tokens": size * share, "loss": loss}, {"run": runs})
    found = compare(["chinchilla", "chinchilla-tied"], table, cluster="run")
    (fold,) = found.rows[0].extrapolation.folds
    held = set(runs[fold.rows])
    assert held == {"run 9", "run 10", "run 11"}
    assert fold.train == 54
    assert found.clusters == 3


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
