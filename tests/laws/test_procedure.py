"""Procedures state their columns and refuse tables without them."""

from __future__ import annotations

import numpy as np
import pytest

from outthink.core.errors import DataError, UsageError
from outthink.laws.form import forms
from outthink.laws.methods.wall_clock import TransformerShape
from outthink.laws.procedure import procedures, shares
from outthink.laws.table import table_of


def test_no_procedure_shares_a_name_with_a_law_and_each_has_a_source() -> None:
    found = procedures()
    assert {"time-to-target", "isoflop", "sloth", "capabilities"} <= set(found)
    assert not set(found) & set(forms())
    assert all(one.source and one.papers and one.columns for one in found.values())


@pytest.mark.parametrize("name", sorted(procedures()))
def test_missing_columns_are_named(name: str) -> None:
    wanted = [column.name for column in procedures()[name].columns if column.kind != "others"]
    with pytest.raises(UsageError, match=wanted[0] if wanted else "two benchmarks"):
        procedures()[name](table_of({"zork": [5.0, 6.0]}))


def test_isoflop_finds_the_exponent_of_parabolas_with_known_minima() -> None:
    # minima at 1e-3 C^0.5 with symmetric bowls in log N: the exponent is 0.5
    rows = [(c, 1e-3 * c**0.5 * f, 3.0 + 0.05 * np.log(f) ** 2) for c in (1e18, 1e19, 1e20) for f in (0.25, 0.5, 1.0, 2.0, 4.0)]
    flops, parameters, loss = np.array(rows).T
    found = procedures()["isoflop"](table_of({"flops": flops, "parameters": parameters, "loss": loss}))
    assert [row["parameters"] for row in found.rows] == pytest.approx([1e6, 1e6 * 10**0.5, 1e7], rel=1e-2)
    assert "flops^0.5000" in found.notes[0]


def test_benchmarks_are_the_columns_of_shares() -> None:
    table = table_of(
        {"tokens": [1e9, 2e9], "mmlu": [0.2, 0.5], "arena": [900.0, 1000.0], "arc": [0.3, np.nan], "gsm": [0.1, 0.4], "flat": [0.5, 0.5]}
    )
    assert shares(table, ("tokens",)) == ["mmlu", "gsm"]


def test_a_trend_needs_every_pair_and_finds_a_fall() -> None:
    rng = np.random.default_rng(0)
    rows = [(n, f"q{i}", 0.9 - 0.1 * np.log10(n / 1e8) + 0.02 * rng.normal()) for n in (1e8, 1e9, 1e10, 1e11) for i in range(40)]
    sizes, items, scores = zip(*rows, strict=True)
    table = table_of({"parameters": sizes, "item": items, "score": scores})
    found = procedures()["trend"](table)
    assert found.notes[0].startswith("falling")
    with pytest.raises(DataError, match="need 160 rows"):
        procedures()["trend"](table.where(np.arange(159)))


def test_accept_then_stop_ranks_by_the_line_at_full_size() -> None:
    sizes = np.array([250.0, 500.0, 1000.0, 2000.0, 4000.0])
    rows = [(name, d, a * d**-b, 1e6) for name, a, b in (("flat", 2.0, 0.05), ("steep", 3.0, 0.2)) for d in sizes]
    model, samples, loss, full = zip(*rows, strict=True)
    found = procedures()["accept-then-stop"](table_of({"model": model, "samples": samples, "loss": loss, "full": full}))
    assert [row["model"] for row in found.rows] == ["steep", "flat"]
    assert found.rows[0]["predicted loss"] == pytest.approx(3.0 * 1e6**-0.2, rel=1e-6)


def test_a_crossover_is_between_two_methods_at_the_same_resources() -> None:
    x = np.geomspace(1e6, 1e10, 16)
    noise = np.exp(0.002 * np.random.default_rng(0).normal(size=(2, 16)))
    loss = np.concatenate([(1.5 + 20.0 * x**-0.15) * noise[0], (1.6 + 60.0 * x**-0.15) * noise[1]])
    table = table_of({"method": ["a"] * 16 + ["b"] * 16, "x": np.tile(x, 2), "loss": loss})
    assert procedures()["crossover"](table).notes == ("verdict: a",)
    with pytest.raises(DataError, match="got 1: a"):
        procedures()["crossover"](table.where(np.arange(16)))


def test_a_break_is_placed_and_a_straight_line_has_none() -> None:
    x = np.geomspace(1e14, 1e18, 24)
    noise = np.exp(0.002 * np.random.default_rng(0).normal(size=24))
    bent = np.where(x < 1e16, (x / 1e16) ** -0.02, (x / 1e16) ** -0.08)
    (row,), (note,) = (part := procedures()["break"](table_of({"x": x, "loss": bent * noise}))).rows, part.notes
    assert note.startswith("a break")
    assert np.log10(float(row["x"])) == pytest.approx(16, abs=0.2)
    assert (row["exponent before"], row["exponent after"]) == pytest.approx((0.02, 0.08), abs=0.01)
    assert procedures()["break"](table_of({"x": x, "loss": x**-0.05 * noise})).notes[0].startswith("no break")


def test_a_run_that_did_not_converge_is_told_from_one_that_did() -> None:
    rng = np.random.default_rng(1)
    sizes = np.repeat(np.geomspace(1e4, 1e7, 7), 4)
    losses = 20 * sizes**-0.1 * np.exp(0.005 * rng.normal(size=sizes.size))
    losses[-1] *= 1.15
    found = procedures()["forecast"](table_of({"parameters": sizes, "loss": losses}))
    assert [str(row["verdict"]).startswith("worse") for row in found.rows] == [False, False, False, True]
    with pytest.raises(DataError, match="smaller ones"):
        procedures()["forecast"](table_of({"parameters": np.full(5, 1e6), "loss": np.ones(5)}))


def test_step_times_made_from_bytes_are_explained_by_bytes() -> None:
    rng = np.random.default_rng(2)
    shapes = [(depth, width, 4 * width, 4, 128, batch, 1000) for depth in (1, 4, 12) for width in (64, 128) for batch in (2, 16)]
    seconds = [1e-3 + 1e-9 * TransformerShape(*shape).bytes_moved * float(np.exp(0.01 * rng.normal())) for shape in shapes]
    names = ("depth", "width", "feed_forward", "heads", "context", "batch", "vocabulary")
    table = table_of({**dict(zip(names, np.array(shapes, dtype=float).T, strict=True)), "seconds": seconds})
    found = procedures()["wall-clock"](table)
    assert {row["seconds by"] for row in found.rows} == {"bytes", "flops"}
    assert found.notes[0].startswith("plan with bytes")


def test_the_split_between_solving_and_verifying_is_read_off_a_grid() -> None:
    # log accuracy is best where log S : log V is 2 : 1 of the compute
    pairs = [(s, v) for s in (1, 2, 4, 8, 16, 32, 64) for v in (1, 2, 4, 8, 16)]
    accuracy = [0.9 - 0.3 * s**-0.5 - 0.3 * v**-1.0 for s, v in pairs]
    solutions, verifications = np.array(pairs, dtype=float).T
    table = table_of({"solutions": solutions, "verifications": verifications, "accuracy": accuracy, "ratio": np.full(len(pairs), 0.5)})
    found = procedures()["solve-or-verify"](table)
    spent, reached = ([float(row[name]) for row in found.rows] for name in ("compute", "accuracy"))
    assert spent == sorted(spent)
    assert reached == sorted(reached)
    assert reached[-1] == pytest.approx(max(accuracy))
    with pytest.raises(DataError, match="same in every row"):
        procedures()["solve-or-verify"](table.with_columns(ratio=np.arange(len(pairs)) + 1.0))
