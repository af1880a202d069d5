"""JSON laid out anew: only the white space between the tokens is written, every token stays as it is.

Must not know what the document means: no values, no paths.
"""

from collections.abc import Iterable, Iterator

from webhookctl.jsontext.scanner import Token, error_at, iter_tokens, leading_mark

MAX_INDENTATION_BYTES = 64 * 1024 * 1024


def compact(body: bytes) -> bytes:
    """`body` without white space between its tokens (a byte order mark stays). Raises JsonTextError."""
    return leading_mark(body) + b"".join([body[start:end] for _, start, end in iter_tokens(body)])


def spaced(body: bytes) -> bytes:
    """`body` on one line with ``", "`` and ``": "``, as Python's `json.dumps` writes it. Raises JsonTextError."""
    return leading_mark(body) + b"".join(
        [
            body[start:end] + b" " if kind in ":," else body[start:end]
            for kind, start, end in iter_tokens(body)
        ]
    )


def indented(body: bytes, *, width: int = 2) -> bytes:
    """`body` with one member a line, `width` spaces a level, as ``JSON.stringify(value, null, 2)`` lays it out.

    Empty containers stay ``{}`` and ``[]``; no newline at the end. Raises JsonTextError, also for a small body
    nested so deep that its indentation alone would pass 64 MiB.
    """
    parts: list[bytes] = []
    indentation_bytes = 0
    for level, line in lines(iter_tokens(body)):
        indentation_bytes += level * width
        if indentation_bytes > MAX_INDENTATION_BYTES:
            raise error_at(body, line[0].start, "nested too deep to be indented")
        parts.append(
            b" " * (level * width)
            + b"".join([b": " if kind == ":" else body[start:end] for kind, start, end in line])
        )
    return leading_mark(body) + b"\n".join(parts)


def lines(sequence: Iterable[Token]) -> Iterator[tuple[int, list[Token]]]:
    """The tokens of an indented layout line by line: the level of the line (from 0) and its tokens.

    Any beginning of a valid document will do: what is there is laid out.
    """
    depth = level = 0
    line: list[Token] = []
    is_opened = False
    for token in sequence:
        is_closing = token.kind in "}]"
        depth -= is_closing
        if is_closing != is_opened:
            yield level, line
            line, level = [], depth
        line.append(token)
        is_opened = token.kind in "{["
        depth += is_opened
        if token.kind == ",":
            yield level, line
            line, level = [], depth
    if line:
        yield level, line
