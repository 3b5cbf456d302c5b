"""The backend on recorded exchanges with real servers (`recordings/`): it asks what it asked then, and reads what came."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from outthink.core.completion import Completion, Failure, TokenLogprobs
from tests.models.recordings import FOLDER, SCENES, SCORED, Ends, Played
from tests.models.servers_table import DOCS, replayed, table

FILES = sorted(FOLDER.glob("*.json"))


@dataclass(frozen=True)
class Tape:
    """A recording and what came of it."""

    data: dict
    missing: list[dict]
    left: list[dict]
    played: Played

    @property
    def exchanges(self) -> list[dict]:
        """All that were recorded."""
        return self.data["exchanges"]

    def ends(self, scene: str) -> Ends:
        """The ends of a scene, which must not have been refused as a whole."""
        ends = self.played.ends[scene]
        assert not isinstance(ends, str), ends
        return ends

    def texts(self, scene: str) -> list[str]:
        """The texts of a scene without a failure."""
        return [end.text if isinstance(end, Completion) else pytest.fail(end.message) for end in self.ends(scene)]

    def reply(self, scene: str) -> dict:
        """The recorded reply to a scene of one request that came whole."""
        wanted = SCENES[scene].request
        last = wanted.prefix.text if wanted.prefix else wanted.messages[-1].text
        found = [
            exchange for exchange in self.exchanges
            if exchange["path"].endswith("/chat/completions") and "reply" in exchange and exchange["body"]["messages"][-1]["content"] == last
            and exchange["body"]["max_tokens"] == wanted.sampling.max_tokens and exchange["body"].get("n", 1) == SCENES[scene].n
        ]  # fmt: skip
        return found[-1]["reply"]


def _tape(file: Path) -> Tape:
    data, player, played = asyncio.run(replayed(file))
    return Tape(data, player.missing, player.exchanges, played)


@pytest.fixture(scope="module")
def tapes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Tape]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUTTHINK_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name in [name for name in os.environ if name.startswith("OPENAI_")]:
            patch.delenv(name)
        yield {file.stem: _tape(file) for file in FILES}


@pytest.fixture
def tape(request: pytest.FixtureRequest, tapes: dict[str, Tape]) -> Tape:
    return tapes[request.param]


every = pytest.mark.parametrize("tape", [file.stem for file in FILES], indirect=True)


@every
class TestEveryServer:
    def test_it_is_asked_what_was_recorded_and_nothing_else(self, tape: Tape):
        assert tape.missing == []
        assert [exchange for exchange in tape.left if exchange["method"] != "GET"] == []

    def test_a_continuation_goes_on_behind_its_prefix_streamed_or_not(self, tape: Tape):
        if tape.played.probe.continuation is None:
            assert "outthink probe" in str(tape.played.ends["prefix"])
            return
        (whole,), (streamed,) = tape.texts("prefix"), tape.texts("prefix streamed")
        assert whole == streamed
        assert whole.startswith(" 2")
        assert not whole.startswith("The sum")

    def test_as_many_come_as_were_asked_each_within_its_allowance(self, tape: Tape):
        for scene in ("several", "several streamed", "greedy twice", "raw, several streamed"):
            for end in tape.played.ends[scene]:
                if isinstance(end, Completion):
                    assert 1 <= end.usage.completion_tokens <= 6
            assert len(tape.played.ends[scene]) == SCENES[scene].n or isinstance(tape.played.ends[scene], str)

    def test_greedy_answers_agree(self, tape: Tape):
        first, second = tape.texts("greedy twice")
        assert first == second

    def test_log_probabilities_add_up(self, tape: Tape):
        for ends in tape.played.ends.values():
            for end in ends:
                if isinstance(end, Completion) and end.token_logprobs is not None:
                    assert end.logprob == pytest.approx(math.fsum(end.token_logprobs))
                    assert all(value <= 0 for value in end.token_logprobs)


def test_the_table_in_the_docs_is_what_was_recorded(tapes: dict[str, Tape]):
    assert table([(tape.data, tape.played) for tape in tapes.values()]) in DOCS.read_text()


def of(name: str):
    return pytest.mark.parametrize("tape", [name], indirect=True)


@of("vllm")
class TestVllm:
    def test_the_probe(self, tape: Tape):
        found = tape.played.probe
        assert (found.engine, found.n_honoured, found.n_limit, found.usage_of_one) == ("vllm", True, None, False)
        assert (found.continuation, found.logprobs, found.seed, found.stop) == ("flag", True, True, True)
        assert (found.completions, found.scoring, found.embeddings, found.context) == (True, "echo", False, 1024)

    def test_samples_come_in_one_request_with_their_log_probabilities(self, tape: Tape):
        choices = tape.reply("several")["choices"]
        assert tape.texts("several") == [choice["message"]["content"] for choice in choices]
        for end, choice in zip(tape.ends("several"), choices, strict=True):
            assert isinstance(end, Completion)
            assert end.token_logprobs == tuple(place["logprob"] for place in choice["logprobs"]["content"])
            assert [len(top) for top in end.top_logprobs or ()] == [2] * 6

    def test_a_prefix_is_continued_by_flag_without_an_echo(self, tape: Tape):
        (body,) = (e["body"] for e in tape.exchanges if e["body"] and e["body"].get("continue_final_message") and e["body"].get("n") == 2)
        assert (body["messages"][-1], body["add_generation_prompt"]) == ({"role": "assistant", "content": "The"}, False)
        assert tape.texts("prefix") == [tape.reply("prefix")["choices"][0]["message"]["content"]] == [" 2 is 4."]
        assert tape.texts("prefix that ends in a space") == ["4."]

    def test_chat_and_raw_completions_give_the_same_streamed_or_not(self, tape: Tape):
        ends = [tape.ends(scene)[0] for scene in ("prefix", "prefix streamed", "raw prefix", "raw prefix streamed")]
        assert {type(end) for end in ends} == {Completion}
        assert len({(end.text, end.token_logprobs, end.top_logprobs, end.usage) for end in ends if isinstance(end, Completion)}) == 1

    def test_its_own_samplers_are_off(self, tape: Tape):
        off = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
        assert off.items() <= next(e["body"] for e in tape.exchanges if e["body"] and e["body"].get("n") == 3).items()

    def test_greedy_samples_are_asked_one_by_one_and_others_still_together(self, tape: Tape):
        # vLLM refuses n > 1 at temperature 0: "n must be 1 when using greedy sampling"
        assert len(tape.texts("greedy twice")) == 2
        assert [e["body"]["temperature"] for e in tape.exchanges if e["body"] and e["body"].get("n") == 2] == [1.0, 1.0]

    def test_a_stop_text_ends_the_answer(self, tape: Tape):
        assert tape.texts("stop") == ["1, 2, "]

    def test_a_schema_is_followed(self, tape: Tape):
        assert json.loads(tape.texts("schema")[0]).keys() == {"x"}

    def test_a_prompt_that_is_too_long_says_so(self, tape: Tape):
        (end,) = tape.ends("too long")
        assert isinstance(end, Failure)
        assert (end.kind, "1024" in end.message) == ("context", True)

    @pytest.mark.parametrize("scene", ["alternatives", "alternatives streamed"])
    def test_more_alternatives_than_it_has_fail_alone_and_at_once(self, tape: Tape, scene: str):
        # streamed, the refusal comes as the first event of an answer of status 200
        (end,) = tape.ends(scene)
        assert isinstance(end, Failure)
        assert (end.kind, "at most 20 alternatives" in end.message) == ("capability", True)
        asked = [e for e in tape.exchanges if e["body"] and e["body"].get("top_logprobs") == 21]
        assert [("stream" in e, e["status"]) for e in asked] == [(False, 400), (True, 200)]

    def test_every_byte_of_a_continuation_is_scored(self, tape: Tape):
        # a character of several tokens shows its text at the last of them: the first, at the seam, belong to the continuation
        score = tape.played.score
        assert isinstance(score, TokenLogprobs)
        assert score.tokens == ("", "", "🙃", " and", "", "", " 漢", "字")
        assert "".join(score.tokens) == SCORED
        assert score.prompt_tokens == 37


@of("sglang")
class TestSglang:
    def test_the_probe(self, tape: Tape):
        found = tape.played.probe
        assert (found.engine, found.n_honoured, found.n_limit, found.usage_of_one) == ("sglang", True, None, False)
        assert (found.continuation, found.logprobs, found.samples, found.seed, found.stop) == ("flag", True, True, False, True)
        assert (found.completions, found.scoring, found.embeddings, found.context) == (True, "echo", False, 1024)

    def test_its_own_samplers_are_off(self, tape: Tape):
        off = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
        assert off.items() <= next(e["body"] for e in tape.exchanges if e["body"] and e["body"].get("n") == 3).items()

    def test_no_seed_is_sent_where_it_decides_nothing(self, tape: Tape):
        assert {"seed" in e["body"] for e in tape.exchanges if e["body"] and e["body"].get("max_tokens") == 6} == {False}

    def test_tokens_without_places_are_counted_and_what_does_not_join_is_refused(self, tape: Tape):
        # it writes -1 as the place of every token, which made a continuation of no tokens and so of probability 1
        places = [e["reply"]["choices"][0]["logprobs"]["text_offset"] for e in tape.exchanges if e["body"] and e["body"].get("echo")]
        assert {place for row in places for place in row} == {-1}
        assert tape.played.probe.scoring == "echo"
        assert "do not join" in str(tape.played.score)


@of("transformers")
class TestTransformersServe:
    def test_the_probe(self, tape: Tape):
        found = tape.played.probe
        assert (found.engine, found.n_honoured, found.n_limit, found.logprobs) == ("openai", False, 1, False)
        assert (found.continuation, found.samples, found.seed, found.stop) == (None, True, True, False)
        assert (found.completions, found.scoring, found.embeddings) == (True, None, False)

    def test_samples_are_asked_one_by_one(self, tape: Tape):
        assert len(set(tape.texts("several"))) == 3

    def test_a_stop_text_that_it_leaves_in_the_answer_is_taken_off(self, tape: Tape):
        assert tape.reply("stop")["choices"][0]["message"]["content"] == "1, 2, 3,"
        assert tape.texts("stop") == ["1, 2, "]

    def test_a_prefix_goes_on_through_raw_completions(self, tape: Tape):
        assert tape.texts("raw prefix") == tape.texts("raw prefix streamed") == [" 2 is 4."]


@of("llama")
class TestLlama:
    def test_the_probe(self, tape: Tape):
        found = tape.played.probe
        assert (found.engine, found.n_honoured, found.n_limit, found.usage_of_one) == ("llama.cpp", True, 4, True)
        assert (found.continuation, found.logprobs, found.samples, found.seed, found.stop) == ("echo", True, True, True, True)
        assert (found.completions, found.scoring, found.embeddings, found.context) == (True, "stepwise", False, 1024)
        assert "<|im_start|>" in (found.chat_template or "")

    def test_given_tokens_are_generated_one_by_one_after_what_its_template_writes(self, tape: Tape):
        score, asked = tape.played.score, [e["body"] for e in tape.exchanges if e["body"] and "logit_bias" in e["body"]]
        assert isinstance(score, TokenLogprobs)
        assert (score.tokens, score.prompt_tokens) == (("The", " answer", " is"), 37)
        steps = [body["prompt"] for body in asked[-3:]]
        assert [len(prompt) for prompt in steps] == [37, 38, 39]
        assert [prompt[37:] for prompt in steps] == [[], [504], [504, 2988]]
        # the model's own, as the sample that began with the same words has them
        end = tape.ends("greedy twice")[0]
        assert isinstance(end, Completion)
        assert score.logprobs[:2] == pytest.approx(end.token_logprobs[:2])

    def test_the_echo_of_a_prefix_is_taken_off(self, tape: Tape):
        assert tape.reply("prefix")["choices"][0]["message"]["content"] == "The sum of 2 and 2 is 4."
        assert tape.texts("prefix") == [" 2 is 4."]

    def test_what_it_does_not_tell_of_a_stop_text_is_spent_and_not_scored(self, tape: Tape):
        (end,) = tape.ends("stop")
        assert isinstance(end, Completion)
        assert (end.text, end.usage.completion_tokens, end.scored_tokens) == ("1, 2, ", 8, 6)
        assert len(end.token_ids or ()) == len(end.token_logprobs or ()) == len(end.top_logprobs or ()) == 6

    def test_its_usage_of_several_choices_counts_one_and_theirs_is_counted(self, tape: Tape):
        assert tape.reply("several")["usage"]["completion_tokens"] == 6
        assert [end.usage.row()[1::2] for end in tape.ends("several") if isinstance(end, Completion)] == [(6, "counted")] * 3
