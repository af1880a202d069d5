"""Handshakes are told from deliveries, from one another, and by the provider where their words are the same."""

import json

import pytest

from tests.handshake.requests import ALL, get, incoming, post
from webhookctl.handshake import Handshake, find
from webhookctl.handshake.place import MAX_BODY_BYTES
from webhookctl.model import Request

NAMED_ONLY = {"strava", "nylas", "mailchimp", "onfleet", "vercel_code", "dropbox_sign", "adyen"}


def found(request: Request, provider: str | None = None) -> str | None:
    row = find(request, provider)
    return None if row is None else row.id


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.id)
def test_each_is_found_where_its_provider_is_known(row: Handshake) -> None:
    assert find(incoming(row), row.provider) is row


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.id)
def test_each_is_found_of_an_unknown_provider_unless_only_the_name_tells_it(row: Handshake) -> None:
    assert (find(incoming(row)) is row) == (row.id not in NAMED_ONLY)
    assert row.is_named_only == (row.id in NAMED_ONLY)


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.id)
def test_none_is_found_in_the_requests_of_another_provider(row: Handshake) -> None:
    assert find(incoming(row), "stripe") is None


def test_a_generic_provider_counts_as_unknown() -> None:
    assert found(get("/?crc_token=a"), "generic") == "twitter"


def test_the_same_words_are_answered_for_the_provider_that_is_known() -> None:
    asked = get("/?hub.mode=subscribe&hub.challenge=1&hub.verify_token=a")
    assert found(asked) == "meta"
    assert found(asked, "strava") == "strava"
    assert found(get("/?hub.mode=subscribe&hub.challenge=1&hub.topic=https://example.com/feed")) == "websub"
    assert found(get("/?challenge=1"), "nylas") == "nylas"
    assert found(Request("OPTIONS", "/", ((b"webhook-request-origin", b"a"),), b""), "azure_event_grid")


@pytest.mark.parametrize(
    "request_",
    [
        get("/?hub.mode=unsubscribe&hub.challenge=1&hub.topic=a"),
        get("/?hub.mode=subscribe"),
        get("/?crc_token="),
        get("/"),
        get("/hub.challenge=1"),
        Request("OPTIONS", "/", ((b"Origin", b"https://example.com"),), b""),
        Request("DELETE", "/?challenge=1", (), b""),
        post(b'{"type":"url_verification"}'),
        post(b'{"type":"message","challenge":"a"}'),
        post(b'{"challenge":{"a":1}}'),
        post(b'{"challenge":true}'),
        post(b'{"challenge":1e999}'),
        post(b'{"challenge":' + b"9" * 40 + b"}"),
        post(b'{"challenge":"a","other":1}'),
        post(b'["challenge"]'),
        post(b'"challenge" is no JSON'),
        post(b"[" * 60_000 + b'"challenge"'),
        post(b'{"challenge":"a"' + b" " * MAX_BODY_BYTES + b"}"),
        post(b"webhook_id=1&other=2"),
        post(b"webhook_id="),
        post(b"webhook_id=%ff"),
        post(b"webhook_id=1" + b"&a=1" * 200),
        post(b"{}", target="/?validationToken="),
        post(b"{}", target="/?other=1"),
        post(b"\xff http://soap.sforce.com/2005/09/outbound"),
        post(b'{"events":[{}]}', (b"x-xero-signature", b"a")),
        post(b'{"type":0,"event":{"type":"A"}}', (b"X-Signature-Ed25519", b"a")),
        post(b"{}", (b"aeg-event-type", b"Notification")),
    ],
    ids=lambda request_: f"{request_.method} {request_.target} {request_.body[:40]!r}",
)
def test_what_only_looks_like_one_is_a_delivery(request_: Request) -> None:
    assert find(request_) is None


def test_a_number_is_a_challenge_too() -> None:
    assert found(post(b'{"challenge":42}')) == "monday"


def test_of_a_name_that_occurs_twice_the_first_counts() -> None:
    assert found(get("/?hub.mode=subscribe&hub.challenge=1&hub.mode=x")) == "meta"


def test_the_precheck_lets_pass_whatever_the_rules_would_find() -> None:
    """A mark that the rules do not know would hide a handshake; this holds for each by itself."""
    for row in ALL:
        request = incoming(row)
        if row.method == "POST" and request.body[:1] in (b"{", b"["):
            spaced = json.dumps(json.loads(request.body), indent=2).encode()
            again = Request("POST", request.target, request.headers, spaced)
            assert find(again, row.provider) is row, row.id
