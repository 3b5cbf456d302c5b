"""[125] Observational scaling laws: capabilities read off a table of public models and benchmarks, without training any.

    S = (models x benchmarks) scores, gaps filled by iterated rank-1 PCA;   c = P (s - mean)   the first 1 to 3 principal components
    c_1 = slope_f log C + intercept_f  within a family f;   y = h + (1 - h) sigmoid(w . c + b),  h in [0, 0.2]   for a task downstream

s: scores in [0, 1]; C: training FLOPs; P: components fitted on the training models only.
Gaps are filled on standardised columns, the components are taken of centred scores that are NOT standardised: standardising changes
the first one. Cost: one SVD of (models x benchmarks) an iteration, at most 1000.
Identity: centred scores of rank r have r components that explain everything, and a gap in a table of rank 1 is filled exactly.
Departures: the filling stops when the filled cells stand still (the official test compares the whole table with its projection, which
noise never meets, so it always runs its 1000 iterations); a component's sign is such that its loadings sum to 0 or more; the official
code takes natural logarithms under the label log10 (`as_published=True`), which changes slopes by ln 10 and nothing else.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError, need
from outthink.laws.table import Table
from outthink.stats._arrays import FloatArray

FLOOR = 0.2
"""[125] The highest chance level that the link may find."""

ITERATIONS = 1000
STILL = 1e-8
"""Largest move of a filled cell, in standard deviations of its column, at which the filling has converged."""

SETS = 2_000_000
"""As many sets of families as the exhaustive choice looks at."""


@dataclass(frozen=True)
class Capabilities:
    """Principal components of benchmark scores, with what fills gaps.

    Args:
        benchmarks: the columns, in order.
        centre, scale: (benchmarks,) mean and standard deviation of the known training scores.
        fill_centre: (benchmarks,) mean of the filled standardised training scores.
        fill: (rank, benchmarks) directions by which gaps are filled.
        mean: (benchmarks,) of the filled training scores.
        components: (components, benchmarks), orthonormal rows.
        explained: (components,) share of the variance of the training scores.
    """

    benchmarks: tuple[str, ...]
    centre: FloatArray
    scale: FloatArray
    fill_centre: FloatArray
    fill: FloatArray
    mean: FloatArray
    components: FloatArray
    explained: FloatArray

    def filled(self, table: Table) -> FloatArray:
        """(models, benchmarks) scores in [0, 1] where gaps were filled by what the training models showed."""
        raw = _scores(table, self.benchmarks)
        known = ~np.isnan(raw)
        standard = np.where(known, (raw - self.centre) / self.scale, 0.0)
        for _ in range(ITERATIONS):
            projected = self.fill_centre + (standard - self.fill_centre) @ self.fill.T @ self.fill
            moved = np.abs(np.where(known, 0.0, projected - standard)).max()
            standard = np.where(known, standard, projected)
            if moved <= STILL:
                break
        return np.where(known, raw, np.clip(standard * self.scale + self.centre, 0.0, 1.0))

    def of(self, table: Table) -> FloatArray:
        """(models, components) capabilities of these models."""
        return (self.filled(table) - self.mean) @ self.components.T


def fit_capabilities(table: Table, benchmarks: Sequence[str], *, components: int = 3, rank: int = 1) -> Capabilities:
    """Components of the models of a table; give it the training models only.

    Args:
        table: one row a model; the benchmarks as columns in [0, 1], NaN where a score is missing.
        benchmarks: which columns; leave out those too close to the task (GSM8K for arithmetic).
        components: how many to keep.
        rank: of the filling.

    Raises:
        UsageError: more components than benchmarks or models, or a benchmark that no model or all models alike have.
    """
    raw = _scores(table, benchmarks)
    models, columns = raw.shape
    if not 1 <= components <= min(models - 1, columns) or not 1 <= rank <= min(models - 1, columns):
        raise UsageError(
            f"{models} models and {columns} benchmarks have 1 to {min(models - 1, columns)} components, got {components} (filling: {rank})"
        )
    known = ~np.isnan(raw)
    count = known.sum(axis=0)
    centre = np.where(known, raw, 0.0).sum(axis=0) / np.maximum(count, 1)
    scale = np.sqrt(np.where(known, (raw - centre) ** 2, 0.0).sum(axis=0) / np.maximum(count, 1))
    if not scale.all():
        raise UsageError(f"benchmark {benchmarks[int(np.argmin(scale))]!r} has no spread over the models that have it; leave it out")
    standard = np.where(known, (raw - centre) / scale, 0.0)
    for _ in range(ITERATIONS):
        fill_centre = standard.mean(axis=0)
        fill = np.linalg.svd(standard - fill_centre, full_matrices=False)[2][:rank]
        projected = fill_centre + (standard - fill_centre) @ fill.T @ fill
        moved = np.abs(np.where(known, 0.0, projected - standard)).max()
        standard = np.where(known, standard, projected)
        if moved <= STILL:
            break
    scores = np.where(known, raw, np.clip(standard * scale + centre, 0.0, 1.0))
    mean = scores.mean(axis=0)
    _, singular, directions = np.linalg.svd(scores - mean, full_matrices=False)
    signs = np.where(directions.sum(axis=1) < 0.0, -1.0, 1.0)
    kept = (directions * signs[:, None])[:components]
    share = singular**2 / (singular**2).sum()
    return Capabilities(tuple(benchmarks), centre, scale, fill_centre, fill, mean, kept, share[:components])


@dataclass(frozen=True)
class FamilyLine:
    """A family's first component against its training compute: capability = slope log_base(FLOPs) + intercept.

    Args:
        slope, intercept: see above.
        base: of the logarithm.
        r2: share of the variance explained; NaN with fewer than two different FLOPs.
        models: how many.
    """

    slope: float
    intercept: float
    base: float
    r2: float
    models: int

    def __call__(self, flops: ArrayLike) -> FloatArray:
        """Capability at these training FLOPs."""
        return self.slope * np.log(np.asarray(flops, dtype=np.float64)) / math.log(self.base) + self.intercept

    def equivalent_flops(self, capability: ArrayLike) -> FloatArray:
        """FLOPs that this family needs for a capability: the common scale on which models of different families are compared."""
        return np.asarray(self.base ** ((np.asarray(capability, dtype=np.float64) - self.intercept) / self.slope), dtype=np.float64)


def fit_family_lines(capability: ArrayLike, flops: ArrayLike, families: ArrayLike, *, as_published: bool = False) -> dict[str, FamilyLine]:
    """Ordinary least squares within each family that has two or more models of known, different FLOPs.

    Args:
        capability: (models,) first component.
        flops: (models,) raw training FLOPs; NaN where unknown, such models are left out.
        families: (models,) names.
        as_published: natural logarithms, as the official code takes under the label log10.
    """
    base = math.e if as_published else 10.0
    values, compute = np.asarray(capability, dtype=np.float64), np.asarray(flops, dtype=np.float64)
    names = np.asarray(families).astype(str)
    lines: dict[str, FamilyLine] = {}
    for name in dict.fromkeys(names.tolist()):
        mine = (names == name) & np.isfinite(compute) & np.isfinite(values)
        if np.unique(compute[mine]).size < 2:
            continue
        logs, heights = np.log(compute[mine]) / math.log(base), values[mine]
        away = logs - logs.mean()
        slope = float(away @ heights / (away @ away))
        intercept = float(heights.mean() - slope * logs.mean())
        spread = float(((heights - heights.mean()) ** 2).sum())
        r2 = 1.0 - float(((heights - slope * logs - intercept) ** 2).sum()) / spread if spread else math.nan
        lines[name] = FamilyLine(slope, intercept, base, r2, int(mine.sum()))
    return lines


@dataclass(frozen=True)
class CapabilityLink:
    """score = floor + (1 - floor) sigmoid(weights . features + intercept).

    Args:
        weights: (features,).
        intercept: on the logit scale.
        floor: score of a model that knows nothing, in [0, 0.2].
    """

    weights: FloatArray
    intercept: float
    floor: float

    def __call__(self, features: ArrayLike) -> FloatArray:
        """(models,) scores of (models, features)."""
        logits = np.asarray(features, dtype=np.float64) @ self.weights + self.intercept
        return self.floor + (1.0 - self.floor) * _sigmoid(logits)


def fit_link(features: ArrayLike, scores: ArrayLike, *, highest_floor: float = FLOOR) -> CapabilityLink:
    """Bounded least squares of the link.

    It starts from the official code's point (weights 0.03, intercept and floor 0) and from the line through the logits, on standardised
    features, and keeps the better fit: from the official start alone, on raw log10 FLOPs near 22, the optimiser stops far from the
    optimum (word unscrambling: squared error .141 beyond the cut, where the optimum has .018).

    Args:
        features: (models, features) capabilities, or log FLOPs as the baseline.
        scores: (models,) of the task, in [0, 1].
        highest_floor: bound of the floor.

    Raises:
        MissingExtra: SciPy is not installed.
        UsageError: fewer models than parameters.
    """
    optimize = need("scipy.optimize", extra="laws")
    raw, observed = np.asarray(features, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    models, columns = raw.shape
    if models < columns + 2:
        raise UsageError(f"a link of {columns} features has {columns + 2} parameters; {models} models do not determine it")
    centre, spread = raw.mean(axis=0), raw.std(axis=0)
    if not spread.all():
        raise UsageError(f"feature {int(np.argmin(spread))} is the same for all {models} models; leave it out")
    inputs = (raw - centre) / spread

    def residuals(point: FloatArray) -> FloatArray:
        return CapabilityLink(point[:columns], float(point[columns]), float(point[-1]))(inputs) - observed

    def jacobian(point: FloatArray) -> FloatArray:
        inner = _sigmoid(inputs @ point[:columns] + point[columns])
        slope = (1.0 - point[-1]) * inner * (1.0 - inner)
        return np.column_stack([slope[:, None] * inputs, slope, 1.0 - inner])

    low, high = np.r_[np.full(columns + 1, -np.inf), 0.0], np.r_[np.full(columns + 1, np.inf), highest_floor]
    squeezed = np.clip(observed, 0.01, 0.99)
    line = np.linalg.lstsq(np.column_stack([inputs, np.ones(models)]), np.log(squeezed / (1.0 - squeezed)), rcond=None)[0]
    floor = min(1e-6, highest_floor / 2)
    starts = (np.r_[np.full(columns, 0.03), 0.0, floor], np.r_[line, floor])
    tries = [optimize.least_squares(residuals, start, jac=jacobian, bounds=(low, high), max_nfev=10_000) for start in starts]
    best = min(tries, key=lambda found: float(found.cost)).x
    weights = np.asarray(best[:columns]) / spread
    return CapabilityLink(weights, float(best[columns] - weights @ centre), float(best[-1]))


@dataclass(frozen=True)
class FamilySet:
    """Families to evaluate in place of all.

    Args:
        families: their names.
        models: how many models they have.
        objective: trace(X'X (X_S'X_S)^-1), proportional to the mean variance of the predictions; the number of components for all models.
    """

    families: tuple[str, ...]
    models: int
    objective: float


def choose_families(capabilities: ArrayLike, families: ArrayLike, *, most_models: int, most_families: int = 10) -> FamilySet:
    """The V-optimal set of families: least tr(X'X (X_S'X_S)^-1) among all sets within the budget.

    Args:
        capabilities: (models, components).
        families: (models,) names.
        most_models: budget.
        most_families: in a set.

    Raises:
        UsageError: no set within the budget determines all components, or there are too many sets to look at each.
    """
    points, names = np.asarray(capabilities, dtype=np.float64), np.asarray(families).astype(str)
    known = list(dict.fromkeys(names.tolist()))
    limit = min(most_families, len(known))
    if sum(math.comb(len(known), size) for size in range(1, limit + 1)) > SETS:
        raise UsageError(f"{len(known)} families have too many sets of up to {limit}; lower most_families or leave families out")
    grams = np.array([points[names == name].T @ points[names == name] for name in known])  # (families, components, components)
    counts = np.array([(names == name).sum() for name in known])
    everything = grams.sum(axis=0)
    best: FamilySet | None = None
    for size in range(1, limit + 1):
        sets = np.array(list(itertools.combinations(range(len(known)), size)))
        totals = counts[sets].sum(axis=1)
        sets, totals = sets[totals <= most_models], totals[totals <= most_models]
        chosen = grams[sets].sum(axis=1)
        able = (totals >= points.shape[1]) & (np.linalg.cond(chosen) < 1e12) if len(sets) else np.zeros(0, dtype=bool)
        if not able.any():
            continue
        values = np.trace(np.linalg.solve(chosen[able], np.broadcast_to(everything, chosen[able].shape)), axis1=1, axis2=2)
        least = int(np.argmin(values))
        if best is None or values[least] < best.objective:
            best = FamilySet(tuple(known[place] for place in sets[able][least]), int(totals[able][least]), float(values[least]))
    if best is None:
        raise UsageError(f"no set of families with at most {most_models} models determines {points.shape[1]} components; raise most_models")
    return best


def _scores(table: Table, benchmarks: Sequence[str]) -> FloatArray:
    return np.column_stack([table.column(name) for name in benchmarks])


def _sigmoid(logits: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))
