"""The OpenAI-compatible backend against a real server on loopback: what it asks, and what it makes of good and bad replies."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from outthink.core.completion import Completion, Failure
from outthink.core.errors import CapabilityError, ModelError
from outthink.core.protocols import Model
from outthink.core.request import Capture, Draw, Image, Message, Prefix, Request, Sampling, Text
from outthink.models import templates
from outthink.models.openai import Limits, OpenAIModel, connect
from outthink.models.probe import Probe
from tests.models.openai_runs import ASK, SIXTEEN, drain, draws, run, texts
from tests.models.stub_server import Stub, failing, replying, serving


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OUTTHINK_CACHE", str(tmp_path))


def test_it_is_a_model():
    assert isinstance(OpenAIModel("x"), Model)


@pytest.mark.parametrize("streamed", [False, True])
def test_equal_requests_go_together_where_n_is_honoured(streamed: bool):
    stub = Stub(SIXTEEN)
    assert texts(run(stub, n=16, streaming=streamed)) == list(SIXTEEN)
    assert [body.get("n") for body in stub.bodies] == [16]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("limit", "refuse"), [(1, False), (1, True), (4, False), (4, True)])
def test_a_server_without_n_is_found_out_once_and_nothing_is_lost(limit: int, refuse: bool, streamed: bool):
    stub = Stub(SIXTEEN, n_limit=limit, refuse_n=refuse)

    async def twice(model: OpenAIModel) -> list[list[Completion | Failure]]:
        return [await drain(model, draws(16)), await drain(model, draws(16))]

    first, second = run(stub, twice, streaming=streamed)
    assert sorted(texts(first)) == sorted(SIXTEEN)
    assert sorted(texts(second)) == sorted(SIXTEEN)
    assert stub.served == 32  # every choice that was generated was used
    assert [body.get("n", 1) for body in stub.bodies].count(16) == 1


def test_a_server_that_takes_greedy_samples_one_by_one_still_takes_others_together():
    stub = Stub(SIXTEEN, script=[failing(400, "n must be 1 when using greedy sampling, got 3.")])  # words of vLLM 0.32.0
    greedy = Request(ASK.messages, sampling=ASK.sampling.greedy())

    async def both(model: OpenAIModel) -> list[str]:
        return texts(await drain(model, draws(3, greedy))) + texts(await drain(model, draws(3)))

    assert len(run(stub, both)) == 6
    assert [body.get("n", 1) for body in stub.bodies] == [3, 1, 1, 1, 3]


@pytest.mark.parametrize("streamed", [False, True])
def test_half_of_a_character_in_a_reply_is_no_text_to_send_or_store(streamed: bool):
    cut = Stub(["7 \ud83d"])  # json writes it as an escape, as servers do
    assert texts(run(cut, n=1, streaming=streamed)) == ["7 \ufffd"]
    assert texts(run(Stub(["7 \ud83d\ude00"]), n=1, streaming=streamed)) == ["7 😀"]


def test_different_requests_go_apart_and_at_once():
    stub = Stub(delay_s=0.05)
    asked = [Draw(Request.ask(f"{i}?"), 0, i) for i in range(6)]
    done = run(stub, lambda model: drain(model, asked), limits=Limits(concurrency=3))
    assert len(texts(done)) == 6
    assert stub.most_active == 3


def test_a_seed_goes_with_single_draws_alone():
    stub = Stub()
    run(stub, n=1)
    run(stub, n=4)
    assert [body.get("seed") for body in stub.bodies] == [1000, None]


def test_sampling_is_sent_as_asked_and_the_servers_own_samplers_are_off():
    stub = Stub()
    sampling = Sampling(temperature=0.3, top_p=0.9, max_tokens=5, stop=("END",), json_schema='{"type": "object"}')
    run(stub, request=Request.ask("?", sampling=sampling), engine="llama.cpp")
    body = stub.bodies[0]
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["stop"]) == (0.3, 0.9, 5, ["END"])
    assert (body["top_k"], body["min_p"]) == (0, 0.0)
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    run(stub)
    assert "min_p" not in stub.bodies[-1]  # a hosted server refuses fields it does not know


def test_images_and_tool_results_are_sent():
    stub = Stub()
    parts = (Text("what is it?"), Image("data:image/png;base64,AAAA"))
    run(stub, request=Request((Message("user", parts), Message("tool", "7", tool_call_id="c1"))))
    assert stub.bodies[0]["messages"] == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
        },
        {"role": "tool", "content": "7", "tool_call_id": "c1"},
    ]


class TestUsage:
    def test_one_choice_is_as_reported(self):
        (done,) = run(Stub(("a b c",)))
        assert (done.usage.completion_tokens, done.usage.prompt_tokens, done.usage.basis) == (3, 7, "reported")

    def test_a_total_is_split_by_length_and_sums_exactly(self):
        done = run(Stub(("a", "b c d e", "f g")), n=3)
        assert sum(d.usage.completion_tokens for d in done) == 7
        assert {d.usage.basis for d in done} == {"estimated"}
        assert done[1].usage.completion_tokens > done[2].usage.completion_tokens > done[0].usage.completion_tokens

    def test_with_log_probabilities_tokens_are_counted(self):
        done = run(Stub(("a", "b c d e", "f g")), n=3, request=Request.ask("?", sampling=Sampling()), probe=_probe(logprobs=True))
        assert [d.usage.completion_tokens for d in done] == [1, 4, 2]
        assert {d.usage.basis for d in done} == {"counted"}
        assert [d.logprob for d in done] == [-0.5, -2.0, -1.0]

    def test_usage_of_the_first_choice_alone_is_noticed_by_counting(self):
        stub = Stub(("a", "b c d e", "f g"), usage="one")
        done = run(stub, n=3, request=_capturing())
        assert [d.usage.completion_tokens for d in done] == [1, 4, 2]

    def test_usage_of_the_first_choice_alone_is_noticed_by_full_lengths(self):
        choices = [{"index": i, "message": {"content": "x" * 40}, "finish_reason": "length"} for i in range(4)]
        stub = Stub(script=[replying({"choices": choices, "usage": {"prompt_tokens": 9, "completion_tokens": 64, "total_tokens": 73}})])
        assert [d.usage.completion_tokens for d in run(stub, n=4)] == [64] * 4

    def test_no_usage_is_estimated(self):
        (done,) = run(Stub(("x" * 40,), usage="none"))
        assert (done.usage.completion_tokens, done.usage.basis) == (10, "estimated")


def _capturing() -> Request:
    return Request((Message("user", "?"),), capture=Capture(token_logprobs=True, top_logprobs=1))


def _probe(**found: object) -> Probe:
    return Probe("http://x/v1", "stub-model", **{"n_honoured": True, "seed": True, **found})  # type: ignore[arg-type]


class TestLogprobs:
    def test_what_is_captured_comes_back(self):
        (done,) = run(Stub(("a b",)), request=_capturing())
        assert done.token_logprobs == (-0.5, -0.5)
        assert done.top_logprobs == ((("a", -0.5),), ((" b", -0.5),))

    def test_nobody_asks_a_server_that_may_not_have_them(self):
        stub = Stub()
        run(stub)
        assert "logprobs" not in stub.bodies[0]

    @pytest.mark.parametrize("engine", ["llama.cpp", "vllm"])
    def test_engines_that_have_them_are_asked_without_a_probe(self, engine: str):
        # else best_of_n has nothing to judge by on a server that nobody probed
        (done,) = run(Stub(("a b",)), engine=engine)
        assert done.logprob == -1.0

    def test_a_limit_of_alternatives_is_learnt_and_costs_nobody_else_the_log_probabilities(self):
        words = "Requested sample logprobs of 50, which is greater than max allowed: 20 (parameter=logprobs, value=50)"  # of vLLM 0.32.0
        stub = Stub(("a b",), script=[failing(400, words)])
        wide = Request(ASK.messages, capture=Capture(top_logprobs=50))

        async def go(model: OpenAIModel) -> tuple[list[Completion | Failure], str | None, list[Completion | Failure]]:
            return await drain(model, draws(1, wide)), model.refuses(wide), await drain(model, draws(1, _capturing()))

        (failed,), refusal, (done,) = run(stub, go)
        assert failed.kind == "capability"
        assert "at most 20" in failed.message
        assert "at most 20" in refusal
        assert done.token_logprobs == (-0.5, -0.5)

    def test_a_refusal_is_learnt_once(self):
        stub = Stub(logprobs="refuse")

        async def twice(model: OpenAIModel) -> list[str]:
            return texts(await drain(model, draws(2))) + texts(await drain(model, draws(1)))

        assert len(run(stub, twice, probe=_probe(logprobs=True))) == 3
        assert [bool(body.get("logprobs")) for body in stub.bodies] == [True, False, False]

    def test_a_capture_that_the_server_refuses_fails_and_is_refused_from_then_on(self):
        async def go(model: OpenAIModel) -> tuple[list[Completion | Failure], str | None]:
            return await drain(model, draws(2, _capturing())), model.refuses(_capturing())

        done, refusal = run(Stub(logprobs="refuse"), go)
        assert [d.kind for d in done] == ["capability"] * 2
        assert "embedded" in refusal

    def test_a_server_that_leaves_them_out_silently_fails_the_capture(self):
        (done,) = run(Stub(logprobs=False), request=_capturing())
        assert done.kind == "capability"


class TestContinuation:
    PREFIXED = Request(ASK.messages, prefix=Prefix("The answer"), sampling=ASK.sampling)

    @pytest.mark.parametrize("streamed", [False, True])
    @pytest.mark.parametrize("echo", [True, False])
    def test_llama_cpp_continues_the_last_message_and_its_echo_is_taken_off(self, streamed: bool, echo: bool):
        stub = Stub((" is 42.",), echo=echo)
        assert texts(run(stub, request=self.PREFIXED, engine="llama.cpp", streaming=streamed)) == [" is 42."]
        assert stub.bodies[0]["messages"][-1] == {"role": "assistant", "content": "The answer"}

    def test_an_unknown_server_is_not_trusted_with_it(self):
        assert "outthink probe" in (OpenAIModel("x").refuses(self.PREFIXED) or "")
        assert OpenAIModel("x", probe=_probe(continuation="plain")).refuses(self.PREFIXED) is None

    def test_raw_completions_continue_by_themselves_and_need_a_template(self):
        assert "template" in (OpenAIModel("x", api="completions").refuses(ASK) or "")
        stub = Stub((" is 42.",))
        assert texts(run(stub, request=self.PREFIXED, api="completions", template=templates.chatml)) == [" is 42."]
        assert stub.bodies[0]["prompt"] == "<|im_start|>user\nWhat is 6 x 7?<|im_end|>\n<|im_start|>assistant\nThe answer"


class TestRefusals:
    @pytest.mark.parametrize(
        ("capture", "instead"),
        [(Capture(self_certainty=True), "top_logprobs"), (Capture(hidden="last"), "session.embed")],
    )
    def test_what_no_server_has(self, capture: Capture, instead: str):
        assert instead in (OpenAIModel("x").refuses(Request(ASK.messages, capture=capture)) or "")

    def test_grammars_are_llama_cpps(self):
        request = Request.ask("?", sampling=Sampling(grammar='root ::= "a"'))
        assert "llama.cpp" in (OpenAIModel("x").refuses(request) or "")
        assert OpenAIModel("x", engine="llama.cpp").refuses(request) is None

    def test_the_bound_is_above_the_bytes(self):
        assert OpenAIModel("x").prompt_bound(Request.ask("ä" * 100)) >= 200
        assert OpenAIModel("x").prompt_bound(Request((Message("user", (Image("http://i"),)),))) > 48_000


class TestScoresAndEmbeddings:
    def test_scores_are_those_of_the_continuation(self):
        whole = "Q: 1+1? A: 2"
        logprobs = {"tokens": ["Q:", " 1+1?", " A:", " 2", "."], "token_logprobs": [None, -1.0, -2.0, -0.25, -9.0], "text_offset": [0, 2, 7, 10, 12]}
        stub = Stub(script=[replying({"choices": [{"text": whole + ".", "logprobs": logprobs}]})])

        async def score(model: OpenAIModel):
            return await model.score(Request.ask("Q: 1+1? A:"), [Prefix(" 2")])

        (got,) = run(stub, score, template=templates.plain)
        assert (got.tokens, got.logprobs, got.prompt_tokens) == ((" 2",), (-0.25,), 3)

    def test_continuations_are_asked_at_once_and_come_in_their_order(self):
        async def echoing(stub: Stub, request: web.BaseRequest, body: dict[str, Any]) -> web.StreamResponse:
            for _ in range(200):  # the first one is answered when all three are there
                if stub.most_active == 3:
                    break
                await asyncio.sleep(0.05)
            whole = body["prompt"]
            logprobs = {"tokens": ["Q ", whole[2:]], "token_logprobs": [None, -float(len(whole))], "text_offset": [0, 2]}
            return web.json_response({"choices": [{"text": whole, "logprobs": logprobs}]})

        stub = Stub(script=[echoing] * 3)
        texts = [Prefix("aaa"), Prefix("b"), Prefix("cc")]
        got = run(stub, lambda model: model.score(Request.ask("Q "), texts), template=templates.plain)
        assert [(each.tokens, each.logprobs) for each in got] == [(("aaa",), (-5.0,)), (("b",), (-3.0,)), (("cc",), (-4.0,))]
        assert stub.most_active == 3

    def test_token_ids_alone_are_refused(self):
        with pytest.raises(CapabilityError, match="embedded engine"):
            run(Stub(), lambda model: model.score(ASK, [Prefix("", (1, 2))]), template=templates.plain)

    def test_no_tokens_at_all_are_an_error_and_not_certainty(self):
        logprobs = {"tokens": ["Q:", " 2"], "token_logprobs": [None, -1.0], "text_offset": [0, 1]}
        stub = Stub(script=[replying({"choices": [{"text": "Q: 1+1? A: 2.", "logprobs": logprobs}]})])
        with pytest.raises(CapabilityError, match="none of the tokens"):
            run(stub, lambda model: model.score(Request.ask("Q: 1+1? A:"), [Prefix(" 2")]), template=templates.plain)

    def test_a_server_without_them_is_named(self):
        async def score(model: OpenAIModel):
            return await model.score(ASK, [Prefix(" 2")])

        with pytest.raises(CapabilityError, match="vLLM"):
            run(Stub(), score, template=templates.plain)
        with pytest.raises(CapabilityError, match=r"--template .*tokenizer_config.json"):
            run(Stub(), score)

    def test_whether_it_scores_is_known_of_engines_and_from_the_probe(self):
        assert OpenAIModel("m", engine="llama.cpp").scores == "once"
        assert OpenAIModel("m", engine="vllm").scores == "no"
        assert OpenAIModel("m", engine="vllm", template=templates.chatml).scores == "each"
        assert OpenAIModel("m", template=templates.chatml).scores == "no"
        assert OpenAIModel("m", probe=Probe("u", "m", engine="llama.cpp")).scores == "no", "an older one, which was asked and could not"
        assert OpenAIModel("m", probe=Probe("u", "m", scoring="echo"), template=templates.chatml).scores == "each"

    def test_images_are_not_left_out_of_what_is_scored_after(self):
        image = Request((Message("user", (Text("what?"), Image("http://i"))),))
        with pytest.raises(CapabilityError, match="images"):
            run(Stub(), lambda model: model.score(image, [Prefix("a")]), template=templates.plain)

    def test_embeddings_come_in_the_order_of_the_texts(self):
        assert [each.vector for each in run(Stub(), lambda model: model.embed(["abc", "a"]))] == [(3.0, 1.0), (1.0, 1.0)]
        stub = Stub()
        many = run(stub, lambda model: model.embed(["x" * (i % 7 + 1) for i in range(300)]))
        assert [each.vector[0] for each in many] == [i % 7 + 1 for i in range(300)]
        assert len(stub.bodies) == 2
        reported = {"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [2]}], "usage": {"prompt_tokens": 7, "total_tokens": 7}}
        both = run(Stub(script=[replying(reported)]), lambda model: model.embed(["six bytes", "3by"]))
        assert [each.prompt_tokens for each in both] == [5, 2], "the server's sum, by length"
        with pytest.raises(CapabilityError, match="embeddings"):
            run(Stub(script=[failing(501, "start it with --embeddings")]), lambda model: model.embed(["a"]))


class TestConnect:
    @staticmethod
    def to(stub: Stub, model: str | None = None) -> OpenAIModel:
        async def go() -> OpenAIModel:
            async with serving(stub):
                return await connect(stub.url, model)

        return asyncio.run(go())

    def test_the_only_model_is_taken_and_its_engine_known(self):
        model = self.to(Stub(models=("/models/tiny.gguf",), owner="llamacpp"))
        assert (model.name, model.engine) == ("tiny.gguf", "llama.cpp")

    def test_several_need_a_choice(self):
        with pytest.raises(ModelError, match="a, b"):
            self.to(Stub(models=("a", "b")))
        with pytest.raises(ModelError, match="Did you mean 'llama3'"):
            self.to(Stub(models=("llama3", "b")), "llama")
        assert self.to(Stub(models=("a", "b")), "b").name == "b"
