"""`outthink laws audit`: what a fit owes to choices that are seldom reported, and the checklist that reports them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outthink.cli.laws.source import (
    Cluster,
    Columns,
    Data,
    Delta,
    ObjectiveName,
    OfModel,
    Order,
    Overestimate,
    Reduction,
    Strategy,
    Weights,
    Where,
    assignments,
    objective,
    read,
)  # fmt: skip
from outthink.cli.options import Json, Quiet, Seed
from outthink.cli.working import working

if TYPE_CHECKING:
    from outthink.laws.audit import Audit
    from outthink.laws.checklist import Answer


def audit(
    data: Data,
    law: Annotated[str, typer.Option("--law", "-l", help="The law that is fitted.")] = "chinchilla",
    columns: Columns = None,
    where: Where = None,
    cluster: Cluster = None,
    group: Annotated[
        str | None, typer.Option(help="Column, or several with commas, of groups of which the best row is kept: a size with all its learning rates.")
    ] = None,
    subset: Annotated[list[str] | None, typer.Option(help="Also fit only rows with COLUMN=VALUE; several times for several.")] = None,
    instead: Annotated[list[str] | None, typer.Option(help="Also fit with other columns: parameters=N_no_emb; several times for several.")] = None,
    answers: Annotated[Path | None, typer.Option(help='Your answers to the checklist, a TOML file of key = "text".')] = None,
    note: Annotated[list[str] | None, typer.Option(help='One answer: --note "tuning=at every size". Several times for several.')] = None,
    objective_name: ObjectiveName = None,
    delta: Delta = 1e-3,
    reduction: Reduction = "sum",
    overestimate: Overestimate = 1.0,
    weights: Weights = None,
    order: Order = None,
    replicates: Annotated[int, typer.Option("--bootstrap", "-b", min=0, help="Refits for the intervals; 0 for none.")] = 200,
    model: OfModel = None,
    strategy: Strategy = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit a law again under other selections of the data and other objectives, and fill in the (Mis)Fitting checklist.

    A choice that moves the exponent out of its interval decides the result, and should be told with it. With --cluster, the interval that takes
    checkpoints of one run as independent is set beside the honest one.

    Example: outthink laws audit runs.csv --law chinchilla --cluster run_id --group size --instead parameters=N_no_emb --note "tuning=at every size"
    """
    import json

    from outthink.core.errors import OutthinkError, UsageError
    from outthink.laws.audit import audit as work
    from outthink.laws.checklist import fill, read_answers
    from outthink.laws.extrapolation import extrapolate
    from outthink.laws.form import form
    from outthink.laws.prepare import with_label

    known = form(law)
    given = read_answers(answers) if answers else {}
    for one in note or ():
        key, equals, text = one.partition("=")
        if not equals or not text.strip():
            raise UsageError(f'--note {one!r} is not KEY=TEXT, such as "tuning=at every size"')
        given[key.strip()] = text.strip()
    subsets = {}
    for one in subset or ():
        column, equals, value = one.partition("=")
        if not equals or not value.strip():
            raise UsageError(f"--subset {one!r} is not COLUMN=VALUE, such as peak_lr=0.002")
        subsets[f"only {one.strip()}"] = (column.strip(), value.strip())
    others = {f"with {one.strip()}": {name: heading for name, (heading, _) in assignments(one, "--instead").items()} for one in instead or ()}
    source = read(data, [known], columns=columns, where=where, cluster=cluster, model=model, strategy=strategy)
    table = source.table
    if group is not None and group not in table.names:
        table = with_label(table, [part.strip() for part in group.split(",")], group)
    chosen = objective(known, objective_name, delta, reduction, overestimate)
    with working(quiet) as say:
        found = work(
            known, table, objective=chosen, weights=weights, run=source.cluster, group=group, order=order, subsets=subsets, instead=others,
            replicates=0 if source.recorded else replicates, seed=seed, progress=lambda what: say(what, None, None),
        )  # fmt: skip
        say("holding out the largest", None, None)
        try:
            held_out = extrapolate(known, source.table, order=order, cluster=source.cluster, objective=chosen, weights=weights, seed=seed)
        except OutthinkError:  # the checklist then shows validation as missing
            held_out = None
    filled = fill(found.fit, table=source.table, draws=found.draws, held_out=held_out, run=source.cluster, given=given)
    if as_json:
        typer.echo(json.dumps(_json(found, filled), indent=1, ensure_ascii=False))
        return
    _print(found, filled)


def _print(found: Audit, filled: tuple[Answer, ...]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from outthink.laws.checklist import missing

    console = Console()
    console.print(f"[bold]{escape(found.fit.form.formula)}[/bold]   {escape(found.fit.table.source)}\n", highlight=False)
    shown = Table("choice", "rows", *map(escape, found.keys), "", box=None, pad_edge=False)
    for one in found.variations:
        said = f"cannot be fitted: {one.failed}" if one.failed else "degenerate" if one.degenerate else "outside the interval" if one.outside else ""
        colour = "red" if one.failed or one.degenerate else "yellow"
        values = [f"{one.values[key]:.3f}" if key in one.values else "" for key in found.keys]
        shown.add_row(escape(one.name), str(one.rows), *values, f"[{colour}]{escape(said)}[/{colour}]" if said else "")
    console.print(shown)
    first = found.keys[0]
    low, high = found.range(first)
    console.print(f"\n{escape(first)} goes from {low:.3f} to {high:.3f} over the choices whose fit is sound.", highlight=False)
    for naive in found.naive:
        inside, alone = f"{naive.cluster[0]:.3f} to {naive.cluster[1]:.3f}", f"{naive.rows[0]:.3f} to {naive.rows[1]:.3f}"
        wider = f"runs are {naive.ratio:.2f} times as wide"
        console.print(f"{escape(naive.name)}: 95% {inside} drawing runs, {alone} drawing rows: {wider}", highlight=False)
    for one in found.variations:
        for text in one.degenerate:
            console.print(f"[red]degenerate[/red], {escape(one.name)}: {escape(text)}", highlight=False)
    console.print("\n[bold]Checklist[/bold]")
    listed = Table("", "item", "answer", "from", box=None, pad_edge=False, show_header=False)
    part = ""
    for answer in filled:
        text = escape(answer.text) if answer.origin != "missing" else f"[yellow]missing[/yellow]  [dim]{escape(answer.item.question)}[/dim]"
        listed.add_row("" if answer.item.part == part else answer.item.part, answer.item.key, text, answer.origin if answer.text else "")
        part = answer.item.part
    console.print(listed)
    blank = missing(filled)
    if blank:
        console.print(
            f'\n{len(blank)} of {len(filled)} are missing: answer them with --note "{blank[0]}=..." or --answers answers.toml', highlight=False
        )


def _json(found: Audit, filled: tuple[Answer, ...]) -> dict[str, object]:
    import dataclasses

    low, high = found.range(found.keys[0])
    return {
        "law": found.fit.form.name, "keys": found.keys, "range": {"key": found.keys[0], "low": low, "high": high},
        "variations": [{**dataclasses.asdict(one), "values": dict(one.values)} for one in found.variations],
        "naive": [{"name": one.name, "drawing_runs": one.cluster, "drawing_rows": one.rows, "ratio": one.ratio} for one in found.naive],
        "checklist": {answer.item.key: {"text": answer.text, "from": answer.origin} for answer in filled},
    }  # fmt: skip
