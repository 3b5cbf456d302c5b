"""Pairwise judge [72]: both orders, verdicts that cannot be read, its prompt."""

from __future__ import annotations

import anyio
import pytest

from outthink.core.completion import Completion, Usage
from outthink.core.problem import Answer, Problem
from outthink.core.request import Message
from outthink.core.session import Session
from outthink.core.solution import Candidate, Preference
from outthink.models.scripted import ScriptedModel
from outthink.problems.numbers import Number
from outthink.verifiers.pairwise_judge import PairwiseJudge, read_verdict

PROBLEM = Problem("p", (Message("user", "What is 1 + 1?"),), Number())
ONE, TWO = (Candidate(Completion(text, "stop", Usage()), Answer(text), key=text, index=i) for i, text in enumerate(("1", "2")))


def compare(judge: PairwiseJudge, replies: list[str]) -> tuple[list[Preference], ScriptedModel]:
    model = ScriptedModel(replies)

    async def work() -> list[Preference]:
        return await Session.open(model, place=("p",)).compare(judge, PROBLEM, [(ONE, TWO)])

    return anyio.run(work), model


@pytest.mark.parametrize(
    ("replies", "first"),
    [(["Better: A", "Better: B"], 1.0), (["Better: B", "Better: A"], 0.0), (["Better: A", "Better: A"], 0.5), (["Better: B", "B"], 0.5)],
)
def test_both_orders_cancel_the_position(replies: list[str], first: float):
    (preference,), model = compare(PairwiseJudge(), replies)
    assert preference.first == first
    assert [request.messages[-1].text.index("\n1\n") < request.messages[-1].text.index("\n2\n") for request in model.requests] == [True, False]
    assert {request.prompt_version for request in model.requests} == {"pairwise/1"}


def test_one_order_is_half_the_cost():
    (preference,), model = compare(PairwiseJudge(both_orders=False), ["Better: B"])
    assert preference.first == 0.0
    assert len(model.requests) == 1


def test_a_reply_that_names_neither_is_a_failure_with_its_words():
    (preference,), _ = compare(PairwiseJudge(), ["Better: A", "I like both."])
    assert preference.first is None
    assert "neither" in (preference.failure or "")
    assert "I like both." in preference.text


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("A adds wrongly.\nBetter: B", "B"),
        ("Better: A? No. Better: **B**", "B"),
        ("better answer: a", "A"),
        ("Better is answer B.", "B"),
        ("(A)", "A"),
        ("Answer A is a better one than B", None),
        ("Better: Because", None),
        ("", None),
    ],
)
def test_the_last_verdict_counts(text: str, verdict: str | None):
    assert read_verdict(text) == verdict
