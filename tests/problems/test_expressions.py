"""Expressions of game of 24 and countdown: exact values, the rules, and nothing that is not arithmetic."""

from __future__ import annotations

import re
import time
from fractions import Fraction

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import DataError
from outthink.problems.expressions import Expression, evaluate
from tests.problems.support import HUGE

TREES = st.recursive(
    st.integers(0, 20).map(str),
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).flatmap(
        lambda parts: st.sampled_from(("{} {} {}", "({}{}{})")).map(lambda form: form.format(*parts))
    ),
    max_leaves=12,
)


@given(TREES)
def test_the_value_is_that_of_exact_arithmetic(text):
    try:
        expected = eval(re.sub(r"(\d+)", r"Fraction(\1)", text), {"Fraction": Fraction})
    except ZeroDivisionError:
        assert evaluate(text) is None
    else:
        assert evaluate(text) == (expected, tuple(map(int, re.findall(r"\d+", text))))


@pytest.mark.parametrize(
    "text", ["", "1 2", "()", "1+", "(1", "1)", "9**9", "9^9", "1--2", "2*-3", "1/0", "1(2)", "x+1", "1.5+2", "9**9**9", "__import__('os')"]
)
def test_not_an_expression(text):
    assert evaluate(text) is None


def test_a_leading_minus_uses_no_number():
    assert evaluate("-(2 - 5) * (-(-4))") == (Fraction(12), (2, 5, 4))


KIND = Expression((4, 7, 8, 8))


def right(text: str, kind: Expression = KIND) -> bool | None:
    answer = kind.parse(text)
    return None if answer is None else anyio.run(kind.equal, answer, str(kind.target))


@pytest.mark.parametrize(
    "text",
    [
        "(7 - 8/8)*4 = 24",
        "24 = (7-8/8) \\times 4",
        "Answer: (7 - 8 / 8) x 4 = 24",
        "\\boxed{(7-\\frac{8}{8})\\cdot4}",
        "8 / 8 = 1 (left: 1 4 7)\n7 - 1 = 6\nso $(7−8÷8)×4=24$.",
    ],
)
def test_solutions_in_every_spelling(text):
    assert right(text)


def test_wrong_and_unparsed_are_told_apart():
    assert right("7 + 8 + 8 + 1 = 24") is False  # a number that was not given
    assert right("(7 - 8/8)*4 + 8 - 8") is False  # a number twice
    assert right("4 * 6 = 24") is False
    assert right("I cannot find one") is None
    assert right("9**9**9") is None
    assert right("3 / (8 - 8 / 3)", Expression((3, 3, 8, 8), 24)) is False
    assert right("8 / (3 - 8 / 3)", Expression((3, 3, 8, 8), 24)) is True


def test_numbers_may_be_left_over_only_if_the_rules_say_so():
    assert right("3 * 8", Expression((3, 8, 5), use_all=False)) is True
    assert right("3 * 8", Expression((3, 8, 5))) is False
    assert right("3 * 8 + 5 - 5", Expression((3, 8, 5), use_all=False)) is False


def test_classes_by_value_and_rules():
    answers = [KIND.parse(t) for t in ("(7 - 8/8)*4", "4*(7-8/8)", "no", "4*6", "12*2", "8*8")]
    assert anyio.run(KIND.group, answers) == [0, 0, -1, 1, 1, 2]


def test_errors():
    with pytest.raises(DataError, match="not a number"):
        anyio.run(KIND.equal, KIND.parse("1+1"), "many")
    with pytest.raises(ValueError, match="at least one"):
        Expression(())


@pytest.mark.slow
@pytest.mark.parametrize("name", HUGE)
def test_a_megabyte_takes_linear_time(name):
    start = time.process_time()
    KIND.parse(HUGE[name])
    assert time.process_time() - start < 10
