"""Writes HTTP/1.1 requests and responses byte by byte as they are to go out, and refuses what would split them.

Knows no socket and no provider. Rules for hop-by-hop fields and framing: RFC 9110 §7.6.1, RFC 9112 §6.
"""

import re
from functools import lru_cache
from http import HTTPStatus

from webhookctl.errors import UsageError
from webhookctl.model import (
    HOP_BY_HOP,
    Headers,
    Request,
    Response,
    named_in_connection,
    with_headers,
)

_FRAMING = HOP_BY_HOP | {b"host", b"content-length"}
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_FORBIDDEN_IN_VALUE = re.compile(rb"[\r\n\0]")
_TARGET = re.compile(rb"[^\x00-\x20\x7f]+\Z")
_BODYLESS_STATUS = frozenset({204, 304})


@lru_cache(maxsize=4096)  # peers use few names: looking one up costs less than checking it
def _token(name: bytes) -> bytes:
    """`name` in lower case, or b"" when it is not a token."""
    return name.lower() if _TOKEN.match(name) else b""


def _folded(headers: Headers) -> list[bytes]:
    """The names in lower case. Raises UsageError `header-invalid` when one is not a token."""
    lowers = [_token(name) for name, _ in headers]
    if b"" in lowers:
        name = headers[lowers.index(b"")][0].decode("latin-1")
        raise UsageError("header-invalid", f"header name {name!r} is not an HTTP token")
    return lowers


def _request_line(request: Request) -> bytes:
    try:
        method, target = request.method.encode("ascii"), request.target.encode("latin-1")
    except UnicodeEncodeError as error:
        raise UsageError(
            "target-invalid",
            f"{error.object!r} holds a character that is not one byte of the wire",
            "percent-encode it",
        ) from error
    if not _TOKEN.match(method):
        raise UsageError("method-invalid", f"method {request.method!r} is not an HTTP token")
    if not _TARGET.match(target):
        raise UsageError(
            "target-invalid", "the request target is empty or holds a space or a control character"
        )
    return method + b" " + target + b" HTTP/1.1"


def request_bytes(
    request: Request,
    *,
    host: bytes,
    added: Headers = (),
    keep_host: bool = False,
    body_bytes: int | None = None,
) -> bytes:
    """The head of `request` for an endpoint at `host`, its body appended: what goes to the socket.

    Kept exactly: method, target, header order, case, duplicates, bytes. Hop-by-hop fields are dropped, Host names
    the endpoint (in its old place; kept when `keep_host`), the framing is made anew: Content-Length in the place
    of the old Content-Length or Transfer-Encoding; none for a bodyless request that had none. Each of `added`
    takes the place of the request's field of that name, or comes last. `body_bytes`: so long is the body that will
    follow, the request holds none.
    Raises UsageError `method-invalid`, `target-invalid` or `header-invalid`.
    """
    headers, body = request.headers, request.body
    size = len(body) if body_bytes is None else body_bytes
    lowers = _folded(headers)
    if added:
        added_lowers = _folded(added)
        if set(added_lowers).isdisjoint(lowers):
            headers += added
            lowers += added_lowers
        else:
            headers = with_headers(headers, added)
            lowers = _folded(headers)
    named = named_in_connection(headers) if b"connection" in lowers else ()
    head = [_request_line(request)]
    has_host = has_length = False
    for lower, (name, value) in zip(lowers, headers, strict=True):
        if lower not in _FRAMING:
            if lower not in named:
                head.append(name + b": " + value)
        elif lower == b"host":
            if not has_host:
                has_host = True
                head.append(name + b": " + (value if keep_host else host))
        elif not has_length and (lower == b"content-length" or lower == b"transfer-encoding"):
            has_length = True
            shown = name if lower == b"content-length" else b"Content-Length"
            head.append(b"%b: %d" % (shown, size))
    if not has_host:
        head.insert(1, b"Host: " + host)
    if size and not has_length:
        head.append(b"Content-Length: %d" % size)
    lines = len(head) + 1
    head.append(b"\r\n")
    joined = b"\r\n".join(head)
    # One count of the finished head finds any CR, LF or NUL that would split it, whichever field it sits in.
    if joined.count(b"\n") != lines or joined.count(b"\r") != lines or b"\0" in joined:
        raise UsageError(
            "header-invalid", "a header holds CR, LF or NUL, which would split the request", "remove it"
        )
    return joined + body


def response_bytes(response: Response, *, for_head: bool, close: bool) -> bytes:
    """`response` as it goes back to the sender: status, reason, fields and body exact, framing made anew.

    A field that would split the response is left out. `for_head`: the app's Content-Length is kept, its body is not.
    """
    reason = response.reason.encode("latin-1", "replace")
    if _FORBIDDEN_IN_VALUE.search(reason):
        reason = b""
    head = [b"HTTP/1.1 %d %b\r\n" % (response.status, reason)]
    headers, body, status = response.headers, response.body, response.status
    named = named_in_connection(headers)
    # RFC 9110 §8.6: a 304 may tell the length of what it does not carry; a 204 carries none.
    keeps_length = for_head or status == 304
    for name, value in headers:
        lower = _token(name)
        if lower in HOP_BY_HOP or lower in named or (lower == b"content-length" and not keeps_length):
            continue
        if lower and not _FORBIDDEN_IN_VALUE.search(value):
            head.append(name + b": " + value + b"\r\n")
    has_body = not for_head and status not in _BODYLESS_STATUS
    if has_body:
        head.append(b"Content-Length: %d\r\n" % len(body))
    head.append(b"Connection: close\r\n\r\n" if close else b"\r\n")
    if has_body:
        head.append(body)
    return b"".join(head)


def plain_response(status: int, text: str, *fields: tuple[bytes, bytes]) -> Response:
    """An answer of our own: plain text, never HTML, with the status's usual reason."""
    return Response(
        status,
        HTTPStatus(status).phrase,
        ((b"Content-Type", b"text/plain; charset=utf-8"), *fields),
        (text + "\n").encode() if text else b"",
    )
