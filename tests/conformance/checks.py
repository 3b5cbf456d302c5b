"""The rules that every strategy keeps, as functions: give one a strategy, and it raises an AssertionError if a rule is broken.

    from conformance.checks import World, check_budget
    check_budget(MyStrategy(n=6), World(seed=1, failure_rate=0.2), Budget(calls=3))

They run on the simulated model, whose own counts are compared with what the session says.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import anyio

from outthink.core.attempt import attempt
from outthink.core.completion import Usage
from outthink.core.journal import Journal
from outthink.core.pool import Pool
from outthink.core.problem import Problem
from outthink.core.protocols import Strategy
from outthink.core.request import Draw, Message, Sampling
from outthink.core.session import Session
from outthink.core.solution import Candidate, Judgement, Solution
from outthink.core.spend import SPEND_FIELDS, Budget, Price, Spend
from outthink.models._instrument import Reply
from outthink.models.replay import ReplayModel
from outthink.models.simulated import Distribution, LatentAnswers, Speech
from outthink.problems.answers import Number

PRICE = Price(prompt=2.0, completion=8.0, parameters=3.0)
SAMPLING = Sampling(temperature=0.7, max_tokens=10)
ANSWERS: dict[str, Distribution] = {"p": {"7": 0.45, "8": 0.3, "9": 0.15, None: 0.1}}
TRUTH = {"p": "7"}
PROBLEM = Problem("p", (Message("user", "What is seven, in short?"),), Number())


class Jittered(LatentAnswers):
    """Speaks at speeds that have nothing to do with the draws' seeds."""

    jitter: random.Random | None = None
    step_s: float = 0.0004
    spread: float = 1.0  # above 1 most draws are quick and some are very slow

    def _reply(self, draw: Draw) -> Reply:
        reply = super()._reply(draw)
        return reply if self.jitter is None else dataclasses.replace(reply, delay_s=self.jitter.random() ** self.spread * self.step_s)


@dataclass
class World:
    """One model for every role, with counts; and how it behaves.

    Args:
        seed: of the run.
        failure_rate: probability that a draw breaks on its way.
        shares_prompt: whether it bills one prompt for the draws of a request.
        jitter: None for an instant model; else the seed of the speeds at which it speaks.
    """

    seed: int = 0
    failure_rate: float = 0.0
    shares_prompt: bool = False
    jitter: int | None = None
    answers: dict[str, Distribution] = field(default_factory=lambda: dict(ANSWERS))

    def models(self) -> dict[str, Jittered]:
        """Fresh models, nothing served yet."""
        speech = Speech(shortest=4, longest=10, wrong_longer=1.3, failure_rate=self.failure_rate)
        made = {
            role: Jittered(self.answers, TRUTH, speech=speech, price=PRICE, shares_prompt=self.shares_prompt, name=f"latent-{role}")
            for role in ("policy", "judge")
        }
        for role, model in made.items():
            model.jitter = None if self.jitter is None else random.Random(f"{self.jitter}/{role}")
        return made

    def session(self, models: dict[str, Jittered], budget: Budget = Budget(), journal: Journal | None = None) -> Session:
        """A root session for the problem."""
        return Session.open(models, journal=journal, budget=budget, sampling=SAMPLING, seed=self.seed, place=("p",))


@dataclass
class Run:
    """What one attempt did. `solution` is None where it was cancelled."""

    solution: Solution | None
    models: dict[str, Jittered]
    session: Session
    journal: Journal


def run(strategy: Strategy, world: World, budget: Budget = Budget(), journal: Journal | None = None, cancel_after: float | None = None) -> Run:
    """One attempt in an event loop of its own; cancelled from outside after some seconds if asked for."""
    made, store = world.models(), Journal() if journal is None else journal

    async def main() -> Run:
        session = world.session(made, budget, store)
        solution = None
        with anyio.move_on_after(float("inf") if cancel_after is None else cancel_after):
            solution = await attempt(strategy, PROBLEM, session)
        assert len(asyncio.all_tasks()) == 1, "a task is still running after the end"
        return Run(solution, made, session, store)

    return anyio.run(main)


def solved(strategy: Strategy, world: World, budget: Budget = Budget(), journal: Journal | None = None) -> Run:
    """An attempt that was not cancelled, with what must hold after any such attempt."""
    done = run(strategy, world, budget, journal)
    check_nothing_in_flight(done)
    check_paid_is_served(done)
    check_honest(done)
    return done


def outcome(run: Run) -> Solution:
    """The solution without what depends on how much was recorded before: its ledgers keep what was charged only."""
    assert run.solution is not None
    ledgers = {
        role: dataclasses.replace(ledger, charged=rounded(ledger.charged), paid=Spend()) for role, ledger in sorted(run.solution.ledgers.items())
    }
    return dataclasses.replace(run.solution, ledgers=ledgers, missing=dict(sorted(run.solution.missing.items())))


def rounded(spend: Spend) -> Spend:
    """Sums in another order differ in their last bits."""
    return dataclasses.replace(spend, dollars=round(spend.dollars, 12), flops=round(spend.flops, 6))


def check_nothing_in_flight(run: Run) -> None:
    """Clean stop: every draw that was handed to a model has come to an end."""
    for model in run.models.values():
        assert model.served.in_flight == 0
        assert model.served.calls == model.served.done + model.served.failed + model.served.cut


def check_paid_is_served(run: Run) -> None:
    """Accounting: what each ledger paid is what its model served, by the model's own counts."""
    for role, model in run.models.items():
        paid = run.session.shared.ledgers[role].paid if role in run.session.shared.ledgers else Spend()
        served = Spend(model.served.completion_tokens, model.served.prompt_tokens, model.served.calls)
        assert Spend(paid.completion_tokens, paid.prompt_tokens, paid.calls) == served, role


def check_honest(run: Run) -> None:
    """Honesty: the answer is read from a sample that was really drawn, by the problem's own rules."""
    solution = run.solution
    assert solution is not None
    drawn = {sample.key: sample for sample in Pool(run.journal).samples()}
    if solution.candidate is None:
        assert solution.answer is None
        return
    assert solution.candidate.key in drawn
    assert drawn[solution.candidate.key].completion.text == solution.candidate.text
    assert solution.answer == PROBLEM.answer.parse(solution.candidate.text)
    assert solution.candidates >= 1


def check_budget(strategy: Strategy, world: World, budget: Budget) -> Run:
    """Budget: neither what was charged nor what the models served overruns a cap. Anytime: it says that it was cut."""
    done = solved(strategy, world, budget)
    solution = done.solution
    assert solution is not None
    served = sum(
        (PRICE.of(Usage(model.served.prompt_tokens, model.served.completion_tokens), calls=model.served.calls) for model in done.models.values()),
        Spend(),
    )
    for name in SPEND_FIELDS:
        cap = getattr(budget, name)
        if cap is not None:
            assert getattr(solution.charged, name) <= cap * (1 + 1e-9), f"{name} charged"
            assert getattr(served, name) <= cap * (1 + 1e-9), f"{name} served"
    assert (solution.stopped == "budget") == ("budget" in solution.missing)
    if not done.models["policy"].served.calls:
        assert solution.candidate is None
        assert solution.stopped == "budget"
    if not world.failure_rate:
        assert "judgement failed" not in solution.missing, "the judge's share was set aside, so every sample is judged"
        compared = [str(call.body["failure"]) for call in done.journal.calls("compare", state="failed")]
        assert not [why for why in compared if "budget" in why], "the comparer's share was set aside, so every match is played"
    return done


def check_determinism(strategy: Strategy, world: World, budget: Budget) -> None:
    """Determinism: same solution and charges at other speeds, and again from the journal, wholly or in part recorded."""
    first = solved(strategy, world, budget)
    expected = outcome(first)
    for jitter in (1, 2):
        assert outcome(solved(strategy, dataclasses.replace(world, jitter=jitter), budget)) == expected
    warm = run(strategy, world, budget, first.journal)
    assert outcome(warm) == expected, "from the journal"
    redone = sum(model.served.calls for model in warm.models.values())
    assert redone == sum(model.served.failed for model in first.models.values()), "only what failed is asked again"


def check_resume(strategy: Strategy, world: World, budget: Budget, cancel_after: float) -> None:
    """Clean stop, nothing lost, nothing done twice: cancelled at any moment and started again, it ends as if nothing had happened."""
    expected = outcome(solved(strategy, world, budget))
    journal = Journal()
    slow = dataclasses.replace(world, jitter=7)
    cancelled = run(strategy, slow, budget, journal, cancel_after)
    check_nothing_in_flight(cancelled)
    check_paid_is_served(cancelled)
    kept = sum(model.served.done for model in cancelled.models.values())
    resumed = run(strategy, world, budget, journal)
    assert outcome(resumed) == expected
    done = [call.key for call in journal.calls("sample", state="done")]
    assert len(done) == len(set(done)), "a finished sample was drawn twice"
    fresh = sum(model.served.done for model in resumed.models.values())
    assert kept + fresh == len(done)


def check_replay(strategy: Strategy, world: World, budget: Budget) -> None:
    """Replay: the recorded pool in the model's place gives the same solution at the same charge, and pays nothing."""
    live = solved(strategy, world, budget)
    if not any(model.served.done for model in live.models.values()):
        return
    pool = Pool(live.journal)
    recorded = {call.model for call in live.journal.calls("sample")}
    replays = {
        role: ReplayModel(pool, model=f"{model.name}@{model.engine}", price=PRICE, shares_prompt=world.shares_prompt, bound=model.prompt_bound)
        for role, model in live.models.items()
        if f"{model.name}@{model.engine}" in recorded
    }
    if "policy" not in replays:
        return

    async def main() -> Run:
        session = Session.open(replays, budget=budget, sampling=SAMPLING, seed=world.seed, place=("p",))
        return Run(await attempt(strategy, PROBLEM, session), {}, session, session.shared.journal)

    replayed = anyio.run(main)
    assert outcome(replayed) == outcome(live)
    assert replayed.solution is not None
    assert replayed.solution.paid == Spend()


def check_time(strategy: Strategy, world: World, seconds: float, slack_s: float = 2.0) -> None:
    """Seconds: it comes back at the wall-time cap with what it has, leaves nothing in flight, and says so."""
    made = world.models()
    journal = Journal()
    for model in made.values():
        model.jitter, model.step_s, model.spread = random.Random(world.jitter or 0), 2.0, 8.0

    async def main() -> tuple[Run, float]:
        session = world.session(made, Budget(seconds=seconds), journal)
        start = anyio.current_time()
        solution = await attempt(strategy, PROBLEM, session)
        return Run(solution, made, session, journal), anyio.current_time() - start

    done, took = anyio.run(main)
    check_nothing_in_flight(done)
    check_paid_is_served(done)
    check_honest(done)
    assert took < seconds + slack_s
    assert done.solution is not None
    assert (done.solution.stopped == "seconds") == ("seconds" in done.solution.missing)
    if seconds == 0:
        assert done.solution.candidate is None


def check_nothing_lost(strategy: Strategy, world: World) -> None:
    """Nothing paid for is lost: without a budget every finished sample is a candidate, and every failure is told."""
    done = solved(strategy, world)
    assert done.solution is not None
    served = done.models["policy"].served
    assert done.solution.candidates == served.done
    assert done.solution.missing.get("broken", 0) == sum(model.served.failed for model in done.models.values())
    reserved = done.session.meter.reserved
    assert rounded(reserved) == Spend(), "something is still set aside at the end"


def check_answers(strategy: Strategy, world: World) -> None:
    """Honesty: "no answer" is chosen only if no sample has an answer."""
    done = solved(strategy, world)
    assert done.solution is not None
    answers = [PROBLEM.answer.parse(sample.completion.text) for sample in Pool(done.journal).samples()]
    assert (done.solution.answer is None) == all(answer is None for answer in answers)


@dataclass(frozen=True)
class KnowsOneAnswer:
    """Scores one answer alone, and low; every other judgement fails. Scores in [-10, 0]."""

    known: str
    score_range: ClassVar[tuple[float, float]] = (-10.0, 0.0)

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """Free."""
        return Spend()

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        """-9 for the known answer; a zero in the place of a failure would beat it."""
        values = [candidate.answer.value if candidate.answer else None for candidate in candidates]
        return [Judgement(-9.0) if value == self.known else Judgement(None, failure="not known") for value in values]


def check_failed_judgements(strategy: Strategy, world: World, known: str) -> None:
    """Honesty: a failed judgement is not a score. For strategies with the knob `verifier`, which is replaced."""
    done = solved(dataclasses.replace(strategy, verifier=KnowsOneAnswer(known)), world)  # type: ignore[type-var, call-arg]  # the caller names such strategies
    assert done.solution is not None
    answers = [PROBLEM.answer.parse(sample.completion.text) for sample in Pool(done.journal).samples()]
    values = [answer.value for answer in answers if answer is not None]
    chosen = done.solution.answer.value if done.solution.answer else None
    assert chosen == known if known in values else (chosen is not None) == bool(values)
