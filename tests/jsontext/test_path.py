import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.errors import UsageError
from webhookctl.jsontext import JsonTextError, paths, value_at

stable = settings(derandomize=True, deadline=None)

BODY = b"""{
  "id": 1.0,
  "items": [{"id": "first"}, [10, 1E400]],
  "a.b": {"c": "\\u00e9"},
  "same": 1, "same": {"x": 2}
}"""


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", b"1.0"),
        ("items", b'[{"id": "first"}, [10, 1E400]]'),
        ("items.0.id", b'"first"'),
        ("items[0].id", b'"first"'),
        ("items[1][1]", b"1E400"),
        ('"a.b".c', b'"\\u00e9"'),
        ('"\\u0061.b".c', b'"\\u00e9"'),
        ("same", b'{"x": 2}'),
        ("same.x", b"2"),
        ("items.2", None),
        ("items.00", None),
        ("items.id", None),
        ("id.deeper", None),
        ("a.b.c", None),
    ],
)
def test_a_path_names_the_bytes_of_its_value(path: str, value: bytes | None) -> None:
    assert value_at(BODY, path) == value


def test_a_body_that_is_no_json_has_no_values() -> None:
    assert value_at(b"a=1", "a") is None


def test_a_scalar_or_an_array_can_be_the_whole_document() -> None:
    assert value_at(b'"text"', "a") is None
    assert value_at(b"[1, [2]]", "[1][0]") == b"2"
    assert value_at(b"[1, [2]]", "1.0") == b"2"


def test_a_bracket_reads_a_member_with_a_number_for_its_name() -> None:
    assert value_at(b'{"0": 5}', "[0]") == b"5"


@pytest.mark.parametrize(
    "path", ["", ".", "a.", "a..b", "a[", "a[x]", "a[-1]", '"a', '"a"b', '"\\x"', 'a"b"', "a]"]
)
def test_a_path_that_cannot_be_read_is_said_to_be_so(path: str) -> None:
    with pytest.raises(UsageError) as caught:
        value_at(BODY, path)
    assert caught.value.code == "path-invalid"
    assert repr(path) in caught.value.message
    assert "data.object.amount" in caught.value.hint


def test_paths_come_containers_first_and_each_once() -> None:
    assert paths(BODY) == [
        "id",
        "items",
        "items.0",
        "items.0.id",
        "items.1",
        "items.1.0",
        "items.1.1",
        '"a.b"',
        '"a.b".c',
        "same",
        "same.x",
    ]
    assert paths(b"[1,[2]]") == ["0", "1", "1.0"]
    assert paths(b'["", 1]') == ["0", "1"]
    assert paths(b"1") == []


def test_names_that_cannot_be_shown_or_would_be_misread_are_quoted() -> None:
    body = json.dumps({"": 1, "a\x1b": 2, 'q"': 3, "é": 4, "\u202e": 5, "a b": 6, "\ud800": 7}).encode()
    assert paths(body) == ['""', '"a\\u001b"', '"q\\""', "é", '"\\u202e"', "a b", '"\\ud800"']


def test_paths_of_no_json_are_an_error() -> None:
    with pytest.raises(JsonTextError):
        paths(b"{")


@stable
@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_every_path_leads_to_its_value(value: object) -> None:
    body = json.dumps(value).encode()
    found = paths(body)
    assert len(found) == _count(value) - 1
    for path in found:
        text = value_at(body, path)
        assert text is not None
        json.loads(text)


def _count(value: object) -> int:
    if isinstance(value, dict):
        return 1 + sum(_count(inner) for inner in value.values())
    return 1 + sum(_count(inner) for inner in value) if isinstance(value, list) else 1
