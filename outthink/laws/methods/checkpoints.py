"""[118] The Fine Line: what the scores of intermediate checkpoints say, and how early.

    monotonicity = Kendall's tau of score and training progress          signal_to_noise = range of the monotone fit / sd of what is left
    stable from the first checkpoint after which the ranking of runs agrees with the final one for good (Kendall's tau >= 0.8)

Trajectories are compared after a monotone alignment of progress: a path through the pairs of checkpoints that never goes back and
stays within a window, so that a shape that comes somewhat earlier in one run still counts as the same, one that comes much later not.
Cost: checkpoints^2 a pair of trajectories. Limits for tests: a trajectory is at distance 0 from itself and from any positive affine
image of itself; a window of 0 compares checkpoint by checkpoint.
Departures: the paper has no formulas; smoothing and alignment are ours. A score at chance looks stable: read `signal_to_noise` first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outthink.core.errors import UsageError, need
from outthink.stats._arrays import FloatArray

AGREEMENT = 0.8
"""Kendall's tau from which two rankings count as the same."""

WINDOW = 0.1
"""Share of the training by which an alignment may shift progress."""


def kendall(first: ArrayLike, second: ArrayLike) -> float:
    """Kendall's tau-b of two (points,) vectors; NaN where one of them does not vary."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or a.size < 2:
        raise UsageError(f"Kendall's tau needs two vectors of one length, 2 or more, got {a.shape} and {b.shape}")
    pairs = np.triu_indices(a.size, 1)
    x, y = np.sign(np.subtract.outer(a, a)[pairs]), np.sign(np.subtract.outer(b, b)[pairs])
    size = float((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / np.sqrt(size)) if size else float("nan")


def monotone_fit(values: ArrayLike) -> FloatArray:
    """The least-squares monotone sequence (pool adjacent violators), rising or falling, whichever is closer; rising wins a tie."""
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or not scores.size or not np.isfinite(scores).all():
        raise UsageError("a trajectory must be a vector of finite scores; drop checkpoints that were not evaluated")
    rising, falling = _pooled(scores), -_pooled(-scores)
    return rising if ((scores - rising) ** 2).sum() <= ((scores - falling) ** 2).sum() else falling


def monotonicity(values: ArrayLike) -> float:
    """Kendall's tau of a trajectory with its order, in [-1, 1]; NaN for a constant one."""
    scores = np.asarray(values, dtype=np.float64)
    return kendall(np.arange(scores.size), scores)


def signal_to_noise(values: ArrayLike) -> float:
    """Range of the monotone fit over the standard deviation of the residuals; inf without residuals, 0 for a constant.

    Args:
        values: (checkpoints,), five or more for a number that means something.
    """
    scores = np.asarray(values, dtype=np.float64)
    fitted = monotone_fit(scores)
    signal, noise = float(np.ptp(fitted)), float((scores - fitted).std())
    return 0.0 if signal == 0.0 else float("inf") if noise == 0.0 else signal / noise


@dataclass(frozen=True)
class Stability:
    """How early a ranking of runs is the final one.

    Args:
        agreement: (checkpoints,) Kendall's tau with the final ranking; the last is 1.
        first: index of the checkpoint from which the agreement stays at the level; the last checkpoint if it never does before.
        level: that was asked for.
    """

    agreement: FloatArray
    first: int
    level: float


def earliest_stable(scores: ArrayLike, *, level: float = AGREEMENT) -> Stability:
    """The checkpoint from which the ranking of runs agrees with the final ranking for good.

    Args:
        scores: (runs, checkpoints), three runs or more, checkpoints aligned by tokens or by share of the training.
        level: of Kendall's tau.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 3 or not np.isfinite(table).all():
        raise UsageError(f"a ranking needs finite scores of three runs or more as (runs, checkpoints), got shape {table.shape}")
    if np.ptp(table[:, -1]) == 0.0:
        raise UsageError("all runs end with the same score: there is no final ranking to agree with")
    agreement = np.nan_to_num(np.array([kendall(column, table[:, -1]) for column in table.T]))
    below = np.flatnonzero(agreement < level)
    return Stability(agreement, int(below[-1]) + 1 if below.size else 0, level)


@dataclass(frozen=True)
class Alignment:
    """Two trajectories, matched.

    Args:
        path: (steps, 2) pairs of checkpoints, neither index ever falling.
        distance: root mean square difference along the path, both trajectories standardised (in standard deviations).
        correlation: Spearman's along the path; NaN if one of them is constant.
    """

    path: NDArray[np.int64]
    distance: float
    correlation: float


def align(first: ArrayLike, second: ArrayLike, *, window: float = WINDOW) -> Alignment:
    """The monotone alignment of two trajectories with the least squared difference.

    Args:
        first, second: (checkpoints,) scores over the same share of training, equally spaced; they may differ in number.
        window: largest shift, as a share of the training; 0 matches equal progress only.
    """
    a, b = _standard(first), _standard(second)
    n, m = a.size, b.size
    # a shift below one spacing always has to be possible where the numbers of checkpoints differ
    slack = max(window, 0.5 / max(n - 1, 1) + 0.5 / max(m - 1, 1) if n != m else 0.0) + 1e-12
    allowed = np.abs(np.linspace(0.0, 1.0, n)[:, None] - np.linspace(0.0, 1.0, m)) <= slack
    cost = (a[:, None] - b) ** 2
    # one row and one column of infinities before the first pair
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0.0
    for i, j in np.argwhere(allowed).tolist():
        total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    steps = [(n - 1, m - 1)]
    while steps[-1] != (0, 0):
        i, j = steps[-1]
        back = [(i - 1, j - 1), (i - 1, j), (i, j - 1)]
        steps.append(min((step for step in back if min(step) >= 0), key=lambda step: float(total[step[0] + 1, step[1] + 1])))
    path = np.array(steps[::-1])
    x, y = a[path[:, 0]], b[path[:, 1]]
    both = np.ptp(x) > 0.0 and np.ptp(y) > 0.0
    correlation = float(np.corrcoef(_ranks(x), _ranks(y))[0, 1]) if both else float("nan")
    return Alignment(path, float(np.sqrt(((x - y) ** 2).mean())), correlation)


def distances(trajectories: Mapping[str, ArrayLike], *, window: float = WINDOW, smooth: bool = True) -> FloatArray:
    """(trajectories, trajectories) distances after alignment, symmetric.

    Args:
        trajectories: name -> (checkpoints,) scores.
        window: see `align`.
        smooth: compare the monotone fits; turn it off for scores that rise and fall. Without it noise of a third of the signal hides shapes.
    """
    values = [monotone_fit(scores) if smooth else scores for scores in trajectories.values()]
    table = np.zeros((len(values), len(values)))
    for i, first in enumerate(values):
        for j in range(i):
            table[i, j] = table[j, i] = align(first, values[j], window=window).distance
    return table


def cluster_abilities(trajectories: Mapping[str, ArrayLike], groups: int, *, window: float = WINDOW, smooth: bool = True) -> dict[str, int]:
    """Benchmarks grouped by the shape of their trajectories: average linkage on the distances after alignment.

    Args:
        trajectories: name -> (checkpoints,) scores.
        groups: how many.
        window, smooth: see `distances`.

    Returns:
        Name -> number of its group, from 0 in order of appearance.

    Raises:
        MissingExtra: SciPy is not installed.
    """
    if not 1 <= groups <= len(trajectories) or len(trajectories) < 2:
        raise UsageError(f"{len(trajectories)} trajectories cannot make {groups} groups; give two or more, and as many at least as groups")
    hierarchy = need("scipy.cluster.hierarchy", extra="laws")
    table = distances(trajectories, window=window, smooth=smooth)
    tree = hierarchy.linkage(table[np.triu_indices(len(table), 1)], method="average")
    labels = [int(label) for label in hierarchy.fcluster(tree, groups, criterion="maxclust")]
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return {name: numbers[label] for name, label in zip(trajectories, labels, strict=True)}


def _pooled(scores: FloatArray) -> FloatArray:
    means: list[float] = []
    sizes: list[int] = []
    for score in scores.tolist():
        means.append(score)
        sizes.append(1)
        while len(means) > 1 and means[-2] > means[-1]:
            mean, size = means.pop(), sizes.pop()
            means[-1] = (means[-1] * sizes[-1] + mean * size) / (sizes[-1] + size)
            sizes[-1] += size
    return np.repeat(np.array(means), sizes)


def _standard(values: ArrayLike) -> FloatArray:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or scores.size < 2 or not np.isfinite(scores).all():
        raise UsageError("a trajectory must be a vector of two or more finite scores; drop checkpoints that were not evaluated")
    spread = float(scores.std())
    return (scores - scores.mean()) / spread if spread > 0.0 else np.zeros_like(scores)


def _ranks(values: FloatArray) -> FloatArray:
    below = (values[None, :] < values[:, None]).sum(axis=1)
    same = (values[None, :] == values[:, None]).sum(axis=1)
    ranks: FloatArray = below + (same + 1) / 2.0
    return ranks
