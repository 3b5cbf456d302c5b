"""The audit of a method as one page with plots. Fetches nothing, and everything that came from outside is escaped, as in `page`."""

from __future__ import annotations

from pathlib import Path

from outthink.adapt.audit import deployable
from outthink.core.errors import need
from outthink.core.files import write_whole
from outthink.evaluate.adapt_audit import AuditReport
from outthink.evaluate.charts import Chart, bar_chart, javascript
from outthink.evaluate.page import START, STYLE, checksum, data_block


def charts(report: AuditReport) -> list[Chart]:
    """What each check lost against no adaptation, and one chart for each sweep.

    Raises:
        MissingExtra: altair is not installed.
    """
    rows = [{"name": finding.check, **finding.numbers} for finding in report.findings if {"loss", "low", "high"} <= finding.numbers.keys()]
    found = []
    if rows:
        found.append(
            bar_chart(
                rows, name="name", value="loss", low="low", high="high", percent=True, title="What each check lost",
                x_title="loss, with its 95% interval", subtitle="above 0 it is worse than what it is compared with", width=640,
            )
        )  # fmt: skip
    for finding in report.findings:
        if finding.points:
            values = [{"name": point.label, "value": point.loss.estimate, "low": point.loss.low, "high": point.loss.high} for point in finding.points]
            found.append(
                bar_chart(
                    values, name="name", value="value", low="low", high="high", percent=True, title=finding.check[0].upper() + finding.check[1:],
                    x_title="error less that of no adaptation", subtitle=finding.question, width=640,
                )
            )  # fmt: skip
    return found


def page(report: AuditReport) -> str:
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
    return str(
        environment.from_string(_TEMPLATE).render(
            report=report, said=deployable(report.findings), policy=policy, style=STYLE + _COLOURS, charts=blocks,
            facts=[(name, str(value)) for name, value in report.plan.items() if value is not None], library=library, start=START,
        )
    )  # fmt: skip


def write(report: AuditReport, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        StoreError: it cannot be written there.
    """
    write_whole(path, page(report))


_COLOURS = """
.safe, .unsafe, .unknown, .fact { font-weight: 600; }
.safe { color: #00795c; } .unsafe { color: #b23c17; } .unknown { color: #8a6100; } .fact { color: var(--soft); }
"""

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>audit - outthink</title>
<style>{{ style | safe }}</style>
</head>
<body>
<main>
<h1>{{ report.method }}: {{ said }}</h1>
<p class="lead">what may go wrong with it on this model and data, tried before it is deployed</p>
{% if report.skipped %}<div class="note">{{ report.skipped | length }} files did not decode and were left out, the first:
{{ report.skipped[0][0] }} ({{ report.skipped[0][1] }}).</div>{% endif %}
<h2>Findings</h2>
<div class="card"><table>
<thead><tr>{% for head in ("verdict", "question", "what was found", "what to do") %}<th class="text">{{ head }}</th>{% endfor %}</tr></thead>
<tbody>{% for finding in report.findings %}<tr><td class="text {{ finding.verdict }}">{{ finding.verdict }}</td>
<td class="text notes">{{ finding.question }}</td><td class="text notes">{{ finding.said }}</td><td class="text notes">{{ finding.advice }}</td></tr>
{% endfor %}</tbody></table></div>
<p class="legend">unsafe: the 95% interval of the loss is above 0; safe: it ends below 2 points; unknown: neither, which more samples may settle.</p>
{% for id, data in charts %}
<div class="card"><div data-chart="{{ id }}"></div></div>
<script type="application/json" id="{{ id }}">{{ data | safe }}</script>
{% endfor %}
<h2>What was audited</h2>
<div class="card"><dl>{% for name, value in facts %}<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl></div>
</main>
<script>{{ library | safe }}</script>
<script>{{ start | safe }}</script>
</body>
</html>
"""
