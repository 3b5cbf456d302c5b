"""The report of a run as one page. Everything that a model wrote or a file said is escaped, as `skeleton` does."""

from __future__ import annotations

from outthink.evaluate.report import Report
from outthink.evaluate.skeleton import rendered
from outthink.evaluate.summary import best_of
from outthink.evaluate.text import LEGEND, headed, interval, percent, points

_MAIN = """
<h1>{{ report.name }}</h1>
<p class="lead">{{ lead }}</p>
<div class="tiles">{% for value, name in tiles %}<div class="tile"><b>{{ value }}</b><span>{{ name }}</span></div>{% endfor %}</div>
{{ cards(charts) }}
<h2>Strategies</h2>
<div class="card"><table>
<thead><tr>{% for head in heads %}<th class="{{ styles.get(head, "") }}">{{ head }}</th>{% endfor %}</tr></thead>
<tbody>{% for kind, cells in rows %}<tr class="{{ kind }}">{% for head, cell in cells %}
<td class="{{ styles.get(head, "") }}">{% if head == "strategy" %}<code>{{ cell }}</code>{% else %}{{ cell }}{% endif %}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
<p class="legend">{{ legend }}.{% if sees_key %} * sees the key.{% endif %}</p>
{% for note in report.notes %}<div class="note">{{ note }}</div>{% endfor %}
<h2>How it was measured</h2>
<div class="card"><dl>{% for name, value in report.facts %}<dt>{{ name }}</dt><dd>{%
 if name in ("to repeat", "fingerprint") %}<code>{{ value }}</code>{% else %}{{ value }}{% endif %}</dd>{% endfor %}</dl></div>
{% if report.mistakes %}
<h2>Not answered correctly</h2>
<p class="legend">{{ report.mistakes | length }} of {{ report.wrong }} are shown.</p>
<div class="card">{% for mistake in report.mistakes %}<details>
<summary>{{ mistake.record.problem }} <i>{{ mistake.label }}</i> <em>{{ mistake.record.verdict }}</em>{%
 if mistake.record.answer is not none %}: {{ mistake.record.answer }}{% endif %} <i>(right: {{ mistake.expected }})</i></summary>
<p class="label">question</p><pre>{{ mistake.question }}</pre>
<p class="label">sample, seed {{ mistake.record.seed }}</p><pre>{{ mistake.record.text or "(empty)" }}</pre>
</details>{% endfor %}</div>
{% endif %}
"""


_STYLES = {"strategy": "text", "notes": "text notes", "equal-cost vote": "wide"}


def page(report: Report) -> str:
    """The whole page as text.

    Raises:
        MissingExtra: altair, vl-convert or jinja2 is not installed.
    """
    heads, cells = headed(report)
    best = best_of(report.rows)
    rows, family = [], ""
    for row, line in zip(report.rows, cells, strict=True):
        kind = ("best " if best and row.accuracy == best.accuracy and not row.oracle else "") + ("first" if family not in ("", row.family) else "")
        family = row.family
        rows.append((kind, list(zip(heads, line, strict=True))))
    facts = dict(report.facts)
    lead = " · ".join(facts[name] for name in ("problem set", "size", "model") if name in facts)
    return rendered(
        _MAIN, title=report.name, charts=report.charts(), report=report, lead=lead, tiles=_tiles(report), heads=heads, rows=rows, legend=LEGEND,
        styles=_STYLES, sees_key=any(row.oracle for row in report.rows),
    )  # fmt: skip


def _tiles(report: Report) -> list[tuple[str, str]]:
    best = best_of(report.rows)
    if best is None or best.accuracy is None:
        return []
    found = [(percent(best.accuracy), f"best: {best.label}")]
    if best.gain is not None:
        found.append((f"{points(best.gain)} points", f"over {report.rows[0].label},{interval(best.gain_low, best.gain_high, signed=True)}"))
    found.append((f"{best.completion_tokens:,.0f}", "completion tokens a problem for that"))
    control = report.controls[report.rows.index(best)]
    if control:
        found.append((percent(control.ceiling), "oracle ceiling: a right answer is among its samples"))
    return found
