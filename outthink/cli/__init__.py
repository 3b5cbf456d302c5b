"""The command line. Commands are mounted lazily: a command's module is imported when the command, or the list of commands, is needed."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    from outthink.cli.app import run

    sys.exit(run(sys.argv[1:] if arguments is None else arguments))
