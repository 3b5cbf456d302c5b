"""`outthink run`, `pool build`, `replay`, `report` and `show` where there is nothing to show, or not all: one sentence and an exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outthink.cli.app import run
from outthink.core.completion import Completion, Failure, Usage
from outthink.models.scripted import ScriptedModel

DOWN = Failure("http_500", "the server answered with status 500:\noverloaded.")
LONG = Failure("context", "the prompt does not fit the context of m: 600 of 128 tokens.")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


RUN = ["run", "arithmetic(n=2)", "-s", "majority_vote(n=2)", "--quiet", "--name", "r"]
BUILD = ["pool", "build", "arithmetic(n=2)", "p.sqlite", "-n", "2", "--quiet"]
REPLAY = ["replay", "p.sqlite", "-s", "majority_vote(n=2)"]


@pytest.mark.parametrize(("failure", "said"), [(DOWN, "status 500: overloaded; mend that"), (LONG, "600 of 128 tokens; mend that")])
@pytest.mark.parametrize("command", [RUN, BUILD])
def test_a_model_that_gave_nothing_is_an_error_that_says_why_and_the_same_command_asks_again(
    says, command, failure, said, capsys: pytest.CaptureFixture[str]
) -> None:
    says([failure] * 99)
    assert run(command) == 4
    error = capsys.readouterr().err
    assert "gave no sample at all: 4 calls on 2 problems gave nothing; the first: " in error
    assert said in error
    says(["The answer is 1"] * 99)
    assert run(command) == 0


def test_a_pool_tells_what_failures_took_and_what_ended_before_its_answer(says, capsys: pytest.CaptureFixture[str]) -> None:
    thinking = Completion("", "length", Usage(9, 512), reasoning="hmm")
    says([DOWN, "The answer is 1", thinking, "The answer is 1"])
    assert run(BUILD) == 0
    captured = capsys.readouterr()
    assert "1 calls on 1 problems gave nothing; the first: the server answered with status 500: overloaded; the same command" in captured.err
    assert "1 samples failed and count as unanswered" in captured.out
    assert "1 samples ended at --max-tokens before an answer" in captured.out


def test_a_report_tells_that_samples_ended_before_their_answer(says, capsys: pytest.CaptureFixture[str]) -> None:
    says([Completion("", "length", Usage(9, 512), reasoning="hmm"), "1", "1", "I do not know"])
    assert run(RUN) == 0
    assert "1 of 4 samples ended at their allowance of tokens before an answer; raise --max-tokens" in capsys.readouterr().out


@pytest.mark.parametrize("cap", ["tokens=0", "calls=0", "seconds=0", "tokens=60"])
def test_a_budget_below_one_sample_is_an_error_that_says_so(says, cap: str, capsys: pytest.CaptureFixture[str]) -> None:
    says(["1"] * 99)
    assert run([*RUN, "--budgets", cap]) == 1
    error = capsys.readouterr().err
    assert "nothing was sampled: the " in error
    assert "raise --budgets" in error


def test_a_replay_of_what_was_not_recorded_is_an_error_that_says_so(says, capsys: pytest.CaptureFixture[str]) -> None:
    says(["The answer is 1"] * 4)
    assert run(BUILD) == 0
    assert run([*REPLAY, "-p", "arithmetic(n=2)"]) == 0
    capsys.readouterr()
    Path("other.jsonl").write_text('{"id": "x", "question": "1?", "answer": 1}')
    assert run([*REPLAY, "-p", "other.jsonl"]) == 3
    assert "the pool holds no sample for this: nothing of problem 'x' that answers this request was recorded; give the" in capsys.readouterr().err
    assert run([*REPLAY, "-p", "arithmetic(n=2)", "--budgets", "2,4"]) == 0
    out = capsys.readouterr().out
    assert "4 missing (not recorded), the first: 2 samples of problem" in " ".join(out.split())


@pytest.mark.parametrize("command", [["report", "outthink-runs/r"], ["show", "outthink-runs/r", "--wrong"], ["compare", "outthink-runs/r"]])
def test_a_run_without_a_result_yet_says_so(monkeypatch: pytest.MonkeyPatch, says, command, capsys: pytest.CaptureFixture[str]) -> None:
    async def falls(*given: object) -> None:
        raise OSError("the lamp went out")

    says(["1"])
    with monkeypatch.context() as patched:
        patched.setattr("outthink.evaluate.work.attempt", falls)
        assert run(RUN) == 70
    capsys.readouterr()
    assert run(command) in (2, 3)
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "recorded yet" in captured.err or "no records yet" in captured.err
    assert captured.out == ""


def test_show_calls_a_strategy_as_the_table_does(says, capsys: pytest.CaptureFixture[str]) -> None:
    says(["no"] * 99)
    assert run(["run", "arithmetic(n=1)", "-s", "majority_vote", "-s", "best_of_n(n=2)", "--name", "r", "-q", "--budgets", "calls=16"]) == 0
    capsys.readouterr()
    assert run(["show", "outthink-runs/r"]) == 0
    out = capsys.readouterr().out
    assert "majority_vote(n=16) under calls=16" in out
    assert "best_of_n(n=2) under calls=16" in out
    assert run(["show", "outthink-runs/r", "-s", "majority_vote(n=16) under calls=16"]) == 0


def test_no_spec_in_the_list_of_methods_is_cut_short(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["methods"]) == 0
    assert "…" not in capsys.readouterr().out


def test_free_text_is_graded_by_the_model_that_is_named_for_it(monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    opened: list[str] = []

    async def open_model(reference: str, **_: object) -> ScriptedModel:
        opened.append(reference)
        return ScriptedModel(["The capital is Paris."] if reference == "small" else ["Verdict: correct"], name=reference)

    monkeypatch.setattr("outthink.models.resolve.open_model", open_model)
    Path("set.jsonl").write_text('{"question": "What is the capital of France?", "answer": "Paris"}\n')
    command = ["run", "set.jsonl", "-s", "greedy", "--answer", "free", "--model", "small", "--quiet", "--name", "r"]
    assert run([*command, "--grader-model", "large"]) == 0
    assert opened == ["small", "large"]
    capsys.readouterr()
    assert run(["report", "outthink-runs/r", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["correct"], row["ungraded"]) == (1, 0)
