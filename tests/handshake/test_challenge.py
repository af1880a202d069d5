"""Challenges follow from their seed alone and look as the providers' do."""

import json
import re

import pytest

from tests.handshake.requests import ALL, named
from webhookctl.handshake import Handshake, challenge
from webhookctl.model import header_value


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.id)
def test_the_same_seed_gives_the_same_request(row: Handshake) -> None:
    first = challenge(row, seed=1, token="a")
    assert challenge(row, seed=1, token="a") == first
    if row.challenge is not None:
        assert challenge(row, seed=2, token="a") != first


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("meta", r"hub\.challenge=\d{10}&"),
        ("linkedin", r"challengeCode=[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$"),
        ("braintree", r"bt_challenge=[0-9a-f]{32}$"),
        ("dropbox", r"challenge=[0-9A-Za-z]{43}$"),
    ],
)
def test_values_have_the_shape_of_the_provider(name: str, pattern: str) -> None:
    assert re.search(pattern, challenge(named(name), seed=3, token="t").target)


def test_the_verify_token_is_sent() -> None:
    assert challenge(named("meta"), seed=3, token="a b").target.endswith("hub.verify_token=a+b")


def test_a_body_is_compact_json_with_what_the_conditions_ask_for() -> None:
    made = challenge(named("zoom"), seed=3, token="")
    document = json.loads(made.body)
    assert document["event"] == "endpoint.url_validation"
    assert len(document["payload"]["plainToken"]) == 43
    assert b" " not in made.body
    assert header_value(made.headers, "content-type") == b"application/json"


def test_conditions_on_numbers_and_lists_become_numbers_and_lists() -> None:
    assert json.loads(challenge(named("discord"), seed=3, token="").body)["type"] == 1
    assert json.loads(challenge(named("xero"), seed=3, token="").body)["events"] == []


def test_the_sample_of_a_row_is_not_changed_by_making_challenges() -> None:
    before = repr(named("azure_event_grid").sample)
    challenge(named("azure_event_grid"), seed=3, token="")
    assert repr(named("azure_event_grid").sample) == before


def test_a_position_in_a_list_that_is_not_there_yet_is_made() -> None:
    document = json.loads(challenge(named("azure_event_grid"), seed=3, token="").body)
    assert re.fullmatch(r"[0-9a-f-]{36}", document[0]["data"]["validationCode"])


def test_a_header_challenge_names_a_host_where_one_is_asked_for() -> None:
    made = challenge(named("cloudevents"), seed=3, token="")
    assert re.fullmatch(
        rb"sender-[0-9a-f]{6}\.example\.com", header_value(made.headers, "webhook-request-origin") or b""
    )
    assert header_value(made.headers, "content-type") is None


def test_a_form_is_sent_as_it_is_written() -> None:
    assert challenge(named("woocommerce"), seed=3, token="").body == b"webhook_id=1"
