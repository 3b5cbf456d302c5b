"""`outthink adapt`: let a classifier keep up with a world that drifts, and see what it gains and what it risks."""

from __future__ import annotations

import typer

from outthink.cli.adapt.audit import audit
from outthink.cli.adapt.catalogue import list_methods, show
from outthink.cli.adapt.compare import compare
from outthink.cli.adapt.run import run
from outthink.cli.groups import HELP

app = typer.Typer(
    add_completion=False, no_args_is_help=True,
    help=HELP["adapt"],
    epilog="Begin with: outthink adapt list; outthink adapt run --method tent; outthink adapt compare tent rotta --stream correlated",
)  # fmt: skip
app.command("list")(list_methods)
for command in (show, run, compare, audit):
    app.command()(command)
