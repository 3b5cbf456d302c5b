"""The embedded engine: any GGUF file, in this process, through llama.cpp.

Samples of one prompt share its prefill and are generated in one batch. Every sample has its own seed: sample i of n is the text that
it would be alone. Other requests in the same batch, or a prompt found in the cache, can change the last bits of a probability and so,
now and then, a token: two runs of a program agree closely, not exactly. What is recorded stays as it is.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio

from outthink.core.completion import Chunk, Completion, Failure, Finish, TokenLogprobs, Usage
from outthink.core.errors import CapabilityError, ModelError
from outthink.core.request import Capture, Draw, Message, Prefix, Request
from outthink.core.spend import Price
from outthink.models import _llama

Prompt = str | list[int]


class EmbeddedModel:
    """A GGUF model in this process.

    Args:
        path: the file.
        price: what tokens cost; by default FLOPs from the file's parameter count, and no dollars.
        threads: by default one for each core.
        context: most tokens of one sample with its prompt.
        slots: samples generated at once.

    Raises:
        ModelError: at first use, if the file cannot be loaded.
    """

    engine = "llama.cpp"
    shares_prompt = True

    def __init__(self, path: Path | str, *, price: Price | None = None, threads: int | None = None, context: int = 2048, slots: int = 16) -> None:
        self.path = Path(path)
        self.name = self.path.stem.lower()
        self.context = context
        self.slots = slots
        self._threads = threads or os.cpu_count() or 1
        self._price = price
        self._counted = functools.lru_cache(maxsize=10_000)(self._count)
        self._rendered = functools.lru_cache(maxsize=10_000)(self._render)

    @functools.cached_property
    def _engine(self) -> _llama.Engine:
        return _llama.Engine(self.path, context=self.context, slots=self.slots, threads=self._threads)

    @functools.cached_property
    def price(self) -> Price:
        """What tokens cost: the given price, or FLOPs from the model's size."""
        if self._price is not None:
            return self._price
        listed = self._engine.ask("/v1/models")["data"][0].get("meta") or {}
        return Price(parameters=float(listed.get("n_params", 0.0)))

    def refuses(self, request: Request) -> str | None:
        """Images, tools, self-certainty, hidden states, and prompts that leave no room in the context."""
        capture = request.capture
        if any(not isinstance(message.content, str) for message in request.messages):
            return f"{self.name}: the embedded engine takes text only; for images use a server with a vision model (--model http://host:port/v1)"
        if any(message.tool_calls or message.role == "tool" for message in request.messages):
            return f"{self.name}: the embedded engine has no tool calls; use an OpenAI-compatible server"
        if capture.self_certainty or capture.hidden:
            return f"{self.name}: self-certainty and hidden states need the whole vocabulary and the layers; use the transformers backend"
        prompt = self.prompt_bound(request)
        if prompt + request.sampling.max_tokens > self.context:
            return (
                f"{self.name}: a prompt of {prompt} tokens and max_tokens {request.sampling.max_tokens} do not fit into its context of "
                f"{self.context}; lower max_tokens to {max(0, self.context - prompt)} or open the model with a larger context"
            )
        return None

    def prompt_bound(self, request: Request) -> int:
        """The exact number of prompt tokens."""
        return self._counted(request.messages, request.prefix)

    def _render(self, messages: tuple[Message, ...], prefix: Prefix | None) -> Prompt:
        turns = [{"role": message.role, "content": message.text} for message in messages]
        try:
            text: str = self._engine.ask("/apply-template", {"messages": turns})["prompt"]
        except _llama.Refused as error:
            raise CapabilityError(f"{self.name}: its chat template does not take these messages: {error}") from error
        if prefix is None:
            return text
        if prefix.token_ids is None:
            return text + prefix.text
        return [*self._tokens(text), *prefix.token_ids]

    def _tokens(self, text: str) -> list[int]:
        tokens: list[int] = self._engine.ask("/tokenize", {"content": text, "parse_special": True, "add_special": True})["tokens"]
        return tokens

    def _count(self, messages: tuple[Message, ...], prefix: Prefix | None) -> int:
        prompt = self._rendered(messages, prefix)
        return len(prompt) if isinstance(prompt, list) else len(self._tokens(prompt))

    async def stream(self, draws: Sequence[Draw]) -> AsyncGenerator[Chunk, None]:
        """Generate all draws at once; those of one request with consecutive seeds are one request to the engine."""
        send, receive = anyio.create_memory_object_stream[Chunk](1024)
        async with anyio.create_task_group() as group, receive:
            async with send:
                for positions in _groups(draws, self.slots):
                    group.start_soon(self._serve, draws, positions, send.clone())
            try:
                async for chunk in receive:
                    yield chunk
            except GeneratorExit:
                pass  # closed early: the end of the generator, which a task group would wrap in a group of exceptions
            finally:
                group.cancel_scope.cancel()

    async def _serve(self, draws: Sequence[Draw], positions: list[int], send: Any) -> None:
        capture = draws[positions[0]].request.capture
        writers = {index: _Writer(position, capture) for index, position in enumerate(positions)}
        async with send:
            try:
                async with contextlib.aclosing(self._engine.complete(self._body(draws[positions[0]], len(positions)))) as batches:
                    async for pieces in batches:
                        for chunk in _read(pieces, writers):
                            await send.send(chunk)
            except _llama.Refused as error:
                for writer in writers.values():
                    if not writer.ended:
                        await send.send(Chunk(writer.position, done=Failure("engine", f"{self.name}: {error}")))

    def _body(self, first: Draw, n: int) -> dict[str, object]:
        request, sampling = first.request, first.request.sampling
        body: dict[str, object] = {
            "prompt": self._rendered(request.messages, request.prefix), "n": n, "seed": first.seed, "stream": True,
            "stream_options": {"include_usage": True}, "max_tokens": sampling.max_tokens, "temperature": sampling.temperature,
            "top_p": sampling.top_p, "top_k": sampling.top_k, "min_p": 0.0, "n_probs": max(1, request.capture.top_logprobs),
        }  # fmt: skip
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.grammar:
            body["grammar"] = sampling.grammar
        if sampling.json_schema:
            body["json_schema"] = json.loads(sampling.json_schema)
        return body

    async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
        """Not possible: llama.cpp's server returns log probabilities of generated tokens only."""
        raise CapabilityError(f"{self.name}: the embedded engine cannot score given text; use a vLLM server or the transformers backend")

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Not possible: the engine is started for generation."""
        raise CapabilityError(f"{self.name}: the embedded engine gives no embeddings; use a server with /v1/embeddings")

    async def aclose(self) -> None:
        """Free the model's memory; a later call loads it again."""
        engine = self.__dict__.pop("_engine", None)
        if engine is not None:
            await anyio.to_thread.run_sync(engine.close)


def _groups(draws: Sequence[Draw], most: int) -> list[list[int]]:
    # the engine gives the i-th of n samples the seed of the request plus i: consecutive seeds can be one request
    groups: list[list[int]] = []
    order = sorted(range(len(draws)), key=lambda position: (draws[position].request.digest, draws[position].seed))
    for before, position in pairwise([None, *order]):
        assert position is not None
        follows = (
            before is not None
            and draws[before].request.digest == draws[position].request.digest
            and draws[before].seed + 1 == draws[position].seed
            and len(groups[-1]) < most
        )
        if follows:
            groups[-1].append(position)
        else:
            groups.append([position])
    return sorted(groups, key=min)


def _read(pieces: list[dict[str, Any]], writers: dict[int, _Writer]) -> list[Chunk]:
    # one chunk a sample for all its pieces
    chunks: dict[int, Chunk] = {}
    for piece in pieces:
        for choice in piece["choices"]:
            new = writers[choice["index"]].read(choice, piece.get("usage"))
            before = chunks.get(new.position)
            chunks[new.position] = new if before is None else Chunk(
                new.position, before.text + new.text, tokens=before.tokens + new.tokens, done=new.done
            )  # fmt: skip
    return list(chunks.values())


class _Writer:
    """Puts one sample together from its pieces."""

    def __init__(self, position: int, capture: Capture) -> None:
        self.position = position
        self._capture = capture
        self.ended = False
        self._text: list[str] = []
        self._ids: list[int] = []
        self._logprobs: list[float] = []
        self._top: list[tuple[tuple[str, float], ...]] = []

    def read(self, choice: dict[str, Any], usage: dict[str, Any] | None) -> Chunk:
        places = (choice.get("logprobs") or {}).get("content") or []
        for place in places:
            self._ids.append(place["id"])
            self._logprobs.append(place["logprob"])
            self._top.append(tuple((other["token"], other["logprob"]) for other in place["top_logprobs"]))
        self._text.append(choice["text"])
        reason = choice.get("finish_reason")
        if reason is None:
            return Chunk(self.position, text=choice["text"], tokens=len(places))
        if usage is None:
            raise ModelError("llama.cpp ended a sample without its usage; this version of xllamacpp is not supported")
        self.ended = True
        text = "".join(self._text)
        finish: Finish = "length" if reason == "length" else "stop"
        counted = Usage(
            usage["prompt_tokens"], usage["completion_tokens"], (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0), "reported"
        )
        # the engine reports one entry a character: of a character that takes several tokens all but the last are lost
        lost = not text.isascii() and len(self._ids) < counted.completion_tokens - 1
        completion = Completion(
            text, finish, counted, token_ids=None if lost else tuple(self._ids), logprob=None if lost else sum(self._logprobs),
            token_logprobs=tuple(self._logprobs) if self._capture.token_logprobs and not lost else None,
            top_logprobs=tuple(self._top) if self._capture.top_logprobs else None,
        )  # fmt: skip
        return Chunk(self.position, text=choice["text"], tokens=len(places), done=completion)
