"""Models behind an OpenAI-compatible address: llama.cpp, vLLM, SGLang, Ollama, and hosted ones.

Run against the servers of llama.cpp, vLLM, SGLang and transformers; what each really does, with its version, stands in
`docs/servers.md`, and the tests play back what was recorded from them (`tests/models/recordings`). Others are unverified: probe them.

Cost: n draws of one request are one HTTP request where the server honours `n`, else n. The answer comes whole unless `streaming` is
set; closing the stream aborts what is in flight, which makes servers stop generating.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence

from outthink.core.completion import Chunk, Embedding, TokenLogprobs
from outthink.core.errors import CapabilityError, ModelError, nearest
from outthink.core.protocols import Scores
from outthink.core.request import Draw, Prefix, Request
from outthink.core.spend import Price
from outthink.models._errors import clean_url
from outthink.models._http import Transport
from outthink.models._limits import Limits, Retry
from outthink.models._payload import Api, Continuation, Dialect, Scoring, prompt_bound, text_alone
from outthink.models._score import embeddings, scored_each
from outthink.models._service import Server, Service
from outthink.models._stepwise import Stepwise
from outthink.models.probe import Probe, engine_of, load
from outthink.models.templates import Template

__all__ = ["Limits", "OpenAIModel", "Retry", "connect"]

DEFAULT_URL = "https://api.openai.com/v1"
_LIMITS, _RETRY = Limits(), Retry()
# what these engines' servers do where no probe says otherwise; they return log probabilities as well
_CONTINUATION: dict[str, Continuation] = {"llama.cpp": "echo", "vllm": "flag", "sglang": "flag"}
_SCORING: dict[str, Scoring] = {"llama.cpp": "stepwise", "vllm": "echo", "sglang": "echo"}


class OpenAIModel:
    """One model of an OpenAI-compatible server.

    Args:
        model: as the server calls it.
        base_url: such as `http://localhost:8000/v1`; default `OPENAI_BASE_URL`, else OpenAI.
        api_key: default `OPENAI_API_KEY`; never shown or recorded.
        price: what its tokens cost.
        engine: what runs it, if it is known and no probe says so: `llama.cpp`, `vllm`, ...; part of every call's key.
        api: `chat`, or `completions` for raw text (then give `template`).
        template: renders a conversation as raw text, see `outthink.models.templates`; also needed by `score`.
        probe: what was found out about the server (`outthink.models.probe`); without it the backend learns from replies.
        streaming: take answers in pieces: for showing them, and for seconds budgets that cut single samples.
        logprobs: ask for log probabilities whenever the server has them, which sequence likelihood needs; a server works a little more.
        shares_prompt: whether n samples are billed one prompt; default: if the probe found that `n` is honoured without a limit.
        limits, retry: how fast and how patiently to ask.
        timeout_s: seconds of silence before a request counts as failed; an unstreamed answer is silent until it is whole.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        price: Price | None = None,
        engine: str | None = None,
        api: Api = "chat",
        template: Template | None = None,
        probe: Probe | None = None,
        streaming: bool = False,
        logprobs: bool = True,
        shares_prompt: bool | None = None,
        limits: Limits = _LIMITS,
        retry: Retry = _RETRY,
        timeout_s: float = 600.0,
    ) -> None:
        url = clean_url(base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL)
        key = api_key or os.environ.get("OPENAI_API_KEY") or None
        self.name = model.rpartition("/")[2] if model.endswith(".gguf") else model  # llama.cpp serves a file's path as the model's name
        self.engine = engine or (probe.engine if probe else "openai")
        self.price = price or Price()
        self.shares_prompt = shares_prompt if shares_prompt is not None else bool(probe and probe.n_honoured and probe.n_limit is None)
        self.exact_prompt = False  # its tokenizer is at the server
        self._scoring = probe.scoring if probe else _SCORING.get(self.engine)
        self.scores: Scores = "once" if self._scoring == "stepwise" else "each" if self._scoring and template is not None else "no"
        dialect = _dialect(self.engine, probe)
        self._server = Server(Transport(url, key, limits, retry, timeout_s), model, api, dialect, template, streaming, logprobs)
        self._stepwise = Stepwise(self._server)

    def __repr__(self) -> str:
        return f"OpenAIModel({self.name!r}, base_url={self._server.transport.shown_url!r}, engine={self.engine!r})"

    def refuses(self, request: Request) -> str | None:
        """Why the server cannot serve the request, and what can be done; None if it can, or if only asking will tell."""
        capture, dialect, server = request.capture, self._server.dialect, self._server
        who = f"{self.name} at {server.transport.shown_url}"
        if capture.unserved:
            return f"{who}: {capture.unserved}"
        lacking = dialect.lacks(capture)
        if lacking:
            return f"{who} returns {lacking}"
        if request.sampling.grammar is not None and self.engine != "llama.cpp":
            return f"{who}: GBNF grammars are llama.cpp's; use its server, the embedded engine, or json_schema"
        if server.api == "completions":
            if server.template is None:
                return f"{who}: raw completions need the chat template, which is unknown; give template=..., or use api='chat'"
            if not text_alone(request):
                return f"{who}: raw completions take text alone; use api='chat' for images and tools"
        elif request.prefix is not None and dialect.continuation is None:
            return (
                f"{who}: whether it continues assistant text is unknown or refuted; run `outthink probe {server.transport.shown_url}`, "
                "use llama.cpp, vLLM or the embedded engine, or raw completions with a template"
            )
        return None

    def prompt_bound(self, request: Request) -> int:
        """An upper bound of the prompt's tokens: the bytes of all text, plus an allowance for each message, image and the template."""
        return prompt_bound(request)

    async def stream(self, draws: Sequence[Draw]) -> AsyncGenerator[Chunk, None]:
        """Serve many draws at once; each ends with one chunk whose `done` is set. Closing the generator aborts what is in flight.

        Raises:
            ModelError: unreachable, refused credentials, unknown model, out of quota. A draw that fails ends in a `Failure`.
        """
        service, left = Service(self._server), len(draws)
        try:
            await service.start(draws)
            while left:
                chunk = await service.out.get() if service.out.empty() else service.out.get_nowait()
                if isinstance(chunk, Exception):
                    raise chunk
                left -= chunk.done is not None
                yield chunk
        finally:
            await service.stop()

    async def score(self, request: Request, continuations: Sequence[Prefix]) -> list[TokenLogprobs]:
        """Teacher-forced log probabilities of continuations.

        llama.cpp's server generates each token in its turn, and writes the conversation out by itself. vLLM and SGLang echo a raw text
        with its log probabilities: there the template must be given.

        Raises:
            CapabilityError: messages with images or tools, an unknown template, or a server that scores no given text.
            ModelError: it could not be served.
        """
        who, template = f"{self.name} at {self._server.transport.shown_url}", self._server.template
        if not text_alone(request):
            raise CapabilityError(f"{who}: given tokens are scored after text alone; leave out images and tools")
        if self._scoring == "stepwise":
            return await self._stepwise.score(request, continuations)
        if template is None:
            raise CapabilityError(
                f"{who}: scoring needs the model's chat template; give --template chatml, or --template with the file "
                "tokenizer_config.json of the model (in Python template=...), or use llama.cpp's server or the embedded engine"
            )
        prompt = template(request.messages) + (request.prefix.text if request.prefix else "")
        return await scored_each(self._server, prompt, continuations)

    async def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """One vector for each text, through `/v1/embeddings`.

        Raises:
            CapabilityError: the server has no embeddings of this model.
        """
        return await embeddings(self._server, list(texts)) if texts else []

    async def aclose(self) -> None:
        """Close the connections. The model can be used again; it then opens new ones."""
        await self._server.transport.aclose()


def _dialect(engine: str, probe: Probe | None) -> Dialect:
    if probe is None:
        known, of_one = engine in _CONTINUATION, True if engine == "llama.cpp" else None
        way = _CONTINUATION.get(engine)
        return Dialect(engine, logprobs=known or None, continuation=way, usage_of_one=of_one, greedy_n=engine != "vllm")
    return Dialect(
        engine, probe.n_limit if probe.n_honoured else 1, probe.logprobs, probe.seed is not False, continuation=probe.continuation,
        usage_of_one=probe.usage_of_one, greedy_n=engine != "vllm",
    )  # fmt: skip


async def connect(
    url: str | None = None, model: str | None = None, *, price: Price | None = None, api_key: str | None = None,
    template: Template | None = None, streaming: bool = False, limits: Limits = _LIMITS, retry: Retry = _RETRY,
) -> OpenAIModel:  # fmt: skip
    """Reach a server, choose its model, and use what an earlier probe of it found.

    Args:
        url: its address; default `OPENAI_BASE_URL`, else OpenAI.
        model: which one; may be left out where the server serves one.
        price, api_key, template, streaming, limits, retry: as for `OpenAIModel`.

    Raises:
        ModelError: unreachable, refused credentials, no model given where there are several, or one that is not served.
    """
    address = clean_url(url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL)
    scout = OpenAIModel(model or "", base_url=address, api_key=api_key, limits=limits, retry=retry)
    transport = scout._server.transport
    try:
        served = await scout._server.models()
    finally:
        await scout.aclose()
    names = [str(entry["id"]) for entry in served]
    if model is None:
        if len(names) != 1:
            why = f" ({scout._server.unlisted})" if scout._server.unlisted else ""
            listed = f"serves {len(names)}: {', '.join(names[:12])}" if names else f"does not list what it serves{why}"
            raise ModelError(f"{transport.shown_url}: which model? It {listed}; write NAME@{transport.shown_url}")
        model = names[0]
    # Ollama lists `name:latest` for `name`, and llama.cpp's server answers to any name: only a list of several is held against it
    if len(names) > 1 and model not in names and f"{model}:latest" not in names:
        raise ModelError(f"{transport.shown_url} does not serve {model!r}.{nearest(model, names)}")
    entry = next((entry for entry in served if entry["id"] == model), served[0] if served else {})
    probe = load(address, model)
    return OpenAIModel(
        model, base_url=address, api_key=api_key, price=price, engine=probe.engine if probe else engine_of(entry), probe=probe,
        template=template, streaming=streaming, limits=limits, retry=retry,
    )  # fmt: skip
