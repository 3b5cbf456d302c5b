"""`outthink papers` and `outthink reproduce`: what is implemented, and what of it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from outthink.cli.options import Json, Quiet

if TYPE_CHECKING:
    from outthink.papers.measured import Result

_SIX_COLUMNS = 120
"""Characters below which a claim would be a column of single words; it then has lines of its own."""
_TITLE, _BESIDE_TITLE = 24, 52
"""Characters that a title takes at least, and those of a line that it leaves to the other columns."""


def papers(
    number: Annotated[int | None, typer.Argument(help="Show one paper: what implements it and what reproduces it.")] = None,
    as_json: Json = False,
) -> None:
    """List the 141 papers, what implements each, and how many reproductions it has."""
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from outthink.papers.catalog import catalog, paper
    from outthink.papers.harness import discover
    from outthink.papers.implementations import implementations

    found: dict[int, list[str]] = {}
    for one in discover(None if number is None else [number]):
        found.setdefault(one.paper, []).append(one.claim)
    chosen = list(catalog().values()) if number is None else [paper(number)]
    rows: list[dict[str, Any]] = [
        {
            "paper": p.number, "title": p.title, "family": p.family,
            "implemented_by": [f"{one.kind} {one.name}" for one in implementations(p.number)], "reproductions": found.get(p.number, []),
        }
        for p in chosen
    ]  # fmt: skip
    if as_json:
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    console = Console()
    if number is not None:
        row = rows[0]
        console.print(f"[bold]{row['paper']}[/bold]  {escape(str(row['title']))}  [dim]{row['family']}[/dim]", highlight=False)
        for name, empty in (("implemented_by", "nothing here implements it yet"), ("reproductions", "no reproduction yet")):
            console.print(f"\n{name.replace('_', ' ')}:", highlight=False)
            for item in row[name] or [empty]:
                console.print(f"  {escape(item)}", highlight=False)
        return
    # one line a title on a screen; what goes to a file or to grep is not cut
    room = max(_TITLE, console.width - _BESIDE_TITLE) if console.is_terminal else None
    table = Table(box=None, pad_edge=False)
    table.add_column("paper")
    table.add_column("title", width=room, no_wrap=room is not None, overflow="ellipsis")
    for name in ("family", "implemented by", "repro."):
        table.add_column(name)
    for row in rows:
        parts = [str(item).rpartition(" ") for item in row["implemented_by"]]
        names = ", ".join(name for kind, _, name in parts if kind != "module") or ("a module" if parts else "")
        count = len(row["reproductions"])
        table.add_row(str(row["paper"]), escape(str(row["title"])), str(row["family"]), names, str(count) if count else "")
    console.print(table)
    console.print("\nrepro.: reproductions here; `outthink papers N` shows one paper whole.", highlight=False)


def reproduce(
    numbers: Annotated[list[int] | None, typer.Argument(metavar="[N]...", help="Numbers of papers.")] = None,
    all_papers: Annotated[bool, typer.Option("--all", help="Every reproduction there is.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Only those that take under two seconds and need no model.")] = False,
    prepare: Annotated[bool, typer.Option("--prepare", help="First make what takes long and is shared: recorded pools, trained models.")] = False,
    markdown: Annotated[str | None, typer.Option(help="Also write the table as Markdown to this file.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure claims of papers and compute whether they hold. Exits with 1 if one does not hold or ends in an error.

    Example: outthink reproduce 113 72
    """
    import json
    from pathlib import Path

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from outthink.core.errors import UsageError
    from outthink.core.files import write_whole
    from outthink.papers.harness import run
    from outthink.papers.measured import Measured
    from outthink.papers.table import docs_table

    if not numbers and not all_papers and not fast:
        raise UsageError("reproduce: name papers (outthink reproduce 113 72), or --all, or --fast")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as progress:
        task = progress.add_task("", total=None)

        def show(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        results = run(numbers or None, fast=fast, prepare=prepare, progress=show)
    if not results:
        which = " ".join(f"[{number}]" for number in numbers or []) or "all papers"
        kind = "fast " if fast else ""
        raise UsageError(f"reproduce: there is no {kind}reproduction of {which}; `outthink papers` shows how many each paper has")
    if markdown:
        command = "outthink reproduce --all --prepare --markdown docs/papers.md"
        head = f"# What holds\n\nMade by `{command}`; every verdict is computed from the measurement.\n\n"
        write_whole(Path(markdown), head + docs_table(results))
    if as_json:
        typer.echo(json.dumps([result.to_json() for result in results], indent=1, ensure_ascii=False))
    else:
        _print(results)
    if any(not (isinstance(result, Measured) and result.holds) and getattr(result, "reason", None) is None for result in results):
        raise typer.Exit(1)


def _print(results: list[Result]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.padding import Padding
    from rich.table import Table

    from outthink.papers.measured import Measured, Skipped
    from outthink.papers.table import value_text

    console = Console()
    narrow = console.width < _SIX_COLUMNS
    table = Table("paper", "claim", "expected", "measured", "evidence", "verdict", box=None, pad_edge=False)
    for result in results:
        if isinstance(result, Measured):
            verdict = "[green]holds[/green]" if result.holds else "[red]does not hold[/red]"
            cells = (result.expected, value_text(result), result.kind, verdict)
        elif isinstance(result, Skipped):
            cells = ("", f"skipped: {result.reason}; {result.remedy}", result.kind, "[yellow]skipped[/yellow]")
        else:
            cells = ("", f"error: {result.error}; details in {result.log}", result.kind, "[red]error[/red]")
        if narrow:
            console.print(f"{cells[3]}  \\[{result.paper}] {escape(result.claim)}", highlight=False)
            told = [f"expected {cells[0]}", f"measured {cells[1]}"] if isinstance(result, Measured) else [cells[1]]
            console.print(Padding(escape("; ".join([*told, cells[2]])), (0, 0, 0, 4)), style="dim", highlight=False)
        else:
            table.add_row(str(result.paper), escape(result.claim), escape(cells[0]), escape(cells[1]), cells[2], cells[3])
    if not narrow:
        console.print(table)
    held = sum(isinstance(r, Measured) and r.holds for r in results)
    failed = sum(isinstance(r, Measured) and not r.holds for r in results)
    skipped = sum(isinstance(r, Skipped) for r in results)
    console.print(f"\n{held} hold, {failed} do not, {skipped} skipped, {len(results) - held - failed - skipped} ended in an error", highlight=False)
