"""[27, 30] How far a confidence can be trusted: calibration error, discrimination, and what abstaining buys.

Every function takes confidences (samples,) and correctness (samples,), bool or in [0, 1]. Nothing is fitted here: pick a threshold
on one fold and report it on another.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from outthink.stats._arrays import FloatArray, as_fractions, ranked_by_score, same_shape
from outthink.stats.intervals import Interval


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, *, bins: int = 15, binning: Literal["width", "mass"] = "width") -> float:
    """ECE = sum_b (n_b / n) |accuracy_b - mean confidence_b|, in [0, 1].

    confidence in [0, 1]. binning: "width" cuts [0, 1] into equal bins (the last holds 1.0); "mass" cuts the sorted samples into bins
    of equal size, ties in confidence kept in one bin, and suits confidences that crowd at one end. Biased upwards for few samples a
    bin: compare only at equal n and bins.
    """
    sure, right = _pair(confidence, correct)
    as_fractions("confidence", sure)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}.")
    if binning == "width":
        index = np.minimum((sure * bins).astype(np.int64), bins - 1)
    elif binning == "mass":
        # The rank of a tie group is that of its first member, so equal confidences share a bin.
        rank = np.searchsorted(np.sort(sure), sure, side="left")
        index = rank * bins // sure.size
    else:
        raise ValueError(f"binning must be 'width' or 'mass', got {binning!r}.")
    gaps = np.bincount(index, weights=right - sure, minlength=bins)
    return float(np.abs(gaps).sum() / sure.size)


def brier_score(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Mean squared gap between confidence in [0, 1] and correctness; 0 is best, .25 is always saying one half."""
    sure, right = _pair(confidence, correct)
    as_fractions("confidence", sure)
    return float(np.mean((sure - right) ** 2))


def auroc(scores: ArrayLike, correct: ArrayLike) -> float:
    """P(a right sample scores above a wrong one) + half P(they tie), by mid-ranks in O(n log n).

    scores: any finite numbers. correct: 0 or 1. nan when all samples are right or all wrong: there is no pair to compare.
    """
    score, right = _pair(scores, correct)
    if not np.all((right == 0.0) | (right == 1.0)):
        raise ValueError("auroc needs correct to be 0 or 1; a partial grade has no side.")
    positives = int(right.sum())
    negatives = right.size - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    ordered = np.sort(score)
    mid_rank = (np.searchsorted(ordered, score, side="left") + np.searchsorted(ordered, score, side="right") + 1) / 2.0
    above = float(mid_rank[right == 1.0].sum()) - positives * (positives + 1) / 2.0
    return above / (positives * negatives)


def auroc_difference(first: ArrayLike, second: ArrayLike, correct: ArrayLike, *, level: float = 0.95) -> Interval:
    """AUROC of one score less that of another on the same samples, with DeLong's normal interval for correlated curves.

    first, second: scores (samples,). correct: 0 or 1. Raises ValueError where there are fewer than two right or two wrong samples.
    """
    (one, right), (two, _) = _pair(first, correct), _pair(second, correct)
    if not np.all((right == 0.0) | (right == 1.0)):
        raise ValueError("auroc_difference needs correct to be 0 or 1; a partial grade has no side.")
    yes, no = right == 1.0, right == 0.0
    if min(int(yes.sum()), int(no.sum())) < 2:
        raise ValueError(f"auroc_difference needs two right and two wrong samples, got {int(yes.sum())} and {int(no.sum())}.")
    above = _placements(one[yes], one[no]) - _placements(two[yes], two[no])
    below = _placements(-one[no], -one[yes]) - _placements(-two[no], -two[yes])
    spread = NormalDist().inv_cdf((1.0 + level) / 2.0) * float(np.sqrt(above.var(ddof=1) / above.size + below.var(ddof=1) / below.size))
    estimate = float(above.mean())
    return Interval(estimate, estimate - spread, estimate + spread, level)


def _placements(own: FloatArray, others: FloatArray) -> FloatArray:
    # share of the others that each is above, a tie as one half
    ordered = np.sort(others)
    return np.asarray((np.searchsorted(ordered, own, side="left") + np.searchsorted(ordered, own, side="right")) / (2.0 * others.size))


@dataclass(frozen=True)
class RiskCoverage:
    """Error rate among the answered at each attainable coverage, one point a distinct confidence, from the surest down.

    threshold, coverage, risk: (distinct confidences,). coverage is the share answered when confidence >= threshold.
    """

    threshold: FloatArray
    coverage: FloatArray
    risk: FloatArray


def risk_coverage(confidence: ArrayLike, correct: ArrayLike) -> RiskCoverage:
    """Risk-coverage curve of answering only when confidence >= threshold. confidence: any finite numbers."""
    sure, right = _pair(confidence, correct)
    threshold, group, size = np.unique(-sure, return_inverse=True, return_counts=True)
    answered = np.cumsum(size)
    errors = np.cumsum(np.bincount(group, weights=1.0 - right))
    return RiskCoverage(-threshold, answered / sure.size, errors / answered)


def aurc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Area under the risk-coverage curve: mean over k = 1..n of the error rate among the k surest, ties in expectation.

    A confidence that says nothing gives the error rate itself; lower is better; the ordering by correctness gives the least possible.
    """
    sure, right = _pair(confidence, correct)
    errors = ranked_by_score(sure[None, :], 1.0 - right[None, :])[0]
    return float(np.mean(np.cumsum(errors) / np.arange(1, errors.size + 1)))


def selective_utility(confidence: ArrayLike, correct: ArrayLike, thresholds: ArrayLike, *, cost: float) -> FloatArray:
    """[27] Mean utility over ALL questions when answering if confidence >= threshold: right +1, wrong -cost, abstained 0.

    confidence: (samples,), nan = no answer was found, which abstains at every threshold. thresholds: (points,). cost >= 0: 0 is an
    exam, 1 jeopardy, 20 high stakes in [27]. Returns (points,). With calibrated confidence the best threshold is cost / (1 + cost);
    threshold 0 and cost 0 give the accuracy.
    """
    if not (np.isfinite(cost) and cost >= 0.0):
        raise ValueError(f"cost must be a finite number of at least 0, got {cost}.")
    sure = np.asarray(confidence, dtype=np.float64)
    found = ~np.isnan(sure)
    right = as_fractions("correct", correct)
    _vectors(sure, right)
    points = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if points.ndim != 1 or np.any(np.isnan(points)):
        raise ValueError("thresholds must be a number or a vector of numbers without nan.")
    order = np.argsort(sure[found], kind="stable")
    gain = (right - cost * (1.0 - right))[found][order]
    from_here = np.append(np.cumsum(gain[::-1])[::-1], 0.0)  # utility of answering ranks i.. in rising confidence
    return np.asarray(from_here[np.searchsorted(sure[found][order], points, side="left")] / sure.size)


def _pair(confidence: ArrayLike, correct: ArrayLike) -> tuple[FloatArray, FloatArray]:
    sure = np.asarray(confidence, dtype=np.float64)
    right = as_fractions("correct", correct)
    _vectors(sure, right)
    if not np.all(np.isfinite(sure)):
        raise ValueError("confidence must be finite; leave out samples without a confidence, or score them with selective_utility.")
    return sure, right


def _vectors(sure: FloatArray, right: FloatArray) -> None:
    if sure.ndim != 1 or sure.size == 0:
        raise ValueError(f"confidence must be a non-empty vector, got shape {sure.shape}.")
    same_shape(("confidence", sure), [("correct", right)])
