"""What `listen` tells people about a public URL and a webhook: safe, complete, and nothing when quiet."""

import io

import pytest

from webhookctl.events import (
    BackfillAsked,
    BecamePublic,
    ExposureEvent,
    HookRegistered,
    HookRemoved,
    Place,
    TunnelStarting,
)
from webhookctl.output.exposing import exposure_lines
from webhookctl.output.listening import Level, LineRenderer
from webhookctl.output.painter import painter, text_of

EVENTS: list[tuple[ExposureEvent, str]] = [
    (TunnelStarting("ngrok"), "public URL: ngrok is starting"),
    (
        BecamePublic(Place("https://a.example.com", "ngrok", note="a note")),
        "public URL https://a.example.com  ngrok",
    ),
    (
        HookRegistered("github:sample/app", "7", "https://a.example.com", ("*",), "made"),
        "webhook at github:sample/app  made  all events  7",
    ),
    (
        HookRegistered("github:sample/app", "7", "https://a.example.com", ("push", "\x1b[2J"), "moved"),
        "webhook at github:sample/app  moved  push, \N{SYMBOL FOR ESCAPE}[2J  7",
    ),
    (HookRemoved("github:sample/app", "7"), "webhook at github:sample/app  removed  7"),
    (BackfillAsked("github:sample/app", 0, 0), "nothing was missed at github:sample/app"),
    (BackfillAsked("github:sample/app", 1, 1), "asked github:sample/app again for 1 of 1 missed delivery"),
    (
        BackfillAsked("github:sample/app", 3, 20),
        "asked github:sample/app again for 3 of 20 missed deliveries",
    ),
]


@pytest.mark.parametrize(("event", "line"), EVENTS, ids=range(len(EVENTS)))
def test_each_is_told_in_a_line(event: ExposureEvent, line: str) -> None:
    assert text_of(exposure_lines(event)[0]) == line


@pytest.mark.parametrize(("level", "count"), [(Level.QUIET, 0), (Level.LINES, 9)])
def test_quiet_tells_none_of_it(level: Level, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    renderer = LineRenderer(
        painter(is_plain=True, is_colour_forced=False),
        level=level,
        now_s=lambda: 0.0,
        limit_s=lambda _: None,
        shown_path=str,
    )
    for event, _ in EVENTS:
        renderer(event)
    assert len(io.StringIO(capsys.readouterr().out).readlines()) == count
