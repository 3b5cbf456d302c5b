"""Runs: what is recorded, what survives a kill, what a changed plan is told."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import pytest

from outthink.core.completion import Failure
from outthink.core.errors import DataError, ModelError, UsageError
from outthink.core.journal import Journal
from outthink.core.pool import Pool
from outthink.core.problem import Problem
from outthink.core.session import Session
from outthink.core.solution import Solution
from outthink.core.spend import Budget
from outthink.evaluate.plan import Plan
from outthink.evaluate.record import Record
from outthink.evaluate.run import JOURNAL, Interrupted, Run, interruptible, run
from outthink.evaluate.work import Progress
from outthink.models.scripted import ScriptedModel
from outthink.strategies.greedy import Greedy
from outthink.strategies.majority_vote import MajorityVote
from tests.evaluate.support import latent, numbered, plan

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Breaks:
    """Its model cannot be reached at the last problem."""

    async def solve(self, problem: Problem, session: Session) -> Solution:
        if problem.id == "set/3":
            raise ModelError("out of reach")
        return Solution()


def finished(work: Plan, folder: Path | None = None, **options: object) -> Run:
    return anyio.run(partial(run, work, latent(work.problems), folder, **options))


def essence(record: Record) -> tuple[object, ...]:
    """What must not depend on when and in how many pieces the run was done."""
    charged = {role: ledger.charged for role, ledger in record.ledgers.items()}
    return record.problem, record.spec, record.seed, record.verdict, record.answer, record.text, record.candidates, charged


def test_what_failures_took_is_told_and_asked_again() -> None:
    problems = numbered(2)
    work = Plan((MajorityVote(n=2),), problems)
    down = Failure("http_500", "the server answered with status 500: overloaded")
    right = {f"What is {100 + i}?": [f"It is {100 + i}.", f"It is {100 + i}."] for i in range(2)}
    with tempfile.TemporaryDirectory() as folder:
        first = anyio.run(partial(run, work, ScriptedModel({"What is 100?": [right["What is 100?"][0], down], "What is 101?": [down, down]}), folder))
        assert [(record.candidates, record.right) for record in first.records] == [(1, True), (0, False)]  # the good one was kept
        assert "3 calls on 2 problems gave nothing" in first.loss
        assert "status 500: overloaded" in first.loss
        first.close()
        model = ScriptedModel(right)
        second = anyio.run(partial(run, work, model, folder))
        assert [(record.candidates, record.right) for record in second.records] == [(2, True), (2, True)]
        assert (second.loss, len(second.records), second.complete) == ("", 2, True)
        assert len(model.draws) == 3  # what had come is not drawn twice
        second.close()
        again = ScriptedModel(right)
        anyio.run(partial(run, work, again, folder)).close()
        assert not again.draws


@pytest.mark.parametrize(("kind", "asked"), [("capability", 0), ("context", 1), ("rejected", 1), ("aborted", 1)])
def test_what_would_fail_again_is_not_asked_again_and_what_the_server_may_be_mended_for_is(kind: str, asked: int) -> None:
    problems = numbered(1)
    work = Plan((MajorityVote(n=2),), problems)
    refused = Failure(kind, "the server would not")
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(partial(run, work, ScriptedModel({"What is 100?": ["It is 100.", refused]}), folder)).close()
        model = ScriptedModel({"What is 100?": ["It is 100.", "It is 100."]})
        anyio.run(partial(run, work, model, folder)).close()
        assert len(model.draws) == asked


def test_samples_are_drawn_once_and_charged_to_every_strategy() -> None:
    problems = numbered(5)
    model = latent(problems)
    done = anyio.run(run, plan(problems), model)
    # widest cell 8 samples, plus the greedy one, for each problem; 7 cells: greedy, 3 of majority vote, 3 of best-of-n
    assert model.served.calls == 5 * 9
    assert len(done.records) == done.total == 5 * 7
    assert Counter(record.spec for record in done.records)["majority_vote(n=8)"] == 5
    for record in done.records:
        assert record.ledgers["policy"].charged.calls == (record.samples or 1)
    paid = sum(record.paid.completion_tokens for record in done.records)
    assert paid == model.served.completion_tokens


def test_the_order_of_strategies_and_the_concurrency_change_no_record() -> None:
    problems = numbered(6)
    one = finished(plan(problems), concurrency=1)
    turned = dataclasses.replace(plan(problems), strategies=plan(problems).strategies[::-1])
    two = finished(turned, concurrency=6)
    assert sorted(map(essence, one.records), key=str) == sorted(map(essence, two.records), key=str)


def test_a_finished_run_asks_nothing_again(tmp_path: Path) -> None:
    problems = numbered(3)
    first = finished(plan(problems), tmp_path)
    before = [record.to_json() for record in first.records]
    first.close()
    silent = latent(problems)
    steps: list[Progress] = []
    second = anyio.run(partial(run, plan(problems), silent, tmp_path, progress=steps.append))
    assert silent.served.calls == 0
    assert steps == [Progress(21, 21, None, 0)]  # no finished cell is solved again, not even from the journal
    assert [record.to_json() for record in second.records] == before


def _child(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.evaluate.support", str(folder)], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _wait_for_records(child: subprocess.Popen[str], count: int) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= count:
            return
    raise AssertionError(f"the child did not get that far: {child.communicate()}")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_and_does_nothing_twice(tmp_path: Path, how: signal.Signals) -> None:
    child = _child(tmp_path)
    _wait_for_records(child, 3)
    os.kill(child.pid, how)
    _, stderr = child.communicate(timeout=30)
    assert child.returncode != 0
    if how == signal.SIGINT:
        assert "Interrupted: interrupted:" in stderr
        assert "run the same command again to go on" in stderr
    with Run.open(tmp_path) as partial_run:
        kept = [record.to_json() for record in partial_run.records]
        calls = {call.key for call in partial_run.journal.calls("sample", state="done")}
        assert 3 <= len(kept) < partial_run.total
        assert not partial_run.complete
    problems = numbered(12)
    model = latent(problems)
    with anyio.run(run, plan(problems), model, tmp_path) as whole:
        assert [record.to_json() for record in whole.records][: len(kept)] == kept
        keys = Counter(call.key for call in whole.journal.calls("sample", state="done"))
        assert calls <= set(keys)
        assert set(keys.values()) == {1}
        assert len(keys) == 12 * 9
        assert model.served.calls == 12 * 9 - len(calls)
        unbroken = finished(plan(problems))
        assert sorted(map(essence, whole.records), key=str) == sorted(map(essence, unbroken.records), key=str)


def test_interrupting_says_how_to_go_on(tmp_path: Path) -> None:
    problems = numbered(4)

    def stop(step: Progress) -> None:
        if step.record is not None and step.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"5 of 28 results are recorded in .*same command again"):
        interruptible(partial(run, plan(problems), latent(problems), tmp_path, progress=stop), tmp_path)
    with anyio.run(run, plan(problems), latent(problems), tmp_path) as whole:
        assert whole.complete


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seeds": (0, 1)}, r"seeds: was \[0\], is now \[0, 1\]"),
        ({"strategies": (Greedy(),)}, "strategies: was .*majority_vote.*is now"),
        ({"budgets": (1, 2)}, "budgets: was"),
    ],
)
def test_a_changed_plan_is_refused_and_told_what_differs(tmp_path: Path, change: dict[str, object], said: str) -> None:
    problems = numbered(2)
    finished(plan(problems), tmp_path).close()
    with pytest.raises(UsageError, match=said):
        anyio.run(run, dataclasses.replace(plan(problems), **change), latent(problems), tmp_path)
    with Run.open(tmp_path) as untouched:
        assert untouched.complete


def test_a_changed_set_or_model_is_refused(tmp_path: Path) -> None:
    problems = numbered(2)
    finished(plan(problems), tmp_path).close()
    other = dataclasses.replace(problems, fingerprint="0" * 64)
    with pytest.raises(UsageError, match="fingerprint: was"):
        anyio.run(run, plan(other), latent(other), tmp_path)
    model = latent(problems)
    model.name = "another"
    with pytest.raises(UsageError, match="models: was"):
        anyio.run(run, plan(problems), model, tmp_path)


def test_an_error_ends_the_run_and_keeps_what_was_done(tmp_path: Path) -> None:
    problems = numbered(4)
    work = Plan((MajorityVote(2), Breaks()), problems)
    with pytest.raises(ModelError, match="out of reach"):
        anyio.run(partial(run, work, latent(problems), tmp_path, concurrency=1))
    with Run.open(tmp_path) as partial_run:
        assert [(record.problem, record.spec) for record in partial_run.records if record.problem == "set/3"] == [("set/3", "majority_vote(n=2)")]
        assert len(partial_run.records) == 7


def test_caps_hold_for_every_problem_and_are_recorded() -> None:
    problems = numbered(4)
    work = Plan((MajorityVote(16),), problems, (Budget(calls=3), Budget(completion_tokens=600)))
    done = finished(work)
    by_budget = {record.budget: record for record in done.records}
    assert set(by_budget) == {"calls=3", "completion_tokens=600"}
    for record in done.records:
        assert record.stopped == "budget"
        assert record.missing["budget"] == 16 - record.candidates
        assert record.charged.calls <= 3 or record.charged.completion_tokens <= 600


def test_verdicts_tell_unparsed_and_abstained_from_wrong() -> None:
    problems = numbered(1)
    model = latent(problems)
    model.answers = {"set/0": {None: 1.0}}
    none = anyio.run(run, Plan((MajorityVote(2),), problems), model)
    assert [record.verdict for record in none.records] == ["unparsed"]
    nothing = finished(Plan((MajorityVote(2),), problems, (Budget(calls=0),)))
    assert [record.verdict for record in nothing.records] == ["abstained"]


def test_seeds_are_independent_and_judgements_too() -> None:
    problems = numbered(8)
    done = finished(plan(problems, seeds=(0, 1)))
    texts = {seed: [r.text for r in done.records if r.seed == seed and r.spec == "majority_vote(n=1)"] for seed in (0, 1)}
    assert len(texts[0]) == len(texts[1]) == 8
    assert texts[0] != texts[1]


def test_no_credential_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "very-secret-value")
    problems = numbered(1)
    work = dataclasses.replace(
        plan(problems),
        model="m@https://me:hunter22@host/v1",
        command="OPENAI_API_KEY=very-secret-value outthink run x --api-key=abc123secret -b tokens=4096",
    )
    finished(work, tmp_path).close()
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (b"very-secret-value", b"hunter22", b"abc123secret"):
        assert secret not in everything
    assert "tokens=4096" in json.loads((tmp_path / "run.json").read_text())["command"]


def test_keys_are_where_no_strategy_looks(tmp_path: Path) -> None:
    problems = numbered(2)
    with finished(plan(problems), tmp_path) as done:
        assert done.questions()["set/1"] == ("What is 101?", "101")
        assert all("101" not in json.dumps(done.journal.request(sample.digest)["messages"][1:]) for sample in Pool(done.journal).samples("set/1"))


def test_a_plan_that_makes_no_sense_is_refused() -> None:
    problems = numbered(1)
    with pytest.raises(UsageError, match="no strategies"):
        Plan((), problems)
    with pytest.raises(UsageError, match="seed 3 is given twice"):
        Plan((Greedy(),), problems, seeds=(3, 3))
    with pytest.raises(UsageError, match="1 or more, got 0"):
        Plan((Greedy(),), problems, (0,))
    with pytest.raises(UsageError, match="is empty"):
        Plan((Greedy(),), numbered(0))
    with pytest.raises(DataError, match="1 problems have no key, such as 'set/0'"):
        Plan((Greedy(),), dataclasses.replace(numbered(2), keys={"set/1": "101"}))
    with pytest.raises(DataError, match="no problem has a key to grade by; name the field that holds it"):
        Plan((Greedy(),), dataclasses.replace(problems, keys={}))


def test_pool_grades_are_recorded_once_a_sample(tmp_path: Path) -> None:
    problems = numbered(3)
    finished(plan(problems), tmp_path).close()
    with Journal(tmp_path / JOURNAL, writable=False) as journal:
        plain = {s.key for s in Pool(journal).samples() if s.completion.text and journal.request(s.digest)["sampling"]["temperature"] > 0}
        graded = dict(journal.records("grade"))
    assert set(graded) == plain
    assert len(plain) == 3 * 8
