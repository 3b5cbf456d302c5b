"""The table against numbers computed by hand."""

from __future__ import annotations

import json
from functools import partial

import anyio
import pytest

from outthink.core.errors import UsageError
from outthink.core.journal import Journal
from outthink.core.solution import Ledger
from outthink.core.spend import Spend
from outthink.evaluate.compare import compare
from outthink.evaluate.plan import Plan
from outthink.evaluate.record import Record
from outthink.evaluate.run import Run, run
from outthink.evaluate.summary import answers, best_of, summarise
from outthink.strategies.best_of_n import BestOfN
from outthink.strategies.majority_vote import MajorityVote
from tests.evaluate.support import latent, numbered, plan


def record(problem: int, spec: str, right: bool, *, seed: int = 0, tokens: int = 10, paid: int = 10, started: float = 0.0, **more: object) -> Record:
    ledger = Ledger(Spend(tokens, 5, 1, dollars=0.5), Spend(paid, 5, 1))
    values = {
        "problem": f"p{problem}", "spec": spec, "family": spec, "samples": None, "budget": "", "seed": seed,
        "verdict": "correct" if right else "wrong", "answer": "1", "text": f"text of {problem}", "confidence": None, "candidates": 1,
        "stopped": "done", "missing": {}, "saw_key": False, "graded_by": "key", "ledgers": {"policy": ledger}, "started": started, "seconds": 2.0,
    }  # fmt: skip
    return Record(**{**values, **more})


def recorded(records: list[Record], *, fingerprint: str = "f") -> Run:
    journal = Journal()
    journal.set_meta("run", json.dumps({"fingerprint": fingerprint, "problems": 4}))
    journal.set_meta("total", str(len(records)))
    journal.record("solution", {str(i): one.to_json() for i, one in enumerate(records)})
    journal.record("question", {f"p{i}": {"question": f"question {i}", "key": f"key {i}"} for i in range(9)})
    return Run(journal, None)


def paired_run() -> Run:
    """Four problems, two seeds. b - a by problem: (1 - .5), (.5 - 0), (0 - 1), (1 - 1) = .5, .5, -1, 0: mean 0."""
    a = [(0, [1, 0]), (1, [0, 0]), (2, [1, 1]), (3, [1, 1])]
    b = [(0, [1, 1]), (1, [1, 0]), (2, [0, 0]), (3, [1, 1])]
    rows = [record(p, spec, bool(r), seed=s) for spec, data in (("a", a), ("b", b)) for p, rights in data for s, r in enumerate(rights)]
    return recorded(rows)


def test_a_record_survives_json() -> None:
    one = record(1, "a", True, missing={"budget": 2}, confidence=0.5)
    assert Record.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_paired_gain_is_the_mean_difference_by_problem() -> None:
    first, second = summarise(paired_run())
    assert (first.accuracy, second.accuracy) == (0.625, 0.625)
    assert first.gain is None
    assert second.gain == 0.0
    # of four problems the interval is the whole range of the 4^4 resamples of (.5, .5, -1, 0): a tail of 1e-4 is less than one of them
    assert (second.gain_low, second.gain_high) == (-1.0, 0.5)
    assert (first.problems, first.seeds, first.correct, first.wrong) == (4, 2, 5, 3)


def test_pairing_narrows_the_interval() -> None:
    rows = [record(p, "a", p % 2 == 0) for p in range(40)] + [record(p, "b", p % 2 == 0 or p == 1) for p in range(40)]
    first, second = summarise(recorded(rows))
    assert second.gain == pytest.approx(1 / 40)
    assert second.gain_high - second.gain_low < 0.3 * (first.high - first.low)


def test_only_problems_that_both_have_count_for_the_gain() -> None:
    rows = [record(p, "a", False) for p in (0, 1, 2)] + [record(p, "b", p > 1) for p in (1, 2, 3, 4)]
    _, second = summarise(recorded(rows))
    assert second.accuracy == 0.75
    assert second.gain == 0.5


def test_where_nothing_is_graded_there_is_no_accuracy_and_what_is_graded_is_the_best() -> None:
    rows = [record(p, "greedy", False, verdict="ungraded") for p in range(3)] + [record(p, "b", False) for p in range(3)]
    first, second = summarise(recorded(rows))
    assert (first.accuracy, first.low, first.high, first.problems, first.ungraded) == (None, None, None, 0, 3)
    assert (second.accuracy, second.gain) == (0.0, None)
    assert best_of([first, second]) is second
    assert best_of([first]) is None


def test_greedy_is_the_reference_wherever_it_stands() -> None:
    rows = [record(p, "a", True) for p in range(3)] + [record(p, "greedy", False) for p in range(3)]
    first, second = summarise(recorded(rows))
    assert (first.spec, first.gain, second.gain) == ("greedy", None, 1.0)


def test_amounts_are_means_and_speed_is_over_the_time_at_work() -> None:
    rows = [record(0, "a", True, tokens=30, started=0.0), record(1, "a", True, tokens=10, started=1.0), record(2, "a", True, started=10.0, paid=0)]
    (row,) = summarise(recorded(rows))
    assert row.completion_tokens == pytest.approx(50 / 3)
    assert (row.dollars, row.calls, row.prompt_tokens, row.seconds) == (0.5, 1, 5, 2)
    # at work from 0 to 3 and from 10 to 12; paid 10 + 10 + 0
    assert row.tokens_per_second == pytest.approx(20 / 5)


def test_a_short_request_that_waited_beside_long_ones_does_not_make_the_model_slow() -> None:
    # eight problems at once: one token of `a` waits two seconds while 99 of `b` are generated
    rows = [record(0, "a", True, paid=1), record(0, "b", True, paid=99), record(1, "b", True, paid=50, started=4.0)]
    a, b = summarise(recorded(rows))
    assert a.tokens_per_second == pytest.approx(100 / 2)
    assert b.tokens_per_second == pytest.approx(150 / 4)


def test_problems_that_are_all_alike_prove_nothing_beyond_their_number() -> None:
    rows = [record(p, spec, spec == "b") for p in range(10) for spec in ("a", "b")] + [record(p, "c", False) for p in range(10)]
    a, b, c = summarise(recorded(rows))
    # Wilson at 95% for 0 of 10: z^2 / (n + z^2) = 3.8415 / 13.8415
    assert (a.low, a.high) == (pytest.approx(0.0, abs=1e-12), pytest.approx(0.27754, abs=1e-4))
    assert (b.low, b.high) == (pytest.approx(1 - 0.27754, abs=1e-4), pytest.approx(1.0))
    assert (b.gain, b.gain_low, b.gain_high) == (1.0, pytest.approx(1 - 0.27754, abs=1e-4), 1.0)
    assert (c.gain, c.gain_low, c.gain_high) == (0.0, pytest.approx(-0.27754, abs=1e-4), pytest.approx(0.27754, abs=1e-4))
    assert [(row.low, row.high) for row in compare(recorded(rows))] == [(b.gain_low, b.gain_high), (c.gain_low, c.gain_high)]


def test_rows_stand_in_the_order_in_which_the_strategies_were_given() -> None:
    problems = numbered(2)
    asked = Plan((BestOfN(n=2), MajorityVote(n=4)), problems)  # the wider one is done first
    done = anyio.run(partial(run, asked, latent(problems)))
    assert [row.label for row in summarise(done)] == ["best_of_n(n=2)", "majority_vote(n=4)"]


def test_troubles_are_counted() -> None:
    abstained = record(0, "a", False, verdict="abstained", stopped="budget", missing={"budget": 3})
    rows = [abstained, record(1, "a", False, verdict="unparsed", missing={"budget": 1})]
    (row,) = summarise(recorded(rows))
    assert (row.abstained, row.unparsed, row.wrong, row.cut, row.missing, row.accuracy) == (1, 1, 0, 1, {"budget": 4}, 0.0)


def test_wrong_answers_come_with_question_key_and_text() -> None:
    source = recorded([record(0, "a", True), record(1, "a", False), record(2, "b", False)])
    found = answers(source, only_wrong=True)
    assert [(one.record.problem, one.question, one.expected, one.record.text) for one in found] == [
        ("p1", "question 1", "key 1", "text of 1"),
        ("p2", "question 2", "key 2", "text of 2"),
    ]
    assert len(answers(source)) == 3
    assert [one.record.spec for one in answers(source, spec="b")] == ["b"]
    with pytest.raises(UsageError, match="no strategy 'c'"):
        answers(source, spec="c")


def test_a_row_is_found_by_the_name_in_the_table() -> None:
    problems = numbered(2)
    done = anyio.run(partial(run, plan(problems), latent(problems)))
    labels = [row.label for row in summarise(done)]
    assert labels[:2] == ["greedy", "majority_vote(n=1)"]
    assert {one.record.samples for one in answers(done, spec="best_of_n(n=4)")} == {4}


def test_comparing_the_strategies_of_one_run_corrects_for_their_number() -> None:
    rows = [record(p, "a", False) for p in range(8)]
    rows += [record(p, "b", True) for p in range(8)] + [record(p, "c", p < 4) for p in range(8)] + [record(p, "d", False) for p in range(8)]
    b, c, d = compare(recorded(rows))
    assert [(one.first, one.second, one.problems) for one in (b, c, d)] == [("a", "b", 8), ("a", "c", 8), ("a", "d", 8)]
    assert (b.gain, c.gain, d.gain) == (1.0, 0.5, 0.0)
    # exact sign flips: 2 of 2^8 and 2 of 2^4 patterns are as extreme; Holm: 3 p, then 2 p, then p
    assert (b.p, c.p, d.p) == (2 / 256, 2 / 16, 1.0)
    assert (b.adjusted, c.adjusted, d.adjusted) == (pytest.approx(6 / 256), pytest.approx(4 / 16), 1.0)


def test_comparing_runs_pairs_equal_strategies_and_warns_of_another_set() -> None:
    one = recorded([record(p, spec, False) for spec in ("a", "b") for p in range(4)])
    two = recorded([record(p, spec, spec == "b") for spec in ("b", "x") for p in range(1, 6)], fingerprint="g")
    (only,) = compare(one, two)
    assert (only.first, only.second, only.problems, only.gain) == ("in memory: b", "in memory: b", 3, 1.0)
    assert "not the same version" in only.note
    with pytest.raises(UsageError, match="0 graded problems in common"):
        compare(one, recorded([record(p, "a", True) for p in (7, 8)]))
