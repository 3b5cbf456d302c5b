"""Repetition filter [5]: finds loops of any period, leaves ordinary repetition alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.verifiers.repetition import Repetition, looped_share


@given(period=st.integers(1, 20), copies=st.integers(3, 8), before=st.integers(0, 30), after=st.integers(0, 30))
def test_the_share_is_that_of_the_planted_loop(period: int, copies: int, before: int, after: int):
    block = [f"b{i}" for i in range(period)]
    words = [f"x{i}" for i in range(before)] + block * copies + [f"y{i}" for i in range(after)]
    assert looped_share(" ".join(words)) == pytest.approx(period * copies / len(words))


@pytest.mark.parametrize("text", ["", "one", "so so it goes", "a b c a b c d e f a b c", " ".join(map(str, range(100)))])
def test_ordinary_text_does_not_loop(text: str):
    assert looped_share(text) == 0.0
    assert not Repetition().loops(text)


def test_a_loop_longer_than_the_longest_block_is_not_seen():
    words = " ".join(f"w{i}" for i in range(10))
    assert looped_share(f"{words} {words} {words}", longest=9) == 0.0
    assert looped_share(f"{words} {words} {words}", longest=10) == 1.0


def test_the_threshold_is_a_share_of_the_words():
    text = " ".join([f"w{i}" for i in range(90)] + ["again"] * 10)
    assert not Repetition(threshold=0.2).loops(text)
    assert Repetition(threshold=0.1).loops(text)


@pytest.mark.parametrize("knobs", [{"threshold": 0.0}, {"threshold": 1.5}, {"copies": 1}, {"longest": 0}])
def test_impossible_knobs_are_refused(knobs: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(knobs))):
        Repetition(**knobs)  # type: ignore[arg-type]
