"""Exchanges with real servers: what is asked of each, recording it, and playing it back.

A recording is a JSON file in `recordings/` with the server's name and version, the date, and every exchange of one probe and of
`SCENES`: method, path, body, status, and the reply as it came (an object, or the text of a stream). Only names of files and folders
are changed. To make one of a server that runs (its model: SmolLM2-135M-Instruct, a context of 1024 tokens, nobody else on it):

    python -m tests.models.recordings http://127.0.0.1:8000 vLLM 0.32.0 tests/models/recordings/vllm.json
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import json
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
from aiohttp import web

from outthink.core.completion import Completion, Failure, TokenLogprobs
from outthink.core.errors import OutthinkError
from outthink.core.request import Capture, Draw, Message, Prefix, Request, Sampling
from outthink.models import templates
from outthink.models.openai import connect
from outthink.models.probe import Probe, probe

FOLDER = Path(__file__).with_name("recordings")
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"  # what the model's template says where nobody else does
_ALL = Capture(token_logprobs=True, top_logprobs=2)


@dataclass(frozen=True)
class Scene:
    """A question put to a server.

    Args:
        request: what is asked.
        n: how often.
        streaming: whether the answer comes in pieces.
        raw: through raw completions.
    """

    request: Request
    n: int = 1
    streaming: bool = False
    raw: bool = False


def _ask(text: str = "What is 2+2?", prefix: str | None = None, capture: Capture = _ALL, **sampling: object) -> Request:
    settings = {"temperature": 0.0, "max_tokens": 6, **sampling}
    messages = (Message("system", SYSTEM), Message("user", text))
    return Request(messages, None if prefix is None else Prefix(prefix), Sampling(**settings), capture)  # type: ignore[arg-type]


_SUM = _ask(prefix="The sum of 2 and")
_SCHEMA = '{"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": false}'
SCENES = {
    "several": Scene(_ask(temperature=1.0), 3),
    "several streamed": Scene(_ask(temperature=1.0), 3, streaming=True),
    "greedy twice": Scene(_ask(), 2),
    "prefix": Scene(_SUM),
    "prefix streamed": Scene(_SUM, streaming=True),
    "prefix, several": Scene(_ask(prefix="The", temperature=1.0), 2),
    "prefix that ends in a space": Scene(_ask(prefix="The sum of 2 and 2 is ")),
    "stop": Scene(_ask("Count from 1 to 20. Write only the numbers, separated by commas.", stop=("3,",), max_tokens=16)),
    "schema": Scene(_ask("Give a number.", json_schema=_SCHEMA, max_tokens=24)),
    "too long": Scene(_ask("x y " * 600)),
    "alternatives": Scene(_ask(capture=Capture(top_logprobs=21), max_tokens=2)),
    "alternatives streamed": Scene(_ask(capture=Capture(top_logprobs=21), max_tokens=2), streaming=True),
    "raw prefix": Scene(_SUM, raw=True),
    "raw prefix streamed": Scene(_SUM, streaming=True, raw=True),
    "raw, several streamed": Scene(_ask(temperature=1.0), 2, streaming=True, raw=True),
}
SCORED = "🙃 and 漢字"  # its first character is three tokens, which is the seam that servers differ at
SCORED_BY_STEPS = "The answer is"  # where unlikely tokens are asked for, llama.cpp returns megabytes
Ends = list[Completion | Failure]


@dataclass(frozen=True)
class Played:
    """What came of a recording.

    Args:
        probe: the findings.
        ends: for each scene the ends of its draws, or the error that was raised.
        score: of `SCORED` (`SCORED_BY_STEPS`) after a question, or the error.
    """

    probe: Probe
    ends: dict[str, Ends | str]
    score: TokenLogprobs | str


async def play(url: str, name: str | None = None) -> Played:
    """Probe a model of the server at this address, and put every scene to it."""
    found = await probe(url, name)
    ends = {scene: await _put(url, name, SCENES[scene]) for scene in SCENES}
    model = await connect(url, name)
    steps = found.scoring == "stepwise"
    model._server.template = None if steps else templates.chatml
    try:
        (score,) = await model.score(_ask(), [Prefix(SCORED_BY_STEPS if steps else SCORED)])
    except OutthinkError as error:
        return Played(found, ends, str(error))
    finally:
        await model.aclose()
    return Played(found, ends, score)


async def _put(url: str, name: str | None, scene: Scene) -> Ends | str:
    model = await connect(url, name, streaming=scene.streaming)
    if scene.raw:
        model._server.api, model._server.template = "completions", templates.chatml
    try:
        request = scene.request
        if model._server.dialect.logprobs is False and request.capture == _ALL:
            request = replace(request, capture=Capture())
        refusal = model.refuses(request)
        if refusal:
            return refusal
        draws = [Draw(request, index, 1000 + index) for index in range(scene.n)]
        done = {chunk.position: chunk.done async for chunk in model.stream(draws) if chunk.done is not None}
        return [done[position] for position in range(scene.n)]
    except OutthinkError as error:
        return str(error)
    finally:
        await model.aclose()


@dataclass(eq=False)
class Player:
    """A server that answers as recorded, and nothing that is not: `missing` holds what it was asked besides."""

    exchanges: list[dict]
    missing: list[dict] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer with the first recorded reply to this request that was not given yet; what is at an address stays the same."""
        asked = {"method": request.method, "path": request.path, "body": json.loads(await request.read() or "null")}
        found = next((exchange for exchange in self.exchanges if all(exchange[name] == value for name, value in asked.items())), None)
        if found is None:
            self.missing.append(asked)
            return web.json_response({"error": {"message": "not recorded"}}, status=418)
        if request.method != "GET":
            self.exchanges.remove(found)
        if "stream" not in found:
            return web.json_response(found["reply"], status=found["status"])
        response = web.StreamResponse(status=found["status"], headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        data = found["stream"].encode()
        for start in range(0, len(data), 97):  # cut anywhere, as networks do
            await response.write(data[start : start + 97])
        await response.write_eof()
        return response


@dataclass(eq=False)
class Recorder:
    """Passes everything on to a server and keeps it, without a folder's name that is no business of the reader."""

    upstream: str
    hidden: str
    exchanges: list[dict] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Pass a request on, and its reply back when it is whole."""
        body = await request.read()
        async with aiohttp.ClientSession() as session, session.request(request.method, self.upstream + request.path, data=body or None,
                                                                       headers={"Content-Type": "application/json"}) as reply:  # fmt: skip
            raw, streamed = await reply.read(), "event-stream" in reply.headers.get("Content-Type", "")
            if self.hidden:
                raw = raw.replace(self.hidden.encode(), b"")
            kept = {"stream": raw.decode()} if streamed else {"reply": json.loads(raw)}
            asked = {"method": request.method, "path": request.path, "body": json.loads(body or "null")}
            if request.method != "GET" or all(request.path != known["path"] for known in self.exchanges):
                self.exchanges.append({**asked, "status": reply.status, **kept})
            return web.Response(status=reply.status, body=raw, headers={"Content-Type": reply.headers.get("Content-Type", "text/plain")})


@contextlib.asynccontextmanager
async def answering(server: Player | Recorder) -> AsyncIterator[str]:
    """Run it on a free port, whose address (with /v1) is given."""
    runner = web.ServerRunner(web.Server(server.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/v1"
    finally:
        await runner.cleanup()


async def record(upstream: str, hidden: str, head: dict[str, str | None]) -> str:
    """Put everything to a server; the text of the file, which begins with `head` and the date."""
    recorder = Recorder(upstream, hidden)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["OUTTHINK_CACHE"] = cache
        async with answering(recorder) as url:
            played = await play(url, head["model"])
    for name, end in played.ends.items():
        print(f"{name}: {end}")
    print(played.score, *(f"{feature}: {finding}" for feature, finding in played.probe.rows()), sep="\n")
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    lines = ",\n".join(json.dumps(exchange, ensure_ascii=False, separators=(",", ":")) for exchange in recorder.exchanges)
    return json.dumps({**head, "date": date}, ensure_ascii=False)[:-1] + ', "exchanges": [\n' + lines + "\n]}\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("upstream", "server", "version", "file"):
        parser.add_argument(name)
    parser.add_argument("--model", help="which of its models; needed where it does not list one")
    parser.add_argument("--notes", default="", help="how it was started")
    parser.add_argument("--hide", default="", help="a folder's name, with its slash, to leave out of replies")
    given = parser.parse_args()
    head = {"server": given.server, "version": given.version, "model": given.model, "notes": given.notes}
    Path(given.file).write_text(asyncio.run(record(given.upstream, given.hide, head)))
