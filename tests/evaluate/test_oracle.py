"""The oracle: a ceiling with a known height, and always marked."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from outthink.core.errors import UsageError
from outthink.core.spec import build
from outthink.evaluate.oracle import Oracle
from outthink.evaluate.plan import Plan
from outthink.evaluate.run import run
from outthink.strategies.best_of_n import BestOfN
from outthink.strategies.majority_vote import MajorityVote
from tests.evaluate.support import latent, numbered


def test_best_of_n_under_the_oracle_is_coverage() -> None:
    problems = numbered(400)
    p, n = 0.2, 8
    done = anyio.run(partial(run, Plan((BestOfN(n, Oracle(problems)),), problems), latent(problems, p=p)))
    # 1 - .8^8 = .8322; sigma = sqrt(.8322 * .1678 / 400) = .0187; majority voting would give about .25
    assert abs(sum(record.right for record in done.records) / 400 - (1 - (1 - p) ** n)) < 3 * 0.0187


def test_records_say_that_the_key_was_seen_and_never_hold_the_keys() -> None:
    problems = numbered(3)
    done = anyio.run(partial(run, Plan((MajorityVote(2), BestOfN(2, Oracle(problems))), problems), latent(problems)))
    assert {record.spec: record.saw_key for record in done.records} == {
        "majority_vote(n=2)": False,
        "best_of_n(n=2, verifier=oracle())": True,
    }
    assert all(call.model == "oracle()" for call in done.journal.calls("judge"))


def test_no_spec_can_name_it() -> None:
    with pytest.raises(UsageError, match="oracle"):
        build("best_of_n(verifier=oracle())")


def test_a_problem_without_a_key_is_a_failed_judgement() -> None:
    problems = numbered(1)
    stranger = numbered(2).problems[1]
    judgements = anyio.run(Oracle(problems).judge, stranger, [None], None)
    assert judgements[0].score is None
    assert "no key for set/1" in (judgements[0].failure or "")
