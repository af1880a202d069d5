import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webhookctl.jsontext import JsonTextError, Token, is_json, iter_tokens, tokens

stable = settings(derandomize=True, deadline=None)

_PIECES = st.sampled_from(
    [
        *(
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            '"',
            '"a"',
            '"b"',
            "true",
            "null",
            "fals",
            "NaN",
            "Infinity",
            "-Infinity",
        ),
        *("1", "0", "-", ".5", "e9", "E+1", "\\", "\\u00", "\\u00e9", "é"),
        *(" ", "\n", "\t", "\r", "\x0c", "\x00", "\u2028"),
    ]
)
nearly_json = st.one_of(
    st.text(),
    st.lists(_PIECES, max_size=12).map("".join),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    ).map(json.dumps),
)


def _python_accepts(text: str) -> bool:
    def refuse(constant: str) -> object:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True


@stable
@given(nearly_json)
@example("")
@example("NaN")
@example("[1,]")
@example('{"a":-Infinity}')
def test_a_text_is_json_here_exactly_when_python_parses_it_without_its_leniencies(text: str) -> None:
    try:
        body = text.encode()
    except UnicodeEncodeError:
        return
    # Python's text parser takes no byte order mark; ours does, as its bytes parser.
    if not text.startswith("\ufeff"):
        assert is_json(body) == _python_accepts(text)


@stable
@given(nearly_json)
def test_tokens_join_to_the_document_but_for_white_space(text: str) -> None:
    body = text.encode("utf-8", "replace")
    if not is_json(body):
        return
    found = tokens(body)
    covered = bytearray(body)
    for _, start, end in found:
        covered[start:end] = b" " * (end - start)
    assert bytes(covered).removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n") == b""


def test_every_kind_of_token_has_its_kind_and_place() -> None:
    body = b' {"a": [-1.5e+3, true]} '
    assert tokens(body) == [
        Token("{", 1, 2),
        Token("string", 2, 5),
        Token(":", 5, 6),
        Token("[", 7, 8),
        Token("number", 8, 15),
        Token(",", 15, 16),
        Token("literal", 17, 21),
        Token("]", 21, 22),
        Token("}", 22, 23),
    ]


def test_a_byte_order_mark_is_passed_over() -> None:
    assert tokens(b"\xef\xbb\xbf1") == [Token("number", 3, 4)]


@pytest.mark.parametrize(
    ("body", "message", "offset"),
    [
        (b"", "expected a value at 1:1", 0),
        (b"  \n ", "expected a value at 2:2", 4),
        (b"nul", "expected a value at 1:1", 0),
        (b"[1] x", "expected the end at 1:5", 4),
        (b"01", "expected the end at 1:2", 1),
        (b"1.", "expected the end at 1:2", 1),
        (b'{"a":1,}', "expected a name in double quotes at 1:8", 7),
        (b"{1", "expected a name in double quotes or '}' at 1:2", 1),
        (b'{"a" 1}', "expected ':' at 1:6", 5),
        (b'{"a":1 "b"', "expected ',' or '}' at 1:8", 7),
        (b"[,", "expected a value or ']' at 1:2", 1),
        (b"[1 2]", "expected ',' or ']' at 1:4", 3),
        (b"[1}", "expected ',' or ']' at 1:3", 2),
        (b'[1\n,\n "a\\x"]', "unknown escape in a string at 3:4", 8),
        (b'"abc', "the string is not closed at 1:5", 4),
        (b'"a\\', "the string is not closed at 1:4", 3),
        (b'"a\\u12', "the string is not closed at 1:7", 6),
        (b'"a\\u12"', "unknown escape in a string at 1:3", 2),
        (b'"a\tb"', "control character in a string (it must be escaped) at 1:3", 2),
        (b'"\xff"', "not UTF-8 at 1:2", 1),
        (b"[0\xff", "not UTF-8 at 1:3", 2),
        (b"[0,,\xff", "expected a value at 1:4", 3),
        (b'"\xed\xa0\x80"', "not UTF-8 at 1:2", 1),
        (b"\xef\xbb\xbf x", "expected a value at 1:2", 4),
        ('["é" 1]'.encode(), "expected ',' or ']' at 1:6", 6),
    ],
)
def test_an_error_names_what_was_expected_and_where(body: bytes, message: str, offset: int) -> None:
    with pytest.raises(JsonTextError, match=f"^{re.escape(message)}$") as caught:
        tokens(body)
    assert caught.value.offset == offset
    assert str(caught.value) == f"{caught.value.message} at {caught.value.line}:{caught.value.column}"


def test_a_thousand_levels_are_read_and_one_more_is_refused() -> None:
    assert is_json(b"[" * 1000 + b"]" * 1000)
    with pytest.raises(JsonTextError, match="nested more than 1,000 deep at 1:1001"):
        tokens(b"[" * 1001 + b"]" * 1001)


def test_a_nesting_bomb_is_refused_without_recursion() -> None:
    assert not is_json(b'{"a":' * 200_000)


def test_the_tokens_before_a_fault_are_given_out() -> None:
    stream = iter_tokens(b'{"a":oops')
    assert [next(stream).kind for _ in range(3)] == ["{", "string", ":"]
    with pytest.raises(JsonTextError, match="expected a value"):
        next(stream)
