"""The questions of a probe. Each is a request of a few tokens whose answer shows what the server did, not what it accepted."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from dataclasses import replace

from outthink.core.completion import Completion
from outthink.core.errors import CapabilityError, ModelError
from outthink.core.request import Prefix, Request
from outthink.models._errors import Rejected, Unserved
from outthink.models._payload import Continuation, Scoring, adapted
from outthink.models._reply import Json, Reported, choices_of, covers_one, read_choice
from outthink.models._score import embeddings, scored
from outthink.models._service import Server
from outthink.models._stepwise import Stepwise
from outthink.models.probe import Probe, engine_of

_MANY = 16
_TOKENS = 4  # of each choice in the question about n
_ASK: Json = {"role": "user", "content": "Tell me a short story about a river."}
_COUNT: Json = {"role": "user", "content": "Count from 1 to 20. Write only the numbers, separated by commas."}
_COUNTED, _NEXT = "1, 2, 3, 4, 5, 6, 7,", "8"
_REQUEST = Request.ask("probe")


class _Prober:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.words = ""
        self.answered = False

    async def chat(self, messages: list[Json], tokens: int, settings: Json) -> Json | None:
        """The reply, or None where the server refuses; its words are kept."""
        for _ in range(2):
            body: Json = {"model": self.server.model, "messages": messages, self.server.dialect.max_tokens: tokens, **settings}
            try:
                reply = await self.server.transport.post("/chat/completions", json.dumps(body).encode())
                self.answered = True
                return reply
            except Rejected as refusal:
                if refusal.status == 404:
                    raise await self.server.unknown(refusal.message) from refusal
                self.words = refusal.message
                if "max_completion_tokens" not in refusal.message or self.server.dialect.max_tokens != "max_tokens":
                    return None
                self.server.dialect = replace(self.server.dialect, max_tokens="max_completion_tokens")
            except Unserved as unserved:
                self.words = unserved.message
                return None
        return None

    async def text(self, messages: list[Json], tokens: int, settings: Json) -> str | None:
        """The text of a single answer, reasoning first; None where there is none."""
        reply = await self.chat(messages, tokens, settings)
        read = _read(reply)
        return read[0].reasoning + read[0].text if read else None


def _read(reply: Json | None) -> list[Completion]:
    choices = choices_of(reply) if reply else []
    return [done for done in (read_choice(choice, _REQUEST, "", False) for choice in choices) if isinstance(done, Completion)]


async def examine(url: str | None, model: str | None, api_key: str | None) -> Probe:
    """Ask everything and return the findings; see `outthink.models.probe.probe`."""
    from outthink.models.openai import connect

    chosen = await connect(url, model, api_key=api_key)
    server = chosen._server
    try:
        listed = await server.models()
        names = tuple(str(entry["id"]) for entry in listed)
        entry = next((entry for entry in listed if entry["id"] == server.model), listed[0] if listed else {})
        found = Probe(server.transport.base_url, server.model, engine_of(entry), names, context=_context(entry))
        found = replace(found, chat_template=await _template(server))
        prober = _Prober(server)
        found = await _several(prober, found)
        samples, seed = await _sampling(prober)
        found = replace(found, samples=samples, seed=seed, stop=await _stop(prober), continuation=await _continuation(prober, found.engine))
        found = await _endpoints(server, found)
    finally:
        await chosen.aclose()
    if not (prober.answered or found.completions):
        raise ModelError(f"{server.transport.shown_url} answered none of the probe's questions to {server.model!r}: {prober.words}")
    return found


def _context(entry: Json) -> int | None:
    meta = entry.get("meta")
    said = entry.get("max_model_len") or (meta.get("n_ctx") if isinstance(meta, dict) else None)
    return said if isinstance(said, int) else None


async def _template(server: Server) -> str | None:
    try:
        shown = (await server.transport.get(server.beside("/props"))).get("chat_template")
    except (Rejected, Unserved):
        return None
    return shown if isinstance(shown, str) else None


async def _several(prober: _Prober, found: Probe) -> Probe:
    n, logprobs = _MANY, True
    while True:
        settings: Json = {"n": n, "temperature": 1.0, **({"logprobs": True, "top_logprobs": 1} if logprobs else {})}
        reply = await prober.chat([_ASK], _TOKENS, settings)
        if reply is not None:
            break
        if logprobs and "logprob" in prober.words.lower():
            logprobs = False
            continue
        cap = adapted(replace(prober.server.dialect, n=None), prober.words, n).n
        if cap is None:  # refused for another reason: nothing can be said
            return replace(found, logprobs=None if logprobs else False)
        n = cap
    read = _read(reply)
    with_logprobs = logprobs and bool(read) and all(done.logprob is not None for done in read)
    covers = covers_one(Reported.of(reply), read, _TOKENS)
    if len(read) < n:
        n = max(1, len(read))
    return replace(found, n_honoured=n > 1, n_limit=None if n == _MANY else n, usage_of_one=covers, logprobs=with_logprobs)


async def _sampling(prober: _Prober) -> tuple[bool | None, bool | None]:
    # whether texts differ at all, and whether it is the seed that decides
    texts = [await prober.text([_ASK], 16, {"temperature": 1.0, "seed": seed}) for seed in (11, 11, 12, 13)]
    if None in texts:
        return None, None
    differ = len(set(texts)) > 1
    return differ, differ and texts[0] == texts[1]


async def _stop(prober: _Prober) -> bool | None:
    whole = await prober.text([_COUNT], 16, {"temperature": 0.0})
    words = (whole or "").split()
    if whole is None or len(words) < 3:
        return None
    until = words[1]
    stopped = await prober.text([_COUNT], 16, {"temperature": 0.0, "stop": [until]})
    return stopped is not None and until not in stopped and len(stopped) < len(whole)


async def _continuation(prober: _Prober, engine: str) -> Continuation | None:
    # a continuation goes on with 8 after "..., 7,"; a fresh answer begins with 1
    messages: list[Json] = [_COUNT, {"role": "assistant", "content": _COUNTED}]
    flags: Json = {"continue_final_message": True, "add_generation_prompt": False}
    for flagged in (True, False) if engine == "vllm" else (False, True):
        text = await prober.text(messages, 8, {"temperature": 0.0, **(flags if flagged else {})})
        if text is None:
            continue
        if text.startswith(_COUNTED) and text.removeprefix(_COUNTED).lstrip().startswith(_NEXT):
            return "echo"
        if text.lstrip().startswith(_NEXT):
            return "flag" if flagged else "plain"
    return None


async def _endpoints(server: Server, found: Probe) -> Probe:
    try:
        body: Json = {"model": server.model, "prompt": "One, two,", "max_tokens": 1}
        completions = bool(choices_of(await server.transport.post("/completions", json.dumps(body).encode())))
    except (Rejected, Unserved):
        completions = False
    way: Scoring = "stepwise" if found.engine == "llama.cpp" else "echo"
    scoring = way if completions and await _has(_scores(server, way)) else None
    return replace(found, completions=completions, scoring=scoring, embeddings=await _has(embeddings(server, ["probe"])))


async def _scores(server: Server, way: Scoring) -> tuple[str, ...]:
    if way == "stepwise":
        return (await Stepwise(server).score(_REQUEST, [Prefix(" three")]))[0].tokens
    return (await scored(server, "One, two,", " three")).tokens


async def _has(answer: Awaitable[object]) -> bool:
    try:
        return bool(await answer)
    except CapabilityError:
        return False
    except ModelError as error:
        if isinstance(error.__cause__, Unserved):  # llama-cpp-python answers with status 500 where it has no embeddings
            return False
        raise
