"""`outthink adapt audit`: a method's pitfalls on your model and data, before it is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from outthink.cli.adapt.world import Corruptions, DataName, Limit, ModelFile, SourceName
from outthink.cli.options import Json, Quiet, Seed
from outthink.cli.working import working

_COLOURS = {"safe": "green", "unsafe": "red", "unknown": "yellow", "fact": "dim"}


def audit(
    method: Annotated[str, typer.Argument(help="The method with its knobs, such as 'tent(lr=1e-3)'.")],
    model: ModelFile = None,
    data: DataName = "digits",
    source: SourceName = None,
    corruption: Corruptions = None,
    limit: Limit = None,
    targets: Annotated[int, typer.Option(min=1, help="Samples that the attack is tried on.")] = 10,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the findings as JSON, one check after another.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Try what may go wrong with a method: stream order, small batches, large steps, a second round, forgetting, an attacker; and its cost.

    Each check compares it with the model as it was, on the same samples. Exit status 1 when something unsafe was found.

    Example: outthink adapt audit 'tent(lr=1e-3)' --corruption fog:5
    """
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from outthink.cli.adapt.world import adapted, method_of, prepared, world
    from outthink.core.errors import StoreError

    with working(quiet) as say:
        way = method_of(method)
        here = world(model, data, source, "continual", corruption, 64, limit, seed, say)
        adapted(here, way, seed, say)  # what the method needs and does not have is said before any check
        net = prepared(here, way, seed, say)

        from outthink.adapt.audit import Finding, deployable, to_json
        from outthink.adapt.audit import audit as work

        findings: list[Finding] = []
        for finding in work(net, way, here.domains, clean=here.clean, source=here.source, seed=seed, targets=targets, progress=say):
            findings.append(finding)
            if out is not None:
                try:
                    out.parent.mkdir(parents=True, exist_ok=True)
                    out.write_text(json.dumps(to_json(findings), indent=1, ensure_ascii=False))
                except OSError as error:
                    raise StoreError(f"{out} cannot be written: {error}") from error
    unsafe = any(finding.verdict == "unsafe" for finding in findings)
    if as_json:
        typer.echo(json.dumps({"method": method, "verdict": deployable(findings), "findings": to_json(findings)}, indent=1, ensure_ascii=False))
        raise typer.Exit(int(unsafe))
    console = Console()
    table = Table("", "question", "what was found", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(f"[{_COLOURS[finding.verdict]}]{finding.verdict}[/]", escape(finding.question), escape(finding.said))
    console.print(table)
    console.print(f"\n[bold]{escape(method)}: {escape(deployable(findings))}.[/bold]", highlight=False)
    raise typer.Exit(int(unsafe))
