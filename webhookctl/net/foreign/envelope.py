"""The JSON envelope of smee and gosmee turned back into the request it was made from, as exactly as it allows.

No I/O; knows neither streams nor what becomes of the request.
"""

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from webhookctl.jsontext import value_at
from webhookctl.model import Headers, Request

_OWN_KEYS = frozenset({"body", "bodyB", "rawdata", "query", "timestamp"})
_FRAMING = frozenset({"connection", "content-length", "transfer-encoding"})
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_FORBIDDEN = re.compile(r"[\r\n\0]")
_MAX_QUERY_DEPTH = 20


class EnvelopeError(Exception):
    """What came is no delivery; the message says why in words."""


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """The request of an envelope; its query stands in the target, of the path nothing is known ("/").

    `sent_at_s`: when the relay took it in (Unix time), None when it does not say. `original_bytes`: the size that
    the sender's body had, where the relay tells. `dropped`: the fields that are no header.
    """

    request: Request
    is_body_exact: bool
    sent_at_s: float | None
    original_bytes: int | None
    dropped: tuple[str, ...] = ()


def unwrap(data: bytes) -> Unwrapped:
    """The delivery in `data`. Raises EnvelopeError."""
    document = _document(data)
    if document.get("encrypted") is True and "ciphertext" in document:
        raise EnvelopeError("it is encrypted (a protected gosmee channel), which webhookctl cannot read")
    if not document.keys() & {"body", "bodyB"}:
        raise EnvelopeError("it has no body")
    body, is_exact = _body(document, data)
    is_decoded = "bodyB" not in document  # the relay inflated and parsed what it passes on as JSON
    headers, dropped = _headers(document, is_decoded=is_decoded)
    length = document.get("content-length")
    original = int(length) if isinstance(length, str) and length.isdecimal() and len(length) < 19 else None
    if original == len(body):
        headers += ((b"content-length", b"%d" % original),)
    query = _query_text(document.get("query"))
    return Unwrapped(
        Request("POST", "/" + (f"?{query}" if query else ""), headers, body),
        is_body_exact=is_exact,
        sent_at_s=_instant(document.get("timestamp")),
        original_bytes=original,
        dropped=dropped,
    )


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise EnvelopeError("it is not JSON") from error
    if not isinstance(document, dict):
        raise EnvelopeError("it is no JSON object")
    return document


def _body(document: dict[str, Any], data: bytes) -> tuple[bytes, bool]:
    """The body, and whether it is the sender's byte for byte."""
    match document:
        case {"bodyB": str(encoded)}:
            try:
                return b64decode(encoded, validate=True), True
            except ValueError as error:
                raise EnvelopeError("its body is not base64") from error
        case {"bodyB": _}:
            raise EnvelopeError("its body is not base64")
        case {"rawdata": str(raw)}:  # smee's for a while
            return raw.encode("utf-8", "replace"), "\N{REPLACEMENT CHARACTER}" not in raw
    # As it stands in the envelope: parsing and printing it again could only lose more.
    body = value_at(data, "body")
    if body is None:  # what Python reads as JSON and the standard does not (NaN)
        raise EnvelopeError("it is not JSON")
    return body, False


def _headers(document: dict[str, Any], *, is_decoded: bool) -> tuple[Headers, tuple[str, ...]]:
    """The header fields, and the names of what cannot be one."""
    headers: list[tuple[bytes, bytes]] = []
    dropped = []
    for name, value in document.items():
        if name in _OWN_KEYS or name.lower() in _FRAMING:
            continue
        if is_decoded and name.lower() == "content-encoding":
            continue
        values = value if isinstance(value, list) else [value]
        if _NAME.match(name) and all(
            isinstance(each, str) and not _FORBIDDEN.search(each) for each in values
        ):
            headers += [(name.encode("ascii"), _wire_bytes(each)) for each in values]
        else:
            dropped.append(name)
    return tuple(headers), tuple(dropped)


def _wire_bytes(value: str) -> bytes:
    """smee's server reads header bytes as latin-1, gosmee's as UTF-8: what fits latin-1 was most likely that."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")


def _query_text(query: object) -> str:
    if isinstance(query, str):
        query = query.removeprefix("?")
        return query if re.fullmatch(r"[\x21-\x7e]*", query) and "#" not in query else quote_plus(query)
    if not isinstance(query, dict):
        return ""
    return "&".join(
        f"{quote_plus(name, safe='[]', errors='replace')}={quote_plus(value, errors='replace')}"
        for key, value in query.items()
        for name, value in _pairs(key, value, 0)
    )


def _pairs(name: str, value: object, depth: int) -> Iterator[tuple[str, str]]:
    """`a=1&a=2` for a list of texts, `a[b]=1` for what was nested: as servers written in JavaScript read queries."""
    if depth > _MAX_QUERY_DEPTH:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _pairs(f"{name}[{key}]", inner, depth + 1)
    elif isinstance(value, list):
        for element in value:
            yield from _pairs(name, element, depth + 1)
    elif isinstance(value, str):
        yield name, value
    elif value is not None:
        yield name, json.dumps(value)


def _instant(value: object) -> float | None:
    """Unix time from milliseconds, as a number (smee) or a text (gosmee); None when it is neither."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value / 1000.0 if 0 < value < 1e14 else None
