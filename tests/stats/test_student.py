from statistics import NormalDist

import numpy as np
import pytest

from outthink.stats import bootstrap_mean, bootstrap_tail, student_quantile


@pytest.mark.parametrize(
    ("probability", "degrees", "table"), [(0.975, 1, 12.7062), (0.975, 4, 2.7764), (0.95, 7, 1.8946), (0.995, 30, 2.7500), (0.025, 4, -2.7764)]
)
def test_students_quantiles_are_those_of_the_tables(probability, degrees, table):
    assert student_quantile(probability, degrees) == pytest.approx(table, abs=5e-5)


def test_the_expansion_for_many_degrees_meets_the_sums():
    for probability in (0.6, 0.975, 0.9995):
        step = student_quantile(probability, 200) - student_quantile(probability, 201)
        before = student_quantile(probability, 199) - student_quantile(probability, 200)
        assert step == pytest.approx(before, rel=0.02)
    assert student_quantile(0.975, 10**7) == pytest.approx(NormalDist().inv_cdf(0.975), abs=1e-6)


@pytest.mark.parametrize(("probability", "degrees"), [(0.0, 5), (1.0, 5), (0.9, 0)])
def test_what_is_no_quantile_is_refused(probability, degrees):
    with pytest.raises(ValueError, match="degree of freedom"):
        student_quantile(probability, degrees)


def test_the_tail_is_the_nominal_one_for_many_units():
    assert bootstrap_tail(10**6, 0.95) == pytest.approx(0.025, abs=1e-6)
    tails = [bootstrap_tail(units, 0.95) for units in (2, 3, 5, 10, 100, 1000)]
    assert tails == sorted(tails)


@pytest.mark.parametrize("units", [5, 10])
def test_intervals_of_few_units_hold_the_truth_nearly_as_often_as_they_say(units):
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(600):
        found = bootstrap_mean(rng.normal(size=units), seed=trial, draws=2000)
        hits += found.low <= 0.0 <= found.high
    # plain percentiles hold it .84 and .90 of the time; sigma of 600 trials at .94 is .010
    assert 0.91 < hits / 600 < 0.97
