"""Teacher-forced scores through raw completions that echo their prompt, and embeddings."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from functools import partial

from outthink.core.completion import Basis, Embedding, TokenLogprobs
from outthink.core.errors import CapabilityError, ModelError
from outthink.core.request import Prefix
from outthink.core.together import together
from outthink.models._errors import Rejected, Unserved
from outthink.models._reply import BYTES_PER_TOKEN, Reported, share
from outthink.models._service import Server

# what is asked, and who has it
_SCORES = "prompt log probabilities", "the embedded engine and the servers of llama.cpp, vLLM and SGLang have them"
_EMBEDDINGS = "embeddings", "the embedded engine has them; or serve a model made for them (vLLM), or start llama.cpp with --embeddings"
_TEXTS = 256  # of one request; servers refuse more than some hundreds or thousands


async def scored_each(server: Server, prompt: str, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
    """Score several continuations of one prompt at once, each in a request of its own.

    Raises:
        CapabilityError: the server does not return log probabilities of a prompt, or is given tokens in place of a text.
    """
    if any(continuation.token_ids and not continuation.text for continuation in continuations):
        who = f"{server.model} at {server.transport.shown_url}"
        raise CapabilityError(f"{who} scores texts, not token ids; give the text, or use llama.cpp's server or the embedded engine")
    found: dict[int, TokenLogprobs] = {}

    async def one(position: int) -> None:
        found[position] = await scored(server, prompt, continuations[position].text)

    await together(partial(one, position) for position in range(len(continuations)))
    return [found[position] for position in range(len(continuations))]


async def scored(server: Server, prompt: str, continuation: str) -> TokenLogprobs:
    """Log probabilities (nats) of the continuation's tokens after the prompt.

    A token that begins in the prompt and ends in the continuation counts as the continuation's.

    Raises:
        CapabilityError: the server does not return log probabilities of a prompt.
    """
    whole = prompt + continuation
    # one token is generated and dropped: servers differ on whether max_tokens may be 0
    body = {"model": server.model, "prompt": whole, "max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0}
    reply = await _asked(server, "/completions", body, _SCORES)
    choices = reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    logprobs = choice.get("logprobs")
    columns = [logprobs.get(name) for name in ("tokens", "token_logprobs", "text_offset")] if isinstance(logprobs, dict) else []
    tokens, values, offsets = (column if isinstance(column, list) else [] for column in columns or [None] * 3)
    if not str(choice.get("text", "")).startswith(whole) or not tokens:
        raise CapabilityError(_lacks(server, _SCORES, "it did not echo the prompt with them"))
    if not len(tokens) == len(values) == len(offsets):
        counts = f"{len(tokens)} tokens with {len(values)} log probabilities and {len(offsets)} offsets"
        raise ModelError(f"{server.transport.shown_url} returned {counts}; it must return as many of each")
    if min(offsets) < 0:  # SGLang writes -1 for all
        offsets = [0, *itertools.accumulate(len(str(token)) for token in tokens)][:-1]
        if "".join(map(str, tokens)) != choice["text"]:
            raise CapabilityError(_lacks(server, _SCORES, "it does not say where a token begins, and the tokens do not join to the text"))
    kept, before = [], 0
    for token, value, offset in zip(tokens, values, offsets, strict=True):
        # vLLM shows the bytes of a character that several tokens make as "" until its last token: "" at the seam begins the continuation.
        # Without a log probability it is the mark of the beginning before an empty prompt
        begins = not token and offset == len(prompt) and value is not None
        if offset + len(token) <= len(prompt) and not begins:
            before += 1
        elif offset < len(whole):
            if not isinstance(value, int | float):
                raise ModelError(f"{server.transport.shown_url} returned no log probability for the token {token!r}; give a prompt before it")
            kept.append((str(token), float(value)))
    if continuation and not kept:
        raise CapabilityError(_lacks(server, _SCORES, "it placed none of the tokens in the continuation"))
    return TokenLogprobs(tuple(token for token, _ in kept), tuple(value for _, value in kept), before)


async def embeddings(server: Server, texts: list[str]) -> list[Embedding]:
    """One vector for each text, in order; the tokens that the server reports for all are shared out by length.

    Raises:
        CapabilityError: the server has no embeddings.
        ModelError: it returned another number of vectors than texts.
    """
    return [each for start in range(0, len(texts), _TEXTS) for each in await _embedded(server, texts[start : start + _TEXTS])]


async def _embedded(server: Server, texts: list[str]) -> list[Embedding]:
    reply = await _asked(server, "/embeddings", {"model": server.model, "input": texts}, _EMBEDDINGS)
    data = reply.get("data")
    entries = [entry for entry in data if isinstance(entry, dict) and isinstance(entry.get("embedding"), list)] if isinstance(data, list) else []
    if len(entries) != len(texts):
        raise ModelError(f"{server.transport.shown_url} returned {len(entries)} embeddings for {len(texts)} texts; it must return one each")
    entries.sort(key=lambda entry: entry.get("index", 0))
    reported = Reported.of(reply).prompt
    sizes = [len(text.encode()) for text in texts]
    counts = [round(size / BYTES_PER_TOKEN) + 1 for size in sizes] if reported is None else share(reported, sizes)
    basis: Basis = "reported" if reported is not None and len(texts) == 1 else "estimated"
    return [Embedding(tuple(float(value) for value in entry["embedding"]), count, basis) for entry, count in zip(entries, counts, strict=True)]


async def _asked(server: Server, path: str, body: dict[str, object], what: tuple[str, str]) -> dict[str, object]:
    try:
        return await server.transport.post(path, json.dumps(body).encode())
    except Rejected as refusal:
        raise CapabilityError(_lacks(server, what, f"status {refusal.status}: {refusal.message}")) from refusal
    except Unserved as unserved:
        raise ModelError(unserved.message) from unserved


def _lacks(server: Server, what: tuple[str, str], said: str) -> str:
    thing, remedy = what
    return f"{server.model} at {server.transport.shown_url} has no {thing} ({said}); {remedy}"
