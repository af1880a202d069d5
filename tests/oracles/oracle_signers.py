"""What the SDKs sign themselves, as samples or for tests, is judged by us. Run by `make test-oracles` alone."""
# mypy: disable-error-code="import-not-found,import-untyped"

import base64
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from judge import BODY, HEXADECIMAL, TEXT, URL, WHSEC, form, now_s
from judges_special import ADYEN, ADYEN_ITEM, RSA, TWILIO_FIELDS, TWILIO_FORM, private_pem

from webhookctl.model import Request, Secret
from webhookctl.signing import load, sign_request, verify

NOW_S = int(now_s())


def is_ok(provider: str, secret: str, headers: dict[str, str], body: bytes = BODY) -> bool:
    pairs = tuple((name.encode(), value.encode()) for name, value in headers.items())
    request = Request("POST", "/hooks?x=1", pairs, body)
    return verify(load(provider), [Secret(secret)], request, now_s=NOW_S + 1, url=URL).is_ok


def stripe_signs() -> dict[str, str]:
    import stripe

    made = stripe.WebhookSignature.generate_signature_header(BODY.decode(), TEXT, NOW_S)
    return {"Stripe-Signature": made}


def slack_signs() -> dict[str, str]:
    from slack_sdk.signature import SignatureVerifier

    made = SignatureVerifier(TEXT).generate_signature(timestamp=str(NOW_S), body=BODY)
    return {"X-Slack-Request-Timestamp": str(NOW_S), "X-Slack-Signature": str(made)}


def standardwebhooks_signs() -> dict[str, str]:
    import standardwebhooks

    made = standardwebhooks.Webhook(WHSEC).sign(
        "msg_sample_1", datetime.fromtimestamp(NOW_S, UTC), BODY.decode()
    )
    return {"webhook-id": "msg_sample_1", "webhook-timestamp": str(NOW_S), "webhook-signature": made}


def svix_signs() -> dict[str, str]:
    import svix.webhooks

    made = svix.webhooks.Webhook(WHSEC).sign(
        "msg_sample_1", datetime.fromtimestamp(NOW_S, UTC), BODY.decode()
    )
    return {"svix-id": "msg_sample_1", "svix-timestamp": str(NOW_S), "svix-signature": made}


def hubspot_signs(version: str, at: str | None = None) -> str:
    from hubspot.utils.signature import Signature

    return str(Signature.get_signature(TEXT, BODY.decode(), version, URL, "POST", at))


def hubspot_v3_signs() -> dict[str, str]:
    at = str(NOW_S * 1000)
    return {"X-HubSpot-Request-Timestamp": at, "X-HubSpot-Signature-v3": hubspot_signs("v3", at)}


def modern_treasury_signs() -> dict[str, str]:
    import modern_treasury

    client = modern_treasury.ModernTreasury(api_key="sample", organization_id="sample", webhook_key=TEXT)
    return {"X-Signature": client.webhooks.get_signature(BODY.decode())}


def adyen_header_signs() -> dict[str, str]:
    from Adyen.util import generate_payload_sig

    return {"HmacSignature": generate_payload_sig(BODY, HEXADECIMAL).decode(), "Protocol": "HmacSHA256"}


def shopify_signs() -> dict[str, str]:
    from shopify_webhook.helpers import get_hmac

    return {"X-Shopify-Hmac-Sha256": get_hmac(BODY, TEXT)}


SIGNERS: dict[str, tuple[str, Callable[[], dict[str, str]]]] = {
    "stripe": (TEXT, stripe_signs),
    "stripe_thin": (TEXT, stripe_signs),
    "slack": (TEXT, slack_signs),
    "standardwebhooks": (WHSEC, standardwebhooks_signs),
    "svix": (WHSEC, svix_signs),
    "hubspot_v1": (TEXT, lambda: {"X-HubSpot-Signature": hubspot_signs("v1")}),
    "hubspot_v2": (TEXT, lambda: {"X-HubSpot-Signature": hubspot_signs("v2")}),
    "hubspot_v3": (TEXT, hubspot_v3_signs),
    "modern_treasury": (TEXT, modern_treasury_signs),
    "adyen_header": (HEXADECIMAL, adyen_header_signs),
    "shopify": (TEXT, shopify_signs),
}


@pytest.mark.parametrize("provider", SIGNERS)
def test_we_accept_what_the_sdk_signs_and_nothing_else(provider: str) -> None:
    secret, sign = SIGNERS[provider]
    headers = sign()
    assert is_ok(provider, secret, headers)
    assert not is_ok(provider, secret, headers, BODY.replace(b"evt_1", b"evt_2"))


def test_we_accept_the_form_that_twilio_signs() -> None:
    from twilio.request_validator import RequestValidator

    made = {"X-Twilio-Signature": RequestValidator(TEXT).compute_signature(URL, TWILIO_FIELDS)}
    assert is_ok("twilio_form", TEXT, made, TWILIO_FORM)
    assert not is_ok("twilio_form", TEXT, made, TWILIO_FORM.replace(b"evt_1", b"evt_2"))


def test_we_accept_the_item_that_adyen_signs() -> None:
    from Adyen.util import generate_notification_sig

    item = {name: value for name, value in ADYEN_ITEM.items() if name != "additionalData"}
    made = generate_notification_sig(item, HEXADECIMAL)
    body = ADYEN.replace(b'"hmacSignature":""', b'"hmacSignature":"' + made + b'"')
    assert is_ok("adyen_item", HEXADECIMAL, {}, body)
    assert not is_ok("adyen_item", HEXADECIMAL, {}, body.replace(b"1130", b"1131"))


def test_we_accept_the_sample_that_braintree_signs() -> None:
    import braintree

    gateway = braintree.BraintreeGateway(
        braintree.Configuration(
            braintree.Environment.Sandbox, merchant_id="sample", public_key="public", private_key="private"
        )
    )
    sample = gateway.webhook_testing.sample_notification("check", "sample")
    body = form(bt_signature=sample["bt_signature"], bt_payload=sample["bt_payload"].decode())
    assert is_ok("braintree", "public:private", {}, body)
    assert not is_ok("braintree", "public:another", {}, body)


def test_we_accept_the_token_that_atlassian_jwt_makes() -> None:
    from atlassian_jwt import encode_token

    headers = {"Authorization": "JWT " + encode_token("POST", "/hooks?x=1", "sample-client", TEXT)}
    assert is_ok("atlassian_connect", f"sample-client:{TEXT}", headers)
    assert not is_ok("atlassian_connect", "sample-client:another-secret", headers)


def test_we_sign_the_text_that_paypals_sdk_puts_together() -> None:
    from paypalrestsdk.notifications import WebhookEvent

    made = sign_request(
        load("paypal"),
        Secret(f"WH-SAMPLE:{private_pem(RSA)}"),
        body=BODY,
        timestamp_s=NOW_S,
        message_id="msg_sample_1",
        url=URL,
    )
    headers = {name.decode(): value.decode() for name, value in made.headers}
    text = WebhookEvent._get_expected_sig(
        headers["PAYPAL-TRANSMISSION-ID"], headers["PAYPAL-TRANSMISSION-TIME"], "WH-SAMPLE", BODY.decode()
    )
    signature = base64.b64decode(headers["PAYPAL-TRANSMISSION-SIG"])
    RSA.public_key().verify(signature, text.encode(), PKCS1v15(), SHA256())
