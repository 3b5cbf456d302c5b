"""`outthink laws predict`: a fitted law at other values, with its interval and how far those lie outside the data."""

from __future__ import annotations

from typing import Annotated

import typer

from outthink.cli.laws.source import Columns, numbers, read
from outthink.cli.options import Json


def predict(
    fitted: Annotated[str, typer.Argument(metavar="FIT", help="fit.json of `outthink laws fit --out`, or its folder.")],
    at: Annotated[
        list[str] | None, typer.Option("--at", help="Values of all variables: parameters=1e9,tokens=2e10. Give it several times for several.")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", help="A table with the law's variables: one prediction a row.")] = None,
    columns: Columns = None,
    level: Annotated[float, typer.Option(help="Of the interval, in (0, 1).")] = 0.95,
    as_json: Json = False,
) -> None:
    """Predict with a fitted law.

    The interval is that of the law: where its curve may lie, by the bootstrap of the fit. A single run scatters around the curve besides, by the
    residual sd that the fit reports; and no interval covers that the form itself may be wrong far outside the data, so that distance is told.

    Example: outthink laws predict my-fit --at parameters=1e9,tokens=2e10
    """
    import json

    import numpy as np
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from outthink.core.errors import UsageError
    from outthink.evaluate.law_report import read_report
    from outthink.laws.fit import outside

    if not 0.0 < level < 1.0:
        raise UsageError(f"--level must lie between 0 and 1, got {level}")
    found, draws, _ = read_report(fitted)
    form = found.form
    names = [variable.name for variable in form.variables]
    if (at is None) == (data is None):
        example = ",".join(f"{name}={found.domain[name][1]:.3g}" for name in names)
        raise UsageError(f"say where to predict: --at {example}, or --data with a table of {', '.join(names)}")
    if at is not None:
        points = [numbers(one, "--at") for one in at]
        for point in points:
            if missing := [name for name in names if name not in point]:
                raise UsageError(f"--at lacks {', '.join(missing)}: law {form.name!r} needs {', '.join(names)}")
            if unknown := [name for name in point if name not in names]:
                raise UsageError(f"--at: law {form.name!r} has no variable {unknown[0]!r}; it has {', '.join(names)}")
        asked = {name: np.array([point[name] for point in points]) for name in names}
    else:
        table = read(str(data), [form], columns=columns).table
        asked = {name: table.column(name) for name in names}
    for variable in form.variables:
        values = asked[variable.name]
        below = values <= variable.low if variable.open_low else values < variable.low
        if bad := [float(value) for value in values[below | (values > variable.high) | ~np.isfinite(values)]]:
            raise UsageError(f"{variable.name} must be {'above' if variable.open_low else 'at least'} {variable.low:g}, got {bad[0]:g}")
    inputs = [asked[name] for name in names]
    values = found.predict(*inputs)
    ends = None if draws is None else np.quantile(draws.predict(*inputs), [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=0)
    rows = []
    for k in range(values.size):
        here = {name: float(asked[name][k]) for name in names}
        beyond = outside(found, here)
        rows.append({
            **here, form.target.name: float(values[k]), "low": None if ends is None else float(ends[0][k]),
            "high": None if ends is None else float(ends[1][k]), "outside": list(beyond),
        })  # fmt: skip
    if as_json:
        typer.echo(json.dumps({"law": form.name, "level": level, "predictions": rows}, indent=1))
        return
    shown = Table(*names, form.target.name, f"{100 * level:g}% of the law", box=None, pad_edge=False)
    for k in range(values.size):
        interval = "no bootstrap" if ends is None else f"{ends[0][k]:.4g} to {ends[1][k]:.4g}"
        shown.add_row(*(f"{asked[name][k]:.4g}" for name in names), f"{values[k]:.5g}", interval)
    console = Console()
    console.print(shown)
    for sentence in outside(found, asked):
        console.print(f"[yellow]outside the data[/yellow]: {escape(sentence)}", highlight=False)
    for flag in found.flags:
        if flag.kind in ("degenerate", "not_unique"):
            console.print(f"[yellow]{flag.kind.replace('_', ' ')}[/yellow]: {escape(flag.text)}", highlight=False)
