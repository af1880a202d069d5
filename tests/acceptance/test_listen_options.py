"""The options of `listen` one by one: when it stops, what it forwards where, what it saves, what it refuses."""

import json
import os
import socket
import threading

import pytest

from tests.acceptance.receivers import Answer, Received, app, raw_request, send_raw, sink
from tests.acceptance.running import DEADLINE_S, Project
from tests.ports import free_port


def event(name: str, number: int = 0, target: str = "/hooks") -> bytes:
    fields = (("X-GitHub-Event", name), ("X-GitHub-Delivery", f"{name}-{number}"))
    return raw_request(target, b'{"event":"%b","n":%d}' % (name.encode(), number), *fields)


def test_exit_after_stops_after_that_many_deliveries(project: Project) -> None:
    with project.listening("--json", "--exit-after", "2") as listening:
        assert [send_raw(listening.url, event("push", number)).status for number in (1, 2)] == [202, 202]
        assert listening.wait() == 0
        assert listening.events[-1]["type"] == "stopped"
        assert listening.events[-1]["received"] == 2


def test_until_stops_when_that_event_was_delivered_and_not_before(project: Project) -> None:
    with (
        app() as live,
        project.listening(
            "--json", "--until", "issues.*", "--forward-to", live.url, "--idle-timeout", "60"
        ) as listening,
    ):
        for name in ("push", "ping", "issues.opened"):
            assert send_raw(listening.url, event(name)).status == 200
        assert listening.wait() == 0
        assert listening.events[-1]["reason"] == "issues.* arrived"
    assert len(live.received) == 3


def test_an_idle_timeout_ends_it_with_5_when_something_was_waited_for(project: Project) -> None:
    with project.listening(
        "--json", "--until", "push", "--idle-timeout", "200ms", is_ready=False
    ) as listening:
        assert listening.wait() == 5
        assert listening.errors.startswith("error: nothing came for 0.2 s while waiting for push\nhint: ")
        assert listening.events[-1]["type"] == "stopped"


def test_an_idle_timeout_ends_it_with_0_when_nothing_was_waited_for(project: Project) -> None:
    with project.listening("--json", "--idle-timeout", "200ms", is_ready=False) as listening:
        assert listening.wait() == 0
        assert listening.errors == ""


def test_events_left_out_are_recorded_but_neither_forwarded_nor_saved(project: Project) -> None:
    with (
        app() as live,
        project.listening(
            "--json", "--forward-to", live.url, "--events", "push,issues.*", "--events", "ping"
        ) as listening,
    ):
        answers = [
            send_raw(listening.url, event(name)).status for name in ("push", "star", "issues.opened", "ping")
        ]
        listening.wait_for("saved", 3)
        listening.stop()
    assert answers == [200, 202, 200, 200]
    assert [json.loads(received.body)["event"] for received in live.received] == [
        "push",
        "issues.opened",
        "ping",
    ]
    assert [request["ignored"] for request in listening.of_type("request")] == [False, True, False, False]
    assert project.files("fixtures/github") == [
        *("issues.opened.body.json", "issues.opened.toml", "ping.body.json", "ping.toml"),
        *("push.body.json", "push.toml"),
    ]
    assert project.ok("log", "--json").data["total"] == 4


def test_no_save_saves_nothing_and_save_names_the_folder(project: Project) -> None:
    with project.listening("--json", "--no-save") as listening:
        send_raw(listening.url, event("push"))
        listening.stop()
    assert not (project.folder / "fixtures").exists()
    with project.listening("--json", "--save", "tests/hooks") as listening:
        send_raw(listening.url, event("push", 2))
        listening.stop()
        assert len(listening.of_type("saved")) == 1
    assert "github/push.toml" in project.files("tests/hooks")


def test_the_save_limit_holds_for_each_event_and_over_runs(project: Project) -> None:
    for run in range(2):
        with project.listening("--json", "--save-limit", "3") as listening:
            for number in range(5):
                send_raw(listening.url, event("push", 10 * run + number))
            send_raw(listening.url, event("ping", run))
            listening.stop()
    tomls = [name for name in project.files("fixtures/github") if name.endswith(".toml")]
    assert tomls == ["ping-2.toml", "ping.toml", "push-2.toml", "push-3.toml", "push.toml"]


def test_duplicates_are_marked_and_do_not_pile_up_as_files(project: Project) -> None:
    for _ in range(2):
        with project.listening("--json") as listening:
            for _ in range(3):
                send_raw(listening.url, event("push"))
            listening.stop()
    duplicates = [exchange["duplicate_of"] for exchange in project.ok("log", "--json").data["exchanges"]]
    assert duplicates == [1, 1, 1, 1, 1, None]
    assert project.files("fixtures/github") == ["push.body.json", "push.toml"]


def test_routes_choose_by_event_path_and_order_and_several_targets_all_get_it(project: Project) -> None:
    with (
        app(lambda _: (201, b"")) as payments,
        app() as pushes,
        app() as rest,
        app(lambda _: (500, b"")) as copy,
    ):
        routes = ("payment_*.succeeded", payments.url), ("/github/**", f"{pushes.url}/hooks"), ("", rest.url)
        flags = [text for pattern, url in routes for text in ("--forward-to", f"{pattern}={url}".lstrip("="))]
        with project.listening("--json", *flags, "--forward-to", f"ping={copy.url}") as listening:
            assert project.run("trigger", "payment_intent.succeeded").exit_code == 0
            assert send_raw(listening.url, event("push", target="/github/deep/er?x=1")).status == 200
            assert send_raw(listening.url, event("ping", target="/elsewhere")).status == 200
            copy.wait_for(1)
            listening.wait_for("response", 6)
            listening.stop()
        answered = [response["status"] for response in listening.of_type("response") if response["is_answer"]]
    assert answered == [201, 200, 200]
    assert [received.path for received in payments.received] == ["/"]
    assert [received.path for received in pushes.received] == ["/hooks?x=1"]
    assert len(rest.received) == 3
    assert len(copy.received) == 1


def test_early_acknowledgement_answers_before_the_app_does(project: Project) -> None:
    let_go = threading.Event()

    def answer(_: Received) -> Answer:
        let_go.wait(DEADLINE_S)
        return 500, b"much later"

    with (
        app(answer) as live,
        project.listening(
            "--json", "--ack", "early", "--forward-to", live.url, "--timeout", "100ms"
        ) as listening,
    ):
        assert send_raw(listening.url, event("push")).status == 202
        live.wait_for(1)
        let_go.set()
        response = listening.wait_for("response")[0]
    assert (response["status"], response["error"]) == (500, None)


def test_headers_of_ones_own_reach_the_app_but_not_the_history(project: Project) -> None:
    headers = ("-H", "X-Tenant: blue", "--header", "User-Agent: mine", "-H", "Host: app.example.com")
    with sink() as live, project.listening("--json", "--forward-to", live.url, *headers) as listening:
        send_raw(listening.url, raw_request("/", b"x", ("User-Agent", "theirs")))
    sent = live.requests[0].headers
    assert (b"X-Tenant", b"blue") in sent
    assert [value for name, value in sent if name == b"User-Agent"] == [b"mine"]
    assert [value for name, value in sent if name == b"Host"] == [b"app.example.com"]
    recorded = project.ok("log", "--json").data["exchanges"][0]["headers"]
    assert ["User-Agent", "theirs"] in recorded
    assert not any(name == "X-Tenant" for name, _ in recorded)


def test_a_target_that_comes_and_goes_is_announced(project: Project) -> None:
    port = free_port()
    with project.listening("--json", "--forward-to", f"{port}") as listening:
        assert listening.of_type("ready")[0]["targets"][0]["is_reachable"] is False
        with socket.create_server(("127.0.0.1", port)):
            back = listening.wait_for("target")[0]
        gone = listening.wait_for("target", 2)[1]
    assert (back["is_reachable"], gone["is_reachable"]) == (True, False)
    assert gone["reason"] == "it refuses connections"


def test_a_port_in_use_is_an_error_with_a_way_out(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = project.run("listen", "--port", f"{port}")
    assert result.exit_code == 2
    assert result.errors.startswith(f"error: port {port} on 127.0.0.1 is in use by another program\nhint: ")
    assert f"--port {port + 1}" in result.errors
    assert result.stdout == b""


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (
            ("--forward-to", "ftp://localhost/x"),
            "ftp:// is not something webhookctl can deliver to",
            "just 3000",
        ),
        (("--forward-to", "http://"), "it names no host", "just 3000"),
        (("--forward-to", "http://localhost:99999"), "99999 is not a port", "just 3000"),
        (("--forward-to", ""), "neither a URL nor PATTERN=URL", "--forward-to 3000"),
        (("--provider", "strpe"), "strpe", "stripe"),
        (("--port", "70000"), "70000 is not a port", "1 to 65535"),
        (("--port", "0", "--host", "203.0.113.1"), "not an address of this machine", "127.0.0.1"),
        (("--ack", "late"), "response and early", "202"),
        (("--timeout", "soon"), "--timeout must be a duration", "250ms"),
        (("--max-body", "big"), "--max-body must be a size", "10MB"),
        (("-H", "no colon"), "is not a header", "X-Name: value"),
        (("-H", "X-A: b\r\nX-C: d"), "CR, LF or NUL", ""),
        (("--tls", "cert.pem"), "give auto, or CERT,KEY", "cert.pem,key.pem"),
        (("--tls", "none.pem,none.key"), "cannot be used", "PEM"),
        (("--secret", "env:NOT_THERE"), "NOT_THERE", ""),
        (("--save-limt", "3"), "--save-limt", "--help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_used_is_refused_with_2_and_a_hint(
    project: Project, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    result = project.run("listen", *arguments)
    assert result.exit_code == 2
    assert result.stdout == b""
    error, told = result.errors.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert told.startswith("hint: ")
    assert hint in told


@pytest.mark.parametrize("folder", ["fixtures", ".webhookctl"])
def test_a_folder_that_cannot_be_written_is_named(project: Project, folder: str) -> None:
    (project.folder / folder).write_text("a file in the way")
    if folder == ".webhookctl":
        result = project.run("listen", "--port", "0")
        assert result.exit_code == 2
        assert folder in result.errors
        return
    with project.listening("--json") as listening:
        assert send_raw(listening.url, event("push")).status == 202
        error = listening.wait_for("error")[0]
        listening.stop()
    assert (error["code"], error["id"]) == ("fixtures-unwritable", 1)
    assert str(project.folder / folder) in error["message"]
    assert "--no-save" in error["hint"]
    assert project.ok("log", "--json").data["total"] == 1


def test_two_listeners_of_one_project_share_its_history(project: Project) -> None:
    with project.listening("--json", "--no-save") as one, project.listening("--json", "--no-save") as two:
        for number in range(20):
            assert send_raw((one, two)[number % 2].url, event("push", number)).status == 202
        ids = [request["id"] for each in (one, two) for request in each.wait_for("request", 10)]
    assert sorted(ids) == list(range(1, 21))
    assert project.ok("log", "--json").data["total"] == 20


def test_the_state_of_a_project_is_readable_by_its_owner_only(project: Project) -> None:
    with project.listening("--json") as listening:
        project.ok("trigger", "payment_intent.succeeded")
        listening.wait_for("saved")
        for path in [project.folder / ".webhookctl", *(project.folder / ".webhookctl").rglob("*")]:
            assert os.stat(path).st_mode & 0o077 == 0, path
    assert (project.folder / ".webhookctl/.gitignore").read_text().strip() == "*"


def test_keys_are_served_when_asked_for_and_are_no_deliveries(project: Project) -> None:
    target = "/.well-known/webhookctl/discord/jwks.json"
    head = raw_request(target, b"").replace(b"POST ", b"GET ", 1)
    with project.listening("--json", "--serve-keys", "--no-save") as listening:
        served = send_raw(listening.url, head)
        assert served.status == 200
        assert [jwk["crv"] for jwk in json.loads(served.body)["keys"]] == ["Ed25519"]
    with project.listening("--json", "--no-save", "--exit-after", "1") as listening:
        assert send_raw(listening.url, head).status == 202
        assert listening.wait() == 0
    recorded = project.run("log", "--json").data
    assert len(recorded["exchanges"]) == 1
