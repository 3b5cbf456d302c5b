"""The audit reruns the fit that it says it reruns, and reproduces the exponents of the published runs of [96]."""

from __future__ import annotations

import numpy as np
import pytest

from outthink.core import data
from outthink.core.errors import DataError, UsageError
from outthink.laws.audit import audit, keys_of
from outthink.laws.fit import fit
from outthink.laws.form import form
from outthink.laws.prepare import with_label
from outthink.laws.table import Table, read_table, table_of


def checkpoints(seed: int = 0) -> Table:
    """12 runs of 10 checkpoints; a run's error is its own, so that its checkpoints say the same thing ten times."""
    rng = np.random.default_rng(seed)
    rows = []
    for run, n in enumerate(np.geomspace(1e8, 1e10, 12)):
        off = 0.02 * rng.normal()
        for d in np.geomspace(1e9, 1e11, 10):
            rows.append((run, n, d, (1.7 + 400.0 * n**-0.34 + 2000.0 * d**-0.37) * np.exp(off + 0.0005 * rng.normal())))
    run, n, d, loss = np.array(rows).T
    return with_label(table_of({"id": run, "parameters": n, "tokens": d, "loss": loss}), ["id"], "run")


def test_each_choice_is_the_fit_of_those_rows() -> None:
    table = checkpoints()
    found = audit("chinchilla", table, run="run", replicates=0, subsets={"first runs": ("id", "3")}, instead={"doubled": {"parameters": "tokens"}})
    by_name = {one.name: one for one in found.variations}
    last = table.column("tokens") == table.column("tokens").max()
    assert by_name["last row of each run"].rows == 12
    assert by_name["last row of each run"].failed  # one number of tokens: beta cannot be found, and the row says so
    assert last.sum() == 12
    half = table.where(
        6.0 * table.column("parameters") * table.column("tokens") <= np.median(6.0 * table.column("parameters") * table.column("tokens"))
    )
    assert by_name["lower half of compute"].values["beta"] == pytest.approx(fit("chinchilla", half).values["beta"], rel=1e-6)
    assert by_name["tied exponents"].values["a = beta/(alpha+beta)"] == 0.5
    assert by_name["first runs"].failed  # one size


def test_drawing_rows_makes_intervals_too_narrow_where_checkpoints_repeat_a_run() -> None:
    found = audit("chinchilla", checkpoints(), run="run", replicates=60)
    alpha = next(one for one in found.naive if one.name == "alpha")
    assert alpha.ratio > 1.5  # ten checkpoints a run, all with the run's own error: sqrt(10) = 3.2 at most


def test_outliers_are_left_out_by_the_choice_that_says_so() -> None:
    table = checkpoints()
    loss = table.column("loss").copy()
    loss[[7, 50]] *= 1.5
    found = audit("chinchilla", table.with_columns(loss=loss), replicates=0)
    assert next(one for one in found.variations if one.name == "without 2 outliers").rows == 118


def test_keys_are_exponents() -> None:
    assert list(keys_of(form("chinchilla"))) == ["a = beta/(alpha+beta)", "alpha", "beta"]
    assert "E" not in keys_of(form("kaplan"))
    with pytest.raises(UsageError, match="no row has id = 99"):
        audit("chinchilla", checkpoints(), replicates=0, subsets={"x": ("id", "99")})


def test_published_runs_give_the_published_exponents() -> None:
    """[96]: all 0.760, best learning rate 0.829, learning rate 0.002 alone 0.511; without embeddings E goes to 0."""
    try:
        path = data.recording("laws/misfitting", "scaling_results_last_ckpt_only.csv")
    except DataError as error:
        pytest.skip(str(error))
    table = read_table(path, {"N": "parameters", "D": "tokens"})
    found = audit(
        "chinchilla", with_label(table, ["model", "total_steps"], "size"), group="size", replicates=0,
        subsets={"rate": ("peak_lr", "0.002")}, instead={"bare": {"parameters": "N_no_emb"}},
    )  # fmt: skip
    by_name = {one.name: one for one in found.variations}
    key = found.keys[0]
    assert by_name["as asked"].values[key] == pytest.approx(0.760, abs=1e-3)
    assert by_name["best of each size"].values[key] == pytest.approx(0.829, abs=1e-3)
    assert by_name["rate"].values[key] == pytest.approx(0.511, abs=1e-3)
    assert by_name["bare"].values[key] > 0.9
    assert any("E vanishes" in text for text in by_name["bare"].degenerate)
    assert not by_name["as asked"].degenerate
