"""The verdict is computed: it follows value, interval and bounds, and nobody can write it down."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from outthink.papers.measured import Broken, Measured, Skipped

NEEDED = {"paper", "claim", "expected", "value", "interval", "holds", "kind", "seconds"}


def test_within_counts_both_ends_and_nothing_beyond():
    assert Measured.within("x", value=0.5, target=0.4, tolerance=0.125).holds
    assert not Measured.within("x", value=0.6, target=0.4, tolerance=0.125).holds
    assert not Measured.within("x", value=0.2, target=0.4, tolerance=0.125).holds


@pytest.mark.parametrize(
    ("interval", "holds"),
    [((0.1, 0.3), True), ((0.2, 0.3), True), ((0.21, 0.3), False), ((0.0, 0.19), False), ((-1.0, 1.0), False)],
)
def test_covers_needs_the_target_inside_a_narrow_interval(interval: tuple[float, float], holds: bool):
    assert Measured.covers("x", value=sum(interval) / 2, target=0.2, widest=0.25, interval=interval).holds is holds


def test_one_sided_rules_read_the_whole_interval():
    assert Measured.at_least("x", value=0.5, interval=(0.3, 0.7), bound=0.3).holds
    assert not Measured.above("x", value=0.5, interval=(0.3, 0.7), bound=0.3).holds
    assert not Measured.at_least("x", value=0.5, interval=(0.29, 0.7), bound=0.3).holds
    assert Measured.at_most("x", value=0.5, interval=(0.3, 0.7), bound=0.7).holds
    assert not Measured.below("x", value=0.5, interval=(0.3, 0.7), bound=0.7).holds
    assert not Measured.at_most("x", value=0.5, interval=(0.3, 0.71), bound=0.7).holds


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_could_not_be_measured_never_holds(value: float):
    assert not Measured.within("x", value=value, target=0.0, tolerance=1.0).holds
    assert not Measured.at_least("x", value=math.nan, bound=0.0).holds
    assert not Measured.at_most("x", value=math.nan, bound=0.0).holds
    assert json.loads(json.dumps(Measured.within("x", value=value, target=0.0, tolerance=1.0).to_json(), allow_nan=False))["value"] is None


def test_the_verdict_cannot_be_written():
    with pytest.raises(TypeError):
        Measured(claim="x", rule="within", low=0.0, high=1.0, expected="", value=5.0, holds=True)  # type: ignore[call-arg]
    measured = Measured.within("x", value=5.0, target=0.0, tolerance=1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        measured.holds = True  # type: ignore[misc]
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(measured, holds=True)
    assert dataclasses.replace(measured, value=0.5).holds


def test_bad_bounds_are_refused():
    with pytest.raises(ValueError, match="tolerance"):
        Measured.within("x", value=0.0, target=0.0, tolerance=-1.0)
    with pytest.raises(ValueError, match="bounds"):
        Measured.at_least("x", value=0.0, bound=math.nan)
    with pytest.raises(ValueError, match="interval"):
        Measured.covers("x", value=0.0, target=0.0, widest=1.0, interval=(1.0, 0.0))


def test_json_has_the_promised_keys_whatever_happened():
    results = [
        Measured.above("x", value=1.0, bound=0.5),
        Skipped(paper=1, name="n", claim="x", kind="real", reason="no model", remedy="get it"),
        Broken(paper=1, name="n", claim="x", kind="real", error="ValueError: no", log="here", seconds=0.1),
    ]
    rows = [result.to_json() for result in results]
    assert all(set(row) >= NEEDED for row in rows)
    assert [row["holds"] for row in rows] == [True, None, None]
    assert [row["status"] for row in rows] == ["measured", "skipped", "error"]


def test_numbers_of_numpy_become_plain_ones():
    row = Measured.at_most("a share", value=np.float64(0.25), bound=np.float64(0.5), interval=(np.float64(0.1), np.float64(0.4))).to_json()
    assert json.loads(json.dumps(row))["holds"] is True
    assert row["interval"] == [0.1, 0.4]
