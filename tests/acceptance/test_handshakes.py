"""Handshakes between real processes: `listen` answers raw clients, `trigger` checks small apps."""

import json
import os
import stat

import pytest

from tests.acceptance.receivers import RawMessage, Serve, Sink, always, raw_request, send_raw, sink
from tests.acceptance.running import Listening, Project
from tests.cli.test_machine_output import validator
from tests.ports import refusing_port

SLACK = b'{"type":"url_verification","challenge":"<script>abc</script>"}'
META = "/hook?hub.mode=subscribe&hub.challenge=42&hub.verify_token="


def answering(status: str, body: bytes, *fields: str) -> Serve:
    head = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
    return always("\r\n".join(head).encode() + body)


def header(message: RawMessage, name: str) -> bytes | None:
    return next((value for key, value in message.headers if key.lower() == name.lower().encode()), None)


def answered(listening: Listening) -> dict[str, object]:
    event = listening.wait_for("handshake.answered")[0]
    validator("listen").validate(event)
    return event


def test_listen_answers_by_itself_and_records_it(project: Project) -> None:
    with project.listening("--json") as listening:
        answer = send_raw(listening.url, raw_request("/slack", SLACK))
        event = answered(listening)
        listening.stop()
    assert answer.status == 200
    assert json.loads(answer.body) == {"challenge": "<script>abc</script>"}
    assert header(answer, "content-type") == b"application/json"
    assert header(answer, "x-content-type-options") == b"nosniff"
    assert header(answer, "content-security-policy") == b"sandbox"
    assert (event["handshake"], event["answered_by"], event["attempt"]) == ("slack", "webhookctl", None)
    assert project.files() == []
    assert "slack" in project.ok("log", "--plain").text


def test_a_browser_is_shown_text(project: Project) -> None:
    with project.listening("--json") as listening:
        answer = send_raw(
            listening.url,
            raw_request("/?challenge=%3Cscript%3E", b"", ("Accept", "text/html"), method="GET"),
        )
    assert (answer.status, answer.body) == (200, b"<script>")
    assert header(answer, "content-type") == b"text/plain; charset=utf-8"


def test_the_app_that_answers_rightly_answers(project: Project) -> None:
    with (
        sink(answering("200 Fine", b"42", "Content-Type: text/plain", "X-App: a")) as app,
        project.listening("--json", "--forward-to", app.url) as listening,
    ):
        answer = send_raw(listening.url, raw_request(META + "any", b"", method="GET"))
        event = answered(listening)
    assert (answer.start, answer.body, header(answer, "x-app")) == (b"HTTP/1.1 200 Fine", b"42", b"a")
    assert (event["answered_by"], event["complaints"]) == ("app", [])
    assert event["attempt"] is not None


@pytest.mark.parametrize(
    ("serve", "complaint"),
    [
        (answering("404 Not Found", b"no"), "answered 404"),
        (answering("200 OK", b"<html>42</html>", "Content-Type: text/html"), "as a page (text/html)"),
        (answering("200 OK", b"43", "Content-Type: text/plain"), "the body is '43', not '42'"),
        (answering("302 Found", b"", "Location: /login"), "answered 302"),
    ],
    ids=["404", "page", "wrong echo", "redirect"],
)
def test_where_the_app_answers_wrongly_webhookctl_answers_and_says_why(
    project: Project, serve: Serve, complaint: str
) -> None:
    with sink(serve) as app, project.listening("--json", "--forward-to", app.url) as listening:
        answer = send_raw(listening.url, raw_request(META + "any", b"", method="GET"))
        event = answered(listening)
    assert (answer.status, answer.body) == (200, b"42")
    assert event["answered_by"] == "webhookctl"
    assert complaint in str(event["complaints"])


def test_where_no_app_is_there_webhookctl_answers(project: Project) -> None:
    with refusing_port() as port, project.listening("--json", "--forward-to", f"{port}") as listening:
        answer = send_raw(listening.url, raw_request("/slack", SLACK))
        event = answered(listening)
    assert answer.status == 200
    assert "no answer" in str(event["complaints"])


def test_app_mode_gives_back_the_app_s_answer_and_complains(project: Project) -> None:
    serve = answering("404 Not Found", b"no")
    with (
        sink(serve) as app,
        project.listening("--json", "--forward-to", app.url, "--handshake", "app") as listening,
    ):
        answer = send_raw(listening.url, raw_request("/slack", SLACK))
        event = answered(listening)
    assert (answer.status, answer.body) == (404, b"no")
    assert (event["answered_by"], event["complaints"]) == ("app", ["answered 404: Slack wants 200"])


def test_off_mode_makes_it_an_ordinary_delivery(project: Project) -> None:
    with project.listening("--json", "--handshake", "off") as listening:
        assert send_raw(listening.url, raw_request("/slack", SLACK)).status == 202
        listening.wait_for("saved")
    assert "unknown/url_verification.toml" in project.files()


def test_a_wrong_verify_token_gets_403_and_a_clear_line(project: Project) -> None:
    with project.with_environment(META_TOKEN="right").listening(
        "--plain", "--verify-token", "env:META_TOKEN", is_bare=True
    ) as listening:
        wrong = send_raw(listening.url, raw_request(META + "wrong", b"", method="GET"))
        right = send_raw(listening.url, raw_request(META + "right", b"", method="GET"))
        listening.wait_for_text("200 handshake Meta")
        text = listening.text
    assert (wrong.status, right.status, right.body) == (403, 200, b"42")
    assert b"42" not in wrong.body
    assert "403 handshake Meta  refused by webhookctl" in text
    assert "the verify token (hub.verify_token) is wrong" in text


def test_a_right_refusal_of_the_app_goes_back(project: Project) -> None:
    with (
        sink(answering("403 Forbidden", b"who are you")) as app,
        project.listening("--json", "--forward-to", app.url) as listening,
    ):
        answer = send_raw(listening.url, raw_request(META + "any", b"", method="GET"))
        event = answered(listening)
    assert (answer.status, answer.body) == (403, b"who are you")
    assert (event["answered_by"], event["refusal"]) == ("app", "the app refused it")


def test_a_secret_that_a_handshake_brings_is_kept_and_not_shown(project: Project) -> None:
    with project.listening("--plain", is_bare=True) as listening:
        fields = (("X-Hook-Secret", "hidden-hook-secret"),)
        answer = send_raw(listening.url, raw_request("/asana", b"{}", *fields))
        listening.wait_for_text("its secret is kept")
        text = listening.text
    assert header(answer, "x-hook-secret") == b"hidden-hook-secret"
    assert "hidden-hook-secret" not in text
    kept = project.folder / ".webhookctl" / "learnt-secrets" / "asana.json"
    assert stat.S_IMODE(os.stat(kept).st_mode) == 0o600
    body = b'{"events":[]}'
    signed = project.ok("sign", "-p", "asana", "--json", stdin=body)
    assert b"hidden-hook-secret" not in signed.stdout


def test_a_configured_secret_is_not_joined_by_one_that_a_stranger_sends(project: Project) -> None:
    given = project.with_environment(ASANA_WEBHOOK_SECRET="configured")
    with given.listening("--json") as listening:
        send_raw(listening.url, raw_request("/asana", b"{}", ("X-Hook-Secret", "stranger")))
        event = answered(listening)
    assert "not kept" in str(event["notes"])
    assert not (project.folder / ".webhookctl" / "learnt-secrets").exists()


def test_the_url_of_sns_is_shown_and_opened_by_nobody(project: Project) -> None:
    url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=a&Token=b"
    body = json.dumps({"Type": "SubscriptionConfirmation", "SubscribeURL": url}).encode()
    fields = (("x-amz-sns-message-type", "SubscriptionConfirmation"),)
    with project.listening("--json") as listening:
        refused = send_raw(listening.url, raw_request("/sns", body, *fields))
        event = answered(listening)
    assert refused.status == 401  # no signature at all
    assert "Token=b" not in str(event["notes"])


def test_handshakes_do_not_count_as_deliveries(project: Project) -> None:
    with project.listening("--json", "--exit-after", "1") as listening:
        send_raw(listening.url, raw_request("/slack", SLACK))
        answered(listening)
        send_raw(listening.url, raw_request("/in", b'{"a":1}'))
        assert listening.wait() == 0
        (stopped,) = listening.of_type("stopped")
    assert (stopped["received"], stopped["unfinished"]) == (2, 0)


@pytest.mark.parametrize(
    "name", ["slack", "meta", "zoom", "discord", "xero", "twitch", "asana", "cloudevents", "sns"]
)
def test_trigger_and_listen_agree(project: Project, name: str) -> None:
    with project.listening("--json") as listening:
        result = project.ok("trigger", f"handshake:{name}", "--json", "--seed", "7")
        answered(listening)
    assert [attempt["complaints"] for attempt in result.attempts] in ([[]], [[], []])


def test_trigger_sends_wrong_signatures_where_the_provider_does(project: Project) -> None:
    with sink(answering("200 OK", b'{"type":1}', "Content-Type: application/json")) as app:
        result = project.run("trigger", "handshake:discord", "--to", app.url)
        seen = list(app.requests)
    assert result.exit_code == 1
    assert "answered 200 to what has to be refused: Discord interactions wants 401" in result.text
    assert "Discord does not save" in result.text
    signatures = [header(request, "x-signature-ed25519") for request in seen]
    assert len(set(signatures)) == 2
    assert seen[0].body == seen[1].body


def app_with_token(message: RawMessage) -> bytes:
    """Meta's challenge as a careful app answers it."""
    query = message.start.split(b" ")[1].partition(b"?")[2]
    pairs = dict(pair.split(b"=", 1) for pair in query.split(b"&"))
    if pairs[b"hub.verify_token"] != b"the-token":
        return b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    body = pairs[b"hub.challenge"]
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def test_trigger_asks_with_the_verify_token_and_with_a_wrong_one(project: Project) -> None:
    def serve(message: RawMessage, connection: object) -> bool:
        connection.sendall(app_with_token(message))  # type: ignore[attr-defined]  # a socket
        return True

    with sink(serve) as app:
        right = project.run("trigger", "handshake:whatsapp", "--to", app.url, "--verify-token", "the-token")
        wrong = project.run(
            "trigger", "handshake:meta", "--to", app.url, "--verify-token", "the-token", "--wrong-token"
        )
        unknown = project.run("trigger", "handshake:meta", "--to", app.url)
    assert (right.exit_code, wrong.exit_code, unknown.exit_code) == (0, 0, 1)
    assert "right: as Meta wants it" in right.text
    assert "right: refused" in wrong.text
    assert "no verify token is known here" in unknown.errors


def test_trigger_names_each_fault_and_what_the_provider_does_then(project: Project) -> None:
    with sink(answering("200 OK", b"<h1>hi</h1>", "Content-Type: text/html")) as app:
        result = project.run("trigger", "handshake:slack", "--to", app.url)
        machine = project.run("trigger", "handshake:slack", "--to", app.url, "--json")
    assert result.exit_code == machine.exit_code == 1
    assert "wrong: answered as a page (text/html)" in result.text
    assert "so Slack does not save the request URL" in result.text
    assert machine.data["handshake"] == "slack"
    validator("trigger").validate(json.loads(machine.stdout))
    assert len(machine.attempts[0]["complaints"]) == 2


def test_trigger_without_an_app_says_so(project: Project) -> None:
    with refusing_port() as port:
        result = project.run("trigger", "handshake:slack", "--to", f"{port}")
    assert result.exit_code == 5
    assert "hint:" in result.text


def test_a_dry_run_shows_the_challenge_and_sends_nothing(project: Project) -> None:
    result = project.ok("trigger", "handshake:slack", "--dry-run", "--seed", "7", "-H", "X-Own: 1")
    assert "X-Slack-Signature" in result.text
    assert "X-Own: 1" in result.text
    assert "url_verification" in result.text


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("trigger", "handshake:slak"), "did you mean handshake:slack?"),
        (("trigger", "handshake:slack", "--wrong-token", "--dry-run"), "has no verify token"),
        (("trigger", "handshake:meta", "--wrong-signature", "--dry-run"), "has no signature"),
        (("trigger", "handshake:figma", "--wrong-signature", "--dry-run"), "no signature of its own"),
        (("trigger", "handshake:slack", "--set", "a=1"), "--set cannot be used with a handshake"),
        (("trigger", "github/push", "--wrong-token"), "belong to a handshake"),
        (("listen", "--handshake", "no"), "there is auto, app and off"),
        (("listen", "--verify-token", "env:NOT_THERE"), "NOT_THERE is not set"),
    ],
)
def test_what_cannot_be_done_is_told(project: Project, arguments: tuple[str, ...], code: str) -> None:
    result = project.run(*arguments)
    assert result.exit_code == 2
    assert result.errors.startswith("error: ")
    assert code in result.errors


def test_list_names_the_handshakes(project: Project) -> None:
    assert "handshake:slack\n" in project.ok("trigger", "--list").text
    listed = project.ok("trigger", "--list", "--json")
    validator("trigger").validate(json.loads(listed.stdout))
    data = listed.data
    assert {"provider": "adyen_item", "handshake": "adyen"} in data["handshakes"]
    assert (
        project.ok("trigger", "--list", "-p", "discord").text
        == "handshake:discord\nhandshake:discord_events\n"
    )


def served(app: Sink) -> int:
    return len(app.requests)


def test_a_slow_app_is_not_waited_for_beyond_the_sender_s_patience(project: Project) -> None:
    def never(_: RawMessage, __: object) -> bool:
        return True

    with sink(never) as app, project.listening("--json", "--forward-to", app.url) as listening:
        answer = send_raw(listening.url, raw_request("/slack", SLACK))
        event = answered(listening)
        assert served(app) == 1
    assert answer.status == 200
    assert "no answer" in str(event["complaints"])
