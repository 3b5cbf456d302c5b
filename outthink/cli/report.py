"""`outthink report`, `outthink show` and `outthink compare`: reading what was recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from outthink.cli.options import Json

Folder = Annotated[str, typer.Argument(help="The folder of a run, such as outthink-runs/demo.")]


def report(
    run: Folder,
    html: Annotated[Path | None, typer.Option(help="Write a page with charts that needs no network.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write the scaling curve as a picture.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table as Markdown.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json-file", help="Write all numbers as JSON.")] = None,
    as_json: Json = False,
) -> None:
    """Show what a run measured: accuracy with intervals, paired gain, cost, the majority baseline at equal tokens, random choice, oracle."""
    import json

    from outthink.cli.working import working
    from outthink.evaluate.report import build, terminal, write_html, write_json, write_markdown, write_png
    from outthink.evaluate.run import Run

    with Run.open(run) as source:
        with working(as_json) as say:
            say("computing intervals and curves", None, None)
            built = build(source)
        if as_json:
            typer.echo(json.dumps(built.to_json(), indent=1, ensure_ascii=False))
        else:
            terminal(built)
        for path, write in ((html, write_html), (png, write_png), (markdown, write_markdown), (json_file, write_json)):
            if path is not None:
                with working(as_json) as say:
                    say(f"writing {path}", None, None)
                    write(built, path)
                typer.echo(f"written: {path}", err=True)


def show(
    run: Folder,
    wrong: Annotated[bool, typer.Option("--wrong", help="Only the answers that were not right.")] = False,
    strategy: Annotated[str | None, typer.Option("--strategy", "-s", help="Only this spec, as the report prints it.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """Read single answers of a run: question, key, answer, and the text that it was taken from."""
    import json

    from rich.console import Console
    from rich.markup import escape

    from outthink.cli.plain import plain
    from outthink.core.errors import DataError
    from outthink.evaluate.run import Run
    from outthink.evaluate.summary import answers

    with Run.open(run) as source:
        if not source.records:
            raise DataError(f"{run}: none of its {source.total} results is recorded yet; run its command again")
        found = answers(source, spec=strategy, limit=limit, only_wrong=wrong)
        if as_json:
            rows = [{"question": one.question, "key": one.expected, **one.record.to_json()} for one in found]
            typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
            return
    console = Console()
    for one in found:
        record = one.record
        colour = "green" if record.right else "red"
        console.rule(f"{escape(record.problem)}  {escape(one.label)}  [{colour}]{record.verdict}[/{colour}]", align="left")
        console.print(escape(plain(one.question.strip())), highlight=False)
        answer = "none" if record.answer is None else plain(record.answer)
        console.print(f"[dim]key[/dim] {escape(plain(one.expected))}   [dim]answer[/dim] {escape(answer)}", highlight=False)
        console.print(escape(plain(record.text.strip())), style="dim", highlight=False)
        for reason, count in record.missing.items():
            console.print(f"missing: {count} ({reason}): {escape(plain(record.reasons.get(reason, '')))}", style="yellow", highlight=False)
    if not found:
        console.print("none" if not wrong else "no wrong answer in this run", highlight=False)


def compare(
    first: Folder,
    second: Annotated[str | None, typer.Argument(help="Another run on the same problems; without it, the strategies of one run.")] = None,
    as_json: Json = False,
) -> None:
    """Compare two runs, or all strategies of one, paired by problem; p-values corrected for their number (Holm)."""
    import contextlib
    import dataclasses
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from outthink.evaluate.compare import compare as compare_runs
    from outthink.evaluate.run import Run

    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(Run.open(name)) for name in (first, second) if name is not None]
        rows = compare_runs(*runs)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
        return
    console = Console()
    noted = any(row.note for row in rows)
    for first_name in dict.fromkeys(row.first for row in rows):
        table = Table(box=None, pad_edge=False)
        table.add_column("strategy", overflow="fold")
        for head in ("problems", "gain", "95% interval", "p", "p (Holm)"):
            table.add_column(head, justify="right", no_wrap=True)
        if noted:
            table.add_column("note")
        for row in rows:
            if row.first == first_name:
                gain, interval = f"{100 * row.gain:+.1f}", f"{100 * row.low:+.1f} to {100 * row.high:+.1f}"
                cells = (escape(row.second), str(row.problems), gain, interval, f"{row.p:.3f}", f"{row.adjusted:.3f}")
                table.add_row(*cells, *([escape(row.note)] if noted else []))
        console.print(f"against [bold]{escape(first_name)}[/bold]", highlight=False)
        console.print(table)
        console.print()
    console.print("gain: percentage points on the same problems, with a paired bootstrap interval; p: sign-flip test", style="dim", highlight=False)
