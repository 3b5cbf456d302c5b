"""Grades of samples."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import anyio

from outthink.core.completion import Failure
from outthink.evaluate.grading import grades
from outthink.evaluate.plan import Plan
from outthink.evaluate.run import Run, run
from outthink.evaluate.summary import answers, summarise
from outthink.models.scripted import ScriptedModel
from outthink.models.simulated import LatentAnswers, Speech
from outthink.problems.answers import answer_kind
from outthink.problems.grading import JUDGE
from outthink.strategies.greedy import Greedy
from outthink.strategies.majority_vote import MajorityVote
from tests.evaluate.support import numbered


def test_equal_answers_are_one_class_and_every_answer_is_compared_with_the_key() -> None:
    problem = numbered(1).problems[0]
    texts = ["The answer is 100.", "The answer is 7", "I cannot tell.", "The answer is 100.0", "The answer is 7.0"]
    found = anyio.run(grades, problem, texts, "100")
    assert [grade["correct"] for grade in found] == [True, False, False, True, False]
    classes = [grade["class"] for grade in found]
    assert classes[0] == classes[3] != classes[1] == classes[4]
    assert classes[2] is None


def judged(reply: str) -> Run:
    """Two free-text problems, answered by a model that says one of two things; graded by one that always says `reply`."""
    kind = answer_kind("free")
    plain = numbered(2)
    problems = dataclasses.replace(plain, problems=tuple(dataclasses.replace(problem, answer=kind) for problem in plain.problems))
    policy = LatentAnswers({p.id: {"yes": 0.5, "no": 0.5} for p in problems.problems}, {}, speech=Speech(4, 4))
    grader = LatentAnswers({p.id: {reply: 1.0} for p in problems.problems}, {}, speech=Speech(8, 8), name="grader")
    done = anyio.run(run, Plan((MajorityVote(), Greedy()), problems, (1, 8)), {"policy": policy, "grader": grader})
    distinct = {(record.problem, record.answer) for record in done.records}
    assert grader.served.calls == len(distinct)
    assert all("grader" not in record.ledgers for record in done.records)
    return done


def test_free_text_is_graded_by_a_judge_once_an_answer() -> None:
    assert {record.verdict for record in judged("x Verdict: correct").records} == {"correct"}
    wrong = judged("x Verdict: wrong").records
    assert {record.verdict for record in wrong} == {"wrong"}
    assert {record.graded_by for record in wrong} == {JUDGE.label()}


def test_a_judge_that_gives_no_verdict_counts_neither_way() -> None:
    done = judged("I would rather not say")
    assert {record.verdict for record in done.records} == {"ungraded"}
    assert {(row.ungraded, row.wrong, row.problems) for row in summarise(done)} == {(2, 0, 0)}
    assert answers(done, only_wrong=True) == []


def test_a_judge_that_was_down_is_asked_again_by_the_same_command_and_the_samples_stay(tmp_path: Path) -> None:
    plain = numbered(1)
    problems = dataclasses.replace(plain, problems=(dataclasses.replace(plain.problems[0], answer=answer_kind("free")),))
    work, policy = Plan((Greedy(),), problems), ScriptedModel(["It is 100."])
    down = ScriptedModel([Failure("http_500", "the server answered with status 500: overloaded")])
    with anyio.run(run, work, {"policy": policy, "grader": down}, tmp_path) as first:
        assert [record.verdict for record in first.records] == ["ungraded"]
        assert first.records[0].reasons["ungraded"] == "the judge gave no reply (http_500: the server answered with status 500: overloaded)"
    with anyio.run(run, work, {"policy": policy, "grader": ScriptedModel(["Verdict: correct"])}, tmp_path) as second:
        assert [record.verdict for record in second.records] == ["correct"]
    assert policy.served.calls == 1
