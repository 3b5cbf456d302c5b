"""A real OpenAI-compatible server on loopback that answers at once and can be told to misbehave. For tests, and for benchmarks:

python tests/models/stub_server.py [--no-n | --refuse-n]      prints its address and serves until it is killed
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

Body = dict
Handler = Callable[["Stub", web.BaseRequest, Body], Awaitable[web.StreamResponse]]


@dataclass(eq=False)
class Stub:
    """How the server behaves, and what it saw.

    Args:
        texts: answers, one after the other.
        n_limit: choices it returns at most; None for all that were asked.
        refuse_n: whether asking more than `n_limit` is a 400 (llama.cpp) and not just answered with fewer.
        usage: `all` choices are counted, the `one` first alone, or there is `none`.
        logprobs: whether it returns log probabilities; `refuse` is a 400.
        echo: whether a continued assistant message is repeated.
        delay_s: wait before each answer, and between the pieces of a stream.
        owner: `owned_by` in the list of models.
        models: names it lists.
        key: refuses requests without it.
        script: handlers that answer the next generating requests in place of the normal one.
    """

    texts: tuple[str, ...] = ("The answer is 42.",)
    n_limit: int | None = None
    refuse_n: bool = False
    usage: str = "all"
    logprobs: bool | str = True
    echo: bool = True
    delay_s: float = 0.0
    owner: str = "stub"
    models: tuple[str, ...] = ("stub-model",)
    key: str | None = None
    script: list[Handler] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)
    served: int = 0
    active: int = 0
    most_active: int = 0
    aborted: int = 0
    keep_bodies: bool = True
    url: str = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request."""
        path = request.path
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return error(401, f"Incorrect API key provided: {request.headers.get('Authorization', '')}")
        if path == "/v1/models":
            return web.json_response({"object": "list", "data": [{"id": name, "owned_by": self.owner} for name in self.models]})
        if path not in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings"):
            return error(404, "Not Found")
        body = json.loads(await request.read())
        if self.keep_bodies:
            self.bodies.append(body)
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            if self.script:
                return await self.script.pop(0)(self, request, body)
            if path == "/v1/embeddings":
                return web.json_response({"data": [{"index": i, "embedding": [float(len(t)), 1.0]} for i, t in enumerate(body["input"])][::-1]})
            return await self.answer(request, body)
        except (asyncio.CancelledError, ConnectionResetError):
            self.aborted += 1
            raise
        finally:
            self.active -= 1

    async def answer(self, request: web.BaseRequest, body: Body) -> web.StreamResponse:
        """The normal answer."""
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        n = body.get("n", 1)
        if self.n_limit is not None and n > self.n_limit:
            if self.refuse_n:
                return error(400, f"Field 'n': Value must be between 1 <= value <= {self.n_limit}, but got {n}")
            n = self.n_limit
        if self.logprobs == "refuse" and body.get("logprobs"):
            return error(400, "This model does not support the 'logprobs' parameter.")
        if body.get("stream"):
            return await stream(self, request, self.events(body, n))
        return web.Response(body=json.dumps(self.reply(body, n)).encode(), content_type="application/json")

    def text(self, body: Body) -> str:
        """The next answer, with the echo of what it continues."""
        text = self.texts[self.served % len(self.texts)]
        self.served += 1
        last = body["messages"][-1] if "messages" in body else {"role": "user"}
        return last["content"] + text if last["role"] == "assistant" and self.echo else text

    def reply(self, body: Body, n: int) -> Body:
        """A reply of n choices."""
        choices = [self.choice(body, index) for index in range(n)]
        counts = [len(tokens(choice)) for choice in choices]
        reply = {"object": "chat.completion", "model": "stub", "choices": choices}
        if self.usage != "none":
            total = counts[0] if self.usage == "one" else sum(counts)
            reply["usage"] = {"prompt_tokens": 7, "completion_tokens": total, "total_tokens": 7 + total}
        return reply

    def choice(self, body: Body, index: int) -> Body:
        """One choice; a token is a word with the space before it."""
        text = self.text(body)
        choice: Body = {"index": index, "finish_reason": "stop"}
        if "messages" in body:
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice["text"] = text
        if body.get("logprobs") and self.logprobs:
            content = [{"token": t, "logprob": -0.5, "top_logprobs": [{"token": t, "logprob": -0.5}]} for t in tokens(choice)]
            choice["logprobs"] = {"content": content}
        return choice

    def events(self, body: Body, n: int) -> list[str]:
        """The events of a stream, choices interleaved."""
        choices = [self.choice(body, index) for index in range(n)]
        words = [tokens(choice) for choice in choices]
        events: list[Body] = []
        for position in range(max(map(len, words))):
            events += [delta(i, w[position]) for i, w in enumerate(words) if position < len(w)]
        events += [{"choices": [{"index": i, "delta": {}, "finish_reason": "stop"}]} for i in range(n)]
        total = sum(map(len, words))
        events.append({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": total, "total_tokens": 7 + total}})
        return [*map(json.dumps, events), "[DONE]"]


def tokens(choice: Body) -> list[str]:
    """A choice's text as words that join to it."""
    text = choice["message"]["content"] if "message" in choice else choice["text"]
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]


def delta(index: int, text: str) -> Body:
    """One piece of a stream."""
    return {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": None}]}


def error(status: int, message: str, headers: dict[str, str] | None = None, code: str | None = None) -> web.Response:
    """An error as OpenAI writes it."""
    return web.json_response({"error": {"message": message, "type": "stub", "code": code}}, status=status, headers=headers)


def failing(status: int, message: str = "no", headers: dict[str, str] | None = None, code: str | None = None) -> Handler:
    """A handler that answers with an error."""

    async def handler(stub: Stub, request: web.BaseRequest, body: Body) -> web.StreamResponse:
        return error(status, message, headers, code)

    return handler


def saying(content: str | bytes, content_type: str = "application/json") -> Handler:
    """A handler that answers 200 with these bytes."""

    async def handler(stub: Stub, request: web.BaseRequest, body: Body) -> web.StreamResponse:
        return web.Response(body=content if isinstance(content, bytes) else content.encode(), content_type=content_type)

    return handler


def replying(reply: Body) -> Handler:
    """A handler that answers 200 with this object."""
    return saying(json.dumps(reply))


def streaming(events: list[str], *, cut: bool = False) -> Handler:
    """A handler that streams these events, and then closes the connection without the end of the body where `cut`."""

    async def handler(stub: Stub, request: web.BaseRequest, body: Body) -> web.StreamResponse:
        return await stream(stub, request, events, cut=cut)

    return handler


async def stream(stub: Stub, request: web.BaseRequest, events: list[str], *, cut: bool = False) -> web.StreamResponse:
    """Send server-sent events."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for event in events:
        await response.write(f"data: {event}\n\n".encode())
        if stub.delay_s:
            await asyncio.sleep(stub.delay_s)
    if cut:
        assert request.transport is not None
        await asyncio.sleep(0.05)  # let the pieces arrive before the reset
        request.transport.abort()
        return response
    await response.write_eof()
    return response


@contextlib.asynccontextmanager
async def serving(stub: Stub) -> AsyncIterator[Stub]:
    """Run the server in this event loop, on a free port; `stub.url` is its base address."""
    runner = web.ServerRunner(web.Server(stub.handle, handler_cancellation=True, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    host, port = runner.addresses[0][:2]
    stub.url = f"http://{host}:{port}/v1"
    try:
        yield stub
    finally:
        await runner.cleanup()


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-n", action="store_true", help="return one choice whatever is asked")
    parser.add_argument("--refuse-n", action="store_true", help="refuse requests of more than one choice, as llama.cpp does above its slots")
    parser.add_argument("--words", type=int, default=1, help="words of reasoning before each answer")
    given = parser.parse_args()
    draw = random.Random(0)
    spoken = ["so", "the", "total", "of", "both", "sums", "is", "then", "twice", "what", "we", "had", "adding", "gives", "less", "than", "that"]
    texts = tuple(f"{' '.join(draw.choices(spoken, k=given.words))}. The answer is \\boxed{{{i % 5}}}" for i in range(16))
    stub = Stub(n_limit=1 if given.no_n or given.refuse_n else None, refuse_n=given.refuse_n, keep_bodies=False, texts=texts)
    async with serving(stub):
        print(stub.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
