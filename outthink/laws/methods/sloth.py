"""[86] Sloth: scores of a model on many benchmarks from its size, its tokens and its family, through a few latent skills.

    score_ij = gamma_j + (1 - gamma_j) sigmoid(Lambda_j . theta_i + b_j)          theta_i = alpha_family(i) + B x_i
    x_i = (log tokens, log parameters, their product)

gamma_j: score by chance, in [0, 1), given; theta_i: (d,) skills; alpha: (families, d), one row for all where the intercept is shared.
Loss: smooth L1 with beta = 0.01, averaged over cells; L-BFGS with its gradient from several random starts, the best is kept. Cost: one
pass over (models x benchmarks) an iteration, some hundred iterations a start.
Identity: the skills are fixed only up to an invertible map M: (theta M, Lambda M^-1) predicts the same.
Departures: the official code runs Adam from one start at three learning rates; here L-BFGS. Tokens count in trillions and parameters in
billions inside the logarithms, as there, which only moves weight between the product and the intercepts. The trainable monotone link
of its best variant is not offered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outthink.core.errors import UsageError, need
from outthink.laws.table import Table
from outthink.stats._arrays import FloatArray

Inputs = Literal["resources", "flops"]
"""What skills depend on: (log tokens, log parameters, product), or the log of training FLOPs as the plain baseline."""

Intercept = Literal["family", "shared"]

BETA = 0.01
"""[86] Where the smooth L1 loss turns from squared to absolute, in units of the score."""

_UNITS = {"tokens": 1e12, "parameters": 1e9, "flops": 1e21}
_LIMIT = 3000  # iterations of one start


@dataclass(frozen=True)
class Sloth:
    """Fitted skills and loadings; called on a table it gives (models, benchmarks) scores.

    Args:
        benchmarks: names of the columns that it predicts.
        families: the rows of `intercepts`; () where one intercept is shared by all.
        inputs: see `Inputs`.
        slopes: (inputs, d), B.
        intercepts: (families, d), alpha; (1, d) where shared.
        loadings: (d, benchmarks), Lambda.
        offsets: (benchmarks,), b.
        floors: (benchmarks,), gamma.
        loss: mean smooth L1 of the fit.
    """

    benchmarks: tuple[str, ...]
    families: tuple[str, ...]
    inputs: Inputs
    slopes: FloatArray
    intercepts: FloatArray
    loadings: FloatArray
    offsets: FloatArray
    floors: FloatArray
    loss: float

    def skills(self, table: Table) -> FloatArray:
        """(models, d) skills; columns `tokens` and `parameters` (or `flops`) as raw counts, label `family` unless the intercept is shared.

        Raises:
            UsageError: a family that the fit has not seen; give it at least one model of it.
        """
        found: FloatArray = _inputs(table, self.inputs) @ self.slopes + self.intercepts[_rows(table, self.families)]
        return found

    def __call__(self, table: Table) -> FloatArray:
        """(models, benchmarks) scores in [0, 1]."""
        return self.scores(self.skills(table))

    def scores(self, skills: ArrayLike) -> FloatArray:
        """(models, benchmarks) scores of given (models, d) skills."""
        inner = _sigmoid(np.asarray(skills, dtype=np.float64) @ self.loadings + self.offsets)
        found: FloatArray = self.floors + (1.0 - self.floors) * inner
        return found

    def mapped(self, matrix: ArrayLike) -> Sloth:
        """The same law in other skills, theta M; every prediction stays as it is.

        Args:
            matrix: (d, d), invertible.
        """
        turn = np.asarray(matrix, dtype=np.float64)
        loadings = np.asarray(np.linalg.solve(turn, self.loadings), dtype=np.float64)
        return replace(self, slopes=self.slopes @ turn, intercepts=self.intercepts @ turn, loadings=loadings)

    def whitened(self, table: Table) -> Sloth:
        """The same law in uncorrelated skills of mean 0 and variance 1 over these models, turned so that skill 1 loads most, then skill 2.

        Signs are such that loadings sum to 0 or more. Not a rotation to simple structure: the paper's geomin is left to factor analysis.
        """
        skills = self.skills(table)
        mean = skills.mean(axis=0)
        _, singular, directions = np.linalg.svd(skills - mean, full_matrices=False)
        if singular[-1] <= 1e-9 * singular[0]:
            raise UsageError(f"the {skills.shape[1]} skills of these {len(table)} models are not independent; fit fewer skills")
        white = directions.T / singular * np.sqrt(len(table))  # (d, d)
        moved = replace(self, intercepts=self.intercepts - mean, offsets=self.offsets + mean @ self.loadings).mapped(white)
        turn = np.linalg.svd(moved.loadings)[0]  # orthogonal: skills stay white
        turned = moved.mapped(turn)
        return turned.mapped(np.diag(np.where(turned.loadings.sum(axis=1) < 0.0, -1.0, 1.0)))


def fit_sloth(
    table: Table, benchmarks: Sequence[str], *, skills: int = 2, floors: Mapping[str, float] | None = None, intercept: Intercept = "family",
    inputs: Inputs = "resources", fit_floors: bool = False, starts: int = 4, seed: int = 0,
) -> Sloth:  # fmt: skip
    """Fit on the models of a table that have every benchmark.

    Args:
        table: columns `tokens`, `parameters` (or `flops`), raw counts; the benchmarks, in [0, 1]; label `family`. Rows in which any of
            them is missing are left out.
        benchmarks: which columns to explain.
        skills: d, at most the number of benchmarks.
        floors: score by chance by benchmark; 0 where not given.
        intercept: a family effect on skills, or one for all families: only then can a family without any model be predicted.
        inputs: see `Inputs`.
        fit_floors: let the floors move from there, as the official baselines on FLOPs do.
        starts: random starts; the loss has several optima.
        seed: of the starts.

    Raises:
        MissingExtra: SciPy is not installed.
        UsageError: more skills than benchmarks, or fewer than three complete models.
    """
    if not 1 <= skills <= len(benchmarks):
        raise UsageError(f"{len(benchmarks)} benchmarks carry 1 to {len(benchmarks)} skills, got {skills}")
    optimize = need("scipy.optimize", extra="laws")
    complete = np.isfinite(np.column_stack([table.column(name) for name in (*benchmarks, *_columns(inputs))])).all(axis=1)
    if complete.sum() < 3:
        raise UsageError(
            f"{int(complete.sum())} of {len(table)} models have all of {', '.join(benchmarks)} and {', '.join(_columns(inputs))}; 3 are needed"
        )
    whole = table.where(complete)
    families = tuple(sorted(set(whole.label("family").tolist()))) if intercept == "family" else ()
    observed = np.column_stack([whole.column(name) for name in benchmarks])
    chance = np.array([dict(floors or {}).get(name, 0.0) for name in benchmarks])
    problem = _Problem(_inputs(whole, inputs), _rows(whole, families), max(1, len(families)), observed, chance, skills, fit_floors)
    rng = np.random.default_rng(seed)
    best_point, best = np.zeros(0), np.inf
    for _ in range(starts):
        found = optimize.minimize(problem.value, problem.start(rng), jac=True, method="L-BFGS-B", options={"maxiter": _LIMIT, "maxfun": 2 * _LIMIT})
        if float(found.fun) < best:
            best_point, best = np.asarray(found.x, dtype=np.float64), float(found.fun)
    slopes, intercepts, loadings, offsets, fitted = problem.parts(best_point)
    return Sloth(tuple(benchmarks), families, inputs, slopes, intercepts, loadings, offsets, fitted, best)


@dataclass(frozen=True)
class _Problem:
    """The loss over a flat vector (B, alpha, Lambda, b, logit gamma) and its gradient."""

    inputs: FloatArray  # (models, inputs)
    rows: NDArray[np.int64]  # (models,) row of the intercept
    families: int
    observed: FloatArray  # (models, benchmarks)
    floors: FloatArray
    skills: int
    fit_floors: bool

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        benchmarks = self.observed.shape[1]
        floors = ((benchmarks,),) if self.fit_floors else ()
        return ((self.inputs.shape[1], self.skills), (self.families, self.skills), (self.skills, benchmarks), (benchmarks,), *floors)

    def start(self, rng: np.random.Generator) -> FloatArray:
        slopes, intercepts, loadings, offsets = (rng.normal(size=shape) for shape in self.shapes[:4])
        parts = [np.abs(slopes), intercepts, np.abs(loadings), offsets]
        if self.fit_floors:
            inside = np.clip(self.floors, 1e-5, 1.0 - 1e-5)
            parts.append(np.log(inside / (1.0 - inside)))
        return np.concatenate([part.ravel() for part in parts])

    def parts(self, point: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
        places = np.cumsum([int(np.prod(shape)) for shape in self.shapes])[:-1]
        slopes, intercepts, loadings, offsets, *free = (
            piece.reshape(shape) for piece, shape in zip(np.split(point, places), self.shapes, strict=True)
        )
        return slopes, intercepts, loadings, offsets, _sigmoid(free[0]) if free else self.floors

    def value(self, point: FloatArray) -> tuple[float, FloatArray]:
        slopes, intercepts, loadings, offsets, floors = self.parts(point)
        skills = self.inputs @ slopes + intercepts[self.rows]
        inner = _sigmoid(skills @ loadings + offsets)
        miss = floors + (1.0 - floors) * inner - self.observed
        size = np.abs(miss)
        loss = np.where(size < BETA, 0.5 * miss**2 / BETA, size - 0.5 * BETA).mean()
        pull = np.clip(miss / BETA, -1.0, 1.0) / miss.size
        logits = pull * (1.0 - floors) * inner * (1.0 - inner)
        on_skills = logits @ loadings.T
        on_intercepts = np.zeros_like(intercepts)
        np.add.at(on_intercepts, self.rows, on_skills)
        parts = [self.inputs.T @ on_skills, on_intercepts, skills.T @ logits, logits.sum(axis=0)]
        if self.fit_floors:
            parts.append((pull * (1.0 - inner)).sum(axis=0) * floors * (1.0 - floors))
        return float(loss), np.concatenate([part.ravel() for part in parts])


def _columns(inputs: Inputs) -> tuple[str, ...]:
    return ("flops",) if inputs == "flops" else ("tokens", "parameters")


def _inputs(table: Table, inputs: Inputs) -> FloatArray:
    logs = [np.log(table.column(name) / _UNITS[name]) for name in _columns(inputs)]
    return np.column_stack(logs if inputs == "flops" else [*logs, logs[0] * logs[1]])


def _rows(table: Table, families: tuple[str, ...]) -> NDArray[np.int64]:
    if not families:
        return np.zeros(len(table), dtype=np.int64)
    places = {family: row for row, family in enumerate(families)}
    names = table.label("family").tolist()
    if unseen := [name for name in names if name not in places]:
        raise UsageError(f"the fit has seen no model of the family {unseen[0]!r}; fit with one, or with intercept='shared'")
    return np.array([places[name] for name in names], dtype=np.int64)


def _sigmoid(logits: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))
