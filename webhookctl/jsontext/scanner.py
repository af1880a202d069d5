"""JSON split into tokens without changing a byte: a strict RFC 8259 grammar check and the places of the tokens.

Must not know what the document means: no values, no paths, no layout.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_DEPTH = 1_000


class JsonTextError(ValueError):
    """A body that is not JSON: `message` in words, `offset` in bytes, `line` and `column` (characters) from 1."""

    def __init__(self, message: str, offset: int, line: int, column: int) -> None:
        super().__init__(f"{message} at {line}:{column}")
        self.message = message
        self.offset = offset
        self.line = line
        self.column = column


class Token(NamedTuple):
    """One token: `kind` is one of ``{ } [ ] : , string number literal``, its text is ``body[start:end]``.

    A tuple rather than a dataclass because a body has hundreds of thousands of them.
    """

    kind: str
    start: int
    end: int


_TOKEN = re.compile(
    rb"[ \t\n\r]*+("
    rb'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^"\\\x00-\x1f]*+)*+"'
    rb"|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
    rb"|true|false|null"
    rb"|[{}\[\]:,]"
    rb")?"
)
_KIND_OF_FIRST_BYTE = (
    {ord(character): character for character in "{}[]:,"}
    | {ord(character): "number" for character in "-0123456789"}
    | {ord(character): "literal" for character in "tfn"}
    | {ord('"'): "string"}
)

# What is expected next is the state of the grammar and, as it stands, the text of the error.
_VALUE = "a value"
_VALUE_OR_CLOSE = "a value or ']'"
_NAME = "a name in double quotes"
_NAME_OR_CLOSE = "a name in double quotes or '}'"
_COLON = "':'"
_AFTER_MEMBER = "',' or '}'"
_AFTER_ELEMENT = "',' or ']'"
_END = "the end"
_VALUE_ENDS = ""

_VALUES = {
    "string": _VALUE_ENDS,
    "number": _VALUE_ENDS,
    "literal": _VALUE_ENDS,
    "{": _NAME_OR_CLOSE,
    "[": _VALUE_OR_CLOSE,
}
_GRAMMAR: dict[str, dict[str, str]] = {
    _VALUE: _VALUES,
    _VALUE_OR_CLOSE: {**_VALUES, "]": _VALUE_ENDS},
    _NAME: {"string": _COLON},
    _NAME_OR_CLOSE: {"string": _COLON, "}": _VALUE_ENDS},
    _COLON: {":": _VALUE},
    _AFTER_MEMBER: {",": _NAME, "}": _VALUE_ENDS},
    _AFTER_ELEMENT: {",": _VALUE, "]": _VALUE_ENDS},
    _END: {},
}
_AFTER_CHILD = {"{": _AFTER_MEMBER, "[": _AFTER_ELEMENT}


def iter_tokens(body: bytes) -> Iterator[Token]:
    """The tokens of `body` one by one, each already known to stand where RFC 8259 allows it.

    A byte order mark in front is passed over. Raises JsonTextError where the grammar or UTF-8 is first broken,
    after the tokens before it, so that a reader can show how far the document was good.
    """
    text_end, encoding_fault = _valid_text(body)
    expected = _VALUE
    after_value = [_END]
    make_token = tuple.__new__  # a third of the time of calling Token
    position = len(leading_mark(body))
    for match in _TOKEN.finditer(body, position, text_end):  # pragma: no branch  (it matches the end too)
        start, end = match.span(1)
        if start < 0:
            position = match.end()
            break
        kind = _KIND_OF_FIRST_BYTE[body[start]]
        following = _GRAMMAR[expected].get(kind)
        if following is None:
            raise error_at(body, start, f"expected {expected}")
        if kind in "{[":
            after_value.append(_AFTER_CHILD[kind])
            if len(after_value) > MAX_DEPTH + 1:
                raise error_at(body, start, f"nested more than {MAX_DEPTH:,} deep")
        elif kind in "}]":
            after_value.pop()
        expected = following or after_value[-1]
        yield make_token(Token, (kind, start, end))
    if position == text_end and not encoding_fault and expected is _END:
        return
    raise _fault(body, position, text_end, expected=expected, encoding_fault=encoding_fault)


def tokens(body: bytes) -> list[Token]:
    """The tokens of the JSON document `body`, in order; that there is a list means that the document is valid.

    Raises JsonTextError (grammar, UTF-8, nested more than 1,000 deep, empty). Source: RFC 8259.
    """
    return list(iter_tokens(body))


def is_json(body: bytes) -> bool:
    """True when `body` is one JSON document in UTF-8 (RFC 8259), with or without a byte order mark."""
    try:
        for _ in iter_tokens(body):
            pass
    except JsonTextError:
        return False
    return True


def leading_mark(body: bytes) -> bytes:
    """The byte order mark in front of `body`, or b""."""
    return BYTE_ORDER_MARK if body.startswith(BYTE_ORDER_MARK) else b""


def error_at(body: bytes, offset: int, message: str) -> JsonTextError:
    """`message` as an error that knows the line and the column of byte `offset` of `body`."""
    line_start = body.rfind(b"\n", 0, offset) + 1
    before = body[line_start:offset].removeprefix(BYTE_ORDER_MARK)
    return JsonTextError(
        message,
        offset,
        line=body.count(b"\n", 0, offset) + 1,
        column=len(before.decode("utf-8", "replace")) + 1,
    )


def _valid_text(body: bytes) -> tuple[int, str]:
    """How far `body` is UTF-8, and what is wrong there (empty when it is UTF-8 to its end)."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start, "not UTF-8"
    return len(body), ""


def _fault(body: bytes, position: int, text_end: int, *, expected: str, encoding_fault: str) -> JsonTextError:
    """Why no token follows at `position`: the text ends, a string is broken, or no token begins like this."""
    if body[position : position + 1] == b'"' and position < text_end:
        position, message = _string_fault(body, position, text_end)
    else:
        message = f"expected {expected}"
    if position == text_end and encoding_fault:
        message = encoding_fault
    return error_at(body, position, message)


_STRING_START = re.compile(rb'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^"\\\x00-\x1f]*+)*+')
_CUT_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")


def _string_fault(body: bytes, start: int, text_end: int) -> tuple[int, str]:
    """Where and why the string that begins at `start` is not one."""
    match = _STRING_START.match(body, start, text_end)
    position = match.end() if match else start
    if position == text_end or _CUT_ESCAPE.match(body, position, text_end):
        return text_end, "the string is not closed"
    if body[position] == ord("\\"):
        return position, "unknown escape in a string"
    return position, "control character in a string (it must be escaped)"
