"""The checklist answers what is known, keeps the author's words, and shows what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from outthink.core.errors import DataError, UsageError
from outthink.laws.bootstrap import bootstrap
from outthink.laws.checklist import ITEMS, fill, missing, read_answers
from outthink.laws.extrapolation import extrapolate
from outthink.laws.fit import Fit, fit
from outthink.laws.objective import Objective
from outthink.laws.prepare import with_label
from outthink.laws.table import Table, table_of


def fitted(objective: Objective | None = None) -> tuple[Fit, Table]:
    x = np.geomspace(1e6, 1e9, 12)
    table = with_label(table_of({"x": x, "loss": 30.0 * x**-0.1, "id": np.repeat(np.arange(6), 2)}), ["id"], "run")
    return fit("power", table, objective=objective), table


def test_answers_come_from_the_fit_the_table_or_the_author_and_else_are_missing() -> None:
    found, table = fitted(Objective(loss="huber", delta=0.02, overestimate=10.0))
    answers = {one.item.key: one for one in fill(found, table=table, run="run", given={"tuning": " at every size "})}
    assert list(answers) == [item.key for item in ITEMS]
    assert answers["law_form"].text == found.form.formula
    assert "delta 0.02" in answers["objective"].text
    assert "times 10" in answers["objective"].text
    assert answers["checkpoints"].text.startswith("12 rows are 6 runs")
    assert (answers["tuning"].text, answers["tuning"].origin) == ("at every size", "author")
    assert {"validation", "uncertainty", "training_data"} <= set(missing(tuple(answers.values())))


def test_what_was_done_is_no_longer_missing() -> None:
    found, table = fitted()
    answers = fill(found, table=table, draws=bootstrap(found, replicates=5, cluster="run"), held_out=extrapolate("power", table), run="run")
    by_key = {one.item.key: one for one in answers}
    assert "drawing whole runs (run)" in by_key["uncertainty"].text
    assert "held out (ordered)" in by_key["validation"].text
    assert not {"uncertainty", "validation"} & set(missing(answers))


def test_an_unknown_item_and_a_broken_file_are_told(tmp_path: Path) -> None:
    found, table = fitted()
    with pytest.raises(UsageError, match="Did you mean 'tuning'"):
        fill(found, table=table, given={"tunning": "yes"})
    path = tmp_path / "answers.toml"
    path.write_text('[checklist]\ntuning = "yes"\nsizes = 5\n')
    assert read_answers(path) == {"tuning": "yes", "sizes": "5"}
    path.write_text("tuning = [")
    with pytest.raises(DataError, match="not valid TOML"):
        read_answers(path)
    path.write_text("tuning = [1]")
    with pytest.raises(DataError, match="'tuning' must be text"):
        read_answers(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_answers(tmp_path / "none.toml")
