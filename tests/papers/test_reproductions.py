"""The fast reproductions hold, and a wrong implementation of what they measure makes them fail."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest

from outthink.core.solution import Solution
from outthink.papers.harness import Reproduction, discover, lacks, measure
from outthink.papers.measured import Measured
from outthink.papers.reproductions import p005_voting, p072_tournaments, p113_repeated_sampling, p119_latent_ability
from outthink.stats.coverage_law import CoverageLaw
from outthink.strategies import knockout

FAST = [one for one in discover([5, 72, 113, 119]) if one.fast]


def _verdicts(one: Reproduction) -> dict[str, bool]:
    results = measure(one)
    assert all(isinstance(result, Measured) for result in results), results
    return {result.claim: result.holds for result in results if isinstance(result, Measured)}


@pytest.mark.parametrize("one", FAST, ids=lambda one: f"{one.paper}-{one.name}")
def test_fast_reproductions_hold(one: Reproduction):
    for need in one.needs:
        if missing := lacks(need):
            pytest.skip(f"{missing[0]}; {missing[1]}")
    verdicts = _verdicts(one)
    assert all(verdicts.values()), verdicts


@pytest.mark.slow
@pytest.mark.parametrize(
    "one", [p072_tournaments.real_strategy, p072_tournaments.majority_contrast, p113_repeated_sampling.known_truth, p119_latent_ability.step_law],
    ids=lambda one: one.name,
)  # fmt: skip
def test_slow_simulated_reproductions_hold(one: Reproduction):
    verdicts = _verdicts(one)
    assert all(verdicts.values()), verdicts


def test_a_plug_in_estimator_fails_113(monkeypatch: pytest.MonkeyPatch):
    def plug_in(n: int, c: object, k: object) -> np.ndarray:
        share = np.atleast_1d(np.asarray(c, dtype=float)) / n
        return 1.0 - (1.0 - share[:, None]) ** np.atleast_1d(np.asarray(k))[None, :]

    monkeypatch.setattr(p113_repeated_sampling, "pass_at_k", plug_in)
    assert not any(_verdicts(p113_repeated_sampling.unbiased_estimator).values())


@pytest.mark.skipif("OUTTHINK_DATA" not in os.environ, reason="needs the recorded counts: set OUTTHINK_DATA")
def test_another_form_of_law_fails_113(monkeypatch: pytest.MonkeyPatch):
    def straight(k: list[int], coverage: np.ndarray) -> CoverageLaw:
        slope, level = np.polyfit(np.log(k), np.log(coverage), 1)  # a plain power law c = A k^s in the law's place
        return CoverageLaw(-float(level), -0.5 * float(slope))

    monkeypatch.setattr(p113_repeated_sampling, "fit_coverage_law", straight)
    verdicts = _verdicts(p113_repeated_sampling.published_counts)
    assert not any(holds for claim, holds in verdicts.items() if "law fitted" in claim or "R²" in claim)


def test_ties_given_to_the_right_one_fail_72(monkeypatch: pytest.MonkeyPatch):
    def generous(p_gen: float, p_comp: float, n: int, k: int) -> float:
        wins = sum(math.comb(k, w) * p_comp**w * (1 - p_comp) ** (k - w) for w in range(k + 1) if 2 * w >= k)
        for _ in range(int(math.log2(n))):
            p_gen = p_gen**2 + 2 * p_gen * (1 - p_gen) * min(1.0, wins + 0.01)
        return p_gen

    monkeypatch.setattr(p072_tournaments, "knockout_success", generous)
    verdicts = _verdicts(p072_tournaments.exact_law)
    assert not verdicts["success of the knockout at p_gen 0.3, p_comp 0.7, N 8, K 1"]


def test_one_round_too_few_fails_72(monkeypatch: pytest.MonkeyPatch):
    honest = p072_tournaments.knockout_trials
    monkeypatch.setattr(p072_tournaments, "knockout_trials", lambda p, q, n, k, trials, seed: honest(p, q, n // 2, k, trials=trials, seed=seed))
    verdicts = _verdicts(p072_tournaments.simulated_tournaments)
    assert not any(holds for claim, holds in verdicts.items() if claim.startswith("simulated success"))


@pytest.mark.slow
def test_a_knockout_that_never_turns_the_order_fails_72(monkeypatch: pytest.MonkeyPatch):
    async def always_first(session: object, comparer: object, problem: object, pairs: list[object], comparisons: int) -> list[float]:
        return [1.0 for _ in pairs]

    monkeypatch.setattr(knockout, "win_shares", always_first)
    name = "p_gen 0.3, p_comp 0.7, N 8, K 1"
    first = next(iter(p072_tournaments.real_strategy.measure()))
    assert name in first.claim
    assert not first.holds


def test_a_vote_that_takes_the_first_sample_fails_5(monkeypatch: pytest.MonkeyPatch):
    async def first(cls: type[Solution], kind: object, candidates: list, weights: object = None) -> Solution:  # type: ignore[type-arg]
        return Solution.of(candidates[0], candidates=len(candidates))

    monkeypatch.setattr(Solution, "vote", classmethod(first))
    assert not any(_verdicts(p005_voting.vote_strategy).values())


def test_a_best_of_n_that_takes_the_first_sample_fails_119(monkeypatch: pytest.MonkeyPatch):
    def first(cls: type[Solution], candidates: list, judgements: object) -> Solution:  # type: ignore[type-arg]
        return Solution.of(candidates[0], candidates=len(candidates))

    monkeypatch.setattr(Solution, "best", classmethod(first))
    assert not any(_verdicts(p119_latent_ability.oracle_best_of_n).values())
