"""The embedded engine with the real default model: determinism, counting, continuation, cancellation, refusals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from outthink.core.completion import Completion, Embedding, Failure
from outthink.core.errors import CapabilityError, ModelError
from outthink.core.request import Capture, Draw, Image, Message, Prefix, Request, Sampling
from outthink.core.session import Session
from outthink.core.spend import Budget
from outthink.models import store
from outthink.models._forced import lanes
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
        model = EmbeddedModel(FILE, context=256, threads=1)
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
    assert "session.embed" in (model.refuses(dataclasses.replace(ASK, capture=Capture(hidden="last"))) or "")
    assert model.refuses(ASK) is None


@pytest.mark.slow
@pytest.mark.skipif(FILE is None, reason="the default model is not here: outthink models get")
def test_a_bad_grammar_is_a_failed_sample() -> None:
    async def work() -> None:
        assert FILE is not None
        model = EmbeddedModel(FILE, context=256, slots=2, threads=1)
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


@pytest.mark.slow
@pytest.mark.skipif(FILE is None, reason="the default model is not here: outthink models get")
def test_scores_and_characters_of_several_tokens() -> None:
    async def work() -> None:
        assert FILE is not None
        model = EmbeddedModel(FILE, context=256, slots=4, threads=1)
        try:
            await characters_of_several_tokens_keep_their_tokens(model)
            await finding_lost_tokens_is_charged_and_stays_within_what_was_reserved(model)
            await the_score_of_a_sample_is_its_own_log_probability(model)
            await one_token_continuations_are_a_distribution(model)
            await scores_do_not_depend_on_what_is_scored_with_them(model)
            await a_score_can_be_cut(model)
            await what_does_not_fit_is_refused(model)
        finally:
            await model.aclose()

    anyio.run(work)


EMOJI = dataclasses.replace(
    Request.ask("Repeat exactly: 😀 🪐 你好 龘 é", sampling=Sampling(temperature=0.7, max_tokens=100)),
    capture=Capture(token_logprobs=True, top_logprobs=2),
)


# it ends by a character of several tokens that are not in its text, so that only drawing it again tells them
STARRED = dataclasses.replace(EMOJI, sampling=dataclasses.replace(EMOJI.sampling, stop=("🌟",)))


async def characters_of_several_tokens_keep_their_tokens(model: EmbeddedModel) -> None:
    completions = await drawn(model, [Draw(STARRED, 0, 5), Draw(EMOJI, 1, 5), Draw(EMOJI, 6, 10), Draw(EMOJI, 3, 7)])
    for completion in completions:
        assert completion.finish == "stop"
        assert completion.token_ids is not None
        assert completion.token_logprobs is not None
        assert completion.top_logprobs is not None
        assert len(completion.token_ids) == len(completion.top_logprobs) == completion.usage.completion_tokens
        assert completion.logprob == pytest.approx(sum(completion.token_logprobs))
        told = model._engine.ask("/detokenize", {"tokens": list(completion.token_ids)})["content"]
        assert told.removesuffix("<|im_end|>") == completion.text + ("🌟" if completion is completions[0] else "")
        (scored,) = await model.score(EMOJI, [Prefix("", completion.token_ids)])
        assert scored.logprobs == pytest.approx(completion.token_logprobs, abs=0.3)  # what a batch changes after 64 tokens of context
    assert [completion.usage.recovery_tokens > 0 for completion in completions] == [True, True, True, False]


async def finding_lost_tokens_is_charged_and_stays_within_what_was_reserved(model: EmbeddedModel) -> None:
    generated, complete = 0, model._engine.complete

    async def counted(body: dict[str, object]) -> AsyncGenerator[list[dict[str, Any]], None]:
        nonlocal generated
        async for pieces in complete(body):
            generated += sum(piece["usage"]["completion_tokens"] for piece in pieces if piece.get("usage"))
            yield pieces

    model._engine.complete = counted  # type: ignore[method-assign]
    found: list[tuple[int, int, bool, bool]] = []
    for ask, most in ((EMOJI, 14), (EMOJI, 60), (EMOJI, 75), (STARRED, 20), (STARRED, 50)):
        request, before, told = dataclasses.replace(ask, sampling=dataclasses.replace(ask.sampling, max_tokens=most)), generated, 0
        async for chunk in model.stream([Draw(request, 1, 5)]):
            told += chunk.tokens
            if isinstance(chunk.done, Completion):
                usage = chunk.done.usage
                found.append((usage.completion_tokens, usage.recovery_tokens, chunk.done.token_ids is not None, chunk.done.logprob is not None))
        assert generated - before == told == usage.generated <= most
    del model._engine.complete
    # of 56 tokens the text tells which they are, and their probabilities take 15 steps more; of 12 it does not tell that of the stop text
    assert found == [(14, 0, True, False), (56, 0, True, False), (56, 15, True, True), (12, 0, False, False), (12, 14, True, True)]
    session = Session.open(model, budget=Budget(completion_tokens=100))
    (candidate,) = await session.sample(EMOJI)
    charged, usage = session.meter.charged, candidate.completion.usage
    assert charged.completion_tokens == usage.generated
    assert charged.flops == 2 * model.price.parameters * (usage.prompt_tokens + usage.generated)


async def the_score_of_a_sample_is_its_own_log_probability(model: EmbeddedModel) -> None:
    request = dataclasses.replace(ASK, capture=Capture(token_logprobs=True), sampling=Sampling(temperature=1.3, max_tokens=8))
    samples = await drawn(model, [Draw(request, i, 40 + i) for i in range(3)])
    scores = await model.score(request, [Prefix(sample.text, sample.token_ids) for sample in samples])
    for sample, scored in zip(samples, scores, strict=True):
        assert sample.token_logprobs is not None
        assert scored.logprobs == pytest.approx(sample.token_logprobs, abs=1e-3)  # temperature 1, whatever the request's
        assert scored.prompt_tokens == sample.usage.prompt_tokens
    # after a prefix, the rest of the same tokens
    (sample, ids) = (samples[0], samples[0].token_ids)
    assert sample.token_logprobs is not None
    assert ids is not None
    (rest,) = await model.score(dataclasses.replace(request, prefix=Prefix("", ids[:3])), [Prefix("", ids[3:])])
    assert rest.logprobs == pytest.approx(sample.token_logprobs[3:], abs=1e-3)


async def one_token_continuations_are_a_distribution(model: EmbeddedModel) -> None:
    request = dataclasses.replace(ASK, sampling=Sampling(temperature=0.0, max_tokens=1), capture=Capture(top_logprobs=40))
    (greedy,) = await drawn(model, [Draw(request, 0, 1)])
    assert greedy.top_logprobs is not None
    listed = {text: logprob for text, logprob in greedy.top_logprobs[0] if text and text.isascii()}
    ids = {text: model._engine.ask("/tokenize", {"content": text, "add_special": False})["tokens"] for text in listed}
    alone = {text: tuple(tokens) for text, tokens in ids.items() if len(tokens) == 1}
    assert len(alone) >= 20
    scores = await model.score(request, [Prefix("", tokens) for tokens in alone.values()])
    for text, scored in zip(alone, scores, strict=True):
        assert scored.total == pytest.approx(listed[text], abs=1e-3)
    # all of one evaluation. The engine sums 49,152 single-precision terms: its probabilities add up to 1.0002
    assert 0.5 < sum(math.exp(scored.total) for scored in scores) <= 1.001


async def scores_do_not_depend_on_what_is_scored_with_them(model: EmbeddedModel) -> None:
    texts = ["Red, green and blue.", "Red", "", "Blue \u2603"]
    together = await model.score(ASK, [Prefix(text) for text in texts])
    for text, scored in zip(texts, together, strict=True):
        (alone,) = await model.score(ASK, [Prefix(text)])
        assert alone.logprobs == pytest.approx(scored.logprobs, abs=1e-3)
    assert "".join(together[0].tokens) == texts[0]
    assert together[0].logprobs[0] == pytest.approx(together[1].logprobs[0], abs=1e-3)
    assert together[2].logprobs == ()


async def a_score_can_be_cut(model: EmbeddedModel) -> None:
    with anyio.move_on_after(1.0) as scope:
        await model.score(ASK, [Prefix("word " * 190), Prefix("other " * 190)])
    assert scope.cancelled_caught
    with anyio.fail_after(20):
        await drawn(model, [Draw(ASK, 0, 3)])


async def what_does_not_fit_is_refused(model: EmbeddedModel) -> None:
    with pytest.raises(CapabilityError, match="context of 256"):
        await model.score(ASK, [Prefix("word " * 300)])
    with pytest.raises(ModelError, match="token"):
        await model.score(ASK, [Prefix("", (10_000_000,))])


@pytest.mark.slow
@pytest.mark.skipif(FILE is None, reason="the default model is not here: outthink models get")
def test_embeddings() -> None:
    async def work() -> None:
        assert FILE is not None
        model = EmbeddedModel(FILE, context=64, threads=1)
        try:
            cat, kitten, physics = await model.embed(["a cat", "a kitten", "quantum field theory"])
            assert len(cat.vector) == 576
            assert dot(cat, cat) == pytest.approx(1.0, abs=1e-5)
            assert dot(cat, kitten) > dot(cat, physics) + 0.1
            assert cat.prompt_tokens == 2
            for text in ("", "word " * 100):
                with pytest.raises(ModelError, match="between 1 and 64"):
                    await model.embed(["a cat", text])
        finally:
            await model.aclose()

    anyio.run(work)


def dot(one: Embedding, other: Embedding) -> float:
    return sum(a * b for a, b in zip(one.vector, other.vector, strict=True))


@pytest.mark.parametrize(
    ("prompt", "lengths", "number"), [(100, [1, 1], 1), (100, [40] * 4, 2), (20, [10], 1), (1000, [50, 50, 50], 1), (4, [1] * 30, 4)]
)
def test_a_prompt_is_read_again_only_where_that_saves_time(prompt: int, lengths: list[int], number: int) -> None:
    assert lanes(prompt, lengths) == number
