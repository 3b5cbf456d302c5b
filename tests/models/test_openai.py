"""The OpenAI-compatible backend against a real server on loopback: what it asks, and what it makes of good and bad replies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate

import pytest

from outthink.core.completion import Completion, Failure
from outthink.core.errors import CapabilityError, ModelError
from outthink.core.protocols import Model
from outthink.core.request import Capture, Draw, Image, Message, Prefix, Request, Sampling, Text
from outthink.models import templates
from outthink.models.openai import Limits, OpenAIModel, Retry, connect
from outthink.models.probe import Probe
from tests.models.stub_server import Stub, delta, failing, replying, saying, serving, streaming

FAST = Retry(first_s=0.01, longest_s=0.05, patience_minutes=0.05)
KEY = "sk-secret-0123456789abcdef"
ASK = Request.ask("What is 6 x 7?", sampling=Sampling(max_tokens=64))


def draws(n: int, request: Request = ASK) -> list[Draw]:
    return [Draw(request, index, 1000 + index) for index in range(n)]


async def drain(model: OpenAIModel, asked: list[Draw]) -> list[Completion | Failure]:
    done: dict[int, Completion | Failure] = {}
    async for chunk in model.stream(asked):
        if chunk.done is not None:
            assert chunk.position not in done
            done[chunk.position] = chunk.done
    return [done[position] for position in range(len(asked))]


def run(stub: Stub, work: Callable[[OpenAIModel], Awaitable[object]] | None = None, n: int = 1, request: Request = ASK, **settings: object):
    """What `work` returns, by default the ends of n draws, on a model of this server."""

    async def go() -> object:
        async with serving(stub):
            settings.setdefault("retry", FAST)
            model = OpenAIModel("stub-model", base_url=stub.url, **settings)  # type: ignore[arg-type]
            try:
                return await (work(model) if work else drain(model, draws(n, request)))
            finally:
                await model.aclose()

    return asyncio.run(go())


def texts(done: list[Completion | Failure]) -> list[str]:
    assert all(isinstance(d, Completion) for d in done), done
    return [d.text for d in done]  # type: ignore[union-attr]


SIXTEEN = tuple(f"answer {i}" for i in range(16))


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


class TestBadReplies:
    def test_fifteen_good_and_one_broken_choice_of_sixteen(self):
        choices = [{"index": i, "message": {"content": str(i)}, "finish_reason": "stop"} for i in range(16)]
        choices[5]["message"] = 17
        done = run(Stub(script=[replying({"choices": choices})]), n=16)
        assert [i for i, d in enumerate(done) if isinstance(d, Failure)] == [5]
        assert done[6].text == "6"

    def test_fifteen_good_and_one_failed_request_of_sixteen(self):
        stub = Stub(SIXTEEN, n_limit=1)
        stub.script = [failing(500)] * 4
        asked = [Draw(Request.ask(f"{i}?"), 0, i) for i in range(16)]
        done = run(stub, lambda model: drain(model, asked), limits=Limits(concurrency=1))
        assert [d.kind for d in done if isinstance(d, Failure)] in ([], ["http_500"])
        stub.script = [failing(500)] * 100
        assert {d.kind for d in run(stub, n=2)} == {"http_500"}

    @pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
    def test_server_errors_are_retried(self, status: int):
        stub = Stub(script=[failing(status), failing(status)])
        assert texts(run(stub)) == ["The answer is 42."]
        assert len(stub.bodies) == 3

    def test_garbage_is_retried_and_then_a_failure(self):
        assert texts(run(Stub(script=[saying("<html>oops")]))) == ["The answer is 42."]
        (done,) = run(Stub(script=[saying('{"choices": [')] * 9))
        assert done.kind == "garbage"
        assert "not JSON" in done.message
        (done,) = run(Stub(script=[saying("[1, 2]")] * 9))
        assert done.kind == "garbage"

    def test_zero_choices(self):
        stub = Stub(script=[replying({"choices": []})] * 9)
        (done,) = run(stub)
        assert done.kind == "no_choices"
        assert len(stub.bodies) == FAST.tries

    def test_an_error_in_place_of_a_reply(self):
        (done,) = run(Stub(script=[replying({"error": {"message": "the worker died"}})] * 9))
        assert "the worker died" in done.message

    @pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
    def test_a_model_that_only_thought(self, name: str):
        choice = {"index": 0, "message": {"content": None, name: "hmm, let me see"}, "finish_reason": "length"}
        usage = {"prompt_tokens": 5, "completion_tokens": 64, "total_tokens": 69}
        (done,) = run(Stub(script=[replying({"choices": [choice], "usage": usage})]))
        assert (done.text, done.finish, done.reasoning, done.usage.completion_tokens) == ("", "length", "hmm, let me see", 64)

    def test_an_empty_completion_is_one_and_is_charged(self):
        reply = {"choices": [{"message": {"content": ""}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 5, "completion_tokens": 1}}
        (done,) = run(Stub(script=[replying(reply)]))
        assert (done.text, done.usage.completion_tokens) == ("", 1)

    def test_tool_calls_are_kept(self):
        call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
        (done,) = run(Stub(script=[replying({"choices": [{"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}]})]))
        assert (done.finish, done.tool_calls[0].name, done.tool_calls[0].arguments) == ("tool", "add", '{"a": 1}')

    def test_context_overflow_says_so_and_is_not_retried(self):
        stub = Stub(script=[failing(400, "This model's maximum context length is 512 tokens, however you requested 6031")] * 3)
        (done,) = run(stub)
        assert done.kind == "context"
        assert "6031" in done.message
        assert len(stub.bodies) == 1

    def test_another_field_for_the_allowance_is_learnt(self):
        stub = Stub(script=[failing(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")])
        assert len(texts(run(stub))) == 1
        assert stub.bodies[1]["max_completion_tokens"] == 64


class TestDenied:
    def test_a_wrong_key_is_fatal_and_never_shown(self):
        with pytest.raises(ModelError, match="OPENAI_API_KEY") as caught:
            run(Stub(key="another"), api_key=KEY)
        assert KEY not in str(caught.value)
        assert "secret" not in repr(OpenAIModel("x", api_key=KEY, base_url="http://me:secret@host/v1"))

    def test_no_key_names_the_variable(self):
        with pytest.raises(ModelError, match="set OPENAI_API_KEY"):
            run(Stub(key="another"))

    def test_the_key_comes_from_the_environment(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        assert len(texts(run(Stub(key=KEY)))) == 1

    def test_an_unknown_model_lists_known_ones(self):
        with pytest.raises(ModelError, match="it serves small, large"):
            run(Stub(models=("small", "large"), script=[failing(404, "model not found")]))

    def test_an_unreachable_server_is_one_sentence_with_the_address(self):
        model = OpenAIModel("x", base_url="http://127.0.0.1:9/v1", retry=FAST)
        with pytest.raises(ModelError, match=r"cannot reach http://127\.0\.0\.1:9/v1") as caught:
            asyncio.run(drain(model, draws(3)))
        assert "\n" not in str(caught.value)

    def test_no_money_is_not_waited_for(self):
        stub = Stub(script=[failing(429, "You exceeded your current quota", code="insufficient_quota")])
        with pytest.raises(ModelError, match="out of quota"):
            run(stub)

    @pytest.mark.parametrize("url", ["ftp://host", "http://", ""])
    def test_what_is_no_address(self, url: str):
        if url:
            with pytest.raises(ModelError, match="address"):
                OpenAIModel("x", base_url=url)
        else:
            assert "api.openai.com" in repr(OpenAIModel("x"))


class TestRateLimits:
    def test_retry_after_in_seconds_is_waited_for(self):
        stub = Stub(script=[failing(429, "slow down", {"Retry-After": "0.3"})])
        start = time.monotonic()
        assert len(texts(run(stub))) == 1
        assert time.monotonic() - start >= 0.3

    def test_retry_after_as_a_date_is_waited_for(self):
        stub = Stub(script=[failing(429, "slow down", {"Retry-After": formatdate(time.time() + 2, usegmt=True)})])
        start = time.monotonic()
        assert len(texts(run(stub, retry=Retry(first_s=0.01, longest_s=0.01)))) == 1
        assert 0.9 < time.monotonic() - start < 3

    def test_everybody_waits_and_more_often_than_tries(self):
        stub = Stub(SIXTEEN, n_limit=1, script=[failing(429, "slow down", {"Retry-After": "0.02"})] * 30)
        assert len(texts(run(stub, n=16, retry=Retry(tries=2, first_s=0.01, longest_s=0.02)))) == 16

    def test_patience_ends(self):
        with pytest.raises(ModelError, match="patience"):
            run(Stub(script=[failing(429, "slow down", {"Retry-After": "3600"})]))

    def test_a_server_that_loads_its_model_is_waited_for(self):
        assert len(texts(run(Stub(script=[failing(503, "Loading model")] * 8)))) == 1


class TestStreams:
    def test_pieces_join_to_the_whole(self):
        async def pieces(model: OpenAIModel) -> tuple[str, int, Completion]:
            chunks = [chunk async for chunk in model.stream(draws(1))]
            return "".join(c.text for c in chunks), sum(c.tokens for c in chunks), chunks[-1].done

        text, tokens, done = run(Stub(("a b c",)), pieces, streaming=True)
        assert (text, tokens, done.text, done.usage.completion_tokens, done.usage.basis) == ("a b c", 3, "a b c", 3, "reported")

    def test_a_cut_keeps_finished_choices_and_fails_begun_ones(self):
        finished = json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        events = [json.dumps(delta(0, "good")), json.dumps(delta(1, "half")), finished]
        stub = Stub(("asked again",), script=[streaming(events, cut=True)])
        done = run(stub, n=3, streaming=True)
        assert (done[0].text, done[1].kind, done[2].text) == ("good", "interrupted", "asked again")
        assert [body.get("n", 1) for body in stub.bodies] == [3, 1]

    @pytest.mark.parametrize("cut", [True, False])
    def test_a_stream_that_ends_before_anything_is_asked_again(self, cut: bool):
        assert texts(run(Stub(script=[streaming([], cut=cut)]), streaming=True)) == ["The answer is 42."]

    def test_garbage_in_a_stream(self):
        (done,) = run(Stub(script=[streaming([json.dumps(delta(0, "half")), "{oops"])]), streaming=True)
        assert done.kind == "interrupted"
        assert "not JSON" in done.message

    def test_an_error_in_a_stream(self):
        (done,) = run(Stub(script=[streaming([json.dumps(delta(0, "half")), '{"error": {"message": "out of memory"}}'])]), streaming=True)
        assert "out of memory" in done.message

    def test_reasoning_is_streamed_apart(self):
        events = [
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]},
            {"choices": [{"index": 0, "delta": {"reasoning_content": "hmm"}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},
        ]
        (done,) = run(Stub(script=[streaming([*map(json.dumps, events), "[DONE]"])]), streaming=True)
        assert (done.text, done.reasoning, done.finish) == ("", "hmm", "length")

    @pytest.mark.parametrize("streamed", [False, True])
    def test_closing_aborts_what_is_in_flight(self, streamed: bool):
        stub = Stub(("word " * 200,), n_limit=1, delay_s=0.05)

        async def leave(model: OpenAIModel) -> int:
            asked = [Draw(Request.ask(f"{i}?"), 0, i) for i in range(8)]
            async with contextlib.aclosing(model.stream(asked)) as chunks:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02 if not streamed else 0.3):
                        async for _ in chunks:
                            pass
            for _ in range(100):
                if stub.active == 0:
                    break
                await asyncio.sleep(0.01)
            return stub.aborted

        assert run(stub, leave, streaming=streamed) == 8
        assert stub.active == 0


class TestContinuation:
    PREFIXED = Request(ASK.messages, prefix=Prefix("The answer"), sampling=ASK.sampling)

    @pytest.mark.parametrize("streamed", [False, True])
    @pytest.mark.parametrize("echo", [True, False])
    def test_llama_cpp_continues_the_last_message_and_its_echo_is_taken_off(self, streamed: bool, echo: bool):
        stub = Stub((" is 42.",), echo=echo)
        assert texts(run(stub, request=self.PREFIXED, engine="llama.cpp", streaming=streamed)) == [" is 42."]
        assert stub.bodies[0]["messages"][-1] == {"role": "assistant", "content": "The answer"}

    def test_vllm_is_told_to_continue_and_does_not_echo(self):
        # unverified: made after vLLM's documentation, not recorded from a running server
        stub = Stub((" is 42.",), echo=False)
        assert texts(run(stub, request=self.PREFIXED, engine="vllm")) == [" is 42."]
        assert (stub.bodies[0]["continue_final_message"], stub.bodies[0]["add_generation_prompt"]) == (True, False)

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
        ("capture", "backend"),
        [(Capture(self_certainty=True), "transformers"), (Capture(hidden="last"), "transformers")],
    )
    def test_what_no_server_has(self, capture: Capture, backend: str):
        assert backend in (OpenAIModel("x").refuses(Request(ASK.messages, capture=capture)) or "")

    def test_grammars_are_llama_cpps(self):
        request = Request.ask("?", sampling=Sampling(grammar='root ::= "a"'))
        assert "llama.cpp" in (OpenAIModel("x").refuses(request) or "")
        assert OpenAIModel("x", engine="llama.cpp").refuses(request) is None

    def test_the_bound_is_above_the_bytes(self):
        assert OpenAIModel("x").prompt_bound(Request.ask("ä" * 100)) >= 200
        assert OpenAIModel("x").prompt_bound(Request((Message("user", (Image("http://i"),)),))) > 48_000


class TestScoresAndEmbeddings:
    def test_scores_are_those_of_the_continuation(self):
        # unverified: the shape of vLLM's legacy log probabilities, after its documentation
        whole = "Q: 1+1? A: 2"
        logprobs = {"tokens": ["Q:", " 1+1?", " A:", " 2", "."], "token_logprobs": [None, -1.0, -2.0, -0.25, -9.0], "text_offset": [0, 2, 7, 10, 12]}
        stub = Stub(script=[replying({"choices": [{"text": whole + ".", "logprobs": logprobs}]})])

        async def score(model: OpenAIModel):
            return await model.score(Request.ask("Q: 1+1? A:"), [Prefix(" 2")])

        (got,) = run(stub, score, template=templates.plain)
        assert (got.tokens, got.logprobs, got.prompt_tokens) == ((" 2",), (-0.25,), 3)

    def test_a_server_without_them_is_named(self):
        async def score(model: OpenAIModel):
            return await model.score(ASK, [Prefix(" 2")])

        with pytest.raises(CapabilityError, match="vLLM"):
            run(Stub(), score, template=templates.plain)
        with pytest.raises(CapabilityError, match="template"):
            run(Stub(), score)

    def test_embeddings_come_in_the_order_of_the_texts(self):
        assert run(Stub(), lambda model: model.embed(["abc", "a"])) == [[3.0, 1.0], [1.0, 1.0]]
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
