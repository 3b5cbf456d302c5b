"""Verdicts on solutions, and grades of every recorded sample: answer class and correctness, from which all curves are computed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from outthink.core.errors import DataError
from outthink.core.journal import Journal
from outthink.core.pool import Pool, Sample
from outthink.core.problem import Answer, Problem
from outthink.core.request import Sampling
from outthink.core.solution import Solution

Grader = Callable[[Problem, Answer, str], Awaitable[bool]]
"""Decides whether an answer means the same as the key, where comparing texts cannot: a judge model, for example."""


async def verdict_of(problem: Problem, solution: Solution, key: str | None, grader: Grader | None = None) -> tuple[str, str]:
    """(verdict, how it was found). Abstained: no sample was chosen. Unparsed: the chosen sample has no answer.

    Raises:
        DataError: the problem has no key.
    """
    if key is None:
        raise DataError(f"problem {problem.id!r} has no key; give one, or leave it out of the run")
    if solution.candidate is None and solution.answer is None:
        return "abstained", "key"
    if solution.answer is None:
        return "unparsed", "key"
    if grader is not None:
        return ("correct" if await grader(problem, solution.answer, key) else "wrong"), "judge"
    return ("correct" if await problem.answer.equal(solution.answer, key) else "wrong"), "key"


async def grades(problem: Problem, samples: Sequence[Sample], key: str) -> list[dict[str, object]]:
    """For each sample: `answer`, `class` (an answer that stands for its equivalence class, None without an answer) and `correct`.

    Every distinct answer is compared with the key once.
    """
    answers = [problem.answer.parse(sample.completion.text) for sample in samples]
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


async def grade_pool(journal: Journal, problem: Problem, key: str | None, sampling: Sampling) -> None:
    """Grade the plain samples of a problem (those that answer its own request) and record it under their calls' keys.

    When a pool has grown since it was graded, only the new samples are written: a class keeps the answer that stood for it.
    """
    if key is None:
        return
    wanted = problem.request(sampling).digest
    samples = [sample for sample in Pool(journal).samples(problem.id) if sample.digest == wanted and sample.place.count("/") == 1]
    found = await grades(problem, samples, key)
    journal.record("grade", {sample.key: grade for sample, grade in zip(samples, found, strict=True)})
