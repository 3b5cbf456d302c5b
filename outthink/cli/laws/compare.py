"""`outthink laws compare`: several laws on one table, judged by what they predict and not by how they fit."""

from __future__ import annotations

from typing import Annotated

import typer

from outthink.cli.laws.source import Cluster, Columns, Delta, ObjectiveName, OfModel, Order, Strategy, Weights, Where, objective, read
from outthink.cli.options import Json, Quiet, Seed
from outthink.cli.working import working

_SHARED = (
    "all rows come from the same problems, so their errors go together and the interval is too narrow; "
    "compare on pools of other problems before you rely on the verdict"
)


def compare(
    laws_and_data: Annotated[list[str], typer.Argument(metavar="LAW LAW... DATA", help="Two laws or more, then the table, run or pool.")],
    columns: Columns = None,
    where: Where = None,
    how: Annotated[
        str, typer.Option(help="Hold out the largest rows (ordered), the next block at several cuts (rolling), or each group (groups).")
    ] = "ordered",
    group: Annotated[str | None, typer.Option(help="Column of the groups, for --how groups.")] = None,
    objective_name: ObjectiveName = None,
    delta: Delta = 1e-3,
    weights: Weights = None,
    cluster: Cluster = None,
    order: Order = None,
    model: OfModel = None,
    strategy: Strategy = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare laws by their errors on rows they were not fitted to, with a paired test over runs and a verdict, which may be "undecided".

    In-sample columns are there to be read with care: a law with more parameters always fits better. AIC is shown for --objective squared or absolute,
    which are likelihoods, and only where every row is a run of its own.

    Example: outthink laws compare chinchilla chinchilla-tied kaplan runs.csv --cluster run_id
    """
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from outthink.core.errors import UsageError
    from outthink.laws.compare import compare as work
    from outthink.laws.form import form

    *laws, data = laws_and_data
    if len(laws) < 2:
        raise UsageError("give two laws or more, then the data: outthink laws compare chinchilla kaplan runs.csv")
    forms = [form(law) for law in laws]
    if how not in ("ordered", "rolling", "groups"):
        raise UsageError(f"--how {how!r}: use ordered, rolling or groups")
    source = read(data, forms, columns=columns, where=where, cluster=cluster, model=model, strategy=strategy)
    with working(quiet) as say:
        say("fitting and holding out", None, None)
        found = work(
            forms, source.table, how=how, order=order, group=group, cluster=source.cluster,  # type: ignore[arg-type]  # checked above
            objective=objective(forms[0], objective_name, delta, "sum", 1.0), weights=weights, seed=seed,
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(found.to_json() | {"warning": _SHARED if source.recorded else None}, indent=1, ensure_ascii=False))
        return
    informed = any(row.aic is not None for row in found.rows)
    heads = ["law", "free", "objective", "residual", *(["AIC", "BIC"] if informed else []), "held-out", "against the best"]
    shown = Table(*heads, box=None, pad_edge=False)
    for row in found.rows:
        held = row.extrapolation
        against = row.verdict
        if row.difference is not None and row.low is not None and row.high is not None:
            against = f"{row.verdict}: {row.low:+.1e} to {row.high:+.1e}, p {row.p:.2g}"
        aic = [f"{value:.1f}" if value is not None else "" for value in (row.aic, row.bic)] if informed else []
        shown.add_row(
            escape(row.fit.form.name), str(len(row.fit.free)), f"{row.fit.value:.5g}", f"{row.fit.residual_sd:.4g}", *aic,
            held.written(held.error()), against,
        )  # fmt: skip
    console = Console()
    console.print(shown)
    first = found.rows[0].extrapolation
    console.print(
        f"\n{first.held_out} rows of {found.clusters} runs held out ({first.how}), up to {first.reach:.3g} times the compute fitted.", highlight=False
    )
    baselines = f"constant {first.written(first.error('constant'))}, pure power law {first.written(first.error('power'))}"
    console.print(f"Baselines beside the best law: {baselines}. Residual: sd on the objective's scale, in sample.", highlight=False)
    console.print(
        "Against the best: 95% interval of the mean squared error less that of the best law, over all rivals at once, and its sign-flip p-value.",
        highlight=False,
    )
    for row in found.rows:
        for flag in row.fit.flags:
            console.print(f"[yellow]{escape(row.fit.form.name)}, {flag.kind.replace('_', ' ')}[/yellow]: {escape(flag.text)}", highlight=False)
    if source.recorded is not None:
        console.print(f"[yellow]rows that share problems[/yellow]: {_SHARED}", highlight=False)
    console.print(f"[bold]{escape(found.verdict)}[/bold]", highlight=False)
