"""Apps that verify with the providers' own SDKs, written by nobody here: behind `listen`, and called directly."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias
from urllib.parse import urlsplit

import pytest
import standardwebhooks
import stripe
import svix.webhooks
from gidgethub import ValidationFailure
from gidgethub.sansio import Event
from slack_sdk.signature import SignatureVerifier

from tests.acceptance.receivers import Answer, Received, app, raw_request, send_raw
from tests.acceptance.running import Project

OTHER_SECRET = "whsec_" + base64.b64encode(b"nobody-uses-this-key-nobody-uses").decode()

Check: TypeAlias = Callable[[Received, str], None]
"""Raises when the SDK refuses the request with that secret."""


class RefusedError(Exception):
    """The app's own way to say that a signature is wrong, where the SDK only returns False."""


def check_stripe(received: Received, secret: str) -> None:
    stripe.Webhook.construct_event(received.body, received.headers["Stripe-Signature"], secret)


def check_slack(received: Received, secret: str) -> None:
    if not SignatureVerifier(secret).is_valid_request(received.body, dict(received.headers)):
        raise RefusedError("slack_sdk says no")


def check_standardwebhooks(received: Received, secret: str) -> None:
    standardwebhooks.Webhook(secret).verify(received.body, dict(received.headers))


def check_svix(received: Received, secret: str) -> None:
    svix.webhooks.Webhook(secret).verify(received.body, dict(received.headers))


def check_github(received: Received, secret: str) -> None:
    Event.from_http(dict(received.headers), received.body, secret=secret)


def check_shopify(received: Received, secret: str) -> None:
    made = base64.b64encode(hmac.new(secret.encode(), received.body, hashlib.sha256).digest()).decode()
    if not hmac.compare_digest(made, received.headers["X-Shopify-Hmac-Sha256"]):
        raise RefusedError("the HMAC is another")


REFUSALS = (
    stripe.SignatureVerificationError,
    standardwebhooks.WebhookVerificationError,
    svix.webhooks.WebhookVerificationError,
    ValidationFailure,
    RefusedError,
)


@dataclass(frozen=True, slots=True)
class Case:
    """A provider, how its app checks, an event to trigger, and whether its signatures grow old."""

    provider: str
    check: Check
    event: str
    has_clock: bool

    def __str__(self) -> str:
        return self.provider


CASES = [
    Case("stripe", check_stripe, "payment_intent.succeeded", has_clock=True),
    Case("slack", check_slack, "", has_clock=True),
    Case("standardwebhooks", check_standardwebhooks, "", has_clock=True),
    Case("svix", check_svix, "", has_clock=True),
    Case("github", check_github, "push", has_clock=False),
    Case("shopify", check_shopify, "orders/paid", has_clock=False),
]


def checking(case: Case, secret: str) -> Callable[[Received], Answer]:
    """An app that answers 200 to what the SDK accepts, else 400 with what the SDK said."""

    def handle(received: Received) -> Answer:
        try:
            case.check(received, secret)
        except REFUSALS as error:
            return 400, f"refused: {error}".encode()
        return 200, b"accepted\n"

    return handle


def now_s() -> float:
    return datetime.now(UTC).timestamp()


def event_of(project: Project, case: Case) -> str:
    """The event as one types it: the first of the catalogue where the test does not name one."""
    if case.event:
        return f"{case.provider}/{case.event}"
    listed = project.ok("trigger", "--list", "--provider", case.provider).text.split()
    return listed[0].replace("<any", "demo.created")


def raw_delivery(project: Project, case: Case, event: str, *, signed_at_s: float) -> bytes:
    """A delivery as the provider would have sent it at that time, as raw bytes."""
    dry = project.ok("trigger", event, "--dry-run", "--json").attempts[0]["request"]
    body = base64.b64decode(dry["body_b64"])
    known = dict(dry["headers"])
    message_id = known.get("webhook-id") or known.get("svix-id") or "msg_sample"
    options = ("--timestamp", f"{signed_at_s:.0f}", "--id", message_id, "--json")
    signed = project.ok("sign", "--provider", case.provider, *options, stdin=body).data["headers"]
    fields = {**known, **dict(signed)}
    kind = fields.pop("Content-Type")
    left_out = ("Host", "Content-Length")
    return raw_request(
        urlsplit(dry["url"]).path,
        body,
        *((name, value) for name, value in fields.items() if name not in left_out),
        kind=kind,
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_sdk_behind_listen_accepts_what_was_triggered_and_what_was_replayed_an_hour_later(
    project: Project, case: Case
) -> None:
    secret = project.ok("listen", "--print-secret").text.strip()
    event = event_of(project, case)
    with (
        app(checking(case, secret)) as sdk_app,
        project.listening("--forward-to", sdk_app.url, "--json") as listening,
    ):
        assert project.ok("trigger", event, "--json").attempts[0]["status"] == 200

        old = raw_delivery(project, case, event, signed_at_s=now_s() - 3_600)
        assert send_raw(listening.url, old).status == (400 if case.has_clock else 200)
        listening.wait_for("saved", 2)
        saved = listening.of_type("saved", number=2)[0]["path"]
        verdict = listening.of_type("verdict", number=2)[0]
        assert verdict["verdict"] == ("expired" if case.has_clock else "ok")

        resigned = project.ok("replay", saved, "--resign", "--json").attempts[0]
        assert (resigned["status"], resigned["mode"]) == (200, "resigned")
        assert listening.wait_for("verdict", 3)[2]["verdict"] == "ok"
        sent = [received.body for received in sdk_app.received]
    assert sent[2] == sent[1]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_sdk_called_directly_refuses_a_wrong_secret_and_a_tampered_body(
    project: Project, case: Case
) -> None:
    secret = project.ok("listen", "--print-secret").text.strip()
    event = event_of(project, case)
    with app(checking(case, secret)) as sdk_app:
        direct = ("--to", f"{sdk_app.url}/hooks", "--json")
        assert project.ok("trigger", event, *direct).attempts[0]["status"] == 200

        wrong = project.run("trigger", event, *direct, "--secret", OTHER_SECRET)
        assert (wrong.exit_code, wrong.attempts[0]["status"]) == (1, 400)

        right = raw_delivery(project, case, event, signed_at_s=now_s())
        assert send_raw(sdk_app.url, right).status == 200
        head, _, body = right.partition(b"\r\n\r\n")
        tampered = body.replace(b"a", b"b", 1)
        assert len(tampered) == len(body) != 0
        assert send_raw(sdk_app.url, head + b"\r\n\r\n" + tampered).status == 400


def test_an_exact_replay_of_a_stale_delivery_is_refused_by_the_sdk_and_the_output_says_why(
    project: Project,
) -> None:
    case = CASES[0]
    secret = project.ok("listen", "--print-secret").text.strip()
    with app(checking(case, secret)) as sdk_app, project.listening("--forward-to", sdk_app.url) as listening:
        old = raw_delivery(project, case, "payment_intent.succeeded", signed_at_s=now_s() - 3_600)
        assert send_raw(listening.url, old).status == 400
        listening.wait_for_text("saved fixtures/stripe/payment_intent.succeeded.toml")

        result = project.run("replay", "payment_intent.succeeded", "--exact")
        assert result.exit_code == 1
        assert "400 refused" in result.text
        assert "| refused: Timestamp outside the tolerance zone" in result.text
        assert "hint: the signature is wrong: expired: signed 1h" in result.text
        assert "sig BAD expired: signed 1h" in listening.wait_for_text("#2\n")
    first, second = sdk_app.received
    assert second.headers["Stripe-Signature"] == first.headers["Stripe-Signature"]
    assert second.body == first.body


def test_a_new_id_makes_a_replay_another_event_for_the_app_and_its_sdk(project: Project) -> None:
    case = CASES[0]
    secret = project.ok("listen", "--print-secret").text.strip()
    with (
        app(checking(case, secret)) as sdk_app,
        project.listening("--forward-to", sdk_app.url, "--json") as listening,
    ):
        project.ok("trigger", "payment_intent.succeeded")
        path = listening.wait_for("saved")[0]["path"]
        for flags in ((), ("--new-id",)):
            assert project.ok("replay", path, *flags, "--json").attempts[0]["status"] == 200
        ids = [json.loads(received.body)["id"] for received in sdk_app.received]
        again, renewed = listening.wait_for("request", 3)[1:]
    assert ids[0] == ids[1] != ids[2]
    assert ids[2].startswith("evt_")
    assert (again["duplicate_of"], renewed["duplicate_of"]) == (1, None)
    assert again["delivery_id"] == ids[0]
    assert renewed["delivery_id"] == ids[2]
