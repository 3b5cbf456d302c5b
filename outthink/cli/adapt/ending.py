"""How `run` and `compare` end: the report kept, a page written, and the findings printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from outthink.evaluate.adapt_report import AdaptReport


def ended(report: AdaptReport, out: Path | None, html: Path | None, as_json: bool) -> None:
    """Save the report in the folder, write the page, and print as JSON or as tables.

    Raises:
        StoreError: a file cannot be written.
    """
    import json

    from outthink.evaluate.adapt_report import told

    if out is not None:
        report.save(out / "report.json")
    if html is not None:
        from outthink.evaluate.adapt_page import write

        write(report, html)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=1, ensure_ascii=False))
        return
    told(report)
