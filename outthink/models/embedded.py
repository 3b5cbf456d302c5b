"""The embedded engine: any GGUF file, in this process, through llama.cpp.

Samples of one prompt share its prefill and are generated in one batch. Every sample has its own seed: sample i of n is the text that
it would be alone. Other requests in the same batch, or a prompt found in the cache, can change a log probability (measured with the 4-bit
default model: by up to 0.25 nats from 64 tokens of context on, by nothing below) and so, now and then, a token: two runs of a program agree
closely, not exactly. What is recorded stays as it is.

The engine does not tell a token that ends inside a character (of an emoji, of a rare Chinese character). Which it was follows from the
text and the vocabulary, or else from drawing the sample again with its seed; its log probability is read by generating it once more,
in one to three steps of the model. These tokens are charged with the sample's own and stay within its `max_tokens`, which is what was
reserved for it: a sample that has used them up has no log probability, and no token ids where the text does not tell them.
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

from outthink.core.completion import Chunk, Embedding, Failure, TokenLogprobs
from outthink.core.errors import CapabilityError, ModelError
from outthink.core.protocols import Scores
from outthink.core.request import Draw, Message, Prefix, Request
from outthink.core.spend import Price
from outthink.models import _gguf, _llama
from outthink.models._forced import inside, scores
from outthink.models._recover import Vocabulary
from outthink.models._writer import Writer, read

Prompt = str | list[int]
_POOLING = {1: "mean", 2: "cls", 3: "last"}  # as GGUF files number them
_TEXTS = 8  # embedded in one call of the engine, which cannot be cut


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
    exact_prompt = True
    scores: Scores = "once"

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
    def _embedder(self) -> _llama.Engine:
        # an engine of its own: pooling would change how the other one batches
        found = _gguf.metadata(self.path)
        pooling = found.get(f"{bytes(found.get('general.architecture', b'')).decode()}.pooling_type")  # type: ignore[arg-type]
        way = _POOLING.get(pooling, "mean") if isinstance(pooling, int) else "mean"
        return _llama.Engine(self.path, context=self.context, slots=4, threads=self._threads, pooling=way)

    @functools.cached_property
    def _vocabulary(self) -> Vocabulary | None:
        pieces = _gguf.pieces(self.path)
        return None if pieces is None else Vocabulary(pieces)

    @functools.cached_property
    def price(self) -> Price:
        """What tokens cost: the given price, or FLOPs from the model's size."""
        if self._price is not None:
            return self._price
        listed = self._engine.ask("/v1/models")["data"][0].get("meta") or {}
        return Price(parameters=float(listed.get("n_params", 0.0)))

    def refuses(self, request: Request) -> str | None:
        """Images, tools, self-certainty, hidden states, and prompts that leave no room in the context."""
        reason = self._unable(request)
        if reason:
            return reason
        prompt = self.prompt_bound(request)
        if prompt + request.sampling.max_tokens > self.context:
            return (
                f"{self.name}: a prompt of {prompt} tokens and max_tokens {request.sampling.max_tokens} do not fit into its context of "
                f"{self.context}; lower max_tokens to {max(0, self.context - prompt)} or open the model with a larger context"
            )
        return None

    def _unable(self, request: Request) -> str | None:
        capture = request.capture
        if any(not isinstance(message.content, str) for message in request.messages):
            return f"{self.name}: the embedded engine takes text only; for images use a server with a vision model (--model http://host:port/v1)"
        if any(message.tool_calls or message.role == "tool" for message in request.messages):
            return f"{self.name}: the embedded engine has no tool calls; use an OpenAI-compatible server"
        if capture.unserved:
            return f"{self.name}: {capture.unserved}"
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

    def _prompt_tokens(self, request: Request) -> list[int]:
        prompt = self._rendered(request.messages, request.prefix)
        return prompt if isinstance(prompt, list) else self._tokens(prompt)

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
        first = draws[positions[0]]
        writers = {index: Writer(position, first.request.capture) for index, position in enumerate(positions)}
        async with send, anyio.create_task_group() as group:
            try:
                async with contextlib.aclosing(self._engine.complete(self._body(first, len(positions)))) as batches:
                    async for pieces in batches:
                        ended = {writer.position for writer in writers.values() if writer.ended}
                        for chunk in read(pieces, writers):
                            await send.send(chunk)
                        for writer in writers.values():
                            if writer.ended and writer.lost and writer.position not in ended:
                                group.start_soon(self._find, draws[writer.position], writer, send)
            except _llama.Refused as error:
                for writer in writers.values():
                    if not writer.ended:
                        await send.send(Chunk(writer.position, done=Failure("engine", f"{self.name}: {error}")))

    async def _find(self, draw: Draw, writer: Writer, send: Any) -> None:
        # what the stream did not tell: which tokens these were, then how probable each was; as far as what was reserved for it reaches
        lost, room = writer.lost, draw.request.sampling.max_tokens - writer.count
        known = {at: told.token for at, told in writer.places.items()}
        writer.tokens = self._vocabulary.recover(writer.text.encode(), known, writer.count) if self._vocabulary else None
        if writer.tokens is None and writer.count + len(lost) <= room:
            writer.recovery += writer.count
            await send.send(Chunk(writer.position, tokens=writer.count))
            writer.tokens = await self._drawn_again(draw, known, writer.count)
        if writer.tokens is not None and len(lost) <= room:
            prompt, tokens, top = self._prompt_tokens(draw.request), writer.tokens, draw.request.capture.top_logprobs
            for at in lost:
                found, steps = await inside(self._engine, [*prompt, *tokens[:at]], tokens[at], top, room - writer.recovery)
                writer.recovery += steps
                await send.send(Chunk(writer.position, tokens=steps))
                if found is None:
                    break
                writer.places[at] = found
        await send.send(Chunk(writer.position, done=writer.completion()))

    async def _drawn_again(self, draw: Draw, known: dict[int, int], count: int) -> list[int] | None:
        # with the same seed and not streamed, for then the engine tells every token; None if it came to others than those that are known
        body = self._body(draw, 1) | {"stream": False, "return_tokens": True, "verbose": True}
        del body["stream_options"]
        async with contextlib.aclosing(self._engine.complete(body)) as batches:
            replies = [reply async for pieces in batches for reply in pieces]
        tokens: list[int] = replies[0]["__verbose"]["tokens"]
        same = len(tokens) == count and all(tokens[at] == token for at, token in known.items())
        return tokens if same else None

    def _body(self, first: Draw, n: int) -> dict[str, object]:
        request, sampling = first.request, first.request.sampling
        body: dict[str, object] = {
            "prompt": self._rendered(request.messages, request.prefix), "n": n, "seed": first.seed, "stream": True,
            "stream_options": {"include_usage": True}, "max_tokens": sampling.max_tokens, "temperature": sampling.temperature,
            "top_p": sampling.top_p, "top_k": sampling.top_k, "min_p": 0.0, "n_probs": max(1, request.capture.top_logprobs),
            "timings_per_token": True,  # they count the tokens, also those that are not told
        }  # fmt: skip
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.grammar:
            body["grammar"] = sampling.grammar
        if sampling.json_schema:
            body["json_schema"] = json.loads(sampling.json_schema)
        return body

    async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
        """Log probabilities (nats) of continuations, by the model's own softmax at temperature 1, whatever the request's sampling.

        With `token_ids` exactly these tokens are scored, an end-of-turn token among them if it is given; else those of the text as it is
        written after the prompt. Tokens at one place are read from one evaluation. The prompt is billed with the first
        continuation, and each token once: one that ends inside a character, or is unlikely where another one is read with it, takes two to
        four steps of the model and is billed as one.

        Raises:
            CapabilityError: the engine cannot take the request, or a continuation does not fit into the context.
            ModelError: a token id that is not in the vocabulary.
        """
        reason = self._unable(request)
        if reason:
            raise CapabilityError(reason)
        prompt = self._prompt_tokens(request)
        tokens = [list(c.token_ids) if c.token_ids is not None else self._continued(request, prompt, c.text) for c in continuations]
        longest = len(prompt) + max(map(len, tokens), default=0)
        if longest > self.context:
            raise CapabilityError(
                f"{self.name}: a prompt of {len(prompt)} tokens with a continuation of {longest - len(prompt)} does not fit into its context "
                f"of {self.context}; shorten one, or open the model with a larger context"
            )
        try:
            return await scores(self._engine, prompt, tokens)
        except _llama.Refused as error:
            raise ModelError(f"{self.name}: {error}") from error

    def _continued(self, request: Request, prompt: list[int], text: str) -> list[int]:
        # the tokens of the text where it stands, if the prompt's own stay as they are; else of the text alone
        before = self._rendered(request.messages, request.prefix)
        if isinstance(before, str):
            whole = self._tokens(before + text)
            if whole[: len(prompt)] == prompt:
                return whole[len(prompt) :]
        alone: list[int] = self._engine.ask("/tokenize", {"content": text, "parse_special": True, "add_special": False})["tokens"]
        return alone

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """One vector of length 1 for each text: the last layer, pooled as the file says, else its mean over the tokens.

        The first call loads the model a second time, for embeddings alone. The vectors of a model that was made to generate tell
        topics apart, and less than those of an embedding model, which is any GGUF file of one.

        Raises:
            ModelError: a text that is empty or longer than the context.
        """
        found: list[Embedding] = []
        for start in range(0, len(texts), _TEXTS):
            part = list(texts[start : start + _TEXTS])
            counts = [len(self._tokens(text)) for text in part]
            if not all(0 < count <= self.context for count in counts):
                raise ModelError(f"{self.name}: a text to embed must have between 1 and {self.context} tokens, got {sorted(counts)}")
            try:
                reply = await self._embedder.embed(part)
            except _llama.Refused as error:
                raise ModelError(f"{self.name}: {error}") from error
            vectors = [entry["embedding"] for entry in sorted(reply["data"], key=lambda entry: entry["index"])]
            found += [Embedding(tuple(vector), count) for vector, count in zip(vectors, counts, strict=True)]
        return found

    async def aclose(self) -> None:
        """Free the model's memory; a later call loads it again."""
        for name in ("_engine", "_embedder"):
            engine = self.__dict__.pop(name, None)
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
