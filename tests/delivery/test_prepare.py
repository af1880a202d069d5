"""Requests made ready: forged, re-signed, exact; with the real schemes and the real catalogue."""

import base64
import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl import catalogue, jsontext, signing
from webhookctl.address import addressed, parse_endpoint
from webhookctl.delivery.prepare import (
    Edits,
    Mode,
    Prepared,
    exact,
    forge,
    keep,
    parse_edits,
    parse_headers,
    renewed,
    resign,
)
from webhookctl.errors import FixtureError, UsageError
from webhookctl.fixture import Fixture, Redaction
from webhookctl.model import (
    Attempt,
    Capture,
    Detection,
    Exchange,
    Request,
    Response,
    Secret,
    Verdict,
    VerdictKind,
    header_value,
)
from webhookctl.signing import Scheme, load, parse_scheme

NOW_S = 1_767_225_600.0
SECRET = Secret("whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode())
OTHER = Secret("whsec_" + base64.b64encode(b"fedcba9876543210fedcba9876543210").decode())
URL = "https://app.example.com/hooks"
NO_EDITS = Edits()

SIGNED_BY_ID = "standardwebhooks"
EVENTS = {
    "stripe": "payment_intent.succeeded",
    "github": "push",
    "shopify": "orders/create",
    "slack": "message",
    "standardwebhooks": "user.created",
    "svix": "user.created",
    "generic": "user.created",
}


def forged(provider: str, edits: Edits = NO_EDITS, *, seed: int = 7) -> Prepared:
    return forge(
        catalogue.resolve(EVENTS[provider], provider=provider),
        edits,
        scheme=load(provider),
        secrets=[SECRET, OTHER],
        seed=seed,
        payload_time_s=NOW_S,
        now_s=NOW_S,
        url=URL,
    )


def saved(provider: str = "stripe", request: Request | None = None) -> Fixture:
    made = forged(provider)
    detection = signing.detect(made.request, provider=provider)
    return Fixture(
        f"{provider}-sample",
        request or made.request,
        provider,
        detection.event,
        delivery_id=detection.delivery_id,
    )


def resigned(
    fixture: Fixture,
    edits: Edits = NO_EDITS,
    *,
    scheme: Scheme | None = None,
    now_s: float = NOW_S,
    fresh: str = "",
) -> Prepared:
    return resign(
        fixture,
        edits,
        scheme=scheme or load(fixture.provider or ""),
        secrets=[SECRET],
        now_s=now_s,
        url=URL,
        fresh_id=(lambda _: fresh) if fresh else None,
    )


def verdict_of(prepared: Prepared, now_s: float = NOW_S) -> Verdict:
    assert prepared.scheme is not None
    return signing.verify(prepared.scheme, prepared.secrets, prepared.request, now_s=now_s, url=URL)


@pytest.mark.parametrize("provider", catalogue.providers())
def test_a_forged_delivery_is_right_by_its_own_scheme(provider: str) -> None:
    prepared = forged(provider)
    assert prepared.mode is Mode.FORGED
    assert verdict_of(prepared).is_ok
    detection = signing.detect(prepared.request, provider=provider)
    assert prepared.detection.provider == provider
    assert detection.delivery_id in (prepared.detection.delivery_id, None)


def test_a_forged_delivery_is_signed_with_the_first_secret_after_it_was_edited() -> None:
    edits = parse_edits(["data.object.amount=4200"], [], ["X-Own: 1"], is_creating=False)
    prepared = forged("stripe", edits)
    assert jsontext.value_at(prepared.request.body, "data.object.amount") == b"4200"
    assert prepared.added == ((b"X-Own", b"1"),)
    assert signing.verify(load("stripe"), [SECRET], prepared.request, now_s=NOW_S).is_ok
    assert (
        signing.verify(load("stripe"), [OTHER], prepared.request, now_s=NOW_S).kind
        is VerdictKind.WRONG_SECRET
    )


def test_one_seed_forges_one_payload_and_another_seed_another() -> None:
    assert forged("stripe", seed=1).request == forged("stripe", seed=1).request
    assert forged("stripe", seed=1).request.body != forged("stripe", seed=2).request.body


@pytest.mark.parametrize("provider", catalogue.providers())
def test_a_delivery_signed_again_much_later_is_right_and_stands_in_the_same_places(provider: str) -> None:
    before = saved(provider)
    prepared = resigned(before, now_s=NOW_S + 1e6)
    assert prepared.mode is Mode.RESIGNED
    assert verdict_of(prepared, NOW_S + 1e6).is_ok
    assert prepared.request.body == before.request.body
    assert [name.lower() for name, _ in prepared.request.headers] == [
        name.lower() for name, _ in before.request.headers
    ]
    assert prepared.detection.delivery_id == before.delivery_id


@pytest.mark.parametrize("provider", catalogue.providers())
def test_a_delivery_that_was_redacted_when_saved_is_right_when_signed_again(provider: str) -> None:
    request = forged(provider).request
    exchange = Exchange(
        1,
        Capture(request, NOW_S, "127.0.0.1:5"),
        signing.detect(request, provider=provider),
        Verdict(VerdictKind.OK, provider, "ok"),
    )
    fixture = keep(exchange, scheme=load(provider))
    assert (b"{resign}" in [value for _, value in fixture.request.headers]) is True
    prepared = resigned(fixture)
    assert verdict_of(prepared).is_ok or fixture.redaction.body  # a secret in the body is gone for good
    assert not any(value in (b"{resign}", b"{redacted}") for _, value in prepared.request.headers)


def test_a_delivery_edited_and_signed_again_is_right() -> None:
    edits = parse_edits(["data.object.amount=1"], ["livemode"], [], is_creating=False)
    prepared = resigned(saved(), edits)
    assert verdict_of(prepared).is_ok
    assert jsontext.value_at(prepared.request.body, "livemode") is None


def test_redacted_headers_that_cannot_be_made_again_are_left_out() -> None:
    request = saved().request
    headers = ((b"Cookie", b"{redacted}"), *request.headers, (b"X-Kept", b"1"))
    prepared = resigned(saved(request=replace(request, headers=headers)))
    assert header_value(prepared.request.headers, "cookie") is None
    assert header_value(prepared.request.headers, "x-kept") == b"1"


TWO_SIGNATURES = parse_scheme(
    """
    id = "own"
    name = "Own"
    [signature]
    template = "{body}"
    algorithm = "hmac-sha256"
    encoding = "hex"
    [[header]]
    name = "X-Signature-{n}"
    value = "{sig}"
    """,
    "own.toml",
)


def test_older_signatures_beside_the_one_made_anew_are_left_out() -> None:
    headers = ((b"X-Signature-1", b"old"), (b"X-Signature-2", b"older"), (b"X", b"1"))
    prepared = resigned(Fixture("own", Request("POST", "/", headers, b"{}")), scheme=TWO_SIGNATURES)
    assert [name for name, _ in prepared.request.headers] == [b"X-Signature-1", b"X"]
    assert verdict_of(prepared).is_ok


def test_what_is_odd_about_a_fixture_is_remarked_upon() -> None:
    fixture = replace(saved(), is_edited=True, redaction=Redaction(body=("data.token",)))
    assert resigned(fixture).remarks == (
        "stripe-sample: the body was edited since it was saved",
        "the redacted data.token is sent as {redacted}",
    )


@pytest.mark.parametrize(
    ("provider", "header", "path"),
    [
        ("stripe", "", "id"),
        ("github", "x-github-delivery", ""),
        ("shopify", "x-shopify-webhook-id", ""),
        ("slack", "", "event_id"),
        ("standardwebhooks", "webhook-id", ""),
        ("svix", "svix-id", ""),
    ],
)
def test_a_new_id_stands_where_the_scheme_says_and_is_signed(provider: str, header: str, path: str) -> None:
    before = saved(provider)
    prepared = resigned(before, fresh="new_id-0001")
    found = (
        header_value(prepared.request.headers, header)
        if header
        else json.loads(jsontext.value_at(prepared.request.body, path) or b"null").encode()
    )
    assert found == b"new_id-0001"
    assert prepared.detection.delivery_id == "new_id-0001"
    assert signing.detect(prepared.request, provider=provider).delivery_id == "new_id-0001"
    assert verdict_of(prepared).is_ok
    assert before.delivery_id is not None
    if path:
        changed = before.request.body.replace(before.delivery_id.encode(), b"new_id-0001", 1)
        assert prepared.request.body == changed


def test_a_new_id_that_needs_escaping_stays_one_json_string() -> None:
    prepared = resigned(saved("slack"), fresh='a"b\\c')
    assert json.loads(prepared.request.body)["event_id"] == 'a"b\\c'


def test_without_a_place_for_an_id_the_request_stays_as_it_is() -> None:
    fixture = Fixture("bare", Request("POST", "/", (), b"no JSON"), "stripe")
    prepared = resigned(fixture, fresh="evt_new")
    assert prepared.request.body == b"no JSON"
    assert prepared.detection.delivery_id == "evt_new"
    number = Fixture("number", Request("POST", "/", (), b'{"id": 17}'), "stripe")
    assert resigned(number, fresh="evt_new").request.body == b'{"id": 17}'


def test_exact_is_the_request_as_it_was_saved() -> None:
    fixture = saved("github")
    prepared = exact(fixture, NO_EDITS, scheme=load("github"), secrets=[SECRET])
    assert prepared.request is fixture.request
    assert (prepared.mode, prepared.remarks) == (Mode.EXACT, ())
    assert verdict_of(prepared).is_ok


@pytest.mark.parametrize(
    ("fixture", "named"),
    [
        (saved(request=Request("POST", "/", ((b"Stripe-Signature", b"{resign}"),), b"")), "Stripe-Signature"),
        (saved(request=Request("POST", "/", ((b"Cookie", b"{redacted}"),), b"")), "Cookie"),
        (replace(saved(), redaction=Redaction(body=("data.token",))), "data.token"),
        (replace(saved(), redaction=Redaction(query=("sig",))), "sig"),
    ],
)
def test_exact_refuses_what_was_redacted_and_names_it(fixture: Fixture, named: str) -> None:
    with pytest.raises(FixtureError, match=f"{named} was redacted") as caught:
        exact(fixture, NO_EDITS, scheme=None, secrets=[])
    assert caught.value.code == "fixture-redacted"


def test_exact_and_edits_contradict_each_other_but_headers_may_be_added() -> None:
    for assignments, removals in ((["a=1"], []), ([], ["a"])):
        edits = parse_edits(assignments, removals, [], is_creating=False)
        with pytest.raises(UsageError) as caught:
            exact(saved(), edits, scheme=None, secrets=[])
        assert caught.value.code == "exact-edited"
    edits = parse_edits([], [], ["X: 1"], is_creating=False)
    assert exact(saved(), edits, scheme=None, secrets=[]).added == ((b"X", b"1"),)


def test_exact_says_that_a_body_was_edited() -> None:
    prepared = exact(replace(saved(), is_edited=True), NO_EDITS, scheme=None, secrets=[])
    assert prepared.remarks == ("stripe-sample: the body was edited since it was saved",)


def test_without_a_secret_nothing_is_signed_and_the_usual_variable_is_named() -> None:
    for scheme, hint in ((load("stripe"), "STRIPE_WEBHOOK_SECRET"), (TWO_SIGNATURES, "NAME")):
        with pytest.raises(UsageError) as caught:
            resign(saved(), NO_EDITS, scheme=scheme, secrets=[], now_s=NOW_S, url=URL, fresh_id=None)
        assert caught.value.code == "secret-missing"
        assert hint in caught.value.hint


def test_a_host_given_by_hand_is_kept() -> None:
    assert not resigned(saved()).keeps_host
    edits = parse_edits([], [], ["hOST: shop.example.com"], is_creating=False)
    assert resigned(saved(), edits).keeps_host


def test_edits_are_read_from_what_people_type() -> None:
    edits = parse_edits(
        ["a.b=1", "c = x=y ", 'd={"e": []}'],
        ["f"],
        ["X-A: 1: 2", "X-B:", "X-C: é", "X-D: €"],
        is_creating=True,
    )
    assert edits.assignments == (("a.b", b"1"), ("c", b'" x=y "'), ("d", b'{"e": []}'))
    assert (edits.removals, edits.is_creating, edits.changes_body) == (("f",), True, True)
    assert edits.headers == ((b"X-A", b"1: 2"), (b"X-B", b""), (b"X-C", b"\xe9"), (b"X-D", "€".encode()))
    assert not parse_edits([], [], ["X: 1"], is_creating=False).changes_body


@pytest.mark.parametrize("text", ["a", "=1", ""])
def test_an_assignment_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_edits([text], [], [], is_creating=False)
    assert caught.value.code == "set-invalid"


@pytest.mark.parametrize("text", ["X", ": 1", "X Y: 1", "X: a\r\nY: b", "X: a\nb", "X: \0", "é: 1"])
def test_a_header_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_headers([text])
    assert caught.value.code == "header-invalid"


def exchange(request: Request, response: Response | None = None) -> Exchange:
    attempts = (Attempt("http://app/", NOW_S, 1.0, response),) if response else ()
    return Exchange(
        3,
        Capture(request, NOW_S, "127.0.0.1:5"),
        Detection("stripe", "payment.made", "evt_1"),
        Verdict(VerdictKind.OK, "stripe", "ok"),
        attempts=attempts,
    )


SECRETIVE = Request(
    "POST",
    "/in?token=abc&x=1",
    (
        (b"Content-Type", b"application/json"),
        (b"Stripe-Signature", b"t=1,v1=ab"),
        (b"Authorization", b"Bearer x"),
        (b"X-Mine", b"y"),
    ),
    b'{"a": {"mine": "z"}, "client_secret": "s"}',
)


def test_an_exchange_is_kept_without_its_secrets() -> None:
    answered = Response(200, "OK", ((b"Set-Cookie", b"a=b"), (b"X", b"1")), b"")
    fixture = keep(
        exchange(SECRETIVE, answered), scheme=load("stripe"), headers=["X-Mine"], fields=["a.mine"]
    )
    assert [value for _, value in fixture.request.headers] == [
        *(b"application/json", b"{resign}", b"{redacted}", b"{redacted}")
    ]
    assert fixture.request.body == b'{"a": {"mine": "{redacted}"}, "client_secret": "{redacted}"}'
    assert fixture.request.target == "/in?token={redacted}&x=1"
    assert fixture.redaction == Redaction(
        ("Stripe-Signature", "Authorization", "X-Mine"), ("a.mine", "client_secret"), ("token",)
    )
    assert fixture.response is not None
    assert fixture.response.headers == ((b"Set-Cookie", b"{redacted}"), (b"X", b"1"))
    assert fixture.name == "payment.made"


def test_an_exchange_is_kept_whole_when_that_is_asked_for() -> None:
    fixture = keep(exchange(SECRETIVE), scheme=load("stripe"), name="My Name!", is_keeping_secrets=True)
    assert fixture.request == SECRETIVE
    assert fixture.redaction == Redaction()
    assert fixture.name == keep(exchange(SECRETIVE), scheme=None, name="My Name!").name != "payment.made"


def test_an_unknown_providers_exchange_is_kept_without_the_secrets_everybody_has() -> None:
    headers = dict(keep(exchange(SECRETIVE), scheme=None).request.headers)
    assert headers[b"Authorization"] == b"{redacted}"
    assert headers[b"Stripe-Signature"] == b"t=1,v1=ab"


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=40), st.randoms(use_true_random=False))
def test_a_renewed_id_has_the_shape_of_the_old_one(text: str, chance: random.Random) -> None:
    new = renewed(text, chance.choice)
    assert len(new) == len(text)
    prefix = text.rpartition("_")[0]
    assert new.startswith(prefix)
    for old_character, character in zip(text[len(prefix) :], new[len(prefix) :], strict=True):
        if old_character.isascii() and old_character.isalnum():
            assert character.isascii()
            assert (character.isdigit(), character.islower(), character.isupper()) == (
                old_character.isdigit(),
                old_character.islower(),
                old_character.isupper(),
            )
        else:
            assert character == old_character


@settings(derandomize=True, deadline=None)
@given(st.uuids(), st.randoms(use_true_random=False))
def test_a_renewed_uuid_is_one_of_the_same_version(old: object, chance: random.Random) -> None:
    import uuid

    new = uuid.UUID(renewed(str(old), chance.choice))
    assert isinstance(old, uuid.UUID)
    assert (new.version, new.variant) == (old.version, old.variant)


def test_a_renewed_id_is_another_one() -> None:
    chance = random.Random(1)
    assert renewed("evt_1Ab2Cd3Ef4", chance.choice) != "evt_1Ab2Cd3Ef4"
    assert renewed("2f1c8a4e-5b1d-4c3e-9a7b-0d1e2f3a4b5c", chance.choice)[14] == "4"


@pytest.mark.parametrize(
    "where", ["http://localhost:3000", "http://localhost:3000/in", "http://localhost:3000/in?e=1"]
)
@pytest.mark.parametrize(
    "target", ["/hooks", "/hooks?x=1", "/hooks?x=1&bodySHA256=old", "/hooks?bodySHA256=old&x=1"]
)
def test_what_is_signed_into_the_query_stands_there_once_however_often_it_is_signed(
    where: str, target: str
) -> None:
    endpoint, scheme = parse_endpoint(where), load("twilio_json")
    request = Request("POST", target, ((b"Content-Type", b"application/json"),), b'{"a":1}')
    for _ in range(2):
        url = endpoint.origin + addressed(request, endpoint).target
        fixture = Fixture("sample", request, "twilio_json")
        request = resign(
            fixture, NO_EDITS, scheme=scheme, secrets=[SECRET], now_s=NOW_S, url=url, fresh_id=None
        ).request
        sent = addressed(request, endpoint)
        assert sent.target.count("bodySHA256=") == 1
        assert sent.target.count("x=1") == target.count("x=1")
        assert sent.target.count("e=1") == where.count("e=1")
        verdict = signing.verify(scheme, [SECRET], sent, now_s=NOW_S, url=endpoint.origin + sent.target)
        assert verdict.is_ok, verdict.reason
