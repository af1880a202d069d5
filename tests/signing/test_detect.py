"""What a request says of itself: provider, event type, delivery id."""

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.model import Detection, Headers, Request
from webhookctl.signing import Detector, detect, load, parse_scheme, provider_ids
from webhookctl.signing.detect import MAX_BODY_BYTES, MAX_LENGTH, OUTLINED_BYTES

STRIPE = "header Stripe-Signature (also sent by stripe_thin)"
FORM = "application/x-www-form-urlencoded"


def request(headers: dict[str, str], body: object = b"") -> Request:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    pairs: Headers = tuple((name.encode(), value.encode("latin-1")) for name, value in headers.items())
    return Request("POST", "/", pairs, content)


def found(headers: dict[str, str], body: object = b"") -> tuple[str | None, str | None, str | None]:
    detection = detect(request(headers, body))
    return detection.provider, detection.event, detection.delivery_id


def test_stripe_is_known_by_its_header_and_read_from_the_body() -> None:
    body = {"id": "evt_1", "type": "payment_intent.succeeded"}
    detection = detect(request({"Content-Type": "application/json", "stripe-signature": "t=1"}, body))
    assert detection == Detection("stripe", "payment_intent.succeeded", "evt_1", STRIPE)


@pytest.mark.parametrize(
    ("event", "body", "expected"),
    [
        ("pull_request", {"action": "opened"}, "pull_request.opened"),
        ("push", {"ref": "refs/heads/main"}, "push"),
        ("push", {"action": ""}, "push"),
        ("push", {"action": True}, "push"),
        ("push", [1], "push"),
        ("ping", b"no json", "ping"),
        ("ping", b"{", "ping"),
        ("ping", b" \n{}", "ping"),
    ],
)
def test_a_github_event_is_the_header_and_the_action(event: str, body: object, expected: str) -> None:
    headers = {"X-GitHub-Event": event, "X-GitHub-Delivery": "d-1", "X-Hub-Signature-256": "sha256=0"}
    assert found(headers, body) == ("github", expected, "d-1")


def test_the_action_of_a_form_encoded_github_delivery_is_found() -> None:
    body = urlencode({"payload": json.dumps({"action": "closed", "x": "é"})}).encode()
    assert (
        found({"Content-Type": f"{FORM}; charset=utf-8", "X-GitHub-Event": "issues"}, body)[1]
        == "issues.closed"
    )


def test_of_a_header_that_occurs_twice_the_first_counts() -> None:
    headers = ((b"X-GitHub-Event", b"push"), (b"x-github-event", b"ping"))
    assert detect(Request("POST", "/", headers, b"")).event == "push"


def test_white_space_before_json_does_not_hide_it() -> None:
    assert found({"Stripe-Signature": "t=1"}, b' \r\n\t{"type":"a"}')[1] == "a"


def test_the_hub_signature_alone_does_not_tell_github() -> None:
    assert found({"X-Hub-Signature-256": "sha256=0"})[0] == "meta"
    assert found({"X-Hub-Signature-256": "sha1=0"})[0] is None


def test_shopify_is_read_from_headers_alone() -> None:
    headers = {"X-Shopify-Topic": "orders/paid", "X-Shopify-Webhook-Id": "w-1", "X-Shopify-Hmac-Sha256": "x"}
    assert found(headers, b"{") == ("shopify", "orders/paid", "w-1")


@pytest.mark.parametrize(
    ("body", "event", "delivery_id"),
    [
        ({"type": "url_verification", "challenge": "c"}, "url_verification", None),
        (
            {"type": "event_callback", "event_id": "Ev1", "event": {"type": "app_mention"}},
            "app_mention",
            "Ev1",
        ),
    ],
)
def test_slack_events_are_the_inner_type_where_there_is_one(
    body: object, event: str, delivery_id: str | None
) -> None:
    assert found({"X-Slack-Signature": "v0=0"}, body) == ("slack", event, delivery_id)


@pytest.mark.parametrize(
    ("form", "event"),
    [
        ({"payload": json.dumps({"type": "block_actions"})}, "block_actions"),
        ({"command": "/deploy", "text": ""}, "slash_command"),
        ({"payload": "no json", "other": "x"}, None),
        ({"text": "x"}, None),
    ],
)
def test_slack_forms_are_interactions_or_slash_commands(form: dict[str, str], event: str | None) -> None:
    headers = {"X-Slack-Request-Timestamp": "1", "Content-Type": FORM}
    assert found(headers, urlencode(form).encode()) == ("slack", event, None)


def test_a_form_with_too_many_fields_is_not_read() -> None:
    body = b"command=x&" + b"a=1&" * 200
    assert found({"X-Slack-Signature": "v0=0", "Content-Type": FORM}, body) == ("slack", None, None)


def test_of_a_form_field_that_occurs_twice_the_first_counts() -> None:
    body = b"payload=" + b"%7B%22type%22%3A%22shortcut%22%7D" + b"&payload=x"
    assert found({"X-Slack-Signature": "v0=0", "Content-Type": FORM}, body)[1] == "shortcut"


def test_svix_and_standard_webhooks_are_told_apart_and_svix_wins() -> None:
    standard = {"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
    vendor = {"svix-id": "msg_2", "svix-timestamp": "1", "svix-signature": "v1,x"}
    body = {"type": "invoice.paid"}
    assert found(standard, body) == ("standardwebhooks", "invoice.paid", "msg_1")
    assert found(vendor, body) == ("svix", "invoice.paid", "msg_2")
    assert found(standard | vendor, body) == ("svix", "invoice.paid", "msg_2")
    assert found(vendor, {"event_type": "a"})[1] == "a"


def test_generic_is_known_by_its_own_header_in_its_own_form_only() -> None:
    assert found({"X-Webhook-Signature": "sha256=00"}, {"event": "made"}) == ("generic", "made", None)
    assert found({"X-Webhook-Signature": "eyJhbGciOi"})[0] is None
    assert found({"X-Webhook-Signature": "sha256=00", "Stripe-Signature": "t=1"})[0] == "stripe"
    assert found({"Stripe-Signature": "t=1", "X-Webhook-Signature": "sha256=00"})[0] == "stripe"


@pytest.mark.parametrize(
    ("headers", "body", "event", "delivery_id"),
    [
        ({"ce-type": "com.example.made", "ce-id": "c-1"}, {"type": "other"}, "com.example.made", "c-1"),
        ({}, {"type": "a.b", "id": "i-1"}, "a.b", "i-1"),
        ({}, {"event": "a.c", "id": 7}, "a.c", "7"),
        ({}, {"event": "a.c", "id": 10**40}, "a.c", None),
        ({}, {"event_type": "a.d"}, "a.d", None),
        ({"Idempotency-Key": "k-1"}, {"id": "i-1"}, None, "k-1"),
        ({"X-Request-Id": "r-1"}, {}, None, None),
        ({}, {"type": {"a": 1}, "event": ["x"]}, None, None),
        ({}, {"type": "x" * (MAX_LENGTH + 1), "event": "y" * MAX_LENGTH}, "y" * MAX_LENGTH, None),
        ({}, b"\xff\xfe", None, None),
        ({}, b"[" * 100_000, None, None),
        ({}, b'"type"', None, None),
    ],
)
def test_requests_of_unknown_providers_are_read_by_common_names(
    headers: dict[str, str], body: object, event: str | None, delivery_id: str | None
) -> None:
    detection = detect(request(headers, body))
    assert detection == Detection(None, event, delivery_id, "no header tells the provider")


@pytest.mark.parametrize(
    "text", ["a\x1b[31m", "a\nb", "\x9b", "\u202eevil", "\ud800", "a\u200bb", "", "\x00"]
)
def test_invisible_characters_are_kept_out(text: str) -> None:
    assert found({"Stripe-Signature": "t=1"}, {"id": text, "type": text}) == ("stripe", None, None)


def test_control_characters_in_headers_are_kept_out() -> None:
    assert found({"X-GitHub-Event": "a\x1b]0;x\x07", "X-GitHub-Delivery": "\x9b1"}) == ("github", None, None)


def test_with_the_provider_given_recognition_is_skipped() -> None:
    given_request = request(
        {"Stripe-Signature": "t=1", "X-GitHub-Event": "push"}, {"id": "evt_1", "type": "a"}
    )
    assert detect(given_request, provider="stripe") == Detection("stripe", "a", "evt_1", "provider given")
    assert detect(given_request, provider="nobody") == Detection("nobody", "a", "evt_1", "provider given")


def test_a_long_body_that_is_not_quite_json_is_not_parsed_and_that_is_said() -> None:
    headers = {"Stripe-Signature": "t=1"}
    body = b'{"type":"a","n":NaN,"x":"' + b"y" * MAX_BODY_BYTES + b'"}'
    detection = detect(request(headers, body))
    assert (detection.provider, detection.event) == ("stripe", None)
    assert detection.reason == STRIPE + "; the body is over 256 KiB and was not read"
    exact = b'{"type":"a","n":NaN,"x":"' + b"y" * (MAX_BODY_BYTES - 27) + b'"}'
    assert len(exact) == MAX_BODY_BYTES
    assert detect(request(headers, exact)).event == "a"


@pytest.mark.parametrize("size", [OUTLINED_BYTES - 1, OUTLINED_BYTES, 20 << 20])
def test_the_event_is_found_in_a_body_of_any_size(size: int) -> None:
    start, end = b' {"id":"evt_1","data":{"object":{"type":"x","text":"', b'"}},"type":"invoice.paid"}'
    body = start + b"y" * (size - len(start) - len(end)) + end
    detection = detect(request({"Stripe-Signature": "t=1"}, body))
    assert detection == Detection("stripe", "invoice.paid", "evt_1", STRIPE)


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"a"' + b" " * OUTLINED_BYTES,
        b'{"type":"a","x":"' + b"y" * OUTLINED_BYTES + b'"}{}',
        b'{"type":"\\ud800","x":"' + b"y" * OUTLINED_BYTES + b'"}',
        b'{"type":["a"],"x":"' + b"y" * OUTLINED_BYTES + b'"}',
        b'{"type":"\xff","x":"' + b"y" * OUTLINED_BYTES + b'"}',
        b"[" * 100_000,
        b'{"type":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_a_long_body_without_an_event_to_be_read_has_none(body: bytes) -> None:
    assert detect(request({"Stripe-Signature": "t=1"}, body)).event is None


def test_a_long_body_that_no_rule_asks_for_is_not_mentioned() -> None:
    headers = {"X-Shopify-Topic": "orders/paid", "X-Shopify-Webhook-Id": "w-1"}
    assert detect(request(headers, b"x" * (MAX_BODY_BYTES + 1))).reason == "header X-Shopify-Topic"


def test_a_users_own_provider_is_recognised_beside_the_packaged_ones() -> None:
    text = """
        id = "own"
        name = "Own"
        [signature]
        template = "{body}"
        algorithm = "hmac-sha256"
        encoding = "hex"
        [[header]]
        name = "Stripe-Signature"
        value = "{sig}"
        [detection]
        headers = ["Stripe-Signature: own"]
        event = ["{body.events.0.name}", "{body.events.9.name}!"]
    """
    own = Detector([parse_scheme(text, "own.toml"), *(load(provider) for provider in provider_ids())])
    body = {"events": [{"name": "first"}], "type": "x"}
    assert own.detect(request({"Stripe-Signature": "own 1"}, body)).event == "first"
    assert own.detect(request({"Stripe-Signature": "t=1"}, body)).provider == "stripe"
    assert Detector([parse_scheme(text, "own.toml")]).detect(request({}, body)).event == "x"
    assert own.detect(request({"Stripe-Signature": "own 1"}, {"events": []})).event is None


header_names = st.sampled_from(
    [b"Stripe-Signature", b"X-GitHub-Event", b"X-Slack-Signature", b"content-type", b"ce-type", b"webhook-id"]
)
header_values = st.one_of(st.binary(max_size=20), st.just(FORM.encode()))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["type", "id", "event", "action", "payload"]), inner, max_size=3),
    ),
    max_leaves=6,
)


@settings(derandomize=True, deadline=None)
@given(
    headers=st.lists(
        st.tuples(st.one_of(header_names, st.binary(max_size=5)), header_values), max_size=5
    ).map(tuple),
    body=st.one_of(
        st.binary(max_size=60),
        json_values.map(lambda value: json.dumps(value).encode()),
        json_values.map(lambda value: urlencode({"payload": json.dumps(value)}).encode()),
    ),
    provider=st.sampled_from([None, *provider_ids(), "nobody"]),
)
def test_a_detection_never_raises_and_holds_printable_text_only(
    headers: Headers, body: bytes, provider: str | None
) -> None:
    detection = detect(Request("POST", "/", headers, body), provider=provider)
    for text in (detection.event, detection.delivery_id):
        assert text is None or (text.isprintable() and 0 < len(text) <= MAX_LENGTH)


# --- providers that no header gives away ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "provider", "event", "delivery_id"),
    [
        (
            {"signature": {"token": "t"}, "event-data": {"event": "opened", "id": "e-1"}},
            "mailgun",
            "opened",
            "e-1",
        ),
        ({"passcode": "p", "webhook_id": 7, "event_type": "FILE_UPDATE"}, "figma", "FILE_UPDATE", None),
        ({"tts_notification_id": "n-1", "type": 1}, "tiktok_shop", "1", "n-1"),
        ([{"sg_event_id": "s-1", "event": "open"}], "sendgrid", "open", "s-1"),
        ({"signature": {"token": "t"}}, None, None, None),
        ({"tts_notification_id": None, "type": True}, None, None, None),
    ],
)
def test_fields_of_the_body_tell_a_provider_where_no_header_does(
    body: object, provider: str | None, event: str | None, delivery_id: str | None
) -> None:
    assert found({}, body) == (provider, event, delivery_id)


def test_the_fields_are_named_and_a_header_comes_first() -> None:
    body = {"passcode": "p", "webhook_id": 7, "event_type": "FILE_UPDATE"}
    assert detect(request({}, body)).reason == "fields body.passcode, body.webhook_id, body.event_type"
    assert found({"X-GitHub-Event": "push"}, body)[0] == "github"


def test_forms_tell_a_provider_and_hold_json() -> None:
    events = json.dumps([{"event": "send", "_id": "m-1"}])
    form = urlencode({"mandrill_events": events}).encode()
    assert found({"Content-Type": FORM}, form) == ("mandrill", "send", "m-1")
    broken = urlencode({"mandrill_events": "no json"}).encode()
    assert found({"Content-Type": FORM}, broken) == ("mandrill", None, None)


def test_the_fields_of_a_multipart_form_are_read() -> None:
    text = json.dumps({"event": {"event_type": "signed", "event_hash": "h-1"}}).encode()
    body = b'--b\r\nContent-Disposition: form-data; name="json"\r\n\r\n' + text + b"\r\n--b--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert found(headers, body) == ("dropbox_sign", "signed", "h-1")
    assert found(headers, b"no parts") == (None, None, None)


def test_who_else_sends_a_header_is_said() -> None:
    reason = detect(request({"webhook-signature": "v1,x"})).reason
    assert reason.startswith("header webhook-signature (also sent by anthropic, bigcommerce")
    assert reason.endswith(" more)")
    assert detect(request({"X-GitHub-Event": "push"})).reason == "header X-GitHub-Event"


def test_a_prefix_of_a_field_must_be_there() -> None:
    text = (
        'id = "own"\nname = "Own"\n[signature]\nalgorithm = "none"\n'
        '[detection]\nfields = ["body.kind: own."]\nrank = 5\nevent = ["{body.kind}"]'
    )
    detector = Detector([parse_scheme(text, "own.toml")])
    assert detector.detect(request({}, {"kind": "own.made"})).provider == "own"
    assert detector.detect(request({}, {"kind": "other"})).provider is None
