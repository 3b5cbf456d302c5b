"""The event parser: pieces cut anywhere give the same events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outthink.models._sse import EventParser

LINE = st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=("Cs",)), max_size=12)


@given(st.lists(st.lists(LINE, min_size=1, max_size=3), max_size=6), st.sampled_from(["\n", "\r\n", "\r"]), st.data())
def test_any_cut_gives_the_events_that_were_written(events: list[list[str]], end: str, data: st.DataObject):
    raw = "".join(f": comment{end}" + "".join(f"data: {line}{end}" for line in lines) + end for lines in events).encode()
    parser, found, rest = EventParser(), [], raw
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found += parser.feed(rest[:size])
        rest = rest[size:]
    found += parser.feed(b"\n")  # ends a CR that could have been half of a CR LF
    assert found == ["\n".join(lines) for lines in events]


def test_an_event_that_the_end_cuts_off_is_dropped_and_other_fields_are_passed_over():
    parser = EventParser()
    assert parser.feed(b"event: x\nid: 3\ndata:a\n\ndata: half") == ["a"]
