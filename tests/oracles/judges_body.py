"""Oracles of the providers that sign the body, the URL or nothing at all, in the headers."""
# mypy: disable-error-code="import-not-found,import-untyped"

import asyncio
from types import SimpleNamespace

from judge import BASE64, HEXADECIMAL, Delivery, Oracle, dump, passes

EVENTS = dump(
    {"events": [{"id": "EV1", "action": "made", "resource_type": "demos"}], "meta": {"webhook_id": "WB1"}}
)
AIRTABLE = {
    "base": {"id": "appSample0000001"},
    "webhook": {"id": "achSample0000001"},
    "timestamp": "2026-01-01T00:00:00.000Z",
}


def razorpay_accepts(given: Delivery) -> bool:
    import razorpay

    client = razorpay.Client(auth=("sample", "sample"))
    return passes(
        lambda: client.utility.verify_webhook_signature(
            given.text, given.header("X-Razorpay-Signature"), given.secret
        ),
        razorpay.errors.SignatureVerificationError,
    )


def coinbase_accepts(given: Delivery) -> bool:
    from coinbase_commerce.error import SignatureVerificationError
    from coinbase_commerce.webhook import WebhookSignature

    return passes(
        lambda: WebhookSignature.verify_sig_header(
            given.text, given.header("X-CC-Webhook-Signature"), given.secret
        ),
        SignatureVerificationError,
    )


def gocardless_accepts(given: Delivery) -> bool:
    from gocardless_pro import webhooks
    from gocardless_pro.errors import InvalidSignatureError

    signature = given.header("Webhook-Signature")
    return passes(lambda: webhooks.parse(given.body, given.secret, signature), InvalidSignatureError)


def modern_treasury_accepts(given: Delivery) -> bool:
    import modern_treasury

    client = modern_treasury.ModernTreasury(
        api_key="sample", organization_id="sample", webhook_key=given.secret
    )
    return bool(client.webhooks.validate_signature(given.text, {"X-Signature": given.header("X-Signature")}))


def onfido_accepts(given: Delivery) -> bool:
    import onfido
    from onfido.webhook_event_verifier import OnfidoInvalidSignatureError

    verifier = onfido.WebhookEventVerifier(given.secret)
    return passes(
        lambda: verifier.read_payload(given.text, given.header("X-SHA2-Signature")),
        OnfidoInvalidSignatureError,
    )


def viber_accepts(given: Delivery) -> bool:
    from viberbot import Api, BotConfiguration

    api = Api(BotConfiguration(auth_token=given.secret, name="Sample Bot", avatar=""))
    return bool(api.verify_signature(given.body, given.header("X-Viber-Content-Signature")))


def line_accepts(given: Delivery) -> bool:
    from linebot.v3.webhook import SignatureValidator

    return bool(SignatureValidator(given.secret).validate(given.text, given.header("X-Line-Signature")))


def mailtrap_accepts(given: Delivery) -> bool:
    from mailtrap.webhooks import verify_signature

    return bool(verify_signature(given.body, given.header("Mailtrap-Signature"), given.secret))


def paystack_accepts(given: Delivery) -> bool:
    from pypaystack2 import PaystackClient

    client = PaystackClient(secret_key=given.secret)
    return bool(client.is_verified_webhook_payload(given.body, given.header("x-paystack-signature")))


def shopify_accepts(given: Delivery) -> bool:
    from shopify_webhook.helpers import hmac_is_valid

    return bool(hmac_is_valid(given.body, given.secret, given.header("X-Shopify-Hmac-Sha256")))


def pywa_accepts(given: Delivery) -> bool:
    from pywa.utils import webhook_updates_validator

    return bool(webhook_updates_validator(given.secret, given.body, given.header("X-Hub-Signature-256")))


def quickbooks_accepts(given: Delivery) -> bool:
    from quickbooks import QuickBooks

    client = object.__new__(
        QuickBooks
    )  # its constructor wants an OAuth client, and keeps one instance for all
    return bool(
        QuickBooks.validate_webhook_signature(
            client, given.text, given.header("intuit-signature"), given.secret
        )
    )


def airtable_accepts(given: Delivery) -> bool:
    from pyairtable.models.webhook import WebhookNotification

    return passes(
        lambda: WebhookNotification.from_request(
            given.text, given.header("X-Airtable-Content-MAC"), given.secret
        ),
        ValueError,
    )


def adyen_accepts(given: Delivery) -> bool:
    from Adyen.util import is_valid_hmac_payload

    return bool(is_valid_hmac_payload(given.header("HmacSignature"), given.secret, given.body))


def cashfree_accepts(given: Delivery) -> bool:
    from cashfree_pg.api_client import Cashfree

    client = object.__new__(Cashfree)  # its constructor starts error reports to elsewhere
    client.XClientSecret = given.secret
    signature, at = given.header("x-webhook-signature"), given.header("x-webhook-timestamp")
    try:
        client.PGVerifyWebhookSignature(signature, given.text, at)
    except Exception as error:  # it raises no other kind
        if "did not match" not in str(error):
            raise
        return False
    return True


def box_accepts(given: Delivery) -> bool:
    from box_sdk_gen.managers.webhooks import WebhooksManager

    # It looks for the signature of each key in that key's own header.
    return any(
        WebhooksManager.validate_message(given.text, dict(given.headers), primary, secondary_key=secondary)
        for primary, secondary in ((given.secret, None), ("another", given.secret))
    )


def twitch_accepts(given: Delivery) -> bool:
    from twitchio.web.utils import verify_message

    async def body() -> bytes:
        return given.body

    headers = {name.title(): value for name, value in given.headers.items()}
    request = SimpleNamespace(headers=headers, body=body)
    return passes(lambda: asyncio.run(verify_message(request=request, secret=given.secret)), ValueError)


def hubspot_valid(given: Delivery, version: str, header: str, at: str | None = None) -> bool:
    from hubspot.exceptions import InvalidSignatureTimestampError
    from hubspot.utils.signature import Signature

    try:
        return bool(
            Signature.is_valid(
                signature=given.header(header),
                client_secret=given.secret,
                request_body=given.text,
                http_uri=given.url,
                http_method="POST",
                signature_version=version,
                timestamp=at,
            )
        )
    except InvalidSignatureTimestampError:
        return False


def hubspot_v1_accepts(given: Delivery) -> bool:
    return hubspot_valid(given, "v1", "X-HubSpot-Signature")


def hubspot_v2_accepts(given: Delivery) -> bool:
    return hubspot_valid(given, "v2", "X-HubSpot-Signature")


def hubspot_v3_accepts(given: Delivery) -> bool:
    return hubspot_valid(given, "v3", "X-HubSpot-Signature-v3", given.header("X-HubSpot-Request-Timestamp"))


def square_accepts(given: Delivery) -> bool:
    from square.utils.webhooks_helper import verify_signature

    return bool(
        verify_signature(
            request_body=given.text,
            signature_header=given.header("x-square-hmacsha256-signature"),
            signature_key=given.secret,
            notification_url=given.url,
        )
    )


def cloudinary_accepts(given: Delivery) -> bool:
    import cloudinary.utils

    cloudinary.config(api_secret=given.secret)
    at = int(given.header("X-Cld-Timestamp"))
    return bool(
        cloudinary.utils.verify_notification_signature(
            given.text, at, given.header("X-Cld-Signature"), algorithm="sha1"
        )
    )


def telegram_accepts(given: Delivery) -> bool:
    from aiogram import Bot, Dispatcher
    from aiogram.webhook.aiohttp_server import SimpleRequestHandler

    bot = Bot("1:sample")
    handler = SimpleRequestHandler(Dispatcher(), bot, secret_token=given.secret)
    return bool(handler.verify_secret(given.header("X-Telegram-Bot-Api-Secret-Token"), bot))


def mollie_accepts(given: Delivery) -> bool:
    from mollie.utils.webhooks.signature_validator import InvalidSignatureException, SignatureValidator

    validator = SignatureValidator(given.secret)
    return passes(
        lambda: validator.validate_payload(given.text, given.header("X-Mollie-Signature")),
        InvalidSignatureException,
    )


def huggingface_accepts(given: Delivery) -> bool:
    from huggingface_hub import _webhooks_server as server

    server._load_fastapi()  # what WebhooksServer does, which wants gradio to show a page
    checked = server._wrap_webhook_to_check_secret(lambda: "taken", given.secret)
    answer = asyncio.run(checked(SimpleNamespace(headers=given.headers)))
    assert answer == "taken" or answer.status_code in (401, 403)
    return bool(answer == "taken")


ORACLES = (
    Oracle("razorpay", "razorpay", razorpay_accepts),
    Oracle("coinbase_commerce", "coinbase-commerce", coinbase_accepts),
    Oracle("gocardless", "gocardless_pro", gocardless_accepts, body=EVENTS, change=(b"EV1", b"EV2")),
    Oracle("modern_treasury", "modern-treasury", modern_treasury_accepts),
    Oracle("onfido", "onfido-python", onfido_accepts),
    Oracle("viber", "viberbot", viber_accepts),
    Oracle("line", "line-bot-sdk", line_accepts),
    Oracle("mailtrap", "mailtrap", mailtrap_accepts),
    Oracle("paystack", "pypaystack2", paystack_accepts, "sk_test_sample"),
    Oracle("shopify", "django-shopify-webhook", shopify_accepts),
    Oracle("meta", "pywa", pywa_accepts),
    Oracle("quickbooks", "python-quickbooks", quickbooks_accepts),
    Oracle(
        "airtable",
        "pyairtable",
        airtable_accepts,
        BASE64,
        dump(AIRTABLE),
        change=(b"appSample", b"appOther_"),
    ),
    Oracle("adyen_header", "Adyen", adyen_accepts, HEXADECIMAL),
    Oracle("cashfree", "cashfree-pg", cashfree_accepts),
    Oracle("box", "box-sdk-gen", box_accepts, past_s=602, future_s=660),
    Oracle("twitch", "twitchio", twitch_accepts),
    Oracle("hubspot_v1", "hubspot-api-client", hubspot_v1_accepts),
    Oracle("hubspot_v2", "hubspot-api-client", hubspot_v2_accepts),
    Oracle("hubspot_v3", "hubspot-api-client", hubspot_v3_accepts, past_s=301),
    Oracle("square", "squareup", square_accepts),
    Oracle("cloudinary", "cloudinary", cloudinary_accepts, past_s=7202),
    Oracle("mollie_next", "mollie-api-py", mollie_accepts),
    Oracle("huggingface", "huggingface_hub", huggingface_accepts, covers_body=False),
    Oracle("telegram", "aiogram", telegram_accepts, covers_body=False),
)
