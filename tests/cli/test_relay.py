"""`relay serve` and `relay channel`: on the data folder, told to the relay that runs there, and by the admin API."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any
from urllib.error import HTTPError

import pytest

from tests.cli.commands import DEADLINE_S, NOW_S, Project, Result, run
from tests.cli.test_machine_output import validator
from tests.cli.test_startup import HEAVY, imported
from webhookctl import events
from webhookctl.output.painter import PlainPainter
from webhookctl.output.relay import ServeLines, ServeNdjson

KEY = "an-admin-key-of-the-tests"


def channel(*arguments: str, exit_code: int = 0, data: str = "relay-data") -> Any:
    """Run a command on channels with --json; `data` of its envelope, which fits its schema."""
    place = () if "--admin" in arguments else ("--data", data)
    result = run("relay", "channel", *arguments, *place, "--json")
    assert (result.exit_code, result.errors) == (exit_code, "")
    name = "relay-channel-list" if arguments[0] == "list" else "relay-channel"
    validator(name).validate(result.envelope)
    return result.envelope["data"]


def refusal(result: Result) -> str:
    """The code of the one error of a command that was run with --json."""
    [error] = result.envelope["errors"]
    assert error["message"]
    return str(error["code"])


class Relay:
    """A relay that runs as a process of its own and tells what happens as JSON."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stdout is not None
        self._lines: IO[str] = process.stdout
        self.ready = self.event()

    def event(self) -> dict[str, Any]:
        line = json.loads(self._lines.readline())
        validator("relay-serve").validate(line)
        assert isinstance(line, dict)
        return line

    def stop(self) -> tuple[int, list[dict[str, Any]]]:
        """The exit code after Ctrl-C, and the events until then."""
        self.process.send_signal(signal.SIGINT)
        found = [json.loads(line) for line in self._lines]
        return self.process.wait(DEADLINE_S), found


@contextmanager
def serving(*arguments: str) -> Iterator[Relay]:
    command = [sys.executable, "-m", "webhookctl", "relay", "serve", "--listen", "127.0.0.1:0", "--json"]
    environ = {**os.environ, "RELAY_ADMIN_KEY": KEY}
    with subprocess.Popen(
        [*command, "--data", "relay-data", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ,
    ) as process:  # fmt: skip
        try:
            yield Relay(process)
        finally:
            process.kill()


def posted(url: str, body: bytes = b"{}") -> tuple[int, str]:
    """Status and Webhookctl-Status of a delivery."""
    try:
        with urllib.request.urlopen(url, data=body, timeout=DEADLINE_S) as answer:
            return answer.status, answer.headers["Webhookctl-Status"]
    except HTTPError as error:
        with error:
            return error.code, error.headers["Webhookctl-Status"]


def test_a_channel_is_made_listed_shown_changed_and_removed_on_the_data_folder(project: Project) -> None:
    made = channel("new", "my-app")
    assert made["key"].startswith("wck_")
    assert made["url"] == f"{made['relay_url']}/{made['id']}"
    assert [each["name"] for each in channel("list")["channels"]] == ["my-app"]
    assert "key" not in channel("show", "my-app")
    assert channel("show", made["id"])["name"] == "my-app"
    changed = channel(
        "set", "my-app", "--policy", "unavailable", "--deadline", "25s", "--retention", "1d", "--max-pending", "7",
        "--max-body", "1MiB", "--max-pending-bytes", "10MB", "--rate", "300/m", "--burst", "9",
        "--allow", "192.0.2.0/24", "--allow", "192.0.3.1", "--respond", "204",
        "--gate", "stripe", "--gate-secret", "env:STRIPE_WEBHOOK_SECRET",
    )  # fmt: skip
    expected = {
        "policy": "unavailable", "deadline_s": 25, "retention_s": 86_400, "max_pending": 7,
        "max_body_bytes": 1_048_576, "max_pending_bytes": 10_000_000, "rate_per_s": 5, "burst": 9,
        "allow": ["192.0.2.0/24", "192.0.3.1/32"], "respond": "204",
        "gate": {"provider": "stripe", "secret": "env:STRIPE_WEBHOOK_SECRET"},
    }  # fmt: skip
    assert {name: changed[name] for name in expected} == expected
    back = channel("set", "my-app", "--allow", "any", "--respond", "none", "--gate", "none", "--rate", "0")
    assert (back["allow"], back["respond"], back["gate"], back["rate_per_s"]) == ([], None, None, 0)
    assert channel("pause", "my-app")["is_paused"] is True
    assert channel("resume", "my-app")["is_paused"] is False
    assert channel("rotate", "my-app")["key"] != made["key"]
    assert channel("revoke", "my-app")["is_revoked"] is True
    assert channel("remove", "my-app")["name"] == "my-app"
    assert channel("list")["channels"] == []


def test_the_key_is_shown_once_and_how_to_listen_with_it(project: Project) -> None:
    made = run("relay", "channel", "new", "my-app", "--data", "d").text
    assert made.count("wck_") == 2  # itself, and in the command to copy
    assert "webhookctl listen --relay http://127.0.0.1:4480" in made
    for command in ("show", "pause", "revoke"):
        assert "wck_" not in run("relay", "channel", command, "my-app", "--data", "d").text
    listing = run("relay", "channel", "list", "--data", "d").text
    assert "my-app" in listing
    assert "revoked" in listing
    for path in (project.folder / "d").iterdir():
        assert path.is_dir() or b"wck_" not in path.read_bytes()


def test_without_a_folder_the_users_own_is_taken(project: Project) -> None:
    assert run("relay", "channel", "new", "my-app").exit_code == 0
    assert list(project.home.rglob("relay.sqlite3"))
    assert run("relay", "channel", "list", "--json").data["channels"][0]["name"] == "my-app"


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (("new", "My App"), "channel-name-invalid", 2),
        (("new", ""), "channel-name-invalid", 2),
        (("new", "x", "--policy", "queue"), "policy-invalid", 2),
        (("new", "x", "--deadline", "soon"), "duration-invalid", 2),
        (("new", "x", "--max-body", "huge"), "size-invalid", 2),
        (("new", "x", "--rate", "fast"), "rate-invalid", 2),
        (("new", "x", "--allow", "here"), "network-invalid", 2),
        (("new", "x", "--respond", "ok"), "respond-invalid", 2),
        (("new", "x", "--gate", "stripe"), "gate-invalid", 2),
        (("new", "x", "--gate", "strype", "--gate-secret", "env:A"), "provider-unknown", 2),
        (("new", "x", "--gate", "stripe", "--gate-secret", "whsec_open"), "gate-secret-invalid", 2),
        (("new", "x", "--max-pending", "-1"), "channel-option-invalid", 2),
        (("set", "x"), "channel-option-missing", 2),
        (("show", "x"), "relay-data-missing", 2),
        (("show", "x", "--admin-key", "env:HOME"), "admin-url-missing", 2),
        (("show", "x", "--admin", "http://127.0.0.1:9"), "place-ambiguous", 2),
    ],
)
def test_what_cannot_be_is_refused_with_a_code(
    project: Project, arguments: tuple[str, ...], code: str, exit_code: int
) -> None:
    result = run("relay", "channel", *arguments, "--data", "d", "--json")
    assert (result.exit_code, refusal(result)) == (exit_code, code)
    assert result.envelope["command"] == f"relay channel {arguments[0]}"
    assert b"whsec_open" not in result.stdout


def test_looking_leaves_nothing_behind(project: Project) -> None:
    assert channel("list")["channels"] == []
    assert run("relay", "channel", "list").errors.startswith("no channels yet")
    assert not (project.folder / "relay-data").exists()
    channel("new", "x")
    assert (
        refusal(run("relay", "channel", "show", "y", "--data", "relay-data", "--json")) == "channel-unknown"
    )


def test_options_that_change_take_only_what_was_named(project: Project) -> None:
    channel("new", "x", "--deadline", "7s", "--sse")
    changed = channel("set", "x", "--no-sse", "--policy", "hold")
    assert (changed["deadline_s"], changed["sse"], changed["policy"]) == (7, False, "hold")
    text = run("relay", "channel", "show", "x", "--data", "relay-data").text
    assert re.search(r"\n  deadline +7 s\n", text)
    assert re.search(r"\n  sse +no\n", text)


def test_removing_is_said(project: Project) -> None:
    channel("new", "x")
    result = run("relay", "channel", "remove", "x", "--data", "relay-data")
    assert (result.text, result.errors) == ("x\n", "removed:\n")


def test_a_key_is_never_given_openly_and_never_goes_without_tls(project: Project) -> None:
    for arguments, code in (
        (("--admin", "http://127.0.0.1:9", "--admin-key", "open"), "admin-key-literal"),
        (("--admin", "http://relay.example.com", "--admin-key", "env:HOME"), "admin-url-insecure"),
        (("--admin", "http://127.0.0.1:9", "--admin-key", "env:NOT_SET"), "secret-missing"),
    ):
        assert refusal(run("relay", "channel", "list", *arguments, "--json")) == code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--listen", "nowhere"), "listen-invalid"),
        (("--listen", "127.0.0.1:99999"), "listen-invalid"),
        (("--trusted-proxy", "here"), "network-invalid"),
        (("--tls-cert", "a.pem"), "tls-invalid"),
        (("--admin-key", "open"), "admin-key-literal"),
        (("--address-rate", "fast"), "rate-invalid"),
        (("--anonymous", "--anonymous-ttl", "long"), "duration-invalid"),
        (("--public-url", "hooks example"), "url-invalid"),
        (("--data", "/dev/null/x"), "relay-data-unusable"),
    ],
)
def test_a_relay_that_cannot_be_served_says_why(
    project: Project, arguments: tuple[str, ...], code: str
) -> None:
    result = run("relay", "serve", *arguments, "--json")
    assert (result.exit_code, refusal(result)) == (2, code)


def test_a_relay_that_runs_obeys_commands_on_its_folder_at_once(project: Project) -> None:
    before = channel("new", "early")
    with serving() as relay:
        assert relay.ready["channels"] == 1
        assert before["id"] in channel("show", "early")["url"]
        made = channel("new", "late")
        assert made["url"].startswith(relay.ready["url"])
        assert posted(made["url"] + "/x?y=1") == (202, "queued")
        answered = relay.event()
        assert (answered["type"], answered["channel"], answered["target"]) == ("answered", "late", "/x?y=1")
        assert channel("show", "late")["pending"] == 1
        channel("revoke", "late")
        assert posted(made["url"]) == (404, "refused")
        assert relay.event()["reason"] == "unknown"
        second = run("relay", "serve", "--data", "relay-data", "--json")
        assert refusal(second) == "relay-data-in-use"
        assert refusal(run("relay", "channel", "remove", "late", "--data", "relay-data", "--json")) == (
            "confirmation-missing"
        )
        channel("remove", "late", "--yes")
        code, [*_, last] = relay.stop()
        assert code == 130
        assert (last["type"], last["received"], last["refused"], last["pending"]) == ("stopped", 1, 1, 0)
    assert [each["name"] for each in channel("list")["channels"]] == ["early"]


def test_a_relay_elsewhere_is_administered_with_its_key(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving("--admin-key", "env:RELAY_ADMIN_KEY", "--public-url", "https://hooks.example.com") as relay:
        assert relay.ready["has_admin_key"] is True
        monkeypatch.setenv("RELAY_ADMIN_KEY", KEY)
        monkeypatch.setenv("WRONG", "wrong")
        elsewhere = ("--admin", relay.ready["url"], "--admin-key", "env:RELAY_ADMIN_KEY")
        made = channel("new", "my-app", *elsewhere)
        assert made["url"] == f"https://hooks.example.com/{made['id']}"
        assert channel("set", "my-app", "--policy", "hold", *elsewhere)["policy"] == "hold"
        assert channel("rotate", "my-app", *elsewhere)["key"] != made["key"]
        assert channel("pause", "my-app", *elsewhere)["is_paused"] is True
        assert len(channel("list", *elsewhere)["channels"]) == 1
        assert refusal(run("relay", "channel", "show", "no", *elsewhere, "--json")) == "channel-unknown"
        bad = run("relay", "channel", "set", "my-app", "--policy", "hol", *elsewhere, "--json")
        assert (bad.exit_code, refusal(bad)) == (2, "policy-invalid")
        wrong = run("relay", "channel", "list", *elsewhere[:2], "--admin-key", "env:WRONG", "--json")
        assert (wrong.exit_code, refusal(wrong)) == (6, "admin-key-wrong")
        assert "--admin-key env:" in run("relay", "channel", "list", *elsewhere[:2]).errors
        assert channel("remove", "my-app", *elsewhere)["id"] == made["id"]
    gone = run("relay", "channel", "list", *elsewhere, "--json")
    assert (gone.exit_code, refusal(gone)) == (6, "relay-unreachable")


def test_what_is_no_relay_is_told_from_one(project: Project) -> None:
    with serving() as relay:
        page = relay.ready["url"] + "/elsewhere"
        assert refusal(run("relay", "channel", "list", "--admin", page, "--json")) == "relay-refused"


def test_a_gate_reads_its_secret_beside_the_data(project: Project) -> None:
    with serving() as relay:
        project.write("relay-data/stripe.key", "whsec_of_the_relay\n")
        made = channel("new", "paid", "--gate", "stripe", "--gate-secret", "file:stripe.key")
        assert posted(made["url"]) == (401, "refused")
        assert relay.event()["reason"] == "signature"
        project.write("body.json", b'{"type":"invoice.paid"}')
        signature = run(
            "sign", "-p", "stripe", "--secret", "file:relay-data/stripe.key", "body.json"
        ).text.strip()
        name, _, value = signature.partition(": ")
        request = urllib.request.Request(
            made["url"], b'{"type":"invoice.paid"}', {name: value, "Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            assert answer.status == 202


NASTY = "evil\x1b]52;c;AAAA\x07\x9b2J\u202e"
EVENTS: list[events.ServeEvent] = [
    events.ServingStarted(
        "http://0.0.0.0:4480", "http://0.0.0.0:4480", "in.example.com", "/srv/relay", 2, 3,
        has_admin_key=True, is_open=True, has_guests=False, is_loopback=False,
    ),
    events.DeliveryAnswered(NOW_S, "my-app", "d1", 7, "192.0.2.7:1", "POST", f"/{NASTY}", 1200, 202, "queued", 3.2),
    events.DeliveryRefused(NOW_S, "", "192.0.2.7:1", NASTY, f"/{NASTY}", 404, "unknown", NASTY),
    events.TunnelOpened(NOW_S, "my-app", "192.0.2.7:1", "consume", 4),
    events.TunnelClosed(NOW_S, "my-app", "192.0.2.7:1", NASTY),
    events.ErrorOccurred("sample", NASTY, NASTY),
    events.Stopping(1),
    events.ServingStopped("interrupted", 5, 1, 3),
]  # fmt: skip


def lines(*shown: events.ServeEvent, is_quiet: bool = False) -> list[str]:
    stream = io.StringIO()
    render = ServeLines(PlainPainter(stream), is_quiet=is_quiet)
    for event in shown:
        render(event)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("event", EVENTS, ids=range(len(EVENTS)))
def test_each_event_fits_one_form_and_no_line_steers_the_terminal(event: events.ServeEvent) -> None:
    stream = io.StringIO()
    ServeNdjson(stream, now_s=lambda: NOW_S)(event)
    validator("relay-serve").validate(json.loads(stream.getvalue()))
    for text in (stream.getvalue(), *lines(event)):
        assert not set(text.rstrip("\n")) & {chr(code) for code in (*range(32), *range(127, 160), 0x202E)}


def test_every_kind_of_event_is_shown_here() -> None:
    from typing import get_args

    assert {type(event) for event in EVENTS} == set(get_args(events.ServeEvent))


def test_the_lines_say_what_happened() -> None:
    shown = lines(*EVENTS)
    text = "\n".join(shown)
    assert "anybody who reaches it can make channels (--open-channels)" in text
    assert "nothing is encrypted" in text
    assert "webhookctl relay channel new my-app --data /srv/relay" in text
    assert "webhookctl listen --relay http://0.0.0.0:4480" in text
    assert any(line.endswith("202 queued  3.2 ms  #7") and "-> my-app  POST /evil" in line for line in shown)
    assert any("404 refused: unknown" in line for line in shown)
    assert any("consume connected  4 waiting" in line for line in shown)
    assert shown[-1] == "Stopped (interrupted): 5 received, 1 refused, 3 waiting on disk"


def test_a_long_target_is_cut_in_the_middle_for_people() -> None:
    answered = next(event for event in EVENTS if isinstance(event, events.DeliveryAnswered))
    refused = next(event for event in EVENTS if isinstance(event, events.DeliveryRefused))
    target = "/start" + "x" * 8_000 + "end"
    shown = lines(replace(answered, target=target), replace(refused, target=target))
    assert all("/start" in line and "end  " in line and len(line) < 400 for line in shown)
    assert len(shown) == 2


def test_quiet_leaves_start_end_and_errors() -> None:
    text = "\n".join(lines(*EVENTS, is_quiet=True))
    assert "Ready on" in text
    assert "error:" in text
    assert "Stopped" in text
    assert "queued" not in text
    assert "refused:" not in text


@pytest.mark.parametrize(
    "arguments", [("relay", "--help"), ("relay", "serve", "-h"), ("relay", "channel", "new", "-h")]
)
def test_the_help_of_the_relay_imports_no_network(project: Project, arguments: tuple[str, ...]) -> None:
    modules, _ = imported(*arguments)
    assert not modules & HEAVY


def test_commands_on_channels_import_no_server(project: Project) -> None:
    modules, _ = imported("relay", "channel", "list")
    assert "sqlite3" in modules
    assert not modules & {"aiohttp", "websockets", "rich"}
