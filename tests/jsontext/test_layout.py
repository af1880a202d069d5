import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.jsontext import JsonTextError, compact, indented, lines, spaced, tokens

stable = settings(derandomize=True, deadline=None)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
dumped = st.builds(
    lambda value, is_ascii, indent, separators: json.dumps(
        value, ensure_ascii=is_ascii, indent=indent, separators=separators
    ).encode("utf-8", "replace"),
    values,
    st.booleans(),
    st.sampled_from([None, 0, 2, "\t"]),
    st.sampled_from([None, (",", ":"), (" , ", "\r\n:\t")]),
)

ODD = rb'{ "n" : 1.0 , "big":12345678901234567890,"e":1E400,"s":"\u00e9\/","n":[ ] ,"o":{ },"a":[1,{"x":null}] }'


@stable
@given(dumped)
def test_indenting_loses_nothing_that_compacting_keeps(body: bytes) -> None:
    assert compact(indented(body)) == compact(body)
    assert compact(spaced(body)) == compact(body)


@stable
@given(dumped)
def test_every_layout_means_the_same(body: bytes) -> None:
    meaning = json.loads(body)
    assert json.loads(compact(body)) == meaning
    assert json.loads(indented(body)) == meaning
    assert json.loads(spaced(body)) == meaning


@stable
@given(values)
def test_the_layouts_are_those_of_python_and_javascript(value: object) -> None:
    spaced_out = json.dumps(value).encode()
    tight = json.dumps(value, separators=(",", ":")).encode()
    pretty = json.dumps(value, indent=4).encode()
    assert spaced(pretty) == spaced_out
    assert compact(pretty) == tight
    assert indented(tight, width=4) == pretty


def test_tokens_stay_as_they_were_written() -> None:
    assert compact(ODD) == (
        rb'{"n":1.0,"big":12345678901234567890,"e":1E400,"s":"\u00e9\/","n":[],"o":{},"a":[1,{"x":null}]}'
    )
    assert spaced(ODD) == (
        rb'{"n": 1.0, "big": 12345678901234567890, "e": 1E400, "s": "\u00e9\/", "n": [], "o": {}, '
        rb'"a": [1, {"x": null}]}'
    )
    assert indented(ODD).splitlines() == [
        b"{",
        b'  "n": 1.0,',
        b'  "big": 12345678901234567890,',
        b'  "e": 1E400,',
        rb'  "s": "\u00e9\/",',
        b'  "n": [],',
        b'  "o": {},',
        b'  "a": [',
        b"    1,",
        b"    {",
        b'      "x": null',
        b"    }",
        b"  ]",
        b"}",
    ]


def test_the_beginning_of_a_document_is_laid_out_as_far_as_it_goes() -> None:
    def levels(body: bytes, count: int) -> list[tuple[int, str]]:
        shown = lines(tokens(body)[:count])
        return [(level, "".join(token.kind for token in line)) for level, line in shown]

    assert levels(b'{"a":[1,2]}', 6) == [(0, "{"), (1, "string:["), (2, "number,")]
    assert levels(b'{"a":[1,2]}', 3) == [(0, "{"), (1, "string:")]
    assert levels(b"1", 0) == []


def test_a_byte_order_mark_stays_in_front() -> None:
    body = b"\xef\xbb\xbf [1, 2]\n"
    assert compact(body) == b"\xef\xbb\xbf[1,2]"
    assert spaced(body) == b"\xef\xbb\xbf[1, 2]"
    assert indented(body) == b"\xef\xbb\xbf[\n  1,\n  2\n]"


def test_what_is_not_json_is_not_laid_out() -> None:
    for layout in (compact, spaced, indented):
        with pytest.raises(JsonTextError, match="expected a value"):
            layout(b"oops")


def test_a_small_body_whose_indentation_would_fill_the_memory_is_refused() -> None:
    body = b"[" * 999 + b",".join([b"1"] * 40_000) + b"]" * 999
    assert len(compact(body)) < 100_000
    with pytest.raises(JsonTextError, match="nested too deep to be indented"):
        indented(body)
