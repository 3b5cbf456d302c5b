"""The instruments themselves: their laws, their accounting, their refusals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import anyio
import pytest

from outthink.core.completion import Completion, Failure
from outthink.core.protocols import Model
from outthink.core.request import Capture, Draw, Message, Prefix, Request, Sampling
from outthink.models.scripted import ScriptedModel
from outthink.models.simulated import LatentAnswers, Speech
from outthink.models.simulated_chains import ReviseChain, StepChain, step_states
from outthink.problems.answers import Number

TRUTH = {"p": "7", "q": "3"}
ASK = Request.ask("how many")
N = 4000


def drawn(model: Model, request: Request = ASK, n: int = N, problem: str = "p") -> list[Completion | Failure]:
    async def main() -> list[Completion | Failure]:
        draws = [Draw(request, i, i, problem) for i in range(n)]
        ends: dict[int, Completion | Failure] = {}
        async for chunk in model.stream(draws):
            if chunk.done is not None:
                ends[chunk.position] = chunk.done
        return [ends[i] for i in range(n)]

    return anyio.run(main)


def answers(ends: Sequence[Completion | Failure]) -> Counter[str | None]:
    found = [Number().parse(end.text) for end in ends if isinstance(end, Completion)]
    return Counter(None if answer is None else answer.value for answer in found)


def near(count: int, p: float, n: int = N) -> bool:
    return abs(count - n * p) <= 3.5 * math.sqrt(n * p * (1 - p)) + 1e-9


def test_answers_come_as_often_as_they_are_probable() -> None:
    model = LatentAnswers({"p": {"7": 0.5, "8": 0.3, None: 0.2}}, TRUTH)
    counts = answers(drawn(model))
    assert near(counts["7"], 0.5)
    assert near(counts["8"], 0.3)
    assert near(counts[None], 0.2)


def test_greedy_is_the_most_probable_answer_whatever_the_seed() -> None:
    model = LatentAnswers({"p": {"7": 0.3, "8": 0.4, "9": 0.3}}, TRUTH)
    assert answers(drawn(model, Request.ask("x", sampling=Sampling(temperature=0)), 50)) == {"8": 50}


def test_difficulties_are_beta_and_belong_to_the_problem_alone() -> None:
    truth = {str(i): "1" for i in range(2000)}
    model = LatentAnswers.drawn(truth, 2.0, 3.0, distractors=3, seed=4)
    rates = [model.p_right(problem) for problem in truth]
    mean, variance = 2 / 5, 2 * 3 / (5**2 * 6)
    assert abs(sum(rates) / 2000 - mean) < 3.5 * math.sqrt(variance / 2000)
    assert abs(sum((rate - mean) ** 2 for rate in rates) / 2000 - variance) < 0.1 * variance
    assert LatentAnswers.drawn({"5": "1"}, 2.0, 3.0, distractors=3, seed=4).answers["5"] == model.answers["5"]
    assert len(model.answers["5"]) == 4


def test_wrong_texts_are_longer_and_the_log_probability_is_that_of_the_answer() -> None:
    model = LatentAnswers({"p": {"7": 0.25, "8": 0.75}}, TRUTH, speech=Speech(6, 6, wrong_longer=2.0))
    request = Request(ASK.messages, capture=Capture(token_logprobs=True))
    for end in drawn(model, request, 100):
        assert isinstance(end, Completion)
        right = "is 7." in end.text
        assert end.usage.completion_tokens == len(end.text.split()) == (6 if right else 12)
        assert end.logprob == pytest.approx(math.log(0.25 if right else 0.75))
        assert end.token_logprobs is not None
        assert (len(end.token_logprobs), sum(end.token_logprobs)) == (end.usage.completion_tokens, end.logprob)


def test_a_text_that_reaches_max_tokens_is_cut_and_says_no_answer() -> None:
    model = LatentAnswers({"p": {"7": 1.0}}, TRUTH, speech=Speech(10, 10))
    (end,) = drawn(model, Request.ask("x", sampling=Sampling(max_tokens=9)), 1)
    assert isinstance(end, Completion)
    assert (end.finish, end.usage.completion_tokens, Number().parse(end.text)) == ("length", 9, None)


def test_failures_come_as_often_as_asked_and_the_counts_add_up() -> None:
    model = LatentAnswers({"p": {"7": 1.0}}, TRUTH, speech=Speech(failure_rate=0.25), shares_prompt=True)
    ends = drawn(model)
    failed = sum(isinstance(end, Failure) for end in ends)
    assert near(failed, 0.25)
    served = model.served
    assert (served.calls, served.done, served.failed, served.cut, served.in_flight) == (N, N - failed, failed, 0, 0)
    assert served.prompt_tokens == 2, "one prompt of two words for the whole call"
    finished = sum(end.usage.completion_tokens for end in ends if isinstance(end, Completion))
    assert served.completion_tokens > finished


def test_a_closed_stream_counts_what_left_and_cuts_the_rest() -> None:
    model = LatentAnswers({"p": {"7": 1.0}}, TRUTH, speech=Speech(8, 8, delay_s=0.001))

    async def main() -> int:
        tokens = 0
        stream = model.stream([Draw(ASK, i, i, "p") for i in range(4)])
        async for chunk in stream:
            tokens += chunk.tokens
            if tokens == 10:
                break
        await stream.aclose()
        return tokens

    assert anyio.run(main) == model.served.completion_tokens == 10
    assert (model.served.in_flight, model.served.cut + model.served.done) == (0, 4)


def test_speed_changes_the_order_and_not_the_texts() -> None:
    instant = LatentAnswers({"p": {"7": 0.5, "8": 0.5}}, TRUTH)
    slow = LatentAnswers({"p": {"7": 0.5, "8": 0.5}}, TRUTH, speech=Speech(delay_s=0.0005))
    assert drawn(instant, n=20) == drawn(slow, n=20)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LatentAnswers({"p": {"7": 0.5}}, TRUTH),
        lambda: LatentAnswers({"p": {}}, TRUTH),
        lambda: LatentAnswers.drawn(TRUTH, distractors=0, seed=0),
        lambda: Speech(shortest=3),
        lambda: Speech(failure_rate=1.5),
        lambda: StepChain(TRUTH, p_step=2.0),
        lambda: ReviseChain(TRUTH, fix=-0.1),
    ],
)
def test_impossible_instruments_are_refused(make: object) -> None:
    with pytest.raises(ValueError, match=r"must be|needs"):
        make()  # type: ignore[operator]


def test_an_unknown_problem_is_a_failure_and_an_unserved_request_is_refused() -> None:
    for model in (LatentAnswers({"p": {"7": 1.0}}, TRUTH), StepChain(TRUTH), ReviseChain(TRUTH)):
        (end,) = drawn(model, n=1, problem="?")
        assert isinstance(end, Failure)
        assert model.refuses(Request(ASK.messages, capture=Capture(top_logprobs=3)))
        assert model.refuses(ASK) is None
    assert LatentAnswers({"p": {"7": 1.0}}, TRUTH).refuses(Request(ASK.messages, prefix=Prefix("x")))


def test_a_step_chain_is_right_with_p_to_the_number_of_steps() -> None:
    model = StepChain(TRUTH, steps=3, p_step=0.8)
    assert near(answers(drawn(model))["7"], 0.8**3)


def test_a_wrong_step_stays_wrong_and_a_chain_can_be_walked_step_by_step() -> None:
    model = StepChain(TRUTH, steps=3, p_step=0.6)
    one = Sampling(stop=("\n\n",))
    right = 0
    for seed in range(400):
        text = ""
        for step in range(4):
            before = step_states(text)
            request = Request(ASK.messages, prefix=Prefix(text) if text else None, sampling=one)
            (end,) = drawn_at(model, request, 4 * seed + step)
            text += end.text + "\n\n"
            assert step_states(text)[: len(before)] == before
            if False in before:
                assert not step_states(text)[-1]
        assert len(step_states(text)) == 3
        answer = Number().parse(text)
        assert answer is not None
        assert (answer.value == "7") == all(step_states(text))
        right += answer.value == "7"
    assert near(right, 0.6**3, 400)


def drawn_at(model: Model, request: Request, seed: int) -> list[Completion]:
    async def main() -> list[Completion]:
        return [chunk.done async for chunk in model.stream([Draw(request, 0, seed, "p")]) if isinstance(chunk.done, Completion)]

    return anyio.run(main)


def test_the_revise_chain_has_its_five_probabilities() -> None:
    model = ReviseChain(TRUTH, p0=0.4, tpr=0.9, fpr=0.3, keep=0.85, fix=0.25)

    def asked(version: str, answer: str) -> Request:
        turns = (Message("user", "how many"), Message("assistant", f"The answer is {answer}."), Message("user", "and now?"))
        return Request(turns, prompt_version=version)

    assert near(answers(drawn(model))["7"], 0.4)
    for answer, rate, revised in (("7", 0.9, 0.85), ("71", 0.3, 0.25)):
        verdicts = Counter(end.text for end in drawn(model, asked("verify/1", answer)) if isinstance(end, Completion))
        assert near(verdicts["Verdict: correct"], rate)
        assert verdicts.total() == verdicts["Verdict: correct"] + verdicts["Verdict: incorrect"]
        assert near(answers(drawn(model, asked("revise/2", answer)))["7"], revised)
    (end,) = drawn(model, Request.ask("verify what?", prompt_version="verify/1"), 1)
    assert isinstance(end, Failure)


def test_a_script_is_said_in_order_or_by_request() -> None:
    ordered = ScriptedModel(["one two", Failure("broken", "x")], logprob=-0.5)
    first, second = drawn(ordered, n=2)
    assert isinstance(first, Completion)
    assert (first.text, first.usage.completion_tokens, first.usage.prompt_tokens, first.logprob) == ("one two", 2, 2, -1.0)
    assert second == Failure("broken", "x")
    assert ordered.requests == [ASK, ASK]
    by_request = ScriptedModel({"how many": ["a", "b"]})
    assert [end.text for end in drawn(by_request, n=2) if isinstance(end, Completion)] == ["a", "b"]
    with pytest.raises(Exception, match="has 2 replies to 'how many', and reply 3"):
        drawn(by_request, n=3)
