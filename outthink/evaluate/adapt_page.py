"""Charts and page of runs on a stream. The page fetches nothing, and everything that came from outside is escaped, as in `skeleton`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from outthink.core.files import write_whole
from outthink.evaluate.adapt_report import BASELINE, AdaptReport, notes, rows
from outthink.evaluate.charts import Chart, line_chart
from outthink.evaluate.skeleton import rendered

PARTS = 24
"""Most pieces that the stream is cut into for the curve."""


def charts(report: AdaptReport) -> list[Chart]:
    """Error over the stream, one line a method, with 95% bands.

    Raises:
        MissingExtra: altair is not installed.
    """
    points: list[dict[str, object]] = []
    for name, run in report.runs.items():
        parts = max(1, min(PARTS, len(run.wrong) // 20))
        ends = np.cumsum([len(piece) for piece in np.array_split(run.wrong, parts)])
        for end, value in zip(ends.tolist(), run.over_time(parts, seed=report.seed), strict=True):
            points.append({"x": end, "y": value.estimate, "low": value.low, "high": value.high, "method": name})
    first = next(iter(report.runs.values()))
    return [
        line_chart(
            points, x="x", y="y", series="method", low="low", high="high", x_title="samples seen", y_title="error of the last piece",
            title="Online error over the stream", subtitle=f"domains in order: {', '.join(dict.fromkeys(first.domains))}", log_x=None, percent=True,
            controls=(BASELINE,), width=820,
        )
    ]  # fmt: skip


def page(report: AdaptReport) -> str:
    """The whole page as text.

    Raises:
        MissingExtra: altair, vl-convert or jinja2 is not installed.
    """
    heads, cells = rows(report)
    domains = list(next(iter(report.domains.values())))
    table = [(domain, [f"{100 * found[domain].estimate:.1f}" for found in report.domains.values()]) for domain in domains]
    return rendered(
        _MAIN, title="adaptation", charts=charts(report), report=report, heads=heads, cells=cells, domains=table, facts=facts(report.plan),
        notes=notes(report),
    )  # fmt: skip


def facts(plan: Mapping[str, object]) -> list[tuple[str, str]]:
    """What was run, as text, without what was left out."""
    found = [(name, value) for name, value in plan.items() if value is not None]
    return [(name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)) for name, value in found]


def write(report: AdaptReport, path: Path) -> None:
    """Write the page.

    Raises:
        StoreError: it cannot be written there.
    """
    write_whole(path, page(report))


_MAIN = """
<h1>{{ report.runs | join(", ") }}</h1>
<p class="lead">on a stream that drifts</p>
{% for note in notes %}<div class="note">{{ note }}</div>{% endfor %}
{{ cards(charts) }}
<h2>Methods</h2>
<div class="card"><table>
<thead><tr>{% for head in heads %}<th class="{{ "text" if loop.first else "" }}">{{ head }}</th>{% endfor %}</tr></thead>
<tbody>{% for line in cells %}<tr>{% for cell in line %}<td class="{{ "text" if loop.first else "" }}">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
<p class="legend">Error in per cent with 95% intervals over samples; p-values corrected by Holm; ECE: expected calibration error.</p>
<h2>Error by domain</h2>
<div class="card"><table>
<thead><tr><th class="text">domain</th>{% for name in report.runs %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>{% for domain, values in domains %}<tr><td class="text">{{ domain }}</td>{% for value in values %}<td>{{ value }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
<h2>What each method does</h2>
<div class="card"><dl>{% for name, contract in report.contracts.items() %}<dt>{{ name }}</dt><dd>predicts {{ contract.predicts }} its step, with the
{{ contract.network }}; changes {{ contract.changes }}; keeps of the source: {{ contract.keeps }}</dd>{% endfor %}</dl></div>
<h2>How it was measured</h2>
{{ described(facts) }}
"""
