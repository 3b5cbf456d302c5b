"""What a reader gets, whatever models, servers and terminals do to the text."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest

from outthink.cli.app import run as command
from outthink.evaluate.plan import Plan
from outthink.evaluate.run import run
from outthink.models.scripted import ScriptedModel
from outthink.problems.answers import answer_kind
from outthink.strategies.best_of_n import BestOfN
from outthink.strategies.majority_vote import MajorityVote
from outthink.verifiers.p_true import PTrue
from tests.evaluate.support import numbered


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """A run whose model was cut in the middle of a character."""
    plan = Plan((MajorityVote(n=1),), numbered(2))
    anyio.run(partial(run, plan, ScriptedModel(["It is 7 \ud83d"] * 2), tmp_path / "cut")).close()
    return tmp_path / "cut"


def called(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "outthink", *arguments], capture_output=True, check=True, env={**os.environ, "COLUMNS": "200", **environment}
    )
    return done.stdout.decode()


def test_half_of_a_character_is_shown_and_written_escaped(cut: Path, tmp_path: Path) -> None:
    assert "It is 7 \\ud83d" in called("show", str(cut))
    assert json.loads(called("show", str(cut), "--json"))[0]["text"] == "It is 7 \ud83d"
    assert json.loads(called("report", str(cut), "--json"))["wrong"]["listed"][0]["text"] == "It is 7 \ud83d"
    called("report", str(cut), "--html", str(tmp_path / "r.html"), "--json-file", str(tmp_path / "r.json"))
    assert "It is 7 \\ud83d" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["wrong"]["listed"][0]["text"] == "It is 7 \ud83d"


def test_an_answer_with_half_of_a_character_is_judged_like_any_other() -> None:
    kind = answer_kind("free")
    plain = numbered(1)
    problems = dataclasses.replace(plain, problems=tuple(dataclasses.replace(problem, answer=kind) for problem in plain.problems))
    model = ScriptedModel(["It is 7 \ud83d", "0.9", "Verdict: correct"])
    done = anyio.run(run, Plan((BestOfN(n=1, verifier=PTrue()),), problems), model)
    assert [record.verdict for record in done.records] == ["correct"]


def test_a_terminal_that_knows_ascii_alone_gets_the_report(cut: Path) -> None:
    assert "majority_vote(n=1)" in called("report", str(cut), PYTHONIOENCODING="ascii")


def test_an_error_is_one_line_that_cannot_command_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refused(*given: object, **named: object) -> None:
        from outthink.core.errors import ModelError

        raise ModelError("the server said: down\n  for \x1b[2J repair")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("outthink.models.resolve.open_model", refused)
    assert command(["solve", "x", "-q"]) == 4
    assert capsys.readouterr().err == "outthink: the server said: down for \\x1b[2J repair\n"
