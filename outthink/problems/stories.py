"""Word problems with several steps, written for outthink: a first sentence, one a step, a question.

Every value on the way is a whole number above 0.
"""

from __future__ import annotations

import random
from collections.abc import Callable

_NAMES = ("Amara", "Ben", "Chiara", "Deniz", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Luis", "Mira", "Noah", "Olga", "Priya")
_THINGS = (
    ("apples", "a basket", "at the market"), ("stickers", "an album", "in a shop"), ("marbles", "a box", "at school"),
    ("books", "a shelf", "at a fair"),
    ("cookies", "a tin", "in the kitchen"), ("shells", "a bucket", "at the beach"), ("pencils", "a case", "in the classroom"),
)  # fmt: skip

Step = Callable[[random.Random, int, str, str], tuple[str, int, str]]
"""(random numbers, count before, name, thing) to (sentence, count after, calculation)."""


def _gets(rng: random.Random, count: int, name: str, thing: str) -> tuple[str, int, str]:
    more = rng.randint(3, 40)
    return f"Then a friend gives {name} {more} more {thing}.", count + more, f"{count} + {more} = {count + more}"


def _loses(rng: random.Random, count: int, name: str, thing: str) -> tuple[str, int, str]:
    if count < 2:
        return _gets(rng, count, name, thing)
    fewer = rng.randint(1, count - 1)
    return f"{name} gives {fewer} {thing} away.", count - fewer, f"{count} - {fewer} = {count - fewer}"


def _bundles(rng: random.Random, count: int, name: str, thing: str) -> tuple[str, int, str]:
    bags, each = rng.randint(2, 6), rng.randint(2, 9)
    after = count + bags * each
    return f"Next, {name} buys {bags} bags with {each} {thing} each.", after, f"{bags} * {each} = {bags * each}, {count} + {bags * each} = {after}"


def _multiplies(rng: random.Random, count: int, name: str, thing: str) -> tuple[str, int, str]:
    times = rng.choice((2, 3))
    word = {2: "doubles", 3: "triples"}[times]
    return f"During the week {name} {word} the number of {thing}.", count * times, f"{count} * {times} = {count * times}"


def _shares(rng: random.Random, count: int, name: str, thing: str) -> tuple[str, int, str]:
    divisors = [d for d in (2, 3, 4, 5) if count % d == 0 and count > d]
    if not divisors:
        return _loses(rng, count, name, thing)
    people = rng.choice(divisors)
    sentence = f"{name} divides all the {thing} evenly among {people} people, one of whom is {name}, and keeps one share."
    return sentence, count // people, f"{count} / {people} = {count // people}"


_STEPS: tuple[Step, ...] = (_gets, _loses, _bundles, _multiplies, _shares)


def story(rng: random.Random, steps: int) -> tuple[str, int, str]:
    """Question, answer and rationale of one story.

    Args:
        rng: where its names and numbers come from.
        steps: sentences that change the count; a sentence about bags takes two calculations. A step that the count does not allow is replaced.
    """
    name = rng.choice(_NAMES)
    thing, holder, place = rng.choice(_THINGS)
    count = rng.randint(6, 60)
    sentences, lines = [f"{name} has {holder} with {count} {thing} {place}."], []
    for step in rng.sample(_STEPS, steps):
        sentence, count, line = step(rng, count, name, thing)
        sentences.append(sentence)
        lines.append(line)
    sentences.append(f"How many {thing} does {name} have now?")
    return " ".join(sentences), count, "\n".join([*lines, f"{name} has {count} {thing}."])
