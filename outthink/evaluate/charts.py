"""Charts from plain rows: one Vega-Lite value serves the PNG, the web page and the notebook. Used by every room that draws.

Intervals are bands, axes of samples and tokens are log2, colours are Okabe and Ito's (told apart by colour-blind readers), and lines carry
their names at their ends. Needs the extra `report`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from outthink.core.errors import need
from outthink.core.files import write_whole

Chart = dict[str, object]
"""A Vega-Lite specification, plain data."""
Rows = Sequence[Mapping[str, object]]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#4D4D4D")
_INK, _FAINT, _CONTROL = "#1f2933", "#e4e7eb", "#7b8794"
_FONT = "Helvetica Neue, Helvetica, Arial, sans-serif"
_LABEL_GAP = 0.045  # of the height: names closer than this are moved apart
_LETTER = 7.5  # pixels of a name's letter, on average


def line_chart(
    rows: Rows,
    *,
    x: str,
    y: str,
    series: str,
    x_title: str,
    y_title: str,
    title: str = "",
    subtitle: str = "",
    low: str | None = None,
    high: str | None = None,
    dots: Rows = (),
    levels: Sequence[tuple[str, float]] = (),
    controls: Sequence[str] = (),
    log_x: int | None = 2,
    log_y: int | None = None,
    percent: bool = False,
    points: bool = True,
    width: int = 640,
    height: int = 380,
) -> Chart:
    """Lines over x, one for each value of `series`, named at their right ends.

    Args:
        rows: plain rows with the fields named by x, y, series, and low and high where there is a band. Rows whose y is None are left out.
        x, y, series: fields.
        x_title, y_title: what the axes show, with units.
        title, subtitle: above the chart.
        low, high: fields of the interval; None draws no band.
        dots: rows with the same fields that are drawn as dots without a line: measurements beside a fitted law.
        levels: (name, y) of dashed horizontal lines, such as a ceiling, named at the right like the others.
        controls: series that others are measured against: drawn grey and dashed, without band and marks.
        log_x, log_y: base of a logarithmic axis, None for a linear one; values of 0 and below cannot be shown on it and are left out.
        percent: y is a share in [0, 1] and is written in per cent.
        points: mark every row of a line.
        width, height: of the plotting area, in pixels.

    Raises:
        ValueError: no row can be drawn.
        MissingExtra: altair is not installed.
    """
    alt = need("altair", extra="report")
    shown = _drawable(rows, x, y, log_x, log_y)
    extra = _drawable(dots, x, y, log_x, log_y)
    if not shown and not extra:
        raise ValueError(f"chart {title!r}: no row has numbers for {x} and {y} that its axes can show")
    names = list(dict.fromkeys(str(row[series]) for row in [*shown, *extra]))
    shades = alt.Scale(domain=names, range=_palette(names, controls))
    colour = alt.Color(f"{_field(series)}:N", scale=shades, legend=None)
    xs = [_number(row[x]) for row in [*shown, *extra]]
    ys = [_number(row[y]) for row in [*shown, *extra]] + [value for _, value in levels]
    bounds = [_number(row[name]) for row in shown for name in (low, high) if name and row.get(name) is not None]
    scale_y = _domain([*ys, *bounds], log_y, percent)
    axis_x = alt.X(f"{_field(x)}:Q", title=x_title, scale=_scale(alt, xs, log_x), axis=_axis_x(alt, xs, log_x))
    y_scale = alt.Scale(type="log", base=log_y, domain=scale_y) if log_y else alt.Scale(domain=scale_y, nice=not percent, zero=False)
    axis_y = alt.Y(f"{_field(y)}:Q", title=y_title, scale=y_scale, axis=alt.Axis(format="%" if percent else "~g", tickCount=6))
    tips = [alt.Tooltip(f"{_field(f)}:{kind}", title=f, format=form) for f, kind, form in _tips(series, x, y, low, high, percent)]
    layers = []
    if levels:
        lines = alt.Data(values=[{x: min(xs), "to": max(xs), "level": value} for _, value in levels])  # up to where their names begin
        layers.append(alt.Chart(lines).mark_rule(strokeDash=[5, 4], color=_CONTROL).encode(x=axis_x, x2="to", y="level:Q"))
    measured_against = [dict(row) for row in shown if str(row[series]) in controls]
    methods = [dict(row) for row in shown if str(row[series]) not in controls]
    if low and high:
        crowded = len({str(row[series]) for row in methods}) > 2
        layers += _bands(alt, methods, series, low, high, axis_x, colour, 0.09 if crowded else 0.17)
    if measured_against:
        dashed = alt.Chart(alt.Data(values=measured_against)).mark_line(strokeWidth=1.8, strokeDash=[6, 4])
        layers.append(dashed.encode(x=axis_x, y=axis_y, color=colour))
    if methods:
        base = alt.Chart(alt.Data(values=methods)).encode(x=axis_x, y=axis_y, color=colour)
        layers.append(base.mark_line(strokeWidth=2.4, strokeJoin="round"))
        if points:
            layers.append(base.mark_point(filled=True, size=52, opacity=1).encode(tooltip=tips))
    if extra:
        measured = alt.Chart(alt.Data(values=[dict(row) for row in extra])).encode(x=axis_x, y=axis_y, color=colour)
        layers.append(measured.mark_point(filled=True, size=44, opacity=0.75).encode(tooltip=tips))
    ends = _ends([*shown, *extra], x, y, series, scale_y, log_x, log_y, levels, width)
    own = alt.Color("name:N", scale=shades, legend=None)
    for part, shade in ((ends[: len(names)], own), (ends[len(names) :], alt.value(_CONTROL))):
        if part:
            text = alt.Chart(alt.Data(values=part)).mark_text(align="left", baseline="middle", dx=10, fontSize=13, fontWeight=600)
            layers.append(text.encode(x=axis_x, y=alt.Y("place:Q"), text="name:N", color=shade))
    chart = alt.layer(*layers).properties(width=width, height=height)
    return _finished(alt, chart, title, subtitle)


def bar_chart(
    rows: Rows, *, name: str, value: str, x_title: str, title: str = "", subtitle: str = "", low: str | None = None, high: str | None = None,
    percent: bool = False, width: int = 560,
) -> Chart:  # fmt: skip
    """Horizontal bars in the order of the rows, with an interval where low and high are given.

    Args:
        rows: plain rows.
        name, value: fields of the bar's name and length.
        x_title: what the length is, with its unit.
        title, subtitle, low, high, percent, width: as in `line_chart`.
    """
    alt = need("altair", extra="report")
    data = alt.Data(values=[dict(row) for row in rows])
    y = alt.Y(f"{_field(name)}:N", sort=None, title=None, axis=alt.Axis(labelLimit=320))
    form = ".1%" if percent else "~g"
    axis = alt.Axis(format="%" if percent else "~g")
    base = alt.Chart(data)
    bars = base.mark_bar(color=COLOURS[0], opacity=0.85, height={"band": 0.6})
    layers = [bars.encode(y=y, x=alt.X(f"{_field(value)}:Q", title=x_title, axis=axis))]
    if low and high:
        layers.append(base.mark_rule(color=_INK, strokeWidth=1.6).encode(y=y, x=f"{_field(low)}:Q", x2=_field(high)))
    # beyond the end of the interval, on the side to which the bar points
    for side, end, sign in (("left", high, 1), ("right", low, -1)):
        own = [dict(row) for row in rows if (_number(row[value]) >= 0) == (sign > 0)]
        if own:
            numbers = alt.Chart(alt.Data(values=own)).mark_text(align=side, dx=6 * sign, fontSize=11, color="#52606d")
            layers.append(numbers.encode(y=y, x=f"{_field(end or value)}:Q", text=alt.Text(f"{_field(value)}:Q", format=form)))
    return _finished(alt, alt.layer(*layers).properties(width=width, height={"step": 34}), title, subtitle)


def stacked(*charts: Chart) -> Chart:
    """Charts below each other as one."""
    if len(charts) == 1:
        return charts[0]
    inner = [{key: value for key, value in chart.items() if key not in ("config", "$schema", "padding", "background")} for chart in charts]
    outer: Chart = {key: charts[0][key] for key in ("config", "$schema", "padding", "background") if key in charts[0]}
    return {**outer, "vconcat": inner, "spacing": 40, "resolve": {"scale": {"color": "independent"}}}


def png(chart: Chart, path: Path | str, *, scale: float = 2.0) -> None:
    """Write a chart as PNG.

    Raises:
        StoreError: the file cannot be written.
        MissingExtra: vl-convert is not installed.
    """
    image = need("vl_convert", extra="report").vegalite_to_png(json.dumps(chart), scale=scale)
    write_whole(Path(path), image)


def svg(chart: Chart) -> str:
    """A chart as SVG text.

    Raises:
        MissingExtra: vl-convert is not installed.
    """
    return str(need("vl_convert", extra="report").vegalite_to_svg(json.dumps(chart)))


def javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script for a page without a network; it defines `vegaEmbed`.

    Raises:
        MissingExtra: vl-convert is not installed.
    """
    return str(need("vl_convert", extra="report").javascript_bundle()).replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _finished(alt: object, chart: object, title: str, subtitle: str) -> Chart:
    heading = {"text": title, "subtitle": subtitle} if subtitle else title
    spec: Chart = chart.to_dict()  # type: ignore[attr-defined]  # altair is not typed for us
    if title:
        spec["title"] = heading
    spec["background"] = "white"
    spec["padding"] = 16
    spec["config"] = {
        "font": _FONT,
        "view": {"stroke": None},
        "axis": {
            "labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": 500, "labelColor": "#3e4c59", "titleColor": _INK, "gridColor": _FAINT,
            "domainColor": "#9aa5b1", "tickColor": "#9aa5b1", "titlePadding": 10,
        },
        "axisX": {"grid": False},
        "axisY": {"domain": False, "ticks": False},
        "title": {
            "anchor": "start", "fontSize": 17, "fontWeight": 600, "color": _INK, "subtitleColor": "#52606d", "subtitleFontSize": 13, "offset": 14,
            "subtitlePadding": 5,
        },
    }  # fmt: skip
    return spec


def _drawable(rows: Rows, x: str, y: str, log_x: int | None, log_y: int | None) -> list[Mapping[str, object]]:
    def fits(value: object, log: int | None) -> bool:
        return isinstance(value, (int, float)) and math.isfinite(value) and (log is None or value > 0)

    return [row for row in rows if fits(row.get(x), log_x) and fits(row.get(y), log_y)]


def _number(value: object) -> float:
    assert isinstance(value, (int, float))
    return float(value)


def _field(name: str) -> str:
    # Vega-Lite reads dots and brackets in a field's name as a path
    return name.replace("\\", "\\\\").replace(".", "\\.").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


def _palette(names: Sequence[str], controls: Sequence[str]) -> list[str]:
    methods = [name for name in names if name not in controls]
    return [_CONTROL if name in controls else COLOURS[methods.index(name) % len(COLOURS)] for name in names]


def _bands(
    alt: object, rows: Sequence[dict[str, object]], series: str, low: str, high: str, x: object, colour: object, opacity: float
) -> list[object]:
    # a line's interval is a band; that of a series with one row is an upright stroke
    known = [row for row in rows if row.get(low) is not None and row.get(high) is not None]
    counts = Counter(str(row[series]) for row in known)
    layers: list[object] = []
    for single in (False, True):
        part = [row for row in known if (counts[str(row[series])] == 1) == single]
        if part:
            chart = alt.Chart(alt.Data(values=part))  # type: ignore[attr-defined]
            mark = chart.mark_rule(strokeWidth=1.6, opacity=0.6) if single else chart.mark_area(opacity=opacity, line=False)
            layers.append(mark.encode(x=x, y=alt.Y(f"{_field(low)}:Q"), y2=_field(high), color=colour))  # type: ignore[attr-defined]
    return layers


def _domain(values: Sequence[float], log: int | None, percent: bool) -> list[float]:
    low, high = min(values), max(values)
    if log:
        return [min(v for v in values if v > 0) / 1.1, high * 1.1]
    room = 0.06 * ((high - low) or abs(high) or 1.0)
    low, high = low - room, high + room
    return [max(0.0, low), min(1.0, high)] if percent else [low, high]


def _scale(alt: object, xs: Sequence[float], log: int | None) -> object:
    low, high = min(xs), max(xs)
    if log:
        return alt.Scale(type="log", base=log, domain=[low / 1.06, high * 1.06], nice=False)  # type: ignore[attr-defined]
    room = 0.03 * ((high - low) or 1.0)
    return alt.Scale(domain=[low - room, high + room], nice=False, zero=False)  # type: ignore[attr-defined]


def _axis_x(alt: object, xs: Sequence[float], log: int | None) -> object:
    if not log:
        return alt.Axis(format="~s", tickCount=8)  # type: ignore[attr-defined]
    first, last = math.floor(math.log(min(xs), log) + 1e-9), math.ceil(math.log(max(xs), log) - 1e-9)
    step = max(1, math.ceil((last - first + 1) / 12))
    # letters up to tera (T); FLOPs beyond are read as powers of ten
    form = "," if min(xs) >= 1 and max(xs) < 1e5 else "~e" if max(xs) >= 1e15 else ".3~s" if min(xs) >= 1 else "~g"
    return alt.Axis(values=[float(log) ** e for e in range(first, last + 1, step)], format=form)  # type: ignore[attr-defined]


def _tips(series: str, x: str, y: str, low: str | None, high: str | None, percent: bool) -> list[tuple[str, str, str]]:
    form = ".1%" if percent else ".4~g"
    return [(series, "N", ""), (x, "Q", ",.4~r"), (y, "Q", form), *((name, "Q", form) for name in (low, high) if name)]


def _ends(
    rows: Rows, x: str, y: str, series: str, domain: Sequence[float], log_x: int | None, log_y: int | None, levels: Sequence[tuple[str, float]],
    width: int,
) -> list[dict[str, object]]:  # fmt: skip
    # A name stands at the last point of its line, that of a level at the right; names that would overlap are moved apart, upwards from the
    # lowest, and one inside the chart stands above what would cross it. The names of lines come first.
    xs = [_number(row[x]) for row in rows]
    left, right = min(xs), max(xs)

    def height(value: float) -> float:
        return (math.log(value / domain[0]) / math.log(domain[1] / domain[0])) if log_y else (value - domain[0]) / (domain[1] - domain[0])

    def across(value: float) -> float:  # pixels
        if left == right:
            return 0.0
        return width * (math.log(value / left) / math.log(right / left) if log_x else (value - left) / (right - left))

    lines: dict[str, list[tuple[float, float]]] = {}
    last: dict[str, tuple[float, float]] = {}
    for row in sorted(rows, key=lambda row: _number(row[x])):
        last[str(row[series])] = _number(row[x]), _number(row[y])
        lines.setdefault(str(row[series]), []).append((across(_number(row[x])), height(_number(row[y]))))
    flat = [[(0.0, height(value)), (float(width), height(value))] for _, value in levels]
    points = [(name, *end) for name, end in last.items()] + [(name, right, value) for name, value in levels]
    placed: list[tuple[float, float, float]] = []  # where a name begins and ends, and its height
    ends: dict[int, dict[str, object]] = {}
    for position, (name, where, value) in sorted(enumerate(points), key=lambda item: item[1][2]):
        begin, end = across(where), across(where) + _LETTER * len(name)
        at = max([height(value), *(h + _LABEL_GAP for first, after, h in placed if first < end and begin < after)])
        if where < right:
            for low, high in sorted(span for line in [*lines.values(), *flat] if (span := _span(line, begin + 1, end))):
                at = high + _LABEL_GAP / 2 if low - _LABEL_GAP / 2 < at < high + _LABEL_GAP / 2 else at
        placed.append((begin, end, at))
        place = domain[0] * (domain[1] / domain[0]) ** at if log_y else domain[0] + at * (domain[1] - domain[0])
        ends[position] = {x: where, "place": place, "name": name}
    return [ends[position] for position in range(len(points))]


def _span(line: Sequence[tuple[float, float]], begin: float, end: float) -> tuple[float, float] | None:
    # the lowest and the highest place of a line between two places across, None where it does not come there
    inside = [h for at, h in line if begin <= at <= end]
    for (one, low), (two, high) in pairwise(line):
        inside += [low + (high - low) * (edge - one) / (two - one) for edge in (begin, end) if one < edge < two]
    return (min(inside), max(inside)) if inside else None
