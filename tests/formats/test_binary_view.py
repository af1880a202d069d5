import pytest

from webhookctl.formats import Segment, line_text, render


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"\x89PNG\r\n\x1a\n", "PNG image"),
        (b"\xff\xd8\xff\xe0", "JPEG image"),
        (b"GIF89a\x01", "GIF image"),
        (b"%PDF-1.7", "PDF document"),
        (b"PK\x03\x04", "ZIP archive"),
        (b"\x1f\x8b\x08", "gzip data"),
        (b"RIFF\x01\x02\x03\x04WEBP", "WebP image"),
        (b"RIFF\x01\x02\x03\x04WAVE", "WAV audio"),
        (b"\x00\x00\x00\x18ftypmp42", "MP4 media"),
        (b"\x00\x00", "unknown binary"),
    ],
)
def test_a_file_is_known_by_its_first_bytes(body: bytes, name: str) -> None:
    view = render(body, content_type=None)
    assert (view.kind, view.note) == ("binary", f"{name}; {len(body)} bytes")


@pytest.mark.parametrize(
    ("content_type", "name"),
    [
        ("application/x-protobuf", "protobuf"),
        ("application/grpc+proto", "protobuf"),
        ("application/octet-\x1bstream", "application/octet-␛stream"),
    ],
)
def test_other_bytes_are_called_what_their_type_says(content_type: str, name: str) -> None:
    assert render(b"\x00", content_type=content_type).note == f"{name}; 1 bytes"


@pytest.mark.parametrize("text", [b"ID3 is a format", b"OggS too", b"BZh", b"softftyp", b"GIF8 me"])
def test_text_that_begins_like_a_file_is_text(text: bytes) -> None:
    assert render(text, content_type=None).kind == "text"


def test_the_first_256_bytes_are_dumped() -> None:
    view = render(bytes(range(256)) * 5_000, content_type="application/octet-stream")
    assert view.note == "application/octet-stream; first 256 of 1,280,000 bytes"
    assert len(view.lines) == 16
    assert line_text(view.lines[4]) == (
        "00000040  40 41 42 43 44 45 46 47  48 49 4a 4b 4c 4d 4e 4f  |@ABCDEFGHIJKLMNO|"
    )
    assert line_text(view.lines[15]).endswith("  |................|")


def test_a_short_last_row_keeps_its_columns() -> None:
    (row,) = render(b"\x00AB", content_type=None).lines
    assert row == (
        Segment("dim", "00000000  "),
        Segment("number", "00 41 42                                         "),
        Segment("string", " |.AB|"),
    )
