"""Where in a completion the final answer stands. Every scan takes time linear in the text, also on a megabyte of braces or digits."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Sequence
from functools import lru_cache

from outthink.core.errors import UsageError

_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,3}\{|\\[{}\\]|[{}]")
_CLOSING = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}
_DOLLARS = re.compile(r"(?<!\\)\$\$?|\\[()\[\]]")
_BARE_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,3}([^\s{}\\$]+)")
_MARK = re.compile(
    r"""(?<!\#)\#{4}(?=[^\S\n]{0,3}[-+−$€£¥.\d\\(*])                     # GSM8K's own mark; "#### Step 4" is a heading
      | \banswer\b[*_"']{0,3}\s{0,3}(?:is|was|equals|would\ be|=|:)      # "the final answer is", "Answer:"
        (?:\s{0,3}(?:that|as\ follows))?[*_"']{0,3}\s{0,3}:?
      | (?:\A|\n)\s{0,3}A:                                               # the reply of a question-and-answer prompt
    """,
    re.IGNORECASE | re.VERBOSE,
)


@lru_cache(maxsize=256)
def pattern(extract: str) -> re.Pattern[str]:
    """A user's regular expression, compiled; `.` also matches a newline only if the expression says `(?s)`.

    Raises:
        UsageError: if it is not a regular expression.
    """
    try:
        return re.compile(extract, re.MULTILINE)
    except re.error as error:
        raise UsageError(f"extract {extract!r} is not a regular expression: {error}") from error


def last_match(expression: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match, None if there is none."""
    last = None
    for match in expression.finditer(text):
        last = match
    return last


def custom(extract: str, text: str) -> str | None:
    """What the last match of a user's expression holds: its first group that took part, else the whole match; None without a match."""
    last = last_match(pattern(extract), text)
    if last is None:
        return None
    return next((group for group in last.groups() if group is not None), last.group())


def boxed(text: str) -> tuple[int, str] | None:
    r"""The last complete `\boxed{...}` (or `\fbox{...}`): where its content starts, and the content.

    Of nested boxes it is the outer one, with the inner braces kept and the inner `\boxed` removed. A box that never closes does not count.
    """
    open_braces: list[int | None] = []  # of every open brace: where the content starts if it is a box, else None
    found: tuple[int, int] | None = None
    for match in _BOX.finditer(text):
        token = match.group()
        if token == "}":
            start = open_braces.pop() if open_braces else None
            if start is not None:
                found = (start, match.start())  # what closes last is the outer one of nested boxes
        elif token == "{":
            open_braces.append(None)
        elif token.endswith("{") and len(token) > 2:
            open_braces.append(match.end())
    if found:
        return found[0], re.sub(r"\\(?:boxed|fbox)(?![a-zA-Z])", "", text[slice(*found)]).strip()
    bare = last_match(_BARE_BOX, text)
    return (bare.start(1), bare.group(1)) if bare else None


def marked(text: str) -> tuple[int, str] | None:
    """What follows the last `####`, `answer is`, `answer:` or `A:` at the start of a line: where it starts, and the rest of the text."""
    last = last_match(_MARK, text)
    return (last.end(), text[last.end() :]) if last else None


def formulas(text: str) -> list[str]:
    r"""What stands between `$...$`, `$$...$$`, `\(...\)` or `\[...\]`, in order; an opening that is opened anew or never closed does not count."""
    found, opened, start = [], "", 0
    for match in _DOLLARS.finditer(text):
        sign = match.group()
        if opened and sign == _CLOSING[opened]:
            if text[start : match.start()].strip():
                found.append(text[start : match.start()])
            opened = ""
        elif sign in _CLOSING:
            opened, start = sign, match.end()
    return found


def last_line(text: str) -> str:
    """The last line that is not blank, "" if there is none."""
    return text.rstrip().rpartition("\n")[2].strip()


def first_line(text: str) -> str:
    """The first line that is not blank, "" if there is none."""
    return text.lstrip().partition("\n")[0].strip()


def ascii_digits(text: str) -> str:
    """The text with every script's decimal digits, minus signs and full-width signs written in ASCII."""
    if text.isascii():
        return text
    return "".join(_ascii(character) for character in text)


@lru_cache(maxsize=4096)
def _ascii(character: str) -> str:
    if character in "−﹣－‐‑–—":
        return "-"
    if character.isdecimal():
        return str(unicodedata.digit(character))
    return {"．": ".", "，": ",", "⁄": "/", "∕": "/", "＋": "+", "％": "%", "＝": "="}.get(character, character)


def class_labels(values: Sequence[Hashable | None]) -> list[int]:
    """Labels 0, 1, ... in order of first appearance; -1 for None."""
    known: dict[Hashable, int] = {}
    return [-1 if value is None else known.setdefault(value, len(known)) for value in values]
