"""Finding the place of an answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outthink.problems.extraction import ascii_digits, boxed, class_labels, custom, formulas, marked


@given(st.text(alphabet="ab{}", max_size=30).filter(lambda s: _balanced(s)), st.text(alphabet="ab {}$", max_size=30))
def test_a_box_gives_back_what_was_put_in(content, before):
    assert boxed(f"{before}\\boxed{{{content}}} after") == (len(before) + 7, content)


def _balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0


def test_boxes():
    assert boxed("none {5}") is None
    assert boxed("\\boxed{1+\\boxed{2}}") == (7, "1+{2}")
    assert boxed("\\boxed{\\{1,2\\}}") == (7, "\\{1,2\\}")
    assert boxed("it is \\boxed 5.") == (13, "5.")
    assert boxed("\\fbox{3} \\boxed{4") == (6, "3")


def test_marks():
    assert marked("answer is 1, answer: 2")[1] == "2"
    assert marked("an answer, isn't it") is None
    assert marked("#### Step 3") is None
    assert marked("##### 3") is None
    assert marked("x\nA: 5")[1] == " 5"
    assert marked("THE ANSWER IS: 5")[1].strip() == "5"


def test_formulas():
    assert formulas("$a$ and \\(b\\), \\[c\\], $$d$$, \\$5 and \\$6, $open") == ["a", "b", "c", "d"]


def test_custom_groups():
    assert custom(r"^(?:a=(\d)|b=(\d))$", "a=1\nb=2") == "2"
    assert custom(r"\d+", "1 22 333") == "333"
    assert custom(r"\d+", "none") is None


def test_every_minus_and_digit():
    assert ascii_digits("−٣–４，५") == "-3-4,5"


def test_labels():
    assert class_labels(["b", None, "a", "b"]) == [0, -1, 1, 0]
