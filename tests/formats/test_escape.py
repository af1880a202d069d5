import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.formats import decode_text, safe_line, safe_text

stable = settings(derandomize=True, deadline=None)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;c2VjcmV0\x07", "␛]52;c;c2VjcmV0␇"),
        ("\x1b]8;;http://example.com\x1b\\link\x1b]8;;\x1b\\", "␛]8;;http://example.com␛\\link␛]8;;␛\\"),
        ("\x1b[2J", "␛[2J"),
        ("\x9b2J", "<U+009B>2J"),
        ("a\bb\x00\x7f\r", "a␈b␀␡␍"),
        ("\u202etxt.exe\u2066", "<U+202E>txt.exe<U+2066>"),
        ("zero\u200bwidth\ufeff\u00ad", "zero<U+200B>width<U+FEFF><U+00AD>"),
        ("\u2028\u2029\x85", "<U+2028><U+2029><U+0085>"),
        ("\U000e0041\u061c", "<U+E0041><U+061C>"),
        ("\ud800", "<U+D800>"),
    ],
)
def test_what_steers_or_deceives_becomes_visible(text: str, shown: str) -> None:
    assert safe_text(text) == shown
    assert safe_line(text) == shown


def test_newlines_and_tabs_stay_in_a_text_and_show_in_a_line() -> None:
    assert safe_text("a\tb\nc") == "a\tb\nc"
    assert safe_line("a\tb\nc") == "a␉b␊c"


def test_harmless_text_is_returned_as_it_is() -> None:
    text = "Grüße [/x] [bold]日本 👍"
    assert safe_text(text) is text
    assert safe_line(text) is text


@stable
@given(st.text(alphabet=st.characters(codec=None, exclude_categories=[])))
def test_no_control_and_no_bidirectional_character_is_left(text: str) -> None:
    for shown in (safe_text(text), safe_line(text)):
        assert safe_text(shown) == shown
        shown.encode()
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)
        bidi = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
        assert not any(unicodedata.bidirectional(character) in bidi for character in shown)
    assert not re.search("[\n\t]", safe_line(text))


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("é".encode(), None, "é"),
        ("é".encode(), "UTF-8", "é"),
        (b"\xe9", "iso-8859-1", "é"),
        (b"\xe9", "Latin1", "é"),
        (b"\x80", "windows-1252", "€"),
        (b"\x82\xa0", "Shift_JIS", "あ"),
        (b"\xff\xfeh\x00", "utf-16", "h"),
        (b"\xe9", None, "\ufffd"),
        ("é".encode(), "no-such", "é"),
        ("é".encode(), "", "é"),
        (b"a", "x\0y", "a"),
        (b"\\x41", "unicode_escape", "\\x41"),
        (b"a-", "punycode", "a-"),
        (b"6869", "hex", "6869"),
    ],
)
def test_bytes_are_decoded_as_they_say_or_as_utf8(data: bytes, charset: str | None, text: str) -> None:
    assert decode_text(data, charset) == text


@stable
@given(
    st.binary(), st.text() | st.sampled_from(["utf-16", "utf-32", "iso2022_jp", "gb18030", "idna", "rot13"])
)
def test_decoding_never_raises(data: bytes, charset: str) -> None:
    assert isinstance(decode_text(data, charset), str)
