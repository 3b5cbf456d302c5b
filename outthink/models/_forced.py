"""Teacher forcing on llama.cpp: log probabilities of tokens that are given, each read where the model would generate it.

The engine tells log probabilities of generated tokens only, from the model's own softmax at temperature 1, before any sampler. So a
given token is made the generated one by a bias that no other token can reach, which does not touch what is told: one step of the
model a token, as in generation, after a prompt that stays in the engine's cache.

What a quantised model computes at a place depends a little on how it came there (in one batch or token by token, beside which other
texts): measured with the 4-bit default model, by up to 0.25 nats from 64 tokens of context on, by nothing below. Tokens that are wanted at
one place are therefore read from one evaluation, so that their probabilities belong to one distribution.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from outthink.core.completion import TokenLogprobs
from outthink.core.errors import ModelError
from outthink.core.together import together
from outthink.models import _llama

_CERTAIN = 1e9  # added to a logit; others are in the tens
# A token that is not the generated one is looked for among the likeliest; it takes the engine long to write many of them.
_ALTERNATIVES = (50, 2_000, 1 << 20)
# Prompt tokens that the engine reads in the time of one generated token: 1.7 to 2.9 with the default model on one busy core.
_PREFILL = 2


class Engine(Protocol):
    """What is asked for tokens: llama.cpp in this process, or its server."""

    @property
    def letter(self) -> int:
        """A token that is one letter."""
        ...

    def complete(self, body: dict[str, object]) -> AsyncGenerator[list[dict[str, Any]], None]:
        """The replies to a completion, in pieces; see `_llama.Engine.complete`."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """A token at its place: its text, its log probability (nats), and the likeliest tokens there with theirs."""

    token: int
    text: str
    logprob: float
    top: tuple[tuple[str, float], ...]


async def inside(engine: Engine, before: Sequence[int], token: int, top: int, most: int) -> tuple[Place | None, int]:
    """How probable a token is that ends inside a character, in as few steps of the model as it takes.

    Args:
        engine: the model.
        before: prompt and tokens before the place.
        token: which one.
        top: how many alternatives to return with it.
        most: steps that may be spent on it.

    Returns:
        The place, or None where that many steps did not tell it; and the steps that were spent.

    Raises:
        Refused: the engine's own message.
    """
    stages = _ALTERNATIVES[:most]
    for steps, many in enumerate(stages, 1):
        (entry,) = await _generated(engine, before, engine.letter, max(many, top))
        listed = _listed(entry)
        if token in listed:
            return _place(listed[token], entry, top), steps
    return None, len(stages)


async def at(engine: Engine, before: Sequence[int], tokens: Sequence[int], top: int = 0) -> dict[int, Place]:
    """How probable each of several tokens is at one place.

    Args:
        engine: the model.
        before: prompt and tokens before the place.
        tokens: which ones.
        top: how many alternatives to return with each.

    Raises:
        Refused: the engine's own message.
        ModelError: a token is not in the vocabulary.
    """
    stages = iter(_ALTERNATIVES if len(tokens) > 1 else (1, *_ALTERNATIVES))
    forced, many = tokens[0], next(stages)
    while True:
        reported = await _generated(engine, before, forced, max(many, top))
        if not reported:  # a token that ends inside a character is not reported: a letter is generated in its place
            forced, many = engine.letter, many if many > 1 else next(stages)
            continue
        (entry,) = reported
        if entry["id"] != forced:
            raise _unknown(forced)
        listed = _listed(entry)
        missing = [token for token in tokens if token not in listed]
        if not missing:
            return {token: _place(listed[token], entry, top) for token in tokens}
        if many == _ALTERNATIVES[-1]:
            raise _unknown(missing[0])
        many = next(stages)


def _unknown(token: int) -> ModelError:
    return ModelError(f"the model has no token {token}; token ids must be those of its own vocabulary")


def _listed(entry: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {entry["id"]: entry} | {other["id"]: other for other in entry["top_logprobs"]}


def _place(told: dict[str, Any], entry: dict[str, Any], top: int) -> Place:
    return Place(told["id"], bytes(told["bytes"]).decode(errors="replace"), told["logprob"], alternatives(entry, top))


def alternatives(entry: dict[str, Any], top: int) -> tuple[tuple[str, float], ...]:
    """The likeliest tokens of an entry of the engine, as many as asked."""
    return tuple((other["token"], other["logprob"]) for other in entry["top_logprobs"][:top])


async def _generated(engine: Engine, before: Sequence[int], token: int, many: int) -> list[dict[str, Any]]:
    body: dict[str, object] = {
        "prompt": list(before), "max_tokens": 1, "temperature": 0.0, "n_probs": many, "logit_bias": [[token, _CERTAIN]],
    }  # fmt: skip
    found: list[dict[str, Any]] = []
    async with contextlib.aclosing(engine.complete(body)) as batches:
        async for replies in batches:
            for reply in replies:
                found += (reply["choices"][0].get("logprobs") or {}).get("content") or []
    return found


async def places(engine: Engine, prompt: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[list[Place]]:
    """The places of all tokens of several continuations of one prompt.

    Where continuations begin alike, they are read once. Where they part, they go on side by side in several lanes, each of which
    reads the prompt once; as many as that is worth.

    Raises:
        Refused: the engine's own message.
        ModelError: a token that is not in the vocabulary.
    """
    found: list[list[Place]] = [[] for _ in continuations]

    async def read(members: list[int]) -> list[list[int]]:
        # the next place of continuations that are alike so far; those that go on alike after it
        depth = len(found[members[0]])
        before = [*prompt, *continuations[members[0]][:depth]]
        wanted: dict[int, list[int]] = {}
        for member in members:
            wanted.setdefault(continuations[member][depth], []).append(member)
        here = await at(engine, before, list(wanted))
        for token, those in wanted.items():
            for member in those:
                found[member].append(here[token])
        return [going for those in wanted.values() if (going := [m for m in those if len(continuations[m]) > depth + 1])]

    waiting = await read(first) if (first := [m for m, tokens in enumerate(continuations) if tokens]) else []
    number = lanes(len(prompt), [sum(len(continuations[m]) for m in group) for group in waiting])
    waiting.reverse()

    async def lane() -> None:
        while waiting:
            branch = [waiting.pop()]
            while branch:
                branch += (await read(branch.pop()))[::-1]

    await together([lane] * number)
    return found


async def scores(engine: Engine, prompt: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[TokenLogprobs]:
    """The log probabilities (nats) of several continuations of one prompt; see `places`."""
    found = await places(engine, prompt, continuations)
    return [TokenLogprobs(tuple(p.text for p in each), tuple(p.logprob for p in each), len(prompt)) for each in found]


def lanes(prompt: int, lengths: Sequence[int]) -> int:
    """In how many lanes continuations of these lengths go side by side: one more where it saves more steps than reading the prompt again costs."""
    number, steps = 1, sum(lengths)
    while number < min(len(lengths), _llama.IN_FLIGHT) and steps / number - steps / (number + 1) > prompt / _PREFILL:
        number += 1
    return number
