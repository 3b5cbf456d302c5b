"""Knockout [72]: who meets whom, draws, missing comparisons, cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import pytest

from outthink.core.attempt import attempt
from outthink.core.completion import Usage
from outthink.core.problem import Problem
from outthink.core.request import Message, Request, Sampling
from outthink.core.session import Session
from outthink.core.solution import Candidate, Preference, Solution
from outthink.core.spend import Budget, Price, Spend
from outthink.models.scripted import ScriptedModel
from outthink.problems.numbers import Number
from outthink.strategies.knockout import Knockout
from outthink.strategies.league import League

PROBLEM = Problem("p", (Message("user", "?"),), Number())


@dataclass(frozen=True)
class Largest:
    """Prefers the larger number, or fails, or cannot tell; writes down what it was asked."""

    mode: str = "larger"
    asked: list[tuple[str, str]] = field(default_factory=list, compare=False)

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        return Spend()

    async def compare(self, problem: Problem, pairs: Sequence[tuple[Candidate, Candidate]], session: Session) -> list[Preference]:
        self.asked.extend((a.text, b.text) for a, b in pairs)
        if self.mode == "fails":
            return [Preference(None, failure="no") for _ in pairs]
        if self.mode == "first":
            return [Preference(1.0) for _ in pairs]
        return [Preference(float(int(a.text) > int(b.text))) for a, b in pairs]


def solve(strategy: Knockout | League, replies: Sequence[str], seed: int = 0) -> Solution:
    async def work() -> Solution:
        session = Session.open(ScriptedModel(list(replies)), seed=seed, place=("p",), sampling=Sampling())
        return await strategy.solve(PROBLEM, session)

    return anyio.run(work)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("strategy", [Knockout, League])
def test_a_perfect_judge_finds_the_best_whatever_the_number(strategy: type[Knockout] | type[League], n: int):
    judge = Largest()
    solution = solve(strategy(n=n, comparisons=3, comparer=judge), [str(i) for i in range(n)])
    assert solution.text == str(n - 1)
    matches = n - 1 if strategy is Knockout else n * (n - 1) // 2
    assert len(judge.asked) == 3 * matches


def test_half_of_the_comparisons_are_turned():
    judge = Largest()
    solve(Knockout(n=2, comparisons=4, comparer=judge), ["1", "2"])
    assert sorted(judge.asked) == [("1", "2"), ("1", "2"), ("2", "1"), ("2", "1")]


@pytest.mark.parametrize("mode", ["first", "fails"])
def test_draws_are_broken_at_random(mode: str):
    winners = [solve(Knockout(n=2, comparisons=2, comparer=Largest(mode)), ["1", "2"], seed=seed).text for seed in range(60)]
    assert 15 <= winners.count("1") <= 45  # a fair coin leaves this range once in 20,000 times


def test_equal_answers_are_not_compared_and_end_the_tournament():
    judge = Largest()
    assert solve(Knockout(n=4, comparer=judge), ["5", "5.0", "5", "5"]).text == "5"
    assert judge.asked == []


@pytest.mark.parametrize("strategy", [Knockout, League])
def test_no_answer_never_wins_unless_it_is_alone(strategy: type[Knockout] | type[League]):
    assert solve(strategy(n=3, comparer=Largest("fails")), ["none", "7", "none"]).text == "7"
    alone = solve(strategy(n=2, comparer=Largest("fails")), ["none", "nothing"])
    assert alone.answer is None
    assert alone.text == "none"


def test_a_seed_gives_the_same_winner_again():
    one = [solve(Knockout(n=8, comparisons=1, comparer=Largest("first")), [str(i) for i in range(8)], seed=s).text for s in range(5)]
    assert one == [solve(Knockout(n=8, comparisons=1, comparer=Largest("first")), [str(i) for i in range(8)], seed=s).text for s in range(5)]
    assert len(set(one)) > 1


@pytest.mark.parametrize(("n", "opponents", "each"), [(8, 3, 3), (8, 4, 4), (7, 2, 2), (7, 3, 4), (6, 99, 5), (2, 1, 1)])
def test_every_candidate_of_a_league_meets_the_same_number(n: int, opponents: int, each: int):
    judge = Largest()
    solve(League(n=n, comparisons=1, opponents=opponents, comparer=judge), [str(i) for i in range(n)])
    met = [name for pair in judge.asked for name in pair]
    assert all(met.count(str(i)) == each for i in range(n))
    assert len({frozenset(pair) for pair in judge.asked}) == len(judge.asked)


def test_a_league_wins_by_rate():
    solution = solve(League(n=4, comparisons=1, comparer=Largest()), ["1", "9", "3", "9"])
    assert solution.text == "9"
    assert solution.confidence == pytest.approx((1 + 1 + 0.5) / 3)


@dataclass(frozen=True)
class Asking(Largest):
    """As `Largest`, but asks the judge's model first."""

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        return session.price_bound(self._request("", "")) + session.model.price.of(Usage(2 * sampling.max_tokens), calls=0)

    async def compare(self, problem: Problem, pairs: Sequence[tuple[Candidate, Candidate]], session: Session) -> list[Preference]:
        replies = await session.sample_each([self._request(one.text, other.text) for one, other in pairs])
        known = await super().compare(problem, pairs, session)
        return [preference if reply else Preference(None, failure="not compared") for preference, reply in zip(known, replies, strict=True)]

    def _request(self, one: str, other: str) -> Request:
        return Request.ask(f"which is larger {one} {other}", sampling=Sampling(max_tokens=2))


@pytest.mark.parametrize("cap", ["calls", "completion_tokens", "prompt_tokens", "dollars"])
@pytest.mark.parametrize("strategy", [Knockout(4, 2, Asking()), League(4, 2, comparer=Asking()), League(5, 1, 2, comparer=Asking())])
def test_a_cap_means_fewer_candidates_and_no_match_unplayed(strategy: Knockout | League, cap: str):
    entered = []
    for amount in range(60):
        budget = Budget(**{cap: amount * {"calls": 1, "completion_tokens": 2, "prompt_tokens": 4, "dollars": 4e-6}[cap]})

        async def work(budget: Budget = budget) -> Solution:
            replies = {"?": ["1", "2", "3", "4", "5"]} | {f"which is larger {a} {b}": ["yes"] * 9 for a in range(6) for b in range(6)}
            model = ScriptedModel(replies, price=Price(prompt=1.0, completion=1.0))
            return await attempt(strategy, PROBLEM, Session.open(model, budget=budget, place=("p",), sampling=Sampling(max_tokens=1)))

        solution = anyio.run(work)
        entered.append(solution.candidates)
        assert "comparison failed" not in solution.missing
        if getattr(strategy, "opponents", None) is None:  # who meets few may not meet the best
            assert solution.text == (str(solution.candidates) if solution.candidates else ""), "the best of those who entered"
    assert entered[0] == 0
    assert entered == sorted(entered), "more budget, more candidates"
    assert set(entered) >= {1, 2, strategy.n}


@pytest.mark.parametrize("opponents", [None, 1, 2, 3, 4])
def test_what_is_set_aside_is_enough_for_every_size_of_a_league(opponents: int | None):
    for size in range(1, 10):
        judge = Largest()
        solve(League(n=size, comparisons=1, opponents=opponents, comparer=judge), [str(i) for i in range(size)])
        aside = League(n=9, opponents=opponents)._added()
        assert len(judge.asked) <= sum(aside[:size])
        assert aside == sorted(aside)
        if opponents is None:
            assert len(judge.asked) == sum(aside[:size])


@pytest.mark.parametrize("knobs", [{"n": 0}, {"comparisons": 0}])
@pytest.mark.parametrize("strategy", [Knockout, League])
def test_impossible_knobs_are_refused(strategy: type[Knockout] | type[League], knobs: dict[str, int]):
    with pytest.raises(ValueError, match="1 or more"):
        strategy(**knobs)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="opponents"):
        League(opponents=0)
