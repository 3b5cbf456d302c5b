"""Intervals over seeds against a table of Student's distribution; ranks."""

from __future__ import annotations

import pytest

from outthink.papers.tiny.seeds import mean_interval, spearman


def test_the_interval_of_five_seeds():
    told = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (told.estimate, told.low, told.high) == pytest.approx((3.0, 3.0 - 2.7764 * 0.5**0.5, 3.0 + 2.7764 * 0.5**0.5), abs=1e-4)


def test_ranks_see_order_alone():
    assert spearman([1, 2, 3, 4], [10, 20, 30, 1e9]) == pytest.approx(1.0)
    assert spearman([1, 2, 3, 4], [4, 3, 1, 2]) == pytest.approx(-0.8)
