"""Serving draws over HTTP: equal requests go together where the server honours `n`, what it leaves out is asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import anyio

from outthink.core.completion import Chunk, Completion, Failure
from outthink.core.errors import ModelError
from outthink.core.request import Draw, Request
from outthink.models._errors import Broken, Rejected, Unserved
from outthink.models._http import Transport, read_object
from outthink.models._payload import Api, Dialect, adapted, body_of, seeded
from outthink.models._reply import BYTES_PER_TOKEN, Json, Reported, choices_of, covers_one, read_choice, with_usage
from outthink.models._streaming import Assembly, Streamed, read_stream
from outthink.models._untold import kept
from outthink.models.templates import Template

if TYPE_CHECKING:
    import aiohttp

Member = tuple[int, Draw]
"""A draw and its position in the call of `stream`."""

_CONTEXT_WORDS = ("context length", "context size", "context window", "maximum context", "exceed_context", "context_length")


@dataclass(eq=False)
class Server:
    """What all requests of one model share; `dialect` grows with what the server teaches."""

    transport: Transport
    model: str
    api: Api
    dialect: Dialect
    template: Template | None
    streaming: bool
    ask_logprobs: bool
    unlisted: str = ""  # why it told no list of models

    @property
    def path(self) -> str:
        """The endpoint that generates."""
        return "/chat/completions" if self.api == "chat" else "/completions"

    def beside(self, path: str) -> str:
        """The address of what llama.cpp's server has beside /v1, not below."""
        parts = urlsplit(self.transport.base_url)
        return urlunsplit((parts.scheme, parts.netloc, parts.path.removesuffix("/v1") + path, "", ""))

    async def models(self) -> list[Json]:
        """What the server says it serves; [] where it has no such list."""
        try:
            reply = await self.transport.get("/models")
        except (Rejected, Unserved) as error:
            self.unlisted = error.message
            return []
        data = reply.get("data")
        return [entry for entry in data if isinstance(entry, dict) and "id" in entry] if isinstance(data, list) else []

    async def unknown(self, words: str) -> ModelError:
        """The error for a server that answers 404."""
        names = [str(entry["id"]) for entry in await self.models()]
        where = f"{self.transport.shown_url}{self.path}"
        if self.model in names or not names:
            return ModelError(f"{where} is not there (status 404): {words}; check the address, and that the model {self.model!r} is served")
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        return ModelError(f"{self.transport.shown_url} does not serve {self.model!r} (status 404: {words}); it serves {', '.join(names[:8])}{more}")


@dataclass(eq=False)
class Service:
    """One call of `stream`: its HTTP requests in flight, and the queue that their chunks go to."""

    server: Server
    out: asyncio.Queue[Chunk | Exception] = field(default_factory=asyncio.Queue)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    bodies: dict[tuple[str, int], tuple[Dialect, bool, bytes]] = field(default_factory=dict)

    async def start(self, draws: Sequence[Draw]) -> None:
        """Send all draws, equal requests together. One HTTP request whose answer comes whole is waited for here, without a task of its own."""
        groups: dict[str, list[Member]] = {}
        for position, draw in enumerate(draws):
            groups.setdefault(draw.request.digest, []).append((position, draw))
        for members in groups.values():
            most = self.server.dialect.most(members[0][1].request.sampling) or len(draws)
            if len(groups) == 1 and len(members) <= most and not self.server.streaming:
                await self._guarded(members)
            else:
                self._spawn(members)

    async def stop(self) -> None:
        """Abort what is in flight and wait until it has ended."""
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            with anyio.CancelScope(shield=True):
                await asyncio.wait(self.tasks)

    def _spawn(self, members: Sequence[Member]) -> None:
        size = self.server.dialect.most(members[0][1].request.sampling) or len(members)
        for start in range(0, len(members), size):
            task = asyncio.create_task(self._guarded(members[start : start + size]))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _guarded(self, members: Sequence[Member]) -> None:
        try:
            await self._serve(members)
        except Exception as error:  # handed to whoever reads the stream, which raises it
            self.out.put_nowait(error)

    def _fail(self, members: Sequence[Member], kind: str, message: str) -> None:
        for position, _ in members:
            self.out.put_nowait(Chunk(position, done=Failure(kind, message)))

    async def _serve(self, members: Sequence[Member]) -> None:
        server, request = self.server, members[0][1].request
        wants = request.capture.token_logprobs or request.capture.top_logprobs > 0
        while True:
            dialect = server.dialect
            most = dialect.most(request.sampling)
            if most is not None and len(members) > most:
                return self._spawn(members)
            lacking = dialect.lacks(request.capture)
            if lacking:
                return self._fail(members, "capability", f"{server.transport.shown_url} returns {lacking}")
            asks = wants or (server.ask_logprobs and dialect.logprobs is True)
            try:
                return await self._deliver(members, await self._ask(members, dialect, asks), wants)
            except Rejected as refusal:
                if refusal.status == 404:
                    raise await server.unknown(refusal.message) from refusal
                server.dialect = adapted(server.dialect, refusal.message, len(members), request.capture.top_logprobs)
                if server.dialect == dialect:
                    return self._fail(members, *refused(server, refusal))
            except Unserved as unserved:
                return self._fail(members, unserved.kind, unserved.message)

    async def _ask(self, members: Sequence[Member], dialect: Dialect, logprobs: bool) -> Streamed:
        server, draw, n = self.server, members[0][1], len(members)
        body = self._body(draw.request, n, dialect, logprobs)
        if n == 1 and dialect.seed:
            body = seeded(body, draw.seed)
        tokens = len(body) / BYTES_PER_TOKEN + n * draw.request.sampling.max_tokens
        if not server.streaming:
            return await server.transport.call("POST", server.path, body, _read_reply, tokens=tokens, seed=draw.seed)

        def emit(choice: int, text: str, reasoning: str, count: int) -> None:
            self.out.put_nowait(Chunk(members[choice][0], text, reasoning, count))

        async def read(response: aiohttp.ClientResponse) -> Streamed:
            return await read_stream(response, Assembly(n, _echoed(draw.request, dialect, server.api), emit))

        return await server.transport.call("POST", server.path, body, read, tokens=tokens, seed=draw.seed)

    def _body(self, request: Request, n: int, dialect: Dialect, logprobs: bool) -> bytes:
        known = self.bodies.get((request.digest, n))
        if known is None or known[0] is not dialect or known[1] is not logprobs:
            server = self.server
            body = body_of(
                request, n, model=server.model, api=server.api, dialect=dialect, template=server.template, stream=server.streaming, logprobs=logprobs
            )
            known = self.bodies[request.digest, n] = dialect, logprobs, body
        return known[2]

    async def _deliver(self, members: Sequence[Member], streamed: Streamed, wants_logprobs: bool) -> None:
        server, request = self.server, members[0][1].request
        choices, reported = choices_of(streamed.reply), Reported.of(streamed.reply)
        if server.streaming:  # a cut stream leaves gaps: its choices are known by their index
            places = [choice["index"] for choice in choices if isinstance(choice, dict)]
        else:
            choices = choices[: len(members)]
            places = list(range(len(choices)))
        echoed = "" if server.streaming else _echoed(request, server.dialect, server.api)
        read = [read_choice(choice, request, echoed, wants_logprobs) for choice in choices]
        self._learn(members, streamed, len(choices), [done for done in read if isinstance(done, Completion)], reported)
        estimate = round(sum(len(m.text.encode()) for m in request.messages) / BYTES_PER_TOKEN) + 1
        of_one = len(choices) > 1 and bool(server.dialect.usage_of_one)
        if server.dialect.engine == "llama.cpp":
            said = [reported.completion if place == 0 and (of_one or len(choices) == 1) else None for place in range(len(choices))]
            read = [
                await kept(server, choice, done, request.sampling, tokens) if isinstance(done, Completion) else done
                for choice, done, tokens in zip(choices, read, said, strict=True)
            ]
        good = [done for done in read if isinstance(done, Completion)]
        with_tokens = iter(with_usage(good, reported, estimate, request.sampling.max_tokens, of_one) if good else [])
        for place, done in zip(places, read, strict=True):
            final = next(with_tokens) if isinstance(done, Completion) else done
            self._finish(members[place][0], final)
        for place in streamed.interrupted:
            self._fail([members[place]], "interrupted", f"{server.transport.shown_url} {streamed.trouble}")
        answered = {*places, *streamed.interrupted}
        rest = [member for place, member in enumerate(members) if place not in answered]
        if rest:
            self._spawn(rest)

    def _finish(self, position: int, done: Completion | Failure) -> None:
        if isinstance(done, Failure) or self.server.streaming:
            self.out.put_nowait(Chunk(position, done=done))
        else:
            self.out.put_nowait(Chunk(position, done.text, done.reasoning, done.usage.completion_tokens, done))

    def _learn(self, members: Sequence[Member], streamed: Streamed, found: int, good: Sequence[Completion], reported: Reported) -> None:
        server, asked = self.server, len(members)
        if found < asked and streamed.trouble is None:
            server.dialect = replace(server.dialect, n=min(found, server.dialect.n or found))
        if found > 1 and server.dialect.usage_of_one is None:
            covers = covers_one(reported, good, members[0][1].request.sampling.max_tokens)
            if covers is not None:
                server.dialect = replace(server.dialect, usage_of_one=covers)


def _echoed(request: Request, dialect: Dialect, api: Api) -> str:
    return request.prefix.text if request.prefix is not None and api == "chat" and dialect.continuation == "echo" else ""


def refused(server: Server, refusal: Rejected) -> tuple[str, str]:
    """The kind of a refusal, and one sentence."""
    low = refusal.message.lower()
    if any(words in low for words in _CONTEXT_WORDS) or ("context" in low and "exceed" in low):
        advice = "shorten it, lower max_tokens, or start the server with a longer context"
        return "context", f"the prompt does not fit the context of {server.model}: {refusal.message.rstrip('.')}; {advice}"
    return "rejected", f"{server.transport.shown_url} refused the request (status {refusal.status}): {refusal.message}"


async def _read_reply(response: aiohttp.ClientResponse) -> Streamed:
    reply = await read_object(response)
    if not choices_of(reply):
        raise Broken("no_choices", "sent a reply without choices")
    return Streamed(reply)
