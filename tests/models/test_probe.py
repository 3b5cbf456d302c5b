"""The probe: it finds what a server does, whatever it claims; and the backend on a real llama.cpp server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from outthink.cli.app import run as cli
from outthink.core.completion import Completion
from outthink.core.data import cache_folder
from outthink.core.errors import CapabilityError, ModelError
from outthink.core.request import Capture, Draw, Message, Prefix, Request, Sampling
from outthink.models.embedded import EmbeddedModel
from outthink.models.openai import connect
from outthink.models.probe import Probe, load, probe, save
from outthink.models.templates import named
from tests.models.stub_server import Stub, error, failing, serving


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OUTTHINK_CACHE", str(tmp_path))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def examined(stub: Stub) -> Probe:
    async def go() -> Probe:
        async with serving(stub):
            return await probe(stub.url)

    return asyncio.run(go())


def test_what_the_stub_does_is_found():
    found = examined(Stub((" 8, 9, 10",)))
    assert (found.n_honoured, found.n_limit, found.usage_of_one, found.logprobs) == (True, None, False, True)
    assert found.continuation == "echo"
    assert (found.completions, found.scoring, found.embeddings) == (True, None, True)
    assert found.seed is False  # it gives the same text for every seed
    assert found.stop is False
    assert load(found.url, found.model) == found


@pytest.mark.parametrize(("refuse", "limit"), [(True, 4), (False, 4), (True, 1), (False, 1)])
def test_a_limit_of_n_is_found(refuse: bool, limit: int):
    found = examined(Stub(n_limit=limit, refuse_n=refuse, usage="one"))
    assert (found.n_honoured, found.n_limit) == (limit > 1, limit)
    assert found.usage_of_one is (True if limit > 1 else None)


def test_what_is_not_there_is_not_claimed():
    found = examined(Stub(("1, 2, 3",), logprobs="refuse", echo=False))
    assert found.logprobs is False
    assert found.continuation is None  # a fresh answer begins with 1
    assert examined(Stub(("8, 9",), logprobs=False, echo=False)).continuation in ("flag", "plain")


def test_a_server_that_answers_nothing_is_not_a_server_that_lacks_everything():
    with pytest.raises(ModelError, match="answered none of the probe's questions to 'stub-model': pinned to another model"):
        examined(Stub(script=[failing(400, "pinned to another model")] * 50))


def test_samples_that_are_all_one_are_noticed():
    # `transformers serve` is greedy at every temperature unless the model's generation_config.json says do_sample
    rows = dict(examined(Stub()).rows())
    assert "does not sample" in rows["temperature 1"]
    differing = examined(Stub(("a b", "a c", "a d")))
    assert (differing.samples, differing.seed) == (True, False)


class _WithoutEmbeddings(Stub):
    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        return error(500, "created without embeddings") if request.path == "/v1/embeddings" else await super().handle(request)


def test_a_server_that_fails_at_what_it_lacks_is_probed_all_the_same():
    found = examined(_WithoutEmbeddings())
    assert (found.embeddings, found.completions, found.n_honoured) == (False, True, True)


def test_a_probe_is_used_by_connect():
    stub = Stub(n_limit=2, refuse_n=True)

    async def go() -> list[int]:
        async with serving(stub):
            await probe(stub.url)
            stub.bodies.clear()
            model = await connect(stub.url)
            asked = [Draw(Request.ask("?"), i, i) for i in range(4)]
            assert len([chunk async for chunk in model.stream(asked) if chunk.done]) == 4
            await model.aclose()
        return [body.get("n", 1) for body in stub.bodies]

    assert asyncio.run(go()) == [2, 2]


def test_the_command_shows_the_findings_in_words(capsys: pytest.CaptureFixture[str]):
    async def go() -> None:
        stub = Stub()
        async with serving(stub):
            assert await asyncio.to_thread(cli, ["probe", stub.url]) == 0

    asyncio.run(go())
    shown = capsys.readouterr().out
    assert "16 choices in one request" in shown
    assert "None" not in shown


def test_a_damaged_or_older_probe_is_made_again():
    path = save(Probe("http://host/v1", "m"))
    assert load("http://host/v1", "m") is not None
    path.write_text(json.dumps({"url": "http://host/v1"}))
    assert load("http://host/v1", "m") is None
    path.write_text("{")
    assert load("http://host/v1", "m") is None


def test_the_table_names_everything():
    rows = dict(Probe("http://host/v1", "m", n_honoured=True, n_limit=4).rows())
    assert rows["n"] == "at most 4 in one request"
    assert rows["seed"] == "unknown"


_LLAMA = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.verbosity = sys.argv[1], 4 * 512, 4, -1
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
server = xllamacpp.Server(params)
print("address " + server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def llama() -> Iterator[tuple[str, Path]]:
    pytest.importorskip("xllamacpp")
    given = os.environ.get("OUTTHINK_TEST_MODEL")
    found = [Path(given)] if given else sorted((cache_folder() / "models").glob("*mol*.gguf")) or sorted((cache_folder() / "models").glob("*.gguf"))
    if not found or not found[0].is_file():
        pytest.skip("no model: set OUTTHINK_TEST_MODEL to a GGUF file, or run `outthink models get smollm2-135m`")
    command = [sys.executable, "-c", _LLAMA, str(found[0])]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith(b"address "):
                yield line.decode().removeprefix("address ").strip(), found[0]
                break
        else:
            pytest.fail("llama.cpp's server did not start")
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("streaming", [False, True])
def test_a_real_llama_cpp_server(llama: tuple[str, Path], streaming: bool):
    async def go() -> None:
        found = await probe(llama[0])
        assert (found.engine, found.n_limit, found.usage_of_one, found.logprobs) == ("llama.cpp", 4, True, True)
        assert found.seed
        assert found.scoring == "stepwise"
        model = await connect(llama[0], streaming=streaming)
        sampling = Sampling(max_tokens=12)
        ask = Request((Message("user", "What is 2+2?"),), sampling=sampling, capture=Capture(token_logprobs=True))
        done = [chunk.done async for chunk in model.stream([Draw(ask, i, i) for i in range(6)]) if chunk.done]
        assert len(done) == 6
        for one in done:
            assert isinstance(one, Completion)
            assert one.usage.completion_tokens == len(one.token_logprobs or ())
            assert one.logprob == pytest.approx(sum(one.token_logprobs or ()))
        prefixed = Request(ask.messages, prefix=Prefix("The sum of 2 and"), sampling=Sampling(temperature=0, max_tokens=6))
        (end,) = [chunk.done async for chunk in model.stream([Draw(prefixed, 0, 0)]) if chunk.done]
        assert isinstance(end, Completion)
        assert "sum of" not in end.text
        (end,) = [chunk.done async for chunk in model.stream([Draw(Request.ask("x y " * 3000), 0, 0)]) if chunk.done]
        assert not isinstance(end, Completion)
        assert end is not None
        assert end.kind == "context"
        await model.aclose()

    asyncio.run(go())


@pytest.mark.slow
def test_a_real_llama_cpp_server_scores_as_the_same_model_does_in_process(llama: tuple[str, Path], tmp_path: Path):
    ask = Request((Message("system", "Be brief."), Message("user", "What is 2+2?")))
    begun, given = Request(ask.messages, prefix=Prefix("The sum of")), Request(ask.messages, prefix=Prefix("", (504, 2988)))
    texts = [Prefix("The answer is 4."), Prefix("The 🙃 漢字"), Prefix("", (504, 253)), Prefix("")]

    async def go() -> None:
        address, file = llama
        model, own = await connect(address), EmbeddedModel(file, context=256, slots=4, threads=1)
        try:
            assert model.scores == "once"
            for request in (ask, begun, given):
                for there, here in zip(await model.score(request, texts), await own.score(request, texts), strict=True):
                    assert (there.tokens, there.prompt_tokens) == (here.tokens, here.prompt_tokens)
                    assert there.logprobs == pytest.approx(here.logprobs, abs=0.3)  # what a batch changes after 64 tokens of context
            assert "".join((await model.score(ask, texts))[0].tokens) == "The answer is 4."
            shown = (await probe(address)).chat_template
            assert shown is not None
            (tmp_path / "shown.jinja").write_text(shown)
            rendered = await connect(address, template=named(str(tmp_path / "shown.jinja")))
            assert await rendered._stepwise._written(ask) == await model._stepwise._written(ask)
            await rendered.aclose()
            with pytest.raises(CapabilityError, match="context"):
                await model.score(Request.ask("x y " * 3000), [Prefix("a")])
            with pytest.raises(ModelError, match="no token 10000000"):
                await model.score(ask, [Prefix("", (10_000_000,))])
        finally:
            await model.aclose()
            await own.aclose()

    asyncio.run(go())


@pytest.mark.slow
@pytest.mark.parametrize("streaming", [False, True])
def test_log_probabilities_of_a_real_llama_cpp_server_are_those_of_the_whole_text_or_none(llama: tuple[str, Path], streaming: bool):
    kept = Capture(token_logprobs=True)
    stopped = Request(_COUNT, sampling=Sampling(temperature=0, max_tokens=16, stop=("3,",)), capture=kept)
    faces = Request.ask("Repeat exactly: 😀 🪐 你好 龘 é", sampling=Sampling(temperature=0.7, max_tokens=16))

    async def go() -> None:
        model = await connect(llama[0], streaming=streaming)

        async def drawn(request: Request, n: int) -> list[Completion]:
            ends = [chunk.done async for chunk in model.stream([Draw(request, i, 5 + i) for i in range(n)]) if chunk.done]
            return [end for end in ends if isinstance(end, Completion)]

        try:
            (alone,) = await drawn(stopped, 1)
            assert (alone.text, alone.usage.completion_tokens, alone.usage.basis, alone.scored_tokens) == ("1, 2, ", 8, "reported", 6)
            (score,) = await model.score(stopped, [Prefix("", alone.token_ids)])
            assert alone.logprob == pytest.approx(score.total, abs=1e-3)
            several = await drawn(stopped, 3)
            assert sorted(one.usage.basis for one in several) == ["counted", "estimated", "estimated"], "it reports the first one's tokens"
            for one in several:
                assert (one.logprob, one.scored_tokens) == (pytest.approx(alone.logprob), 6)
                assert one.usage.completion_tokens > 6, "the stop text was generated too"
            for one in [*await drawn(faces, 1), *await drawn(faces, 3)]:
                assert one.usage.completion_tokens == 16
                if one.logprob is not None:  # then no token of it is missing
                    assert len(one.token_ids or ()) == 16
                    (score,) = await model.score(faces, [Prefix("", one.token_ids)])
                    assert one.logprob == pytest.approx(score.total, abs=0.3)
        finally:
            await model.aclose()

    asyncio.run(go())


_COUNT = (Message("user", "Count from 1 to 20. Write only the numbers, separated by commas."),)
