"""Kinds of answers: how a final answer is found in text, and when two of them are the same. See also `numbers`, `mathematics`, `expressions`.

Every kind takes `extract`, a regular expression that replaces its own rules for finding the answer: the last match counts, and of it the
first group, if it has one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from outthink.core.errors import DataError, UsageError, nearest
from outthink.core.problem import Answer, AnswerKind
from outthink.problems import extraction
from outthink.problems.expressions import Expression
from outthink.problems.mathematics import Math
from outthink.problems.numbers import Number

__all__ = ["Choice", "Exact", "Expression", "Free", "Math", "Number", "answer_kind", "normal"]

KINDS = ("number", "math", "choice", "exact", "free")


def normal(text: str) -> str:
    """Text for comparing: Unicode compatibility form, case folded, single spaces, without quotes, asterisks and a full stop around it."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.strip(" \"'`*“”‘’").rstrip(".").strip(" \"'`*“”‘’")


@dataclass(frozen=True)
class Choice:
    r"""One letter of a multiple choice: after "answer is", in `\boxed{}`, else the last `(B)`, else the last letter that stands like a label.

    A label is a letter with `.`, `)` or `:` after it, or alone at an end of a line; the article "A" and the pronoun "I" are none.

    Args:
        options: how many there are: 4 means A to D.
        texts: the options' texts; a reply that is one of them word for word counts as its letter.
        extract: a regular expression instead of these rules.
    """

    options: int = 4
    texts: tuple[str, ...] = ()
    extract: str = ""

    def __post_init__(self) -> None:
        if not 2 <= self.options <= 26:
            raise ValueError(f"choice: options must be from 2 to 26, got {self.options}")
        if self.texts and len(self.texts) != self.options:
            raise ValueError(f"choice: {self.options} options and {len(self.texts)} texts; give one text an option")
        extraction.pattern(self.extract)

    def parse(self, text: str) -> Answer | None:
        """The letter in upper case; None if there is none, or if what follows "answer is" is a letter that is no option."""
        letter = self._find(text)
        return Answer(letter, raw=letter) if letter else None

    def _find(self, text: str) -> str | None:
        if self.extract:
            found = extraction.custom(self.extract, text)
            return None if found is None else self._letter(found) or self._by_text(found)
        box, mark = extraction.boxed(text), extraction.marked(text)
        final = max((place for place in (box, mark) if place), key=lambda place: place[0], default=None)
        if final:
            line = extraction.first_line(final[1])
            letter = _FINAL.match(line)
            return self._option(letter.group(1)) if letter else self._by_text(line) or self._label(line)
        return self._label(text) or self._letter(text) or self._by_text(text)

    def _label(self, text: str) -> str | None:
        for expression in _labels():
            labels = [letter for letter in map(self._option, expression.findall(text)) if letter]
            if labels:
                return labels[-1]
        return None

    def _letter(self, text: str) -> str | None:
        alone = re.fullmatch(r"[\s(*\"']{0,9}([A-Za-z])[\s).:*\"']{0,9}", text)
        return self._option(alone.group(1)) if alone else None

    def _by_text(self, text: str) -> str | None:
        said = normal(text) if len(text) < 2000 else ""
        return next((_letter_of(i) for i, option in enumerate(self.texts) if normal(option) == said), None)

    def _option(self, letter: str) -> str | None:
        return letter.upper() if ord(letter.upper()) - ord("A") < self.options else None

    async def group(self, answers: Sequence[Answer | None]) -> list[int]:
        """Equal letters are one class."""
        return extraction.class_labels([None if answer is None else answer.value for answer in answers])

    async def equal(self, answer: Answer, key: str) -> bool:
        """The same letter; the key may be written `B` or `(B)`.

        Raises:
            DataError: if the key is no letter of an option.
        """
        letter = self._letter(key)
        if letter is None:
            raise DataError(f"the key {key[:80]!r} is not one of the letters A to {_letter_of(self.options - 1)}")
        return answer.value == letter


@dataclass(frozen=True)
class Exact:
    r"""A text that must be the same but for case, spaces, quotes and a full stop: in `\boxed{}`, after "answer is", else the last line.

    A key may list several accepted texts, one a line.

    Args:
        extract: a regular expression instead of these rules.
        literal: case, quotes and spaces count, as in a program's output; only backticks around it and a full stop after it do not.
    """

    extract: str = ""
    literal: bool = False

    def __post_init__(self) -> None:
        extraction.pattern(self.extract)

    def _normal(self, text: str) -> str:
        return text.strip().strip("`").removesuffix(".") if self.literal else normal(text)

    def parse(self, text: str) -> Answer | None:
        """The text in the form in which it is compared."""
        found = self._find(text)
        value = self._normal(found or "")
        return Answer(value, raw=found or "") if value else None

    def _find(self, text: str) -> str | None:
        if self.extract:
            return extraction.custom(self.extract, text)
        box, mark = extraction.boxed(text), extraction.marked(text)
        final = max((place for place in (box, mark) if place and place[1].strip()), key=lambda place: place[0], default=None)
        return extraction.first_line(final[1]) if final else extraction.last_line(text)

    async def group(self, answers: Sequence[Answer | None]) -> list[int]:
        """Equal texts are one class."""
        return extraction.class_labels([None if answer is None else answer.value for answer in answers])

    async def equal(self, answer: Answer, key: str) -> bool:
        """The same text as one of the key's lines."""
        return answer.value in {self._normal(line) for line in key.split("\n")}


@dataclass(frozen=True)
class Free:
    """Free text. Votes count replies that are the same text; whether one is right, a judge decides (`outthink.problems.grading`).

    Args:
        extract: a regular expression that finds the answer; without it the whole text is the answer.
    """

    extract: str = ""

    def __post_init__(self) -> None:
        extraction.pattern(self.extract)

    def parse(self, text: str) -> Answer | None:
        """The text without spaces around it; None if nothing is left."""
        found = extraction.custom(self.extract, text) if self.extract else text
        value = (found or "").strip()
        return Answer(value, raw=value) if value else None

    async def group(self, answers: Sequence[Answer | None]) -> list[int]:
        """Equal texts, but for case, spaces, quotes and a full stop, are one class."""
        return extraction.class_labels([None if answer is None else normal(answer.value) for answer in answers])

    async def equal(self, answer: Answer, key: str) -> bool:
        """Not possible here.

        Raises:
            UsageError: always.
        """
        raise UsageError("free text has no equality of its own: grade it with a judge, outthink.problems.grading.judge(..., session)")


def answer_kind(name: str, *, options: Sequence[str] = (), extract: str = "") -> AnswerKind:
    """The kind of a name: `number`, `math`, `choice`, `choice(5)` for five options, `exact` or `free`.

    Args:
        name: see above.
        options: the options' texts of a multiple choice; they say how many there are.
        extract: a regular expression that finds the answer.

    Raises:
        UsageError: an unknown kind (with the nearest known one), or `extract` is not a regular expression.
    """
    match = re.fullmatch(r"choice\((?:options=)?(\d{1,3})\)", name)
    try:
        if match:
            return Choice(int(match.group(1)), extract=extract)
        if name == "choice":
            return Choice(len(options), tuple(options), extract) if options else Choice(extract=extract)
    except ValueError as error:
        raise UsageError(f"answer {name!r}: {error}") from error
    simple: dict[str, type[Number] | type[Math] | type[Exact] | type[Free]] = {"number": Number, "math": Math, "exact": Exact, "free": Free}
    if name not in simple:
        raise UsageError(f"unknown kind of answer {name!r}.{nearest(name, list(KINDS))}")
    return simple[name](extract=extract)


# the letter right after "answer is" or in a box: "(B)", "B.", "**B**", "option B", "\text{(B)}"
_FINAL = re.compile(r"""[\s:*"'(\[{$]{0,9}(?:(?:option|choice)\s)?(?:\\text\{)?[(*\[]{0,3}([A-Z])(?![A-Za-z']|\s[a-z])""")


@lru_cache(maxsize=1)
def _labels() -> tuple[re.Pattern[str], ...]:
    return (
        re.compile(r"\(([A-Z])\)"),
        re.compile(r"(?:option|choice)\s([A-Z])\b", re.IGNORECASE),
        re.compile(r"(?<![A-Za-z'.])([A-Z])(?:[):]|\.(?![A-Za-z])|\*\*|(?=\s{0,3}(?:\n|\Z)))"),
    )


def _letter_of(index: int) -> str:
    return chr(ord("A") + index)
