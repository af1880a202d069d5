"""What `replay` takes and how it sends: names, paths, folders, globs, the history, bare bodies; edits; exit codes."""

import base64
import hashlib
import hmac
import json
import shutil
import socket
import threading
from pathlib import Path

import pytest

from tests.acceptance.receivers import Answer, Received, app, raw_request, send_raw
from tests.acceptance.running import DEADLINE_S, Project, Record
from tests.ports import refusing_port


def body_of(attempt: Record) -> bytes:
    return base64.b64decode(attempt["request"]["body_b64"])


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with three deliveries in history and fixtures: a payment, a push, an order. To be copied."""
    folder = tmp_path_factory.mktemp("recording")
    project = Project(folder / "project", folder)
    (project.folder / ".git").mkdir(parents=True)
    with project.listening("--json") as listening:
        for event in ("payment_intent.succeeded", "github/push", "orders/paid"):
            project.ok("trigger", event, "--seed", "7")
        listening.wait_for("saved", 3)
        listening.stop()
    return project.folder


@pytest.fixture
def recorded(project: Project, recording: Path) -> Project:
    """The test's own project with the three deliveries."""
    shutil.copytree(recording, project.folder, dirs_exist_ok=True)
    return project


def test_every_way_to_name_a_delivery_means_the_same(recorded: Project) -> None:
    payment = str(recorded.folder / "fixtures/stripe/payment_intent.succeeded.toml")
    ways: list[tuple[str, ...]] = [
        ("payment_intent.succeeded", "stripe/payment_intent.succeeded", "push", "orders/paid"),
        (payment, "fixtures/github/push.toml", "fixtures/shopify/orders-paid.body.json"),
        ("fixtures",),
        ("fixtures/github", "shopify"),
        ("payment_*", "github/*", "fixtures/*/orders-*.toml"),
        ("#1", "2", "last"),
    ]
    sent: list[list[str | None]] = []
    for targets in ways:
        attempts = recorded.ok("replay", *targets, "--dry-run", "--json").attempts
        sent.append([attempt["event"] for attempt in attempts])
    pay, push, order = "payment_intent.succeeded", "push", "orders/paid"
    assert sent == [
        [pay, pay, push, order],
        [pay, push, order],
        [push, order, pay],
        [push, order],
        [pay, push, order],
        [pay, push, order],
    ]


def test_a_bare_body_is_signed_for_the_provider_that_is_named(project: Project) -> None:
    (project.folder / "body.json").write_bytes(b'{"by":"hand"}\n')
    secret = project.ok("listen", "--print-secret").text.strip()
    flags = ("--provider", "github", "--dry-run", "--json")
    for result in (
        project.ok("replay", "body.json", *flags),
        project.ok("replay", "-", *flags, stdin=b'{"by":"hand"}\n'),
    ):
        attempt = result.attempts[0]
        assert body_of(attempt) == b'{"by":"hand"}\n'
        made = hmac.new(secret.encode(), body_of(attempt), hashlib.sha256).hexdigest()
        assert ["X-Hub-Signature-256", f"sha256={made}"] in attempt["request"]["headers"]
    unnamed = project.run("replay", "body.json", "--dry-run")
    assert unnamed.exit_code == 2
    assert unnamed.errors == (
        "error: body.json is a bare body: who sends it?\nhint: name the provider: --provider stripe\n"
    )


def test_edits_change_those_bytes_only_and_the_signature_follows(recorded: Project) -> None:
    before = body_of(recorded.ok("replay", "payment_intent.succeeded", "--dry-run", "--json").attempts[0])
    edits = (
        "--set",
        "data.object.amount=4200",
        "--set",
        "data.object.currency=chf",
        "--unset",
        "data.object.metadata",
    )
    edited = recorded.ok("replay", "payment_intent.succeeded", *edits, "--dry-run", "--json").attempts[0]
    old, new = json.loads(before)["data"]["object"], json.loads(body_of(edited))["data"]["object"]
    assert (new["amount"], new["currency"]) == (4200, "chf")
    assert "metadata" in old
    assert "metadata" not in new
    untouched = {"amount", "currency", "metadata"}
    assert {key: value for key, value in new.items() if key not in untouched} == {
        key: value for key, value in old.items() if key not in untouched
    }
    with app() as live:
        sent = recorded.ok("replay", "payment_intent.succeeded", *edits, "--to", live.url, "--json").attempts[
            0
        ]
    (recorded.folder / "sent.json").write_bytes(body_of(sent))
    signature = dict(sent["request"]["headers"])["Stripe-Signature"]
    timestamp = signature.partition(",")[0].removeprefix("t=")
    signed = recorded.ok("sign", "-p", "stripe", "--timestamp", timestamp, "sent.json").text
    assert signed == f"Stripe-Signature: {signature}\n"

    typo = recorded.run("replay", "payment_intent.succeeded", "--set", "data.object.amout=1", "--dry-run")
    assert typo.exit_code == 2
    assert "data.object.amout" in typo.errors
    assert "amount" in typo.errors.splitlines()[1]
    new_path = ("--set", "data.object.metadata.order=A1", "--set-new")
    created = recorded.ok("replay", "payment_intent.succeeded", *new_path, "--dry-run", "--json").attempts[0]
    assert json.loads(body_of(created))["data"]["object"]["metadata"]["order"] == "A1"


@pytest.mark.parametrize(
    ("event", "header", "path"),
    [
        ("payment_intent.succeeded", "", "id"),
        ("github/push", "X-GitHub-Delivery", ""),
        ("orders/paid", "X-Shopify-Webhook-Id", ""),
    ],
)
def test_a_new_id_is_put_where_the_provider_has_it(
    project: Project, event: str, header: str, path: str
) -> None:
    with project.listening("--json") as listening:
        project.ok("trigger", event)
        name = listening.wait_for("saved")[0]["path"]
    old, new = (
        project.ok("replay", name, *flags, "--dry-run", "--json").attempts[0] for flags in ((), ("--new-id",))
    )

    def delivery_id(attempt: Record) -> str:
        text = dict(attempt["request"]["headers"])[header] if header else json.loads(body_of(attempt))[path]
        return str(text)

    assert delivery_id(old) != delivery_id(new)
    assert len(delivery_id(old)) == len(delivery_id(new))
    assert delivery_id(new) == new["delivery_id"]
    assert (body_of(old) == body_of(new)) is bool(header)


def test_times_sends_it_that_often_and_everything_in_order(recorded: Project) -> None:
    with app() as live:
        result = recorded.ok("replay", "#1", "#2", "--times", "3", "--to", f"{live.url}/hooks")
    assert "6 of 6 delivered" in result.text
    assert [received.headers.get("x-github-event", "pay") for received in live.received] == [
        "pay",
        "push",
    ] * 3
    assert {received.path for received in live.received} == {"/hooks"}


def test_concurrency_has_that_many_in_flight_and_all_arrive(recorded: Project) -> None:
    together = threading.Barrier(8)

    def answer(_: Received) -> Answer:
        try:
            together.wait(DEADLINE_S / 3)
        except threading.BrokenBarrierError:
            return 500, b"fewer than eight at once"
        return 200, b""

    with app(answer) as live:
        many = recorded.run("replay", "push", "--times", "80", "--concurrency", "8", "--to", live.url)
        assert (many.exit_code, len(live.received)) == (0, 80)
        assert many.text.startswith("80 of 80 delivered")
        recorded.ok(
            "replay", "push", "--rate", "600/m", "--times", "8", "--concurrency", "8", "--to", live.url
        )
        assert len(live.received) == 88
    assert recorded.run("replay", "push", "--rate", "often", "--to", live.url).exit_code == 2


def test_the_exit_code_says_what_became_of_it(recorded: Project) -> None:
    answers = {"/ok": (204, b""), "/no": (401, b"who are you?"), "/moved": (301, b"")}

    def answer(received: Received) -> Answer:
        return answers[received.path]

    with app(answer) as live:
        codes = {path: recorded.run("replay", "push", "--to", f"{live.url}{path}") for path in answers}
    assert [codes[path].exit_code for path in ("/ok", "/no", "/moved")] == [0, 1, 1]
    assert "401 refused" in codes["/no"].text
    assert "| who are you?" in codes["/no"].text
    assert "the app has another secret" in codes["/no"].text

    with refusing_port() as port:
        gone = recorded.run("replay", "push", "--to", f"{port}")
    assert gone.exit_code == 5
    assert "no answer: it refuses connections" in gone.text
    assert "hint: nothing listens there: is the app running, and on that port?" in gone.text

    nameless = recorded.run("replay", "push", "--to", "http://no-such-host.invalid/")
    assert nameless.exit_code == 5
    assert "no-such-host.invalid does not resolve" in nameless.text

    nowhere = recorded.run("replay", "push")
    assert nowhere.exit_code == 2
    assert "no listener runs in this project and no endpoint is set" in nowhere.errors
    unknown = recorded.run("replay", "pish", "--to", "3000")
    assert unknown.exit_code == 4
    assert unknown.errors == "error: no fixture is called pish\nhint: did you mean github/push?\n"
    assert recorded.run("replay", "#99", "--to", "3000").exit_code == 4
    contradiction = recorded.run("replay", "push", "--exact", "--set", "ref=x", "--to", "3000")
    assert contradiction.exit_code == 2
    assert "--exact and --set" in contradiction.errors


def test_the_endpoint_setting_is_used_when_nobody_listens(recorded: Project) -> None:
    with app() as live, app() as other:
        (recorded.folder / "webhookctl.toml").write_text(f'endpoint = "{live.url}/configured"\n')
        recorded.ok("replay", "push")
        recorded.ok("trigger", "payment_intent.succeeded")
        with recorded.listening("--forward-to", other.url):
            recorded.ok("replay", "push")
    assert [received.path for received in live.received] == ["/configured", "/configured"]
    assert len(other.received) == 1


def test_an_exact_replay_of_a_redacted_fixture_works_here_and_is_refused_elsewhere(recorded: Project) -> None:
    original = recorded.ok("log", "--json").data["exchanges"][-1]
    fixture = (recorded.folder / "fixtures/stripe/payment_intent.succeeded.toml").read_text()
    assert "{resign}" in fixture
    restored = recorded.ok("replay", "payment_intent.succeeded", "--exact", "--dry-run", "--json").attempts[0]
    assert restored["request"]["body_b64"] == original["body_b64"]
    signatures = [dict(each["headers"])["Stripe-Signature"] for each in (restored["request"], original)]
    assert signatures[0] == signatures[1]

    elsewhere = Project(recorded.home / "elsewhere", recorded.home)
    (elsewhere.folder / ".git").mkdir(parents=True)
    shutil.copytree(recorded.folder / "fixtures", elsewhere.folder / "fixtures")
    refused = elsewhere.run("replay", "payment_intent.succeeded", "--exact", "--to", "3000")
    assert refused.exit_code == 4
    assert "Stripe-Signature" in refused.errors
    assert "was redacted when it was saved" in refused.errors
    assert "hint: use --resign" in refused.errors
    resigned = elsewhere.ok("replay", "payment_intent.succeeded", "--dry-run", "--json").attempts[0]
    assert resigned["mode"] == "resigned"
    assert "{resign}" not in json.dumps(resigned["request"]["headers"])


def test_a_body_edited_by_hand_is_signed_as_it_is_now_and_said_so(recorded: Project) -> None:
    path = recorded.folder / "fixtures/stripe/payment_intent.succeeded.body.json"
    edited = path.read_text().replace('"livemode": false', '"livemode": true', 1)
    assert edited != path.read_text()
    path.write_text(edited)
    with app() as live:
        result = recorded.ok("replay", "payment_intent.succeeded", "--to", live.url)
        assert json.loads(live.received[0].body) == json.loads(edited)
    assert "note: payment_intent.succeeded: the body was edited since it was saved" in result.text

    path.write_text(edited.replace('"livemode": true', '"livemode": '))
    broken = recorded.run("replay", "payment_intent.succeeded", "--to", "3000")
    assert broken.exit_code == 4
    assert "payment_intent.succeeded.body.json" in broken.errors


def test_headers_of_ones_own_replace_what_was_recorded(project: Project) -> None:
    with project.listening("--json") as listening:
        send_raw(
            listening.url, raw_request("/hooks?x=1", b"plain", ("X-Kept", "1"), ("User-Agent", "theirs"))
        )
        listening.wait_for("saved")
    with app() as live:
        headers = ("-H", "User-Agent: mine", "-H", "X-Added: 2")
        project.ok("replay", "last", *headers, "--to", live.url)
    received = live.received[0]
    assert (received.method, received.path, received.body) == ("POST", "/hooks?x=1", b"plain")
    found = [received.headers[name] for name in ("User-Agent", "X-Kept", "X-Added")]
    assert found == ["mine", "1", "2"]


def test_a_slow_endpoint_is_given_up_after_the_time_asked_for(recorded: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        result = recorded.run("replay", "push", "--to", f"{port}", "--timeout", "200ms")
    assert result.exit_code == 5
    assert "no answer within 0.2 s" in result.text
