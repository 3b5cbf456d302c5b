"""Objective, run labels and order."""

from __future__ import annotations

import numpy as np
import pytest

from outthink.core.errors import DataError, UsageError
from outthink.laws.form import form
from outthink.laws.prepare import objective_of, order_of, with_label
from outthink.laws.table import table_of

TABLE = table_of({"parameters": [1e8, 1e9, 1e9], "tokens": [2e9, 2e9, 4e10], "loss": [3.0, 2.5, 2.2], "cost": [3.0, 1.0, 2.0], "f": ["a", "a", "b"]})


def test_the_usual_objective_is_that_of_the_law() -> None:
    assert (objective_of(form("chinchilla")).scale, objective_of(form("chinchilla")).loss) == ("log", "huber")
    assert (objective_of(form("coverage")).scale, objective_of(form("coverage")).loss) == ("loglog", "squared")
    assert objective_of(form("chinchilla"), loss="absolute", overestimate=10.0).overestimate == 10.0
    with pytest.raises(UsageError, match="no loss 'hubr'"):
        objective_of(form("chinchilla"), loss="hubr")


def test_compute_is_six_n_d_unless_a_column_says_otherwise() -> None:
    order = order_of(form("chinchilla"), TABLE)
    assert np.exp(order[2] - order[0]) == pytest.approx(200.0)
    assert np.argsort(order_of(form("chinchilla"), TABLE, "cost")).tolist() == [1, 2, 0]
    with pytest.raises(DataError, match="'cost' is 0"):
        order_of(form("chinchilla"), TABLE.with_columns(cost=[1.0, 0.0, 2.0]), "cost")


def test_rows_of_one_run_share_all_of_its_columns() -> None:
    labels = with_label(TABLE, ["f", "parameters"], "run").label("run")
    assert len(set(labels.tolist())) == 3
    assert with_label(TABLE, ["f"], "run").label("run").tolist() == ["a", "a", "b"]
    with pytest.raises(UsageError, match="no column 'zork'"):
        with_label(TABLE, ["zork"], "run")
