"""Every attack on every scheme is wrong by our own verifier, or says why it cannot be made."""

import json
import random as randomness

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl import jsontext, signing
from webhookctl.model import Request, Secret, VerdictKind, with_headers
from webhookctl.signing import Scheme, make_key
from webhookctl.signing.attack import (
    ATTACKS,
    FORGERIES,
    REPLAYED,
    Attacked,
    NotApplicable,
    SignRequest,
    attack_named,
    forge_attack,
    tampered,
)
from webhookctl.signing.new_key import Random

NOW_S = 1_790_000_000.0
URL = "https://example.com/hooks"
BODY = b'{"id": "evt_12", "amount": 4200, "note": "sample order", "at": "2026-09-21T12:26:40Z"}'


def random(seed: int) -> Random:
    return randomness.Random(seed).randbytes


def signer(body: bytes = BODY) -> SignRequest:
    def sign(scheme: Scheme, secret: Secret, at_s: float) -> Request:
        base: tuple[tuple[bytes, bytes], ...] = ((b"Content-Type", b"application/json"),)
        signed = signing.sign_request(
            scheme, secret, body=body, timestamp_s=at_s, message_id="msg_attack", url=URL
        )
        target = signed.url.removeprefix("https://example.com")
        return Request("POST", target, with_headers(base, signed.headers), signed.body)

    return sign


def secret_of(scheme: Scheme) -> Secret:
    return Secret(make_key(scheme, random(1)).secret)


def attack(name: str, provider: str, body: bytes = BODY) -> Attacked | NotApplicable:
    scheme = signing.load(provider)
    found = attack_named(name)
    assert found is not None
    return forge_attack(
        found, scheme, secret_of(scheme), signer(body), now_s=NOW_S, url=URL, random=random(2)
    )


FORMS = {"braintree": b"bt_payload=c2FtcGxl", "dropbox_sign": b"json=%7B%22event%22%3A%7B%7D%7D"}
HMAC_PROVIDERS = [
    provider for provider in signing.provider_ids() if signing.load(provider).algorithm.startswith("hmac")
]


@pytest.mark.parametrize("provider", HMAC_PROVIDERS)
def test_what_is_forged_is_never_accepted_by_our_verifier(provider: str) -> None:
    scheme = signing.load(provider)
    secret = secret_of(scheme)
    body = FORMS.get(provider, BODY)
    for each in ATTACKS:
        made = forge_attack(each, scheme, secret, signer(body), now_s=NOW_S, url=URL, random=random(2))
        if isinstance(made, Attacked):
            verdict = signing.verify(scheme, (secret,), made.request, now_s=NOW_S, url=URL)
            assert verdict.is_bad, (each.name, verdict)
            assert made.verdict == verdict.reason
        else:
            assert made.reason


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("unsigned", VerdictKind.NO_HEADER),
        ("wrong-secret", VerdictKind.WRONG_SECRET),
        ("stale", VerdictKind.EXPIRED),
    ],
)
def test_an_attack_on_stripe_fails_for_the_reason_it_is_made_for(name: str, kind: VerdictKind) -> None:
    made = attack(name, "stripe")
    assert isinstance(made, Attacked)
    scheme = signing.load("stripe")
    assert signing.verify(scheme, (secret_of(scheme),), made.request, now_s=NOW_S, url=URL).kind is kind


def test_all_attacks_can_be_made_on_a_scheme_with_a_clock_that_looks_both_ways() -> None:
    made = {each.name: attack(each.name, "standardwebhooks") for each in ATTACKS}
    assert [name for name, each in made.items() if isinstance(each, NotApplicable)] == []


def test_a_scheme_without_a_clock_has_no_stale_deliveries() -> None:
    made = attack("stale", "github")
    assert isinstance(made, NotApplicable)
    assert "no time limit" in made.reason


def test_a_stale_delivery_is_rightly_signed() -> None:
    made = attack("stale", "stripe")
    assert isinstance(made, Attacked)
    scheme = signing.load("stripe")
    old = signing.verify(scheme, (secret_of(scheme),), made.request, now_s=NOW_S - 660, url=URL)
    assert old.is_ok


def test_a_signature_that_does_not_cover_the_body_cannot_be_tampered_with() -> None:
    made = attack("tampered", "mailgun")
    assert isinstance(made, NotApplicable)
    assert "does not cover the body" in made.reason


def test_a_reserialised_body_says_the_same_in_other_bytes() -> None:
    for body in (BODY, jsontext.compact(BODY)):
        made = attack("reserialised", "github", body)
        assert isinstance(made, Attacked)
        assert made.request.body != body
        assert json.loads(made.request.body) == json.loads(body)


def test_a_body_that_is_not_json_is_not_laid_out_anew() -> None:
    made = attack("reserialised", "github", b"plain text")
    assert made == NotApplicable(made.attack, "the body is not JSON")


def test_a_provider_that_signs_nothing_cannot_be_forged() -> None:
    unsigned = next(each for each in map(signing.load, signing.provider_ids()) if not each.is_signed)
    made = forge_attack(ATTACKS[0], unsigned, Secret("x"), signer(), now_s=NOW_S, url=URL, random=random(2))
    assert isinstance(made, NotApplicable)
    assert "does not sign" in made.reason


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    ),
    st.booleans(),
)
@settings(derandomize=True, deadline=None, max_examples=400)
def test_a_tampered_json_body_stays_json_and_is_another_one(document: object, is_ascii: bool) -> None:
    body = json.dumps(document, ensure_ascii=is_ascii).encode("utf-8", "replace")
    changed = tampered(body)
    assert changed != body
    json.loads(changed)


def test_any_bytes_can_be_tampered_with() -> None:
    for body in (b"", b"\xff", b"1", b"12", b"\\u0031", b"a=b&c=dd"):
        assert tampered(body) != body


def test_a_replay_is_a_forgery_of_two_deliveries_and_no_attack_on_a_signature() -> None:
    assert (*ATTACKS, REPLAYED) == FORGERIES
    assert attack_named(REPLAYED.name) is None
    assert len({forgery.name for forgery in FORGERIES}) == len(FORGERIES)
