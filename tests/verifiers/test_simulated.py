"""Simulated judges: their rates, blind spots, position bias and noise are what they are said to be."""

from __future__ import annotations

import math

import anyio
import pytest

from outthink.core.completion import Completion, Usage
from outthink.core.problem import Answer, Problem
from outthink.core.request import Message
from outthink.core.session import Session
from outthink.core.solution import Candidate, Judgement, Preference
from outthink.core.spec import describe
from outthink.models.scripted import ScriptedModel
from outthink.problems.answers import Number
from outthink.verifiers.simulated import SimulatedComparer, SimulatedProcessReward, SimulatedVerifier

TRUTH = {f"p{i}": "7" for i in range(3000)}
N = 3000


def problem(name: str = "p0") -> Problem:
    return Problem(name, (Message("user", "?"),), Number())


def candidate(answer: str | None, index: int, text: str = "") -> Candidate:
    return Candidate(Completion(text or f"The answer is {answer}.", "stop", Usage(1, 1)), None if answer is None else Answer(answer), index=index)


def judge(verifier: SimulatedVerifier | SimulatedProcessReward, candidates: list[Candidate], name: str = "p0") -> list[Judgement]:
    async def main() -> list[Judgement]:
        return await Session.open(ScriptedModel([]), place=(name,)).judge(verifier, problem(name), candidates)

    return anyio.run(main)


def compare(comparer: SimulatedComparer, pairs: list[tuple[Candidate, Candidate]]) -> list[Preference]:
    async def main() -> list[Preference]:
        return await Session.open(ScriptedModel([]), place=("p0",)).compare(comparer, problem(), pairs)

    return anyio.run(main)


def near(count: float, p: float, n: int = N) -> bool:
    return abs(count - n * p) <= 3.5 * math.sqrt(n * p * (1 - p)) + 1e-9


@pytest.mark.parametrize("continuous", [False, True])
def test_a_verifier_accepts_at_its_rates(continuous: bool) -> None:
    verifier = SimulatedVerifier(TRUTH, tpr=0.8, fpr=0.3, continuous=continuous)
    for answer, rate in (("7", 0.8), ("8", 0.3), (None, 0.3)):
        judged = judge(verifier, [candidate(answer, i) for i in range(N)])
        assert near(sum((j.score or 0) > 0.5 for j in judged), rate)


def test_a_perfect_verifier_is_never_wrong_and_votes_average() -> None:
    assert [j.score for j in judge(SimulatedVerifier(TRUTH, tpr=1.0, fpr=0.0), [candidate("7", 0), candidate("8", 1)])] == [1.0, 0.0]
    judged = judge(SimulatedVerifier(TRUTH, tpr=0.5, fpr=0.5, votes=4), [candidate("7", i) for i in range(200)])
    assert {j.score for j in judged} == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert all(len(j.votes) == 4 for j in judged)


def test_a_shared_error_is_the_same_for_all_candidates_of_a_problem() -> None:
    verifier = SimulatedVerifier(TRUTH, tpr=1.0, fpr=0.0, shared_error=0.3)
    assert near(sum(verifier.blind(name) for name in TRUTH), 0.3)
    blind = next(name for name in TRUTH if verifier.blind(name))
    assert [j.score for j in judge(verifier, [candidate("7", 0), candidate("8", 1), candidate("7", 2)], blind)] == [0.0, 1.0, 0.0]


def test_failed_judgements_have_no_score() -> None:
    judged = judge(SimulatedVerifier(TRUTH, failure_rate=0.25), [candidate("7", i) for i in range(N)])
    assert near(sum(j.score is None and j.failure is not None for j in judged), 0.25)


def test_no_key_is_ever_shown() -> None:
    assert "p0" not in describe(SimulatedVerifier(TRUTH))
    assert "p0" not in describe(SimulatedComparer(TRUTH))


def test_a_comparer_prefers_the_right_one_with_p_comp_in_either_order() -> None:
    right, wrong = candidate("7", 0), candidate("8", 1)
    comparer = SimulatedComparer(TRUTH, p_comp=0.7)
    assert near(sum(p.first or 0 for p in compare(comparer, [(right, wrong)] * N)), 0.7)
    assert near(sum(p.first or 0 for p in compare(comparer, [(wrong, right)] * N)), 0.3)
    assert near(sum(p.first or 0 for p in compare(comparer, [(right, candidate("7", 2))] * N)), 0.5)


def test_position_bias_vanishes_on_average_when_both_orders_are_asked() -> None:
    right, wrong = candidate("7", 0), candidate("8", 1)
    biased = SimulatedComparer(TRUTH, p_comp=0.7, position_bias=0.4)
    assert near(sum(p.first or 0 for p in compare(biased, [(wrong, right)] * N)), 0.4 + 0.6 * 0.3)
    only_bias = SimulatedComparer(TRUTH, p_comp=1.0, position_bias=1.0, repeats=2, both_orders=True)
    assert compare(only_bias, [(wrong, right)]) == [Preference(0.5)]


def test_process_rewards_follow_the_chain_and_a_common_beginning_is_rewarded_alike() -> None:
    texts = ["Step 1 gives ok.\n\n Step 2 gives ok.", "Step 1 gives ok.\n\n Step 2 gives 3."]
    noisy = judge(SimulatedProcessReward(noise=1.0), [candidate(None, i, text) for i, text in enumerate(texts)])
    assert noisy[0].steps[0] == noisy[1].steps[0]
    certain = {
        reduction: [j.score for j in judge(SimulatedProcessReward(noise=0.0, margin=50.0, reduction=reduction), [candidate(None, 0, texts[1])])]
        for reduction in ("last", "min", "product", "mean")
    }
    assert certain == {
        "last": [pytest.approx(0)], "min": [pytest.approx(0)], "product": [pytest.approx(0)], "mean": [pytest.approx(0.5)],
    }  # fmt: skip
    (failed,) = judge(SimulatedProcessReward(), [candidate("7", 0)])
    assert failed.score is None
