"""Answers are what the providers document, written here a second time; refusals are clear; nothing is ever a page."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.handshake.requests import (
    ALL,
    KNOWN,
    OK,
    SECRET,
    TOKEN,
    UNJUDGED,
    WRONG,
    get,
    incoming,
    named,
    post,
)
from webhookctl.handshake import Answer, Handshake, Known, acknowledge, answer
from webhookctl.model import Request, Response, Secret, header_value

AZURE = (b"aeg-event-type", b"SubscriptionValidation")
SIGNED = (b"X-Signature-Ed25519", b"a")


def answered(name: str, request: Request, known: Known = KNOWN) -> Answer:
    return answer(named(name), request, known)


@pytest.mark.parametrize(
    ("name", "request_", "secret", "status", "body"),
    [
        ("meta", get("/?hub.mode=subscribe&hub.challenge=42&hub.verify_token=sample-token"), "", 200, b"42"),
        (
            "strava",
            get("/?hub.mode=subscribe&hub.challenge=15f7&hub.verify_token=sample-token"),
            "",
            200,
            b'{"hub.challenge":"15f7"}',
        ),
        ("websub", get("/?hub.mode=subscribe&hub.topic=a&hub.challenge=b%2Bc"), "", 200, b"b+c"),
        # printf %s sample-crc | openssl dgst -sha256 -hmac consumer -binary | base64
        (
            "twitter",
            get("/?crc_token=sample-crc"),
            "consumer",
            200,
            b'{"response_token":"sha256=7/ZWDtAuPcBscfBSyuiDw4FXhkCyK9P3jIDUZ95gKO0="}',
        ),
        # openssl as above, in hex
        (
            "linkedin",
            get("/?challengeCode=sample-code"),
            "client",
            200,
            (
                b'{"challengeCode":"sample-code","challengeResponse":'
                b'"30a95af1e3639a15205bdf3cbc6e7ec9b6c2f5c51e6a449424ee91f67c0dafb4"}'
            ),
        ),
        # the vector of Braintree's SDK
        (
            "braintree",
            get("/?bt_challenge=20f9f8ed05f77439fe955c977e4c8a53"),
            "pubkey:privkey",
            200,
            b"pubkey|737ee49fd8648314b65baa80fcdd1408a822168e",
        ),
        # the vector of Zoom's SDK
        (
            "zoom",
            post(b'{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}'),
            "topsecret_key",
            200,
            (
                b'{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":'
                b'"c107d649e1a5c24794626ab5a4e80375c20651a66e523f5a561992dd323924db"}'
            ),
        ),
        ("microsoft_graph", post(b"", target="/?validationToken=a%3a+b%26c"), "", 200, b"a: b&c"),
        ("dropbox", get("/?challenge=a_b"), "", 200, b"a_b"),
        ("nylas", get("/?challenge=a_b"), "", 200, b"a_b"),
        ("okta", get("/", (b"x-okta-verification-challenge", b"a")), "", 200, b'{"verification":"a"}'),
        (
            "slack",
            post(b'{"type":"url_verification","challenge":"a\\u00e9"}'),
            "",
            200,
            b'{"challenge":"a\\u00e9"}',
        ),
        (
            "azure_event_grid",
            post(b'[{"data":{"validationCode":"512d-38"}}]', AZURE),
            "",
            200,
            b'{"validationResponse":"512d-38"}',
        ),
        ("twitch", post(b'{"challenge":"p-1"}'), "", 200, b"p-1"),
        ("monday", post(b'{"challenge":"p-1"}'), "", 200, b'{"challenge":"p-1"}'),
        ("discord", post(b'{"type":1}', SIGNED), "", 200, b'{"type":1}'),
        ("discord_events", post(b'{"type":0}', SIGNED), "", 204, b""),
        ("xero", post(b'{"events":[]}'), "", 200, b""),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_each_answer_is_the_one_that_was_written_down_apart(
    name: str, request_: Request, secret: str, status: int, body: bytes
) -> None:
    known = replace(KNOWN, secrets=(Secret(secret, "env:SAMPLE"),))
    answer_ = answered(name, request_, known)
    assert answer_.refusal == ""
    assert (answer_.response.status, answer_.response.body) == (status, body)


@pytest.mark.parametrize(
    ("name", "request_", "headers"),
    [
        ("asana", post(b"", (b"X-Hook-Secret", b"s3")), {"X-Hook-Secret": b"s3"}),
        ("vercel", post(b"", (b"x-vercel-verify", b"v1")), {"x-vercel-verify": b"v1"}),
        (
            "cloudevents",
            Request("OPTIONS", "/", ((b"WebHook-Request-Origin", b"e.example.com"),), b""),
            {"WebHook-Allowed-Origin": b"e.example.com", "WebHook-Allowed-Rate": None, "Allow": b"POST"},
        ),
        (
            "cloudevents",
            Request(
                "OPTIONS",
                "/",
                ((b"WebHook-Request-Origin", b"a"), (b"WebHook-Request-Rate", b"120")),
                b"",
            ),
            {"WebHook-Allowed-Origin": b"a", "WebHook-Allowed-Rate": b"120"},
        ),
    ],
    ids=["asana", "vercel", "origin", "rate"],
)
def test_some_are_answered_in_headers(name: str, request_: Request, headers: dict[str, bytes | None]) -> None:
    response = answered(name, request_).response
    assert response.body == b""
    assert {key: header_value(response.headers, key) for key in headers} == headers


@pytest.mark.parametrize(
    "name", ["trello", "mailchimp", "line", "figma", "woocommerce", "mandrill", "aws_sns"]
)
def test_those_that_only_ask_whether_somebody_is_there_get_200(name: str) -> None:
    response = answered(name, incoming(named(name))).response
    assert (response.status, response.body) == (200, b"")


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.id)
def test_no_answer_is_a_page_or_can_become_one(row: Handshake) -> None:
    for known in (KNOWN, replace(KNOWN, verdict=WRONG), Known()):
        response = answer(row, incoming(row), known).response
        kind = header_value(response.headers, "Content-Type")
        kinds = (None, b"text/plain; charset=utf-8", b"application/json", b"text/xml; charset=utf-8")
        assert kind in kinds
        assert header_value(response.headers, "X-Content-Type-Options") == b"nosniff"
        assert header_value(response.headers, "Content-Security-Policy") == b"sandbox"


CHALLENGES = st.one_of(
    st.text(max_size=200),
    st.sampled_from(
        ["<script>alert(1)</script>", "a\r\nSet-Cookie: a=b", "a\0b", "{keyed}", "{token}", "x" * (1 << 20)]
    ),
)


def holding(name: str, value: str) -> Request:
    """A challenge of Slack, Twitch or Asana that holds `value`."""
    if name == "asana":
        return post(b"", (b"X-Hook-Secret", value.encode("utf-8", "surrogatepass")))
    body: dict[str, Any] = {"type": "url_verification", "challenge": value}
    return post(json.dumps(body).encode())


def is_harmless(response: Response) -> bool:
    """Whether the answer can neither be a page, nor split its head, nor be made large."""
    kind = header_value(response.headers, "Content-Type") or b"text/plain"
    head = b"".join(name + field for name, field in response.headers)
    is_plain = kind.startswith((b"text/plain", b"application/json"))
    return is_plain and not any(byte in head for byte in b"\r\n\0") and len(response.body) <= 8 * 1024


@settings(derandomize=True, deadline=None)
@given(CHALLENGES, st.sampled_from(["slack", "twitch", "asana"]))
def test_no_challenge_whatever_it_holds_makes_a_page_or_splits_a_head(value: str, name: str) -> None:
    request = holding(name, value)
    response = answered(name, request).response
    assert is_harmless(response)
    if len(value) > 1024 or any(splitting in value for splitting in "\r\n\0"):
        assert (response.status, response.body) == (400, b"webhookctl: this handshake is refused\n")


@settings(derandomize=True, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=200))
def test_a_challenge_comes_back_as_it_was(value: str) -> None:
    request = holding("slack", value)
    assert json.loads(answered("slack", request).response.body) == {"challenge": value}
    assert answered("twitch", request).response.body == value.encode()


def test_a_challenge_that_is_no_text_is_refused() -> None:
    refused = answered("slack", post(b'{"type":"url_verification","challenge":"\\ud800"}'))
    assert (refused.response.status, refused.refusal) == (400, "the challenge is not Unicode text")


def test_a_challenge_that_went_missing_is_refused() -> None:
    refused = answered("slack", post(b"{}"))
    assert (refused.response.status, refused.refusal) == (400, "the challenge is missing")


def test_a_longer_challenge_passes_where_the_provider_sends_longer_ones() -> None:
    target = "/?validationToken=" + "a" * 4096
    assert answered("microsoft_graph", post(b"", target=target)).response.status == 200
    assert answered("microsoft_graph", post(b"", target=target + "a")).response.status == 400


@pytest.mark.parametrize("token", ["wrong", "", "sample-token ", "é"])
def test_a_wrong_verify_token_gets_403_and_no_echo(token: str) -> None:
    refused = answered("meta", incoming(named("meta"), token=token))
    assert refused.response.status == 403
    assert "verify token" in refused.refusal
    assert refused.response.body == b"webhookctl: this handshake is refused\n"
    assert refused.is_sure


def test_any_of_several_verify_tokens_passes() -> None:
    known = replace(KNOWN, tokens=(Secret("older"), TOKEN))
    assert answered("meta", incoming(named("meta")), known).refusal == ""


def test_without_a_token_known_any_passes_where_only_this_machine_asks() -> None:
    lenient = answered("meta", incoming(named("meta")), Known(accepts_any_token=True))
    assert lenient.refusal == ""
    assert not lenient.is_sure
    assert any("any verify token" in note for note in lenient.notes)
    strict = answered("meta", incoming(named("meta")), Known())
    assert (strict.response.status, strict.is_sure) == (403, False)


@pytest.mark.parametrize(
    ("name", "status"), [("slack", 401), ("zoom", 401), ("twitch", 403), ("discord", 401), ("xero", 401)]
)
def test_a_wrong_signature_is_refused(name: str, status: int) -> None:
    refused = answered(name, incoming(named(name)), replace(KNOWN, verdict=WRONG))
    assert (refused.response.status, refused.is_sure) == (status, True)
    assert "the signature is wrong" in refused.refusal


def test_xero_is_refused_with_an_empty_body() -> None:
    assert answered("xero", incoming(named("xero")), replace(KNOWN, verdict=WRONG)).response.body == b""


def test_a_signature_nobody_can_judge_is_refused_where_it_has_to_be_right() -> None:
    refused = answered("twitch", incoming(named("twitch")), replace(KNOWN, verdict=UNJUDGED))
    assert (refused.response.status, refused.is_sure) == (403, False)


def test_a_signature_nobody_can_judge_passes_elsewhere_and_is_told() -> None:
    passed = answered("slack", incoming(named("slack")), replace(KNOWN, verdict=UNJUDGED))
    assert passed.refusal == ""
    assert not passed.is_sure
    assert any("signature was not checked" in note for note in passed.notes)


def test_an_answer_by_the_development_secret_says_where_the_real_one_belongs() -> None:
    known = Known((Secret("dev", "development"),), (), OK, secret_variable="ZOOM_SECRET")
    made = answered("zoom", incoming(named("zoom")), known)
    assert not made.is_sure
    assert any("ZOOM_SECRET" in note for note in made.notes)


@pytest.mark.parametrize(("name", "secrets"), [("zoom", ()), ("braintree", (Secret("no-colon", "env:A"),))])
def test_without_a_usable_secret_a_keyed_answer_is_refused(name: str, secrets: tuple[Secret, ...]) -> None:
    refused = answered(name, incoming(named(name)), replace(KNOWN, secrets=secrets))
    assert (refused.response.status, refused.is_sure) == (403, False)


@pytest.mark.parametrize("name", ["asana", "notion"])
def test_a_secret_that_comes_along_is_learnt_and_shown_nowhere(name: str) -> None:
    made = answered(name, incoming(named(name)))
    assert made.learnt is not None
    assert len(made.learnt.reveal()) > 20
    assert made.learnt.reveal() not in repr(made.notes) + repr(made.learnt)


def test_nothing_is_learnt_from_what_is_refused() -> None:
    refused = answered("notion", post(json.dumps({"verification_token": "a" * 2_000}).encode()))
    assert refused.learnt is None


def test_only_a_url_of_sns_is_given_back_to_be_opened() -> None:
    def asked(url: str) -> str:
        return answered("aws_sns", post(json.dumps({"SubscribeURL": url}).encode())).visit

    good = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=a&Token=b"
    assert asked(good) == good
    assert asked("https://sns.eu-west-1.amazonaws.com.example.com/?Action=ConfirmSubscription") == ""
    assert answered("aws_sns", post(b"{}")).visit == ""


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("dropbox_sign", b"text/plain; charset=utf-8", b"Hello API Event Received"),
        ("adyen", b"text/plain; charset=utf-8", b"[accepted]"),
        ("salesforce", b"text/xml; charset=utf-8", b"<Ack>true</Ack>"),
    ],
)
def test_acknowledgements_say_what_the_provider_wants_to_read(name: str, kind: bytes, text: bytes) -> None:
    response = acknowledge(named(name), incoming(named(name)), Known())
    assert response is not None
    assert text in response.body
    assert header_value(response.headers, "Content-Type") == kind


def test_a_code_that_is_not_known_is_not_acknowledged() -> None:
    row = named("vercel_code")
    assert acknowledge(row, post(b"[]"), Known()) is None
    response = acknowledge(row, post(b"[]"), Known(tokens=(Secret("code"),)))
    assert response is not None
    assert header_value(response.headers, "x-vercel-verify") == b"code"


def test_a_keyed_acknowledgement_needs_its_secret() -> None:
    assert acknowledge(named("zoom"), incoming(named("zoom")), Known()) is None
    assert acknowledge(named("zoom"), incoming(named("zoom")), Known((SECRET,))) is not None
