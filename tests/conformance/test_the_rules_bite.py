"""Strategies that break one rule each are caught by the check of that rule, and a sound one passes all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from conformance.checks import (
    World,
    check_answers,
    check_budget,
    check_determinism,
    check_failed_judgements,
    check_nothing_lost,
    check_replay,
    solved,
)
from conformance.subjects import AskingJudge

from outthink.core.meter import Hold, Meter
from outthink.core.problem import Answer, Problem
from outthink.core.protocols import Strategy, Verifier
from outthink.core.request import Draw
from outthink.core.session import Session
from outthink.core.solution import Candidate, Judgement, Solution
from outthink.core.spend import Budget


@dataclass(frozen=True)
class Sound:
    """Judges and takes the best."""

    n: int = 6
    verifier: Verifier = AskingJudge()

    async def solve(self, problem: Problem, session: Session) -> Solution:
        candidates = await session.sample(problem, n=self.n, judged_by=self.verifier)
        return Solution.best(candidates, await session.judge(self.verifier, problem, candidates))


class SetsNothingAside(Sound):
    """Samples as if judging were free."""

    async def solve(self, problem: Problem, session: Session) -> Solution:
        candidates = await session.sample(problem, n=self.n)
        return Solution.best(candidates, await session.judge(self.verifier, problem, candidates))


class OwnMeter(Sound):
    """Spends under a budget of its own."""

    async def solve(self, problem: Problem, session: Session) -> Solution:
        own = Session(session.shared, session.place, session.role_name, Meter(Budget()), Hold())
        return await Solution.vote(problem.answer, await own.sample(problem, n=self.n))


class GoesRoundTheSession(Sound):
    """Asks the model itself."""

    async def solve(self, problem: Problem, session: Session) -> Solution:
        candidates = await session.sample(problem, n=self.n)
        async for _ in session.model.stream([Draw(problem.request(session.sampling), 99, 5, problem.id)]):
            pass
        return await Solution.vote(problem.answer, candidates)


class FirstToFinish(Sound):
    """What is fastest wins."""

    async def solve(self, problem: Problem, session: Session) -> Solution:
        finished: list[Candidate] = []

        async def one(branch: Session, _: int) -> None:
            finished.extend(await branch.sample(problem))

        await session.branches(one, range(self.n))
        return Solution.of(next((c for c in finished if c.answer), None), candidates=len(finished))


class Dice(Sound):
    """Draws from a generator of its own."""

    async def solve(self, problem: Problem, session: Session) -> Solution:
        candidates = await session.sample(problem, n=self.n)
        return Solution.of(random.SystemRandom().choice(candidates) if candidates else None, candidates=len(candidates))


class LooksAtWhatWasPaid(Sound):
    """Samples more where nothing was recorded."""

    async def solve(self, problem: Problem, session: Session) -> Solution:
        candidates = list(await session.sample(problem, n=3))
        if session.shared.ledgers["policy"].paid.calls:
            candidates += await session.sample(problem, n=3)
        return await Solution.vote(problem.answer, candidates)


class LeavesATask(Sound):
    """Something still runs when it has answered."""

    async def solve(self, problem: Problem, session: Session) -> Solution:
        asyncio.get_running_loop().create_task(asyncio.sleep(3))  # left behind on purpose
        return await Solution.vote(problem.answer, await session.sample(problem, n=self.n))


class Invents(Sound):
    """An answer that no sample gave."""

    async def solve(self, problem: Problem, session: Session) -> Solution:
        return Solution(Answer("7"), None, candidates=len(await session.sample(problem, n=self.n)))


class SilenceVotes(Sound):
    """No answer is an answer like any other."""

    async def solve(self, problem: Problem, session: Session) -> Solution:
        candidates = await session.sample(problem, n=self.n)
        votes = [candidate.answer and candidate.answer.value for candidate in candidates]
        return Solution.of(candidates[max(range(len(votes)), key=lambda i: votes.count(votes[i]))], candidates=len(candidates))


class Drops(Sound):
    """Pays for six and looks at four."""

    async def solve(self, problem: Problem, session: Session) -> Solution:
        return await Solution.vote(problem.answer, (await session.sample(problem, n=self.n))[:4])


class FailureIsZero(Sound):
    """A judgement that failed counts as 0."""

    async def solve(self, problem: Problem, session: Session) -> Solution:
        candidates = await session.sample(problem, n=self.n, judged_by=self.verifier)
        judgements = await session.judge(self.verifier, problem, candidates)
        return Solution.best(candidates, [Judgement(0.0) if judgement.score is None else judgement for judgement in judgements])


def at_the_cap(strategy: Strategy) -> None:
    check_budget(strategy, World(seed=1), Budget(calls=4))


def at_other_speeds(strategy: Strategy) -> None:
    check_determinism(strategy, World(seed=2), Budget())


def alone(strategy: Strategy) -> None:
    solved(strategy, World(seed=1))


def replayed(strategy: Strategy) -> None:
    check_replay(strategy, World(seed=1), Budget())


def all_counted(strategy: Strategy) -> None:
    check_nothing_lost(strategy, World(seed=1))


def mostly_silent(strategy: Strategy) -> None:
    for seed in range(4):
        check_answers(strategy, World(seed=seed, answers={"p": {None: 0.7, "7": 0.3}}))


def badly_judged(strategy: Strategy) -> None:
    check_failed_judgements(strategy, World(seed=1), "8")


@pytest.mark.parametrize("check", [at_the_cap, at_other_speeds, alone, replayed, all_counted, mostly_silent, badly_judged])
def test_a_sound_strategy_passes(check: Callable[[Strategy], None]) -> None:
    check(Sound())


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (SetsNothingAside, at_the_cap), (OwnMeter, at_the_cap), (GoesRoundTheSession, alone), (FirstToFinish, at_other_speeds),
        (Dice, at_other_speeds),
        (LooksAtWhatWasPaid, at_other_speeds), (LooksAtWhatWasPaid, replayed), (LeavesATask, alone), (Invents, alone), (SilenceVotes, mostly_silent),
        (Drops, all_counted), (FailureIsZero, badly_judged),
    ],
)  # fmt: skip
def test_a_broken_rule_is_caught(broken: type[Sound], check: Callable[[Strategy], None]) -> None:
    with pytest.raises(AssertionError):
        check(broken())
