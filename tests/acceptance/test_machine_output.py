"""What programs read: clean NDJSON from `listen`, envelopes of the one-shot commands, lines without escapes."""

import base64
import json
import subprocess
import sys

import pytest

from tests.acceptance.receivers import Answer, Received, app, raw_request, send_raw
from tests.acceptance.running import DEADLINE_S, Project, unsafe_characters
from tests.ports import refusing_port

PUSH = ("X-GitHub-Event", "push")


def push(number: int) -> bytes:
    return raw_request("/hooks?a=1", b'{"n":%d}' % number, PUSH, ("X-GitHub-Delivery", f"d-{number}"))


def test_listen_json_is_one_event_a_line_in_order_and_nothing_else(project: Project) -> None:
    def answer(received: Received) -> Answer:
        return (200, b"fine") if received.body == b'{"n":1}' else (500, b"\xff")

    with app(answer) as live, project.listening("--forward-to", live.url, "--json") as listening:
        send_raw(listening.url, push(1))
        send_raw(listening.url, push(2))
        listening.wait_for("saved", 2)
        assert listening.stop() == 130
        events, errors = listening.events, listening.errors
    assert errors == ""
    assert [event["type"] for event in events if event["type"] != "saved"] == [
        *("ready", "request", "verdict", "response", "request", "verdict", "response", "stopped")
    ]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {event["v"] for event in events} == {1}
    assert [event["ts"] for event in events] == sorted(event["ts"] for event in events)

    ready = events[0]
    assert ready["targets"] == [{"url": live.url, "is_reachable": True, "reason": ""}]
    assert ready["fixtures"] == str(project.folder / "fixtures")
    request = listening.of_type("request", number=1)[0]
    assert (request["method"], request["target"]) == ("POST", "/hooks?a=1")
    assert ["X-GitHub-Event", "push"] in request["headers"]
    assert base64.b64decode(request["body_b64"]) == request["body_text"].encode() == b'{"n":1}'
    assert (request["provider"], request["event"], request["delivery_id"]) == ("github", "push", "d-1")
    verdict = listening.of_type("verdict", number=1)[0]
    assert (verdict["verdict"], verdict["scheme"]) == ("no_header", "github")
    assert verdict["reason"]
    first, second = listening.of_type("response")
    assert (first["id"], first["status"], first["error"]) == (1, 200, None)
    assert first["latency_ms"] > 0
    assert first["response"]["body_text"] == "fine"
    assert (second["id"], second["status"], second["response"]["body_text"]) == (2, 500, None)
    saved = listening.of_type("saved", number=1)[0]
    assert saved["path"] == str(project.folder / "fixtures/github/push.toml")
    stopped = events[-1]
    assert (stopped["received"], stopped["delivered"], stopped["failed"]) == (2, 1, 1)
    assert stopped["signatures_bad"] == 2


def test_a_delivery_that_got_no_answer_says_so_with_the_same_fields(project: Project) -> None:
    with (
        refusing_port() as port,
        project.listening("--forward-to", f"{port}", "--json", "--no-save") as listening,
    ):
        assert send_raw(listening.url, push(1)).status == 502
        response = listening.wait_for("response")[0]
        ready = listening.of_type("ready")[0]
    assert ready["fixtures"] is None
    assert [(target["is_reachable"], target["reason"]) for target in ready["targets"]] == [
        (False, "it refuses connections")
    ]
    assert (response["status"], response["error"]) == (None, "it refuses connections")
    assert (response["error_kind"], response["answered"]) == ("refused", 502)


def test_listen_piped_into_head_ends_by_itself_and_quietly(project: Project) -> None:
    command = f"{sys.executable} -m webhookctl listen --port 0 --json | head -n 1"
    with subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        send_raw(ready["url"], push(1))
        rest, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, rest, errors) == (0, b"", b"")


@pytest.mark.parametrize("name", ["NO_COLOR", "pipe", "--plain"])
def test_no_colour_means_no_escape_codes(project: Project, name: str) -> None:
    flags = ("--plain",) if name == "--plain" else ()
    if name == "pipe":
        running = project.listening(*flags)
    else:
        running = project.watching(*flags, **({"NO_COLOR": "1"} if name == "NO_COLOR" else {}))
    with running as listening:
        triggered = project.with_environment(NO_COLOR="1").ok("trigger", "payment_intent.succeeded", *flags)
        listening.wait_for_text("payment_intent.succeeded.toml")
        listening.stop()
        assert unsafe_characters(listening.lines.raw) == []
        if name == "NO_COLOR":  # dim and bold are no colours; rich keeps them
            assert all(
                f"\x1b[{code}m".encode() not in listening.lines.raw for code in (31, 32, 33, 34, 35, 36)
            )
        else:
            assert b"\x1b" not in listening.lines.raw
    assert b"\x1b" not in triggered.stdout


def test_quiet_shows_failures_only(project: Project) -> None:
    def answer(received: Received) -> Answer:
        return (200, b"") if b"good" in received.body else (503, b"down for lunch")

    with app(answer) as live, project.listening("--forward-to", live.url, "-q") as listening:
        send_raw(listening.url, raw_request("/", b"good"))
        send_raw(listening.url, raw_request("/", b"bad"))
        listening.wait_for_text("again: webhookctl replay '#2'")
        listening.stop()
    lines = listening.text.splitlines()
    assert not any("#1" in line or "saved " in line for line in lines[:-1])
    assert any("503 error" in line and "#2" in line for line in lines)
    assert any("| down for lunch" in line for line in lines)


def test_forced_colour_colours_a_pipe(project: Project) -> None:
    with project.with_environment(FORCE_COLOR="1").listening() as listening:
        listening.stop()
        assert b"\x1b[" in listening.lines.raw


def test_trigger_replay_and_log_use_the_same_field_names(project: Project) -> None:
    with app() as live, project.listening("--forward-to", live.url, "--json") as listening:
        forged = project.ok("trigger", "payment_intent.succeeded", "--json").attempts[0]
        path = listening.wait_for("saved")[0]["path"]
        exact = project.ok("replay", path, "--exact", "--json").attempts[0]
        resigned = project.ok("replay", path, "--json").attempts[0]
        dry = project.ok("trigger", "payment_intent.succeeded", "--dry-run", "--json").attempts[0]
        url = listening.url
        listening.wait_for("response", 3)
    assert [forged["mode"], exact["mode"], resigned["mode"]] == ["forged", "exact", "resigned"]
    for attempt in (forged, exact, resigned):
        assert (attempt["status"], attempt["error"]) == (200, None)
        assert attempt["latency_ms"] > 0
        assert set(attempt["request"]) >= {"method", "url", "headers", "body_b64"}
        assert attempt["request"]["url"] == f"{url}/"
    assert "status" not in dry
    assert set(dry["request"]) == set(forged["request"])
    exchange = project.ok("log", "--json").data["exchanges"][-1]
    assert exchange["body_b64"] == forged["request"]["body_b64"]
    assert (exchange["method"], exchange["target"]) == ("POST", "/")
    assert ["Content-Type", "application/json; charset=utf-8"] in exchange["headers"]
    assert exchange["received_at"].endswith("Z")
    assert [(attempt["status"], attempt["error"]) for attempt in exchange["attempts"]] == [(200, None)]


def test_a_dry_run_with_a_seed_is_the_same_every_time_and_is_what_goes_out(project: Project) -> None:
    flags = ("payment_intent.succeeded", "--seed", "7", "--json")
    with app() as live:
        first = project.ok("trigger", *flags, "--dry-run", "--to", live.url).attempts[0]["request"]
        sent = project.ok("trigger", *flags, "--to", live.url).attempts[0]["request"]
        assert live.received[0].body == base64.b64decode(first["body_b64"])
    assert first["body_b64"] == sent["body_b64"]
    assert first["url"] == sent["url"]
    unsigned = [[pair for pair in each["headers"] if pair[0] != "Stripe-Signature"] for each in (first, sent)]
    assert unsigned[0] == unsigned[1]
