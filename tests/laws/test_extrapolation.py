"""Splits never leak, errors are those of unseen rows, and the baselines can win."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outthink.core.errors import UsageError
from outthink.laws.extrapolation import extrapolate, leave_one_out, ordered, rolling
from outthink.laws.table import Table, table_of


def runs(noise: float = 0.0, seed: int = 0) -> Table:
    """Chinchilla with A 400, B 2000, E 1.7, alpha .34, beta .37 on a 6 x 8 grid."""
    n, d = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 1e10, 6), np.geomspace(1e9, 3e11, 8)))
    loss = 1.7 + 400.0 * n**-0.34 + 2000.0 * d**-0.37
    rng = np.random.default_rng(seed)
    return table_of({"parameters": n, "tokens": d, "loss": loss * np.exp(noise * rng.normal(size=n.size))})


orders = st.lists(st.integers(0, 6), min_size=3, max_size=40).filter(lambda values: len(set(values)) > 1)


@given(orders, st.floats(0.05, 0.95))
def test_what_is_held_out_is_larger_than_all_that_is_fitted(values: list[int], share: float) -> None:
    order = np.array(values, dtype=float)
    _, train, test = ordered(order, share=share)
    assert train.any()
    assert test.any()
    assert not (train & test).any()
    assert (train | test).all()
    assert order[test].min() > order[train].max()


@given(orders, st.integers(1, 6))
def test_rolling_folds_are_disjoint_ahead_of_their_training_rows_and_end_with_the_largest(values: list[int], folds: int) -> None:
    order = np.array(values, dtype=float)
    splits = rolling(order, folds=folds)
    held = np.sum([test for _, _, test in splits], axis=0)
    assert held.max() == 1
    assert held[order.argmax()] == 1
    for _, train, test in splits:
        assert order[test].min() > order[train].max()


def test_every_group_is_left_out_once() -> None:
    splits = leave_one_out(["a", "b", "a", "c"])
    assert [name for name, _, _ in splits] == ["a", "b", "c"]
    assert all((train ^ test).all() for _, train, test in splits)
    with pytest.raises(UsageError, match="two groups"):
        leave_one_out(["a", "a"])


def test_the_true_law_without_noise_predicts_exactly_and_a_power_law_does_not() -> None:
    found = extrapolate("chinchilla", runs())
    assert found.error() < 1e-6
    assert found.error("constant") > found.error("power") > 0.01
    assert found.holds
    # the largest row has 6 * 1e10 * 3e11 FLOPs; the largest fitted one is smaller by the reach
    order = 6.0 * runs().column("parameters") * runs().column("tokens")
    _, train, _ = ordered(np.log(order))
    assert found.reach == pytest.approx(order.max() / order[train].max())


def test_a_pure_power_law_is_not_beaten_on_its_own_data() -> None:
    x = np.geomspace(1e6, 1e10, 24)
    table = table_of({"x": x, "loss": 50.0 * x**-0.1 * np.exp(0.01 * np.random.default_rng(0).normal(size=x.size))})
    found = extrapolate("power", table)
    assert found.error("power") == pytest.approx(found.error(), rel=0.3)
    assert found.error("power") < found.error("constant")


def test_the_error_is_that_of_the_held_out_rows_only() -> None:
    table = runs()
    _, _, test = ordered(np.log(6.0 * table.column("parameters") * table.column("tokens")))
    loss = table.column("loss").copy()
    loss[test] *= 1.1  # only unseen rows change: the law stays, each error becomes -log 1.1
    found = extrapolate("chinchilla", table.with_columns(loss=loss))
    assert found.error() == pytest.approx(np.log(1.1), rel=1e-4)
    assert found.bias == pytest.approx(-np.log(1.1), rel=1e-4)


def test_a_fold_with_too_few_rows_says_so_and_the_others_count() -> None:
    table = runs()
    small = table.column("parameters") <= 6e7
    labels = np.where(small, "small", "large")
    few = table.where(np.r_[np.flatnonzero(small)[:3], np.flatnonzero(~small)[:20]])
    few = Table(few.columns, {"family": np.r_[labels[small][:3], labels[~small][:20]]})
    found = extrapolate("chinchilla", few, how="groups", group="family")
    assert [bool(fold.failed) for fold in found.folds] == [True, False]
    assert "3 rows" in found.folds[0].failed
    assert found.held_out == 3


def test_bad_requests_are_told() -> None:
    with pytest.raises(UsageError, match="share held out"):
        ordered(np.arange(4.0), share=1.5)
    with pytest.raises(UsageError, match="same compute"):
        ordered(np.ones(4))
    with pytest.raises(UsageError, match="no split 'random'"):
        extrapolate("chinchilla", runs(), how="random")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="give group"):
        extrapolate("chinchilla", runs(), how="groups")
