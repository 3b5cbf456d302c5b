"""The forecast is a bound, and says what it rests on."""

from __future__ import annotations

import dataclasses
from functools import partial

import anyio
import pytest

from outthink.core.request import Sampling
from outthink.core.spend import SPEND_FIELDS, Budget, Spend
from outthink.evaluate.dry_run import dry_run
from outthink.evaluate.plan import Plan
from outthink.evaluate.run import run
from outthink.strategies.early_stopping_vote import EarlyStoppingVote
from outthink.strategies.majority_vote import MajorityVote
from outthink.strategies.weighted_vote import WeightedVote
from outthink.verifiers.p_true import PTrue
from tests.evaluate.support import KeyedSet, latent, numbered, plan


def plans(problems: KeyedSet) -> list[Plan]:
    short = Sampling(max_tokens=40)
    return [
        dataclasses.replace(plan(problems, seeds=(0, 1)), sampling=short),
        Plan((EarlyStoppingVote(12, 3), MajorityVote(7)), problems, sampling=short),
        Plan((MajorityVote(9),), problems, (Budget(calls=5), Budget(completion_tokens=100)), sampling=short),
        Plan((WeightedVote(3, PTrue()),), problems, sampling=short),
    ]


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("shares_prompt", [False, True])
@pytest.mark.parametrize("p", [0.0, 0.6, 1.0])
def test_no_run_pays_more_than_the_bound(which: int, shares_prompt: bool, p: float) -> None:
    problems = numbered(4)
    work = plans(problems)[which]
    model = latent(problems, p=p, shares_prompt=shares_prompt, failure_rate=0.1)
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
