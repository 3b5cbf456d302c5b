"""Numeric answers: what is read, what is not, and exact equality."""

from __future__ import annotations

import time
from fractions import Fraction

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import DataError, UsageError
from outthink.core.problem import Answer, AnswerKind
from outthink.problems.numbers import Number, canonical, number
from tests.problems.support import HUGE


def read(text: str) -> str | None:
    answer = Number().parse(text)
    return None if answer is None else answer.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16 - 3 = 13\nShe makes 13 * 2 = $<<13*2=26>>26\nA: 26", "26"),
        ("The answer is 1,234.50 dollars", "1234.5"),
        ("x = −3", "-3"),
        ("a loss of -$5.50", "-5.5"),
        ("a loss of $-5", "-5"),
        ("16-3", "3"),
        ("10–12", "12"),
        ("3/4", "0.75"),
        ("\\boxed{\\frac{1}{3}}", "1/3"),
        ("$2\\frac12$", "2.5"),
        ("2 1/2 hours", "2.5"),
        ("-0", "0"),
        ("\\boxed{\\boxed{5}}", "5"),
        ("first \\boxed{4}, no: \\boxed{5}, of 9", "5"),
        ("cut off \\boxed{5} and \\boxed{7", "5"),
        ("reasoning 9\n#### 18\n", "18"),
        ("#### Step 4: add\n3 + 4 = 7", "7"),
        ("50%", "50"),
        ("The answer is 3 + 4 = 7. There were 9 before.", "7"),
        ("Answer: 12 apples for 3 people", "12"),
        ("The answer is not known yet, so 3+4=7", "7"),
        ("The answer is 5. No, the answer is 6.", "6"),
        ("**Final Answer:** $1{,}000$", "1000"),
        ("6.02 \\times 10^{3}", "6020"),
        ("১৮", "18"),
        ("共18元", "18"),
        ("1e400", "1" + "0" * 400),
        ("9**9**9", "9"),
        ("", None),
        ("NaN", None),
        ("inf", None),
        ("3/0", None),
        ("1e999999", None),
        ("x2 and H2O", None),
        ("5 in all, so \\boxed{\\text{none}}", None),
    ],
)
def test_reads(text, value):
    assert read(text) == value


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=8, unique=True))
def test_never_the_first_number_of_a_chain_of_thought(numbers):
    assert read("So we have ".join(f"{n} apples. " for n in numbers)) == str(numbers[-1])
    assert read(f"{numbers[0]} apples. The answer is {numbers[1]}.") == str(numbers[1])


@given(st.fractions(max_denominator=10**6))
def test_the_canonical_form_is_read_back_exactly(value):
    assert number(canonical(value)) == value
    assert Number().parse(f"\\boxed{{{canonical(value)}}}") == Answer(canonical(value), canonical(value))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12))
def test_decimals_with_thousands_separators_are_exact(value):
    assert number(f"{value:,}") == Fraction(value)


def test_equality_is_exact():
    async def equal(text, key):
        return await Number().equal(Number().parse(text), key)

    assert anyio.run(equal, "0.50", "1/2")
    assert anyio.run(equal, "145", "145.0")
    assert not anyio.run(equal, "0.33", "1/3")
    assert not anyio.run(equal, "12345678901234567890", "12345678901234567891")  # equal as floats


def test_classes_in_order_of_first_appearance():
    answers = [Number().parse(text) for text in ("7", "none", "0.5", "7.0", "1/2", "8")]
    assert anyio.run(Number().group, answers) == [0, -1, 1, 0, 1, 2]


def test_a_key_that_is_no_number_is_an_error():
    with pytest.raises(DataError, match="'seven' is not a number"):
        anyio.run(Number().equal, Answer("7"), "seven")


def test_extract_takes_the_last_match_and_its_group():
    assert Number(extract=r"result=(\S+)").parse("result=1 result=2, 3").value == "2"
    assert Number(extract=r"result=(\S+)").parse("the answer is 5") is None
    with pytest.raises(UsageError, match="not a regular expression"):
        Number(extract="(")


@pytest.mark.slow
@pytest.mark.parametrize("name", HUGE)
def test_a_megabyte_takes_linear_time(name):
    start = time.process_time()
    Number().parse(HUGE[name])
    number(HUGE[name])
    assert time.process_time() - start < 4


def test_it_is_an_answer_kind():
    assert isinstance(Number(), AnswerKind)
