import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.formats.content import Content, MediaType, parse_media_type
from webhookctl.formats.view import readable_size

stable = settings(derandomize=True, deadline=None)


@pytest.mark.parametrize(
    ("header", "media"),
    [
        (None, MediaType("")),
        ("", MediaType("")),
        (" Application/JSON ", MediaType("application/json")),
        ("a/b;Charset=UTF-8", MediaType("a/b", (("charset", "UTF-8"),))),
        ('a/b; x="1;2\\"3" ; y = z ;', MediaType("a/b", (("x", '1;2"3'), ("y", "z")))),
        ('a/b; x="open; y=z', MediaType("a/b", (("x", '"open'), ("y", "z")))),
        ("a/b;;;=;x=;x=2", MediaType("a/b", (("x", ""), ("x", "2")))),
        ('a/b; x="', MediaType("a/b", (("x", '"'),))),
    ],
)
def test_a_content_type_is_read_as_far_as_it_can_be(header: str | None, media: MediaType) -> None:
    assert parse_media_type(header) == media


def test_the_first_of_two_parameters_counts() -> None:
    media = MediaType("a/b", (("charset", "x"), ("charset", "y")))
    assert media.charset == "x"
    assert media.parameter("boundary") is None


def test_a_type_is_known_by_its_name_or_its_suffix() -> None:
    assert MediaType("a/b+json").is_a("c/d", suffix="+json")
    assert not MediaType("a/b+json").is_a("c/d")
    assert not MediaType("").is_a("c/d", suffix="+json")


@stable
@given(st.text())
def test_no_content_type_makes_reading_fail(header: str) -> None:
    assert parse_media_type(header).name == header.partition(";")[0].strip().lower()


def test_a_header_made_to_be_slow_is_read_only_at_its_beginning() -> None:
    assert len(parse_media_type('a/b;x="' * 1_000_000).parameters) < 1_000


def test_what_is_cut_says_how_much_is_there() -> None:
    assert Content(b"abcd", MediaType(""), 2).cut_note == "first 2 of 4 bytes"
    assert Content(b"abcd", MediaType(""), 2).is_head_cut
    assert Content(b"abcd", MediaType(""), 4).cut_note == ""
    assert not Content(b"abcd", MediaType(""), 4).is_head_cut
    assert Content(b"abcd", MediaType(""), 4, is_cut=True).is_head_cut


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_949, "1.9 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
    ],
)
def test_sizes_are_written_for_readers(size_bytes: int, text: str) -> None:
    assert readable_size(size_bytes) == text
