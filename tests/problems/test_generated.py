"""Generated sets: the same for the same seed, and right."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

from outthink.core.errors import UsageError
from outthink.problems.expressions import evaluate
from outthink.problems.generated import GENERATORS, Arithmetic, Countdown, Game24, WordProblems, generator, solve


@pytest.mark.parametrize("cls", GENERATORS.values())
def test_deterministic_distinct_and_growing(cls):
    rows = cls(n=12).rows()
    assert rows == cls(n=12).rows()
    assert rows[:5] == cls(n=5).rows()
    assert rows != cls(n=12, seed=1).rows()
    assert len({row["question"] for row in rows}) == len({row["id"] for row in rows}) == 12


def test_sums_have_their_value():
    for row in Arithmetic(n=200, digits=3, terms=4, ops="+-*").rows():
        terms = re.fullmatch(r"What is (.*)\?", row["question"]).group(1)
        assert str(eval(terms)) == row["answer"]
        assert all(100 <= int(number) <= 999 for number in re.findall(r"\d+", terms))


def test_stories_are_whole_and_their_rationale_holds():
    for row in WordProblems(n=200, steps=4).rows():
        assert int(row["answer"]) > 0
        calculations = re.findall(r"([\d +*/-]+) = (\d+)", row["rationale"])
        assert len(calculations) >= 4
        for left, value in calculations:
            assert evaluate(left)[0] == int(value)
        assert row["rationale"].endswith(f"has {row['answer']} {row['question'].split('How many ')[1].split(' ')[0]}.")


@pytest.mark.parametrize("made", [Game24(n=30), Countdown(n=60), Countdown(n=20, size=6)])
def test_puzzles_have_the_solution_that_they_say(made):
    for row in made.rows():
        value, used = evaluate(row["solution"])
        assert value == row["target"]
        assert sorted(used) == sorted(row["numbers"])


def test_the_search_is_exact():
    assert evaluate(solve([3, 3, 8, 8], 24))[0] == Fraction(24)  # only 8 / (3 - 8 / 3)
    assert solve([1, 1, 1, 1], 24) is None
    assert solve([1, 1, 1, 8], 24) is not None


def test_specs():
    assert generator("arithmetic(n=5, digits=3, ops='*')") == Arithmetic(n=5, digits=3, ops="*")
    assert generator("countdown") == Countdown()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("arithmetc(n=5)", "Did you mean 'arithmetic'"),
        ("arithmetic(digit=5)", "Did you mean 'digits'"),
        ("arithmetic(n='5')", "n takes int, got '5'"),
        ("arithmetic(n=true)", "n takes int"),
        ("arithmetic(n=0)", "1 or more"),
        ("arithmetic(5)", "knob=value"),
        ("arithmetic(", "knob=value"),
        ("arithmetic(ops='^')", "ops of"),
        ("word_problems(steps=9)", "from 2 to 4"),
    ],
)
def test_bad_specs(spec, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        generator(spec)


def test_an_exhausted_set_says_so():
    with pytest.raises(UsageError, match="different problems"):
        Arithmetic(n=100, digits=1).rows()
