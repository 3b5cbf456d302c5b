"""Generated arithmetic with its keys, for reproductions on small real models: the same exercise under two prompts."""

from __future__ import annotations

import random
from dataclasses import dataclass

from outthink.core.problem import Problem
from outthink.core.request import Message
from outthink.problems.numbers import Number

PROMPTS = {
    "direct": "What is {expression}? Reply with the number only.",
    "cot": "What is {expression}? Work it out step by step, then end with one line: The answer is N.",
}


@dataclass(frozen=True)
class Exercise:
    """One expression and its value."""

    id: str
    expression: str
    key: str

    def problem(self, prompt: str) -> Problem:
        """The exercise under one of `PROMPTS`."""
        asked = Message("user", PROMPTS[prompt].format(expression=self.expression))
        return Problem(self.id, (asked,), Number(), prompt_version=f"arithmetic-{prompt}/1")


def sums(count: int, *, seed: int) -> list[Exercise]:
    """Sums of two one-digit numbers, drawn with replacement from the 81 that there are."""
    rng = random.Random(f"sums/{seed}")
    return [_exercise(f"sum/{number}", f"{rng.randint(1, 9)} + {rng.randint(1, 9)}") for number in range(count)]


def products(count: int, *, seed: int) -> list[Exercise]:
    """Two steps: a product of a two-digit and a one-digit number, plus or minus a two-digit number."""
    rng = random.Random(f"products/{seed}")
    return [
        _exercise(f"product/{number}", f"{rng.randint(11, 99)} * {rng.randint(3, 9)} {rng.choice('+-')} {rng.randint(11, 99)}")
        for number in range(count)
    ]


def mixed(count: int, *, seed: int) -> list[Exercise]:
    """From easy to hard for a small model: sums and differences of one to three numbers of one to three digits, and small products."""
    rng = random.Random(f"mixed/{seed}")
    made = []
    for number in range(count):
        a, b, c = rng.randint(2, 9), rng.randint(11, 99), rng.randint(11, 99)
        shapes = (f"{b} + {a}", f"{b} + {c}", f"{b} - {a}", f"{a} * {rng.randint(3, 12)}", f"{b} + {c} - {a}", f"{a} * {b}")
        made.append(_exercise(f"mixed/{number}", shapes[number % len(shapes)]))
    return made


def _exercise(name: str, expression: str) -> Exercise:
    words = expression.split()
    # left to right is right here: a product only ever stands first
    value = int(words[0])
    for operator, operand in zip(words[1::2], words[2::2], strict=True):
        number = int(operand)
        value = value * number if operator == "*" else value + number if operator == "+" else value - number
    return Exercise(name, expression, str(value))
