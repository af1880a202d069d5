"""Oracles of key pairs, tokens of claims, and signatures that stand in the body or are made of some of its fields."""
# mypy: disable-error-code="import-not-found,import-untyped"

import base64
import hashlib
import json
from functools import cache
from types import SimpleNamespace
from urllib.parse import parse_qs, parse_qsl

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from judge import BODY, HEXADECIMAL, TEXT, Delivery, Oracle, dump, form, passes

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ECDSA = ec.derive_private_key(int.from_bytes(hashlib.sha256(b"webhook test key").digest()), ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)

ADYEN_ITEM = {
    "pspReference": "PSP0001",
    "originalReference": "PSP0000",
    "merchantAccountCode": "SampleMerchant",
    "merchantReference": "order-1",
    "amount": {"value": 1130, "currency": "EUR"},
    "eventCode": "AUTHORISATION",
    "success": "true",
    "additionalData": {"hmacSignature": ""},
}
ADYEN = dump({"live": "false", "notificationItems": [{"NotificationRequestItem": ADYEN_ITEM}]})
MAILGUN = dump(
    {
        "signature": {"timestamp": "1", "token": "a" * 50, "signature": "0"},
        "event-data": {"event": "delivered", "id": "evt_1"},
    }
)
DROPBOX_SIGN = form(
    json=dump(
        {"event": {"event_time": "1", "event_type": "demo_made", "event_hash": "0"}, "id": "evt_1"}
    ).decode()
)
BRAINTREE_XML = (
    b"<notification><kind>check</kind><timestamp>2026-01-01T00:00:00Z</timestamp><subject/></notification>"
)
SNS = dump(
    {
        "Type": "Notification",
        "MessageId": "evt_1",
        "TopicArn": "arn:aws:sns:eu-west-1:000000000000:sample",
        "Subject": "Demo",
        "Message": "made",
        "Timestamp": "2026-01-01T00:00:00.000Z",
        "SignatureVersion": "1",
        "Signature": "",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/sample.pem",
    }
)
PUSHER = dump({"time_ms": 1, "events": [{"name": "channel_occupied", "channel": "evt_1"}]})


def private_pem(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def spki(key: PrivateKey) -> str:
    return base64.b64encode(
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).decode()


def raw_public() -> bytes:
    return ED25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


@cache
def django_ready() -> None:
    import django
    from django.conf import settings

    settings.configure(ALLOWED_HOSTS=["*"], ANYMAIL={}, SECRET_KEY="sample")
    django.setup()


def anymail_accepts(given: Delivery, view_class: type, **options: str) -> bool:
    from anymail.exceptions import AnymailWebhookValidationFailure
    from django.test import RequestFactory

    is_form = not given.body.startswith((b"{", b"["))
    request = RequestFactory(headers=dict(given.headers)).generic(
        "POST",
        "/hooks?x=1",
        given.body,
        content_type="application/x-www-form-urlencoded" if is_form else "application/json",
        secure=True,
        SERVER_NAME="example.com",
        SERVER_PORT="443",
    )
    view = view_class(**options)
    return passes(lambda: view.run_validators(request), AnymailWebhookValidationFailure)


def mandrill_accepts(given: Delivery) -> bool:
    django_ready()
    from anymail.webhooks.mandrill import MandrillCombinedWebhookView as View

    return anymail_accepts(given, View, webhook_key=given.secret, webhook_url=given.url)


def mailgun_accepts(given: Delivery) -> bool:
    django_ready()
    from anymail.webhooks.mailgun import MailgunTrackingWebhookView as View

    return anymail_accepts(given, View, webhook_signing_key=given.secret)


def mailersend_accepts(given: Delivery) -> bool:
    django_ready()
    from anymail.webhooks.mailersend import MailerSendTrackingWebhookView as View

    return anymail_accepts(given, View, signing_secret=given.secret)


def postal_accepts(given: Delivery) -> bool:
    django_ready()
    from anymail.webhooks.postal import PostalTrackingWebhookView as View

    return anymail_accepts(given, View, webhook_key=given.secret)


def postmark_accepts(given: Delivery) -> bool:
    django_ready()
    from anymail.webhooks.postmark import PostmarkTrackingWebhookView as View

    return anymail_accepts(given, View, webhook_secret=given.secret)


def pusher_accepts(given: Delivery) -> bool:
    import pusher

    client = pusher.Pusher(app_id="1", key=given.header("X-Pusher-Key"), secret=given.secret)
    signature = given.header("X-Pusher-Signature")
    return client.validate_webhook(given.header("X-Pusher-Key"), signature, given.text) is not None


def adyen_item_accepts(given: Delivery) -> bool:
    from Adyen.util import is_valid_hmac_notification

    return bool(is_valid_hmac_notification(json.loads(given.body), given.secret))


def twilio_form_accepts(given: Delivery) -> bool:
    from twilio.request_validator import RequestValidator

    fields = dict(parse_qsl(given.text))
    signature = given.header("X-Twilio-Signature")
    return bool(RequestValidator(given.secret).validate(given.url, fields, signature))


def twilio_json_accepts(given: Delivery) -> bool:
    from twilio.request_validator import RequestValidator

    signature = given.header("X-Twilio-Signature")
    return bool(RequestValidator(given.secret).validate(given.url, given.text, signature))


def dropbox_sign_accepts(given: Delivery) -> bool:
    from dropbox_sign import EventCallbackHelper
    from dropbox_sign.models import EventCallbackRequest, EventCallbackRequestEvent

    event = json.loads(dict(parse_qsl(given.text))["json"])["event"]
    fields = {name: event[name] for name in ("event_time", "event_type", "event_hash")}
    request = EventCallbackRequest.model_construct(event=EventCallbackRequestEvent.model_construct(**fields))
    return bool(EventCallbackHelper.is_valid(given.secret, request))


def sendgrid_accepts(given: Delivery) -> bool:
    from sendgrid.helpers.eventwebhook import EventWebhook, EventWebhookHeader

    return bool(
        EventWebhook(given.secret).verify_signature(
            given.text, given.header(EventWebhookHeader.SIGNATURE), given.header(EventWebhookHeader.TIMESTAMP)
        )
    )


def discord_accepts(given: Delivery) -> bool:
    from discord_interactions import verify_key

    signature, at = given.header("X-Signature-Ed25519"), given.header("X-Signature-Timestamp")
    return bool(verify_key(given.body, signature, at, given.secret))


def telnyx_accepts(given: Delivery) -> bool:
    import telnyx

    client = telnyx.Telnyx(api_key="sample", public_key=given.secret)
    return passes(lambda: client.webhooks.unwrap(given.text, headers=dict(given.headers)), ValueError)


def braintree_accepts(given: Delivery) -> bool:
    import braintree
    from braintree.exceptions.invalid_signature_error import InvalidSignatureError

    public, private = given.secret.split(":")
    gateway = braintree.BraintreeGateway(
        braintree.Configuration(
            braintree.Environment.Sandbox, merchant_id="sample", public_key=public, private_key=private
        )
    )
    fields = {name: values[0] for name, values in parse_qs(given.text).items()}
    return passes(
        lambda: gateway.webhook_notification.parse(fields["bt_signature"], fields["bt_payload"]),
        InvalidSignatureError,
    )


def messagebird_accepts(given: Delivery) -> bool:
    from messagebird.error import ValidationError
    from messagebird.request_validator import RequestValidator

    token = given.header("MessageBird-Signature-JWT")
    return passes(
        lambda: RequestValidator(given.secret).validate_signature(token, given.url, given.body),
        ValidationError,
    )


def vonage_accepts(given: Delivery) -> bool:
    from vonage_jwt import verify_signature

    return bool(verify_signature(given.header("Authorization").removeprefix("Bearer "), given.secret))


def atlassian_accepts(given: Delivery) -> bool:
    from atlassian_jwt import Authenticator, DecodeError

    class Receiver(Authenticator):  # type: ignore[misc]  # untyped package
        def get_shared_secret(self, client_key: str) -> str:
            return given.secret

    token = {"Authorization": given.header("Authorization")}
    return passes(lambda: Receiver().authenticate("POST", "/hooks?x=1", token), DecodeError)


def sns_accepts(given: Delivery) -> bool:
    from sns_message_validator import SNSMessageValidator
    from sns_message_validator import sns_message_validator as module
    from sns_message_validator.exceptions import SignatureVerificationFailureException

    class Response:
        content = certificate()

    class Requests:
        get = staticmethod(lambda url: Response())

    module.requests = Requests  # nothing is fetched: the certificate is at hand
    return passes(
        lambda: SNSMessageValidator().validate_message(json.loads(given.body)),
        SignatureVerificationFailureException,
    )


@cache
def certificate() -> bytes:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.example.com")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=RSA.public_key(),
        serial_number=1,
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=1),
    )
    return made.sign(RSA, SHA256()).public_bytes(Encoding.PEM)


def inngest_accepts(given: Delivery) -> bool:
    from inngest._internal import net, server_lib

    problem = net.validate_request_sig(
        body=given.body,
        headers=dict(given.headers),
        mode=server_lib.ServerKind.CLOUD,
        signing_key=given.secret,
        signing_key_fallback=None,
    )
    return not isinstance(problem, Exception)


TWILIO_FIELDS = {"From": "+15550100", "Body": "héllo", "AccountSid": "evt_1"}
TWILIO_FORM = form(**TWILIO_FIELDS)
MANDRILL = form(mandrill_events='[{"event":"send","_id":"evt_1","msg":{}}]')
BRAINTREE = form(bt_payload=base64.encodebytes(BRAINTREE_XML).decode(), bt_signature="x|0")
BRAINTREE_CHANGE = (b"PG5vdGlm", b"PG5vdGlN")
LIST = b"[" + BODY + b"]"


def google_accepts(given: Delivery) -> bool:
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import id_token

    def keys_of_google(url: str, **_: object) -> SimpleNamespace:
        assert url.startswith("https://www.googleapis.com/")
        return SimpleNamespace(status=200, data=json.dumps({"webhookctl-test": given.secret}).encode())

    token = given.header("Authorization").removeprefix("Bearer ")
    return passes(
        lambda: id_token.verify_oauth2_token(token, keys_of_google, given.url), GoogleAuthError, ValueError
    )


ORACLES = (
    Oracle("mandrill", "django-anymail", mandrill_accepts, body=MANDRILL),
    Oracle("mailgun", "django-anymail", mailgun_accepts, body=MAILGUN, covers_body=False),
    Oracle("mailersend", "django-anymail", mailersend_accepts),
    Oracle("postal", "django-anymail", postal_accepts, private_pem(RSA), shown=spki(RSA)),
    Oracle("postmark", "django-anymail", postmark_accepts, "user:password", covers_body=False),
    Oracle("pusher", "pusher", pusher_accepts, body=PUSHER, past_s=310, future_s=310),
    Oracle("adyen_item", "Adyen", adyen_item_accepts, HEXADECIMAL, ADYEN, change=(b"1130", b"1131")),
    Oracle("twilio_form", "twilio", twilio_form_accepts, body=TWILIO_FORM),
    Oracle("twilio_json", "twilio", twilio_json_accepts),
    Oracle("dropbox_sign", "dropbox-sign", dropbox_sign_accepts, body=DROPBOX_SIGN, covers_body=False),
    Oracle("sendgrid", "sendgrid", sendgrid_accepts, private_pem(ECDSA), LIST, shown=spki(ECDSA)),
    Oracle(
        "discord", "discord-interactions", discord_accepts, private_pem(ED25519), shown=raw_public().hex()
    ),
    Oracle(
        "telnyx",
        "telnyx",
        telnyx_accepts,
        private_pem(ED25519),
        past_s=302,
        future_s=310,
        shown=base64.b64encode(raw_public()).decode(),
    ),
    Oracle(
        "braintree",
        "braintree",
        braintree_accepts,
        "public_sample:private_sample",
        BRAINTREE,
        BRAINTREE_CHANGE,
    ),
    Oracle("messagebird", "messagebird", messagebird_accepts),
    Oracle("vonage", "vonage-jwt", vonage_accepts, covers_body=False),
    Oracle(
        "atlassian_connect",
        "atlassian-jwt",
        atlassian_accepts,
        f"sample-client:{TEXT}",
        covers_body=False,
        shown=TEXT,
    ),
    Oracle("aws_sns", "sns-message-validator", sns_accepts, private_pem(RSA), SNS),
    Oracle("inngest", "inngest", inngest_accepts, "signkey-test-" + HEXADECIMAL, past_s=None),
    Oracle(
        "google_pubsub",
        "google-auth",
        google_accepts,
        private_pem(RSA),
        past_s=3610,
        future_s=3610,
        covers_body=False,
        shown=public_pem(RSA),
    ),
)
