"""Real output of every command with --json against the JSON Schemas in docs/reference."""

import io
import json
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.cli.commands import NOW_S, Delivery, Project, answered, run, run_process
from webhookctl import events
from webhookctl.model import (
    Attempt,
    Capture,
    Detection,
    Failure,
    FailureKind,
    LargeBody,
    Relayed,
    Request,
    Verdict,
    VerdictKind,
)

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
REFUSED = Attempt(
    "http://127.0.0.1:1/", NOW_S, 0.4, None, Failure(FailureKind.REFUSED, "it refuses connections")
)


@cache
def schemas() -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.schema.json"))}


def validator(name: str) -> Draft202012Validator:
    resources = [(file, Resource.from_contents(schema)) for file, schema in schemas().items()]
    return Draft202012Validator(
        schemas()[f"{name}.schema.json"], registry=Registry().with_resources(resources)
    )


def check(name: str, *arguments: str, exit_code: int = 0, stdin: bytes = b"") -> Any:
    """Run a command with --json; its envelope must fit the schema `name`. Returns `data`."""
    result = run(*arguments, "--json", stdin=stdin)
    assert (result.exit_code, result.errors) == (exit_code, "")
    validator(name).validate(result.envelope)
    return result.envelope["data"]


@pytest.fixture
def endpoint() -> Iterator[str]:
    """The URL of an endpoint that answers 201 with a text."""

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"\xffthank")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/hooks"
        server.shutdown()
        thread.join()


@pytest.fixture
def recorded(project: Project) -> Project:
    """Three deliveries and two fixtures."""
    project.development_secret()
    project.record(
        Delivery(attempts=(answered(200, b"thanks"), REFUSED)),
        Delivery(
            b"\xff", (), None, None, Verdict(VerdictKind.UNKNOWN_SCHEME, None, "no provider recognised")
        ),
        Delivery(delivery_id="evt_1", headers=((b"X-Twice", b"\xe9"), (b"x-twice", b"2"))),
    )
    run("fixtures", "save", "1")
    run("fixtures", "save", "2")
    return project


def test_the_schemas_are_valid_schemas() -> None:
    for schema in schemas().values():
        Draft202012Validator.check_schema(schema)


def test_every_command_with_json_has_its_schema() -> None:
    from tests.cli.test_help import command_names

    with_json = {name for name in command_names() if "  --json " in run(*name.split(), "--help").text}
    files = {file.removesuffix(".schema.json") for file in schemas()} - {"envelope", "shapes", "contract"}
    # All verbs of a channel but `list` show the same: the channel.
    channels = {
        f"relay-channel-{verb}"
        for verb in ("set", "show", "new", "rotate", "revoke", "pause", "resume", "remove")
    }
    names = {name.replace(" ", "-") for name in with_json}
    assert channels <= names
    assert files == names - channels | {"relay-channel"}


def test_every_error_fits_the_envelope(recorded: Project) -> None:
    for name, arguments in (
        ("envelope", ("nonsense",)),
        ("show", ("show", "99")),
        ("verify", ("verify", "nothing", "-p", "stripe")),
        ("fixtures-show", ("fixtures", "show", "x")),
        ("trigger", ("trigger",)),
        ("config-show", ("config", "show", "--orign")),
        ("envelope", ("listen", "--port", "70000")),
    ):
        result = run(*arguments, "--json")
        assert result.envelope["status"] == "error"
        validator("envelope").validate(result.envelope)
        validator(name).validate(result.envelope)


def test_sign(recorded: Project) -> None:
    check("sign", "sign", "-p", "slack", stdin=b"{}")


def test_providers(recorded: Project) -> None:
    assert check("providers-list", "providers", "list")["providers"]
    assert check("providers-show", "providers", "show", "slack")["scheme"]["id"] == "slack"
    recorded.write("odd.toml", "id = 1")
    assert check("providers-lint", "providers", "lint", "odd.toml", exit_code=2)["problems"]


def test_verify_good_and_bad(recorded: Project) -> None:
    assert check("verify", "verify", "-p", "stripe", exit_code=3)["verdict"] == "no_header"
    name, value = check("sign", "sign", "-p", "stripe", stdin=b"{}")["headers"][0]
    assert check("verify", "verify", "-H", f"{name}: {value}", stdin=b"{}")["valid"] is True


def test_log_and_show(recorded: Project) -> None:
    data = check("log", "log")
    assert [exchange["id"] for exchange in data["exchanges"]] == [3, 2, 1]
    assert data["exchanges"][1]["body_text"] is None
    assert data["exchanges"][0]["duplicate_of"] is None
    assert check("show", "show", "1")["exchange"]["attempts"][1]["error_kind"] == "refused"


def test_fixtures(recorded: Project) -> None:
    recorded.write("fixtures/stripe/broken.toml", "format = \n")
    assert len(check("fixtures-list", "fixtures", "list")["fixtures"]) == 3
    assert check("fixtures-show", "fixtures", "show", "invoice.paid")["received_at"].endswith("Z")
    assert check("fixtures-lint", "fixtures", "lint", exit_code=4)["checked"] == 3
    assert check("fixtures-fmt", "fixtures", "fmt", "invoice.paid")["changed"] == []
    check("fixtures-save", "fixtures", "save", "3")


def test_config_and_doctor(recorded: Project) -> None:
    recorded.write("webhookctl.toml", '[secrets]\nstripe = "env:SAMPLE"\n')
    check("config-show", "config", "show")
    check("doctor", "doctor", exit_code=1)


def test_trigger_sent_refused_listed_and_not_sent(recorded: Project, endpoint: str, refusing: str) -> None:
    [sent] = check("trigger", "trigger", "github/push", "--to", endpoint)["attempts"]
    assert (sent["status"], sent["response"]["body_b64"]) == (201, "/3RoYW5r")
    [refused] = check("trigger", "trigger", "github/push", "--to", refusing, exit_code=5)["attempts"]
    assert (refused["status"], refused["error_kind"], refused["response"]) == (None, "refused", None)
    assert "status" not in check("trigger", "trigger", "github/push", "--dry-run")["attempts"][0]
    assert check("trigger", "trigger", "--list")["events"]


def test_replay_sent_and_not_sent(recorded: Project, endpoint: str) -> None:
    attempts = check("replay", "replay", "invoice.paid", "#3", "--to", endpoint)["attempts"]
    assert [attempt["mode"] for attempt in attempts] == ["resigned", "resigned"]
    assert check("replay", "replay", "#2", "--exact", "--dry-run")["attempts"][0]["mode"] == "exact"


CAPTURE = Capture(Request("POST", "/hooks?x=1", ((b"A", b"\xe9"),), b"\xff"), NOW_S, "127.0.0.1:5")
RELAYED = Capture(
    Request("POST", "/hooks", (), b""),
    NOW_S,
    "203.0.113.7:4000",
    url="https://relay.example.com/abc/hooks",
    relayed=Relayed("01f", 2),
    large_body=LargeBody(100_000_000, "ab" * 32),
)
PLACE = events.Place("https://relay.example.com/abc", "shop", "queued", "a note")
EVENTS: list[events.Event] = [
    events.Ready(
        "http://127.0.0.1:4400",
        (("http://127.0.0.1:3000", ""), ("http://127.0.0.1:3001", "it refuses connections")),
        None,
        (("stripe", "env:STRIPE_WEBHOOK_SECRET"),),
        "history.sqlite3",
    ),
    events.Ready("http://127.0.0.1:4400", (), None, (), "history.sqlite3", place=PLACE),
    events.RequestReceived(1, CAPTURE, Detection(), None),
    events.RequestReceived(3, RELAYED, Detection(), None),
    events.RequestReceived(2, CAPTURE, Detection("stripe", "invoice.paid", "evt_1"), 1, is_ignored=True),
    events.VerdictGiven(1, Verdict(VerdictKind.EXPIRED, "stripe", "expired")),
    events.ResponseReceived(1, answered(200, b"ok"), 200, Detection()),
    events.ResponseReceived(1, REFUSED, 502, Detection(), is_answer=False),
    events.ResponseReceived(1, None, 202, Detection()),
    events.HandshakeAnswered(1, "slack", "Slack", 200, is_by_app=False, notes=("a note",)),
    events.HandshakeAnswered(
        1, "meta", "Meta", 502, is_by_app=True, refusal="no", complaints=("none",), attempt=REFUSED
    ),
    events.FixtureSaved(1, "fixtures/stripe/invoice.paid.toml"),
    events.TargetChanged("http://127.0.0.1:3000", is_reachable=False, reason="it refuses connections"),
    events.ErrorOccurred("sample", "about nothing special"),
    events.ErrorOccurred("sample", "about one delivery", "a hint", 1),
    events.TunnelStarting("cloudflared"),
    events.BecamePublic(events.Place("https://calm-river.example.com", "cloudflared", note="a note")),
    events.HookRegistered("github:sample/app", "7", "https://calm-river.example.com", ("*",), "made"),
    events.HookRemoved("github:sample/app", "7"),
    events.BackfillAsked("github:sample/app", 1, 2),
    events.RelayConnected(PLACE, 1_204),
    events.RelayDisconnected("it refuses connections", 0.2),
    events.RelayDraining(312, 1_204, 85.0),
    events.RelaySkipped(1, 5, 5, "expired"),
    events.RelayHeld("it refuses connections", 3),
    events.RelayKnown(17, "01f", 2),
    events.Stopping(3),
    events.Stopped("interrupted", 1, 1, 0, 1, 0, 1, 0),
    events.Stopped("interrupted", 1, 1, 0, 1, 0, 1, 0, left_at_relay=7),
]


@pytest.mark.parametrize("event", EVENTS, ids=range(len(EVENTS)))
def test_each_event_of_listen_fits_one_form(event: events.Event) -> None:
    from webhookctl.output.ndjson import NdjsonRenderer

    stream = io.StringIO()
    NdjsonRenderer(stream, now_s=lambda: NOW_S)(event)
    validator("listen").validate(json.loads(stream.getvalue()))


def test_a_line_with_a_field_that_is_not_documented_does_not_fit() -> None:
    line = {"v": 1, "type": "saved", "ts": "2026-01-01T00:00:00.000Z", "seq": 1, "id": 1, "path": "x"}
    assert validator("listen").is_valid(line)
    assert not validator("listen").is_valid({**line, "more": 1})
    assert not validator("listen").is_valid({**line, "seq": 0})


def test_every_kind_of_event_is_checked_here() -> None:
    from typing import get_args

    assert {type(event) for event in EVENTS} == set(get_args(events.Event))


def test_a_listener_that_runs_writes_such_lines(project: Project) -> None:
    result = run_process("listen", "--port", "0", "--json", "--idle-timeout", "200ms")
    lines = [json.loads(line) for line in result.text.splitlines()]
    for line in lines:
        validator("listen").validate(line)
    assert lines[0]["type"] == "ready"
    assert lines[-1]["type"] == "stopped"
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))


def test_times_are_not_off_by_a_millisecond() -> None:
    from webhookctl.output import record, words

    for milliseconds in range(1_000):
        at_s = 1_795_439_527 + milliseconds / 1_000
        assert record.timestamp(at_s).endswith(f".{milliseconds:03d}Z")
        assert words.clock(at_s).endswith(f".{milliseconds:03d}")
