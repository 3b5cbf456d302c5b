import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from outthink.core.errors import UsageError
from outthink.laws.methods.degradation import chain, correlations, survival, wrong_mass

logs = arrays(float, (3, 2, 4), elements=st.floats(-20.0, -0.01))


@given(logs, arrays(float, (3, 2, 1), elements=st.floats(-30.0, 0.0)))
def test_a_common_shift_changes_only_what_knows_the_vocabulary(table, shift):
    before, after = chain(table, [0, 3]), chain(table + shift, [0, 3])
    for name in ("p_choices", "brier"):
        np.testing.assert_allclose(after.steps()[name], before.steps()[name], atol=1e-9)
    np.testing.assert_allclose(after.log_p_vocab - before.log_p_vocab, shift[:, :, 0], atol=1e-9)


@given(logs)
def test_shares_of_the_right_choice_add_up_over_which_choice_is_right(table):
    every = [chain(table, [choice, choice]) for choice in range(4)]
    np.testing.assert_allclose(sum(one.p_choices for one in every), 1.0)
    np.testing.assert_allclose(sum(one.accuracy for one in every), 1.0)  # a tie shares its point


@given(logs)
def test_brier_is_the_squared_distance_of_choice_probabilities(table):
    found = chain(table, [1, 2])
    shares = np.exp(table) / np.exp(table).sum(axis=2, keepdims=True)
    target = np.eye(4)[[1, 2]]
    np.testing.assert_allclose(found.brier, -((shares - target) ** 2).sum(axis=2), atol=1e-12)


def test_length_decides_where_choices_differ_in_length():
    table = np.array([[[-6.0, -4.0]]] * 3)  # the right choice is long
    assert chain(table, [0]).accuracy[0, 0] == 0.0
    assert chain(table, [0], lengths=[[6, 2]]).accuracy[0, 0] == 1.0


def test_fewer_choices_are_minus_infinity():
    found = chain(np.array([[[-1.0, -2.0, -np.inf]]]), [0])
    assert found.p_choices.item() == pytest.approx(1 / (1 + np.exp(-1.0)))


@pytest.mark.parametrize("measure", ["pearson", "spearman", "kendall"])
def test_correlations_agree_with_scipy(measure):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    scores, compute = np.round(rng.normal(size=(9, 20)), 1), 10 ** rng.uniform(18, 22, 9)  # rounding makes ties
    named = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}[measure]
    expected = [named(scores[:, item], np.log(compute))[0] for item in range(20)]
    np.testing.assert_allclose(correlations(scores, compute, measure=measure), expected, atol=1e-12)


def test_a_constant_score_has_no_correlation_and_is_counted():
    compute = [1e20, 1e21, 1e22]
    found = correlations(np.array([[1, 0.1], [1, 0.2], [1, 0.4]]), compute)
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(1.0)
    assert survival(found).undefined == 0.5


@given(arrays(float, 30, elements=st.floats(-1.0, 1.0)))
def test_the_area_under_the_survival_function_is_the_mean(values):
    assert survival(values).area == pytest.approx((1.0 + values.mean()) / 2.0, abs=0.003)


def test_pooled_families_hide_what_each_shows():
    compute = np.array([1e20, 1e21, 1e22])
    rising = np.array([0.1, 0.2, 0.3])
    pooled = correlations(np.r_[rising + 0.5, rising][:, None], np.r_[compute, compute * 1e3])
    assert correlations(rising[:, None], compute)[0] == pytest.approx(1.0)
    assert pooled[0] < 0.0


def test_wrong_mass_follows_the_slope_it_was_made_with():
    mine = np.linspace(-6, -2, 8)
    table = np.stack([mine, 0.5 * mine - 3, 0.5 * mine - 4], axis=1)[:, None, :]
    found = wrong_mass(table, [0])
    assert found.slopes.item() == pytest.approx(0.5)
    assert found.correlations.item() == pytest.approx(1.0)


def test_errors_name_what_is_wrong():
    with pytest.raises(UsageError, match="are they probabilities"):
        chain(np.full((2, 1, 2), 0.5), [0])
    with pytest.raises(UsageError, match="indices of choices"):
        chain(np.full((2, 1, 2), -0.5), [2])
    with pytest.raises(UsageError, match="three models"):
        correlations([[0.1], [0.2]], [1e20, 1e21])
