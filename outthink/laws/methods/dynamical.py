"""[81] A dynamical model of scaling laws: gradient flow on random features of a teacher with a power-law spectrum.

    features       lambda_k = k^-b, power of the task in each lambda_k w_k^2 = k^-a        k = 1..M
    student        N random projections A of the features, v with dv/dt = -(gradient), from v = 0
    loss           sum_k lambda_k (w_k - (A^T v / sqrt N)_k)^2

Exponents (a > 1):  N -> inf: loss ~ t^-((a-1)/b);  t -> inf: loss ~ N^-min(a-1, 2b);  early gap of a finite width ~ 1/N;
with compute C = N t:  N* ~ C^(1/(1+b)),  t* ~ C^(b/(1+b)),  loss* ~ C^-((a-1)/(1+b)): for b > 1 steps grow faster than size.
With P samples in the place of the population, the loss on them falls below the test loss while they are used again and again.

Solved exactly in the eigenbasis of the N x N kernel; no time is stepped. Cost: N^2 M for the kernel, N^3 for its eigenvalues.
Valid only inside the finite spectrum: t < M^b / 10 and N < M / 10; `Teacher.check` says so. Single seeds at small N are heavy-tailed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outthink.core.errors import UsageError
from outthink.laws.table import Table, table_of
from outthink.stats._arrays import FloatArray

MARGIN = 10.0
"""How far inside the spectrum a width or a time must stay for its power law to be seen."""


@dataclass(frozen=True)
class Exponents:
    """What the theory says, as positive numbers: loss falls with time and size, size and time grow with compute."""

    time: float
    size: float
    compute: float
    size_of_compute: float
    time_of_compute: float


@dataclass(frozen=True)
class Teacher:
    """The task.

    Args:
        task: a, exponent of the task's power, above 1 so that the whole power is finite.
        spectrum: b, exponent of the features' variances, above 0.
        features: M.
    """

    task: float = 1.5
    spectrum: float = 1.25
    features: int = 4000

    def __post_init__(self) -> None:
        if not (self.task > 1.0 and self.spectrum > 0.0 and math.isfinite(self.task) and math.isfinite(self.spectrum) and self.features >= 2):
            raise UsageError(f"a teacher needs a > 1, b > 0 and at least two features, got a = {self.task}, b = {self.spectrum}, M = {self.features}")

    @property
    def exponents(self) -> Exponents:
        """Of the infinite spectrum."""
        a, b = self.task, self.spectrum
        return Exponents((a - 1.0) / b, min(a - 1.0, 2.0 * b), (a - 1.0) / (1.0 + b), 1.0 / (1.0 + b), b / (1.0 + b))

    @property
    def variances(self) -> FloatArray:
        """(features,) lambda_k."""
        return np.asarray(np.arange(1, self.features + 1, dtype=np.float64) ** -self.spectrum)

    @property
    def powers(self) -> FloatArray:
        """(features,) lambda_k w_k^2; their sum is the loss before training."""
        return np.asarray(np.arange(1, self.features + 1, dtype=np.float64) ** -self.task)

    def infinite_width(self, times: ArrayLike) -> FloatArray:
        """(times,) loss of infinitely many projections: every feature learns on its own."""
        at = _times(times)
        return np.asarray(np.exp(-2.0 * at[:, None] * self.variances) @ self.powers)

    def check(self, widths: Sequence[int], times: ArrayLike) -> None:
        """Raise UsageError if a width or a time is too near the end of the spectrum for a power law."""
        if max(widths) > self.features / MARGIN:
            raise UsageError(f"width {max(widths)} needs at least {MARGIN * max(widths):.0f} features to show a power law, got {self.features}")
        limit = self.features**self.spectrum / MARGIN
        if float(_times(times).max()) > limit:
            raise UsageError(f"times up to {float(_times(times).max()):.3g} need more features: {self.features} end the power law at {limit:.3g}")


@dataclass(frozen=True)
class Learning:
    """Loss over the times of one student: `test` on the population, `train` on its samples (the same where it had the population), each
    (times,); `final` is the test loss at t = inf."""

    test: FloatArray
    train: FloatArray
    final: float


def learn(teacher: Teacher, width: int, times: ArrayLike, *, seed: int, samples: int | None = None) -> Learning:
    """Train one student exactly.

    Args:
        teacher: the task.
        width: N, number of random projections.
        times: (times,) of the gradient flow, 0 or more.
        seed: of the projections and the samples.
        samples: P Gaussian samples that are used all the time; None for the population.

    Raises:
        UsageError: a width or a number of samples below 1, or a negative time.
    """
    at = _times(times)
    if width < 1 or (samples is not None and samples < 1):
        raise UsageError(f"need at least one projection and one sample, got {width} and {samples}")
    rng = np.random.default_rng(seed)
    scale = np.sqrt(teacher.variances)
    target = np.sqrt(teacher.powers)  # sqrt(lambda) w
    student = scale[:, None] * rng.standard_normal((teacher.features, width)) / math.sqrt(width)  # (M, N)
    if samples is None:
        seen, wanted = student, target
    else:
        draws = rng.standard_normal((samples, teacher.features)) / math.sqrt(samples)
        seen, wanted = draws @ student, draws @ target
    values, vectors = np.linalg.eigh(seen.T @ seen)
    # the kernel of fewer samples than projections has directions that never learn
    alive = values > values[-1] * 1e-13
    values, vectors = values[alive], vectors[:, alive]
    pull = vectors.T @ (seen.T @ wanted)  # (alive,)
    decay = np.exp(-at[:, None] * values)  # (times, alive)
    train = float(wanted @ wanted) - ((1.0 - decay**2) * pull**2 / values).sum(axis=1)
    reach = student @ vectors  # (M, alive)
    kernel, aligned = reach.T @ reach, reach.T @ target
    learned = np.concatenate([(1.0 - decay) * pull / values, (pull / values)[None]])  # (times + 1, alive); the last is t = inf
    test = float(target @ target) - 2.0 * learned @ aligned + np.einsum("ti,ij,tj->t", learned, kernel, learned)
    return Learning(test[:-1], np.maximum(train, 0.0), float(test[-1]))


def curves(teacher: Teacher, widths: Sequence[int], times: ArrayLike, *, seeds: int, seed: int) -> Table:
    """Learning curves for tests of fits: power laws with known exponents that are not of any additive form.

    Args:
        teacher: the task.
        widths: N of the students.
        times: (times,) above 0.
        seeds: students of each width; their mean loss is the row's.
        seed: of all of them.

    Returns:
        Columns `parameters` (N), `steps` (t) and `loss`, a row for each width and time.

    Raises:
        UsageError: no seed, or widths or times outside the power law; see `Teacher.check`.
    """
    if seeds < 1 or not widths:
        raise UsageError("need at least one width and one seed")
    teacher.check(widths, times)
    at = _times(times)
    means = [np.mean([learn(teacher, width, at, seed=_place(seed, width, number)).test for number in range(seeds)], axis=0) for width in widths]
    return table_of({"parameters": np.repeat(np.asarray(widths), at.size), "steps": np.tile(at, len(widths)), "loss": np.concatenate(means)})


def _place(seed: int, width: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, width, number]).generate_state(1)[0])


def _times(times: ArrayLike) -> FloatArray:
    at = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if at.ndim != 1 or not bool(np.all(np.isfinite(at) & (at >= 0.0))):
        raise UsageError("times must be a vector of finite numbers, 0 or more")
    return at
