"""The providers' own SDKs judge our signatures, and we judge theirs."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import standardwebhooks
import stripe
import svix.webhooks
from gidgethub import ValidationFailure
from gidgethub.sansio import Event, validate_event
from slack_sdk.signature import Clock, SignatureVerifier

from webhookctl.model import Headers, Request, Secret
from webhookctl.signing import load, sign, verify

BODY = json.dumps(
    {"id": "evt_1", "object": "event", "type": "demo.created", "name": "café"}, ensure_ascii=False
).encode()
SECRET = Secret("whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode())
OTHER = Secret("whsec_" + base64.b64encode(b"another-key-another-key-another-").decode())

Accepts = Callable[[Headers, bytes, str], bool]
"""True when the SDK accepts headers and body with the secret."""


def now_s() -> float:
    return datetime.now(UTC).timestamp()


def texts(headers: Headers) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}


def stripe_accepts(headers: Headers, body: bytes, secret: str) -> bool:
    try:
        stripe.Webhook.construct_event(body, texts(headers)["Stripe-Signature"], secret)
    except stripe.SignatureVerificationError:
        return False
    return True


def github_accepts(headers: Headers, body: bytes, secret: str) -> bool:
    fields = {name.lower(): value for name, value in texts(headers).items()}
    fields |= {"content-type": "application/json", "x-github-event": "ping", "x-github-delivery": "1"}
    try:
        Event.from_http(fields, body, secret=secret)
    except ValidationFailure:
        return False
    return True


def generic_accepts(headers: Headers, body: bytes, secret: str) -> bool:
    try:
        validate_event(body, signature=texts(headers)["X-Webhook-Signature"], secret=secret)
    except ValidationFailure:
        return False
    return True


def slack_accepts(headers: Headers, body: bytes, secret: str) -> bool:
    return SignatureVerifier(secret).is_valid_request(body, texts(headers))


def shopify_accepts(headers: Headers, body: bytes, secret: str) -> bool:
    made = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest())
    return hmac.compare_digest(made, dict(headers)[b"X-Shopify-Hmac-Sha256"])


def standardwebhooks_accepts(headers: Headers, body: bytes, secret: str) -> bool:
    try:
        standardwebhooks.Webhook(secret).verify(body, texts(headers))
    except standardwebhooks.WebhookVerificationError:
        return False
    return True


def svix_accepts(headers: Headers, body: bytes, secret: str) -> bool:
    try:
        svix.webhooks.Webhook(secret).verify(body, texts(headers))
    except svix.webhooks.WebhookVerificationError:
        return False
    return True


ORACLES: dict[str, Accepts] = {
    "generic": generic_accepts,
    "github": github_accepts,
    "shopify": shopify_accepts,
    "slack": slack_accepts,
    "standardwebhooks": standardwebhooks_accepts,
    "stripe": stripe_accepts,
    "svix": svix_accepts,
}
WITH_A_CLOCK = ["slack", "standardwebhooks", "stripe", "svix"]


def signed(provider: str, *, at_s: float) -> Headers:
    return sign(load(provider), SECRET, body=BODY, timestamp_s=at_s, message_id="msg_sample_0001")


@pytest.mark.parametrize("provider", ORACLES)
def test_the_sdk_accepts_our_signature(provider: str) -> None:
    assert ORACLES[provider](signed(provider, at_s=now_s()), BODY, SECRET.reveal())


@pytest.mark.parametrize("provider", ORACLES)
def test_the_sdk_refuses_another_secret(provider: str) -> None:
    assert not ORACLES[provider](signed(provider, at_s=now_s()), BODY, OTHER.reveal())


@pytest.mark.parametrize("provider", ORACLES)
def test_the_sdk_refuses_a_tampered_body(provider: str) -> None:
    tampered = BODY.replace(b"evt_1", b"evt_2")
    assert not ORACLES[provider](signed(provider, at_s=now_s()), tampered, SECRET.reveal())


@pytest.mark.parametrize("provider", WITH_A_CLOCK)
def test_sdk_and_we_agree_on_old_signatures(provider: str) -> None:
    headers = signed(provider, at_s=now_s() - 400)
    assert not ORACLES[provider](headers, BODY, SECRET.reveal())
    assert not verify(load(provider), [SECRET], Request("POST", "/", headers, BODY), now_s=now_s()).is_ok


@pytest.mark.parametrize("provider", WITH_A_CLOCK)
def test_sdk_and_we_agree_on_signatures_from_the_future(provider: str) -> None:
    headers = signed(provider, at_s=now_s() + 400)
    ours = verify(load(provider), [SECRET], Request("POST", "/", headers, BODY), now_s=now_s())
    assert ours.is_ok is ORACLES[provider](headers, BODY, SECRET.reveal()) is (provider == "stripe")


@pytest.mark.parametrize("provider", WITH_A_CLOCK)
def test_the_scheme_names_the_installed_sdk_as_its_witness(provider: str) -> None:
    assert load(provider).is_verified
    assert any(witness.startswith("pypi:") for witness in load(provider).verified_with)


def judged(provider: str, headers: dict[str, str], at_s: float) -> bool:
    request = Request("POST", "/", tuple((k.encode(), v.encode()) for k, v in headers.items()), BODY)
    return verify(load(provider), [SECRET], request, now_s=at_s).is_ok


def test_we_accept_what_stripe_signs() -> None:
    header = stripe.WebhookSignature.generate_signature_header(BODY.decode(), SECRET.reveal(), 1_700_000_000)
    assert judged("stripe", {"Stripe-Signature": header}, 1_700_000_001)
    assert not judged("stripe", {"Stripe-Signature": header.replace("v1=", "v1=0")}, 1_700_000_001)


def test_we_accept_what_slack_sdk_signs() -> None:
    class Fixed(Clock):
        def now(self) -> float:
            return 1_700_000_000

    signature = SignatureVerifier(SECRET.reveal(), Fixed()).generate_signature(
        timestamp="1700000000", body=BODY
    )
    headers = {"X-Slack-Request-Timestamp": "1700000000", "X-Slack-Signature": str(signature)}
    assert judged("slack", headers, 1_700_000_001)
    assert not judged("slack", headers | {"X-Slack-Request-Timestamp": "1700000001"}, 1_700_000_001)


@pytest.mark.parametrize(
    ("provider", "prefix", "signer"),
    [
        ("standardwebhooks", "webhook", standardwebhooks.Webhook),
        ("svix", "svix", svix.webhooks.Webhook),
    ],
)
def test_we_accept_what_the_webhook_libraries_sign(
    provider: str, prefix: str, signer: Callable[[str], standardwebhooks.Webhook]
) -> None:
    at = datetime.fromtimestamp(1_700_000_000, UTC)
    signature = signer(SECRET.reveal()).sign("msg_sample_0002", at, BODY.decode())
    headers = {
        f"{prefix}-id": "msg_sample_0002",
        f"{prefix}-timestamp": "1700000000",
        f"{prefix}-signature": signature,
    }
    assert judged(provider, headers, 1_700_000_001)
    assert not judged(provider, headers | {f"{prefix}-id": "msg_sample_0003"}, 1_700_000_001)


def test_the_svix_library_accepts_the_other_names_as_well() -> None:
    assert svix_accepts(signed("standardwebhooks", at_s=now_s()), BODY, SECRET.reveal())
