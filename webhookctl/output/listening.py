"""Renders the events of `listen` for people. How much is said is the level: -q, default, -v, -vv, -vvv.

Must not know how events come about; a failure here is the caller's to detach.
"""

from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import TypeVar

from webhookctl import formats
from webhookctl.events import (
    ErrorOccurred,
    Event,
    ExposureEvent,
    FixtureSaved,
    HandshakeAnswered,
    Ready,
    RequestReceived,
    ResponseReceived,
    Stopped,
    Stopping,
    TargetChanged,
    VerdictGiven,
)
from webhookctl.model import Request, Response, Verdict, header_value
from webhookctl.output import lines
from webhookctl.output.exposing import exposure_lines
from webhookctl.output.painter import Painter, Segments
from webhookctl.output.relaying import RelayLines

_PREVIEW_LINES = 12
_PREVIEW_BYTES = 16 * 1024
_LAID_OUT_BYTES = 256 * 1024
_BUSY_PER_S = 10  # above this many a second only lines are shown: nobody can read more
_REMEMBERED = 2_000
_FIRST_HEADERS = ("signature", "content-type", "webhook", "event", "delivery", "topic", "timestamp")


_Known = TypeVar("_Known")


class Level(IntEnum):
    """How much `listen` says."""

    QUIET = -1  # failures only
    LINES = 0
    HEADERS = 1
    BODIES = 2
    EVERYTHING = 3


class LineRenderer:
    """Shows each event as it comes. `limit_s` gives a provider's time limit; `shown_path` shortens file names."""

    def __init__(
        self,
        painter: Painter,
        *,
        level: Level,
        now_s: Callable[[], float],
        limit_s: Callable[[str | None], float | None],
        shown_path: Callable[[str], str],
    ) -> None:
        self._painter = painter
        self._level = level
        self._now_s = now_s
        self._limit_s = limit_s
        self._shown_path = shown_path
        self._arrived: RequestReceived | None = None
        self._verdicts: dict[int, Verdict] = {}
        self._relayed_at: dict[int, float] = {}
        self._relay_lines = RelayLines()
        self._recent: deque[float] = deque(maxlen=_BUSY_PER_S + 1)

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._arrived = event
        elif isinstance(event, VerdictGiven):
            self._show_arrival(event)
        elif isinstance(event, ResponseReceived):
            self._show_result(event)
        elif isinstance(event, HandshakeAnswered):
            self._show_handshake(event)
        else:
            self._show_other(event)

    def _show_arrival(self, event: VerdictGiven) -> None:
        arrived, self._arrived = self._arrived, None
        if arrived is None:
            return
        _remember(self._verdicts, event.id, event.verdict)
        if arrived.capture.relayed is not None:
            _remember(self._relayed_at, event.id, arrived.capture.received_at_s)
        if self._level is Level.QUIET and not event.verdict.is_bad:
            return
        is_plain = not self._painter.is_live
        width = self._painter.width
        self._painter.line(lines.arrival(arrived, event.verdict, width=width, is_plain=is_plain))
        self._show_contents(arrived)

    def _show_contents(self, arrived: RequestReceived) -> None:
        request = arrived.capture.request
        if self._level >= Level.HEADERS:
            if arrived.detection.provider is not None:
                self._painter.line(
                    [("dim", f"      recognised by {formats.safe_line(arrived.detection.reason)}")]
                )
            for name, value in _sorted_headers(request, is_all=self._level > Level.HEADERS):
                self._painter.line([("dim", "      "), ("key", name), ("dim", f": {value}")])
        at_s = arrived.capture.received_at_s
        self._recent.append(at_s)
        is_busy = len(self._recent) > _BUSY_PER_S and at_s - self._recent[0] < 1.0
        if self._level >= Level.BODIES:
            self._show_body(request, None)
        elif self._level >= Level.LINES and self._painter.is_live and not is_busy:
            self._show_body(request, _PREVIEW_LINES)

    def _show_body(self, message: Request | Response, max_lines: int | None) -> None:
        for line in body_lines(message, max_lines):
            self._painter.line([("plain", "      "), *line])

    def _show_result(self, event: ResponseReceived) -> None:
        attempt = event.attempt
        is_failed = attempt is not None and not attempt.is_success
        verdict = self._verdicts.pop(event.id, None) if event.is_answer else self._verdicts.get(event.id)
        if self._level is Level.QUIET and not is_failed:
            return
        limit_s = self._limit_s(event.detection.provider)
        shown = lines.result(
            event,
            at_s=self._now_s(),
            limit_s=limit_s,
            is_plain=not self._painter.is_live,
            relayed_at_s=self._relayed_at.pop(event.id, None),
        )
        self._painter.line(shown)
        if attempt is None:
            return
        if self._level >= Level.HEADERS and attempt.response is not None:
            for name, value in _shown_headers(attempt.response):
                self._painter.line([("dim", "      "), ("key", name), ("dim", f": {value}")])
        if self._level >= Level.BODIES and attempt.response is not None:
            self._show_body(attempt.response, None)
        if is_failed:
            for line in lines.failure_details(attempt, verdict, replay=f"webhookctl replay '#{event.id}'"):
                self._painter.line(line)

    def _show_handshake(self, event: HandshakeAnswered) -> None:
        self._verdicts.pop(event.id, None)
        if self._level is Level.QUIET and not event.complaints and not event.refusal:
            return
        is_plain = not self._painter.is_live
        for line in lines.handshake(event, at_s=self._now_s(), is_plain=is_plain):
            self._painter.line(line)

    def _show_other(self, event: Event) -> None:
        is_plain = not self._painter.is_live
        if isinstance(event, Ready):
            fixtures = self._shown_path(event.fixtures) if event.fixtures else None
            for line in lines.banner(event, shown_fixtures=fixtures):
                self._painter.line(line)
        elif isinstance(event, ErrorOccurred):
            where = [("id", f"  #{event.id}")] if event.id is not None else []
            self._painter.line([("bad", "error: "), ("plain", formats.safe_line(event.message)), *where])
            if event.hint:
                self._painter.line([("hint", f"hint: {formats.safe_line(event.hint)}")])
        elif isinstance(event, TargetChanged):
            self._painter.line(lines.target(event))
        elif isinstance(event, FixtureSaved):
            if self._level is not Level.QUIET:
                shown = FixtureSaved(event.id, self._shown_path(event.path))
                self._painter.line(lines.saved(shown, is_plain=is_plain))
        elif isinstance(event, Stopping):
            self._painter.line(lines.stopping(event))
        elif isinstance(event, Stopped):
            self._painter.line(lines.summary(event))
        elif self._level is not Level.QUIET:
            for line in self._public_lines(event):
                self._painter.line(line)

    def _public_lines(self, event: Event) -> list[Segments]:
        """What is told about the public URL: the relay, a tunnel program, the webhook at the provider."""
        if isinstance(event, ExposureEvent):
            return exposure_lines(event)
        relay_line = self._relay_lines(event, is_verbose=self._level >= Level.HEADERS)
        return [] if relay_line is None else [relay_line]


def _remember(known: dict[int, _Known], exchange_id: int, value: _Known) -> None:
    known[exchange_id] = value
    if len(known) > _REMEMBERED:
        del known[next(iter(known))]


def body_lines(message: Request | Response, max_lines: int | None) -> list[tuple[tuple[str, str], ...]]:
    """The body of a message laid out by its type, folded to `max_lines` unless None, with a note where one helps."""
    if not message.body:
        return []
    content_type = header_value(message.headers, "Content-Type")
    encoding = header_value(message.headers, "Content-Encoding")
    view = formats.render(
        message.body,
        content_type=content_type.decode("latin-1") if content_type else None,
        content_encoding=encoding.decode("latin-1") if encoding else None,
        max_bytes=_LAID_OUT_BYTES if max_lines is None else _PREVIEW_BYTES,
    )
    if max_lines is not None:
        view = formats.fold(view, max_lines)
    shown: list[tuple[tuple[str, str], ...]] = [
        tuple((segment.style, segment.text) for segment in line) for line in view.lines
    ]
    if view.note:
        shown.insert(0, (("dim", f"({view.note})"),))
    return shown


def _shown_headers(message: Request | Response) -> list[tuple[str, str]]:
    return [
        (formats.safe_line(name.decode("latin-1")), formats.safe_line(value.decode("latin-1")))
        for name, value in message.headers
    ]


def _sorted_headers(request: Request, *, is_all: bool) -> list[tuple[str, str]]:
    """Those that matter for webhooks first; at the first level the others are counted only."""
    shown = _shown_headers(request)
    first = [field for field in shown if any(word in field[0].lower() for word in _FIRST_HEADERS)]
    if is_all:
        return shown
    others = len(shown) - len(first)
    return [*first, *([(f"… {others} more headers", "-vv shows them")] if others else [])]
