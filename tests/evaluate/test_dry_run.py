"""The forecast is a bound, and says what it rests on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import anyio
import pytest

from outthink.core.completion import Usage
from outthink.core.problem import Problem
from outthink.core.request import Request, Sampling
from outthink.core.session import Session
from outthink.core.solution import Candidate, Judgement
from outthink.core.spend import SPEND_FIELDS, Budget, Spend
from outthink.evaluate.dry_run import dry_run
from outthink.evaluate.plan import Plan
from outthink.evaluate.run import run
from outthink.problems.sets import ProblemSet
from outthink.strategies.best_of_n import BestOfN
from outthink.strategies.early_stopping_vote import EarlyStoppingVote
from outthink.strategies.majority_vote import MajorityVote
from outthink.strategies.weighted_vote import WeightedVote
from tests.evaluate.support import latent, numbered, plan


@dataclass(frozen=True)
class Asks:
    """Asks the model about every candidate that has an answer: a judge that costs."""

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        return session.model.price.of(Usage(session.model.prompt_bound(Request.ask("Is it right?")), 20))

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        found = []
        for candidate in candidates:
            replies = await session.sample(Request.ask("Is it right?", sampling=Sampling(max_tokens=20))) if candidate.answer else []
            found.append(Judgement(0.5) if replies else Judgement(None, failure="no reply"))
        return found


def plans(problems: ProblemSet) -> list[Plan]:
    short = Sampling(max_tokens=40)
    return [
        dataclasses.replace(plan(problems, seeds=(0, 1)), sampling=short),
        Plan((EarlyStoppingVote(12, 3), MajorityVote(7)), problems, sampling=short),
        Plan((MajorityVote(9),), problems, (Budget(calls=5), Budget(completion_tokens=100)), sampling=short),
        Plan((WeightedVote(3, Asks()), BestOfN(5, Asks())), problems, sampling=short),
        Plan((BestOfN(6, Asks()),), problems, (Budget(calls=7), Budget(dollars=0.0005)), sampling=short),
    ]


@pytest.mark.parametrize("which", range(5))
@pytest.mark.parametrize("shares_prompt", [False, True])
@pytest.mark.parametrize("p", [0.0, 0.6, 1.0])
def test_no_run_pays_more_than_the_bound(which: int, shares_prompt: bool, p: float) -> None:
    problems = numbered(4)
    work = plans(problems)[which]
    model = latent(problems, p=p, shares_prompt=shares_prompt)
    forecast = anyio.run(dry_run, work, model)
    assert model.served.calls == 0
    done = anyio.run(run, work, model)
    paid = sum((record.paid for record in done.records), Spend())
    assert forecast.records == len(done.records)
    for name in SPEND_FIELDS:
        assert getattr(forecast.bound, name) >= getattr(paid, name) * (1 - 1e-12), name


def test_the_bound_is_reached_when_everything_is_as_long_as_it_may_be() -> None:
    problems = numbered(3)
    model = latent(problems)
    work = Plan((MajorityVote(4), EarlyStoppingVote(4, 2)), problems, (2, 4), sampling=Sampling(max_tokens=5))
    forecast = anyio.run(dry_run, work, model)
    # 4 samples shared by all cells, of 5 tokens each; the prompt has 3 words
    assert forecast.bound == Spend(3 * 4 * 5, 3 * 4 * 3, 12, 2e6 * 12 * 8, pytest.approx(12 * (3 * 1.0 + 5 * 2.0) / 1e6))


def test_expected_lengths_are_labelled_as_assumed_or_recorded() -> None:
    problems = numbered(3)
    model = latent(problems)
    work = Plan((MajorityVote(4),), problems, sampling=Sampling(max_tokens=100))
    assumed = anyio.run(dry_run, work, model)
    assert "assumed, not measured" in assumed.basis
    assert assumed.expected.completion_tokens == 3 * 4 * 50
    done = anyio.run(partial(run, work, model))
    more = dataclasses.replace(work, strategies=(MajorityVote(8),))
    recorded = anyio.run(partial(dry_run, more, model, recorded=done.journal))
    mean = model.served.completion_tokens / 12
    assert "12 recorded ones" in recorded.basis
    assert recorded.expected.completion_tokens == pytest.approx(3 * 8 * mean, abs=1)


def test_what_is_recorded_is_not_forecast_again() -> None:
    problems = numbered(2)
    model = latent(problems)
    done = anyio.run(run, plan(problems), model)
    left = anyio.run(partial(dry_run, plan(problems), model, recorded=done.journal))
    assert (left.records, left.bound) == (0, Spend())
    assert "0 results" in str(left)
