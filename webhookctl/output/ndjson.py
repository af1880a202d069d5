"""Renders the events of `listen` as NDJSON for programs: one event a line, `ready` first, flushed line by line.

The fields are API (docs/reference/listen.schema.json). Non-ASCII is escaped, so a line is safe on any terminal.
"""

import json
from collections.abc import Callable
from typing import IO

from webhookctl.events import (
    ErrorOccurred,
    Event,
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
from webhookctl.output import record
from webhookctl.output.record import Record

VERSION = 1
_encode = json.JSONEncoder(separators=(",", ":")).encode


class NdjsonRenderer:
    """Writes each event to `stream` as one JSON object: `v`, `type`, `ts`, `seq`, `id` and the event's own fields."""

    def __init__(self, stream: IO[str], *, now_s: Callable[[], float]) -> None:
        self._stream = stream
        self._now_s = now_s
        self._seq = 0

    def __call__(self, event: Event) -> None:
        self._seq += 1
        kind, exchange_id, fields = _shape(event)
        line: Record = {"v": VERSION, "type": kind, "ts": record.timestamp(self._now_s()), "seq": self._seq}
        line["id"] = exchange_id
        line.update(fields)
        self._stream.write(_encode(line) + "\n")
        self._stream.flush()


def _shape(event: Event) -> tuple[str, int | None, Record]:
    if isinstance(event, RequestReceived):
        return "request", event.id, _request(event)
    if isinstance(event, VerdictGiven):
        judged = {**record.verdict(event.verdict), "cause": record.cause(event.verdict)}
        return "verdict", event.id, judged
    if isinstance(event, ResponseReceived):
        return "response", event.id, _response(event)
    if isinstance(event, HandshakeAnswered):
        return "handshake.answered", event.id, _handshake(event)
    if isinstance(event, FixtureSaved):
        return "saved", event.id, {"path": event.path}
    if isinstance(event, ErrorOccurred):
        return "error", event.id, {"code": event.code, "message": event.message, "hint": event.hint}
    if isinstance(event, TargetChanged):
        fields: Record = {"url": event.url, "is_reachable": event.is_reachable, "reason": event.reason}
        return "target", None, fields
    if isinstance(event, Stopping):
        return "stopping", None, {"waiting": event.waiting}
    if isinstance(event, Ready):
        return "ready", None, _ready(event)
    return "stopped", None, _stopped(event)


def _ready(event: Ready) -> Record:
    return {
        "url": event.url,
        "targets": [{"url": url, "is_reachable": not why, "reason": why} for url, why in event.targets],
        "fixtures": event.fixtures,
        "history": event.history,
        "providers": [{"provider": provider, "secret": origin} for provider, origin in event.providers],
    }


def _request(event: RequestReceived) -> Record:
    capture = event.capture
    return {
        "received_at": record.timestamp(capture.received_at_s),
        "peer": capture.peer,
        **record.request(capture.request),
        **record.detection(event.detection),
        "duplicate_of": event.duplicate_of,
        "ignored": event.is_ignored,
    }


def _response(event: ResponseReceived) -> Record:
    attempt = event.attempt
    if attempt is None:
        return {"status": event.status, "latency_ms": None, "error": None, "url": None, "is_answer": True}
    fields = record.attempt(attempt)
    if attempt.failure is not None:
        fields["error"] = attempt.failure.message
        fields["error_kind"] = attempt.failure.kind.value
        fields["answered"] = event.status
    fields["is_answer"] = event.is_answer
    return fields


def _handshake(event: HandshakeAnswered) -> Record:
    return {
        "handshake": event.handshake,
        "status": event.status,
        "answered_by": "app" if event.is_by_app else "webhookctl",
        "refusal": event.refusal or None,
        "complaints": list(event.complaints),
        "notes": list(event.notes),
        "attempt": None if event.attempt is None else record.attempt(event.attempt),
    }


def _stopped(event: Stopped) -> Record:
    return {
        "reason": event.reason,
        "received": event.received,
        "delivered": event.delivered,
        "failed": event.failed,
        "signatures_ok": event.verified,
        "signatures_bad": event.refused_signatures,
        "saved": event.saved,
        "unfinished": event.unfinished,
    }
