"""The report as text: a table for the terminal, and Markdown. Both have the same columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outthink.evaluate.report import Controls, Report
from outthink.evaluate.summary import Row, best_of

if TYPE_CHECKING:
    from rich.console import Console

NONE = "–"
_NOTES = 30
"""Characters that the column of notes, which wraps, has at least."""


def columns(row: Row, control: Controls | None) -> dict[str, str]:
    """The cells of a row, by heading."""
    about = {"≥ ": "too few", "≤ ": "pool"}
    sign = next((mark for mark, limited in about.items() if control and control.matched.limited == limited), "")
    counts = ((row.abstained, "abstained"), (row.unparsed, "unparsed"), (row.ungraded, "ungraded"), (row.cut, "cut"))
    trouble = [f"{n} {what}" for n, what in counts if n]
    trouble += [f"{n} missing ({reason})" for reason, n in row.missing.items()]
    found = {
        "strategy": row.label + (" *" if row.oracle else ""),
        "accuracy": NONE if row.accuracy is None else percent(row.accuracy) + interval(row.low, row.high),
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
    "accuracy, gain over the first row (percentage points) and its 95% interval; equal-cost vote: majority vote of as many completion tokens; "
    "random: one sample; oracle: a right one is among as many samples; tokens (generated), prompt (tokens read), calls, seconds: for each problem"
)


def show(report: Report, console: Console | None = None) -> None:
    """Print the report with rich."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    out = console or RichConsole()
    heads, rows = headed(report)
    best = best_of(report.rows)
    # a heading of several words may take several lines, a figure may not
    sizes = {head: max(map(len, [*head.split(), *(row[position] for row in rows)])) for position, head in enumerate(heads)}
    first = [head for head in ("strategy", "accuracy", "gain", "tokens", "calls") if head in sizes]
    for part in _side_by_side({head: sizes[head] for head in dict.fromkeys([*first, *heads])}, out.width):
        table = Table(box=SIMPLE_HEAD, title=None, pad_edge=False, padding=(0, 0, 0, 1))
        for head in part:
            width = {"strategy": min(sizes[head], _longest(out.width)), "notes": None}.get(head, sizes[head])
            table.add_column(head, justify="left" if head in ("strategy", "notes") else "right", width=width, overflow="fold")
        for row, cells in zip(report.rows, rows, strict=True):
            # Text: a spec may hold brackets, which rich would read as markup
            shown = [Text(cells[heads.index(head)]) for head in part]
            table.add_row(*shown, style="bold" if best and row.accuracy == best.accuracy and not row.oracle else "")
        out.print(table)
    out.print(Text(LEGEND, style="dim"))
    for note in report.notes:
        out.print(Text(f"note: {note}", style="yellow"))
    for name, value in report.facts:
        out.print(Text.assemble((f"{name}: ", "dim"), value))


def _longest(width: int) -> int:
    # a spec longer than half of a line goes on in the next
    return max(24, width // 2)


def _side_by_side(sizes: dict[str, int], width: int) -> list[list[str]]:
    """Columns that fit beside each other: no figure and no heading is cut, what is left stands in a further table with the strategies again.

    Args:
        sizes: characters of every column, by heading; `strategy` first.
        width: of the screen.
    """
    first = min(sizes.get("strategy", 0), _longest(width))
    wide = 2 + first + sum(2 + size for head, size in sizes.items() if head != "strategy") <= width
    parts: list[list[str]] = []
    room = 0
    for head, size in sizes.items():
        if head == "strategy" or (head == "n" and not wide):  # how many problems there were is said below the tables too
            continue
        least = min(size, _NOTES) if head == "notes" else size
        if not parts or room < least + 2:
            parts.append(["strategy"])
            room = width - first - 2
        parts[-1].append(head)
        room -= least + 2
    return parts or [["strategy"]]


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
