"""Several secrets sign at once: each alone verifies, where the scheme has room for it."""

import pytest

from tests.signing.keys import URL, key_for
from tests.signing.test_every_scheme import MESSAGE_ID, NOW_S, SIGNED, example_body
from webhookctl.errors import UsageError
from webhookctl.model import Request, Secret, VerdictKind, header_value
from webhookctl.signing import (
    Scheme,
    Signed,
    load,
    make_key,
    max_signatures,
    sign_request,
    sign_with_each,
    verify,
)

ROTATING = [provider for provider in SIGNED if max_signatures(load(provider)) > 1]
OTHERS = [provider for provider in SIGNED if provider not in ROTATING]


def secrets_for(scheme: Scheme, count: int) -> list[Secret]:
    from random import Random

    return [Secret(make_key(scheme, Random(seed).randbytes).secret) for seed in range(count)]


def signed_by(scheme: Scheme, secrets: list[Secret], body: bytes = b"{}") -> Signed:
    return sign_with_each(
        scheme, secrets, body=body, timestamp_s=NOW_S, message_id=MESSAGE_ID, url=URL, method="POST"
    )


@pytest.mark.parametrize("provider", ROTATING)
def test_a_request_signed_with_two_secrets_verifies_with_either(provider: str) -> None:
    scheme = load(provider)
    old, new, other = secrets_for(scheme, 3)
    signed = signed_by(scheme, [old, new])
    request = Request("POST", "/hooks?x=1", signed.headers, signed.body)
    for secret in (old, new):
        assert verify(scheme, [secret], request, now_s=NOW_S, url=URL).is_ok
    wrong = verify(scheme, [other], request, now_s=NOW_S, url=URL)
    assert wrong.kind in (VerdictKind.WRONG_SECRET, VerdictKind.BODY_CHANGED)
    changed = Request("POST", "/hooks?x=1", signed.headers, signed.body + b" ")
    assert not verify(scheme, [old, new], changed, now_s=NOW_S, url=URL).is_ok


@pytest.mark.parametrize("provider", OTHERS)
def test_a_scheme_that_holds_one_signature_says_so(provider: str) -> None:
    with pytest.raises(UsageError) as caught:
        signed_by(load(provider), [Secret("one"), Secret("two")])
    assert caught.value.code == "rotation-unsupported"
    assert "holds one signature, and 2 secrets were given" in caught.value.message


@pytest.mark.parametrize("provider", SIGNED)
def test_one_secret_signs_as_it_does_alone(provider: str) -> None:
    scheme, secret, body = load(provider), Secret(key_for(provider).secret), example_body(provider)
    alone = sign_request(scheme, secret, body=body, timestamp_s=NOW_S, message_id=MESSAGE_ID, url=URL)
    made = signed_by(scheme, [secret], body)
    if not scheme.algorithm.startswith(("ecdsa", "jwt-es")):  # drawn anew each time
        assert made == alone


@pytest.mark.parametrize(
    ("provider", "header", "pattern"),
    [
        ("stripe", "Stripe-Signature", r"t=1700000000,v1=[0-9a-f]{64},v1=[0-9a-f]{64}"),
        ("svix", "svix-signature", r"v1,[\w+/]{43}= v1,[\w+/]{43}="),
        ("standardwebhooks_v1a", "webhook-signature", r"v1a,[\w+/]{86}== v1a,[\w+/]{86}=="),
        ("paddle", "Paddle-Signature", r"ts=1700000000;h1=[0-9a-f]{64};h1=[0-9a-f]{64}"),
        ("recurly", "recurly-signature", r"1700000000000,[0-9a-f]{64},[0-9a-f]{64}"),
        ("persona", "Persona-Signature", r"t=1700000000,v1=[0-9a-f]{64} t=1700000000,v1=[0-9a-f]{64}"),
        ("docusign", "X-DocuSign-Signature-2", r"[\w+/]{43}="),
        ("box", "BOX-SIGNATURE-SECONDARY", r"[\w+/]{43}="),
    ],
)
def test_the_signatures_stand_where_the_provider_puts_them(provider: str, header: str, pattern: str) -> None:
    import re

    scheme = load(provider)
    value = header_value(signed_by(scheme, secrets_for(scheme, 2)).headers, header)
    assert value is not None
    assert re.fullmatch(pattern, value.decode())


def test_a_scheme_with_a_primary_and_a_secondary_header_takes_two() -> None:
    scheme = load("box")
    with pytest.raises(UsageError, match="at most 2 signatures, and 3 secrets"):
        signed_by(scheme, secrets_for(scheme, 3))


def test_numbered_headers_take_many() -> None:
    scheme = load("docusign")
    names = [name for name, _ in signed_by(scheme, secrets_for(scheme, 3)).headers]
    assert names == [
        b"X-DocuSign-Signature-1",
        b"X-DocuSign-Signature-2",
        b"X-DocuSign-Signature-3",
        b"x-authorization-digest",
    ]
