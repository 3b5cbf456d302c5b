r"""Arithmetic expressions as answers: game of 24 and countdown. Right is what uses the given numbers as the rules say and has the target's value.

Only `+ - * /`, brackets and whole numbers are an expression, `×`, `÷`, `\times`, `\div`, `\cdot`, `\frac{}{}` and any minus sign included.
There are no powers, so no text can cost more than its length; values are exact: 8 / (3 - 8 / 3) is 24 and not nearly 24.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from outthink.core.errors import DataError
from outthink.core.problem import Answer
from outthink.problems import extraction

MOST_TOKENS = 200  # of one expression; a puzzle needs about four a number

_TOKEN = re.compile(r"\s*(?:(\d{1,12})(?!\d)|([-+*/()]))")
_SPELLED = ((r"\times", "*"), (r"\cdot", "*"), (r"\div", "/"), (r"\left", ""), (r"\right", ""), ("×", "*"), ("·", "*"), ("÷", "/"))
_FRAC = re.compile(r"\\[dt]?frac\{([^{}]{1,200})\}\{([^{}]{1,200})\}")
_PIECE = re.compile(r"[\d(\-][\d\s()+\-*/.]*")
_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2}


def evaluate(expression: str) -> tuple[Fraction, tuple[int, ...]] | None:
    """Value and the numbers used, in order; None if it is no expression, divides by zero or is longer than `MOST_TOKENS`.

    A leading minus of an expression or a bracket is allowed and uses no number.
    """
    tokens = _tokens(expression)
    if tokens is None:
        return None
    values: list[Fraction] = []
    waiting: list[str] = []
    used: list[int] = []

    def apply() -> bool:
        operator = waiting.pop()
        if operator == "(" or len(values) < 2:
            return False
        right, left = values.pop(), values.pop()
        if operator == "/" and not right:
            return False
        values.append({"+": left + right, "-": left - right, "*": left * right}[operator] if operator != "/" else left / right)
        return True

    operand, before = True, "("  # whether a number or a bracket must come next; the token before, the whole being as in brackets
    for token in tokens:
        last, before = before, token
        if token == "-" and last == "(":
            values.append(Fraction(0))
            waiting.append("-")
        elif operand and token == "(":
            waiting.append(token)
        elif operand and token.isdigit():
            values.append(Fraction(int(token)))
            used.append(int(token))
            operand = False
        elif operand or token == "(" or token.isdigit():
            return None
        elif token == ")":
            while waiting and waiting[-1] != "(":
                if not apply():
                    return None
            if not waiting:
                return None
            waiting.pop()
        else:
            while waiting and waiting[-1] != "(" and _STRENGTH[waiting[-1]] >= _STRENGTH[token]:
                if not apply():
                    return None
            waiting.append(token)
            operand = True
    while waiting:
        if not apply():
            return None
    return (values[0], tuple(used)) if len(values) == 1 and not operand else None


@dataclass(frozen=True)
class Expression:
    r"""An expression that must reach a target: in the last `\boxed{}` or after "answer is", else in the last line that has one.

    Of `(1 + 2) * 8 = 24` the side with the most numbers is the expression. A key is the target's text: equality means that the expression
    uses the numbers as it must and has that value.

    Args:
        numbers: what may be used, each as often as it stands here.
        target: the value to reach, for who wants to know it without a key (it stands in the question).
        use_all: every number must be used; else some may be left over.
        extract: a regular expression that finds the expression instead.
    """

    numbers: tuple[int, ...]
    target: int = 24
    use_all: bool = True
    extract: str = ""

    def __post_init__(self) -> None:
        if not self.numbers or any(number < 0 for number in self.numbers):
            raise ValueError(f"expression: numbers must be whole and not negative, and at least one, got {list(self.numbers)}")
        extraction.pattern(self.extract)

    def parse(self, text: str) -> Answer | None:
        """The expression, spaces set evenly. It may use the wrong numbers: then it is an answer, and wrong."""
        if self.extract:
            places = [extraction.custom(self.extract, text) or ""]
        else:
            found = sorted((place for place in (extraction.boxed(text), extraction.marked(text)) if place), key=lambda place: -place[0])
            places = [extraction.first_line(place[1]) for place in found] + text.split("\n")[::-1]
        for place in places:
            best = _best_piece(place)
            if best is not None:
                return Answer(" ".join(_tokens(best) or ()).replace("( ", "(").replace(" )", ")"), raw=best.strip())
        return None

    def follows_the_rules(self, answer: Answer) -> bool:
        """Whether the numbers are used as they must be."""
        result = evaluate(answer.value)
        if result is None:
            return False
        used, given = sorted(result[1]), sorted(self.numbers)
        return used == given if self.use_all else all(used.count(number) <= given.count(number) for number in used)

    async def group(self, answers: Sequence[Answer | None]) -> list[int]:
        """Expressions of equal value that follow the rules are one class; those that break them are classes of their own by value."""
        return extraction.class_labels([None if answer is None else self._class(answer) for answer in answers])

    def _class(self, answer: Answer) -> tuple[bool, Fraction]:
        result = evaluate(answer.value)
        if result is None:
            raise DataError(f"{answer.value[:80]!r} is not an arithmetic expression")
        return self.follows_the_rules(answer), result[0]

    async def equal(self, answer: Answer, key: str) -> bool:
        """Whether the expression follows the rules and has the key's value.

        Raises:
            DataError: if the key is not a number.
        """
        try:
            target = Fraction(key)
        except (ValueError, ZeroDivisionError):
            raise DataError(f"the key {key[:80]!r} is not a number; the key of an expression is the value that it must have") from None
        result = evaluate(answer.value)
        return result is not None and result[0] == target and self.follows_the_rules(answer)


def _plain(text: str) -> str:
    text = _FRAC.sub(r"((\1)/(\2))", extraction.ascii_digits(text)) if not text.isascii() or "\\" in text else text
    for spelled, sign in _SPELLED:
        text = text.replace(spelled, sign)
    return re.sub(r"(?<=[\d) ])[xX](?=[\d( ])", "*", text)


def _best_piece(text: str) -> str | None:
    best, most = None, 1
    for piece in _PIECE.findall(_plain(text)):
        piece = piece.strip().rstrip(".")
        result = evaluate(piece)
        if result is not None and len(result[1]) > most:
            best, most = piece, len(result[1])
    return best


def _tokens(expression: str) -> list[str] | None:
    tokens: list[str] = []
    text = _plain(expression).rstrip()
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or len(tokens) == MOST_TOKENS:
            return None
        tokens.append(match.group(1) or match.group(2))
        position = match.end()
    return tokens
