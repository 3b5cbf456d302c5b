r"""Numeric answers, compared exactly as rational numbers.

What is read as a number: `18`, `-3`, `−3` (any minus sign), `+4`, `1,234.50`, `1{,}234`, `.5`, `3/4`, `\frac{3}{4}`, `2 1/2`, `6.02e23`,
digits of any script. What is dropped: currency signs before it, and percent signs and units after it, so `50%` is 50 and not 0.5 (keys of
the published sets write a percentage as its number). A minus counts as a sign only where no number, letter or bracket stands right before
it: the last number of `16-3` is 3. Digits inside a word (`x2`, `H2O`) are no number, nor is anything longer than 1000 digits, `NaN` or `inf`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from outthink.core.errors import DataError
from outthink.core.problem import Answer
from outthink.problems import extraction

MOST_DIGITS = 1000

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_NUMBER = re.compile(
    rf"""(?<![A-Za-z_\d.])
    (?P<sign>(?<![\w)\]}}%])[-+](?=[$€£¥]?[\d.]))?[$€£¥]?(?P<inner>(?<=[$€£¥])-)?
    (?: (?P<whole>\d{{1,9}})[ ](?=\d{{1,9}}/\d) )?
    (?P<body>{_DIGITS}(?:\.\d+)?|\.\d+)
    (?P<exponent>[eE][-+]?\d{{1,6}}(?![\dA-Za-z]))?
    (?: /(?P<under>\d+(?:\.\d+)?)(?![\d/]) )?""",
    re.VERBOSE,
)
_CANONICAL = re.compile(r"-?[0-9]{1,4000}(?:/[1-9][0-9]{0,3999}|\.[0-9]{1,12})?")
_FRACTION = re.compile(r"\\[dtc]?frac\s?(?:\{\s?(-?[\d.,]{1,1000})\s?\}|(\d))\s?(?:\{\s?(-?[\d.,]{1,1000})\s?\}|(\d))")
_POWER = re.compile(r"\s?(?:[x×*·]|\\times|\\cdot)\s?10\s?\^\s?\{?\s?(-?\d{1,6})\s?\}?")
_UNIT = re.compile(r"(?:\s|\\[ ,;!%$^]|\\circ|\\degree|\\(?:text|mathrm|mbox|textbf)\{[^{}]{0,60}\}|[%°.$*€£¥^{}]|[A-Za-z]{1,20}\.?){0,20}")


def plain(text: str) -> str:
    """The text with LaTeX fractions, separators and powers of ten written as plain text, and digits in ASCII."""
    text = extraction.ascii_digits(text)
    if "\\" in text or "{" in text:
        text = text.replace("{,}", ",").replace(",\\!", ",").replace("\\!", "").replace("\\$", "$").replace("\\%", "%")
        text = _FRACTION.sub(_slashed, text)
    return _POWER.sub(r"e\1", text) if "10" in text else text


def last_number(text: str) -> Fraction | None:
    """The last number in a text, or of an equation its last side's; None if there is none. Takes what `plain` returns."""
    last = extraction.last_match(_NUMBER, text)
    return _value(last) if last else None


def first_number(text: str) -> Fraction | None:
    """The first number of a text that starts with its result; where an equation follows, what stands after its last `=`."""
    match = _NUMBER.search(text)
    if match is None:
        return None
    sentence = re.split(r"\n|[.?!](?:\s|\Z)", text[match.start() : match.start() + 2000], maxsplit=1)[0]
    side = _NUMBER.search(sentence, sentence.rfind("=") + 1)
    return _value(side or match)


def number(text: str) -> Fraction | None:
    """The number that a text is, its currency and unit dropped; None if it is something else or more than that.

    `12 apples` is 12; `3 + 4` and `x = 3` are not numbers.
    """
    written = plain(text).strip()
    match = _NUMBER.match(written)
    if match is None or not _UNIT.fullmatch(written, match.end()):
        return None
    return _value(match)


def canonical(value: Fraction) -> str:
    """`18`, `-2.5` or `1/3`: decimal where it ends within twelve places, else a fraction in lowest terms."""
    if value.denominator == 1:
        return str(value.numerator)
    scaled = value * 10**12
    if scaled.denominator > 1:
        return f"{value.numerator}/{value.denominator}"
    digits = f"{abs(scaled.numerator):013d}"
    return f"{'-' if value < 0 else ''}{digits[:-12]}.{digits[-12:].rstrip('0')}"


@dataclass(frozen=True)
class Number:
    r"""A number: after the last `####`, `\boxed{}` or "answer is", else the last number of the text.

    After "answer is" it is the first number (the right side, if an equation follows); never the first number of a chain of thought. A mark
    that is followed by no number does not count, but a last `\boxed{}` that holds none is an answer that is not a number: None.

    Args:
        extract: a regular expression instead of these rules; the last number in its last match (its first group, if it has one).
    """

    extract: str = ""

    def __post_init__(self) -> None:
        extraction.pattern(self.extract)

    def parse(self, text: str) -> Answer | None:
        """The number, as a decimal or a fraction in lowest terms."""
        value = self._find(text)
        return None if value is None else Answer(canonical(value), raw=canonical(value))

    def _find(self, text: str) -> Fraction | None:
        if self.extract:
            found = extraction.custom(self.extract, text)
            return None if found is None else last_number(plain(found))
        box, mark = extraction.boxed(text), extraction.marked(text)
        if box and (not mark or box[0] > mark[0]):
            return last_number(plain(box[1]))
        if mark:
            if text[: mark[0]].endswith("####"):
                return first_number(plain(extraction.first_line(mark[1])))
            value = first_number(plain(mark[1]))
            if value is not None:
                return value
        return last_number(plain(text))

    async def group(self, answers: Sequence[Answer | None]) -> list[int]:
        """Equal numbers are one class."""
        return extraction.class_labels([None if answer is None else _known(answer.value) for answer in answers])

    async def equal(self, answer: Answer, key: str) -> bool:
        """Equal as rational numbers: `0.50` is `1/2`, and `0.33` is not `1/3`.

        Raises:
            DataError: if the key is not a number.
        """
        return _known(answer.value) == _known(key)


def _known(text: str) -> Fraction:
    # a canonical value may be longer than what is read from a text: both sides of a fraction count
    value = Fraction(text) if _CANONICAL.fullmatch(text) else number(text)
    if value is None:
        raise DataError(f"{text[:80]!r} is not a number; numeric answers and keys look like 18, -2.5, 3/4 or 1,234")
    return value


def _slashed(match: re.Match[str]) -> str:
    over, under = match.group(1) or match.group(2), match.group(3) or match.group(4)
    before = match.string[match.start() - 1 : match.start()]
    return f"{' ' if before.isdigit() else ''}{over}/{under}"


def _value(match: re.Match[str]) -> Fraction | None:
    body, exponent, under = match["body"].replace(",", ""), int((match["exponent"] or "e0")[1:]), match["under"]
    if len(body) + abs(exponent) + len(under or "") > MOST_DIGITS:
        return None
    value = Fraction(body) * Fraction(10) ** exponent
    if under is not None:
        if not Fraction(under):
            return None
        value /= Fraction(under)
    if match["whole"]:
        value += int(match["whole"])
    return -value if "-" in (match["sign"], match["inner"]) else value
