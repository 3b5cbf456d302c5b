"""Grades of samples."""

from __future__ import annotations

import anyio

from outthink.core.completion import Completion, Usage
from outthink.core.pool import Sample
from outthink.evaluate.grading import grades
from tests.evaluate.support import numbered


def test_equal_answers_are_one_class_and_every_answer_is_compared_with_the_key() -> None:
    problem = numbered(1).problems[0]
    texts = ["The answer is 100.", "The answer is 7", "I cannot tell.", "The answer is 100.0", "The answer is 7.0"]
    samples = [Sample(problem.id, i, Completion(text, "stop", Usage()), str(i), "", "", "policy", "m") for i, text in enumerate(texts)]
    found = anyio.run(grades, problem, samples, "100")
    assert [grade["correct"] for grade in found] == [True, False, False, True, False]
    classes = [grade["class"] for grade in found]
    assert classes[0] == classes[3] != classes[1] == classes[4]
    assert classes[2] is None
