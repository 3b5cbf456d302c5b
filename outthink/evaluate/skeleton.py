"""The one skeleton of every page: Vega inlined, nothing fetched. Everything that came from outside is escaped.

The policy of a page (`Content-Security-Policy`) runs only the two scripts whose checksums it names, so a text that escaped the escaping
would still not run. Charts are evaluated by Vega's interpreter, which needs no `eval`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence

from outthink.core.errors import need
from outthink.evaluate.charts import Chart, javascript

START = """
for (const place of document.querySelectorAll("[data-chart]")) {
  const spec = JSON.parse(document.getElementById(place.dataset.chart).textContent);
  vegaEmbed(place, spec, {ast: true, renderer: "svg", actions: false});
}
"""

STYLE = """
:root { --ink: #1f2933; --soft: #52606d; --line: #e4e7eb; --accent: #0072b2; --ground: #f7f8fa; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 "Helvetica Neue", Helvetica, Arial, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -.01em; }
h2 { font-size: 18px; margin: 40px 0 12px; }
.lead { color: var(--soft); margin: 0 0 28px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 16px; margin-bottom: 24px; }
.tile, .card { background: #fff; border: 1px solid var(--line); border-radius: 8px; }
.tile { padding: 14px 18px; }
.tile b { display: block; font-size: 26px; font-weight: 600; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; display: block; overflow-wrap: anywhere; }
.card { padding: 8px; margin-bottom: 20px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th { text-align: right; color: var(--soft); font-weight: 500; padding: 8px 10px; border-bottom: 1px solid #cbd2d9; vertical-align: bottom; }
td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
th { white-space: nowrap; } th.wide { white-space: normal; min-width: 84px; }
th.text, td.text { text-align: left; }
td.notes { white-space: normal; min-width: 110px; }
tr.first td { border-top: 1px solid #cbd2d9; }
tr.best td { background: #eef6fb; font-weight: 600; }
.legend { color: var(--soft); font-size: 13px; margin: 4px 2px 0; }
.note { background: #fff8e6; border: 1px solid #f3dfa8; border-radius: 8px; padding: 10px 14px; margin: 8px 0; font-size: 14px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 6px 20px; margin: 8px 10px; font-size: 14px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code, pre { font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--ground); border-radius: 6px; padding: 10px 12px; margin: 6px 0 12px;
  max-height: 380px; overflow-y: auto; }
details { border-bottom: 1px solid var(--line); padding: 8px 10px; }
details:last-child { border-bottom: 0; }
summary { cursor: pointer; overflow-wrap: anywhere; }
summary em { font-style: normal; color: #b23c17; } summary i { font-style: normal; color: var(--soft); }
.label { color: var(--soft); font-size: 12.5px; margin: 8px 0 0; }
"""

_SKELETON = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }} - outthink</title>
<style>{{ style | safe }}</style>
</head>
<body>
<main>
{% block main %}{% endblock %}
</main>
{% if charts %}<script>{{ library | safe }}</script>
<script>{{ start | safe }}</script>{% endif %}
</body>
</html>
"""

_PARTS = """{% macro cards(charts) %}{% for id, data in charts %}
<div class="card"><div data-chart="{{ id }}"></div></div>
<script type="application/json" id="{{ id }}">{{ data | safe }}</script>
{% endfor %}{% endmacro %}
{% macro described(pairs) %}
<div class="card"><dl>{% for name, value in pairs %}<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl></div>
{% endmacro %}"""


def rendered(main: str, *, title: str, charts: Sequence[Chart], style: str = "", **values: object) -> str:
    """A whole page as text.

    Args:
        main: Jinja template of what the page says, with `values` and the macros `cards(charts)` and `described(pairs)`; unknown names are errors.
        title: of the window.
        charts: drawn where `main` calls `cards(charts)`.
        style: CSS besides that of every page.
        values: for `main`.

    Raises:
        MissingExtra: vl-convert or jinja2 is not installed.
    """
    jinja2 = need("jinja2", extra="report")
    library = javascript()
    scripts = " ".join(f"'sha256-{checksum(text)}'" for text in (library, START))
    policy = f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    loader = jinja2.DictLoader({"skeleton": _SKELETON, "parts": _PARTS})
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, loader=loader)
    template = environment.from_string(
        '{% extends "skeleton" %}{% from "parts" import cards, described %}{% block main %}' + main.strip() + "{% endblock %}"
    )
    blocks = [(f"chart-{number}", data_block(chart)) for number, chart in enumerate(charts)]
    return str(template.render(values, title=title, charts=blocks, policy=policy, style=STYLE + style, library=library, start=START))


def data_block(value: object) -> str:
    """JSON that can stand inside a script element: no character in it can end the element."""
    text = json.dumps(value, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def checksum(text: str) -> str:
    """SHA-256 of a script as a content security policy writes it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
