"""Charts and page of a fitted law. The page fetches nothing, and everything that came from a file is escaped, as in `skeleton`."""

from __future__ import annotations

import numpy as np

from outthink.evaluate.charts import Chart, line_chart
from outthink.evaluate.law_report import LawReport, facts, parameter_rows
from outthink.evaluate.skeleton import rendered
from outthink.laws.fit import Fit
from outthink.laws.prepare import order_of, relative
from outthink.stats._arrays import FloatArray

LINES = 5
"""Values of the second variable for which a curve is drawn."""
_POINTS = 60


def charts(report: LawReport) -> list[Chart]:
    """The law with the data along its widest variable, and what the law leaves unexplained, by compute.

    Raises:
        MissingExtra: altair is not installed.
    """
    return [_curves(report), _residuals(report.fit)]


def page(report: LawReport, drawn: list[Chart]) -> str:
    """The whole page as text.

    Raises:
        MissingExtra: vl-convert or jinja2 is not installed.
    """
    return rendered(
        _MAIN, title=report.fit.form.name, charts=drawn, report=report, form=report.fit.form, rows=parameter_rows(report), facts=facts(report)
    )


def _curves(report: LawReport) -> Chart:
    fitted = report.fit
    form, table = fitted.form, fitted.table
    names = [variable.name for variable in form.variables]
    along = max(range(len(names)), key=lambda i: np.ptp(_log(table.column(names[i]))) if np.unique(table.column(names[i])).size > 2 else -1.0)
    columns = [table.column(name) for name in names]
    observed = table.column(form.target.name)
    member, held = _lines(columns, along)
    x_name, y_name = names[along], form.target.name
    grid = _grid(columns[along])
    rows: list[dict[str, object]] = []
    dots: list[dict[str, object]] = []
    at_data = fitted.predict(*columns)
    for line, middle in enumerate(held):
        name = _named(fitted, along, middle) if len(held) > 1 else "law"
        points = [grid if i == along else np.full(grid.size, middle[i]) for i in range(len(names))]
        values = fitted.predict(*points)
        low, high = (None, None) if report.draws is None else np.quantile(report.draws.predict(*points), [0.025, 0.975], axis=0)
        for k in range(grid.size):
            row: dict[str, object] = {"x": float(grid[k]), "y": float(values[k]), "line": name}
            if low is not None and high is not None:
                row |= {"low": float(low[k]), "high": float(high[k])}
            rows.append(row)
        for k in map(int, np.flatnonzero(member == line)):
            there = float(fitted.predict(*[[columns[i][k] if i == along else middle[i]] for i in range(len(names))])[0])
            moved = there * observed[k] / at_data[k] if relative(form) else there + observed[k] - at_data[k]
            dots.append({"x": float(columns[along][k]), "y": float(moved), "line": name})
    banded = report.draws is not None
    titles = {variable.name: variable for variable in (*form.variables, form.target)}
    told = ["bands: 95% of the law"] if banded else []
    if len(held) > 1 and len({tuple(column[k] for i, column in enumerate(columns) if i != along) for k in range(len(table))}) > len(held):
        told.append("dots: the data, moved along the law to the line's size")
    else:
        told.append("dots: the data")
    return line_chart(
        rows, x="x", y="y", series="line", dots=dots, low="low" if banded else None, high="high" if banded else None, points=False,
        x_title=_titled(titles[x_name].name, titles[x_name].unit), y_title=_titled(titles[y_name].name, titles[y_name].unit), title=form.formula,
        subtitle="; ".join(told), log_x=10 if float(columns[along].min()) > 0.0 else None, percent=form.target.unit == "share", width=820,
    )  # fmt: skip


def _residuals(fitted: Fit) -> Chart:
    form, table = fitted.form, fitted.table
    columns = [table.column(variable.name) for variable in form.variables]
    observed, predicted = table.column(form.target.name), fitted.predict(*columns)
    logs = relative(form)
    left = np.log(observed / predicted) if logs else observed - predicted
    cost = np.exp(order_of(form, table))
    both = {"parameters", "tokens"} <= set(table.columns)
    dots = [{"x": float(x), "y": float(y), "line": "observed"} for x, y in zip(cost, left, strict=True)]
    what = "FLOPs (6 parameters tokens)" if both else " x ".join(variable.name for variable in form.variables)
    return line_chart(
        [], x="x", y="y", series="line", dots=dots, levels=[("the law", 0.0)], x_title=what,
        y_title="log(observed / law)" if logs else "observed - law", title="What the law leaves unexplained",
        subtitle="a slope or a bend here says that the form is wrong, and extrapolation fails", log_x=10, width=820, height=240,
    )  # fmt: skip


def _lines(columns: list[FloatArray], along: int) -> tuple[FloatArray, list[list[float]]]:
    """(rows,) which line a row belongs to, and each line's medians of all variables: groups of equal number by the widest other variable."""
    others = [i for i in range(len(columns)) if i != along and np.ptp(columns[i]) > 0.0]
    size = columns[along].size
    if not others:
        return np.zeros(size), [[float(np.median(column)) for column in columns]]
    widest = max(others, key=lambda i: float(np.ptp(_log(columns[i]))))
    kinds = np.unique(columns[widest])
    if kinds.size <= LINES:
        member = np.searchsorted(kinds, columns[widest])
    else:
        member = np.searchsorted(np.quantile(columns[widest], np.linspace(0.0, 1.0, LINES + 1)[1:-1]), columns[widest], side="right")
    present = np.unique(member)
    held = [[float(np.median(column[member == line])) for column in columns] for line in present]
    return np.searchsorted(present, member).astype(np.float64), held


def _named(fitted: Fit, along: int, middle: list[float]) -> str:
    names = [variable.name for i, variable in enumerate(fitted.form.variables) if i != along]
    values = [value for i, value in enumerate(middle) if i != along]
    return ", ".join(f"{_short(value)} {name}" for name, value in zip(names, values, strict=True))


def _short(value: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _grid(values: FloatArray) -> FloatArray:
    low, high = float(values.min()), float(values.max())
    return np.geomspace(low, high, _POINTS) if low > 0.0 else np.linspace(low, high, _POINTS)


def _log(values: FloatArray) -> FloatArray:
    return np.log(np.maximum(values, 1e-300)) if (values > 0.0).all() else values


def _titled(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit and unit not in (name, "share") else name


_MAIN = """
<h1>{{ form.title }}</h1>
<p class="lead">{{ form.formula }} · {{ report.fit.rows }} rows of {{ report.fit.table.source or "arrays" }}</p>
{% for flag in report.fit.flags %}<div class="note">{{ flag.text }}</div>{% endfor %}
{{ cards(charts) }}
<h2>Parameters</h2>
<div class="card"><table>
<thead><tr><th class="text">parameter</th><th>value</th><th>95% interval</th><th class="text">unit</th>
<th class="text">what it is</th></tr></thead>
<tbody>{% for name, value, interval, unit, meaning in rows %}<tr><td class="text"><code>{{ name }}</code></td>
<td>{{ value }}</td><td>{{ interval }}</td>
<td class="text">{{ unit }}</td><td class="text">{{ meaning }}</td></tr>{% endfor %}</tbody></table></div>
<h2>How far to trust it</h2>
<div class="card"><dl>{% for name, text in facts %}<dt>{{ name }}</dt><dd>{{ text }}</dd>{% endfor %}
{% for name, ends in report.fit.domain.items() %}<dt>data of {{ name }}</dt><dd>{{ "%.4g" | format(ends[0]) }} to {{ "%.4g" | format(ends[1]) }}</dd>
{% endfor %}<dt>source</dt><dd>{{ form.source }}</dd><dt>claimed for</dt><dd>{{ form.valid }}</dd>
{% for note in report.notes %}<dt>note</dt><dd>{{ note }}</dd>{% endfor %}</dl></div>
<h2>Checklist</h2>
<p class="legend">What a reader needs to repeat the fit, after [96]. Missing answers are the author's to give.</p>
<div class="card"><dl>{% for answer in report.answers %}<dt>{{ answer.item.key }}</dt><dd>{%
 if answer.origin == "missing" %}<em>missing:</em> {{ answer.item.question }}{% else %}{{ answer.text }}{% endif %}</dd>{% endfor %}</dl></div>
"""
