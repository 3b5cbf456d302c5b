"""The live display of a run: results done, accuracy of each strategy so far, tokens a second."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from outthink.core.shared import Event
from outthink.evaluate.grading import UNGRADED
from outthink.evaluate.work import Progress as Step


class Tally:
    """Counts samples and tokens from events: those of pieces while they come, those that the model reports at the end."""

    def __init__(self) -> None:
        self.samples = 0
        self.cached = 0
        self.failed = 0
        self._ended = 0
        self._coming: dict[tuple[str, str, int], int] = {}

    @property
    def tokens(self) -> int:
        """Generated so far, without what was taken from the record."""
        return self._ended + sum(self._coming.values())

    def event(self, event: Event) -> None:
        """Something arrived."""
        which = (event.place, event.role, event.draw)
        if event.kind == "text":
            self._coming[which] = self._coming.get(which, 0) + event.tokens
            return
        coming = self._coming.pop(which, 0)
        if event.kind == "done":
            self.samples += 1
            self._ended += event.tokens or coming
        elif event.kind == "cached":
            self.cached += 1
        elif event.kind in ("failed", "cut"):
            self.failed += event.kind == "failed"
            self._ended += coming

    def __str__(self) -> str:
        parts = [f"{self.samples:,} samples drawn"]
        parts += [f"{self.cached:,} taken from the record"] if self.cached else []
        parts += [f"{self.failed:,} failed"] if self.failed else []
        return ", ".join([*parts, f"{self.tokens:,} tokens"])


class Display:
    """Shows a run while it goes on; give `step` and `event` to `evaluate.run`."""

    def __init__(self) -> None:
        columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns)
        self.task: TaskID = self.bar.add_task("solving", total=None)
        self.tally = Tally()
        self.started = time.monotonic()
        self.right: dict[str, list[int]] = defaultdict(lambda: [0, 0])

    def step(self, step: Step) -> None:
        """A record was made."""
        self.bar.update(self.task, completed=step.done, total=step.total)
        if step.record is not None and step.record.verdict != UNGRADED:
            counts = self.right[step.record.spec]
            counts[0] += step.record.right
            counts[1] += 1

    def event(self, event: Event) -> None:
        """Something arrived."""
        self.tally.event(event)

    def __rich__(self) -> Group:
        rate = self.tally.tokens / max(1e-9, time.monotonic() - self.started)
        line = f"{self.tally}, {rate:,.0f} tokens/s"
        scores = [f"{spec} {right}/{count}" for spec, (right, count) in self.right.items()]
        shown = "   ".join(scores[:6]) + (f"   and {len(scores) - 6} more" if len(scores) > 6 else "")
        return Group(self.bar, Text(line, style="dim"), Text(shown, style="dim"))


@contextmanager
def display(quiet: bool) -> Iterator[tuple[Callable[[Step], None] | None, Callable[[Event], None] | None]]:
    """A live display on standard error, or none: (for records, for events)."""
    if quiet:
        yield None, None
        return
    shown = Display()
    with Live(shown, console=Console(stderr=True), refresh_per_second=8, transient=True):
        yield shown.step, shown.event
