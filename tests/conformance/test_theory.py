"""Where there is a formula, the simulated model's accuracy lies within three standard errors of it."""

from __future__ import annotations

import math

import anyio
import pytest

from outthink.core.attempt import attempt
from outthink.core.journal import Journal
from outthink.core.problem import Problem
from outthink.core.protocols import Strategy
from outthink.core.request import Message, Sampling
from outthink.core.session import Session
from outthink.models.simulated import LatentAnswers, Speech
from outthink.problems.answers import Number
from outthink.strategies.best_of_n import BestOfN
from outthink.strategies.early_stopping_vote import EarlyStoppingVote
from outthink.strategies.majority_vote import MajorityVote
from outthink.strategies.repeated_sampling import RepeatedSampling
from outthink.verifiers.simulated import SimulatedVerifier

TRIALS = 600
TRUTH = {"p": "7"}
PROBLEM = Problem("p", (Message("user", "?"),), Number())


def accuracy(strategy: Strategy, p: float) -> float:
    """Share of right answers over TRIALS runs with seeds 0, 1, ...; one wrong answer, longer than the right one."""
    model = LatentAnswers({"p": {"7": p, "8": 1 - p}}, TRUTH, speech=Speech(4, 8, wrong_longer=2.0))
    journal = Journal()

    async def main() -> int:
        right = 0
        for seed in range(TRIALS):
            session = Session.open(model, journal=journal, sampling=Sampling(max_tokens=20), seed=seed, place=("p",))
            solution = await attempt(strategy, PROBLEM, session)
            right += solution.answer is not None and solution.answer.value == "7"
        return right

    return anyio.run(main) / TRIALS


def binomial(n: int, k: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def majority(n: int, p: float) -> float:
    """P(more than half right) + half of P(exactly half): at a tie the class seen first wins, and by symmetry that is the right one half the time."""
    return sum(binomial(n, k, p) * (1.0 if 2 * k > n else 0.5 if 2 * k == n else 0.0) for k in range(n + 1))


def early_stopping(p: float) -> float:
    """Two windows of two. They agree at once with p^2 (right) or (1-p)^2; else (first window 1:1) a window of two decides, 1:1 is a tie."""
    return p**2 + 2 * p * (1 - p) * (p**2 + 0.5 * 2 * p * (1 - p))


def best_of(n: int, p: float, tpr: float, fpr: float) -> float:
    """Accept-or-not scores: the first accepted sample wins, and the first of all if none is accepted."""
    accept = p * tpr + (1 - p) * fpr
    none = (1 - accept) ** (n - 1)
    first_accepted = (p * tpr / accept) * (1 - (1 - accept) ** n) if accept else 0.0
    return first_accepted + none * p * (1 - tpr)


@pytest.mark.parametrize(
    ("strategy", "p", "expected"),
    [
        (RepeatedSampling(n=2), 0.35, 0.35),
        (MajorityVote(n=7), 0.6, majority(7, 0.6)),
        (MajorityVote(n=6), 0.4, majority(6, 0.4)),
        (EarlyStoppingVote(n=4, window=2), 0.6, early_stopping(0.6)),
        (BestOfN(n=8, verifier=SimulatedVerifier(TRUTH, tpr=1.0, fpr=0.0)), 0.2, 1 - 0.8**8),
        (BestOfN(n=8, verifier=SimulatedVerifier(TRUTH, tpr=0.5, fpr=0.5)), 0.3, 0.3),
        (BestOfN(n=4, verifier=SimulatedVerifier(TRUTH, tpr=0.8, fpr=0.3)), 0.4, best_of(4, 0.4, 0.8, 0.3)),
        (BestOfN(n=4, verifier=SimulatedVerifier(TRUTH, tpr=0.8, fpr=0.3, shared_error=1.0)), 0.4, best_of(4, 0.4, 0.3, 0.8)),
    ],
    ids=lambda value: f"{value:.3f}" if isinstance(value, float) else type(value).__name__,
)
def test_accuracy_follows_the_formula(strategy: Strategy, p: float, expected: float) -> None:
    sigma = math.sqrt(expected * (1 - expected) / TRIALS)
    assert abs(accuracy(strategy, p) - expected) < 3 * sigma
