"""Charts as data, and that they can be drawn."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from outthink.evaluate.charts import COLOURS, bar_chart, javascript, line_chart, png, stacked, svg

ROWS = [
    {"k": k, "accuracy": 0.1 * (i + 1) + 0.05 * s, "low": 0.1 * i, "high": 0.1 * (i + 2), "method": name}
    for s, name in enumerate(("a", "b.c[0]", "limit"))
    for i, k in enumerate((1, 2, 4, 8))
]


def chart(**changes: object) -> dict[str, object]:
    named = {"x": "k", "y": "accuracy", "series": "method", "x_title": "samples", "y_title": "accuracy", "low": "low", "high": "high", "title": "t"}
    return line_chart(ROWS, **{**named, **changes})


def found(spec: object, key: str) -> list[object]:
    """All values under a key, anywhere."""
    if isinstance(spec, dict):
        return [value for name, value in spec.items() if name == key] + [one for value in spec.values() for one in found(value, key)]
    return [one for value in spec for one in found(value, key)] if isinstance(spec, list) else []


def test_axes_are_log2_and_lines_carry_their_names() -> None:
    spec = chart(controls=["limit"])
    scales = [scale for scale in found(spec, "scale") if isinstance(scale, dict) and scale.get("type") == "log"]
    assert scales
    assert {scale["base"] for scale in scales} == {2}
    drawn = svg(spec)
    for name in ("a", "b.c[0]", "limit", "samples"):
        assert f">{name}<" in drawn


def test_one_chart_writes_png_and_stacks(tmp_path: Path) -> None:
    bars = bar_chart(ROWS[:3], name="method", value="accuracy", x_title="x", low="low", high="high")
    both = stacked(chart(percent=True, levels=[("ceiling", 0.9)]), bars)
    png(both, tmp_path / "c.png", scale=1)
    assert (tmp_path / "c.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    json.dumps(both, allow_nan=False)


def test_a_stacked_chart_keeps_its_own_colours() -> None:
    other = line_chart([{"k": 1, "y": 1, "m": "limit"}, {"k": 2, "y": 1, "m": "limit"}], x="k", y="y", series="m", x_title="", y_title="")
    both = svg(stacked(other, chart(controls=["limit"])))
    assert COLOURS[0] in both.split(">limit<")[0]  # an ordinary series in the first chart ...
    assert "#7b8794" in both.split(">limit<")[1]  # ... and grey in the second, where it is a control


def test_rows_that_cannot_be_shown_are_left_out_and_none_is_an_error() -> None:
    rows = [{"k": 0, "accuracy": 0.3, "method": "a"}, {"k": 4, "accuracy": None, "method": "a"}]
    with pytest.raises(ValueError, match="no row has numbers for k and accuracy"):
        line_chart(rows, x="k", y="accuracy", series="method", x_title="", y_title="")
    more = [*rows, {"k": 2, "accuracy": 0.2, "method": "a"}]
    spec = line_chart(more, x="k", y="accuracy", series="method", x_title="", y_title="")
    assert {row["k"] for data in found(spec, "values") if isinstance(data, list) for row in data if isinstance(row, dict) and "k" in row} == {2}


def test_names_at_the_ends_do_not_overlap() -> None:
    rows = [{"k": k, "y": 0.5 + 0.001 * (i // 3), "method": f"m{i}"} for i in range(4) for k in (1, 2)]
    spec = line_chart(rows, x="k", y="y", series="method", x_title="", y_title="", log_x=None)
    places = sorted(row["place"] for data in found(spec, "values") for row in data if isinstance(row, dict) and "place" in row)
    # three lines end at .5 and one at .501; the axis shows that and a little room, a name is a twentieth of it high
    assert len(places) == 4
    assert min(b - a for a, b in pairwise(places)) >= 0.00004
    assert places[0] == 0.5


def named(spec: dict[str, object]) -> dict[str, float]:
    """Name -> the height at which it stands."""
    return {str(row["name"]): row["place"] for data in found(spec, "values") for row in data if isinstance(row, dict) and "place" in row}


def test_a_level_is_named_where_the_lines_are_and_ends_before_its_name() -> None:
    rows = [{"k": k, "y": 0.5, "m": "a"} for k in (1, 8)]
    spec = line_chart(rows, x="k", y="y", series="m", x_title="", y_title="", levels=[("level", 0.5)], percent=True)
    places = named(spec)
    # the axis spans 2 * 6% of 0.5; a name is a twentieth of it high
    assert abs(places["level"] - places["a"]) >= 0.045 * 0.06
    assert [(row["k"], row["to"]) for data in found(spec, "values") for row in data if isinstance(row, dict) and "to" in row] == [(1.0, 8.0)]


def test_a_name_inside_the_chart_is_not_crossed_by_a_level() -> None:
    rows = [{"k": 1, "y": 0.5, "m": "greedy"}, *({"k": k, "y": 0.4 + 0.02 * k, "m": "vote"} for k in (1, 16))]
    places = named(line_chart(rows, x="k", y="y", series="m", x_title="", y_title="", levels=[("random", 0.501)]))
    assert places["greedy"] - 0.501 >= 0.02 * (0.72 - 0.42)
    assert places["random"] == pytest.approx(0.501)


def test_a_name_inside_the_chart_is_not_crossed_by_lines_that_begin_at_its_point() -> None:
    rows = [{"k": 1, "y": 0.5, "m": "greedy"}, *({"k": k, "y": 0.5 + 0.01 * i * (k - 1), "m": f"vote {i}"} for i in (0, 1) for k in (1, 16))]
    places = named(line_chart(rows, x="k", y="y", series="m", x_title="", y_title="", width=600))
    # "greedy" is 45 pixels wide of the 600: where it ends the rising line has come to .5 + .15 * 45 / 600; half a name is .0225 of .168 high
    assert places["greedy"] == pytest.approx(0.5 + 0.15 * 45 / 600 + 0.0225 * 0.168)
    apart = [{"k": 1, "y": 0.6, "m": "greedy"}, *rows[1:]]
    assert named(line_chart(apart, x="k", y="y", series="m", x_title="", y_title=""))["greedy"] == 0.6


def test_names_of_lines_that_end_near_each_other_do_not_overlap() -> None:
    rows = [{"k": k, "y": 0.5, "m": f"method {end}"} for end in (200, 210, 900) for k in (1, end)]
    places = named(line_chart(rows, x="k", y="y", series="m", x_title="", y_title=""))
    assert places["method 200"] != places["method 210"]
    assert places["method 900"] == 0.5  # far enough to the right


def test_dots_are_measurements_beside_a_law() -> None:
    dots = [{"k": 3, "accuracy": 0.33, "method": "a"}]
    spec = chart(dots=dots, log_y=10)
    assert any(data == dots for data in found(spec, "values"))


def test_the_script_can_stand_in_a_page() -> None:
    script = javascript()
    assert "vegaEmbed" in script
    assert "</script" not in script.lower()
