"""Problem sets made on the spot, the same for the same seed: arithmetic, word problems, game of 24, countdown.

A spec such as `arithmetic(n=50, digits=2, seed=0)` names one; the knobs are the fields below. No question appears twice in a set. The
first problems do not change when n grows. Nothing here is real-world data.
"""

from __future__ import annotations

import abc
import ast
import dataclasses
import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import ClassVar

from outthink.core.data import Row
from outthink.core.errors import UsageError, nearest
from outthink.problems.stories import story

_TRIES = 200  # in a row without a new question, after which a set counts as exhausted


@dataclass(frozen=True)
class Generated(abc.ABC):
    """Fields of every generated set: how many problems, and the seed of their draw."""

    n: int = 50
    seed: int = 0
    name: ClassVar[str]
    answer: ClassVar[str] = "number"

    @abc.abstractmethod
    def one(self, rng: random.Random) -> Row:
        """One problem's question and answer, before it has an id."""

    def rows(self) -> list[Row]:
        """All rows, with ids `name/0`, `name/1`, ...

        Raises:
            UsageError: if there are not n different problems of this form.
        """
        rng = random.Random(f"{self.name} {self.seed}")
        rows: list[Row] = []
        seen: set[object] = set()
        tries = 0
        while len(rows) < self.n:
            row = self.one(rng)
            tries += 1
            if row["question"] not in seen:
                seen.add(row["question"])
                rows.append({"id": f"{self.name}/{len(rows)}", **row})
                tries = 0
            elif tries > _TRIES:
                raise UsageError(f"{self.name}: found only {len(rows)} different problems of {self.n}; take a smaller n or larger knobs")
        return rows


@dataclass(frozen=True)
class Arithmetic(Generated):
    """Sums, differences and products such as `What is 47 + 85?`.

    Args:
        digits: of every number; the first digit is not 0.
        terms: numbers in a question.
        ops: signs to draw from, of `+-*`. `*` binds before `+` and `-`.
    """

    digits: int = 2
    terms: int = 2
    ops: str = "+"
    name: ClassVar[str] = "arithmetic"

    def __post_init__(self) -> None:
        if not 1 <= self.digits <= 50 or not 2 <= self.terms <= 50 or not self.ops or set(self.ops) - set("+-*"):
            raise UsageError(f"arithmetic: digits 1 to 50, terms 2 to 50, ops of + - *; got {self.digits}, {self.terms} and {self.ops!r}")

    def one(self, rng: random.Random) -> Row:
        """One sum and its value."""
        numbers = [rng.randint(10 ** (self.digits - 1), 10**self.digits - 1) for _ in range(self.terms)]
        signs = [rng.choice(self.ops) for _ in range(self.terms - 1)]
        products, text = [numbers[0]], str(numbers[0])
        for sign, number in zip(signs, numbers[1:], strict=True):
            text += f" {sign} {number}"
            if sign == "*":
                products[-1] *= number
            else:
                products.append(number if sign == "+" else -number)
        return {"question": f"What is {text}?", "answer": str(sum(products)), "rationale": f"{text} = {sum(products)}"}


@dataclass(frozen=True)
class WordProblems(Generated):
    """Short stories with several steps of arithmetic, with a rationale.

    Args:
        steps: calculations that a story needs, from 2 to 4.
    """

    steps: int = 3
    name: ClassVar[str] = "word_problems"

    def __post_init__(self) -> None:
        if not 2 <= self.steps <= 4:
            raise UsageError(f"word_problems: steps must be from 2 to 4, got {self.steps}")

    def one(self, rng: random.Random) -> Row:
        """One story."""
        question, answer, rationale = story(rng, self.steps)
        return {"question": question, "answer": str(answer), "rationale": rationale}


@dataclass(frozen=True)
class Game24(Generated):
    """Four numbers that can make 24 with `+ - * /`, each used once; an exact search found a way for every puzzle.

    Args:
        largest: numbers are drawn from 1 to this.
    """

    largest: int = 13
    name: ClassVar[str] = "game24_generated"
    answer: ClassVar[str] = "expression"

    def __post_init__(self) -> None:
        if not 3 <= self.largest <= 100:
            raise UsageError(f"game24_generated: largest must be from 3 to 100, got {self.largest}")

    def one(self, rng: random.Random) -> Row:
        """One puzzle with a solution."""
        while True:
            numbers = sorted(rng.randint(1, self.largest) for _ in range(4))
            found = solve(numbers, 24)
            if found:
                return {"question": " ".join(map(str, numbers)), "numbers": numbers, "target": 24, "solution": found}


@dataclass(frozen=True)
class Countdown(Generated):
    """Numbers that reach a target with `+ - * /`, every number used exactly once. Made from a solution, so there is always one.

    Args:
        size: numbers in a puzzle, from 2 to 6.
        largest: numbers are drawn from 1 to this.
        low, high: range of the target.
    """

    size: int = 4
    largest: int = 99
    low: int = 10
    high: int = 100
    name: ClassVar[str] = "countdown"
    answer: ClassVar[str] = "expression"

    def __post_init__(self) -> None:
        if not 2 <= self.size <= 6 or self.largest < 2 or not 0 < self.low <= self.high:
            raise UsageError(
                f"countdown: size 2 to 6, largest 2 or more, 0 < low <= high; got size={self.size}, largest={self.largest}, {self.low} to {self.high}"
            )

    def one(self, rng: random.Random) -> Row:
        """One puzzle: random whole steps from random numbers until the value is in the range."""
        for _ in range(100_000):
            numbers = [rng.randint(1, self.largest) for _ in range(self.size)]
            parts = [(number, str(number)) for number in numbers]
            while len(parts) > 1:
                (a, left), (b, right) = (parts.pop(rng.randrange(len(parts))) for _ in range(2))
                signs = ["+", "*"] + ["-"] * (a > b) + ["/"] * (a % b == 0)
                sign = rng.choice(signs)
                value = {"+": a + b, "-": a - b, "*": a * b, "/": a // b}[sign]
                parts.append((value, f"({left} {sign} {right})"))
            target, solution = parts[0]
            if self.low <= target <= self.high:
                return {
                    "question": f"{' '.join(map(str, numbers))} -> {target}", "numbers": numbers, "target": target, "solution": solution[1:-1],
                }  # fmt: skip
        raise UsageError(f"countdown: no target from {self.low} to {self.high} was found; widen the range")


def solve(numbers: list[int], target: int) -> str | None:
    """An expression that uses every number once and has exactly this value; None if there is none. Exact, over all orders and brackets."""

    def search(parts: list[tuple[Fraction, str]]) -> str | None:
        if len(parts) == 1:
            return parts[0][1] if parts[0][0] == target else None
        for i, j in combinations(range(len(parts)), 2):
            rest = [part for k, part in enumerate(parts) if k not in (i, j)]
            for value, text in _joined(parts[i], parts[j]):
                found = search([*rest, (value, text)])
                if found:
                    return found
        return None

    found = search([(Fraction(number), str(number)) for number in numbers])
    return found[1:-1] if found and found.startswith("(") else found


def _joined(one: tuple[Fraction, str], other: tuple[Fraction, str]) -> Iterator[tuple[Fraction, str]]:
    (a, left), (b, right) = one, other
    yield a + b, f"({left} + {right})"
    yield a * b, f"({left} * {right})"
    yield a - b, f"({left} - {right})"
    yield b - a, f"({right} - {left})"
    if b:
        yield a / b, f"({left} / {right})"
    if a:
        yield b / a, f"({right} / {left})"


GENERATORS: dict[str, type[Generated]] = {cls.name: cls for cls in (Arithmetic, WordProblems, Game24, Countdown)}


def generator(spec: str) -> Generated:
    """The generator of a spec such as `arithmetic(n=50, digits=2)` or `arithmetic`.

    Raises:
        UsageError: malformed, an unknown name or knob (with the nearest known one), or a value of another type than the knob's.
    """
    try:
        node: ast.expr = ast.parse(spec.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UsageError(f"problems {spec!r}: write a generated set as name(knob=value, ...), such as arithmetic(n=50)") from None
    given = node.keywords if isinstance(node, ast.Call) and not node.args else []
    head = node.func if isinstance(node, ast.Call) and not node.args else node
    if not isinstance(head, ast.Name):
        raise UsageError(f"problems {spec!r}: write a generated set as name(knob=value, ...), such as arithmetic(n=50)")
    cls = GENERATORS.get(head.id)
    if cls is None:
        raise UsageError(f"unknown generated set {head.id!r}.{nearest(head.id, list(GENERATORS))}")
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    values: dict[str, int | str] = {}
    for keyword in given:
        if keyword.arg is None or keyword.arg not in defaults:
            raise UsageError(f"{head.id}: no knob {keyword.arg!r}.{nearest(keyword.arg or '', list(defaults))}")
        value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
        expected = type(defaults[keyword.arg])
        if type(value) is not expected or not isinstance(value, (int, str)):
            raise UsageError(f"{head.id}: {keyword.arg} takes {expected.__name__}, got {ast.unparse(keyword.value)}")
        values[keyword.arg] = value
    made = cls(**values)  # type: ignore[arg-type]  # checked above, knob by knob
    if made.n < 1:
        raise UsageError(f"{head.id}: n must be 1 or more, got {made.n}")
    return made
