"""The line that says what a command is doing, with a bar where the number of steps is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def working(quiet: bool) -> Iterator[Callable[[str, int | None, int | None], None]]:
    """On standard error: call what it gives with (what is being done, steps done, steps in all)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as progress:
        task = progress.add_task("", total=None)

        def say(what: str, done: int | None, total: int | None) -> None:
            progress.update(task, description=what, completed=done or 0, total=total)

        yield say
