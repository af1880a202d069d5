import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.formats import BodyView, Segment, fold, line_text, render

stable = settings(derandomize=True, deadline=None, max_examples=1_000)

_STYLES = {"plain", "key", "string", "number", "literal", "punctuation", "dim", "error"}
_UNSAFE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_TYPES = (
    st.none()
    | st.text()
    | st.sampled_from(
        [
            "application/json",
            "application/x-www-form-urlencoded; charset=latin1",
            "multipart/form-data; boundary=b",
            'multipart/mixed; boundary="b"',
            "application/xml",
            "text/xml; charset=utf-16",
            "text/html; charset=utf-16",
            "application/x-ndjson",
            "text/plain",
            "application/octet-stream",
            "application/x-protobuf",
        ]
    )
)
_PIECES = st.lists(
    st.sampled_from(
        [
            *(b"{", b"}", b"[", b"]", b'"a"', b":", b",", b"1", b"&", b"=", b"%7B", b"+", b"--b", b"--"),
            *(b"<a>", b"</a>", b"&x;", b"]>", b"<![CDATA[", b"]]>", b"<!--", b"-->", "é".encode()),
            *(b"\n", b"\r\n", b" ", b"\x1b]52;c;", b"\x07", b"\x9b2J", b"\xff", b"\xc3", b"\x00"),
            *(
                b"Content-Disposition: form-data; name=x",
                b"<?xml version='1.0'?>",
                b"<!DOCTYPE a [",
                b"<!DOCTYPE a>",
            ),
            *(b"\x89PNG\r\n\x1a\n", b"\x1f\x8b\x08", "\u202e".encode()),
        ]
    ),
    max_size=30,
).map(b"".join)


@stable
@given(
    st.binary() | _PIECES, _TYPES, st.none() | st.text() | st.sampled_from(["gzip", "deflate, gzip", "br"])
)
def test_no_body_and_no_header_makes_rendering_fail_or_leaves_anything_unsafe(
    body: bytes, content_type: str | None, content_encoding: str | None
) -> None:
    for max_bytes in (0, 7, 4096):
        view = render(body, content_type=content_type, content_encoding=content_encoding, max_bytes=max_bytes)
        assert isinstance(view.kind, str)
        assert not _UNSAFE.search(view.note)
        for line in view.lines:
            assert not _UNSAFE.search(line_text(line))
            assert {segment.style for segment in line} <= _STYLES


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "text/plain",
        "text/html",
        "application/xml",
        "application/x-www-form-urlencoded",
        None,
    ],
)
def test_terminal_escapes_and_markup_in_a_body_are_plain_visible_text(content_type: str | None) -> None:
    hostile = "\x1b]52;c;AA==\x07 \x1b[2J \x9b2J \x1b]8;;http://example.com\x1b\\x \b \u202e [/x] [red]"
    view = render(hostile.encode(), content_type=content_type)
    text = "\n".join(line_text(line) for line in view.lines)
    assert not _UNSAFE.search(text.replace("\n", ""))
    if content_type in ("text/plain", "text/html"):
        assert text == ("␛]52;c;AA==␇ ␛[2J <U+009B>2J ␛]8;;http://example.com␛\\x ␈ <U+202E> [/x] [red]")


@pytest.mark.parametrize(
    ("body", "content_type", "kind"),
    [
        (b"", "application/json", "empty"),
        (b'{"a":1}', "application/json", "json"),
        (b'{"a":1}', "application/cloudevents+json; charset=utf-8", "json"),
        (b'{"a":1}', None, "json"),
        (b" [1]", "application/x-www-form-urlencoded", "json"),
        (b"5", "application/json", "json"),
        (b"5", "text/plain", "text"),
        (b"{not json}", "text/plain", "text"),
        (b"{not json}", None, "text"),
        (b"a=1", "application/x-www-form-urlencoded", "form"),
        (b"a=1", None, "text"),
        (b"<a/>", "text/xml", "xml"),
        (b"<a/>", "application/soap+xml", "xml"),
        (b"<?xml version='1.0'?><a/>", None, "xml"),
        (b"<p>x</p>", "text/html", "html"),
        (b"<p>x</p>", "application/xhtml+xml", "html"),
        (b"\x00\x01", "application/json", "binary"),
        (b"\x00\x01", None, "binary"),
        (b"\xff\xfe", "application/octet-stream", "binary"),
        (b"caf\xe9", "text/plain", "text"),
        (b"caf\xe9", "application/x; charset=iso-8859-1", "text"),
        (b"a\x01", "text/plain", "text"),
        (b"a\x01", None, "binary"),
        (b"a\x00", "text/plain", "binary"),
        (b"%PDF-1.7\n", "text/plain", "binary"),
    ],
)
def test_a_body_is_shown_as_what_it_is(body: bytes, content_type: str | None, kind: str) -> None:
    assert render(body, content_type=content_type).kind == kind


def test_only_the_beginning_of_a_long_body_is_laid_out_and_the_note_says_so() -> None:
    view = render("é".encode() * 50_000, content_type=None, max_bytes=101)
    assert view.kind == "text"
    assert view.note == "first 101 of 100,000 bytes"
    assert line_text(view.lines[0]) == "é" * 50 + "\ufffd"


def test_folding_keeps_the_first_lines_and_counts_the_rest() -> None:
    lines = tuple((Segment("plain", str(number)),) for number in range(1_500))
    view = BodyView("text", lines, "note")
    assert fold(view, 1_500) == view
    folded = fold(view, 2)
    assert [line_text(line) for line in folded.lines] == ["0", "1", "… 1,498 more lines"]
    assert (folded.kind, folded.note) == ("text", "note")
    assert [line_text(line) for line in fold(view, 1_499).lines][-1] == "… 1 more line"
    assert len(fold(view, -5).lines) == 1
