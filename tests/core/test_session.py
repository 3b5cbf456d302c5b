"""The session: places, limits, branches, holds, failures of backends and verifiers, and the same place asked twice."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import anyio
import pytest
from conformance.subjects import AskingJudge

from outthink.core.attempt import attempt
from outthink.core.completion import Chunk, Completion, Failure, Usage
from outthink.core.errors import CapabilityError, ModelError, VerifierError
from outthink.core.journal import Journal
from outthink.core.pool import Pool
from outthink.core.problem import Problem
from outthink.core.protocols import Model
from outthink.core.registry import comparer, strategy, verifier
from outthink.core.request import Draw, Message, Request, Sampling
from outthink.core.session import Session
from outthink.core.shared import Event
from outthink.core.solution import Candidate, Judgement, Preference, Solution
from outthink.core.spend import Budget, Price, Spend
from outthink.models._instrument import spoken
from outthink.models.scripted import ScriptedModel
from outthink.problems.answers import Number
from outthink.strategies.best_of_n import BestOfN
from outthink.strategies.knockout import Knockout
from outthink.strategies.majority_vote import MajorityVote
from outthink.verifiers.scripted import ScriptedVerifier

QUESTION = Problem("p", (Message("user", "one two three"),), Number())
SAMPLING = Sampling(max_tokens=4)
BROKEN = Failure("broken", "it broke")
T = TypeVar("T")


def play(model: Model, work: Callable[[Session], Awaitable[T]], **options: object) -> T:
    """Run work(session) on a root session."""

    async def main() -> T:
        return await work(Session.open(model, sampling=SAMPLING, place=("p",), **options))  # type: ignore[arg-type]

    return anyio.run(main)


def solve(strategy: object, model: Model, **options: object) -> Solution:
    return play(model, lambda session: attempt(strategy, QUESTION, session), **options)  # type: ignore[arg-type]


def test_an_empty_journal_that_is_given_is_the_one_that_is_written() -> None:
    journal = Journal()
    solve(MajorityVote(n=2), ScriptedModel(["1", "2"]), journal=journal)
    assert len(journal) == 2


def test_fourteen_of_sixteen_are_a_result_and_two_are_missing() -> None:
    script = [BROKEN if i in (3, 9) else "1" if i < 6 else "2" for i in range(16)]
    solution = solve(MajorityVote(n=16), ScriptedModel(script))
    assert (str(solution.answer), solution.candidates, solution.missing) == ("2", 14, {"broken": 2})


def test_the_same_place_asked_twice_goes_on_and_another_place_starts_anew() -> None:
    model = ScriptedModel([str(i) for i in range(6)])

    async def work(session: Session) -> list[list[int]]:
        found = [await session.sample(QUESTION, 2), await session.sample(QUESTION, 2), await session.at("x").sample(QUESTION, 2)]
        return [[candidate.index for candidate in candidates] for candidates in found]

    assert play(model, work) == [[0, 1], [2, 3], [0, 1]]
    seeds = [draw.seed for draw in model.draws]
    assert len(set(seeds)) == 6


def test_equal_prompts_in_one_call_are_billed_once_where_the_model_shares_them() -> None:
    model = ScriptedModel(["1 1"] * 4, shares_prompt=True)

    async def work(session: Session) -> tuple[Spend, Spend]:
        await session.sample_each([QUESTION, QUESTION], 2)
        ledger = session.shared.ledgers["policy"]
        return ledger.charged, ledger.paid

    charged, paid = play(model, work)
    assert charged == paid == Spend(completion_tokens=8, prompt_tokens=3, calls=4)
    assert model.served.prompt_tokens == 3


@pytest.mark.parametrize("failing", [(0,), (0, 1), (2,), (0, 1, 2)])
def test_the_shared_prompt_is_charged_once_if_any_sample_read_it(failing: tuple[int, ...]) -> None:
    model = ScriptedModel([BROKEN if i in failing else "1" for i in range(3)], shares_prompt=True)
    solution = solve(MajorityVote(n=3), model, budget=Budget(prompt_tokens=3))
    assert solution.charged.prompt_tokens == solution.paid.prompt_tokens == model.served.prompt_tokens == (0 if len(failing) == 3 else 3)


def test_tokens_of_a_draw_that_broke_on_its_way_are_charged() -> None:
    class Breaks(ScriptedModel):
        async def stream(self, draws: Sequence[Draw]) -> AsyncGenerator[Chunk, None]:
            yield Chunk(0, "a b", tokens=2)
            yield Chunk(0, " c", tokens=1, done=BROKEN)

    solution = solve(MajorityVote(n=1), Breaks([]))
    assert solution.charged == solution.paid == Spend(completion_tokens=3, prompt_tokens=3, calls=1)


def test_a_piece_after_the_end_is_an_error_of_the_backend() -> None:
    class Babbles(ScriptedModel):
        async def stream(self, draws: Sequence[Draw]) -> AsyncGenerator[Chunk, None]:
            yield Chunk(0, done=spoken(draws[0].request, ["1"]))
            yield Chunk(0, "2", tokens=1)

    with pytest.raises(ModelError, match="after its end"):
        solve(MajorityVote(n=1), Babbles([]))


def test_a_stream_that_ends_too_early_is_a_failure_of_the_missing_samples() -> None:
    class Stops(ScriptedModel):
        async def stream(self, draws: Sequence[Draw]) -> AsyncGenerator[Chunk, None]:
            yield Chunk(0, tokens=1, done=spoken(draws[0].request, ["5"]))

    solution = solve(MajorityVote(n=3), Stops([]))
    assert (str(solution.answer), solution.missing) == ("5", {"protocol": 2})


def test_nested_limits_hold_and_the_tightest_decides() -> None:
    async def work(session: Session) -> list[int]:
        outer = session.limit(Budget(completion_tokens=8))
        inner = outer.limit(Budget(calls=3))
        return [len(await inner.sample(QUESTION, 5)), len(await outer.sample(QUESTION, 5)), len(await session.sample(QUESTION, 5))]

    # 4 tokens are reserved and 1 is used: the inner limit stops at its 3 calls; the outer admits while charged + 4 <= 8, up to 5 tokens
    assert play(ScriptedModel(["1"] * 20), work) == [3, 2, 5]


def test_a_limit_in_seconds_is_refused() -> None:
    async def work(session: Session) -> None:
        session.limit(Budget(seconds=1))

    with pytest.raises(ValueError, match="whole solve"):
        play(ScriptedModel([]), work)


def test_who_gets_the_budget_does_not_depend_on_who_is_fast() -> None:
    """Branch 1 is slow and branch 0 comes back to ask from inner branches: its next request is decided with branch 1's, and before it."""

    def spent(slow: float) -> list[int]:
        async def inner(branch: Session, item: int) -> int:
            return len(await branch.sample(QUESTION, 1))

        async def work(branch: Session, item: int) -> int:
            if item == 1:
                await branch.sample(QUESTION, 1)
                await anyio.sleep(slow)
                return len(await branch.sample(QUESTION, 4))
            await branch.branches(inner, [0, 1])
            await anyio.sleep(0.02 - slow)
            return len(await branch.sample(QUESTION, 4))

        async def main(session: Session) -> list[int]:
            return await session.branches(work, [0, 1])

        return play(ScriptedModel(["1"] * 20), main, budget=Budget(calls=8))

    assert spent(0.0) == spent(0.01) == spent(0.02) == [4, 1]


def test_a_judge_gets_what_was_set_aside_for_it_also_when_another_branch_asks_for_everything() -> None:
    judge = AskingJudge()

    async def work(branch: Session, item: int) -> list[Judgement]:
        found = await branch.sample(QUESTION, 1, judged_by=judge if item else None)
        if item == 0:
            await branch.sample(QUESTION, 9)
            return []
        return await branch.judge(judge, QUESTION, found)

    async def main(session: Session) -> list[list[Judgement]]:
        return await session.branches(work, [0, 1])

    # branch 0 stands before branch 1 in every round, and its 9 samples would take all 4 calls that are left of 5 but one
    _, judgements = play(ScriptedModel(["1"] * 20), main, budget=Budget(calls=5))
    assert [judgement.failure for judgement in judgements] == [None]


def test_the_first_failing_branch_ends_the_others_and_is_raised_as_it_is() -> None:
    model = ScriptedModel(["1 2 3 4"] * 3, delay_s=1.0)

    async def work(branch: Session, item: int) -> None:
        if item == 1:
            await anyio.sleep(0.01)
            raise ModelError("no more")
        await branch.sample(QUESTION)

    async def main(session: Session) -> Session:
        with pytest.raises(ModelError, match="no more"):
            await session.branches(work, [0, 1, 2])
        return session

    session = play(model, main)
    assert (model.served.in_flight, model.served.cut) == (0, 2)
    assert session.shared.turnstile.live == 1
    assert session.meter.reserved == Spend()


def test_a_listener_that_raises_ends_the_solve_with_its_own_error() -> None:
    def listen(event: Event) -> None:
        raise RuntimeError(f"cannot show {event.kind}")

    journal = Journal()
    solve(MajorityVote(n=2), ScriptedModel(["1", "2"]), journal=journal)
    with pytest.raises(RuntimeError, match="cannot show cached"):
        solve(MajorityVote(n=2), ScriptedModel([]), journal=journal, listen=listen)


def test_a_model_that_refuses_is_told_before_the_first_token() -> None:
    class Refuses(ScriptedModel):
        def refuses(self, request: Request) -> str | None:
            return "script cannot; use another"

    model = Refuses(["1"])
    with pytest.raises(CapabilityError, match="use another"):
        solve(MajorityVote(n=1), model)
    assert not model.draws


@dataclass(frozen=True)
class Miscounts:
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        return Spend()

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        return [Judgement(0.5)]


@dataclass(frozen=True)
class OutOfTen(Miscounts):
    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        return [Judgement(220.0), Judgement(float("nan")), Judgement(None), Judgement(0.1)]


@dataclass(frozen=True)
class Floats(Miscounts):
    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        return [0.5 for _ in candidates]  # type: ignore[misc]


def test_a_verifier_that_returns_bare_numbers_is_told_what_to_write() -> None:
    with pytest.raises(VerifierError, match=r"returned 0\.5 where a Judgement is expected; write Judgement\(0\.5\)"):
        solve(BestOfN(n=3, verifier=Floats()), ScriptedModel(["1", "2", "3"]))


def test_a_verifier_that_miscounts_is_an_error() -> None:
    with pytest.raises(VerifierError, match="1 judgements for 3 candidates"):
        solve(BestOfN(n=3, verifier=Miscounts()), ScriptedModel(["1", "2", "3"]))


def test_a_score_outside_its_range_is_a_failed_judgement_and_not_a_winner() -> None:
    journal = Journal()
    strategy = BestOfN(n=4, verifier=OutOfTen())
    for _ in range(2):  # again from the journal: no judgement is recorded twice, failed ones neither
        solution = solve(strategy, ScriptedModel(["1", "2", "3", "4"]), journal=journal)
        assert (str(solution.answer), solution.missing) == ("4", {"judgement failed": 3})
        judged = [row.judgement for row in Pool(journal).judgements()]
        assert [judgement.failure for judgement in judged] == [
            "the score 220 is outside [0, 1]", "the score is not a number", "no score", None,
        ]  # fmt: skip


@dataclass(frozen=True)
class Gives(Miscounts):
    what: object = None

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        if isinstance(self.what, Exception):
            raise self.what
        return self.what  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (None, "returned a NoneType where a list of judgements is expected"),
        ((Judgement(1.0) for _ in range(3)), "returned a generator where a list of judgements is expected"),
        (RuntimeError("it fell over"), r"failed in test_session\.py, line \d+: RuntimeError: it fell over; mend it"),
    ],
)
def test_a_verifier_that_falls_over_is_its_own_defect_and_is_named(what: object, said: str) -> None:
    with pytest.raises(VerifierError, match=said) as caught:
        solve(BestOfN(n=3, verifier=Gives(what)), ScriptedModel(["1", "2", "3"]))
    assert "\n" not in str(caught.value)


def test_what_a_verifier_asks_in_vain_is_not_its_defect() -> None:
    with pytest.raises(ModelError, match="unreachable"):
        solve(BestOfN(n=3, verifier=Gives(ModelError("unreachable"))), ScriptedModel(["1", "2", "3"]))


def test_scores_of_an_array_library_are_numbers_and_text_is_none() -> None:
    np = pytest.importorskip("numpy")
    given = [Judgement(np.float32(0.5), steps=(np.float32(0.25),)), Judgement("0.9"), Judgement(np.float32("nan"))]
    journal = Journal()
    solution = solve(BestOfN(n=3, verifier=Gives(given)), ScriptedModel(["1", "2", "3"]), journal=journal)
    assert (str(solution.answer), solution.missing) == ("1", {"judgement failed": 2})
    first, second, _ = (row.judgement for row in Pool(journal).judgements())
    assert (first.score, tuple(first.steps)) == (0.5, (0.25,))
    assert second.failure == "a score is not a number: '0.9'"


@dataclass(frozen=True)
class Prefers:
    what: object

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        return Spend()

    async def compare(self, problem: Problem, pairs: Sequence[tuple[Candidate, Candidate]], session: Session) -> list[Preference]:
        if self.what is None:
            raise KeyError("gone")
        return [Preference(self.what) for _ in pairs]  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["0.4", float("nan"), 1.5, object()])
def test_a_preference_that_is_no_probability_is_a_failed_comparison(what: object) -> None:
    solution = solve(Knockout(n=2, comparer=Prefers(what)), ScriptedModel(["1", "2"]))
    assert solution.missing["comparison failed"] >= 1


def test_a_comparer_that_falls_over_is_named() -> None:
    with pytest.raises(VerifierError, match=r"comparer .*Prefers.* failed in test_session\.py, line \d+: KeyError"):
        solve(Knockout(n=2, comparer=Prefers(None)), ScriptedModel(["1", "2"]))


@pytest.mark.parametrize(("register", "lacking"), [(verifier, "judge, bound, score_range"), (comparer, "compare, bound"), (strategy, "solve")])
def test_what_lacks_a_member_cannot_be_registered(register: Callable[[str], Callable[[type], type]], lacking: str) -> None:
    plugged = dataclasses.make_dataclass("Plugged", [], frozen=True)
    with pytest.raises(TypeError, match=f"Plugged lacks {lacking}, which a"):
        register("plugged")(plugged)


def test_weights_follow_the_verifier_not_the_count() -> None:
    assert str(solve(BestOfN(n=3, verifier=ScriptedVerifier(0.9, 0.1, 0.2)), ScriptedModel(["1", "2", "2"])).answer) == "1"


def test_the_clock_cuts_a_sample_in_the_middle_and_charges_what_came() -> None:
    model = ScriptedModel(["1 1 1 1", "2"], delay_s=0.03)
    solution = solve(MajorityVote(n=2), model, budget=Budget(seconds=0.075))
    assert (str(solution.answer), solution.stopped, solution.missing) == ("2", "seconds", {"seconds": 1})
    assert solution.paid.completion_tokens == model.served.completion_tokens == 3
    assert solution.paid.prompt_tokens == model.served.prompt_tokens


def test_what_was_offered_is_the_answer_of_a_strategy_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outthink.core.attempt.GRACE_SECONDS", 0.01)

    class Endless:
        async def solve(self, problem: Problem, session: Session) -> Solution:
            for score, candidate in enumerate(await session.sample(problem, 2)):
                session.offer(candidate, float(-score))
            await anyio.sleep_forever()
            raise AssertionError

    solution = solve(Endless(), ScriptedModel(["1", "2"]), budget=Budget(seconds=0.05))
    assert (str(solution.answer), solution.stopped) == ("1", "seconds")


def test_tokens_that_were_generated_once_more_are_charged_also_from_the_record() -> None:
    price, usage = Price(prompt=1.0, completion=10.0, parameters=1e9), Usage(3, 2, recovery_tokens=1)
    model = ScriptedModel([Completion("1 2", "stop", usage)], price=price)
    journal = Journal()
    first = solve(MajorityVote(n=1), model, journal=journal)
    again = solve(MajorityVote(n=1), model, journal=journal)
    assert first.charged == again.charged == first.paid == price.of(Usage(3, 3))
    assert again.paid == Spend()
    (recorded,) = Pool(journal).samples()
    assert recorded.completion.usage == usage


def test_dollars_and_flops_come_from_the_price() -> None:
    model = ScriptedModel(["1 2"], price=Price(prompt=1.0, completion=10.0, parameters=1e9))
    solution = solve(MajorityVote(n=1), model)
    assert solution.charged == Price(1.0, 10.0, 1e9).of(Usage(3, 2))
    assert solution.charged.dollars == pytest.approx(23e-6)
    assert solution.charged.flops == 2e9 * 5
