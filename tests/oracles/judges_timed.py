"""Oracles of Standard Webhooks senders and of those that sign the time with the body."""
# mypy: disable-error-code="import-not-found,import-untyped"

from types import SimpleNamespace

from judge import BASE64, WHSEC, Delivery, Oracle, dump, passes

THIN = {
    "id": "evt_1",
    "object": "v2.core.event",
    "type": "v1.billing.meter.no_meter_found",
    "created": "2026-01-01T00:00:00.000Z",
    "livemode": False,
}


def stripe_accepts(given: Delivery) -> bool:
    import stripe

    return passes(
        lambda: stripe.Webhook.construct_event(given.body, given.header("Stripe-Signature"), given.secret),
        stripe.SignatureVerificationError,
    )


def stripe_thin_accepts(given: Delivery) -> bool:
    import stripe

    client = stripe.StripeClient("sk_test_sample")
    return passes(
        lambda: client.parse_event_notification(given.body, given.header("Stripe-Signature"), given.secret),
        stripe.SignatureVerificationError,
    )


def standardwebhooks_accepts(given: Delivery) -> bool:
    import standardwebhooks

    return passes(
        lambda: standardwebhooks.Webhook(given.secret).verify(given.body, dict(given.headers)),
        standardwebhooks.WebhookVerificationError,
    )


def svix_accepts(given: Delivery) -> bool:
    import svix.webhooks

    return passes(
        lambda: svix.webhooks.Webhook(given.secret).verify(given.body, dict(given.headers)),
        svix.webhooks.WebhookVerificationError,
    )


def resend_accepts(given: Delivery) -> bool:
    import resend

    parts = {name: given.header(f"svix-{name}") for name in ("id", "timestamp", "signature")}
    options = {"payload": given.text, "headers": parts, "webhook_secret": given.secret}
    return passes(lambda: resend.Webhooks.verify(options), ValueError)


def openai_accepts(given: Delivery) -> bool:
    import openai

    client = openai.OpenAI(api_key="sample", webhook_secret=given.secret)
    return passes(
        lambda: client.webhooks.verify_signature(given.text, dict(given.headers)),
        openai.InvalidWebhookSignatureError,
    )


def anthropic_accepts(given: Delivery) -> bool:
    import anthropic
    import standardwebhooks

    client = anthropic.Anthropic(api_key="sample")
    return passes(
        lambda: client.beta.webhooks.unwrap(given.text, headers=dict(given.headers), key=given.secret),
        standardwebhooks.WebhookVerificationError,
    )


def replicate_accepts(given: Delivery) -> bool:
    from replicate import webhook

    return passes(
        lambda: webhook.Webhooks.validate(
            headers=dict(given.headers),
            body=given.text,
            secret=webhook.WebhookSigningSecret(key=given.secret),
            tolerance=300,
        ),
        webhook.InvalidSignatureError,
        webhook.InvalidTimestampError,
    )


def lithic_accepts(given: Delivery) -> bool:
    import lithic
    import standardwebhooks

    client = lithic.Lithic(api_key="sample", webhook_secret=given.secret)
    return passes(
        lambda: client.webhooks.verify_signature(given.text, dict(given.headers)),
        standardwebhooks.WebhookVerificationError,
    )


def dodopayments_accepts(given: Delivery) -> bool:
    import dodopayments
    import standardwebhooks

    client = dodopayments.DodoPayments(bearer_token="sample", webhook_key=given.secret)
    return passes(
        lambda: client.webhooks.unwrap(given.text, headers=dict(given.headers)),
        standardwebhooks.WebhookVerificationError,
    )


def polar_accepts(given: Delivery) -> bool:
    from polar import webhooks

    return passes(
        lambda: webhooks.validate_event(
            given.body, dict(given.headers), given.secret, frozenset({"demo.created"}), dict
        ),
        webhooks.PolarWebhookVerificationError,
    )


def finch_accepts(given: Delivery) -> bool:
    import finch

    client = finch.Finch(webhook_secret=given.secret)
    return passes(lambda: client.webhooks.verify_signature(given.text, dict(given.headers)), ValueError)


def whop_accepts(given: Delivery) -> bool:
    import standardwebhooks
    from whop_sdk.lib import verify_webhook

    return passes(
        lambda: verify_webhook.unwrap(given.body, headers=given.headers, key=given.secret),
        standardwebhooks.WebhookVerificationError,
    )


def gidgethub_accepts(given: Delivery) -> bool:
    from gidgethub import ValidationFailure
    from gidgethub.sansio import validate_event

    signature = given.header("X-Hub-Signature-256")
    return passes(
        lambda: validate_event(given.body, signature=signature, secret=given.secret), ValidationFailure
    )


def generic_accepts(given: Delivery) -> bool:
    from gidgethub import ValidationFailure
    from gidgethub.sansio import validate_event

    signature = given.header("X-Webhook-Signature")
    return passes(
        lambda: validate_event(given.body, signature=signature, secret=given.secret), ValidationFailure
    )


def gidgetlab_accepts(given: Delivery) -> bool:
    from gidgetlab import ValidationFailure
    from gidgetlab.sansio import Event

    headers = dict(given.headers) | {"content-type": "application/json", "x-gitlab-event": "Push Hook"}
    return passes(lambda: Event.from_http(headers, given.body, secret=given.secret), ValidationFailure)


def slack_accepts(given: Delivery) -> bool:
    from slack_sdk.signature import SignatureVerifier

    return bool(SignatureVerifier(given.secret).is_valid_request(given.body, dict(given.headers)))


def orb_accepts(given: Delivery) -> bool:
    import orb

    client = orb.Orb(api_key="sample", webhook_secret=given.secret)
    return passes(lambda: client.webhooks.verify_signature(given.text, dict(given.headers)), ValueError)


def elevenlabs_accepts(given: Delivery) -> bool:
    import elevenlabs

    client = elevenlabs.ElevenLabs(api_key="sample")
    signature = given.header("ElevenLabs-Signature")
    return passes(
        lambda: client.webhooks.construct_event(given.text, signature, given.secret),
        elevenlabs.BadRequestError,
    )


def workos_accepts(given: Delivery) -> bool:
    from workos.webhooks._verification import verify_header

    return passes(
        lambda: verify_header(
            event_body=given.body, event_signature=given.header("WorkOS-Signature"), secret=given.secret
        ),
        ValueError,
    )


def paddle_accepts(given: Delivery) -> bool:
    from paddle_billing.Notifications import Secret, Verifier

    request = SimpleNamespace(headers={"Paddle-Signature": given.header("Paddle-Signature")}, body=given.body)
    return bool(Verifier(5).verify(request, Secret(given.secret)))


ORACLES = (
    Oracle("stripe", "stripe", stripe_accepts, secret=WHSEC, past_s=301),
    Oracle("stripe_thin", "stripe", stripe_thin_accepts, WHSEC, dump(THIN), past_s=301),
    Oracle("standardwebhooks", "standardwebhooks", standardwebhooks_accepts, WHSEC, past_s=301, future_s=310),
    Oracle("supabase", "standardwebhooks", standardwebhooks_accepts, WHSEC, past_s=301, future_s=310),
    Oracle("gitlab_signing", "standardwebhooks", standardwebhooks_accepts, WHSEC, past_s=301, future_s=310),
    Oracle("svix", "svix", svix_accepts, WHSEC, past_s=301, future_s=310),
    Oracle("clerk", "svix", svix_accepts, WHSEC, past_s=301, future_s=310),
    Oracle("resend", "resend", resend_accepts, WHSEC, past_s=301, future_s=310),
    Oracle("openai", "openai", openai_accepts, WHSEC, past_s=301, future_s=310),
    Oracle("anthropic", "anthropic", anthropic_accepts, WHSEC, past_s=301, future_s=310),
    Oracle("replicate", "replicate", replicate_accepts, WHSEC, past_s=301, future_s=310),
    Oracle("lithic", "lithic", lithic_accepts, WHSEC, past_s=301, future_s=310),
    Oracle("dodopayments", "dodopayments", dodopayments_accepts, WHSEC, past_s=301, future_s=310),
    Oracle("polar", "polar-sdk", polar_accepts, WHSEC, past_s=301, future_s=310),
    Oracle("finch", "finch-api", finch_accepts, BASE64, past_s=301, future_s=310),
    Oracle("whop", "whop-sdk", whop_accepts, "ws_sample_secret", past_s=301, future_s=310),
    Oracle("github", "gidgethub", gidgethub_accepts),
    Oracle("generic", "gidgethub", generic_accepts),
    Oracle("gitlab", "gidgetlab", gidgetlab_accepts, covers_body=False),
    Oracle("slack", "slack_sdk", slack_accepts, past_s=301, future_s=310),
    Oracle("orb", "orb-billing", orb_accepts, past_s=301, future_s=310),
    Oracle("elevenlabs", "elevenlabs", elevenlabs_accepts, past_s=1802),
    Oracle("workos", "workos", workos_accepts, past_s=182, future_s=190),
    Oracle("paddle", "paddle-python-sdk", paddle_accepts, past_s=7, future_s=60),
)
