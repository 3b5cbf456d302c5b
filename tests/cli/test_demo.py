"""`outthink demo` with the real default model: what the README promises of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from outthink.cli.app import run
from outthink.models import store
from outthink.problems.sets import load


@pytest.mark.slow
@pytest.mark.skipif(store.find(store.DEFAULT) is None, reason="the default model is not here: outthink models get")
def test_the_demo_votes_from_one_pool_and_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("xllamacpp", reason="the extra 'local' is not installed")
    folder = str(tmp_path / "demo")
    demo = ["demo", "--problems", "3", "--name", folder, "--quiet"]
    assert run(demo) == 0
    first = capsys.readouterr().out
    assert re.search(r"one sample is right for [\d.]+% of the problems, the majority vote of 16 for [\d.]+%: [+-][\d.]+ points \[", first)
    assert "Vega" in (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
    assert run(["report", folder, "--json"]) == 0
    rows = {(row["family"], row["samples"]): row for row in json.loads(capsys.readouterr().out)["rows"]}
    # one pool: 16 samples were drawn for the vote of 16, and nothing for what is a part of them
    assert rows["majority_vote", 16]["calls"] == 16
    assert sum(row["paid_completion_tokens"] for row in rows.values()) < 1.5 * rows["majority_vote", 16]["completion_tokens"]
    assert run(demo) == 0
    assert "one sample is right" in capsys.readouterr().out


@pytest.mark.parametrize("seed", range(5))
def test_there_are_as_many_products_as_the_demo_allows(seed: int) -> None:
    assert len(load(f"arithmetic(n=75, seed={seed}, digits=1, ops='*')").problems) == 75
