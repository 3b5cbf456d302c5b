"""What the display of a run counts."""

from __future__ import annotations

from outthink.cli.progress import Display, Tally
from outthink.core.shared import Event
from outthink.evaluate.work import Progress
from tests.evaluate.test_summary import record


def tally(*events: tuple[str, int, int]) -> Tally:
    counted = Tally()
    for kind, draw, tokens in events:
        counted.event(Event(kind, "p/seed=0", "policy", draw, tokens=tokens))
    return counted


def test_a_server_that_does_not_stream_is_counted_too() -> None:
    counted = tally(("done", 0, 9), ("done", 1, 11))
    assert (counted.samples, counted.tokens) == (2, 20)


def test_streamed_tokens_show_at_once_and_count_once() -> None:
    assert tally(("text", 0, 4), ("text", 1, 3), ("text", 0, 2)).tokens == 9
    assert tally(("text", 0, 4), ("text", 1, 3), ("done", 0, 5)).tokens == 8


def test_the_record_costs_nothing_and_failures_are_named() -> None:
    counted = tally(("cached", 0, 50), ("text", 1, 4), ("failed", 1, 0), ("text", 2, 1), ("cut", 2, 0))
    assert counted.tokens == 5
    assert str(counted) == "0 samples drawn, 1 taken from the record, 1 failed, 5 tokens"


def test_what_is_not_graded_counts_neither_as_right_nor_as_wrong() -> None:
    shown = Display()
    for done, verdict in enumerate(("correct", "ungraded", "wrong"), start=1):
        shown.step(Progress(done, 3, record(done, "a", True, verdict=verdict), 0))
    assert shown.right == {"a": [1, 2]}
