"""[89] Resampling against an imperfect verifier: draw until one answer is accepted, at most K times. Exact value, optimum and ceiling.

    beta_i = (1 - c_i) r_i + s_i (1 - r_i)                       chance that an attempt at a task of type i is rejected
    R(K)   = sum_{k<=K} sum_i p_i beta_i^(k-1) [c_i r_i value - (1 - s_i) (1 - r_i) cost]
    ceiling = sum_i p_i c_i r_i / (1 - beta_i)                   share of tasks with a right accepted answer as K -> infinity

p_i prior of the type, r_i chance that one sample is right, c completeness = P(accept | right), s soundness = P(reject | wrong), all in
[0, 1]; `value` for accepting a right answer, `cost` (0 or more) for accepting a wrong one; no acceptance earns nothing. With s = 1 more
attempts never hurt; with s < 1 each attempt that still reaches a hard type may cost more than it earns, and the ceiling lies below 1.

Two departures from the official notebook, both kept behind `as_published=True`. It weighs "attempt k is reached" with the posterior over
types where the prior belongs (easy types count twice: .822 in place of .688 at its own rates and cost ratio .1). And it takes the optimum as
the largest entry of a float64 running sum: where every attempt gains a little that is where the sum stops changing, about 16 digits
down (82 in its printed row), and not an optimum. Here such an optimum is `unbounded`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.stats._arrays import FloatArray

MOST = 800
"""Attempts that the official notebook looks at."""


@dataclass(frozen=True)
class Outcome:
    """Shares of tasks after at most some number of attempts; they add up to 1. Each (attempts,) or a number."""

    right: FloatArray
    wrong: FloatArray
    undecided: FloatArray

    @property
    def accuracy_if_accepted(self) -> FloatArray:
        """P(right | something was accepted); nan where nothing can be."""
        accepted = self.right + self.wrong
        return np.divide(self.right, accepted, out=np.full_like(accepted, np.nan), where=accepted > 0.0)


@dataclass(frozen=True)
class Optimum:
    """How often to try.

    Args:
        attempts: that give the highest expected reward; 0 if not trying is best.
        reward: expected, at that number.
        unbounded: every further attempt still gains, so `attempts` is only the most that was looked at, and `reward` what that gives.
    """

    attempts: int
    reward: float
    unbounded: bool


@dataclass(frozen=True)
class ImperfectVerifier:
    """Task types and a verifier.

    Args:
        prior: share of each type, adding up to 1.
        correct: r_i, chance that one sample is right.
        soundness: s_i, P(reject | wrong); one number for all types, or one each.
        completeness: c_i, P(accept | right); likewise.

    Raises:
        UsageError: numbers outside [0, 1], unequal lengths, or a prior that does not add up to 1.
    """

    prior: tuple[float, ...]
    correct: tuple[float, ...]
    soundness: float | tuple[float, ...]
    completeness: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        types = len(self.prior)
        for name, given in (("prior", self.prior), ("correct", self.correct), ("soundness", self.soundness), ("completeness", self.completeness)):
            values = np.atleast_1d(np.asarray(given, dtype=np.float64))
            if values.shape not in ((types,), (1,)) or not np.all((values >= 0.0) & (values <= 1.0)):
                raise UsageError(f"{name} must be chances in [0, 1], one for each of the {types} task types, got {given}")
        if abs(sum(self.prior) - 1.0) > 1e-6:
            raise UsageError(f"the shares of the task types must add up to 1, got {self.prior} = {sum(self.prior):.6g}")

    def _chances(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """(prior, right accept, wrong accept, reject) of one attempt, each (types,)."""
        prior, correct = np.array(self.prior), np.array(self.correct)
        right, wrong = np.asarray(self.completeness) * correct, (1.0 - np.asarray(self.soundness)) * (1.0 - correct)
        return prior, right, wrong, 1.0 - right - wrong

    def outcome(self, attempts: ArrayLike) -> Outcome:
        """Shares of tasks with a right, a wrong and no accepted answer after at most `attempts` (a number or (points,)); inf is the limit.

        A type of which no attempt is ever accepted stays undecided.
        """
        prior, right, wrong, reject = self._chances()
        tries = np.asarray(attempts, dtype=np.float64)[..., None]
        reach = np.where(reject < 1.0, reject, 0.0) ** tries  # rejected every time; 0 ** inf = 0
        undecided = np.where(reject < 1.0, reach, 1.0)
        ended = (1.0 - undecided) / np.where(reject < 1.0, 1.0 - reject, 1.0)  # expected number of decisive attempts / chance of one
        return Outcome((prior * ended * right).sum(-1), (prior * ended * wrong).sum(-1), (prior * undecided).sum(-1))

    @property
    def ceiling(self) -> float:
        """Share of tasks with a right accepted answer however often one tries: sum_i p_i c_i r_i / (1 - beta_i)."""
        return float(self.outcome(np.inf).right)

    def rewards(self, *, cost: float, value: float = 1.0, most: int = MOST, as_published: bool = False) -> FloatArray:
        """R(1), ..., R(most): (most,). `as_published` is the official formula with the posterior in place of the prior.

        Raises:
            UsageError: a negative cost or fewer than one attempt.
        """
        worth = self._worth(cost, value, most)
        prior, _, _, reject = self._chances()
        survived = reject ** np.arange(most)[:, None]  # (attempts, types)
        if not as_published:
            return np.cumsum(survived @ (prior * worth))
        with np.errstate(invalid="ignore"):
            posterior = np.nan_to_num(prior * survived / (survived @ prior)[:, None])
        return np.cumsum((posterior * survived).sum(axis=1) * (posterior @ worth))

    def best_attempts(self, *, cost: float, value: float = 1.0, most: int = MOST, as_published: bool = False) -> Optimum:
        """The number of attempts with the highest expected reward, of at most `most`.

        `as_published` takes the largest entry of the official running sum, with its rounding (see the module's text).
        """
        totals = self.rewards(cost=cost, value=value, most=most, as_published=as_published)
        if as_published:
            best = int(np.argmax(totals))
            return Optimum(best + 1, float(totals[best]), False) if totals[best] > 0.0 else Optimum(0, 0.0, False)
        prior, _, _, reject = self._chances()
        share = prior * self._worth(cost, value, most)
        counts = share != 0.0
        if not counts.any():
            return Optimum(0, 0.0, False)
        # The sign of what an attempt earns, scaled by the type that survives longest so that it does not vanish in rounding.
        leader = float(reject[counts].max())
        scaled = (reject[counts] / leader if leader > 0.0 else np.zeros(counts.sum())) ** np.arange(most + 1)[:, None]
        gains = scaled @ share[counts] > 0.0  # (most + 1,)
        peaks = np.flatnonzero(gains[:most] & ~np.append(gains[1:most], False))  # the last of each run of gains
        if peaks.size == 0 or totals[peaks].max() <= 0.0:
            return Optimum(0, 0.0, False)
        best = int(peaks[np.argmax(totals[peaks])])
        return Optimum(best + 1, float(totals[best]), unbounded=best + 1 == most and bool(gains[most]))

    def simulate(self, *, attempts: int, runs: int, seed: int) -> Outcome:
        """The same shares from `runs` tasks drawn and tried attempt by attempt: the check of the formulas."""
        rng = np.random.default_rng(seed)
        kind = rng.choice(len(self.prior), size=runs, p=np.array(self.prior) / sum(self.prior))
        correct = np.array(self.correct)
        soundness, completeness = (np.broadcast_to(chances, correct.shape) for chances in (self.soundness, self.completeness))
        open_kind, right, wrong = kind, 0, 0
        for _ in range(attempts):
            sample_right = rng.random(open_kind.size) < correct[open_kind]
            accepted = rng.random(open_kind.size) < np.where(sample_right, completeness[open_kind], 1.0 - soundness[open_kind])
            right, wrong = right + int((accepted & sample_right).sum()), wrong + int((accepted & ~sample_right).sum())
            open_kind = open_kind[~accepted]
        return Outcome(*(np.array(count / runs) for count in (right, wrong, open_kind.size)))

    def _worth(self, cost: float, value: float, most: int) -> FloatArray:
        """What one attempt earns on each type: (types,)."""
        if not cost >= 0.0:
            raise UsageError(f"the cost of accepting a wrong answer must be 0 or more, got {cost}; it is subtracted")
        if most < 1:
            raise UsageError(f"the most attempts to look at must be at least 1, got {most}")
        _, right, wrong, _ = self._chances()
        return right * value - wrong * cost


def from_passes(weak: ArrayLike, strong: ArrayLike, *, split: float = 0.5, drop_false_negatives: bool = True) -> ImperfectVerifier:
    """[89] Types and verifier from samples that both a weak and a strong test judged.

    Args:
        weak, strong: (tasks, samples), bool: whether the sample passes the weak tests, which stand for the verifier, and the strong ones,
            which stand for the truth.
        split: tasks whose strong pass rate is at least this are of the easy type.
        drop_false_negatives: leave out tasks on which the weak tests refuse a right sample, as the paper does (their tests are broken).

    Returns:
        One type (where all tasks fall on one side) or two, easy first; soundness = 1 - P(weak pass and wrong) / P(wrong).

    Raises:
        UsageError: shapes that differ, or no task left.
    """
    passed, truth = np.atleast_2d(np.asarray(weak, dtype=bool)), np.atleast_2d(np.asarray(strong, dtype=bool))
    if passed.shape != truth.shape or passed.ndim != 2:
        raise UsageError(f"weak and strong must both be (tasks, samples), got shapes {passed.shape} and {truth.shape}")
    if drop_false_negatives:
        sound = ~(truth & ~passed).any(axis=1)
        passed, truth = passed[sound], truth[sound]
    if passed.size == 0:
        raise UsageError("every task has a right sample that the weak tests refuse; keep them with drop_false_negatives=False")
    wrong, right = int((~truth).sum()), int(truth.sum())
    soundness = 1.0 - int((passed & ~truth).sum()) / wrong if wrong else 1.0
    completeness = int((passed & truth).sum()) / right if right else 1.0
    rate = truth.mean(axis=1)
    groups = [group for group in (rate >= split, rate < split) if group.any()]
    return ImperfectVerifier(
        tuple(float(group.mean()) for group in groups), tuple(float(rate[group].mean()) for group in groups), soundness, completeness
    )
