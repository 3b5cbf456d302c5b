"""`outthink adapt audit`: a method's pitfalls on your model and data, before it is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from outthink.cli.adapt.world import Corruptions, Limit, SourceName
from outthink.cli.options import Json, Quiet, Seed
from outthink.cli.working import working

UNSAFE = 10
"""Exit status where something unsafe was found, which no error has."""
BUILT_IN = "builtin"
_COLOURS = {"safe": "green", "unsafe": "red", "unknown": "yellow", "fact": "dim"}


def audit(
    model: Annotated[
        str, typer.Argument(help="MODULE:FUNCTION or FILE.py:FUNCTION that returns a torch classifier; builtin: a small network for the data.")
    ] = BUILT_IN,
    data: Annotated[str, typer.Argument(help="digits, cifar10, or a folder with one subfolder of images a class.")] = "digits",
    method: Annotated[
        str, typer.Option("--method", help="The method with its knobs, such as 'tent(lr=1e-3)'; outthink adapt list has them.")
    ] = "tent",
    source: SourceName = None,
    corruption: Corruptions = None,
    unknown: Annotated[
        Path | None, typer.Option(help="Folder of images of no known class, one subfolder or more; collages stand in if left out.")
    ] = None,
    limit: Limit = None,
    targets: Annotated[int, typer.Option(min=1, help="Samples that the attack is tried on.")] = 10,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to save in; the same command goes on where it was stopped.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with the findings and plots.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Try what may go wrong with a method on your model and data: 14 checks of stream orders, batch and step sizes, worse models, resets,
    forgetting, selection by labels, unknown classes, an attacker, and cost.

    Each check compares it with the model as it was, on the same samples. Exit status 10 when something unsafe was found.

    Examples: outthink adapt audit; outthink adapt audit mynet.py:load photos/test --source photos/train --method 'rotta' --html audit.html
    """
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from outthink.cli.adapt.world import Wanted, method_of, prepared, several_domains, strangers, world
    from outthink.core.errors import UsageError

    plan: dict[str, object] = {
        "model": model, "data": data, "method": method, "source": source, "corruptions": corruption,
        "unknown": None if unknown is None else str(unknown), "limit": limit, "targets": targets, "seed": seed,
    }  # fmt: skip
    with working(quiet) as say:
        way = method_of(method)
        here = world(Wanted(None if model == BUILT_IN else model, data, source, "continual", corruption, 64, limit, seed), say)
        plan |= here.facts
        here = several_domains(here, way, seed)
        net = prepared(here, way, seed, say)
        others = None if unknown is None else strangers(unknown, here.domains[0], say).to(here.domains[0].inputs)

        from outthink.adapt.audit import audit as work
        from outthink.adapt.audit import deployable, to_json
        from outthink.evaluate.adapt_audit import AuditReport, Kept

        kept = Kept(out, plan)
        made = [finding.check for finding in kept.findings]
        try:
            for finding in work(
                net, way, here.domains, clean=here.clean, source=here.source, unknown=others, seed=seed, targets=targets, skip=made, progress=say
            ):
                kept.add(finding)
        except ValueError as error:
            raise error if isinstance(error, UsageError) else UsageError(f"{method}: {error}") from error
    report = AuditReport(method, plan, kept.findings, here.skipped)
    if html is not None:
        from outthink.evaluate.audit_page import write

        write(report, html)
    unsafe = any(finding.verdict == "unsafe" for finding in report.findings)
    said = deployable(report.findings)
    if as_json:
        typer.echo(json.dumps({"method": method, "verdict": said, "findings": to_json(report.findings)}, indent=1, ensure_ascii=False))
        raise typer.Exit(UNSAFE if unsafe else 0)
    console = Console()
    table = Table("", "question", "what was found", box=None, pad_edge=False)
    for finding in report.findings:
        told = escape(finding.said) + (f"\n[bold]what to do:[/bold] {escape(finding.advice)}" if finding.advice else "")
        table.add_row(f"[{_COLOURS[finding.verdict]}]{finding.verdict}[/]", escape(finding.question), told)
    console.print(table)
    if report.skipped:
        console.print(f"\n{len(report.skipped)} files did not decode and were left out, the first: {escape(report.skipped[0][0])}", highlight=False)
    console.print(f"\n[bold]{escape(method)}: {escape(said)}.[/bold]", highlight=False)
    raise typer.Exit(UNSAFE if unsafe else 0)
