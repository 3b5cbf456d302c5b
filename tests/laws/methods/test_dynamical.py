"""The dynamical model: agreement with stepped gradient flow, limits, theory."""

from __future__ import annotations

import numpy as np
import pytest

from outthink.core.errors import UsageError
from outthink.laws.methods.dynamical import Teacher, curves, learn


def _stepped(teacher: Teacher, width: int, until: float, *, seed: int, samples: int | None) -> tuple[float, float]:
    # the same draws, but Euler steps on v itself in the place of the eigenbasis
    rng = np.random.default_rng(seed)
    scale = np.sqrt(teacher.variances)
    target = np.sqrt(teacher.powers)
    student = scale[:, None] * rng.standard_normal((teacher.features, width)) / np.sqrt(width)
    seen, wanted = student, target
    if samples is not None:
        draws = rng.standard_normal((samples, teacher.features)) / np.sqrt(samples)
        seen, wanted = draws @ student, draws @ target
    v, steps = np.zeros(width), 20_000
    for _ in range(steps):
        v += until / steps * seen.T @ (wanted - seen @ v)
    return float(((target - student @ v) ** 2).sum()), float(((wanted - seen @ v) ** 2).sum())


@pytest.mark.parametrize("samples", [None, 12, 60])
def test_the_closed_form_is_the_gradient_flow(samples):
    teacher = Teacher(1.5, 1.25, 80)
    told = learn(teacher, 20, [5.0], seed=3, samples=samples)
    assert (told.test[0], told.train[0]) == pytest.approx(_stepped(teacher, 20, 5.0, seed=3, samples=samples), rel=2e-3)


def test_before_training_the_loss_is_the_whole_power():
    teacher = Teacher(2.0, 1.5, 100)
    assert learn(teacher, 10, [0.0], seed=0).test[0] == pytest.approx(teacher.powers.sum())
    assert teacher.infinite_width([0.0])[0] == pytest.approx(teacher.powers.sum())


def test_the_population_loss_falls_to_its_end():
    told = learn(Teacher(1.5, 1.25, 200), 30, [0, 1, 10, 100, 1e9], seed=1)
    assert np.all(np.diff(told.test) < 0)
    assert told.test[-1] == pytest.approx(told.final, rel=1e-6)
    assert told.train == pytest.approx(told.test)


def test_a_wide_student_comes_near_the_infinite_one():
    teacher, times = Teacher(1.5, 1.25, 60), [1.0, 5.0]
    assert np.mean([learn(teacher, 400, times, seed=seed).test for seed in range(5)], axis=0) == pytest.approx(teacher.infinite_width(times), rel=0.1)


def test_fewer_samples_than_projections_are_learned_by_heart():
    told = learn(Teacher(1.5, 1.25, 200), 60, [1e12], seed=2, samples=20)
    assert told.train[0] < 1e-6
    assert told.test[0] > 0.1


def test_exponents_of_the_theory():
    told = Teacher(1.5, 1.25).exponents
    assert (told.time, told.size, told.compute) == pytest.approx((0.4, 0.5, 0.5 / 2.25))
    assert told.size_of_compute + told.time_of_compute == pytest.approx(1.0)  # compute is their product
    assert Teacher(9.0, 1.0).exponents.size == 2.0


def test_time_falls_with_its_exponent():
    times = np.geomspace(30, 1000, 8)
    teacher = Teacher(2.0, 1.5, 200_000)
    slope = np.polyfit(np.log(times), np.log(teacher.infinite_width(times)), 1)[0]
    assert slope == pytest.approx(-teacher.exponents.time, rel=0.05)


def test_curves_are_a_table_that_repeats_under_its_seed():
    teacher = Teacher(1.5, 1.25, 400)
    table = curves(teacher, [10, 20], [1.0, 10.0, 50.0], seeds=2, seed=5)
    assert table.column("parameters").tolist() == [10, 10, 10, 20, 20, 20]
    assert table.column("steps").tolist() == [1, 10, 50, 1, 10, 50]
    again = curves(teacher, [20], [1.0, 10.0, 50.0], seeds=2, seed=5)
    assert again.column("loss").tolist() == table.column("loss")[3:].tolist()  # a width's students do not depend on the others


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Teacher(0.9, 1.0), "a > 1"),
        (lambda: learn(Teacher(), 0, [1.0], seed=0), "at least one projection"),
        (lambda: learn(Teacher(), 5, [-1.0], seed=0), "times"),
        (lambda: curves(Teacher(1.5, 1.25, 100), [50], [1.0], seeds=1, seed=0), "features"),
        (lambda: curves(Teacher(1.5, 1.25, 100), [5], [1e6], seeds=1, seed=0), "times up to"),
    ],
)
def test_bad_input_is_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make()
