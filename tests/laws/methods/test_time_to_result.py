import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from outthink.core.errors import UsageError
from outthink.laws.methods.time_to_result import TargetTimes, compare_budgets, fit_target_times, profile, spent_to_target
from outthink.laws.table import table_of

INF = math.inf


def times(rows, workloads=("a", "b")):
    return TargetTimes(tuple(f"s{number}" for number in range(len(rows))), workloads, np.array(rows, dtype=float))


def test_the_first_evaluation_that_meets_the_target_counts_not_the_best():
    assert spent_to_target([10, 20, 30], [0.1, 0.6, 0.9], 0.5) == 20
    assert spent_to_target([10, 20, 30], [0.9, 0.4, 0.5], 0.5, falling=True) == 20
    assert spent_to_target([10, 20], [math.nan, 0.2], 0.5) == INF


@given(arrays(float, (4, 3), elements=st.floats(0.1, 100.0) | st.just(INF)), st.floats(1.5, 8.0))
def test_the_exact_score_is_the_limit_of_the_grid(table, r_max):
    found = times(table, ("a", "b", "c"))
    exact, fine = found.scores(r_max=r_max, points=None), found.scores(r_max=r_max, points=4001)
    for name, score in exact.items():
        assert 0.0 <= score <= 1.0
        assert fine[name] == pytest.approx(score, abs=1.0 / 4000)


@given(arrays(float, (4, 3), elements=st.floats(0.1, 100.0) | st.just(INF)), arrays(float, 3, elements=st.floats(0.01, 100.0)))
def test_the_unit_of_each_workload_does_not_matter(table, units):
    before, after = times(table, ("a", "b", "c")).ratios(), times(table * units, ("a", "b", "c")).ratios()
    np.testing.assert_allclose(before, after, rtol=1e-12)


def test_ratios_and_profile_by_hand():
    found = times([[1.0, 8.0], [2.0, 4.0], [INF, math.nan]])
    np.testing.assert_array_equal(found.ratios(), [[1.0, 2.0], [2.0, 1.0], [INF, INF]])
    np.testing.assert_array_equal(profile(found.ratios(), [1.0, 1.9, 2.0]), [[0.5, 0.5, 1.0], [0.5, 0.5, 1.0], [0.0, 0.0, 0.0]])
    assert found.scores(points=None) == pytest.approx({"s0": (1 + 2 / 3) / 2, "s1": (1 + 2 / 3) / 2, "s2": 0.0})


def test_what_everybody_missed_is_nobody_s_win():
    assert times([[INF, 1.0], [INF, 1.0]]).scores(points=None) == {"s0": 0.5, "s1": 0.5}


def test_voiding_in_the_official_order():
    names = ("base", "other", "variant")
    # a missed variant voids its base; a missed base voids its variant, which is then not the best on the variant;
    # the 4x rule on the variant voids the base as well
    found = times([[10, 10, INF], [INF, 10, 1], [20, 41, 20], [12, 10, 100]], names).voided({"variant": "base"})
    assert found.workloads == ("base", "other")
    np.testing.assert_array_equal(found.times, [[INF, 10], [INF, 10], [20, INF], [INF, 10]])


def test_exactly_r_max_times_the_best_still_counts():
    np.testing.assert_array_equal(times([[1.0, 1.0], [4.0, 4.1]]).voided({}).times, [[1.0, 1.0], [4.0, INF]])


def trials(rows):
    submission, workload, study, time, index = zip(*rows, strict=True)
    return table_of({"submission": submission, "workload": workload, "study": study, "time_to_target_s": time, "eval_index": index})


def test_fastest_of_a_study_then_median_over_studies():
    table = trials([("s", "w", "1", 5.0, 1.0), ("s", "w", "1", 3.0, 2.0), ("s", "w", "2", 9.0, 1.0), ("s", "w", "3", INF, math.nan)])
    assert fit_target_times(table).times.item() == 9.0  # of 3, 9, inf
    assert fit_target_times(table, fastest="evaluation").times.item() == 9.0
    fewer = table.where([0, 1])
    assert (fit_target_times(fewer).times.item(), fit_target_times(fewer, fastest="evaluation").times.item()) == (3.0, 5.0)


def test_half_of_the_studies_failing_makes_the_median_infinite():
    table = trials([("s", "w", "1", 5.0, 1.0), ("s", "w", "2", INF, math.nan)])
    assert fit_target_times(table).times.item() == INF


def test_strategies_by_the_tokens_they_need():
    curves = {"vote": {"sums": ([10, 20, 40], [0.5, 0.7, 0.8])}, "search": {"sums": ([30, 60], [0.7, 0.9]), "words": ([5], [0.9])}}
    found = compare_budgets(curves, {"sums": 0.7, "words": 0.8})
    np.testing.assert_array_equal(found.times, [[20, math.nan], [30, 5]])
    assert found.scores(points=None) == pytest.approx({"vote": 0.5, "search": (2.5 / 3 + 1) / 2})


def test_errors_name_what_is_wrong():
    with pytest.raises(UsageError, match="no workload 'c'"):
        times([[1, 2]]).voided({"c": "a"})
    with pytest.raises(UsageError, match="0 or more"):
        times([[-1, 2]])
    with pytest.raises(UsageError, match="one number an evaluation"):
        spent_to_target([1, 2], [1], 0.5)
