"""Charts and page of runs on a stream. The page fetches nothing, and everything that came from outside is escaped, as in `page`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from outthink.core.errors import need
from outthink.core.files import write_whole
from outthink.evaluate.adapt_report import BASELINE, AdaptReport, notes, rows
from outthink.evaluate.charts import Chart, javascript, line_chart
from outthink.evaluate.page import START, STYLE, checksum, data_block

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
    jinja2 = need("jinja2", extra="report")
    library = javascript()
    scripts = " ".join(f"'sha256-{checksum(text)}'" for text in (library, START))
    policy = f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    blocks = [(f"chart-{number}", data_block(chart)) for number, chart in enumerate(charts(report))]
    heads, cells = rows(report)
    domains = list(next(iter(report.domains.values())))
    table = [(domain, [f"{100 * found[domain].estimate:.1f}" for found in report.domains.values()]) for domain in domains]
    facts = [(name, str(value)) for name, value in report.plan.items() if value is not None]
    return str(
        environment.from_string(_TEMPLATE).render(
            report=report, policy=policy, style=STYLE, charts=blocks, heads=heads, cells=cells, domains=table, facts=facts, notes=notes(report),
            library=library, start=START,
        )
    )  # fmt: skip


def write(report: AdaptReport, path: Path) -> None:
    """Write the page.

    Raises:
        StoreError: it cannot be written there.
    """
    write_whole(path, page(report))


_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>adaptation - outthink</title>
<style>{{ style | safe }}</style>
</head>
<body>
<main>
<h1>{{ report.runs | join(", ") }}</h1>
<p class="lead">on a stream that drifts</p>
{% for note in notes %}<div class="note">{{ note }}</div>{% endfor %}
{% for id, data in charts %}
<div class="card"><div data-chart="{{ id }}"></div></div>
<script type="application/json" id="{{ id }}">{{ data | safe }}</script>
{% endfor %}
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
<div class="card"><dl>{% for name, value in facts %}<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl></div>
</main>
<script>{{ library | safe }}</script>
<script>{{ start | safe }}</script>
</body>
</html>
"""
