"""Prompts: what is written, and what a user's file may hold."""

from __future__ import annotations

import pytest

from outthink.core.errors import DataError, UsageError
from outthink.problems.prompts import PROMPTS, Prompt, prompt_of


def test_conversation():
    prompt = Prompt("p", user="Q: {question}", system="Be brief.", prefix="A:", examples=(("1", " one"),))
    assert [(m.role, m.text) for m in prompt.messages("2", [("3", " three")])] == [
        ("system", "Be brief."), ("user", "Q: 1"), ("assistant", "A: one"), ("user", "Q: 3"), ("assistant", "A: three"), ("user", "Q: 2"),
    ]  # fmt: skip
    assert prompt.start.text == "A:"
    assert prompt.label(3) == "p/1+3"


def test_braces_in_a_question_are_left_alone():
    assert Prompt("p").messages("\\frac{1}{2} {answer} {question}")[0].text == "\\frac{1}{2} {answer} {question}"


def test_replies_of_worked_examples():
    assert PROMPTS["cot"].answered("7", "3 + 4 = <<3+4=7>>7") == "3 + 4 = 7\nThe answer is 7."
    assert PROMPTS["cot"].answered("7") == "The answer is 7."
    assert PROMPTS["boxed"].answered("\\frac{1}{2}", "x") == "x\n$\\boxed{\\frac{1}{2}}$"
    assert PROMPTS["sum"].answered("7", "3 + 4 = 7") == "3 + 4 = 7"
    assert PROMPTS["sum"].answered("7") == "7"


def test_files(tmp_path):
    text = tmp_path / "mine.txt"
    text.write_text("Please: {question}\n")
    assert prompt_of(str(text)).messages("x")[0].text == "Please: x"
    first = prompt_of(str(text)).version
    text.write_text("Now: {question}\n")
    assert prompt_of(str(text)).version != first
    table = tmp_path / "mine.toml"
    table.write_text('user = "{question}!"\nsystem = "s"\nshots = 2\nstop = ["\\n"]\nexamples = [["a", "b"]]\n')
    prompt = prompt_of(str(table))
    assert (prompt.name, prompt.shots, prompt.stop, prompt.examples) == ("mine", 2, ("\n",), (("a", "b"),))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('user = "no place"', "nothing would be asked"),
        ('user = "{question}"\nsytem = "x"', "Did you mean 'system'"),
        ("user = 5", "must be text"),
        ("examples = [[1, 2]]", "list of texts"),
        ('examples = [["a"]]', r"list of \[question, reply\]"),
        ("shots = true", "whole number"),
        ('stop = "x"', "list of texts"),
    ],
)
def test_bad_tables(tmp_path, content, message):
    path = tmp_path / "bad.toml"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        prompt_of(str(path))


def test_bad_names(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'direct'"):
        prompt_of("dirct")
    with pytest.raises(DataError, match="no such file"):
        prompt_of("missing.toml")
    (tmp_path / "x.toml").write_text("=")
    with pytest.raises(DataError, match="not TOML"):
        prompt_of(str(tmp_path / "x.toml"))
