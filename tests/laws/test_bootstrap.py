from __future__ import annotations

import numpy as np
import pytest
from laws.recorded import replication

from outthink.core.errors import UsageError
from outthink.laws.bootstrap import bootstrap
from outthink.laws.fit import Fit, fit
from outthink.laws.objective import Objective
from outthink.laws.profile import profile
from outthink.laws.table import Table, table_of

SQUARES = Objective(loss="squared")


def line(seed: int, rows: int = 60, sd: float = 0.1, runs: int = 0) -> Table:
    """A power law with noise; with `runs`, rows of a run share their noise."""
    rng = np.random.default_rng(seed)
    x = 10.0 ** rng.uniform(1, 6, rows)
    noise = rng.normal(0, sd, rows) if not runs else rng.normal(0, sd, runs)[np.arange(rows) % runs]
    table: dict[str, object] = {"x": x, "loss": 7.0 * x**-0.3 * np.exp(noise)}
    if runs:
        x = np.repeat(10.0 ** rng.uniform(1, 6, runs)[None], rows // runs, axis=0).ravel()
        table = {"x": x, "loss": 7.0 * x**-0.3 * np.exp(noise), "run": [f"run {i % runs}" for i in range(rows)]}
    return table_of(table)  # type: ignore[arg-type]


def test_published_standard_errors_of_the_replication() -> None:
    """4000 replicates of the published analysis; two sets of 4000 differ by about 1% but B's, whose tail is long."""
    found = bootstrap(fit("chinchilla", replication()), replicates=4000, seed=1)
    assert found.failed <= 4
    for name, published in {"A": 124.52, "E": 0.02566, "alpha": 0.01540, "beta": 0.02060, "B": 1293.28}.items():
        assert found.standard_error(name) == pytest.approx(published, rel=0.1), name
    exponent = found.of(lambda p: p["beta"] / (p["alpha"] + p["beta"]))
    assert exponent.std() == pytest.approx(0.020, rel=0.1)
    assert exponent.mean() == pytest.approx(0.513, abs=0.004)


def test_each_replicate_is_the_fit_of_its_rows() -> None:
    """Straight lines have closed forms: the parametric draws must spread as the normal equations say."""
    table = line(0)
    found = bootstrap(fit("power", table, objective=SQUARES), replicates=3000, kind="parametric", seed=2)
    log_x = np.log(table.column("x"))
    expected = found.fit.residual_sd / np.sqrt(((log_x - log_x.mean()) ** 2).sum())
    assert found.standard_error("b") == pytest.approx(expected, rel=0.06)  # 3000 draws: one sigma is 1.3%
    assert found.draws("b").mean() == pytest.approx(found.fit.values["b"], abs=4 * expected / np.sqrt(3000))


def test_rows_of_one_run_are_drawn_together() -> None:
    """60 rows of 12 runs with identical rows hold 12 facts: rows alone would claim sqrt(5) times more."""
    table = line(3, rows=60, runs=12)
    found = fit("power", table, objective=SQUARES)
    alone, together = bootstrap(found, replicates=2000, seed=0), bootstrap(found, replicates=2000, cluster="run", seed=0)
    ratio = together.standard_error("b") / alone.standard_error("b")
    assert ratio == pytest.approx(np.sqrt(5.0), rel=0.25)


def test_pairs_cover_the_truth() -> None:
    """40 tables: even the 92% that pairs of 60 rows give miss 3.2 on average, and 10 or more with probability 1.5e-3."""
    missed = 0
    for seed in range(40):
        low, high = bootstrap(fit("power", line(100 + seed), objective=SQUARES), replicates=200, seed=seed).interval("b")
        missed += not low <= 0.3 <= high
    assert missed <= 9


def test_numbers_tell_runs_apart_too() -> None:
    table = line(3, rows=60, runs=12)
    numbers = table.with_columns(run=[float(name.split()[1]) for name in table.label("run")])
    named, numbered = (bootstrap(fit("power", rows), replicates=200, cluster="run").standard_error("b") for rows in (table, numbers))
    assert numbered == pytest.approx(named, rel=0.3)  # clusters are numbered in another order, so the draws differ


def test_draws_are_the_same_under_a_seed_and_predict_like_laws() -> None:
    found = fit("power-floor", line(5))
    first, second = bootstrap(found, replicates=50, seed=7), bootstrap(found, replicates=50, seed=7)
    np.testing.assert_array_equal(first.values, second.values)
    assert first.predict([10.0, 1e5]).shape == (50 - first.failed, 2)
    np.testing.assert_allclose(first.predict(10.0)[3], found.form.law(*first.values[3])(10.0))
    assert not np.array_equal(first.values, bootstrap(found, replicates=50, seed=8).values)


def test_fixed_parameters_stay_fixed() -> None:
    found = bootstrap(fit("power-floor", line(6), fixed={"floor": 0.01}), replicates=20)
    assert (found.draws("floor") == 0.01).all()


def test_what_cannot_be_drawn_is_said() -> None:
    found = fit("power", line(7, runs=6))
    for options, said in (
        ({"replicates": 1}, "at least 2"),
        ({"kind": "both"}, "no bootstrap"),
        ({"cluster": "family"}, "no column 'family'"),
        ({"cluster": "run", "kind": "parametric"}, "leave the cluster out"),
    ):
        with pytest.raises(UsageError, match=said):
            bootstrap(found, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="without its table"):
        bootstrap(Fit.from_json(found.to_json()))
    with pytest.raises(UsageError, match="no parameter 'c'"):
        bootstrap(found, replicates=3).interval("c")


def test_a_profile_of_squares_is_the_t_interval_almost() -> None:
    table = line(8)
    found = fit("power", table, objective=SQUARES)
    log_x = np.log(table.column("x"))
    error = found.residual_sd / np.sqrt(((log_x - log_x.mean()) ** 2).sum())
    curve = profile(found, "b")
    assert curve.high - found.values["b"] == pytest.approx(1.95996 * error, rel=1e-3)
    assert found.values["b"] - curve.low == pytest.approx(1.95996 * error, rel=1e-3)
    assert curve.values.min() == pytest.approx(found.value, rel=1e-9)
    assert np.all(np.diff(curve.grid) > 0)


def test_a_profile_follows_the_valley_of_a_coefficient() -> None:
    """For a law of squares the profile and the parametric bootstrap are two ways to one interval, lopsided for B."""
    found = fit("chinchilla", replication(), objective=SQUARES)
    curve, draws = profile(found, "B"), bootstrap(found, replicates=2000, kind="parametric")
    low, high = draws.interval("B")
    assert (curve.low, curve.high) == pytest.approx((low, high), rel=0.05)
    assert curve.high - found.values["B"] > 1.1 * (found.values["B"] - curve.low)


def test_a_profile_that_no_data_end_says_so() -> None:
    x = 10.0 ** np.linspace(1, 6, 40)
    y = 7.0 * x**-0.3 * np.exp(np.random.default_rng(4).normal(0, 0.05, 40))
    curve = profile(fit("power-floor", table_of({"x": x, "loss": y}), objective=SQUARES), "floor")
    assert curve.low == 0.0
    assert 0.0 < curve.high < 1.0
    with pytest.raises(UsageError, match="no parameter 'E'"):
        profile(fit("power", line(9)), "E")
