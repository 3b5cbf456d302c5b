"""Choice, exact and free answers."""

from __future__ import annotations

import time

import anyio
import pytest

from outthink.core.errors import DataError, UsageError
from outthink.core.problem import Answer
from outthink.problems.answers import Choice, Exact, Free, Math, Number, answer_kind
from tests.problems.support import HUGE


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is (B).", "B"),
        ("(A) is wrong and so is (B), so (C)", "C"),
        ("b", "B"),
        ("answer: **D**", "D"),
        ("\\boxed{\\text{C}}", "C"),
        ("So it is B.\n", "B"),
        ("Option C is right", "C"),
        ("The correct answer is option E because", "E"),
        ("E) x. It is I", "E"),
        ("The answer is F", None),  # five options
        ("A dog is here", None),
        ("The answer is a dog", None),
        ("", None),
    ],
)
def test_choice_reads(text, letter):
    answer = Choice(5).parse(text)
    assert (answer and answer.value) == letter


def test_choice_by_the_text_of_an_option():
    kind = answer_kind("choice", options=["yes", "no", "maybe"])
    assert kind.parse("The answer is maybe.").value == "C"
    assert kind.parse("No.").value == "B"
    assert kind.parse("yes and no") is None


def test_choice_keys():
    assert anyio.run(Choice(4).equal, Answer("B"), "(B)")
    assert not anyio.run(Choice(4).equal, Answer("B"), "C")
    with pytest.raises(DataError, match="A to D"):
        anyio.run(Choice(4).equal, Answer("B"), "E")


def test_exact_ignores_case_and_quotes_only():
    kind = Exact()
    assert kind.parse('Thinking.\nSo the answer is "James  Madison".').value == "james madison"
    assert kind.parse("a\nthe last line\n\n").value == "the last line"
    assert kind.parse("] ) }").value == "] ) }"
    assert kind.parse(" \n") is None
    assert anyio.run(kind.equal, Answer("madison"), "James Madison\nMadison")
    assert not anyio.run(kind.equal, Answer("madison"), "James Madison")


def test_literal_text_keeps_case_and_quotes():
    kind = Exact(literal=True)
    answer = kind.parse("The answer is 'Ab'.")
    assert anyio.run(kind.equal, answer, "'Ab'")
    assert not anyio.run(kind.equal, answer, "'ab'")
    assert not anyio.run(kind.equal, answer, "Ab")


def test_free_text_is_grouped_but_not_compared():
    answers = [Free().parse(text) for text in ("Paris.", " paris ", "", "Rome")]
    assert anyio.run(Free().group, answers) == [0, 0, -1, 1]
    with pytest.raises(UsageError, match="judge"):
        anyio.run(Free().equal, answers[0], "Paris")


def test_kinds_by_name():
    assert answer_kind("number") == Number()
    assert answer_kind("choice(7)") == Choice(7)
    assert answer_kind("math", extract="x(.)") == Math(extract="x(.)")
    with pytest.raises(UsageError, match="Did you mean 'number'"):
        answer_kind("numbr")
    with pytest.raises(UsageError, match="from 2 to 26"):
        answer_kind("choice(99)")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Choice(), Exact(), Free(), Choice(2, ("yes", "no"))])
def test_a_megabyte_takes_linear_time(kind):
    for name, text in HUGE.items():
        start = time.process_time()
        kind.parse(text)
        assert time.process_time() - start < 4, name
