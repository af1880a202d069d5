import hashlib

import pytest

from webhookctl.formats import BodyView, line_text, render


def _texts(view: BodyView) -> list[str]:
    return [line_text(line) for line in view.lines]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _multipart(body: bytes, boundary: str = "b", name: str = "multipart/form-data") -> BodyView:
    return render(body, content_type=f'{name}; boundary="{boundary}"')


def test_every_part_is_a_block_with_its_name_file_type_size_and_hash() -> None:
    meta, text = b'{"a":1}', b"line one\r\nline two"
    picture = b"\x89PNG\r\n\x1a\n\0--b\r\n"
    view = _multipart(
        b"preamble\r\n--b\r\n"
        b'Content-Disposition: form-data; name="meta"\r\ncontent-type: application/json\r\n\r\n'
        + meta
        + b"\r\n"
        + b'--b \r\nContent-Disposition: form-data; name="file"; filename="a\x1b.png"\r\n'
        + b"Content-Type: image/png\r\n\r\n"
        + picture
        + b"\r\n--b\r\n\r\n"
        + text
        + b"\r\n--b--\r\nepilogue"
    )
    assert (view.kind, view.note) == ("multipart", "3 parts")
    assert _texts(view) == [
        f'part 1  name="meta"  application/json  7 B  sha256 {_sha256(meta)}',
        "  {",
        '    "a": 1',
        "  }",
        f'part 2  name="file"  filename="a␛.png"  image/png  14 B  sha256 {_sha256(picture)}',
        f"part 3  18 B  sha256 {_sha256(text)}",
        "  line one",
        "  line two",
    ]


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_parts_are_told_apart_whatever_the_line_ends(line_end: bytes) -> None:
    body = line_end.join([b"--b", b"Content-Disposition: form-data; name=x", b"", b"value", b"--b--"])
    view = _multipart(body)
    assert view.note == "1 part"
    assert _texts(view)[0].startswith('part 1  name="x"  5 B')
    assert _texts(view)[1] == "  value"


def test_a_boundary_that_only_begins_like_ours_parts_nothing() -> None:
    view = _multipart(b"--b\r\n\r\nx\r\n--bb\r\ny\r\n--b--")
    assert [text.strip() for text in _texts(view)[1:]] == ["x", "--bb", "y"]


def test_a_missing_end_is_told_and_the_last_part_called_incomplete() -> None:
    view = _multipart(b"--b\r\n\r\nwhole\r\n--b\r\n\r\nhalf")
    assert view.note == "2 parts; the closing boundary is missing"
    assert [text.endswith("incomplete") for text in _texts(view)] == [False, False, True, False]


def test_a_part_without_a_blank_line_has_no_content() -> None:
    view = _multipart(b"--b\r\nContent-Disposition: form-data; name=x\r\n--b--")
    (title,) = _texts(view)
    assert title.startswith('part 1  name="x"  0 B')
    assert title.endswith("incomplete")


def test_large_and_binary_parts_are_named_but_not_shown() -> None:
    large = b"x" * 3_000
    view = _multipart(b"--b\r\n\r\n" + large + b"\r\n--b\r\n\r\n\x00\r\n--b\r\n\r\n\r\n--b--")
    assert [text[:15] for text in _texts(view)] == ["part 1  3.0 kB ", "part 2  1 B  sh", "part 3  0 B  sh"]
    assert _sha256(large) in _texts(view)[0]


def test_no_more_than_a_hundred_parts_are_taken_apart() -> None:
    view = _multipart(b"--b\r\n\r\n\r\n" * 300 + b"--b--")
    assert (len(view.lines), view.note) == (100, "100 parts; more are not shown")
    assert _multipart(b"--b\r\n\r\n\r\n" * 100 + b"--b--").note == "100 parts"
    assert _multipart(b"--b\r\n\r\n\r\n" * 100).note == "100 parts; the closing boundary is missing"


def test_a_body_without_its_boundary_is_shown_as_what_it_is() -> None:
    assert _multipart(b"no boundary here").kind == "text"
    assert _multipart(b"--b--").kind == "text"
    assert render(b"--b\r\n\r\nx\r\n--b--", content_type="multipart/form-data").kind == "text"
    assert _multipart(b"--\xe2\x82\xac\n\nx", boundary="\u20ac").kind == "text"


def test_other_multipart_types_are_taken_apart_too() -> None:
    assert _multipart(b"--b\n\nx\n--b--", name="multipart/mixed").kind == "multipart"
