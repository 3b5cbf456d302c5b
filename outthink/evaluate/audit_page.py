"""The audit of a method as one page with plots. Fetches nothing, and everything that came from outside is escaped, as in `skeleton`."""

from __future__ import annotations

from pathlib import Path

from outthink.adapt.audit import deployable
from outthink.core.files import write_whole
from outthink.evaluate.adapt_audit import AuditReport
from outthink.evaluate.adapt_page import facts
from outthink.evaluate.charts import Chart, bar_chart
from outthink.evaluate.skeleton import rendered


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
    return rendered(
        _MAIN, title="audit", charts=charts(report), style=_COLOURS, report=report, said=deployable(report.findings), facts=facts(report.plan)
    )


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

_MAIN = """
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
{% if charts %}<h2>Plots</h2>{% endif %}
{{ cards(charts) }}
<h2>What was audited</h2>
{{ described(facts) }}
"""
