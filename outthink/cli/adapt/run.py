"""`outthink adapt run`: one method on one stream, saved as it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from outthink.cli.adapt.world import Batch, Corruptions, DataName, Limit, ModelFile, SourceName, StreamName
from outthink.cli.options import Json, Quiet, Seed
from outthink.cli.working import working


def run(
    method: Annotated[str, typer.Option("--method", help="A method with its knobs, such as 'tent(lr=1e-3)'; outthink adapt list has them.")] = "tent",
    model: ModelFile = None,
    data: DataName = "digits",
    source: SourceName = None,
    stream: StreamName = "continual",
    corruption: Corruptions = None,
    batch: Batch = 64,
    limit: Limit = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to save in; the same command goes on where it was stopped.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with the error over time and by domain.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a classifier on a drifting stream with a method that adapts it, and report its error over time.

    Without --model and --data a small network for handwritten digits is trained on the spot (seconds). Labels are used to score and never reach
    the method; one that asks for labels is told what it asks, and they are counted.

    Example: outthink adapt run --method 'rotta' --stream correlated --corruption fog:5 --out my-run --html my-run.html
    """
    import json

    from outthink.cli.adapt.world import adapted, method_of, world
    from outthink.evaluate.adapt_report import AdaptReport, told
    from outthink.evaluate.adapt_run import play

    plan: dict[str, object] = {
        "method": method, "model": model, "data": data, "source": source, "stream": stream, "corruptions": corruption, "batch": batch, "limit": limit,
        "seed": seed,
    }  # fmt: skip
    with working(quiet) as say:
        way = method_of(method)
        here = world(model, data, source, stream, corruption, batch, limit, seed, say)
        net = adapted(here, way, seed, say)
        found = play(
            net, here.stream, folder=out, plan=plan,
            progress=lambda done, total, error: say(f"{method}: error so far {100 * error:.1f}%", done, total),
        )  # fmt: skip
    report = AdaptReport({method: found}, {method: way.contract}, plan, here.skipped, seed)
    if out is not None:
        report.save(out / "report.json")
    if html is not None:
        from outthink.evaluate.adapt_page import write

        write(report, html)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=1, ensure_ascii=False))
        return
    told(report)
