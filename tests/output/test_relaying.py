"""What people read about the relay: said once, in words, and nothing from the network unescaped."""

import io

import pytest

from webhookctl.events import (
    ErrorOccurred,
    Event,
    Place,
    RelayConnected,
    RelayDisconnected,
    RelayDraining,
    RelayHeld,
    RelayKnown,
    RelaySkipped,
)
from webhookctl.output.painter import text_of
from webhookctl.output.relaying import BacklogRenderer, RelayLines, place_lines

PLACE = Place("https://relay.example.com/abc", "shop", "queued")
GONE = RelayDisconnected("it refuses connections", 0.2)


def said(lines: RelayLines, event: Event, *, is_verbose: bool = False) -> str | None:
    line = lines(event, is_verbose=is_verbose)
    return None if line is None else text_of(line)


def test_the_public_url_comes_first_and_alone_so_that_it_can_be_copied() -> None:
    url, channel = (text_of(line) for line in place_lines(PLACE))
    assert url.split() == ["public", "URL", "https://relay.example.com/abc"]
    assert channel.split(maxsplit=1) == ["channel", "shop, queued while nobody answers"]


def test_a_place_without_channel_and_with_a_note_says_just_that() -> None:
    lines = [text_of(line) for line in place_lines(Place("https://x.example.com", note="it is public"))]
    assert lines[1:] == ["  it is public"]
    assert "not known yet" in text_of(place_lines(Place(""))[0])


def test_the_first_connection_is_silent_unless_deliveries_waited() -> None:
    assert said(RelayLines(), RelayConnected(PLACE, 0)) is None
    assert said(RelayLines(), RelayConnected(PLACE, 1)) == "connected to the relay; 1 delivery waited there"
    assert said(RelayLines(), RelayConnected(PLACE, 1_204)) == (
        "connected to the relay; 1,204 deliveries waited there"
    )


def test_a_relay_that_is_gone_is_said_once_until_it_is_back() -> None:
    lines = RelayLines()
    assert said(lines, GONE) == "the relay is not connected: it refuses connections; trying again"
    assert said(lines, GONE) is None
    assert said(lines, RelayConnected(PLACE, 0)) == "connected to the relay"
    assert said(lines, GONE) is not None


def test_with_v_each_try_is_said() -> None:
    lines = RelayLines()
    for _ in range(2):
        assert said(lines, GONE, is_verbose=True) == (
            "the relay is not connected: it refuses connections; next try in 0.2 s"
        )


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (RelaySkipped(1, 5, 5, "expired"), "the relay does not send 5 deliveries: expired (numbers 1 to 5)"),
        (RelaySkipped(7, 7, 1, "quota"), "the relay does not send 1 delivery: quota (number 7)"),
        (RelayHeld("it refuses connections", 0), "held: the app refuses connections; tried until it answers"),
        (
            RelayHeld("the name app does not resolve", 1_204),
            "held: the name app does not resolve, 1,204 more behind it; tried until it answers",
        ),
        (RelayKnown(3, "01f", 2), None),
        (RelayDraining(1, 2, 3.0), None),
        (ErrorOccurred("sample", "not about the relay"), None),
    ],
)
def test_each_event_has_its_words(event: Event, expected: str | None) -> None:
    assert said(RelayLines(), event) == expected


def test_what_is_known_already_is_said_with_v() -> None:
    assert said(RelayLines(), RelayKnown(3, "01f", 2), is_verbose=True) == (
        "known already, not sent to the app again: delivery 01f"
    )


def test_what_the_relay_says_cannot_write_on_the_terminal() -> None:
    evil = "\x1b[2J\u202e\n"
    events: list[Event] = [
        RelayDisconnected(evil, 1.0),
        RelaySkipped(1, 2, 2, evil),
        RelayHeld(evil, 1),
        RelayKnown(1, evil, 2),
    ]
    texts = [said(RelayLines(), event, is_verbose=True) or "" for event in events]
    texts += [text_of(line) for line in place_lines(Place(evil, evil, evil, evil))]
    for text in texts:
        assert not {"\x1b", "\u202e", "\n"} & set(text)


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_backlog_is_told_at_its_begin_now_and_then_and_at_its_end() -> None:
    stream, clock = io.StringIO(), Clock()
    render = BacklogRenderer(stream, now_s=clock)
    for done in (0, 1, 312, 313, 1_204):
        render(RelayDraining(done, 1_204, 85.0))
        clock.now_s += 9.0
    assert stream.getvalue().splitlines() == [
        "draining 1,204 missed deliveries",
        "draining: 312/1,204, 85/s",
        "drained 1,204 missed deliveries in 36.0 s",
    ]


def test_a_few_missed_deliveries_need_no_progress() -> None:
    stream = io.StringIO()
    render = BacklogRenderer(stream, now_s=Clock())
    for done in range(10):
        render(RelayDraining(done, 9, 1.0))
    render(ErrorOccurred("sample", "something else"))
    assert stream.getvalue() == ""
