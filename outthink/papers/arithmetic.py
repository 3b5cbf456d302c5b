"""Generated arithmetic with its keys, for reproductions on small real models: the same exercise under several prompts."""

from __future__ import annotations

import random
from dataclasses import dataclass

from outthink.core.problem import Problem
from outthink.core.request import Message
from outthink.problems.generated import Arithmetic
from outthink.problems.numbers import Number
from outthink.problems.prompts import prompt_of

PROMPTS = {
    "direct": "{question} Reply with the number only.",
    "cot": "{question} Work it out step by step, and give the result at the end.",
}
"""What chain of thought is held against: the same question, with and without a request for the work. No form of the last line is shown:
small models copy it ("The answer is N.") in place of the answer."""


@dataclass(frozen=True)
class Exercise:
    """One question and its value."""

    id: str
    question: str
    key: str

    def problem(self, prompt: str) -> Problem:
        """The exercise under one of `PROMPTS`, or under a prompt of `outthink.problems.prompts`."""
        if prompt not in PROMPTS:
            known = prompt_of(prompt)
            return Problem(self.id, known.messages(self.question), Number(), prompt_version=known.label())
        asked = Message("user", PROMPTS[prompt].format(question=self.question))
        return Problem(self.id, (asked,), Number(), prompt_version=f"arithmetic-{prompt}/1")


def sums(count: int, *, digits: int, seed: int) -> list[Exercise]:
    """Sums of two numbers of that many digits."""
    rows = Arithmetic(n=count, seed=seed, digits=digits).rows()
    return [Exercise(str(row["id"]), str(row["question"]), str(row["answer"])) for row in rows]


def products(count: int, *, seed: int) -> list[Exercise]:
    """Two steps: a product of a two-digit and a one-digit number, plus or minus a two-digit number."""
    rng = random.Random(f"products/{seed}")
    made = []
    for number in range(count):
        a, b, c, sign = rng.randint(11, 99), rng.randint(3, 9), rng.randint(11, 99), rng.choice((1, -1))
        made.append(Exercise(f"product/{number}", f"What is {a} * {b} {'+' if sign > 0 else '-'} {c}?", str(a * b + sign * c)))
    return made
