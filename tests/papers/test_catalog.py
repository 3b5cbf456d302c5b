"""The catalogue is complete, and an unknown number is refused with help."""

from __future__ import annotations

from collections import Counter

import pytest

from outthink.core.errors import UsageError
from outthink.papers.catalog import FAMILIES, catalog, paper


def test_all_141_papers_are_there_in_order():
    assert list(catalog()) == list(range(1, 142))
    assert all(number == record.number for number, record in catalog().items())


def test_titles_are_plain_text_and_unique():
    titles = [record.title for record in catalog().values()]
    assert all(title == title.strip() and len(title) > 10 and "\\" not in title for title in titles)
    assert len({title.casefold() for title in titles}) == len(titles)


def test_every_family_is_described_and_used():
    used = Counter(record.family for record in catalog().values())
    assert set(used) == set(FAMILIES)
    assert all(FAMILIES.values())


@pytest.mark.parametrize(
    ("number", "words", "family"),
    [
        (14, "s1: Simple test-time scaling", "refinement"),
        (38, "TTRL", "training"),
        (72, "Simple and Provable", "sampling"),
        (113, "Large Language Monkeys", "sampling"),
        (141, "Test-Time Training for Abstract Reasoning", "training"),
    ],
)
def test_known_papers(number: int, words: str, family: str):
    assert words in paper(number).title
    assert paper(number).family == family


@pytest.mark.parametrize(("number", "nearest"), [(0, 1), (-5, 1), (142, 141), (10**9, 141)])
def test_an_unknown_number_gives_the_range_and_the_nearest(number: int, nearest: int):
    with pytest.raises(UsageError, match=rf"no paper \[{number}\].*1 to 141.*nearest is \[{nearest}\] \w"):
        paper(number)


def test_the_catalogue_cannot_be_changed_by_its_readers():
    with pytest.raises(TypeError):
        catalog()[1] = catalog()[2]  # type: ignore[index]
