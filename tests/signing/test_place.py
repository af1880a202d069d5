"""Templates: what is written in them, filled from values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhookctl.signing.place import parse_template

VALUES = {"ts": b"17", "id": b"evt%b", "body": b"{\x00%s}"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", b""),
        ("100 %b", b"100 %b"),
        ("{body}", b"{\x00%s}"),
        ("v1={body}", b"v1={\x00%s}"),
        ("{id}.{ts}.{body}", b"evt%b.17.{\x00%s}"),
        ("{ts}{ts}%", b"1717%"),
        ("{{{ts}}}", b"{17}"),
    ],
)
def test_a_template_is_filled(text: str, filled: bytes) -> None:
    assert parse_template(text).render(VALUES) == filled


@pytest.mark.parametrize("text", ["{nonce}", "v1={nonce}", "{ts}.{nonce}"])
def test_a_slot_without_a_value_is_a_key_error(text: str) -> None:
    with pytest.raises(KeyError, match="nonce"):
        parse_template(text).render(VALUES)


@given(pieces=st.lists(st.one_of(st.sampled_from(["ts", "id", "body"]), st.binary(max_size=5)), max_size=6))
def test_any_template_is_its_literals_and_values_in_their_order(pieces: list[str | bytes]) -> None:
    literals = [piece.hex() if isinstance(piece, bytes) else f"{{{piece}}}" for piece in pieces]
    expected = b"".join(
        piece.hex().encode() if isinstance(piece, bytes) else VALUES[piece] for piece in pieces
    )
    assert parse_template("".join(literals)).render(VALUES) == expected
