"""Every rule of the design over every registered strategy, with budgets, seeds, failures and speeds drawn by hypothesis."""

from __future__ import annotations

import dataclasses

import pytest
from conformance.checks import (
    World,
    check_answers,
    check_budget,
    check_determinism,
    check_failed_judgements,
    check_nothing_lost,
    check_replay,
    check_resume,
    check_time,
    solved,
)
from conformance.subjects import own, registered
from hypothesis import given, settings
from hypothesis import strategies as st

from outthink.core.protocols import Strategy
from outthink.core.spend import Budget

SUBJECTS = {**registered(), **own()}
JUDGED = sorted(name for name, one in SUBJECTS.items() if "verifier" in {field.name for field in dataclasses.fields(one)})  # type: ignore[arg-type]
ONE_SAMPLE = {"greedy", "repeated_sampling"}  # they answer with one sample, whatever the others say
QUICK = settings(max_examples=15)
SLOWER = settings(max_examples=6)  # each example runs at several speeds

subjects = pytest.mark.parametrize("strategy", SUBJECTS.values(), ids=SUBJECTS)
caps = st.builds(
    Budget,
    completion_tokens=st.none() | st.integers(0, 150),
    prompt_tokens=st.none() | st.integers(0, 120),
    calls=st.none() | st.integers(0, 14),
    flops=st.none() | st.floats(0, 2000),
    dollars=st.none() | st.floats(0, 0.002),
)
worlds = st.builds(
    World,
    seed=st.integers(0, 2**31 - 1),
    failure_rate=st.sampled_from([0.0, 0.3, 1.0]),
    shares_prompt=st.booleans(),
)


@subjects
@QUICK
@given(world=worlds, budget=caps)
def test_a_budget_is_never_overrun(strategy: Strategy, world: World, budget: Budget) -> None:
    check_budget(strategy, world, budget)


@subjects
@pytest.mark.parametrize("cap", ["completion_tokens", "prompt_tokens", "calls", "flops", "dollars"])
def test_a_budget_of_nothing_abstains(strategy: Strategy, cap: str) -> None:
    done = check_budget(strategy, World(), Budget(**{cap: 0}))
    assert done.solution is not None
    assert (done.solution.answer, done.solution.candidates, done.solution.stopped) == (None, 0, "budget")
    assert not done.models["policy"].served.calls


@subjects
@SLOWER
@given(world=worlds, budget=caps)
def test_neither_speed_nor_the_journal_changes_the_result(strategy: Strategy, world: World, budget: Budget) -> None:
    check_determinism(strategy, world, budget)


@subjects
@SLOWER
@given(world=worlds, budget=caps)
def test_a_replay_gives_the_same_and_pays_nothing(strategy: Strategy, world: World, budget: Budget) -> None:
    check_replay(strategy, world, budget)


@subjects
@SLOWER
@given(world=worlds, budget=caps, moment=st.floats(0, 0.008))
def test_cancelled_at_any_moment_it_resumes_as_if_nothing_had_happened(strategy: Strategy, world: World, budget: Budget, moment: float) -> None:
    check_resume(strategy, world, budget, moment)


@subjects
@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.08])
def test_the_clock_ends_it_with_what_it_has(strategy: Strategy, seconds: float) -> None:
    check_time(strategy, World(seed=3), seconds)


@subjects
@QUICK
@given(world=worlds)
def test_nothing_paid_for_is_lost(strategy: Strategy, world: World) -> None:
    check_nothing_lost(strategy, world)


@pytest.mark.parametrize("name", sorted(set(SUBJECTS) - ONE_SAMPLE))
@QUICK
@given(seed=st.integers(0, 2**31 - 1), silent=st.floats(0.5, 1.0))
def test_no_answer_wins_only_if_it_is_alone(name: str, seed: int, silent: float) -> None:
    check_answers(SUBJECTS[name], World(seed=seed, answers={"p": {None: silent, "7": 1 - silent}}))


@pytest.mark.parametrize("name", JUDGED)
@QUICK
@given(world=worlds, known=st.sampled_from(["7", "8", "9"]))
def test_a_failed_judgement_is_no_score(name: str, world: World, known: str) -> None:
    check_failed_judgements(SUBJECTS[name], world, known)


@subjects
def test_charges_of_a_cold_run_are_what_it_paid(strategy: Strategy) -> None:
    for shares_prompt in (False, True):
        done = solved(strategy, World(seed=5, shares_prompt=shares_prompt))
        assert done.solution is not None
        for ledger in done.solution.ledgers.values():
            assert (ledger.charged.calls, ledger.charged.completion_tokens) == (ledger.paid.calls, ledger.paid.completion_tokens)
            assert ledger.charged.prompt_tokens == ledger.paid.prompt_tokens
