"""Server-sent events: bytes in any pieces in, the `data` of every complete event out.

The grammar is that of the HTML standard (section 9.2, "event stream interpretation"): lines end with LF, CR LF or CR; a line that
starts with a colon is a comment; several `data` lines of an event are joined by LF; a blank line ends the event; an event that the
end of the stream cuts off is dropped.
"""

from __future__ import annotations

import codecs

DONE = "[DONE]"


class EventParser:
    """Collects the `data` of events from pieces of a stream, wherever the pieces were cut (also inside a character)."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[str]:
        """The events that this piece completes, in order.

        Args:
            piece: the next bytes of the stream.
        """
        text = self._rest + self._decode(piece)
        if text.endswith("\r"):  # the LF of a CR LF may still come
            text, held = text[:-1], "\r"
        else:
            held = ""
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = lines.pop() + held
        events = []
        for line in lines:
            if not line:
                if self._data:
                    events.append("\n".join(self._data))
                    self._data.clear()
                continue
            name, _, value = line.partition(":")
            if name == "data":
                self._data.append(value.removeprefix(" "))
        return events
