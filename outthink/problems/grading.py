"""Verdicts. Where the kind of answer can compare, it does; free text goes to a judge model, whose words and failures are kept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

from outthink.core.errors import DataError, UsageError
from outthink.core.problem import Answer, Problem
from outthink.core.request import Request, Sampling
from outthink.core.session import Session
from outthink.core.together import together
from outthink.problems.answers import Free
from outthink.problems.prompts import Prompt

JUDGE = Prompt(
    "grade_free",
    "1",
    user="""{question}

Grade the proposed answer. It is correct if it means the same as one of the accepted answers, whatever its wording.
End with one line: Verdict: correct, or Verdict: wrong.""",
)
"""The judge's prompt; what is graded stands in its `{question}`."""

_VERDICT = re.compile(r"verdict\W{0,9}(correct|wrong|incorrect)\b", re.IGNORECASE)
_AT_ONCE = 32  # gradings in flight


class Verdict(Enum):
    """What became of one problem. Abstained: nothing was given. Unparsed: text was given, and no answer found in it."""

    CORRECT = "correct"
    WRONG = "wrong"
    ABSTAINED = "abstained"
    UNPARSED = "unparsed"


@dataclass(frozen=True, slots=True)
class Grade:
    """A verdict and how it was found; no verdict and a failure where the judge gave none.

    Args:
        verdict: None only with a failure.
        by: `key` (compared by the kind of answer) or the judge's prompt.
        text: the judge's words.
        failure: why there is no verdict.
    """

    verdict: Verdict | None
    by: str = "key"
    text: str = ""
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """What is to be graded: a problem, the solution's answer and text, and the key."""

    problem: Problem
    answer: Answer | None
    text: str
    key: str


async def grade(problem: Problem, answer: Answer | None, text: str, key: str) -> Verdict:
    """The verdict on one answer, by comparing it with the key.

    Args:
        problem: its kind of answer compares.
        answer: what was given; None where there is none.
        text: the text that it was found in; empty if the solver abstained.
        key: what is right.

    Raises:
        UsageError: free text, which only a judge can grade.
        DataError: a key that its kind of answer does not know.
    """
    if answer is None:
        return Verdict.UNPARSED if text.strip() else Verdict.ABSTAINED
    return Verdict.CORRECT if await problem.answer.equal(answer, key) else Verdict.WRONG


async def judge(item: Item, session: Session) -> Grade:
    """The verdict on free text: one greedy reply of the session's role `grader`.

    A reply without a verdict, or none at all (budget, failure of the model), is a Grade with its failure, not a wrong answer.
    """
    if item.answer is None:
        return Grade(await grade(item.problem, None, item.text, item.key), JUDGE.label())
    accepted = "\n".join(f"- {line}" for line in item.key.split("\n"))
    asked = f"Question:\n{item.problem.question}\n\nAccepted answers:\n{accepted}\n\nProposed answer:\n{item.answer.value}"
    request = Request(JUDGE.messages(asked), sampling=Sampling(temperature=0.0, max_tokens=256), prompt_version=JUDGE.label())
    replies = await session.role("grader").sample(request)
    if not replies:
        why = "; ".join(f"{reason}: {session.shared.reasons.get(reason, 'no more is known')}" for reason in replies.missing)
        return Grade(None, JUDGE.label(), failure=f"the judge gave no reply ({why or 'unknown reason'})")
    words = replies[0].text
    found = _VERDICT.findall(words)
    if not found:
        return Grade(None, JUDGE.label(), words, "the judge's reply has no line 'Verdict: correct' or 'Verdict: wrong'")
    return Grade(Verdict.CORRECT if found[-1].lower() == "correct" else Verdict.WRONG, JUDGE.label(), words)


async def grade_all(items: Sequence[Item], session: Session | None = None) -> list[Grade]:
    """A grade for every item, in order.

    Args:
        items: what to grade.
        session: asks the judge, at a place of its own for every item; needed where an answer is free text.

    Raises:
        UsageError: free text without a session.
        DataError: a key that its kind of answer does not know; names the problem.
    """
    if session is None and any(isinstance(item.problem.answer, Free) for item in items):
        raise UsageError("free text needs a judge: give a session whose model, or role 'grader', can grade")
    import anyio

    grades: dict[int, Grade] = {}
    limiter = anyio.CapacityLimiter(_AT_ONCE)

    async def one(position: int, item: Item) -> None:
        async with limiter:
            try:
                grades[position] = Grade(await grade(item.problem, item.answer, item.text, item.key))
            except DataError as error:
                raise DataError(f"problem {item.problem.id!r}: {error}") from error

    await together(partial(one, position, item) for position, item in enumerate(items) if not isinstance(item.problem.answer, Free))
    free = [position for position in range(len(items)) if position not in grades]
    if session is not None and free:

        async def ask(branch: Session, position: int) -> Grade:
            return await judge(items[position], branch)

        grades.update(zip(free, await session.at("grade").branches(ask, free), strict=True))
    return [grades[position] for position in range(len(items))]
