"""`outthink laws`: fit, test, compare and use scaling laws, on any table or on what outthink has recorded."""

from __future__ import annotations

import typer

from outthink.cli.groups import HELP
from outthink.cli.laws.audit import audit
from outthink.cli.laws.catalogue import list_laws, show
from outthink.cli.laws.compare import compare
from outthink.cli.laws.fit import fit
from outthink.cli.laws.plan import plan
from outthink.cli.laws.predict import predict

app = typer.Typer(
    add_completion=False, no_args_is_help=True,
    help=HELP["laws"],
    epilog="Begin with: outthink laws list; outthink laws show chinchilla; outthink laws fit chinchilla runs.csv --out my-fit",
)  # fmt: skip
app.command("list")(list_laws)
for command in (show, fit, predict, compare, audit, plan):
    app.command()(command)
