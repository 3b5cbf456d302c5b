"""Exact majority@k without enumerating subsets: a generating function evaluated on a circle.

Keep every sample independently with probability p. The kept votes of class i are then Binomial(c_i, p), independent of one
another, and given that k are kept in all the kept ones are a uniformly random k-subset. So with z marking a kept sample,

    Phi(z) = sum_j b_*(j) z^j  int_0^1 prod_{i != *} (A_i(j, z) + y b_i(j) z^j) dy  (1 - p + p z)^{c_0}
    A_i(j, z) = sum_{t < j} b_i(t) z^t,     P(* wins | k kept) = [z^k] Phi / P(k kept in all)

where b_i is the binomial probability, c_0 counts the samples without an answer, and int_0^1 y^t dy = 1 / (1 + t) shares the win
among t + 1 tied classes (Gauss-Legendre nodes integrate the polynomial exactly). The coefficients come from an inverse Fourier
transform over L points of the unit circle, L wider than the support of the total. Choosing p = k / n puts k at the mode of the
total, so rounding is amplified by no more than 1 / P(k kept): results are exact to about 1e-10.

For draws from fixed class probabilities (n -> infinity) b_i is Poisson(k p_i) and everything else stands.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from outthink.stats._arrays import FloatArray, IntArray
from outthink.stats._ballots import Ballots
from outthink.stats._hypergeometric import log_factorials

ComplexArray = np.ndarray[tuple[int, ...], np.dtype[np.complex128]]

# Totals less likely than this share of the least likely wanted one are left out: far below rounding.
_NEGLIGIBLE = 1e-18
# Budgets whose total is at least this likely, relative to the mode, share one circle: keeps rounding under about 1e-10.
_SHARED = 1e-3
# Complex entries of one block of circle points: 16 MB.
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Circle:
    """The budgets `ks` that one inclusion probability p serves, and the points needed to read them off."""

    p: float
    ks: IntArray
    total: FloatArray  # (len(ks),) P(k kept in all)
    points: int
    cutoff: float  # probabilities below this cannot matter


def plan_circles(n: int, ks: IntArray, log_factorial: FloatArray) -> list[Circle]:
    """Cover the sorted budgets ks (each <= n) with as few circles as the accuracy allows."""
    circles: list[Circle] = []
    remaining = ks
    while remaining.size:
        # Put the mode where the first remaining budget is still likely enough, by stepping outwards one standard deviation at a time.
        first = int(remaining[0])
        mode = min(n, max(first, int(first + 3.0 * np.sqrt(first * (1.0 - first / n)))))
        total = binomial(n, mode / n, log_factorial)
        if total[first] < _SHARED * total.max():
            mode = first
            total = binomial(n, mode / n, log_factorial)
        served = remaining[total[remaining] >= _SHARED * total.max()]
        cutoff = float(total[served].min()) * _NEGLIGIBLE
        support = np.flatnonzero(total >= cutoff)
        circles.append(Circle(mode / n, served, total[served], int(support[-1] - support[0] + 1), cutoff))
        remaining = remaining[remaining > served[-1]]
    return circles


def binomial(n: int, p: float, log_factorial: FloatArray) -> FloatArray:
    """P(j of n) for j = 0..n, each sample kept with probability p in [0, 1]."""
    if p >= 1.0:
        return np.asarray(np.arange(n + 1) == n, dtype=np.float64)
    j = np.arange(n + 1)
    ways = log_factorial[n] - log_factorial[j] - log_factorial[n - j]
    return np.asarray(np.exp(ways + j * np.log(p) + (n - j) * np.log1p(-p)))


def poisson(mean: float, top: int, log_factorial: FloatArray) -> FloatArray:
    """P(j) for j = 0..top at the given mean > 0."""
    j = np.arange(top + 1)
    return np.asarray(np.exp(j * np.log(mean) - mean - log_factorial[: top + 1]))


def exact_majority(ballots: Ballots, ks: IntArray) -> FloatArray:
    """Expected correctness of the majority of k random samples, ties shared: (problems, len(ks)). ks sorted, at most n."""
    n = ballots.n
    log_factorial = log_factorials(n)
    result = np.zeros((ballots.problems, ks.size))
    circles = plan_circles(n, ks, log_factorial)
    profiles = [profile(ballots, row) for row in range(ballots.problems)]
    for circle in circles:
        columns = np.searchsorted(ks, circle.ks)
        kept = {c: binomial(c, circle.p, log_factorial) for c in {c for counts, _, _ in profiles for c in counts}}
        solved: dict[tuple[tuple[int, ...], int, int], FloatArray] = {}
        for row, (counts, values, silent) in enumerate(profiles):
            for i, (count, value) in enumerate(zip(counts, values, strict=True)):
                if value == 0.0:
                    continue
                # Classes with equal counts win equally often, and problems with equal counts share their result.
                key = (counts, count, silent)
                if key not in solved:
                    rivals = counts[:i] + counts[i + 1 :]
                    noise = binomial(silent, circle.p, log_factorial)
                    solved[key] = win_chance(kept[count], [kept[c] for c in rivals], noise, circle)
                result[row, columns] += value * solved[key]
    return np.clip(result, 0.0, 1.0, out=result)


def profile(ballots: Ballots, row: int) -> tuple[tuple[int, ...], tuple[float, ...], int]:
    """Class counts in falling order, their correctness, and the number of samples that do not vote."""
    labels = ballots.labels[row]
    counts = np.bincount(labels[labels >= 0], minlength=ballots.classes)
    order = np.argsort(-counts, kind="stable")[: int(np.count_nonzero(counts))]
    return tuple(counts[order].tolist()), tuple(ballots.value[row, order].tolist()), int(np.count_nonzero(labels < 0))


def win_chance(own: FloatArray, rivals: list[FloatArray], noise: FloatArray, circle: Circle) -> FloatArray:
    """P(the class wins | k kept), ties shared, at each k of the circle.

    own, rivals, noise: probabilities of j = 0, 1, ... kept votes of the class, of each rival and of the samples without an answer.
    """
    top = int(circle.ks[-1])
    levels = np.flatnonzero(own[: top + 1] >= circle.cutoff)
    levels = levels[levels > 0]  # a class without a vote cannot win
    if levels.size == 0:
        return np.zeros(circle.ks.size)
    level, node, weight = _tie_nodes(levels, rivals, top)
    groups: dict[bytes, tuple[FloatArray, int]] = {}
    for rival in rivals:
        pmf, times = groups.get(rival.tobytes(), (rival, 0))
        groups[rival.tobytes()] = (pmf, times + 1)
    points = circle.points
    half = np.arange(points // 2 + 1)  # the function is real at real z, so the other half is the conjugate
    spectrum = np.empty(half.size, dtype=np.complex128)
    roots = np.exp(-2j * np.pi * np.arange(points) / points)
    widest = max([level.size, noise.size, *(rival.size for rival in rivals)])
    step = max(1, _BLOCK // widest)
    for start in range(0, half.size, step):
        index = half[start : start + step]
        spectrum[start : start + step] = _phi(index, roots, own, noise, list(groups.values()), level, node, weight)
    chance = np.fft.irfft(spectrum, points)[circle.ks % points] / circle.total if points > 1 else spectrum.real / circle.total
    return np.asarray(chance)


def _phi(
    index: IntArray,
    roots: ComplexArray,
    own: FloatArray,
    noise: FloatArray,
    groups: list[tuple[FloatArray, int]],
    level: IntArray,
    node: FloatArray,
    weight: FloatArray,
) -> ComplexArray:
    """Phi at the chosen points of the circle: (len(index),)."""
    points = roots.size

    def series(pmf: FloatArray) -> ComplexArray:
        """pmf[j] z^j: (points, len(pmf))."""
        return np.asarray(pmf * roots[(index[:, None] * np.arange(pmf.size)) % points])

    inner = np.tile(weight.astype(np.complex128), (index.size, 1))  # (points, level and node pairs)
    for pmf, times in groups:
        terms = series(pmf)
        below = np.zeros((index.size, pmf.size + 1), dtype=np.complex128)
        np.cumsum(terms, axis=1, out=below[:, 1:])
        factor = below[:, np.minimum(level, pmf.size)]
        reached = np.flatnonzero(level < pmf.size)
        factor[:, reached] += node[reached] * terms[:, level[reached]]
        inner *= factor if times == 1 else factor**times
    inner *= own[level] * roots[(index[:, None] * level) % points]
    return np.asarray(inner.sum(axis=1) * series(noise).sum(axis=1))


def _tie_nodes(levels: IntArray, rivals: list[FloatArray], top: int) -> tuple[IntArray, FloatArray, FloatArray]:
    """Quadrature over y at each level j: parallel arrays of level, node in [0, 1], weight.

    At level j at most top // j - 1 rivals can also hold j votes, and only those with j votes to give.
    """
    sizes = np.sort([rival.size - 1 for rival in rivals])
    able = sizes.size - np.searchsorted(sizes, levels)
    degree = np.minimum(able, top // levels - 1)
    nodes = np.maximum(degree, 0) // 2 + 1
    parts = [_gauss_legendre(int(count)) for count in nodes]
    level = np.repeat(levels, nodes)
    return level, np.concatenate([x for x, _ in parts]), np.concatenate([w for _, w in parts])


@lru_cache(maxsize=256)
def _gauss_legendre(count: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights on [0, 1], exact for polynomials of degree 2 count - 1."""
    x, w = np.polynomial.legendre.leggauss(count)
    return (x + 1.0) / 2.0, w / 2.0


def exact_cost(ballots: Ballots, ks: IntArray) -> float:
    """Complex multiplications that `exact_majority` needs, roughly: for choosing a method before spending the time."""
    n = ballots.n
    spread = np.sqrt(ks * np.maximum(1.0 - ks / n, 1.0 / n))
    per_circle = 8.0 * (8.0 * spread + 8.0) * np.minimum(ks, 16.0 * spread + 8.0)
    circles = len(plan_circles(n, ks, log_factorials(n)))
    return float(circles * per_circle.mean() * ballots.problems * min(ballots.classes, np.sqrt(2.0 * n)) * 2.0)
