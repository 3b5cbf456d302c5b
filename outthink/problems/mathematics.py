r"""Mathematical answers in LaTeX or plain text, compared by meaning with math-verify (extra `math`), in processes with a time limit.

Two answers are first compared as text (spaces, `\left`, `\dfrac`, `$` and the like do not count) and as exact numbers; only what
that leaves open goes to math-verify. Equivalence is not transitive there (0.333333 equals 1/3): a class is what equals its first member.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from outthink.core.problem import Answer
from outthink.problems import extraction
from outthink.problems.math_process import LONGEST, shared
from outthink.problems.numbers import canonical, last_number, number, plain

_HARMLESS = 200  # characters without a sign of danger
_RISKY = re.compile(r"\^|\*\*|!|\\(?:d?binom|tbinom|sum|prod|int|lim|exp)|\d{12}")
_WORD = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}")
_TEXT = re.compile(r"\\(?:text|mathrm|mbox|textbf|begin|end)\{[^{}]{0,100}\}")
_LAYOUT = re.compile(r"\\(?:left|right|displaystyle|big|Big|bigl|bigr)(?![a-zA-Z])|\\[!,;: ]|\$|~|\s+")
_SMALL_FRACTION = re.compile(r"\\[dtc]frac")


@dataclass(frozen=True)
class Math:
    r"""A mathematical expression: in the last `\boxed{}`, else after the last "answer is", else the last formula, else a last line
    without words, else the last number.

    An expression that math-verify cannot work with in the limit (a power tower, a factorial of a factorial, thousands of characters) is no
    answer. A pair of readable answers that is not found equal within the limit counts as different.

    Args:
        extract: a regular expression instead of these rules: its last match (its first group, if it has one).
        seconds: wall time of one comparison.
    """

    extract: str = ""
    seconds: float = 5.0

    def __post_init__(self) -> None:
        extraction.pattern(self.extract)
        if not self.seconds > 0:
            raise ValueError(f"math: seconds must be positive, got {self.seconds}")

    def parse(self, text: str) -> Answer | None:
        """The expression as text; None also where a comparison with 1 shows that it is too big to work with.

        Only what could be (powers, factorials, sums, long texts) is tried; that blocks for milliseconds, and at most for `seconds`.
        """
        found = self._find(text)
        value = tidy(found) if found is not None and len(found) <= LONGEST else ""
        if not value or ((len(value) > _HARMLESS or _RISKY.search(value)) and number(value) is None and _ask("1", value, self.seconds) is None):
            return None
        return Answer(value, raw=found or "")

    def _find(self, text: str) -> str | None:
        if self.extract:
            return extraction.custom(self.extract, text)
        box, mark = extraction.boxed(text), extraction.marked(text)
        rest = extraction.first_line(mark[1]) if mark and (not box or mark[0] > box[0]) else ""
        formulas = extraction.formulas(rest or ("" if box else text))
        if formulas:
            return formulas[0] if rest else formulas[-1]
        if box and not any(map(str.isdigit, rest)):  # "\boxed{44} ... so our answer is correct."
            return box[1]
        if rest:
            return rest
        bare = extraction.last_line(text)
        if bare and len(bare) <= LONGEST and not _WORD.search(_TEXT.sub("", bare)):
            return bare
        value = last_number(plain(text))
        return None if value is None else canonical(value)

    async def group(self, answers: Sequence[Answer | None]) -> list[int]:
        """Equivalent expressions are one class; a pair that is undecided within the limit stays apart."""
        from anyio import to_thread

        return await to_thread.run_sync(self._group, answers, abandon_on_cancel=True)

    def _group(self, answers: Sequence[Answer | None]) -> list[int]:
        firsts: list[str] = []
        labels: dict[str, int] = {}
        for value in (answer.value for answer in answers if answer is not None):
            if value in labels:
                continue
            same = next((i for i, first in enumerate(firsts) if _same_text(first, value)), None)
            if same is None:
                same = next((i for i, first in enumerate(firsts) if self._either_way(first, value)), None)
            if same is None:
                firsts.append(value)
                same = len(firsts) - 1
            labels[value] = same
        # labels already count up in order of first appearance
        return [-1 if answer is None else labels[answer.value] for answer in answers]

    def _either_way(self, one: str, other: str) -> bool:
        return any(_equal(a, b, self.seconds) for a, b in ((one, other), (other, one)))

    async def equal(self, answer: Answer, key: str) -> bool:
        """Whether the answer is found to mean the same as the key within the limit."""
        from anyio import to_thread

        return bool(await to_thread.run_sync(_equal, tidy(key), answer.value, self.seconds, abandon_on_cancel=True))


def tidy(expression: str) -> str:
    """The expression without what is layout only: outer `$`, a full stop at the end, double spaces."""
    text = " ".join(extraction.ascii_digits(expression).split()).strip("* ")
    for opening, closing in (("$$", "$$"), ("$", "$"), ("\\[", "\\]"), ("\\(", "\\)")):
        if len(text) > 2 * len(opening) and text.startswith(opening) and text.rstrip(".").endswith(closing):
            text = text.rstrip(".")[len(opening) : -len(closing)].strip()
    return text.rstrip(".").strip()


def _same_text(one: str, other: str) -> bool:
    return _letters(one) == _letters(other)


@lru_cache(maxsize=20_000)
def _letters(text: str) -> str:
    return _SMALL_FRACTION.sub(r"\\frac", _LAYOUT.sub("", text))


def _equal(key: str, text: str, seconds: float) -> bool | None:
    if _same_text(key, text):
        return True
    numbers = number(key), number(text)
    if numbers[0] is not None and numbers[0] == numbers[1]:
        return True
    return _ask(key, text, seconds)


@lru_cache(maxsize=100_000)
def _ask(key: str, text: str, seconds: float) -> bool | None:
    # remembered also when it took too long, so that one text is not tried again and again
    return shared().equal(key, text, seconds)
