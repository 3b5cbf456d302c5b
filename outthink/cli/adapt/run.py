"""`outthink adapt run`: one method on one stream, saved as it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from outthink.cli.adapt.ending import ended
from outthink.cli.adapt.world import Batch, Corruptions, DataName, LabelBudget, Limit, ModelFile, SourceName, StreamName, UnknownFolder
from outthink.cli.options import Json, Quiet, Seed
from outthink.cli.working import working


def run(
    method: Annotated[str, typer.Option("--method", help="A method with its knobs, such as 'tent(lr=1e-3)'; outthink adapt list has them.")] = "tent",
    model: ModelFile = None,
    data: DataName = "digits",
    source: SourceName = None,
    stream: StreamName = "continual",
    corruption: Corruptions = None,
    unknown: UnknownFolder = None,
    batch: Batch = 64,
    limit: Limit = None,
    label_budget: LabelBudget = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to save in; the same command goes on where it was stopped.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with the error over time and by domain.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a classifier on a drifting stream with a method that adapts it, and report its error over time and what it forgot.

    Without --model and --data a small network for handwritten digits is trained (seconds, kept in the cache). Labels are used to score and never
    reach the method; one that asks for labels is told what it asks, and they are counted.

    Example: outthink adapt run --method 'rotta' --stream correlated --corruption fog:5 --out my-run --html my-run.html
    """
    from outthink.adapt.online import run_afterwards
    from outthink.adapt.streams import continual
    from outthink.cli.adapt.world import Wanted, adapted, method_of, world
    from outthink.evaluate.adapt_report import AdaptReport
    from outthink.evaluate.adapt_run import play

    wanted = Wanted(model, data, source, stream, corruption, batch, limit, seed, unknown)
    with working(quiet) as say:
        way = method_of(method)
        here = world(wanted, say)
        plan = {"method": method, **wanted.plan(), "label_budget": label_budget, **here.facts}
        net = adapted(here, way, seed, say, labels=label_budget)
        clean = None if here.clean is None else continual([here.clean], batch=batch, seed=seed)
        # the network as it predicts before the stream, statistics of the batch included where the method takes them
        before = None if clean is None else float(run_afterwards(net, clean).wrong.mean())
        found = play(
            net, here.stream, folder=out, plan=plan,
            progress=lambda done, total, error: say(f"{method}: error so far {100 * error:.1f}%", done, total),
        )  # fmt: skip
        forgot = {} if clean is None or before is None else {method: (before, float(run_afterwards(net, clean).wrong.mean()))}
    ended(AdaptReport({method: found}, {method: way.contract}, plan, here.skipped, seed, forgot), out, html, as_json)
