"""`outthink methods`: what is registered, read from the code."""

from __future__ import annotations

from typing import Annotated

import typer

from outthink.cli.options import Json


def methods(
    name: Annotated[str | None, typer.Argument(help="Show one: its knobs and its full text.")] = None,
    as_json: Json = False,
) -> None:
    """List strategies and verifiers with their knobs; with a NAME, everything that is known of it."""
    import inspect
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from outthink.core.registry import entries, knobs, lookup
    from outthink.core.spec import annotation_of

    console = Console()
    if name is not None:
        cls = lookup(name)
        entry = next(entry for entry in entries() if entry.name == name)
        module = inspect.getmodule(cls)
        console.print(f"[bold]{name}[/bold] ({entry.kind}), papers {', '.join(map(str, entry.papers)) or 'none'}", highlight=False)
        console.print(f"\n{escape(inspect.cleandoc(cls.__doc__ or ''))}\n", highlight=False)
        for field in knobs(cls).values():
            console.print(f"  {escape(_knob(field))}  [dim]{escape(annotation_of(field))}[/dim]", highlight=False)
        console.print(f"\n{escape(inspect.cleandoc(module.__doc__ or '') if module else '')}", highlight=False)
        return
    if as_json:
        rows = [
            {"kind": e.kind, "name": e.name, "papers": e.papers, "summary": e.summary, "knobs": [_knob(f) for f in knobs(e.cls).values()]}
            for e in entries()
        ]
        typer.echo(json.dumps(rows, indent=1))
        return
    table = Table("kind", Column("spec", overflow="fold"), "what it does", "papers", box=None, pad_edge=False)
    for entry in sorted(entries(), key=lambda entry: (entry.kind != "strategy", entry.kind, entry.name)):
        spec = f"{entry.name}({', '.join(_knob(field) for field in knobs(entry.cls).values())})"
        table.add_row(entry.kind, escape(spec), escape(entry.summary), " ".join(map(str, entry.papers)))
    console.print(table)
    console.print("\nA spec is what --strategy takes: best_of_n(n=8, verifier=length()). `outthink methods NAME` tells more.", highlight=False)


def _knob(field) -> str:  # type: ignore[no-untyped-def]  # dataclasses.Field of any type
    import dataclasses

    from outthink.core.spec import default_of, write

    default = default_of(field)
    return str(field.name) if default is dataclasses.MISSING else f"{field.name}={write(default)}"
