"""`outthink laws fit`: parameters with intervals, what is wrong with them, and whether the law predicts runs that it has not seen."""

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
    Source,
    Strategy,
    Weights,
    Where,
    numbers,
    objective,
    read,
)  # fmt: skip
from outthink.cli.options import Json, Quiet, Seed
from outthink.cli.working import working

if TYPE_CHECKING:
    from outthink.laws.procedure import Procedure


def fit(
    law: Annotated[str, typer.Argument(help="A law or procedure from `outthink laws list`.")],
    data: Data,
    columns: Columns = None,
    where: Where = None,
    objective_name: ObjectiveName = None,
    delta: Delta = 1e-3,
    reduction: Reduction = "sum",
    overestimate: Overestimate = 1.0,
    weights: Weights = None,
    fix: Annotated[str | None, typer.Option(help="Parameters held at values: E=0,alpha=0.34.")] = None,
    method: Annotated[str | None, typer.Option(help="projection or multistart: the other one is the cross-check.")] = None,
    starts: Annotated[int | None, typer.Option(min=1, help="Cells polished, or starts drawn.")] = None,
    replicates: Annotated[int, typer.Option("--bootstrap", "-b", min=0, help="Refits for the intervals; 0 for none.")] = 400,
    cluster: Cluster = None,
    order: Order = None,
    model: OfModel = None,
    strategy: Strategy = None,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for fit.json (for `predict` and `plan`), fit.png and fit.html.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit a law to a table, a run or a pool.

    Prints each parameter with its 95% interval, what looks wrong, how many starts agree, and the error on held-out larger runs beside two
    baselines. Units are raw counts: parameters, tokens, FLOPs; losses in nats per token; shares in [0, 1].

    Example: outthink laws fit chinchilla runs.csv --columns loss=final_loss,parameters=N,tokens=D --cluster run_id --out my-fit
    """
    import json

    from outthink.cli.laws.catalogue import named
    from outthink.evaluate.law_report import made, terminal, write
    from outthink.laws.procedure import Procedure

    found = named(law)
    if isinstance(found, Procedure):
        _procedure(found, data, columns, where, seed, as_json)
        return
    source = read(data, [found], columns=columns, where=where, cluster=cluster, model=model, strategy=strategy)
    chosen = objective(found, objective_name, delta, reduction, overestimate)
    held = numbers(fix, "--fix") if fix else {}
    with working(quiet) as say:
        report = made(
            found, source.table, objective=chosen, weights=weights, fixed=held, method=method, starts=starts, replicates=replicates,
            cluster=source.cluster, order=order, tables=source.resampled(seed) if source.recorded else None, seed=seed, progress=say,
            notes=_notes(source),
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=1, ensure_ascii=False))
    else:
        terminal(report)
    for path in write(report, out) if out is not None else ():
        typer.echo(f"written: {path}", err=True)


def _notes(source: Source) -> tuple[str, ...]:
    if source.recorded is None:
        return source.notes
    return (*source.notes, f"every row is a mean over the same {source.recorded.problems} problems: intervals draw problems, not rows")


def _procedure(found: Procedure, data: str, columns: str | None, where: list[str] | None, seed: int, as_json: bool) -> None:
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    source = read(data, [], columns=columns, where=where)
    outcome = found(source.table, seed)
    if as_json:
        typer.echo(json.dumps({"procedure": found.name, "rows": [dict(row) for row in outcome.rows], "notes": outcome.notes}, indent=1))
        return
    heads = list(outcome.rows[0]) if outcome.rows else []
    table = Table(*heads, box=None, pad_edge=False)
    for row in outcome.rows:
        table.add_row(*(escape(value) if isinstance(value, str) else f"{value:.5g}" for value in row.values()))
    console = Console()
    console.print(table)
    for note in outcome.notes:
        console.print(f"\n{escape(note)}", highlight=False)
