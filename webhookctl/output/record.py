"""The JSON shapes of our words: the same field names in NDJSON streams, envelopes and JSON Schemas.

Pure. Bodies are base64 and, where they are UTF-8, text as well; header values are latin-1, one character a byte.
"""

from base64 import b64encode
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias

from webhookctl.model import Attempt, Capture, Detection, Exchange, Headers, Request, Response, Verdict

Record: TypeAlias = dict[str, object]


def timestamp(at_s: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    whole_ms = round(at_s * 1_000_000) // 1_000  # not at_s % 1: 0.551 of a second must not become 550 ms
    return f"{_second(whole_ms // 1_000)}.{whole_ms % 1_000:03d}Z"


@lru_cache(maxsize=16)
def _second(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def headers(fields: Headers) -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in fields]


def body(data: bytes) -> Record:
    """`body_b64`, and `body_text` when the body is UTF-8."""
    shape: Record = {"body_b64": b64encode(data).decode("ascii")}
    try:
        shape["body_text"] = data.decode("utf-8")
    except UnicodeDecodeError:
        shape["body_text"] = None
    return shape


def request(value: Request) -> Record:
    return {
        "method": value.method,
        "target": value.target,
        "headers": headers(value.headers),
        **body(value.body),
    }


def way(value: Capture) -> Record:
    """How a delivery came here: `public_url` and `relay` (null without one), and what is known of a body not held."""
    relayed, large = value.relayed, value.large_body
    return {
        "public_url": value.url or None,
        "relay": None
        if relayed is None
        else {"delivery_id": relayed.delivery_id, "attempt": relayed.attempt},
        "large_body": None if large is None else {"bytes": large.size, "sha256": large.sha256},
    }


def detection(value: Detection) -> Record:
    return {"provider": value.provider, "event": value.event, "delivery_id": value.delivery_id}


def verdict(value: Verdict) -> Record:
    return {"verdict": value.kind.value, "scheme": value.scheme, "reason": value.reason}


def cause(value: Verdict) -> Record | None:
    """Why the signature was refused: `code`, `words`, `fix`, `secret` (its origin) and `also`; else null."""
    finding = value.finding
    if finding is None:
        return None
    return {
        "code": finding.cause,
        "words": value.reason,
        "fix": finding.fix,
        "secret": finding.secret or None,
        "also": list(finding.also),
    }


def attempt(value: Attempt, *, has_response: bool = True) -> Record:
    """`url`, `status`, `latency_ms`, `error` and `error_kind` (null for an answer); `response` when `has_response`."""
    error = failure(value)
    shape: Record = {
        "url": value.url,
        "started_at": timestamp(value.started_at_s),
        "status": value.status,
        "latency_ms": round(value.latency_ms, 3),
        "error": error["message"] if error else None,
        "error_kind": error["kind"] if error else None,
    }
    if has_response:
        shape["response"] = None if value.response is None else response(value.response)
    return shape


def response(value: Response) -> Record:
    return {
        "status": value.status,
        "reason": value.reason,
        "headers": headers(value.headers),
        **body(value.body),
    }


def failure(value: Attempt) -> Record | None:
    if value.failure is None:
        return None
    return {"kind": value.failure.kind.value, "message": value.failure.message}


def exchange(value: Exchange, *, has_response: bool = True) -> Record:
    """One exchange of the history: request fields, `received_at`, verdict fields, `cause`, `attempts`."""
    return {
        "id": value.id,
        "received_at": timestamp(value.capture.received_at_s),
        "peer": value.capture.peer,
        "http_version": value.capture.http_version,
        "is_tls": value.capture.is_tls,
        **request(value.capture.request),
        **way(value.capture),
        **detection(value.detection),
        **verdict(value.verdict),
        "cause": cause(value.verdict),
        "duplicate_of": value.duplicate_of,
        "attempts": [attempt(each, has_response=has_response) for each in value.attempts],
    }
