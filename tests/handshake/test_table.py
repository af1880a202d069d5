"""The packaged handshakes are whole, and names lead to them."""

from typing import Any

import pytest

from tests.handshake.requests import ALL, named
from webhookctl import signing
from webhookctl.errors import UsageError
from webhookctl.handshake.place import parse_place
from webhookctl.handshake.table import parse_handshake

ROW: dict[str, Any] = {
    "id": "sample",
    "name": "Sample",
    "provider": "sample",
    "method": "POST",
    "when": ["body.challenge"],
    "answer": {"text": "{challenge}"},
    "consequence": "nothing happens",
    "evidence": "memory",
    "source": "made up",
}


def test_names_and_aliases_are_unique() -> None:
    names = [name for row in ALL for name in (row.id, *row.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.id)
def test_each_has_a_provider_that_is_known_words_and_a_source(row: Any) -> None:
    assert row.provider in {*signing.provider_ids(), "websub"}
    assert row.evidence in ("verified", "doc", "spec", "secondary", "memory")
    assert row.source
    assert row.consequence
    assert not row.consequence.endswith(".")
    assert row.status in row.statuses
    assert row.method in ("GET", "HEAD", "OPTIONS", "POST")


@pytest.mark.parametrize("row", [row for row in ALL if row.is_signed], ids=lambda row: row.id)
def test_what_is_signed_has_a_scheme_that_signs(row: Any) -> None:
    assert signing.load(row.provider).is_signed


def test_a_name_or_an_alias_leads_to_its_handshake() -> None:
    assert named("slack").name == "Slack"
    assert named("whatsapp") is named("meta")


@pytest.mark.parametrize(("name", "hint"), [("slak", "handshake:slack"), ("qqqqqqqq", "trigger --list")])
def test_an_unknown_name_is_told_with_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        named(name)
    assert raised.value.code == "handshake-unknown"
    assert hint in raised.value.hint


def test_a_row_with_an_unknown_key_is_refused() -> None:
    assert parse_handshake(ROW).id == "sample"
    with pytest.raises(ValueError, match="unknown chalenge"):
        parse_handshake({**ROW, "chalenge": "body.challenge"})


def test_a_place_of_an_unknown_source_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cookie\.x"):
        parse_place("cookie.x")


def test_a_place_shows_as_it_is_written() -> None:
    assert parse_place("body.a.0.b").text == "body.a.0.b"
    assert parse_place("body.a.0.b").path == ("a", 0, "b")
