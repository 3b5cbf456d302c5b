"""Verdicts by key and by judge."""

from __future__ import annotations

import anyio
import pytest

from outthink.core.completion import Failure
from outthink.core.errors import DataError, UsageError
from outthink.core.problem import Problem
from outthink.core.request import Message
from outthink.core.session import Session
from outthink.core.spend import Budget
from outthink.models.scripted import ScriptedModel
from outthink.problems.answers import Free, Number
from outthink.problems.grading import Item, Verdict, grade, grade_all

SUM = Problem("sum", (Message("user", "1 + 1?"),), Number())
CITY = Problem("city", (Message("user", "Capital of France?"),), Free())


def item(problem: Problem, text: str, key: str) -> Item:
    return Item(problem, problem.answer.parse(text), text, key)


@pytest.mark.parametrize(
    ("text", "verdict"), [("so 2", Verdict.CORRECT), ("so 3", Verdict.WRONG), ("so what", Verdict.UNPARSED), ("", Verdict.ABSTAINED)]
)
def test_four_verdicts(text, verdict):
    assert anyio.run(grade, SUM, SUM.answer.parse(text), text, "2.0") is verdict


def judged(replies, items, budget=Budget()):
    async def work():
        model = ScriptedModel(replies)
        return await grade_all(items, Session.open({"policy": ScriptedModel([]), "grader": model}, budget=budget)), model

    return anyio.run(work)


def test_the_judge_decides_free_text_and_its_failures_show():
    items = [item(CITY, text, "Paris") for text in ("It is Paris", "Rome", "Lyon", "Nice")] + [item(SUM, "2", "2"), item(CITY, " ", "Paris")]
    script = ["Same city. Verdict: correct", "First: Verdict: correct. But no.\n**Verdict:** wrong", "Hard to say.", Failure("server", "it broke")]
    grades, model = judged(script, items)
    assert [g.verdict for g in grades] == [Verdict.CORRECT, Verdict.WRONG, None, None, Verdict.CORRECT, Verdict.ABSTAINED]
    assert "no line" in grades[2].failure
    assert grades[2].text == "Hard to say."
    assert "server" in grades[3].failure
    assert {request.prompt_version for request in model.requests} == {"grade_free/1"}
    assert "Capital of France?" in model.requests[0].messages[-1].text
    assert [g.by for g in grades[3:5]] == ["grade_free/1", "key"]


def test_a_judge_without_budget_is_no_wrong_answer():
    grades, _ = judged(["Verdict: correct"], [item(CITY, "Paris", "Paris")], Budget(calls=0))
    assert grades[0].verdict is None
    assert "budget" in grades[0].failure


def test_errors():
    with pytest.raises(UsageError, match="judge"):
        anyio.run(grade_all, [item(CITY, "Paris", "Paris")])
    with pytest.raises(DataError, match="problem 'sum': 'two' is not a number"):
        anyio.run(grade_all, [item(SUM, "2", "2"), item(SUM, "2", "two")])
