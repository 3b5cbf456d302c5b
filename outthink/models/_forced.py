"""Teacher forcing on the embedded engine: log probabilities of tokens that are given, each read where the model would generate it.

The engine tells log probabilities of generated tokens only, from the model's own softmax at temperature 1, before any sampler. So a
given token is made the generated one by a bias that no other token can reach, which does not touch what is told: one step of the
model a token, as in generation, after a prompt that stays in the engine's cache.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from outthink.core.errors import ModelError
from outthink.core.together import together
from outthink.models import _llama

_CERTAIN = 1e9  # added to a logit; others are in the tens
# The engine does not report a token that ends inside a character. It is then looked for among the alternatives of another one, of
# which it takes the engine long to write many.
_ALTERNATIVES = (50, 2_000, 1 << 20)
# Prompt tokens that the engine reads in the time of one generated token: 1.7 to 2.9 with the default model on one busy core.
_PREFILL = 2


@dataclass(frozen=True, slots=True)
class Place:
    """A token at its place: its text, its log probability (nats), and the likeliest tokens there with theirs."""

    token: int
    text: str
    logprob: float
    top: tuple[tuple[str, float], ...]


async def place(engine: _llama.Engine, before: Sequence[int], token: int, top: int = 0) -> Place:
    """How probable a token is after others.

    Args:
        engine: the model.
        before: prompt and tokens before it.
        token: which one.
        top: how many alternatives to return.

    Raises:
        Refused: the engine's own message.
        ModelError: the token is not in the vocabulary.
    """
    unknown = ModelError(f"the model has no token {token}; token ids must be those of its own vocabulary")
    for forced in await _generated(engine, before, token, max(1, top)):
        if forced["id"] != token:
            raise unknown
        return Place(token, forced["token"], forced["logprob"], alternatives(forced, top))
    for many in _ALTERNATIVES:
        (other,) = await _generated(engine, before, engine.letter, max(many, top))
        for entry in other["top_logprobs"]:
            if entry["id"] == token:
                return Place(token, bytes(entry["bytes"]).decode(errors="replace"), entry["logprob"], alternatives(other, top))
    raise unknown


def alternatives(entry: dict[str, Any], top: int) -> tuple[tuple[str, float], ...]:
    """The likeliest tokens of an entry of the engine, as many as asked."""
    return tuple((other["token"], other["logprob"]) for other in entry["top_logprobs"][:top])


async def _generated(engine: _llama.Engine, before: Sequence[int], token: int, many: int) -> list[dict[str, Any]]:
    body: dict[str, object] = {
        "prompt": list(before), "max_tokens": 1, "temperature": 0.0, "n_probs": many, "logit_bias": [[token, _CERTAIN]],
    }  # fmt: skip
    found: list[dict[str, Any]] = []
    async with contextlib.aclosing(engine.complete(body)) as batches:
        async for replies in batches:
            for reply in replies:
                found += (reply["choices"][0].get("logprobs") or {}).get("content") or []
    return found


async def places(engine: _llama.Engine, prompt: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[list[Place]]:
    """The places of all tokens of several continuations of one prompt.

    Continuations go side by side in several lanes, each of which reads the prompt once; as many as that is worth.

    Raises:
        Refused: the engine's own message.
        ModelError: a token that is not in the vocabulary.
    """
    found: list[list[Place]] = [[] for _ in continuations]
    waiting = list(enumerate(continuations))[::-1]

    async def lane() -> None:
        while waiting:
            position, tokens = waiting.pop()
            before = list(prompt)
            for token in tokens:
                found[position].append(await place(engine, before, token))
                before.append(token)

    await together([lane] * lanes(len(prompt), [len(tokens) for tokens in continuations]))
    return found


def lanes(prompt: int, lengths: Sequence[int]) -> int:
    """In how many lanes continuations of these lengths go side by side: one more where it saves more steps than reading the prompt again costs."""
    number, steps = 1, sum(lengths)
    while number < min(len(lengths), _llama.IN_FLIGHT) and steps / number - steps / (number + 1) > prompt / _PREFILL:
        number += 1
    return number
