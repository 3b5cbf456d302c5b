"""The command line. Commands are mounted lazily: a command's module is imported when the command, or the list of commands, is needed."""

from __future__ import annotations

import io
import sys


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    from outthink.cli.app import run

    for stream in (sys.stdout, sys.stderr):  # half of a character, which models write, or a terminal that knows ASCII alone
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))
