"""Server-sent events: fed whole and in any pieces, with every line end, and cut where they are too large."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.net.foreign.event_stream import EventStream, StreamEvent

STREAM = (
    b"\xef\xbb\xbf: a comment\n"
    b"id: 0\nevent: ready\ndata: {}\n\n"
    b": keepalive\r\n\r\n"
    b"id: 1719-0\r\ndata: first\r\ndata:second\r\n\r\n"
    b"retry: 10\rdata\rdata:  two blanks\r\r"
    b"event: named without data\n\n"
    b'id: 2\ndata: {"body":{"price":1.50}}\n\n'
    b"data: never ended"
)
EVENTS = [
    StreamEvent("ready", b"{}", "0"),
    StreamEvent("message", b"first\nsecond", "1719-0"),
    StreamEvent("message", b"\n two blanks", "1719-0"),
    StreamEvent("message", b'{"body":{"price":1.50}}', "2"),
]


def parse(pieces: list[bytes], *, max_event_bytes: int = 1000) -> list[StreamEvent]:
    stream = EventStream(max_event_bytes=max_event_bytes)
    return [event for piece in pieces for event in stream.feed(piece)]


def test_events_have_names_ids_and_joined_data() -> None:
    assert parse([STREAM]) == EVENTS


def test_a_stream_fed_byte_by_byte_is_the_same() -> None:
    assert parse([STREAM[at : at + 1] for at in range(len(STREAM))]) == EVENTS


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_a_stream_split_anywhere_is_the_same(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert parse([STREAM[a:b] for a, b in pairwise(edges)]) == EVENTS


def test_an_event_that_is_too_large_is_told_as_cut_and_the_next_one_is_whole() -> None:
    large = b"data: " + b"x" * 200 + b"\n\ndata: small\n\n"
    cut = [StreamEvent("message", b"", "", is_cut=True), StreamEvent("message", b"small", "")]
    assert parse([large], max_event_bytes=100) == cut
    assert parse([large[at : at + 7] for at in range(0, len(large), 7)], max_event_bytes=100) == cut


def test_many_lines_count_together() -> None:
    lines = b"data: 0123456789\n" * 20 + b"\n"
    assert parse([lines], max_event_bytes=100) == [StreamEvent("message", b"", "", is_cut=True)]
    assert len(parse([lines], max_event_bytes=1000)[0].data) == 20 * 11 - 1


def test_a_line_without_end_takes_no_more_memory_than_allowed() -> None:
    stream = EventStream(max_event_bytes=10_000)
    for _ in range(100):
        assert stream.feed(b"x" * 100_000) == []
    assert len(stream._partial) <= 10_000
    assert stream.feed(b"\n\ndata: after\n\n")[-1] == StreamEvent("message", b"after", "")


def test_an_id_with_nul_is_ignored_and_the_last_id_can_be_given_on() -> None:
    stream = EventStream(max_event_bytes=100, last_id="7-0")
    assert stream.feed(b"id: a\0b\ndata: x\n\n") == [StreamEvent("message", b"x", "7-0")]
    stream.feed(b"id: 8-0\n\n")
    assert stream.last_id == "8-0"
