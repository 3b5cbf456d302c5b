"""Simulated verifiers with known error rates: instruments for theorems, given the truth when they are built.

    z ~ N(F^-1(TPR), 1) for a right answer, N(F^-1(FPR), 1) for a wrong one;  accept if z > 0      F: normal distribution function
    score = 1[accept], averaged over `votes` judgements; with `continuous` it is F(z), whose threshold 1/2 has the same TPR and FPR
    shared error: on a share of the problems the two rates are swapped, for all their candidates alike

They are not registered, so no spec can build one: they know the answers and are no methods. They mark what they judge as having seen the key.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import ClassVar

from outthink.core.keys import digest
from outthink.core.problem import Problem
from outthink.core.request import Sampling
from outthink.core.session import Session
from outthink.core.solution import Candidate, Judgement, Preference
from outthink.core.spend import Spend
from outthink.models.simulated_chains import step_states

_NORMAL = NormalDist()


def _probabilities(owner: str, **values: float) -> None:
    for knob, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{owner}: {knob} must be a probability, got {value}")


async def _is_right(truth: Mapping[str, str], problem: Problem, candidate: Candidate) -> bool:
    return candidate.answer is not None and await problem.answer.equal(candidate.answer, truth[problem.id])


def _rng(session: Session, *content: str) -> random.Random:
    # fresh at every asking of the same thing at the same place, and the same whenever the work is repeated
    name = digest("simulated", *content)
    return random.Random(session.seed(name, session.shared.draws(session.path, name, 1)[0]))


@dataclass(frozen=True)
class SimulatedVerifier:
    """Accepts right answers at one rate and wrong ones at another; scores in [0, 1].

    Args:
        truth: problem id -> right answer.
        tpr: P(accept | right), in [0, 1].
        fpr: P(accept | wrong), in [0, 1].
        shared_error: share of problems on which the rates are swapped (a verifier's blind spots).
        votes: judgements of each candidate that are averaged.
        continuous: score by degree and not by verdict.
        failure_rate: probability that the judgement of a candidate fails.
        seed: which problems are the blind spots.
    """

    truth: Mapping[str, str] = field(repr=False)  # a spec or a journal never shows keys
    tpr: float = 0.9
    fpr: float = 0.2
    shared_error: float = 0.0
    votes: int = 1
    continuous: bool = False
    failure_rate: float = 0.0
    seed: int = 0
    sees_key: ClassVar[bool] = True
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __post_init__(self) -> None:
        _probabilities("simulated verifier", tpr=self.tpr, fpr=self.fpr, shared_error=self.shared_error, failure_rate=self.failure_rate)
        if self.votes < 1:
            raise ValueError(f"simulated verifier: votes must be 1 or more, got {self.votes}")

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """Free."""
        return Spend()

    def blind(self, problem: str) -> bool:
        """Whether its rates are swapped on this problem."""
        return random.Random(f"{self.seed}/blind/{problem}").random() < self.shared_error

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        """Judge each candidate by its answer; equal candidates are judged independently."""
        judgements = []
        for candidate in candidates:
            rng = _rng(session, str(candidate.index), candidate.text)
            right = await _is_right(self.truth, problem, candidate)
            rate = self.tpr if right != self.blind(problem.id) else self.fpr
            votes = tuple(self._vote(rate, rng) for _ in range(self.votes))
            if rng.random() < self.failure_rate:
                judgements.append(Judgement(None, failure="the simulated verifier failed"))
            else:
                judgements.append(Judgement(math.fsum(votes) / len(votes), votes=votes))
        return judgements

    def _vote(self, rate: float, rng: random.Random) -> float:
        if rate in (0.0, 1.0):
            return rate
        z = rng.gauss(_NORMAL.inv_cdf(rate), 1.0)
        return _NORMAL.cdf(z) if self.continuous else float(z > 0)


@dataclass(frozen=True)
class SimulatedComparer:
    """[72] Prefers the right one of a pair with probability p_comp; between two right or two wrong answers it flips a coin.

    Args:
        truth: problem id -> right answer.
        p_comp: P(prefers the right one | exactly one is right).
        position_bias: probability that a comparison prefers what it is shown first, whatever it is. With 1.0 and both orders every
            preference is 1/2.
        repeats: comparisons of each pair; the preference is the share that the first one wins.
        both_orders: show the pair in turned order in every second comparison; needs an even number of repeats to be fair.
    """

    truth: Mapping[str, str] = field(repr=False)  # a spec or a journal never shows keys
    p_comp: float = 0.7
    position_bias: float = 0.0
    repeats: int = 1
    both_orders: bool = False
    sees_key: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _probabilities("simulated comparer", p_comp=self.p_comp, position_bias=self.position_bias)
        if self.repeats < 1:
            raise ValueError(f"simulated comparer: repeats must be 1 or more, got {self.repeats}")

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """Free."""
        return Spend()

    async def compare(self, problem: Problem, pairs: Sequence[tuple[Candidate, Candidate]], session: Session) -> list[Preference]:
        """Compare each pair; the same pair asked again is a fresh comparison."""
        preferences = []
        for first, second in pairs:
            rights = await _is_right(self.truth, problem, first), await _is_right(self.truth, problem, second)
            p_first = 0.5 if rights[0] == rights[1] else self.p_comp if rights[0] else 1 - self.p_comp
            rng = _rng(session, str(first.index), first.text, str(second.index), second.text)
            wins = sum(self._first_wins(p_first, self.both_orders and repeat % 2 == 1, rng) for repeat in range(self.repeats))
            preferences.append(Preference(wins / self.repeats))
        return preferences

    def _first_wins(self, p_first: float, turned: bool, rng: random.Random) -> bool:
        biased, honest = rng.random() < self.position_bias, rng.random() < p_first
        return not turned if biased else honest


@dataclass(frozen=True)
class SimulatedProcessReward:
    """Rewards the steps of a `StepChain` text: s_t = 1 / (1 + exp(-(m_t + noise * N(0, 1)))), m_t = +margin while the chain is right, -margin after.

    Scores in [0, 1]; `steps` holds every s_t, and the score is their last, smallest, product or mean. A text without a step is a failed judgement.

    Args:
        noise: standard deviation on the logit scale; 0 tells right from wrong for certain.
        margin: logit of a right step's reward without noise.
        reduction: `last`, `min`, `product` or `mean`.
    """

    noise: float = 1.0
    margin: float = 2.0
    reduction: str = "last"
    sees_key: ClassVar[bool] = True
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if not (self.noise >= 0 and self.margin >= 0):
            raise ValueError(f"simulated process reward: noise and margin must be 0 or more, got {self.noise} and {self.margin}")
        if self.reduction not in ("last", "min", "product", "mean"):
            raise ValueError(f"simulated process reward: reduction must be last, min, product or mean, got {self.reduction!r}")

    def bound(self, problem: Problem, sampling: Sampling, session: Session) -> Spend:
        """Free."""
        return Spend()

    async def judge(self, problem: Problem, candidates: Sequence[Candidate], session: Session) -> list[Judgement]:
        """Reward every step. A step's reward depends on the text up to it, so that a common beginning is rewarded alike."""
        return [self._one(candidate.text, session) for candidate in candidates]

    def _one(self, text: str, session: Session) -> Judgement:
        states = step_states(text)
        if not states:
            return Judgement(None, failure="the text has no step to judge")
        pieces = text.split("Step ")
        steps = []
        for number, right in enumerate(states):
            rng = random.Random(session.seed("Step ".join(pieces[: number + 2]).strip()))
            steps.append(1 / (1 + math.exp(-((self.margin if right else -self.margin) + self.noise * rng.gauss(0.0, 1.0)))))
        reduce = {"last": steps[-1], "min": min(steps), "product": math.prod(steps), "mean": math.fsum(steps) / len(steps)}
        return Judgement(reduce[self.reduction], steps=tuple(steps))
