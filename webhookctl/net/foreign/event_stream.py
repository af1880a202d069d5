"""Server-sent events from bytes as they come (WHATWG HTML §9.2), with a cap on what one event may take.

No I/O; knows no relay.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BEGINNING = 64  # so much is kept of every line, so that it is still known for what it is


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event: its `name` ("message" when it has none), its data, and the last id that the stream gave ("" none).

    `is_cut`: it was larger than allowed; `data` is empty then.
    """

    name: str
    data: bytes
    id: str
    is_cut: bool = False


class EventStream:
    """Parses one stream. `last_id` is what a new connection may resume from; give it on with `last_id`."""

    def __init__(self, *, max_event_bytes: int, last_id: str = "") -> None:
        self.last_id = last_id
        self._max_event_bytes = max_event_bytes
        self._partial = bytearray()
        self._is_after_return = False
        self._is_at_start = True
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0
        self._is_cut = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """The events that `data` completes, in order; pieces may end anywhere. Comments are nothing."""
        events = []
        for line in self._lines(data):
            if line:
                self._take_field(line)
            elif event := self._end_of_event():
                events.append(event)
        return events

    def _lines(self, data: bytes) -> Iterator[bytes]:
        start = 1 if self._is_after_return and data[:1] == b"\n" else 0
        if data:
            self._is_after_return = data.endswith(b"\r")
        for end in _LINE_END.finditer(data, start):
            self._keep(data[start : end.start()])
            start = end.end()
            line, self._partial = bytes(self._partial), bytearray()
            if self._is_at_start:
                self._is_at_start = False
                line = line.removeprefix(_BYTE_ORDER_MARK)
            yield line
        self._keep(data[start:])

    def _keep(self, piece: bytes) -> None:
        if self._size + len(self._partial) + len(piece) <= self._max_event_bytes:
            self._partial += piece
        else:
            self._is_cut = True
            self._data.clear()
            self._partial += piece[: max(0, _BEGINNING - len(self._partial))]

    def _take_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._size += len(line)
            self._data.append(b"" if self._is_cut else value)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self.last_id = value.decode("utf-8", "replace")

    def _end_of_event(self) -> StreamEvent | None:
        event = None
        if self._data or self._is_cut:
            data = b"" if self._is_cut else b"\n".join(self._data)
            event = StreamEvent(self._name or "message", data, self.last_id, self._is_cut)
        self._name, self._data, self._size, self._is_cut = "", [], 0, False
        return event
