"""Writes responses to senders byte by byte: what the app said, framed anew, with the relay's own few fields.

Pure: no socket, no clock. Rules: RFC 9110 §6.6.1 and §7.6.1, RFC 9112 §6; what must not reach a browser is left out.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from http import HTTPStatus

from webhookctl.model import HOP_BY_HOP, Headers, Response, header_value, named_in_connection
from webhookctl.tunnel_protocol import Answer

PREFIX = b"webhookctl-"
"""Fields of that name are the relay's own: what others say in them is dropped, in both directions."""
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_FORBIDDEN_IN_VALUE = re.compile(rb"[\r\n\0]")
_SAFETY: Headers = (
    (b"Content-Security-Policy", b"sandbox"),
    (b"X-Content-Type-Options", b"nosniff"),
)
_TEXT: Headers = ((b"Content-Type", b"text/plain; charset=utf-8"),)


class Status(StrEnum):
    """What `Webhookctl-Status` tells the sender. The values are API."""

    DELIVERED = "delivered"  # the app's own answer
    QUEUED = "queued"  # stored; the app gets it later
    UNAVAILABLE = "unavailable"  # stored, and the sender is asked to come again all the same
    HELD = "held"  # the app's own answer, after the deadline
    REFUSED = "refused"  # not stored


@dataclass(frozen=True, slots=True)
class Framing:
    """How the body of a response is told from what follows: its `length`, in chunks, or by the connection's end."""

    length: int | None
    is_chunked: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request decides how its answer is written. `date` is the value for a Date field that is missing."""

    is_head: bool
    is_http_10: bool
    is_last: bool  # the connection ends after the answer
    date: bytes


def own_bytes(response: Response, asked: Asked, *, status: Status, delivery_id: str = "") -> bytes:
    """A response of the relay's own, whole."""
    answer = Answer(1, response.status, response.reason, response.headers, response.body, True)
    head, _ = head_bytes(answer, asked, status=status, delivery_id=delivery_id)
    return head if asked.is_head else head + response.body


def head_bytes(
    answer: Answer, asked: Asked, *, status: Status, delivery_id: str
) -> tuple[bytes, Framing | None]:
    """The head of `answer`, and how its body is to be framed; None when it has none.

    A field that would split the response is left out, and one that is for the app's own connection only.
    """
    code, reason = answer.status, answer.reason or _phrase(answer.status)
    encoded = reason.encode("latin-1", "replace")
    head = [b"HTTP/1.1 %d %b\r\n" % (code, b"" if _FORBIDDEN_IN_VALUE.search(encoded) else encoded)]
    named = named_in_connection(answer.headers)
    has_date, length = False, b""
    for name, value in answer.headers:
        lower = _token(name)
        if not lower or lower in HOP_BY_HOP or lower in named or _FORBIDDEN_IN_VALUE.search(value):
            continue
        if lower == b"content-length":
            length = length or value
            continue
        has_date = has_date or lower == b"date"
        head.append(name + b": " + value + b"\r\n")
    if not has_date:
        head.append(b"Date: " + asked.date + b"\r\n")
    framing = _framing(answer, asked, length)
    head.append(_framing_field(framing, length, code))
    for name, value in (*_SAFETY, *_own_fields(status, delivery_id)):
        head.append(name + b": " + value + b"\r\n")
    is_last = asked.is_last or (framing is not None and framing.length is None and not framing.is_chunked)
    head.append(b"Connection: close\r\n\r\n" if is_last else b"\r\n")
    return b"".join(head), framing


def is_navigation(method: str, headers: Headers) -> bool:
    """Whether a browser asks for a page: no response of an app is shown as one under the relay's name."""
    if (header_value(headers, "sec-fetch-mode") or b"").strip().lower() == b"navigate":
        return True
    return method in ("GET", "HEAD") and b"text/html" in (header_value(headers, "accept") or b"").lower()


def notice(answer: Answer) -> Response:
    """What a browser gets instead of the app's response."""
    told = f"{answer.status} {answer.reason or _phrase(answer.status)}".strip()
    return text_response(
        200,
        "This is an address for webhooks. What you sent was delivered, and the app answered\n"
        f"{told!a}; its response is not shown to browsers.",
    )


def text_response(status: int, text: str, *fields: tuple[bytes, bytes]) -> Response:
    """An answer of the relay's own: plain text, never HTML."""
    return Response(status, "", (*_TEXT, *fields), (text + "\n").encode())


def without_own(headers: Headers) -> Headers:
    """`headers` without fields that only a relay may set."""
    if not any(name[:11].lower() == PREFIX for name, _ in headers):
        return headers
    return tuple(field for field in headers if field[0][:11].lower() != PREFIX)


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _own_fields(status: Status, delivery_id: str) -> Headers:
    own: Headers = ((b"Webhookctl-Status", status.encode()),)
    return (*own, (b"Webhookctl-Delivery-Id", delivery_id.encode())) if delivery_id else own


def _framing(answer: Answer, asked: Asked, length: bytes) -> Framing | None:
    if asked.is_head or answer.status in (204, 304):
        return None
    if answer.is_last:
        return Framing(len(answer.body))
    if length.isdigit() and len(length) < 16:
        return Framing(int(length))
    return Framing(None, is_chunked=not asked.is_http_10)


def _framing_field(framing: Framing | None, length: bytes, status: int) -> bytes:
    if framing is None:
        # RFC 9110 §8.6: HEAD and 304 may tell the length of what they do not carry; a 204 carries none.
        return b"Content-Length: " + length + b"\r\n" if length.isdigit() and status != 204 else b""
    if framing.is_chunked:
        return b"Transfer-Encoding: chunked\r\n"
    return b"Content-Length: %d\r\n" % framing.length if framing.length is not None else b""


@lru_cache(maxsize=4096)  # apps use few names: looking one up costs less than checking it
def _token(name: bytes) -> bytes:
    """`name` in lower case, or b"" when it is not a token or the relay's own."""
    lower = name.lower()
    return lower if _TOKEN.match(name) and not lower.startswith(PREFIX) else b""


@lru_cache(maxsize=64)
def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
