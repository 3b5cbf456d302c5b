"""`outthink solve` as a user meets it: an answer, or one sentence that says why there is none, with an exit code."""

from __future__ import annotations

import pytest

from outthink.cli.app import run
from outthink.core.completion import Completion, Failure, Usage

SOLVE = ["solve", "What is 17 + 25?", "--quiet", "--strategy", "majority_vote(n=2)"]
DOWN = Failure("http_500", "the server answered with status 500: overloaded")
THINKING = Completion("", "length", Usage(9, 512), reasoning="hmm")


@pytest.mark.parametrize(
    ("replies", "code", "said"),
    [
        ([DOWN, "42"], 0, ""),
        ([DOWN] * 2, 4, "2 calls gave nothing; the first: the server answered with status 500: overloaded"),
        ([THINKING] * 2, 1, "spent its whole allowance on thinking, 512 tokens; raise --max-tokens"),
        ([Completion("<think>so", "length", Usage(9, 512))] * 2, 1, "on thinking"),
        ([Completion("First, we", "length", Usage(9, 512))] * 2, 1, "ended before it gave an answer"),
        ([Completion("", "stop", Usage(9, 1))] * 2, 1, "replied with an empty text"),
        (["who knows"] * 2, 1, "no sample holds what --answer number looks for"),
    ],
)
def test_no_answer_is_one_sentence_and_an_exit_code(says, replies, code, said, capsys: pytest.CaptureFixture[str]) -> None:
    says(replies)
    assert run(SOLVE) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert ("answer  42" in captured.out) == (code == 0)


def test_what_is_missing_beside_an_answer_is_told_in_the_words_of_the_server(says, capsys: pytest.CaptureFixture[str]) -> None:
    says(["42", DOWN])
    assert run(SOLVE) == 0
    assert "missing: 1 (http_500): the server answered with status 500: overloaded" in capsys.readouterr().out


def test_a_reply_can_neither_style_nor_command_the_terminal(says, capsys: pytest.CaptureFixture[str]) -> None:
    says(["[/red] [bold]x[/bold] \x1b[2J\x1b]0;title\x07 \u202egnp"] * 2)
    assert run([*SOLVE, "--answer", "free"]) == 0
    out = capsys.readouterr().out
    assert "[/red] [bold]x[/bold]" in out
    assert "\x1b[2J" not in out
    assert "\\x1b[2J" in out
    assert not {"\x07", "\u202e"} & set(out)


def test_a_cap_on_dollars_without_a_price_is_refused_and_one_with_a_price_binds(says, capsys: pytest.CaptureFixture[str]) -> None:
    says(["42"] * 2)
    assert run([*SOLVE, "--budget", "dollars=0.01"]) == 2
    assert "caps nothing, since the model has no price" in capsys.readouterr().err
    assert run([*SOLVE, "--budget", "dollars=0.01", "--price", "0.15,0.6"]) == 0
    # a sample of up to 512 tokens may cost 0.0003072 dollars
    assert run([*SOLVE, "--budget", "dollars=0.0002", "--price", "0.15,0.6"]) == 1
    assert "the cap on dollars leaves less than one more call may need" in capsys.readouterr().err


def test_a_budget_below_one_sample_says_what_to_change(says, capsys: pytest.CaptureFixture[str]) -> None:
    says(["42"] * 2)
    assert run([*SOLVE, "--budget", "tokens=60"]) == 1
    error = capsys.readouterr().err
    assert "the cap on completion tokens leaves less than one more call may need (512); raise --budget, or lower --max-tokens" in error


def test_a_template_that_is_none_is_refused_before_the_server_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["solve", "What is 17 + 25?", "--quiet", "--model", "http://127.0.0.1:9/v1", "--template", "chatlm"]) == 2
    assert "Did you mean 'chatml'?" in capsys.readouterr().err
