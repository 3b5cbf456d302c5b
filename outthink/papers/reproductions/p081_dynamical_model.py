"""[81] A Dynamical Model of Neural Scaling Laws.

The paper: a random-feature model trained by gradient descent has different exponents for time and for size, so the compute-optimal number of
steps grows faster than the size; a finite width costs 1/N early and a power of N late; reused data open a gap between train and test loss.

Here: the exact dynamics of that model, held against the closed exponents at two tasks. Not covered: trained networks, ensembles.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from outthink.laws.methods.dynamical import Teacher, learn
from outthink.papers.harness import reproduction
from outthink.papers.measured import Measured
from outthink.papers.tiny.seeds import mean_interval
from outthink.stats._arrays import FloatArray

SEED = 81
TASKS = ((1.5, 1.25), (2.0, 1.5))
WIDTHS = (20, 40, 80, 160, 320)
STUDENTS = 6
DENSE = 1_000_000  # features where only the infinite width is needed, which costs one sum


@reproduction(paper=81, kind="simulated", fast=True)
def time_exponent() -> Iterator[Measured]:
    """At infinite width the loss falls as t^-((a-1)/b)."""
    times = np.geomspace(30.0, 3000.0, 12)
    for a, b in TASKS:
        teacher = Teacher(a, b, DENSE)
        slope = float(np.polyfit(np.log(times), np.log(teacher.infinite_width(times)), 1)[0])
        yield Measured.within(
            f"exponent of time, a = {a}, b = {b}", value=slope, target=-teacher.exponents.time, tolerance=0.15 * teacher.exponents.time,
            data="exact dynamics", size=f"{DENSE:,} features, times 30 to 3,000",
        )  # fmt: skip


@cache
def _surface(a: float, b: float) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    # (widths,), (times,), log of the mean test loss (widths, times), log final losses (seeds, widths)
    teacher = Teacher(a, b, 4000)
    times = np.geomspace(0.5, teacher.features**b / 10.0, 60)
    widths = np.array(WIDTHS, dtype=np.float64)
    runs = [[learn(teacher, width, times, seed=SEED + 1000 * number + width) for width in WIDTHS] for number in range(STUDENTS)]
    tests = np.mean([[run.test for run in row] for row in runs], axis=0)
    return widths, times, np.log(tests), np.log([[run.final for run in row] for row in runs])


@reproduction(paper=81, kind="simulated")
def size_exponent() -> Iterator[Measured]:
    """At the end of training the loss falls as N^-min(a-1, 2b), faster than with time."""
    for a, b in TASKS:
        theory = Teacher(a, b).exponents
        widths, _, _, final = _surface(a, b)
        slopes = [float(np.polyfit(np.log(widths), row, 1)[0]) for row in final]
        told = mean_interval(slopes)
        size = f"4,000 features, N = 20 to 320, {STUDENTS} students each"
        yield Measured.within(
            f"exponent of size, a = {a}, b = {b}", value=told.estimate, target=-theory.size, tolerance=0.2 * theory.size,
            interval=(told.low, told.high), data="exact dynamics", seed=SEED, size=size,
        )  # fmt: skip
        # the theory's own time exponent: the simulated one is held against it elsewhere
        yield Measured.below(
            f"the loss falls faster with size than with time (size less time exponent), a = {a}, b = {b}", value=told.estimate + theory.time,
            interval=(told.low + theory.time, told.high + theory.time), bound=0.0, data="exact dynamics", seed=SEED, size=size,
        )  # fmt: skip


@reproduction(paper=81, kind="simulated")
def compute_optimal() -> Iterator[Measured]:
    """With compute C = N t the best width grows as C^(1/(1+b)) and the best time as C^(b/(1+b)): steps faster than size."""
    for a, b in TASKS:
        theory = Teacher(a, b).exponents
        widths, times, losses, _ = _surface(a, b)
        compute = np.geomspace(widths[1] * 10.0, widths[-2] * times[-1] / 10.0, 60)
        best = np.array([_best_width(widths, times, losses, float(cost)) for cost in compute])
        inner = (best > widths[0] * 1.2) & (best < widths[-1] / 1.2)  # where the grid of widths did not choose
        if inner.sum() < 3:
            raise RuntimeError(f"the compute-optimal width leaves the grid of widths at a = {a}, b = {b}")
        slope = float(np.polyfit(np.log(compute[inner]), np.log(best[inner]), 1)[0])
        size = f"{int(inner.sum())} budgets, N = 20 to 320"
        yield Measured.within(
            f"exponent of the best width over compute, a = {a}, b = {b}", value=slope, target=theory.size_of_compute,
            tolerance=0.2 * theory.size_of_compute, data="exact dynamics", seed=SEED, size=size,
        )  # fmt: skip
        yield Measured.above(
            f"steps grow faster than size: exponent of the best time less that of the width, a = {a}, b = {b}", value=1.0 - 2.0 * slope,
            bound=0.0, data="exact dynamics", seed=SEED, size=size,
        )  # fmt: skip


def _best_width(widths: FloatArray, times: FloatArray, losses: FloatArray, cost: float) -> float:
    # least loss at N t = cost on a fine grid of widths: the loss is interpolated in log t for each width, then by a cubic in log N
    at = [np.interp(np.log(cost / width), np.log(times), row) for width, row in zip(widths, losses, strict=True)]
    fine = np.linspace(np.log(widths[0]), np.log(widths[-1]), 400)
    return float(np.exp(fine[np.argmin(np.polyval(np.polyfit(np.log(widths), at, 3), fine))]))


@reproduction(paper=81, kind="simulated")
def finite_width_and_data() -> Iterator[Measured]:
    """Early in training a finite width costs 1/N; samples that are used again and again open a gap between train and test loss."""
    rng = np.random.default_rng(SEED)
    for a, b in TASKS:
        teacher = Teacher(a, b, 200)  # at t = 1 only the first features have moved
        limit = float(teacher.infinite_width([1.0])[0])
        widths = WIDTHS[:-1]
        # a student's own gap is far larger than the mean gap, so there are many
        gaps = np.array([[learn(teacher, width, [1.0], seed=SEED + 1000 * number + width).test[0] for width in widths] for number in range(300)])
        means = (gaps[rng.integers(len(gaps), size=(1000, len(gaps)))] - limit).mean(axis=1)
        slopes = np.polyfit(np.log(widths), np.log(np.abs(means)).T, 1)[0]
        low, high = np.quantile(slopes, [0.025, 0.975])
        slope = float(np.polyfit(np.log(widths), np.log((gaps - limit).mean(axis=0)), 1)[0])
        yield Measured.within(
            f"exponent of the early gap over width, a = {a}, b = {b}", value=slope, target=-1.0, tolerance=0.2, data="exact dynamics", seed=SEED,
            interval=(float(low), float(high)), size="300 students each, 200 features, t = 1",
        )  # fmt: skip
    teacher, times = Teacher(1.5, 1.25, 2000), np.array([0.0, 1.0, 10.0, 100.0, 1000.0])
    runs = [learn(teacher, 100, times, seed=SEED + number, samples=200) for number in range(8)]
    growth = mean_interval([float((run.test[-1] - run.train[-1]) - (run.test[1] - run.train[1])) for run in runs])
    yield Measured.above(
        "growth of the gap between train and test loss from t = 1 to t = 1,000, 200 samples, N = 100", value=growth.estimate,
        interval=(growth.low, growth.high), bound=0.0, data="exact dynamics", seed=SEED, size="8 students",
    )  # fmt: skip
