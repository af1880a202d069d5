"""An outline finds what parsing all of it would find, and takes nothing apart that is not asked for."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhookctl.jsontext.outline import Outline
from webhookctl.signing.place import look_up

NAMES = st.sampled_from(["a", "b", "0", "1", "é", '"', "", "a b"])
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(DOCUMENTS, st.lists(st.lists(NAMES, max_size=4).map(tuple), max_size=4), st.booleans(), st.booleans())
def test_it_finds_what_parsing_all_of_it_finds(
    document: Any, paths: list[tuple[str, ...]], is_ascii: bool, is_spaced: bool
) -> None:
    text = json.dumps(document, ensure_ascii=is_ascii, indent=1 if is_spaced else None).encode(
        "utf-8", "replace"
    )
    document = json.loads(text)
    outline = Outline(text)
    for path in paths:
        found, expected = outline.value_at(path), look_up(document, path)
        if isinstance(expected, (dict, list)):
            assert isinstance(found, type(expected))
        else:
            assert (found, type(found)) == (expected, type(expected))


def test_of_a_name_given_twice_the_last_counts() -> None:
    assert Outline(b'{"a":1,"a":{"b":2}}').value_at(("a", "b")) == 2


@pytest.mark.parametrize(
    "text", [b"", b"{", b'{"a":1}x', b'{"a":[1,]}', b'{"a":"\\q"}', b"\xef\xbb\xbf{}", b"{'a':1}"]
)
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Outline(text)


def test_what_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(RecursionError):
        Outline(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def test_what_is_wrong_further_in_shows_when_it_is_asked_for() -> None:
    outline = Outline(b' { "good" : 1 , "bad" : { "text" : 1, "\xff" : 2 } } ')
    assert outline.value_at(("good",)) == 1
    with pytest.raises(ValueError, match="UTF-8"):
        outline.value_at(("bad", "text"))
