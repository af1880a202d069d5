"""Bodies as paths with kinds, texts and formats; types as they are written."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl import jsontext
from webhookctl.contract.profile import KINDS, Type, format_of, kind_of, parent_of, parse_type, profile, spots

JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


@given(JSON_VALUES)
@settings(derandomize=True, deadline=None)
def test_every_path_names_its_value_in_the_bytes_too(document: Any) -> None:
    body = json.dumps(document).encode()
    for spot in spots(document):
        found = jsontext.value_at(body, spot.path)
        assert found is not None
        assert json.loads(found) == spot.value


@given(JSON_VALUES)
@settings(derandomize=True, deadline=None)
def test_what_holds_a_path_is_the_path_before_it(document: Any) -> None:
    patterns = {"", *(spot.pattern for spot in spots(document))}
    for pattern in patterns - {""}:
        assert parent_of(pattern) in patterns
        assert len(parent_of(pattern)) < len(pattern)


@given(st.sets(st.sampled_from(KINDS), min_size=1), st.none() | st.sets(st.text(), min_size=1))
@settings(derandomize=True, deadline=None)
def test_a_type_is_read_back_as_it_was_written(kinds: set[str], texts: set[str] | None) -> None:
    wanted = Type(frozenset(kinds | ({"string"} if texts else set())), frozenset(texts) if texts else None)
    assert parse_type(str(wanted)) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("strnig", "did you mean string?"),
        ("uuid7", "string, integer"),
        ("", "is not a type"),
        ("string |", "is not a type"),
        ("string integer", "is not a type"),
        ('"open', "is not a type"),
        ("| string", "is not a type"),
    ],
)
def test_a_type_that_is_none_is_refused_with_what_was_meant(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="is not a type") as error:
        parse_type(text)
    assert said in str(error.value)


def test_elements_and_names_that_are_ids_share_one_path() -> None:
    document = {"items": [{"id": 1}, {"id": 2}], "files": {"file_12345678": "a", "0123456": "b"}, "a.b": None}
    assert [(spot.pattern, spot.path) for spot in spots(document)] == [
        ("items", "items"),
        ("items[]", "items[0]"),
        ("items[].id", "items[0].id"),
        ("items[]", "items[1]"),
        ("items[].id", "items[1].id"),
        ("files", "files"),
        ("files.{*}", "files.file_12345678"),
        ("files.{*}", "files.0123456"),
        ('"a.b"', '"a.b"'),
    ]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "boolean"),
        (1, "integer"),
        (1.0, "number"),
        ("", "string"),
        ({}, "object"),
        ([], "array"),
    ],
)
def test_values_have_kinds(value: object, kind: str) -> None:
    assert kind_of(value) == kind


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("01234567-89ab-cdef-0123-456789abcdef", "uuid"),
        ("2026-11-23T10:00:00Z", "time"),
        ("2026-11-23", "date"),
        ("https://example.com/x", "url"),
        ("sample@example.com", "email"),
        ("12.50", "number"),
        ("pi_1a2b3c4d", "prefixed id"),
        ("paid", ""),
    ],
)
def test_texts_have_formats(text: str, name: str) -> None:
    assert format_of(text) == name


def test_a_profile_counts_where_a_path_could_have_been() -> None:
    seen = profile([{"a": {"b": 1}}, {"a": {}}, {"a": None}, {"items": [{"x": 1}, {}]}]).paths
    assert (seen["a"].count, seen["a"].chances) == (3, 4)
    assert (seen["a.b"].count, seen["a.b"].chances) == (1, 2)
    assert (seen["items[].x"].count, seen["items[].x"].chances) == (1, 2)
    assert seen["items[]"].chances == 2
    assert str(seen["a"].type) == "object | null | absent"


def test_few_texts_in_many_bodies_are_taken_for_all_there_are() -> None:
    def type_of(texts: list[str]) -> str:
        return str(profile([{"status": text} for text in texts]).paths["status"].type)

    assert type_of(["open", "paid"] * 10) == '"open" | "paid"'
    assert type_of(["open", "paid"] * 9) == "string"
    assert type_of([f"text {number}" for number in range(13)] * 2) == "string"
    assert type_of(["open"] * 19 + ["paid"]) == '"open" | "paid"'


def test_a_format_is_one_only_when_all_texts_have_it() -> None:
    assert profile([{"a": "2026-11-23"}, {"a": "2026-11-24"}]).paths["a"].text_format == "date"
    assert profile([{"a": "2026-11-23"}, {"a": "soon"}]).paths["a"].text_format == ""


def test_an_integer_is_a_number_but_not_the_other_way_round() -> None:
    assert parse_type("number").allows("integer")
    assert not parse_type("integer").allows("number")


def test_bodies_that_are_made_to_exhaust_us_do_not() -> None:
    deep: Any = "end"
    for _ in range(5_000):
        deep = [deep]
    assert len(list(spots(deep))) == 64
    assert format_of("a@" + "a." * 1_000_000 + " ") == ""
