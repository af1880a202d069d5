"""Deliveries as server-sent events, in the envelopes that smee-client and gosmee's client understand.

Pure. Neither envelope carries all of a request; the tunnel does. What each loses: docs/reference/relay-api.md.
"""

import json
from base64 import b64encode
from enum import StrEnum
from urllib.parse import parse_qs

from webhookctl.model import HOP_BY_HOP, Headers
from webhookctl.relay.broker import Arrival


class Dialect(StrEnum):
    """Whose client reads the stream."""

    SMEE = "smee"  # the body as JSON
    GOSMEE = "gosmee"  # the body as base64


def opening(dialect: Dialect, *, last: int = 0) -> bytes:
    """What a stream begins with: the client knows by it that it is connected, and that it has all up to `last`.

    A client that loses its connection is to come back after a second (WHATWG HTML §9.2.6).
    """
    if dialect is Dialect.SMEE:
        return b"retry: 1000\n" + _event("{}", name="ready", id_text=str(last))
    return b"retry: 1000\n" + _event('{"message":"connected"}') + _event('{"message":"ready"}')


def keepalive(dialect: Dialect) -> bytes:
    """What is sent while nothing happens, so that nobody takes the stream for dead."""
    return _event("{}", name="ping") if dialect is Dialect.SMEE else b": keepalive\n\n"


def gap(*, asked: int, oldest: int) -> bytes:
    """For gosmee: what comes after number `asked` and before `oldest` is gone. smee has no word for it."""
    told = {"error": "missed_history", "requested_id": str(asked), "oldest_id": str(oldest)}
    return _event(_json(told), name="gosmee-gap")


def delivery(dialect: Dialect, arrival: Arrival, body: bytes, *, seq: int) -> bytes:
    """One delivery as one event."""
    envelope = _smee(arrival, body) if dialect is Dialect.SMEE else _gosmee(arrival, body)
    return _event(envelope, id_text=str(seq))


def _smee(arrival: Arrival, body: bytes) -> str:
    """Header fields in lower case, duplicates joined; then `query`, `timestamp` (a number) and `body`.

    A body that is JSON stands in as it was written; other text as a JSON string, an empty one as {}.
    """
    fields: dict[str, object] = {}
    for name, value in _shown(arrival.headers):
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    query = parse_qs(arrival.target.partition("?")[2], keep_blank_values=True, errors="replace")
    fields["query"] = {name: values[0] if len(values) == 1 else values for name, values in query.items()}
    fields["timestamp"] = _milliseconds(arrival)
    fields.pop("body", None)
    return f'{_json(fields)[:-1]},"body":{_json_text(body)}}}'


def _gosmee(arrival: Arrival, body: bytes) -> str:
    """Header fields in lower case, the first of each name; then `timestamp` (a text) and `bodyB` (exact)."""
    fields: dict[str, object] = {}
    for name, value in _shown(arrival.headers):
        if name != "host":
            fields.setdefault(name, value)
    fields.pop("body", None)
    fields["timestamp"] = str(_milliseconds(arrival))
    fields["bodyB"] = b64encode(body).decode()
    return _json(fields)


def _shown(headers: Headers) -> list[tuple[str, str]]:
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
    return [pair for pair in pairs if pair[0].encode("latin-1") not in HOP_BY_HOP]


def _json_text(body: bytes) -> str:
    if not body:
        return "{}"
    text = body.decode("utf-8", "replace")
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return _json(text)
    return text  # line breaks in it lie between values: `_event` may break it there


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _milliseconds(arrival: Arrival) -> int:
    return int(arrival.received_at_s * 1000)


def _event(data: str, *, name: str = "", id_text: str = "") -> bytes:
    lines = [f"id: {id_text}"] if id_text else []
    if name:
        lines.append(f"event: {name}")
    pieces = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lines += [f"data: {piece}" for piece in pieces]
    return ("\n".join(lines) + "\n\n").encode()
