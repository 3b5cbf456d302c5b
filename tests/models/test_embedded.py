"""The embedded engine with the real default model: determinism, counting, continuation, cancellation, refusals."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import anyio
import pytest

from outthink.core.completion import Completion, Failure
from outthink.core.errors import CapabilityError, ModelError
from outthink.core.request import Capture, Draw, Image, Message, Prefix, Request, Sampling
from outthink.models import store
from outthink.models.embedded import EmbeddedModel

pytest.importorskip("xllamacpp", reason="the extra 'local' is not installed")
FILE = store.find(store.DEFAULT)
ASK = Request.ask("Name three colours.", sampling=Sampling(max_tokens=12))


async def drawn(model: EmbeddedModel, draws: list[Draw]) -> list[Completion]:
    found: dict[int, Completion] = {}
    async for chunk in model.stream(draws):
        if chunk.done is not None:
            assert isinstance(chunk.done, Completion)
            found[chunk.position] = chunk.done
    return [found[position] for position in range(len(draws))]


@pytest.mark.slow
@pytest.mark.skipif(FILE is None, reason="the default model is not here: outthink models get")
def test_real_model() -> None:
    """One load of the model for all properties that need it."""

    async def work() -> None:
        assert FILE is not None
        model = EmbeddedModel(FILE, context=256)
        try:
            await same_text_alone_and_in_a_batch(model)
            await every_token_is_counted(model)
            await a_prefix_is_continued_exactly(model)
            await closing_the_stream_stops_the_engine(model)
            refusals(model)
        finally:
            await model.aclose()

    anyio.run(work)


async def same_text_alone_and_in_a_batch(model: EmbeddedModel) -> None:
    batch = await drawn(model, [Draw(ASK, i, 100 + i) for i in range(8)])
    alone = await drawn(model, [Draw(ASK, 5, 105)])
    assert alone[0].text == batch[5].text
    assert len({completion.text for completion in batch}) > 1


async def every_token_is_counted(model: EmbeddedModel) -> None:
    request = dataclasses.replace(ASK, capture=Capture(token_logprobs=True, top_logprobs=3))
    for completion in await drawn(model, [Draw(request, i, 7 + i) for i in range(4)]):
        assert completion.token_ids is not None
        assert completion.token_logprobs is not None
        assert completion.usage.prompt_tokens == model.prompt_bound(request)
        # the end-of-text token is counted and has no text
        assert completion.usage.completion_tokens - len(completion.token_ids) in (0, 1)
        assert completion.logprob == pytest.approx(sum(completion.token_logprobs))
        assert completion.logprob < 0
        assert completion.top_logprobs is not None
        assert all(len(place) == 3 for place in completion.top_logprobs)


async def a_prefix_is_continued_exactly(model: EmbeddedModel) -> None:
    greedy = dataclasses.replace(ASK, sampling=ASK.sampling.greedy())
    (whole,) = await drawn(model, [Draw(greedy, 0, 1)])
    assert whole.token_ids is not None
    start = whole.token_ids[:5]
    (first,) = await drawn(model, [Draw(dataclasses.replace(greedy, sampling=Sampling(temperature=0, max_tokens=5)), 0, 1)])
    (rest,) = await drawn(
        model, [Draw(dataclasses.replace(greedy, prefix=Prefix(first.text, start), sampling=Sampling(temperature=0, max_tokens=7)), 0, 1)]
    )
    assert first.text + rest.text == whole.text


async def closing_the_stream_stops_the_engine(model: EmbeddedModel) -> None:
    long = dataclasses.replace(ASK, sampling=Sampling(max_tokens=200))
    stream = model.stream([Draw(long, i, i) for i in range(16)])
    async for chunk in stream:
        assert (chunk.done, chunk.tokens > 0) == (None, True), "what came before the end is told before the end"
        break
    await stream.aclose()
    # the slots are free again: a short request does not wait for the sixteen long ones
    with anyio.fail_after(20):
        await drawn(model, [Draw(ASK, 0, 3)])


def refusals(model: EmbeddedModel) -> None:
    assert "context" in (model.refuses(dataclasses.replace(ASK, sampling=Sampling(max_tokens=1000))) or "")
    image = Request((Message("user", (Image("data:image/png;base64,AAAA"),)),))
    assert "vision" in (model.refuses(image) or "")
    assert "transformers" in (model.refuses(dataclasses.replace(ASK, capture=Capture(hidden="last"))) or "")
    assert model.refuses(ASK) is None


@pytest.mark.slow
@pytest.mark.skipif(FILE is None, reason="the default model is not here: outthink models get")
def test_a_bad_grammar_is_a_failed_sample() -> None:
    async def work() -> None:
        assert FILE is not None
        model = EmbeddedModel(FILE, context=256, slots=2)
        bad = dataclasses.replace(ASK, sampling=Sampling(grammar="root ::= ("))
        ends = [chunk.done async for chunk in model.stream([Draw(bad, 0, 1)]) if chunk.done]
        await model.aclose()
        assert isinstance(ends[0], Failure)
        assert "grammar" in ends[0].message

    anyio.run(work)


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"hello world")
    with pytest.raises(ModelError, match="not a GGUF file"):
        EmbeddedModel(path).refuses(ASK)


def test_what_the_engine_cannot_do_says_which_backend_can(tmp_path: Path) -> None:
    async def work() -> None:
        with pytest.raises(CapabilityError, match="vLLM"):
            await EmbeddedModel(tmp_path / "x.gguf").score(ASK, [Prefix("x")])

    anyio.run(work)
