"""The first five minutes: commands typed bare, no configuration, no environment."""

import socket

import stripe

from tests.acceptance.receivers import Answer, Received, app
from tests.acceptance.running import Project


def usual_port_flags() -> tuple[str, ...]:
    """No flag, unless somebody on this machine is using the usual port."""
    try:
        socket.create_server(("127.0.0.1", 4400)).close()
    except OSError:
        return ("--port", "0")
    return ()


def test_listen_trigger_and_replay_work_typed_bare_and_stripes_own_sdk_accepts_them(project: Project) -> None:
    secret = project.ok("listen", "--print-secret").text.strip()

    def check(received: Received) -> Answer:
        try:
            event = stripe.Webhook.construct_event(
                received.body, received.headers["Stripe-Signature"], secret
            )
        except stripe.SignatureVerificationError as error:
            return 400, str(error).encode()
        return 200, f"thank you for {event['type']}".encode()

    with (
        app(check) as stripe_app,
        project.listening(
            *usual_port_flags(), "--forward-to", f"{stripe_app.url}/webhooks", is_bare=True
        ) as listening,
    ):
        triggered = project.ok("trigger", "payment_intent.succeeded")
        listening.wait_for_text("saved fixtures/stripe/payment_intent.succeeded.toml  #1")
        replayed = project.ok("replay", "payment_intent.succeeded")
        listening.wait_for_text("dup of #1  #2")
        assert listening.stop() == 130
        output = listening.text.splitlines()

    assert "thank you for payment_intent.succeeded" in triggered.text
    assert "thank you for payment_intent.succeeded" in replayed.text
    assert "forged" in triggered.text
    assert "resigned" in replayed.text
    arrivals = [line for line in output if " -> " in line]
    assert ["sig ok" in line for line in arrivals] == [True, True]
    assert sum("<- 200 ok" in line for line in output) == 2
    assert output[-1] == (
        "Stopped (interrupted): 2 received, 2 delivered, 0 failed, 2 signatures ok, 1 saved as fixtures"
    )
    assert [received.path for received in stripe_app.received] == ["/webhooks", "/webhooks"]
    assert stripe_app.received[0].body == stripe_app.received[1].body
    assert listening.errors == ""


def test_the_development_secret_is_made_once_and_is_never_printed_unasked(project: Project) -> None:
    secret = project.ok("listen", "--print-secret").text.strip()
    assert secret.startswith("whsec_")
    assert project.ok("listen", "--print-secret").text.strip() == secret
    with project.listening("-vvv") as listening:
        triggered = project.ok("trigger", "payment_intent.succeeded")
        listening.wait_for_text("saved fixtures")
        listening.stop()
    assert secret not in listening.text + triggered.text + triggered.errors + listening.errors


def test_print_secret_gives_the_secret_of_a_provider_where_one_is_configured(project: Project) -> None:
    configured = project.with_environment(GITHUB_WEBHOOK_SECRET="a-secret-of-ours")
    assert configured.ok("listen", "--print-secret", "--provider", "github").text == "a-secret-of-ours\n"
    given = configured.ok("listen", "--print-secret", "--secret", "env:GITHUB_WEBHOOK_SECRET").text
    assert given == "a-secret-of-ours\n"
