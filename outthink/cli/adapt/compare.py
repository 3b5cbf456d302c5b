"""`outthink adapt compare`: several methods on the same stream, paired sample by sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from outthink.cli.adapt.ending import ended
from outthink.cli.adapt.world import Batch, Corruptions, DataName, LabelBudget, Limit, ModelFile, SourceName, StreamName, UnknownFolder
from outthink.cli.options import Json, Quiet, Seed
from outthink.cli.working import working


def compare(
    method: Annotated[list[str], typer.Argument(metavar="METHOD...", help="Methods with their knobs, such as tent 'rotta(nu=0.01)'.")],
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
    """Compare methods on the same stream: error, paired difference to the source model with p-values corrected for their number, drift and cost.

    The source model is always among them, and batch statistics alone (bn_adapt) where the model has batch normalisation: on such a network most of
    what a method gains on independent samples is that.

    Example: outthink adapt compare tent eata rotta --stream correlated --corruption fog:5
    """
    from outthink.adapt.view import has_batch_norm
    from outthink.cli.adapt.world import Wanted, adapted, method_of, world
    from outthink.evaluate.adapt_report import AdaptReport
    from outthink.evaluate.adapt_run import play

    wanted = Wanted(model, data, source, stream, corruption, batch, limit, seed, unknown)
    with working(quiet) as say:
        ways = {text: method_of(text) for text in method}
        here = world(wanted, say)
        shared = {**wanted.plan(), "label_budget": label_budget, **here.facts}
        baselines = ["source", "bn_adapt"] if has_batch_norm(here.model) else ["source"]
        ways = {text: method_of(text) for text in baselines} | ways
        runs = {}
        for number, (text, way) in enumerate(ways.items()):
            net = adapted(here, way, seed, say, labels=label_budget)
            label = f"{text} ({number + 1} of {len(ways)})"
            runs[text] = play(
                net, here.stream, folder=out / _folder(text) if out is not None else None, plan={"method": text, **shared},
                progress=lambda done, total, error, label=label: say(f"{label}: error so far {100 * error:.1f}%", done, total),  # type: ignore[misc]
            )  # fmt: skip
    ended(AdaptReport(runs, {text: way.contract for text, way in ways.items()}, shared, here.skipped, seed), out, html, as_json)


def _folder(text: str) -> str:
    import hashlib

    kept = "".join(letter if letter.isalnum() else "-" for letter in text).strip("-")
    return f"{kept[:40]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
