"""Values that are a function of their key."""

import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.catalogue import chance


def test_values_never_change_between_versions_and_processes() -> None:
    assert chance.characters("1/key", alphabet="hex", length=12) == "5021fc203b4f"
    assert chance.characters("1/key", alphabet="alnum", length=12) == "RcMb7kOIbR4J"
    assert chance.integer("1/key", low=1, high=10**9) == 231469991
    assert chance.uuid4("1/key") == "d5e092a1-ff6c-4250-a31b-048ffaeaa5a6"


@given(st.text(), st.sampled_from(sorted(chance.ALPHABETS)), st.integers(0, 80), st.integers(0, 80))
@settings(derandomize=True, deadline=None)
def test_characters_are_of_the_alphabet_and_a_short_text_begins_a_long_one(
    key: str, alphabet: str, first: int, second: int
) -> None:
    short, long = sorted((first, second))
    text = chance.characters(key, alphabet=alphabet, length=long)
    assert len(text) == long
    assert set(text) <= set(chance.ALPHABETS[alphabet])
    assert text.startswith(chance.characters(key, alphabet=alphabet, length=short))


@given(st.text(), st.integers(-(10**18), 10**18), st.integers(0, 10**18))
@settings(derandomize=True, deadline=None)
def test_an_integer_lies_between_its_bounds(key: str, low: int, width: int) -> None:
    assert low <= chance.integer(key, low=low, high=low + width) <= low + width


def test_both_bounds_of_an_integer_occur() -> None:
    assert {chance.integer(str(seed), low=1, high=3) for seed in range(100)} == {1, 2, 3}


@given(st.text())
@settings(derandomize=True, deadline=None)
def test_a_uuid_is_of_version_four_and_the_rfc_variant(key: str) -> None:
    value = uuid.UUID(chance.uuid4(key))
    assert value.version == 4
    assert value.variant == uuid.RFC_4122
