"""Knockout [72]: who meets whom, draws, missing comparisons, cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import pytest

from outthink.core.problem import Problem
from outthink.core.request import Message, Sampling
from outthink.core.session import Session
from outthink.core.solution import Candidate, Preference, Solution
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


@pytest.mark.parametrize("knobs", [{"n": 0}, {"comparisons": 0}])
@pytest.mark.parametrize("strategy", [Knockout, League])
def test_impossible_knobs_are_refused(strategy: type[Knockout] | type[League], knobs: dict[str, int]):
    with pytest.raises(ValueError, match="1 or more"):
        strategy(**knobs)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="opponents"):
        League(opponents=0)
