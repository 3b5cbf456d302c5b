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
from outthink.models import store
from outthink.models.embedded import EmbeddedModel
from outthink.models.simulated import LatentAnswers
from outthink.problems.sets import ProblemSet, load
from outthink.strategies.best_of_n import BestOfN
from outthink.strategies.early_stopping_vote import EarlyStoppingVote
from outthink.strategies.greedy import Greedy
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


@dataclass(frozen=True)
class Quotes(Asks):
    """Shows the judge what it judges."""

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        return session.model.price.of(Usage(session.model.prompt_bound(Request.ask("word " * sampling.max_tokens + "?")), 20))

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        replies = await session.sample_each([Request.ask(f"{candidate.text} ?", sampling=Sampling(max_tokens=20)) for candidate in candidates])
        return [Judgement(0.5) if reply else Judgement(None, failure="no reply") for reply in replies]


def plans(problems: ProblemSet) -> list[Plan]:
    short = Sampling(max_tokens=40)
    return [
        dataclasses.replace(plan(problems, seeds=(0, 1)), sampling=short),
        Plan((EarlyStoppingVote(12, 3), MajorityVote(7)), problems, sampling=short),
        Plan((MajorityVote(9),), problems, (Budget(calls=5), Budget(completion_tokens=100)), sampling=short),
        Plan((WeightedVote(3, Asks()), BestOfN(5, Asks())), problems, sampling=short),
        Plan((BestOfN(6, Asks()),), problems, (Budget(calls=7), Budget(dollars=0.0005)), sampling=short),
        Plan((BestOfN(4, Quotes()),), problems, sampling=short),
    ]


@pytest.mark.parametrize("which", range(6))
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


class Distant(LatentAnswers):
    """Bounds a prompt at three times what it is, as a server does whose tokenizer is elsewhere."""

    exact_prompt = False

    def prompt_bound(self, request: Request) -> int:
        return 3 * super().prompt_bound(request)


def test_prompts_are_exact_where_the_tokenizer_is_here_and_else_a_bound_or_measured() -> None:
    problems = numbered(3)
    work = Plan((MajorityVote(4),), problems, sampling=Sampling(max_tokens=40))
    here = latent(problems, shares_prompt=True)
    forecast = anyio.run(dry_run, work, here)
    done = anyio.run(run, work, here)
    assert forecast.expected.prompt_tokens == sum(record.paid.prompt_tokens for record in done.records)
    assert "tokenizer and template" in forecast.basis
    distant = Distant(here.answers, here.truth, shares_prompt=True)
    bound = anyio.run(dry_run, work, distant)
    assert bound.expected.prompt_tokens == 3 * forecast.expected.prompt_tokens
    assert "upper bounds" in bound.basis
    done = anyio.run(run, work, distant)
    measured = anyio.run(partial(dry_run, dataclasses.replace(work, seeds=(5,)), distant, recorded=done.journal))
    assert measured.expected.prompt_tokens == forecast.expected.prompt_tokens
    assert "3 recorded ones" in measured.basis


def test_expected_prompts_follow_the_waves_of_a_cap() -> None:
    problems = numbered(3)
    model = latent(problems, shares_prompt=True)
    work = Plan((MajorityVote(8),), problems, (Budget(calls=2), Budget(calls=8)), sampling=Sampling(max_tokens=40))
    forecast = anyio.run(dry_run, work, model)
    done = anyio.run(run, work, model)
    assert forecast.expected.prompt_tokens == sum(record.paid.prompt_tokens for record in done.records)
    assert forecast.bound.prompt_tokens > forecast.expected.prompt_tokens


@pytest.mark.slow
@pytest.mark.skipif(store.find(store.DEFAULT) is None, reason="the default model is not here: outthink models get")
def test_the_real_model_reads_as_many_prompt_tokens_as_were_forecast() -> None:
    pytest.importorskip("xllamacpp", reason="the extra 'local' is not installed")
    file = store.find(store.DEFAULT)
    assert file is not None
    problems = load("arithmetic(n=3)")
    work = Plan((MajorityVote(4), Greedy()), problems, (1, 4), sampling=Sampling(max_tokens=4))

    async def both() -> tuple[Spend, Spend]:
        model = EmbeddedModel(file, context=256, slots=4, threads=1)
        try:
            forecast = await dry_run(work, model)
            done = await run(work, model)
            return forecast.expected, sum((record.paid for record in done.records), Spend())
        finally:
            await model.aclose()

    expected, paid = anyio.run(both)
    assert (expected.prompt_tokens, expected.calls) == (paid.prompt_tokens, paid.calls)
    assert paid.prompt_tokens > 3 * 2 * 20
