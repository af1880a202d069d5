"""Bodies as JSON and as forms: what is read at a place, and that nothing else changes when it is written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.signing.content import Content, Unsignable, form_fields, with_form_field, written
from webhookctl.signing.place import parse_place

MULTIPART = (
    b'--b1\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n'
    b'--b1\r\ncontent-disposition: form-data; name="json"\r\nX: y\r\n\r\n{"event": {"hash": "old"}}\r\n--b1--\r\n'
)

repeatable = settings(derandomize=True, deadline=None)


@pytest.mark.parametrize(
    ("body", "place", "expected"),
    [
        (b'{"a":{"b":"x"}}', "body.a.b", b"x"),
        (b'{"a":[{"b":1.50}]}', "body.a.0.b", b"1.50"),
        (b'{"a":true,"b":false}', "body.a", b"true"),
        (b'{"a":true,"b":false}', "body.b", b"false"),
        (b'{"a":null}', "body.a", None),
        (b'{"a":{}}', "body.a", None),
        (b"{", "body.a", None),
        (b"anything", "body", b"anything"),
        (b"a=1&b=%C3%A9+x", "form.b", "é x".encode()),
        (b"a=1&a=2", "form.a", b"1"),
        (b"a=1", "form.b", None),
        (b"json=%7B%22a%22%3A1%7D", "form.json.a", b"1"),
        (b"json=no", "form.json.a", None),
        (MULTIPART, "form.json.event.hash", b"old"),
        (MULTIPART, "form.other", b"x"),
        (b"--b1\r\n\r\nno name\r\n--b1--", "form.a", None),
        (b"--b1", "form.a", None),
        (b"--b1\r\nno end", "form.a", None),
    ],
)
def test_values_are_read_at_their_places(body: bytes, place: str, expected: bytes | None) -> None:
    assert Content(body).at(parse_place(place)) == expected


@pytest.mark.parametrize(
    ("body", "place", "text", "expected"),
    [
        (b'{"a": 1 ,"t":  5}', "body.t", b"7", b'{"a": 1 ,"t":  7}'),
        (b'{"t":"5"}', "body.t", b"7", b'{"t":"7"}'),
        (b'{"t":5}', "body.t", b"x7", b'{"t":"x7"}'),
        (b'{"a":1}', "body.t", b"7", b'{"a":1,"t":"7"}'),
        (b'{"a.b":{}}', "body.s.t", b"7", b'{"a.b":{},"s":{"t":"7"}}'),
        (b"old", "body", b"new", b"new"),
        (b"a=1&t=5&b=2", "form.t", b"7 +", b"a=1&t=7+%2B&b=2"),
        (b"a=1", "form.t", b"7", b"a=1&t=7"),
        (b"", "form.t", b"7", b"t=7"),
        (b"json=%7B%22a%22%3A%22b%22%7D", "form.json.a", b"c", b"json=%7B%22a%22%3A%22c%22%7D"),
        (MULTIPART, "form.json.event.hash", b"new", MULTIPART.replace(b"old", b"new")),
        (MULTIPART, "form.other", b"y", MULTIPART.replace(b"\r\nx\r\n", b"\r\ny\r\n")),
    ],
)
def test_only_what_is_written_changes(body: bytes, place: str, text: bytes, expected: bytes) -> None:
    assert written(body, parse_place(place), text) == expected


def test_a_new_number_is_a_number_when_it_is_to_be_one() -> None:
    assert written(b"{}", parse_place("body.t"), b"7", is_number=True) == b'{"t":7}'
    assert written(b'{"t":"1"}', parse_place("body.t"), b"7", is_number=True) == b'{"t":"7"}'


@pytest.mark.parametrize(
    ("body", "place", "reason"),
    [
        (b"no json", "body.a", "the body cannot hold a: the body is not JSON"),
        (b"[]", "body.a.b", "the body cannot hold a.b"),
        (b"a=1", "form.json.x", "not a form with the field json"),
        (b'{"a":1}', "form.t", "the body is not a form"),
        (MULTIPART, "form.missing", "the form has no field missing"),
    ],
)
def test_a_body_that_cannot_hold_it_is_told(body: bytes, place: str, reason: str) -> None:
    with pytest.raises(Unsignable, match=reason):
        written(body, parse_place(place), b"7")


@repeatable
@given(
    fields=st.lists(st.tuples(st.binary(min_size=1, max_size=5), st.binary(max_size=5)), max_size=4),
    name=st.binary(min_size=1, max_size=3),
    value=st.binary(max_size=9),
)
def test_a_form_field_reads_back_as_it_was_written(
    fields: list[tuple[bytes, bytes]], name: bytes, value: bytes
) -> None:
    form = b""
    for key, text in fields:
        form = with_form_field(form, key, text)
    form = with_form_field(form, name, value)
    assert dict(form_fields(form)) == {**dict(fields), name: value}
