"""Teacher forcing against a toy engine whose every evaluation is a little different, as a quantised model's is."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from outthink.core.errors import ModelError
from outthink.models._forced import Place, at, inside, places
from outthink.models._llama import Engine

WORDS = 3000
INSIDE = frozenset({5, 6, 2999})  # tokens that end inside a character: generated but not reported
LETTER = 7


class Toy:
    """Speaks the engine's protocol: one token is generated, by bias, and its log probability told with those of the likeliest."""

    letter = LETTER

    def __init__(self) -> None:
        self.contexts: list[tuple[int, ...]] = []

    def distribution(self, context: tuple[int, ...], noise: random.Random | None = None) -> list[float]:
        rng = random.Random(str(context))
        weights = [rng.gauss(0, 3) + (noise.gauss(0, 0.2) if noise else 0.0) for _ in range(WORDS)]
        total = math.log(math.fsum(map(math.exp, weights)))
        return [weight - total for weight in weights]

    async def complete(self, body: dict[str, Any]) -> AsyncGenerator[list[dict[str, Any]], None]:
        await anyio.lowlevel.checkpoint()
        context = tuple(body["prompt"])
        self.contexts.append(context)
        logprobs = self.distribution(context, random.Random(len(self.contexts)))
        ((token, _),) = body["logit_bias"]
        token = token if token < WORDS else max(range(WORDS), key=lambda t: logprobs[t])
        ranked = sorted(range(WORDS), key=lambda t: -logprobs[t])[: body["n_probs"]]
        content = [] if token in INSIDE else [{**entry(token, logprobs), "top_logprobs": [entry(t, logprobs) for t in ranked]}]
        yield [{"choices": [{"logprobs": {"content": content}}]}]


def entry(token: int, logprobs: Sequence[float]) -> dict[str, Any]:
    return {"id": token, "token": str(token), "bytes": list(str(token).encode()), "logprob": logprobs[token]}


def read(toy: Toy, prompt: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[list[Place]]:
    return anyio.run(places, cast(Engine, toy), prompt, continuations)


def test_all_tokens_of_one_place_are_one_distribution() -> None:
    toy = Toy()
    found = read(toy, [1, 2], [[token] for token in range(WORDS)])
    assert math.fsum(math.exp(place.logprob) for (place,) in found) == pytest.approx(1.0)
    assert [place.token for (place,) in found] == list(range(WORDS))
    assert set(toy.contexts) == {(1, 2)}


def test_a_common_beginning_is_read_once() -> None:
    toy = Toy()
    found = read(toy, [1], [[10, 11, 12], [10, 11, 13], [10], [], [20, 21]])
    assert [[place.token for place in each] for each in found] == [[10, 11, 12], [10, 11, 13], [10], [], [20, 21]]
    assert found[0][:2] == found[1][:2]
    assert found[0][0] == found[2][0]
    # a token that is not among the likeliest is asked for again with more of them
    assert set(toy.contexts) == {(1,), (1, 10), (1, 10, 11), (1, 20)}
    assert toy.contexts.count((1, 10)) == 1


@pytest.mark.parametrize("token", [*sorted(INSIDE), LETTER, 100])
def test_each_token_has_its_probability_after_those_before_it(token: int) -> None:
    toy = Toy()
    (found,) = read(toy, [3], [[8, token, 9]])
    for place, context in zip(found, [(3,), (3, 8), (3, 8, token)], strict=True):
        assert place.logprob == pytest.approx(toy.distribution(context)[place.token], abs=1.5)  # noise 0.2 on each of 3000 logits
        assert place.text == str(place.token)


def test_the_likeliest_tokens_come_with_a_place() -> None:
    toy = Toy()
    for token in (5, 100):
        (place,) = anyio.run(at, cast(Engine, toy), [1], [token], 3).values()
        assert len(place.top) == 3
        assert place.top[0][1] == max(logprob for _, logprob in place.top)


def test_a_token_inside_a_character_costs_what_it_is_said_to_cost() -> None:
    for token in sorted(INSIDE):
        for most in range(4):
            toy = Toy()
            place, steps = anyio.run(inside, cast(Engine, toy), [1], token, 3, most)
            assert steps == len(toy.contexts) <= most
            assert place is None or (place.token == token and len(place.top) == 3)
        assert place is not None
        assert place.logprob == pytest.approx(toy.distribution((1,))[token], abs=1.5)


@pytest.mark.parametrize("tokens", [[WORDS], [10, WORDS]])
def test_a_token_that_is_not_in_the_vocabulary_is_named(tokens: list[int]) -> None:
    with pytest.raises(ModelError, match=f"no token {WORDS}"):
        read(Toy(), [1], [[token] for token in tokens])
