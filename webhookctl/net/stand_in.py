"""Heads that llhttp takes amiss, written so that it reads what follows them; the real ones are kept by the caller.

Pure text work: knows no parser and no connection.
"""

import re

Fields = list[tuple[bytes, bytes]]

_TARGET = re.compile(rb"(?:/|https?://)[^\x00-\x20\x7f]*\Z", re.IGNORECASE)


def with_plain_target(line: bytes) -> tuple[bytes, bytes] | None:
    """A request line (and what follows) whose target has bytes over 0x7F, which llhttp refuses: with `/` in its place.

    Returns the bytes to parse and the real target; None when something else is wrong with the target.
    """
    method, _, rest = line.lstrip(b"\r\n").partition(b" ")
    target, _, rest = rest.partition(b" ")
    if target.isascii() or not _TARGET.match(target) or not rest.startswith(b"HTTP/1."):
        return None
    return method + b" / " + rest, target


def without_upgrade(method: bytes, fields: Fields, *, is_last: bool) -> bytes:
    """The head of a request without its offer of another protocol, after which llhttp would read no body."""
    lines = [method + b" / HTTP/1.1", *([b"Connection: close"] if is_last else [])]
    lines += [
        name + b": " + value for name, value in fields if name.lower() not in (b"connection", b"upgrade")
    ]
    return b"\r\n".join([*lines, b"", b""])
