"""[113] Coverage from how problems differ: each is solved with its own chance p ~ Beta(alpha, beta), or is unsolvable with chance `unsolvable`.

    coverage(k) = (1 - unsolvable) (1 - E[(1 - p)^k]),      E[(1 - p)^k] = B(alpha, beta + k) / B(alpha, beta)

For large k, what is missing shrinks like k^-alpha: the density of p near 0, p^(alpha - 1), makes the power law of the aggregate although
each problem's own failures shrink exponentially (Schaeffer et al. 2025). Fitted by maximum likelihood of the counts, so few samples a
problem suffice, and k may lie far beyond them. The exponent of a straight line through log(-log coverage) over a finite range lies above alpha.

Problems with no success are unsolvable or merely rare, and counts cannot tell the two apart: the limit at infinite k is not identified. So
fit both ways (`unsolvable=False`: coverage goes to 1; `True`: to 1 - unsolvable, by the likelihood) and report both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.stats._arrays import FloatArray, IntArray, as_integers

_STEPS = 200
_LARGEST = 14.0  # of log alpha and log beta: beyond it the distribution is a point for any number of samples
_FAR = 1e3  # beyond this the difference of two log-gammas is taken from Stirling's series, whose error there is below 1e-12


@dataclass(frozen=True)
class CoverageDistribution:
    """How likely problems are solved by one sample. Callable on k, a number or an array of 0 or more.

    Args:
        alpha, beta: of the Beta distribution of p among solvable problems, both above 0.
        unsolvable: share of problems that no number of samples solves, in [0, 1).
        log_likelihood: of the counts it was fitted to, up to a term that depends on the counts alone; nan if it was not fitted.
    """

    alpha: float
    beta: float
    unsolvable: float = 0.0
    log_likelihood: float = math.nan

    def __call__(self, k: ArrayLike) -> FloatArray:
        """Expected coverage at k samples a problem, in [0, 1]."""
        budgets = np.asarray(k, dtype=np.float64)
        log_miss = _gamma_step(np.array(self.beta), self.alpha) - _gamma_step(self.beta + budgets, self.alpha)
        return np.asarray((1.0 - self.unsolvable) * -np.expm1(np.minimum(log_miss, 0.0)))


def fit_coverage_distribution(n: ArrayLike, c: ArrayLike, *, unsolvable: bool = False, weights: ArrayLike | None = None) -> CoverageDistribution:
    """The distribution of p by maximum likelihood.

    Args:
        n: samples, a number or (problems,).
        c: right ones, (problems,).
        unsolvable: also fit a share of unsolvable problems. It is 0 where the likelihood does not ask for one. Where the others then look
            alike, alpha and beta run off together and are cut off where the larger is e^14.
        weights: (problems,), how often each problem counts: multiplicities of a bootstrap. All 1 if None.

    Raises:
        ValueError: c outside 0..n, no sample, or counts from which no spread of p can be seen (all 0, all n, or all alike: alpha or beta
            runs off to its limit).
    """
    samples, right, counts = _tallies(n, c, weights)
    start = np.log(_moments(samples, right, counts))
    point, value, converged = _climb(start, lambda x: _likelihood(x, samples, right, counts))
    if not converged or np.any(np.abs(point) > _LARGEST) or np.all(right == 0) or np.all(right == samples):
        raise ValueError(
            f"the counts do not show how problems differ ({int(counts.sum())} problems, {int((right * counts).sum())} of "
            f"{int((samples * counts).sum())} samples right): the likelihood has no top inside; draw more samples or mix easy and hard problems."
        )
    plain = CoverageDistribution(float(np.exp(point[0])), float(np.exp(point[1])), 0.0, value)
    if not unsolvable or not np.any(right == 0):
        return plain
    best = plain
    zero = float(counts[right == 0].sum() / counts.sum())
    for share in (0.9 * zero, 0.4 * zero):  # two starts: the surface may have a second top near "none"
        lifted = np.array([*(point + 0.3), math.log(share / (1.0 - share))])
        found, value, _ = _climb(lifted, lambda x: _likelihood(x, samples, right, counts))
        if float(found[:2].max()) > _LARGEST:
            found[:2] -= float(found[:2].max()) - _LARGEST
            value = _likelihood(found, samples, right, counts)[0]
        if value > best.log_likelihood + 1e-9 and np.all(found[:2] >= -_LARGEST):
            best = CoverageDistribution(float(np.exp(found[0])), float(np.exp(found[1])), float(1.0 / (1.0 + np.exp(-found[2]))), value)
    return best


def _tallies(n: ArrayLike, c: ArrayLike, weights: ArrayLike | None) -> tuple[IntArray, IntArray, FloatArray]:
    """Distinct (n, c) and how many problems have them: many problems share few pairs."""
    right = np.atleast_1d(as_integers("c", c))
    samples = np.broadcast_to(np.atleast_1d(as_integers("n", n)), right.shape)
    if right.ndim != 1 or right.size == 0 or np.any((right < 0) | (right > samples)) or np.any(samples < 1):
        raise ValueError("c must be a vector of counts between 0 and n, with at least one sample a problem.")
    times = np.ones(right.size) if weights is None else np.asarray(weights, dtype=np.float64)
    if times.shape != right.shape or np.any(times < 0.0) or not times.sum() > 0.0:
        raise ValueError(f"weights must be one number of 0 or more a problem ({right.size}), got shape {times.shape}.")
    pairs, position = np.unique(np.stack([samples, right], axis=1), axis=0, return_inverse=True)
    counts = np.bincount(position.ravel(), weights=times)
    kept = counts > 0.0
    return pairs[kept, 0], pairs[kept, 1], np.asarray(counts[kept], dtype=np.float64)


def _moments(samples: IntArray, right: IntArray, counts: FloatArray) -> FloatArray:
    """A start from mean and spread of c / n."""
    rate = right / samples
    mean = min(max(float(np.average(rate, weights=counts)), 1e-4), 1.0 - 1e-4)
    spread = float(np.average((rate - mean) ** 2, weights=counts)) - mean * (1.0 - mean) / float(np.average(samples, weights=counts))
    strength = min(max(mean * (1.0 - mean) / max(spread, 1e-6) - 1.0, 0.2), 50.0)
    return np.array([mean * strength, (1.0 - mean) * strength])


def _likelihood(x: FloatArray, samples: IntArray, right: IntArray, counts: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """Value, gradient and Hessian at x = (log alpha, log beta[, logit unsolvable])."""
    size = np.exp(x[:2])  # (alpha, beta)
    top = int(samples.max())
    steps = np.arange(top, dtype=np.float64)

    def rising(shape: float, taken: IntArray) -> FloatArray:
        """sum_{j < taken} of log(shape + j), 1 / (shape + j), -1 / (shape + j)^2: (3, pairs)."""
        moved = shape + steps[: int(taken.max())]
        sums = np.zeros((3, moved.size + 1))
        np.cumsum([np.log(moved), 1.0 / moved, -1.0 / moved**2], axis=1, out=sums[:, 1:])
        return sums[:, taken]

    for_right, for_wrong, for_all = rising(size[0], right), rising(size[1], samples - right), rising(float(size.sum()), samples)
    value = for_right[0] + for_wrong[0] - for_all[0]  # (pairs,)
    slope = np.stack([for_right[1], for_wrong[1]]) - for_all[1]  # (2, pairs), by alpha and beta
    bend = np.zeros((2, 2, right.size)) - for_all[2]
    bend[0, 0] += for_right[2]
    bend[1, 1] += for_wrong[2]
    bend = bend * size[:, None, None] * size[None, :, None]
    slope = slope * size[:, None]  # by the logs
    bend[[0, 1], [0, 1]] += slope
    if x.size == 2:
        return float(counts @ value), slope @ counts, bend @ counts
    share = 1.0 / (1.0 + math.exp(-float(x[2])))
    none = right == 0
    inflated = share + (1.0 - share) * np.exp(value)
    solvable = np.where(none, (1.0 - share) * np.exp(value) / inflated, 1.0)  # chance that the problem is solvable, given its counts
    change = share * (1.0 - share)
    total = np.where(none, np.log(inflated), math.log1p(-share) + value)
    by_share = np.where(none, change * -np.expm1(value) / inflated, -share)
    gradient = np.concatenate([slope * solvable, by_share[None]])
    hessian = np.zeros((3, 3, right.size))
    hessian[:2, :2] = solvable * bend + (solvable * (1.0 - solvable)) * slope[:, None] * slope[None, :]
    cross = np.where(none, -change * np.exp(value) / inflated**2, 0.0) * slope
    hessian[2, :2] = hessian[:2, 2] = cross
    second = change * (1.0 - 2.0 * share) * -np.expm1(value) / inflated - by_share**2
    hessian[2, 2] = np.where(none, second, -change)
    return float(counts @ total), gradient @ counts, hessian @ counts


def _climb(start: FloatArray, surface: Callable[[FloatArray], tuple[float, FloatArray, FloatArray]]) -> tuple[FloatArray, float, bool]:
    """Newton's method upwards, with the Hessian bent down where it is not and steps halved until they climb: (point, value, converged)."""
    point = np.asarray(start, dtype=np.float64)
    value, gradient, hessian = surface(point)
    for _ in range(_STEPS):
        roots, axes = np.linalg.eigh(hessian)
        step = axes @ ((axes.T @ gradient) / np.maximum(np.abs(roots), 1e-8 * max(1.0, float(np.abs(roots).max()))))
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
        if float(gradient @ step) < 1e-10:
            return point, value, True
        for _ in range(40):
            found = surface(point + step)
            if found[0] > value:
                break
            step = step / 2.0
        else:
            return point, value, float(gradient @ step) < 1e-6
        point = point + step
        value, gradient, hessian = found
        if np.any(np.abs(point) > 20.0):
            return point, value, False
    return point, value, False


def _gamma_step(x: FloatArray, step: float) -> FloatArray:
    """log Gamma(x + step) - log Gamma(x), which must not be taken as a difference where x is large: (points,) or a number."""
    flat = np.atleast_1d(x)
    near = np.array([math.lgamma(value + step) - math.lgamma(value) for value in np.minimum(flat, _FAR).tolist()])
    far = np.maximum(flat, _FAR)
    moved = far + step
    stirling = (far - 0.5) * np.log1p(step / far) + step * np.log(moved) - step + (1.0 / moved - 1.0 / far) / 12.0
    return np.asarray(np.where(flat <= _FAR, near, stirling).reshape(np.shape(x)))
