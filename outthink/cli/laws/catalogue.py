"""`outthink laws list` and `outthink laws show`: what can be fitted, read from the code."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from outthink.cli.options import Json

if TYPE_CHECKING:
    from outthink.laws.form import Form, Parameter, Variable
    from outthink.laws.procedure import Procedure


def list_laws(paper: Annotated[int | None, typer.Option(help="Only those of one paper.")] = None, as_json: Json = False) -> None:
    """List the laws that can be fitted, and the procedures: analyses of a table that are no law with parameters."""
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from outthink.laws.form import forms
    from outthink.laws.procedure import procedures

    laws = [one for one in forms().values() if paper in (None, *one.papers)]
    others = [one for one in procedures().values() if paper in (None, *one.papers)]
    if as_json:
        typer.echo(json.dumps([*map(_law_json, laws), *map(_procedure_json, others)], indent=1, ensure_ascii=False))
        return
    console = Console()
    table = Table("law", "what it says", "predicts", "from", "papers", box=None, pad_edge=False)
    for law in laws:
        variables = ", ".join(variable.name for variable in law.variables)
        table.add_row(f"[bold]{escape(law.name)}[/bold]", escape(law.title), escape(law.target.name), escape(variables), _papers(law.papers))
    if laws:
        console.print(table)
    if others:
        table = Table("procedure", "what it does", "columns", "papers", box=None, pad_edge=False)
        for one in others:
            columns = ", ".join(column.name for column in one.columns)
            table.add_row(f"[bold]{escape(one.name)}[/bold]", escape(one.title), escape(columns), _papers(one.papers))
        console.print()
        console.print(table)
    if not laws and not others:
        console.print(f"no law is from paper {paper}", highlight=False)
    console.print("\n`outthink laws show NAME` has the formula, the columns and an example.", highlight=False)


def show(name: Annotated[str, typer.Argument(help="A law or a procedure, as `outthink laws list` has it.")], as_json: Json = False) -> None:
    """Show one law: formula, parameters with units and ranges, source, where it is claimed to hold, columns, an example.

    Example: outthink laws show chinchilla
    """
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from outthink.laws.procedure import Procedure

    found = named(name)
    if as_json:
        typer.echo(json.dumps(_procedure_json(found) if isinstance(found, Procedure) else _law_json(found), indent=1, ensure_ascii=False))
        return
    console = Console()
    papers = f"  [dim]papers {_papers(found.papers)}[/dim]" if found.papers else ""
    console.print(f"[bold]{escape(found.name)}[/bold]  {escape(found.title)}{papers}\n", highlight=False)
    columns = Table("column", "what it is", "unit", "range", box=None, pad_edge=False)
    if isinstance(found, Procedure):
        for column in found.columns:
            columns.add_row(escape(column.name), escape(column.meaning), column.kind, "")
    else:
        console.print(f"  {escape(found.formula)}\n", highlight=False)
        parameters = Table("parameter", "what it is", "unit", "range", box=None, pad_edge=False)
        for parameter in found.parameters:
            parameters.add_row(escape(parameter.name), escape(parameter.meaning), escape(parameter.unit), _range(parameter))
        console.print(parameters)
        console.print()
        for variable in (*found.variables, found.target):
            what = variable.meaning + (" (predicted)" if variable is found.target else "")
            columns.add_row(escape(variable.name), escape(what), escape(variable.unit), _range(variable))
    console.print(columns)
    console.print(f"\nsource   {escape(found.source)}", highlight=False)
    if not isinstance(found, Procedure):
        console.print(f"valid    {escape(found.valid)}", highlight=False)
    console.print(f"example  outthink laws fit {found.name} runs.csv --out my-fit", highlight=False)
    if not isinstance(found, Procedure):
        heading = f"--columns {found.target.name}=HEADING,{found.variables[0].name}=HEADING"
        console.print(f"         {heading} where the table's headings differ", highlight=False, markup=False)


def named(name: str) -> Form | Procedure:
    """A law or a procedure.

    Raises:
        UsageError: there is neither; the nearest of both is suggested.
    """
    from outthink.core.errors import UsageError, nearest
    from outthink.laws.form import forms
    from outthink.laws.procedure import procedures

    laws, others = forms(), procedures()
    if name in laws:
        return laws[name]
    if name in others:
        return others[name]
    raise UsageError(f"there is no law {name!r}.{nearest(name, [*laws, *others])} See them with: outthink laws list")


def _range(one: Parameter | Variable) -> str:
    closed = "" if getattr(one, "open_low", True) else "="
    low = "" if math.isinf(one.low) else f">{closed} {one.low:g}"
    high = "" if math.isinf(one.high) else f"<= {one.high:g}"
    return ", ".join(part for part in (low, high) if part) or "any"


def _papers(numbers: tuple[int, ...]) -> str:
    return " ".join(map(str, numbers))


def _law_json(law: Form) -> dict[str, object]:
    def end(value: float) -> float | None:
        return value if math.isfinite(value) else None

    def variable(one: Variable) -> dict[str, object]:
        return {"name": one.name, "meaning": one.meaning, "unit": one.unit, "low": end(one.low), "high": end(one.high)}

    return {
        "kind": "law", "name": law.name, "title": law.title, "papers": law.papers, "formula": law.formula,
        "variables": [variable(one) for one in law.variables], "target": variable(law.target),
        "parameters": [{"name": p.name, "meaning": p.meaning, "unit": p.unit, "low": end(p.low), "high": end(p.high)} for p in law.parameters],
        "source": law.source, "valid": law.valid,
    }  # fmt: skip


def _procedure_json(one: Procedure) -> dict[str, object]:
    columns = [{"name": column.name, "meaning": column.meaning, "kind": column.kind} for column in one.columns]
    return {"kind": "procedure", "name": one.name, "title": one.title, "papers": one.papers, "columns": columns, "source": one.source}
