"""The OpenAI-compatible backend against a server that misbehaves: nothing paid for is lost, and each trouble is one clear sentence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from email.utils import formatdate

import pytest
from aiohttp import web

from outthink.core.completion import Completion, Failure
from outthink.core.errors import ModelError
from outthink.core.request import Draw, Request
from outthink.models.openai import Limits, OpenAIModel, Retry, connect
from tests.models.openai_runs import FAST, KEY, SIXTEEN, drain, draws, run, texts
from tests.models.stub_server import Stub, delta, failing, replying, saying, serving, streaming


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OUTTHINK_CACHE", str(tmp_path))


class Listless(Stub):
    """Fails where it should list its models."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"error": "no database"}, status=500) if request.path == "/v1/models" else await super().handle(request)


def test_a_server_that_fails_to_list_its_models_is_quoted():
    async def work() -> None:
        async with serving(Listless()) as stub:
            with pytest.raises(ModelError, match=r"which model\? It does not list what it serves \(.*no database.*\); write NAME@"):
                await connect(stub.url, retry=FAST)
            assert (await connect(stub.url, "named", retry=FAST)).name == "named"

    asyncio.run(work())


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

    @pytest.mark.parametrize("streamed", [False, True])
    def test_a_choice_that_the_server_gave_up_is_no_answer(self, streamed: bool):
        # vLLM's finish reason for a request that its engine aborts
        events = [json.dumps(delta(0, "half an")), json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "abort"}]}), "[DONE]"]
        whole = replying({"choices": [{"message": {"content": "half an"}, "finish_reason": "abort"}]})
        (done,) = run(Stub(script=[streaming(events) if streamed else whole]), streaming=streamed)
        assert done.kind == "aborted"
        assert "7 characters" in done.message

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
        assert "6031; shorten it, lower max_tokens" in done.message
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
        assert time.monotonic() - start > 0.9

    def test_everybody_waits_and_more_often_than_tries(self):
        stub = Stub(SIXTEEN, n_limit=1, script=[failing(429, "slow down", {"Retry-After": "0.02"})] * 30)
        assert len(texts(run(stub, n=16, retry=Retry(tries=2, first_s=0.01, longest_s=0.02)))) == 16

    def test_a_long_wait_is_told_once_for_all_who_wait(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
        monkeypatch.setattr("outthink.models._http._WORTH_TELLING_S", 0.25)
        stub = Stub(SIXTEEN, n_limit=1, script=[failing(429, "slow down", {"Retry-After": "0.3"})] * 16)
        assert len(texts(run(stub, n=16, retry=Retry(first_s=0.01, longest_s=0.02)))) == 16
        assert len(caplog.messages) == 1
        assert "limits the rate: waiting" in caplog.text

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
        # recorded from vLLM 0.32.0 whose engine was killed
        died = {"message": "EngineCore encountered an issue. See stack trace (above) for the root cause.", "type": "InternalServerError", "code": 500}
        (done,) = run(Stub(script=[streaming([json.dumps(delta(0, "half")), json.dumps({"error": died})])]), streaming=True)
        assert (done.kind, "EngineCore encountered an issue" in done.message) == ("interrupted", True)

    @pytest.mark.parametrize(("code", "tries", "kind"), [(400, 1, "rejected"), (500, FAST.tries, "error"), (None, FAST.tries, "error")])
    def test_an_error_before_anything_came_is_asked_again_unless_it_refuses(self, code: int | None, tries: int, kind: str):
        refusal = json.dumps({"error": {"message": "that is not to be had", "type": "BadRequestError", "param": None, "code": code}})
        stub = Stub(script=[streaming([refusal, "[DONE]"])] * 9)
        (done,) = run(stub, streaming=True)
        assert (done.kind, len(stub.bodies)) == (kind, tries)
        assert "not to be had" in done.message

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
        stub = Stub(("word " * 200,), n_limit=1, delay_s=2.0)

        async def read(model: OpenAIModel) -> None:
            asked = [Draw(Request.ask(f"{i}?"), 0, i) for i in range(8)]
            async with contextlib.aclosing(model.stream(asked)) as chunks:
                async for _ in chunks:
                    pass

        async def leave(model: OpenAIModel) -> int:
            reading = asyncio.create_task(read(model))
            for _ in range(3000):
                if stub.active == 8:
                    break
                await asyncio.sleep(0.01)
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
            for _ in range(100):
                if stub.active == 0:
                    break
                await asyncio.sleep(0.01)
            return stub.aborted

        assert run(stub, leave, streaming=streamed) == 8
        assert stub.active == 0
