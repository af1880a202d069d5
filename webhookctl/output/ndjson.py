"""Renders the events of `listen` as NDJSON for programs: one event a line, `ready` first, flushed line by line.

The fields are API (docs/reference/listen.schema.json). Non-ASCII is escaped, so a line is safe on any terminal.
"""

import json
from collections.abc import Callable
from typing import IO

from webhookctl.events import (
    ErrorOccurred,
    Event,
    ExposureEvent,
    FixtureSaved,
    HandshakeAnswered,
    Place,
    Ready,
    RelayConnected,
    RelayDisconnected,
    RelayDraining,
    RelayEvent,
    RelayHeld,
    RelayKnown,
    RelaySkipped,
    RequestReceived,
    ResponseReceived,
    Stopped,
    Stopping,
    TargetChanged,
    VerdictGiven,
)
from webhookctl.output import record
from webhookctl.output.exposing import exposure_record
from webhookctl.output.record import Record

VERSION = 1
_encode = json.JSONEncoder(separators=(",", ":")).encode


class NdjsonRenderer:
    """Writes each event to `stream` as one JSON object: `v`, `type`, `ts`, `seq`, `id` and the event's own fields."""

    def __init__(self, stream: IO[str], *, now_s: Callable[[], float]) -> None:
        self._stream = stream
        self._now_s = now_s
        self._seq = 0

    @property
    def has_begun(self) -> bool:
        """Whether a line was written."""
        return self._seq > 0

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
    if isinstance(event, Stopped):
        return "stopped", None, _stopped(event)
    if isinstance(event, ExposureEvent):
        kind, fields = exposure_record(event)
        return kind, None, fields
    return _relay_shape(event)


def _relay_shape(event: RelayEvent) -> tuple[str, None, Record]:
    match event:
        case RelayConnected():
            return "relay.connected", None, {**_place(event.place), "missed": event.missed}
        case RelayDisconnected():
            return (
                "relay.disconnected",
                None,
                {"reason": event.reason, "retry_in_s": round(event.retry_in_s, 3)},
            )
        case RelayDraining():
            fields: Record = {"done": event.done, "total": event.total, "per_s": round(event.per_s, 1)}
            return "relay.draining", None, fields
        case RelaySkipped():
            fields = {"first": event.first, "last": event.last, "count": event.count, "reason": event.reason}
            return "relay.skipped", None, fields
        case RelayHeld():
            return "relay.held", None, {"reason": event.reason, "waiting": event.waiting}
        case RelayKnown():
            fields = {"number": event.seq, "delivery_id": event.delivery_id, "attempt": event.attempt}
            return "relay.known", None, fields


def _place(place: Place) -> Record:
    return {"url": place.url, "channel": place.channel, "policy": place.policy, "note": place.note}


def _ready(event: Ready) -> Record:
    return {
        "url": event.url,
        "targets": [{"url": url, "is_reachable": not why, "reason": why} for url, why in event.targets],
        "fixtures": event.fixtures,
        "history": event.history,
        "providers": [{"provider": provider, "secret": origin} for provider, origin in event.providers],
        "relay": None if event.place is None else _place(event.place),
    }


def _request(event: RequestReceived) -> Record:
    capture = event.capture
    return {
        "received_at": record.timestamp(capture.received_at_s),
        "peer": capture.peer,
        **record.request(capture.request),
        **record.way(capture),
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
        "left_at_relay": event.left_at_relay,
    }
