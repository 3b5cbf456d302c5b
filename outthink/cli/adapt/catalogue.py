"""`outthink adapt list` and `outthink adapt show`: the methods and the streams, read from the code."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from outthink.cli.options import Json

if TYPE_CHECKING:
    from rich.table import Table

    from outthink.adapt.method import Entry
    from outthink.adapt.orders import Entry as Order


def list_methods(paper: Annotated[int | None, typer.Option(help="Only those of one paper.")] = None, as_json: Json = False) -> None:
    """List the methods of adaptation with what each one needs and changes, and the streams that they can be tried on."""
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    found = [entry for entry in _methods().values() if paper in (None, *entry.papers)]
    from outthink.adapt.orders import ORDERS

    if as_json:
        streams = [_stream(entry) for entry in ORDERS.values()]
        typer.echo(json.dumps({"methods": [_json(entry) for entry in found], "streams": streams}, indent=1, ensure_ascii=False))
        return
    console = Console()
    if not found:
        console.print(f"no method is from paper {paper}; outthink adapt list has them all", highlight=False)
        return
    table = Table("method", "what it does", "predicts", "needs", "papers", box=None, pad_edge=False)
    for entry in found:
        contract = entry.cls.contract  # type: ignore[attr-defined]  # registered classes have one
        predicts = f"{contract.predicts} its step, {contract.network}"
        table.add_row(
            f"[bold]{escape(entry.name)}[/bold]", escape(entry.summary), predicts, ", ".join(contract.needs), " ".join(map(str, entry.papers))
        )
    console.print(table)
    if paper is None:
        console.print()
        kinds = Table("stream", "in which order samples come", "knobs", box=None, pad_edge=False)
        for kind in ORDERS.values():
            knobs = ", ".join(f"{field.name}={_default(field)}" for field in dataclasses.fields(kind.cls))
            kinds.add_row(f"[bold]{escape(kind.name)}[/bold]", escape(kind.summary), escape(knobs))
        console.print(kinds)
    console.print("\n`outthink adapt show NAME` has its knobs and its contract.", highlight=False)


def show(name: Annotated[str, typer.Argument(help="A method or a stream, as `outthink adapt list` has it.")], as_json: Json = False) -> None:
    """Show one method or stream: its knobs with their defaults, what it promises, and what it costs.

    Example: outthink adapt show rotta
    """
    import inspect
    import json
    import sys

    from rich.console import Console
    from rich.table import Table

    _methods()
    from outthink.adapt.method import lookup
    from outthink.adapt.orders import ORDERS

    if name in ORDERS:
        kind = ORDERS[name]
        if as_json:
            typer.echo(json.dumps(_stream(kind), indent=1, ensure_ascii=False))
            return
        console = Console()
        console.print(f"[bold]{kind.name}[/bold]  a stream\n")
        console.print(inspect.getdoc(kind.cls) or "", markup=False, highlight=False)
        if dataclasses.fields(kind.cls):
            console.print()
            console.print(_knobs(kind.cls))
        console.print(f"\nexample  outthink adapt compare tent --stream {kind.name}", highlight=False)
        return
    entry = lookup(name)
    if as_json:
        typer.echo(json.dumps(_json(entry), indent=1, ensure_ascii=False))
        return
    console = Console()
    contract = entry.cls.contract  # type: ignore[attr-defined]
    console.print(f"[bold]{entry.name}[/bold]  papers {' '.join(map(str, entry.papers))}\n")
    console.print(inspect.getdoc(sys.modules[entry.cls.__module__]) or "", markup=False, highlight=False)
    console.print()
    console.print(inspect.getdoc(entry.cls) or "", markup=False, highlight=False)
    console.print()
    console.print(_knobs(entry.cls))
    facts = Table(show_header=False, box=None, pad_edge=False)
    for label, told in (
        ("predicts", f"{contract.predicts} its step, with the {contract.network}"),
        ("changes", contract.changes), ("keeps of the source", contract.keeps),
        ("needs", ", ".join(contract.needs) or "nothing but a classifier"), ("smallest batch", str(contract.smallest_batch)),
    ):  # fmt: skip
        facts.add_row(label, told)
    console.print()
    console.print(facts)
    console.print(f"\nexample  outthink adapt run --method {entry.name} --stream continual", highlight=False)


def _knobs(cls: type) -> Table:
    from rich.table import Table

    table = Table("knob", "default", box=None, pad_edge=False)
    for field in dataclasses.fields(cls):
        table.add_row(field.name, _default(field))
    return table


def _stream(entry: Order) -> dict[str, object]:
    knobs = {field.name: _default(field) for field in dataclasses.fields(entry.cls)}
    return {"name": entry.name, "summary": entry.summary, "knobs": knobs}


def _methods() -> dict[str, Entry]:
    from outthink.core.errors import need

    need("torch", extra="adapt")
    from outthink.adapt.method import methods

    return methods()


def _default(field: dataclasses.Field[object]) -> str:
    from outthink.core.spec import default_of

    value = default_of(field)
    return "(must be given)" if value is dataclasses.MISSING else str(value)


def _json(entry: Entry) -> dict[str, object]:
    contract = entry.cls.contract  # type: ignore[attr-defined]
    return {
        "name": entry.name, "summary": entry.summary, "papers": entry.papers,
        "knobs": {field.name: _default(field) for field in dataclasses.fields(entry.cls)}, "contract": dataclasses.asdict(contract),
    }  # fmt: skip
