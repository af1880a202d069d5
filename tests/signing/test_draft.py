"""The TOML of a user's own scheme: whatever is said, what is written reads back as that."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.signing import parse_scheme
from webhookctl.signing.draft import Draft, draft_text, parse_header


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X-Signature", ("X-Signature", "{sig}")),
        ("X-Signature: sha256={sig}", ("X-Signature", "sha256={sig}")),
        (" X-Time :{ts} ", ("X-Time", "{ts}")),
    ],
)
def test_a_header_is_a_name_and_perhaps_a_value(text: str, expected: tuple[str, str]) -> None:
    assert parse_header(text) == expected


@pytest.mark.parametrize(
    ("value", "separator"),
    [
        ("t={ts},v1={sig}", b","),
        ("t={ts}, v1={sig}", b","),
        ("ts={ts};h1={sig}", b";"),
        ("t={ts}&s={sig}", b"&"),
        ("{ts} {sig}", b" "),
        ("sha256={sig}", b""),
    ],
)
def test_the_separator_is_what_stands_between_the_slots(value: str, separator: bytes) -> None:
    scheme = parse_scheme(draft_text(Draft("acme", "Acme", (("X-Sig", value),))), "acme.toml")
    assert scheme.headers[0].separator == separator


def test_a_value_that_is_no_template_is_written_as_it_is() -> None:
    assert 'value = "{sig"' in draft_text(Draft("acme", "Acme", (("X-Sig", "{sig"),)))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(name=st.text(st.characters(codec="utf-8"), max_size=30))
def test_any_name_reads_back(name: str) -> None:
    assert parse_scheme(draft_text(Draft("acme", name, (("X-Sig", "{sig}"),))), "acme.toml").name == name


def test_all_that_is_said_is_in_the_file() -> None:
    draft = Draft(
        "own-shop",
        "Own Shop",
        (("Shop-Id", "{id}"), ("Shop-Time", "{ts}"), ("Shop-Signature", "v1={sig}")),
        content="{id}.{ts}.{body}",
        algorithm="hmac-sha512",
        encoding="base64",
        key="base64",
        unit="ms",
        tolerance_s=60,
        event="header.Shop-Event",
        delivery_id="{header.Shop-Id}",
    )
    scheme = parse_scheme(draft_text(draft), "own.toml")
    assert (scheme.algorithm, scheme.encoding, scheme.keys) == ("hmac-sha512", "base64", ("base64",))
    assert scheme.secret_variables == ("OWN_SHOP_WEBHOOK_SECRET",)
    assert scheme.timestamp is not None
    assert (scheme.timestamp.unit, scheme.timestamp.tolerance_s) == ("ms", 60)
    assert [entry.text for entry in scheme.detection.headers] == ["Shop-Signature"]
    assert (len(scheme.detection.event), len(scheme.detection.delivery_id)) == (1, 1)
