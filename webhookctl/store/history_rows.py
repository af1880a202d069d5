"""The history's tables, and exchanges and attempts as their rows.

Knows columns and SQL texts only: no file, no connection, no thread.
"""

import json
from functools import cache

from webhookctl.model import (
    Attempt,
    Capture,
    Detection,
    Exchange,
    Failure,
    FailureKind,
    Finding,
    Headers,
    LargeBody,
    Relayed,
    Request,
    Response,
    Verdict,
    VerdictKind,
)

# What each version brought to the exchanges; a row of an older file has the default.
_ADDED = {
    2: {
        "url": "TEXT NOT NULL DEFAULT ''",
        "relay_delivery_id": "TEXT",
        "relay_attempt": "INTEGER",
        "large_body_bytes": "INTEGER",
        "large_body_sha256": "TEXT",
    },
    3: {"finding": "TEXT"},
}
VERSION = max(_ADDED)
_LATER_COLUMNS = {name: kind for columns in _ADDED.values() for name, kind in columns.items()}
# Bodies come last: SQLite reads a row's columns from the front, and long ones from pages of their own.
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS exchange (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  received_at_s REAL NOT NULL,
  peer TEXT NOT NULL,
  is_tls INTEGER NOT NULL,
  http_version TEXT NOT NULL,
  method TEXT NOT NULL,
  target TEXT NOT NULL,
  provider TEXT,
  event TEXT,
  delivery_id TEXT,
  detected_by TEXT NOT NULL,
  verdict TEXT NOT NULL,
  scheme TEXT,
  reason TEXT NOT NULL,
  duplicate_of INTEGER,
  {"".join(f"{name} {kind}, " for name, kind in _LATER_COLUMNS.items())}
  headers BLOB NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS attempt (
  id INTEGER PRIMARY KEY,
  exchange_id INTEGER NOT NULL,
  url TEXT NOT NULL,
  started_at_s REAL NOT NULL,
  latency_ms REAL NOT NULL,
  failure TEXT,
  failure_message TEXT,
  status INTEGER,
  response_reason TEXT,
  response_headers BLOB,
  response_body BLOB
);
CREATE INDEX IF NOT EXISTS attempt_by_exchange ON attempt (exchange_id);
"""
_EXCHANGE_COLUMNS_1 = (
    "received_at_s, peer, is_tls, http_version, method, target, provider, event, delivery_id, "
    "detected_by, verdict, scheme, reason, duplicate_of, headers, body"
)
EXCHANGE_COLUMNS = ", ".join([_EXCHANGE_COLUMNS_1, *_LATER_COLUMNS])
ATTEMPT_COLUMNS = (
    "exchange_id, url, started_at_s, latency_ms, failure, failure_message, "
    "status, response_reason, response_headers, response_body"
)
EXCHANGE = ("exchange", EXCHANGE_COLUMNS)
ATTEMPT = ("attempt", ATTEMPT_COLUMNS)
Row = tuple[object, ...]


def migration(version: int) -> str:
    """The SQL that adds to a file of schema `version` what it lacks; "" for a file that has no schema yet."""
    return "".join(
        f"ALTER TABLE exchange ADD COLUMN {name} {kind};\n"
        for since, columns in _ADDED.items()
        for name, kind in columns.items()
        if 0 < version < since
    )


def exchange_columns(version: int) -> str:
    """The columns of `EXCHANGE` in a file of schema `version`, for a SELECT: what it lacks reads as its default."""
    later = [
        name if since <= version else "''" if "DEFAULT" in kind else "NULL"
        for since, columns in _ADDED.items()
        for name, kind in columns.items()
    ]
    return ", ".join([_EXCHANGE_COLUMNS_1, *later])


@cache  # few: the writer asks for powers of two only
def insert_statement(table: tuple[str, str], rows: int) -> str:
    """The SQL that inserts `rows` rows into `table` (`EXCHANGE` or `ATTEMPT`), one value a column."""
    name, columns = table
    marks = f"({', '.join('?' * (columns.count(',') + 1))})"
    return f"INSERT INTO {name} ({columns}) VALUES {', '.join([marks] * rows)}"  # noqa: S608  (constants)


def encode_headers(headers: Headers) -> bytes:
    """Header fields as `Name: value` lines, CRLF-ended: exact, since neither may hold CR or LF."""
    return b"".join([name + b": " + value + b"\r\n" for name, value in headers])


def decode_headers(data: bytes) -> Headers:
    """The inverse of `encode_headers`."""
    fields = []
    for line in data.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b": ")
        fields.append((name, value))
    return tuple(fields)


def exchange_row(capture: Capture, detection: Detection, verdict: Verdict, duplicate_of: int | None) -> Row:
    """A delivery as a row of `EXCHANGE`."""
    request, relayed, large = capture.request, capture.relayed, capture.large_body
    return (
        capture.received_at_s,
        capture.peer,
        capture.is_tls,
        capture.http_version,
        request.method,
        request.target,
        storable(detection.provider),
        storable(detection.event),
        storable(detection.delivery_id),
        storable(detection.reason),
        verdict.kind.value,
        verdict.scheme,
        storable(verdict.reason),
        duplicate_of,
        encode_headers(request.headers),
        request.body,
        storable(capture.url),
        storable(relayed.delivery_id) if relayed else None,
        relayed.attempt if relayed else None,
        large.size if large else None,
        large.sha256 if large else None,
        _finding_text(verdict.finding) if verdict.finding else None,
    )


def _finding_text(finding: Finding) -> str:
    return json.dumps([finding.cause, finding.fix, finding.secret, *finding.also])


def _finding(text: object) -> Finding | None:
    if text is None:
        return None
    parts = json.loads(str(text))
    if not isinstance(parts, list):
        raise ValueError("no finding")
    cause, fix, secret, *also = (str(part) for part in parts)
    return Finding(cause, fix, secret, tuple(also))


def exchange(row: Row, attempts: tuple[Attempt, ...]) -> Exchange:
    """The exchange in a row of `id` and the columns of `EXCHANGE`. Raises ValueError on one that nobody wrote."""
    exchange_id, at, peer, tls, version, method, target, provider, event, delivery_id = row[:10]
    detected_by, verdict, scheme, reason, duplicate_of, headers, body = row[10:17]
    url, relay_delivery_id, relay_attempt, large_bytes, large_sha256, finding = row[17:]
    return Exchange(
        id=_int(exchange_id),
        capture=Capture(
            Request(str(method), str(target), decode_headers(_bytes(headers)), _bytes(body)),
            received_at_s=float(str(at)),
            peer=str(peer),
            is_tls=bool(tls),
            http_version=str(version),
            url=str(url),
            relayed=None
            if relay_delivery_id is None
            else Relayed(str(relay_delivery_id), _int(relay_attempt)),
            large_body=None if large_bytes is None else LargeBody(_int(large_bytes), str(large_sha256)),
        ),
        detection=Detection(_text(provider), _text(event), _text(delivery_id), str(detected_by)),
        verdict=Verdict(VerdictKind(str(verdict)), _text(scheme), str(reason), _finding(finding)),
        duplicate_of=None if duplicate_of is None else _int(duplicate_of),
        attempts=attempts,
    )


def attempt_row(exchange_id: int, attempt: Attempt) -> Row:
    """An attempt as a row of `ATTEMPT`."""
    response, failure = attempt.response, attempt.failure
    return (
        exchange_id,
        storable(attempt.url),
        attempt.started_at_s,
        attempt.latency_ms,
        failure.kind.value if failure else None,
        storable(failure.message) if failure else None,
        response.status if response else None,
        response.reason if response else None,
        encode_headers(response.headers) if response else None,
        response.body if response else None,
    )


def attempt(row: Row) -> Attempt:
    """The attempt in a row of `ATTEMPT`. Raises ValueError on one that nobody wrote."""
    _, url, started_at_s, latency_ms, failure, message, status, reason, headers, body = row
    return Attempt(
        url=str(url),
        started_at_s=float(str(started_at_s)),
        latency_ms=float(str(latency_ms)),
        response=None
        if status is None
        else Response(_int(status), str(reason), decode_headers(_bytes(headers)), _bytes(body)),
        failure=None if failure is None else Failure(FailureKind(str(failure)), str(message)),
    )


def storable(text: str | None) -> str | None:
    """`text` without lone surrogates, which have no bytes: the exact ones are in the body."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


def _text(value: object) -> str | None:
    return None if value is None else str(value)
