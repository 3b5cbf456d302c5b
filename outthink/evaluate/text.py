"""The report as text: a table for the terminal, and Markdown. Both have the same columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outthink.evaluate.report import Controls, Report
from outthink.evaluate.summary import Row

if TYPE_CHECKING:
    from rich.console import Console

NONE = "–"
WIDE = 160
BELOW = ("equal-cost vote", "random", "oracle", "prompt", "seconds", "tokens/s")


def columns(row: Row, control: Controls | None) -> dict[str, str]:
    """The cells of a row, by heading."""
    about = {"≥ ": "too few", "≤ ": "pool"}
    sign = next((mark for mark, limited in about.items() if control and control.matched.limited == limited), "")
    counts = ((row.abstained, "abstained"), (row.unparsed, "unparsed"), (row.ungraded, "ungraded"), (row.cut, "cut"))
    trouble = [f"{n} {what}" for n, what in counts if n]
    trouble += [f"{n} missing ({reason})" for reason, n in row.missing.items()]
    found = {
        "strategy": row.label + (" *" if row.oracle else ""),
        "accuracy": percent(row.accuracy) + interval(row.low, row.high),
        "gain": NONE if row.gain is None else points(row.gain) + interval(row.gain_low, row.gain_high, signed=True),
        "equal-cost vote": sign + percent(control.matched.accuracy) if control else NONE,
        "random": percent(control.random) if control else NONE,
        "oracle": percent(control.ceiling) if control else NONE,
        "tokens": f"{row.completion_tokens:,.0f}",
        "prompt": f"{row.prompt_tokens:,.0f}",
        "calls": f"{row.calls:,.1f}".removesuffix(".0"),
        "seconds": f"{row.seconds:.2f}",
        "tokens/s": NONE if row.tokens_per_second is None else f"{row.tokens_per_second:,.0f}",
    }
    if row.dollars:
        found["dollars"] = f"{row.dollars:.5f}"
    found["n"] = f"{row.problems}" + (f" × {row.seeds}" if row.seeds > 1 else "")
    found["notes"] = ", ".join(trouble)
    return found


def headed(report: Report) -> tuple[list[str], list[list[str]]]:
    """Headings and cells of the whole table; columns that say nothing are left out."""
    rows = [columns(row, control) for row, control in zip(report.rows, report.controls, strict=True)]
    heads = list(dict.fromkeys(head for row in rows for head in row))
    heads = [head for head in heads if head == "strategy" or any(row.get(head, "") not in ("", NONE) for row in rows)]
    return heads, [[row.get(head, "") for head in heads] for row in rows]


def percent(value: float) -> str:
    """`53.1%`."""
    return f"{100 * value:.1f}%"


def points(value: float) -> str:
    """`+4.2`: percentage points with their sign."""
    return f"{100 * value:+.1f}"


def interval(low: float | None, high: float | None, *, signed: bool = False) -> str:
    """` [47.0, 59.2]`, "" without an interval."""
    if low is None or high is None:
        return ""
    return f" [{100 * low:+.1f}, {100 * high:+.1f}]" if signed else f" [{100 * low:.1f}, {100 * high:.1f}]"


LEGEND = (
    "accuracy, gain over the first row (percentage points) and its 95% interval; equal-cost vote: majority vote that costs as much; "
    "random: one sample; oracle: a right one is among as many samples; tokens, calls: for each problem"
)


def show(report: Report, console: Console | None = None) -> None:
    """Print the report with rich."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    out = console or RichConsole()
    heads, rows = headed(report)
    best = max((row.accuracy for row in report.rows if not row.oracle), default=None)
    # what does not fit side by side stands in a second table; how many problems there were is said below both
    narrow = out.width < WIDE
    parts = [[h for h in heads if h not in BELOW and h != "n"], ["strategy", *(h for h in heads if h in BELOW)]] if narrow else [heads]
    for part in parts:
        table = Table(box=SIMPLE_HEAD, title=None, pad_edge=False, padding=(0, 0, 0, 1))
        for head in part:
            least = min(30, max(len(row.label) for row in report.rows)) if head == "strategy" else None
            table.add_column(head, justify="left" if head in ("strategy", "notes") else "right", no_wrap=head != "notes", min_width=least)
        for row, cells in zip(report.rows, rows, strict=True):
            # Text: a spec may hold brackets, which rich would read as markup
            shown = [Text(cell) for head, cell in zip(heads, cells, strict=True) if head in part]
            table.add_row(*shown, style="bold" if row.accuracy == best and not row.oracle else "")
        out.print(table)
    out.print(Text(LEGEND, style="dim"))
    for note in report.notes:
        out.print(Text(f"note: {note}", style="yellow"))
    for name, value in report.facts:
        out.print(Text.assemble((f"{name}: ", "dim"), value))


def markdown(report: Report) -> str:
    """The report as Markdown; what a file or a model wrote cannot become markup."""
    heads, rows = headed(report)
    ruled = [" --- " if head in ("strategy", "notes") else " ---: " for head in heads]
    lines = [f"# {_cell(report.name)}", "", f"| {' | '.join(heads)} |", f"|{'|'.join(ruled)}|"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    lines += ["", LEGEND + ".", ""]
    lines += [f"> {_cell(note)}\n" for note in report.notes]
    lines += [f"- **{name}**: {_cell(value)}" for name, value in report.facts]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    escaped = "".join(f"\\{c}" if c in "\\`*_[]|#~" else c for c in text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
