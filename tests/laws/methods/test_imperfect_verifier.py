"""Resampling against an imperfect verifier [89]: sums by hand, limits, the published slips, and a verifier read off passes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import UsageError
from outthink.laws.methods.imperfect_verifier import ImperfectVerifier, from_passes

CHANCE = st.floats(0.0, 1.0)
PROPER = st.floats(0.01, 0.99)


@given(p=PROPER, easy=CHANCE, hard=CHANCE, sound=CHANCE, complete=CHANCE, cost=st.floats(0.0, 10.0), k=st.integers(1, 30))
def test_reward_and_outcome_are_the_same_sum(p: float, easy: float, hard: float, sound: float, complete: float, cost: float, k: int):
    verifier = ImperfectVerifier((p, 1.0 - p), (easy, hard), sound, complete)
    right = wrong = 0.0
    alive = [p, 1.0 - p]
    for _ in range(k):
        for kind, rate in enumerate((easy, hard)):
            right += alive[kind] * complete * rate
            wrong += alive[kind] * (1.0 - sound) * (1.0 - rate)
            alive[kind] *= (1.0 - complete) * rate + sound * (1.0 - rate)
    seen = verifier.outcome(k)
    assert (float(seen.right), float(seen.wrong), float(seen.undecided)) == pytest.approx((right, wrong, sum(alive)), abs=1e-9)
    assert verifier.rewards(cost=cost, most=k)[-1] == pytest.approx(right - cost * wrong, abs=1e-8)


@given(p=PROPER, easy=PROPER, hard=PROPER, sound=PROPER, complete=PROPER)
def test_the_ceiling_is_the_limit_and_shares_add_up(p: float, easy: float, hard: float, sound: float, complete: float):
    verifier = ImperfectVerifier((p, 1.0 - p), (easy, hard), sound, complete)
    limit, far = verifier.outcome(np.inf), verifier.outcome(10**6)
    assert verifier.ceiling == pytest.approx(float(far.right), abs=1e-6)
    assert float(limit.right + limit.wrong + limit.undecided) == pytest.approx(1.0)


@given(rate=PROPER, complete=PROPER)
def test_a_sound_verifier_has_no_ceiling_below_1_and_never_stops(rate: float, complete: float):
    verifier = ImperfectVerifier((1.0,), (rate,), 1.0, complete)
    assert verifier.ceiling == pytest.approx(1.0)
    assert verifier.best_attempts(cost=5.0, most=20).unbounded


@given(p=PROPER, easy=PROPER, hard=PROPER, sound=PROPER, cost=st.floats(0.0, 10.0))
def test_the_optimum_is_the_largest_reward(p: float, easy: float, hard: float, sound: float, cost: float):
    verifier = ImperfectVerifier((p, 1.0 - p), (easy, hard), sound)
    best = verifier.best_attempts(cost=cost, most=60)
    totals = verifier.rewards(cost=cost, most=60)
    assert best.reward == pytest.approx(max(0.0, float(totals.max())), abs=1e-9)
    if best.attempts:
        assert best.reward == pytest.approx(float(totals[best.attempts - 1]))


def test_an_optimum_that_float64_invents_is_called_unbounded():
    llama = ImperfectVerifier((0.56, 0.44), (0.87382, 0.13824), 0.75160)
    assert llama.best_attempts(cost=0.1, as_published=True).attempts == 82  # printed
    assert llama.best_attempts(cost=0.1).unbounded
    assert llama.best_attempts(cost=0.1, most=5000).attempts == 5000
    assert not llama.best_attempts(cost=0.7).unbounded
    assert llama.best_attempts(cost=0.7).attempts == 3
    assert llama.best_attempts(cost=10.0).attempts == 0


def test_one_type_makes_the_published_formula_square_the_survival():
    # with one type the posterior is 1 and the official second factor is beta^(k-1): the two formulas agree there
    one = ImperfectVerifier((1.0,), (0.4,), 0.7)
    assert one.rewards(cost=1.0, as_published=True) == pytest.approx(one.rewards(cost=1.0))
    two = ImperfectVerifier((0.58, 0.42), (0.87, 0.13), 0.75)
    assert two.rewards(cost=0.1, as_published=True)[-1] > two.rewards(cost=0.1)[-1] + 0.1


def test_tasks_that_are_never_accepted_stay_undecided():
    stuck = ImperfectVerifier((0.5, 0.5), (0.8, 0.0), 1.0)
    seen = stuck.outcome(np.array([1, 10, np.inf]))
    assert seen.undecided == pytest.approx([0.6, 0.5, 0.5], abs=1e-6)
    assert math.isnan(ImperfectVerifier((1.0,), (0.0,), 1.0).outcome(5).accuracy_if_accepted)


def test_passes_give_the_verifier_back():
    rng = np.random.default_rng(0)
    easy = rng.random(200) < 0.4
    strong = rng.random((200, 400)) < np.where(easy, 0.9, 0.1)[:, None]
    weak = strong | (rng.random((200, 400)) < 0.25)
    found = from_passes(weak, strong)
    assert found.prior == pytest.approx((easy.mean(), 1 - easy.mean()))
    assert found.correct == pytest.approx((0.9, 0.1), abs=0.01)
    assert found.soundness == pytest.approx(0.75, abs=0.01)
    assert found.completeness == 1.0
    weak[0] = False  # a task whose weak tests refuse right samples is left out, or lowers completeness
    assert from_passes(weak, strong).completeness == 1.0
    assert from_passes(weak, strong, drop_false_negatives=False).completeness < 1.0


def test_wrong_numbers_are_refused():
    with pytest.raises(UsageError, match="add up to 1"):
        ImperfectVerifier((0.5, 0.4), (0.5, 0.5), 0.5)
    with pytest.raises(UsageError, match="correct must be chances"):
        ImperfectVerifier((0.5, 0.5), (0.5, 1.5), 0.5)
    with pytest.raises(UsageError, match="soundness"):
        ImperfectVerifier((0.5, 0.5), (0.5, 0.5), (0.5, 0.5, 0.5))
    with pytest.raises(UsageError, match="0 or more"):
        ImperfectVerifier((1.0,), (0.5,), 0.5).rewards(cost=-1.0)
    with pytest.raises(UsageError, match=r"\(tasks, samples\)"):
        from_passes([[True]], [[True, False]])
    with pytest.raises(UsageError, match="every task has a right sample"):
        from_passes([[False]], [[True]])
