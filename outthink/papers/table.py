"""The results of reproductions as the Markdown table that docs/papers.md shows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from outthink.papers.measured import Broken, Measured, Result, Skipped

_HEAD = ("paper", "claim", "expected", "measured", "evidence", "verdict", "seconds")


def docs_table(results: Sequence[Result]) -> str:
    """A Markdown table, one row a claim: paper, claim, expectation, measurement with its interval, kind of evidence, verdict, seconds."""
    rows = [_HEAD, tuple("---" for _ in _HEAD), *(_row(result) for result in results)]
    return "".join(f"| {' | '.join(_cell(cell) for cell in row)} |\n" for row in rows)


def _row(result: Result) -> tuple[str, ...]:
    paper = f"[{result.paper}]"
    match result:
        case Measured():
            verdict = "holds" if result.holds else "**does not hold**"
            seconds = f"{result.seconds:.2f}{' (over the limit)' if result.late else ''}"
            claim = result.claim + (f" ({result.size})" if result.size else "")
            return paper, claim, result.expected, value_text(result), result.kind, verdict, seconds
        case Skipped():
            return paper, result.claim, "", "", result.kind, f"skipped: {result.reason}; {result.remedy}", ""
        case Broken():
            return paper, result.claim, "", "", result.kind, f"**error**: {result.error}", f"{result.seconds:.2f}"


def value_text(measured: Measured) -> str:
    """`0.583 [0.561, 0.604]`: the value, with its interval if it has one."""
    if math.isnan(measured.value):
        return "not a number"
    shown = f"{measured.value:.4g}"
    if measured.interval is None:
        return shown
    return f"{shown} [{measured.interval[0]:.4g}, {measured.interval[1]:.4g}]"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
