"""Verdicts on solutions, and grades of every recorded sample: answer class and correctness, from which all curves are computed."""

from __future__ import annotations

from collections.abc import Sequence

from outthink.core.completion import Completion
from outthink.core.journal import Journal, call_key
from outthink.core.keys import digest
from outthink.core.problem import Problem
from outthink.core.session import Session
from outthink.core.solution import Solution
from outthink.problems.answers import Free
from outthink.problems.grading import Item, grade, judge

UNGRADED = "ungraded"
"""The verdict where a judge was needed and gave none: it counts neither as right nor as wrong."""
_BLOCK = 64  # draws looked up at once


async def verdict_of(problem: Problem, solution: Solution, key: str, session: Session) -> tuple[str, str, str | None]:
    """(verdict, how it was found, why there is none): `correct`, `wrong`, `abstained`, `unparsed`, or `ungraded`.

    Args:
        problem, solution, key: what is graded.
        session: asks the judge of free text (role `grader`), once for each distinct answer of a problem.
    """
    if isinstance(problem.answer, Free) and solution.answer is not None:
        item = Item(problem, solution.answer, solution.text, key)
        found = await judge(item, session.at("grade", digest(solution.answer.value)))
        return (found.verdict.value if found.verdict else UNGRADED), found.by, found.failure
    return (await grade(problem, solution.answer, solution.text, key)).value, "key", None


async def grades(problem: Problem, texts: Sequence[str], key: str) -> list[dict[str, object]]:
    """For each sample: `answer`, `class` (an answer that stands for its equivalence class, None without an answer) and `correct`.

    Every distinct answer is compared with the key once.
    """
    answers = [problem.answer.parse(text) for text in texts]
    labels = await problem.answer.group(answers)
    standing: dict[int, str] = {}
    right: dict[str, bool] = {}
    rows: list[dict[str, object]] = []
    for answer, label in zip(answers, labels, strict=True):
        if answer is None:
            rows.append({"answer": None, "class": None, "correct": False})
            continue
        if answer.value not in right:
            right[answer.value] = await problem.answer.equal(answer, key)
        rows.append({"answer": answer.value, "class": standing.setdefault(label, answer.value), "correct": right[answer.value]})
    return rows


async def grade_pool(problem: Problem, key: str, session: Session, known: set[str]) -> None:
    """Grade the plain samples at a session's place (those that answer the problem's own request) and record it under their calls' keys.

    When a pool has grown since it was graded, only the new samples are written: a class keeps the answer that stood for it. Free text is
    left out: a judge for every sample would cost more than the samples.

    Args:
        problem, key: what was asked, and what is right.
        session: a root session; its place, model and sampling say which samples are meant.
        known: keys of samples that are graded already.
    """
    if isinstance(problem.answer, Free):
        return
    journal = session.shared.journal
    texts = _plain_samples(journal, session.path, problem.request(session.sampling).digest, session.model_key)
    if all(sample in known for sample in texts):
        return
    found = await grades(problem, list(texts.values()), key)
    journal.record("grade", dict(zip(texts, found, strict=True)))


def _plain_samples(journal: Journal, place: str, request: str, model: str) -> dict[str, str]:
    # by key, block after block: a search by problem would read the whole journal for every problem
    texts: dict[str, str] = {}
    start = 0
    while True:
        keys = [call_key(place, request, model, draw) for draw in range(start, start + _BLOCK)]
        found = journal.find(keys)
        texts.update((key, Completion.from_json(found[key].body).text) for key in keys if key in found)
        if not found:
            return texts
        start += _BLOCK
