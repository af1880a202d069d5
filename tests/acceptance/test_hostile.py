"""What a stranger sends must not act on the terminal, the disk or the process: escapes, markup, paths, broken apps."""

import os
import socket
from pathlib import Path

import pytest

from tests.acceptance.receivers import RawMessage, Sender, app, raw_request, send_raw, sink
from tests.acceptance.running import Project, unsafe_characters
from tests.ports import refusing_port

ESCAPES = (
    "\x1b]0;owned\x07",  # window title
    "\x1b]52;c;b3duZWQ=\x07",  # clipboard
    "\x1b]8;;https://example.org/\x1b\\link\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[H",
    "\x9b2J",  # the same in one C1 character
    "\x08\x08\x7f\r",
    "\u202egnp.exe\u202c",
    "\u2066\u2069\u200f\u061c",
    "[/x][bold red]markup[/]",
)
HOSTILE = "".join(ESCAPES)
# HTTP's grammar forbids control characters in fields, but neither C1 (as a byte or in UTF-8) nor bidi nor markup.
HOSTILE_FIELD = (
    b"".join(escape.encode() for escape in ESCAPES if not set(escape) & set("\x1b\x08")) + b"\x9b2J"
)


def hostile_requests() -> list[bytes]:
    """Escapes in every place a sender decides: path, query, header value, event name, body of each kind."""
    percent = "".join(f"%{byte:02x}" for byte in HOSTILE.encode())
    raw_path = b"POST /[/x][bold]/\xc2\x9b2J\xe2\x80\xae HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
    escape_in_field = b"POST /g HTTP/1.1\r\nHost: a\r\nX-Note: %b\r\n\r\n" % ESCAPES[0].encode()
    in_field = b"POST /f HTTP/1.1\r\nHost: %b\r\nX-Note: %b\r\nContent-Length: 1\r\n\r\ny"
    event = b"POST /e HTTP/1.1\r\nHost: a\r\nX-GitHub-Event: %b\r\nX-GitHub-Delivery: %b\r\nContent-Length: 2\r\n\r\n{}"
    json_body = b'{"type": "%b", "[/x]": "%b", "n": 1}' % (HOSTILE.encode(), HOSTILE.encode())
    escaped = (
        b'{"type": "\\u001b]52;c;eA==\\u0007\\u009b2J\\u202e[/x]", "id": "evt_\\u001b[2J", "object": "event"}'
    )
    bodies = [
        (json_body, "application/json"),
        (escaped, "application/json"),
        (HOSTILE.encode(), "text/plain"),
        (b"payload=" + percent.encode() + b"&[/x]=%1b%5b2J", "application/x-www-form-urlencoded"),
        (b"<a x='" + HOSTILE.encode() + b"'>[/x]" + HOSTILE.encode() + b"</a>", "text/xml"),
        (HOSTILE.encode("utf-16"), "text/plain; charset=utf-16"),
        (HOSTILE.encode(), "text/\x9b2J; charset=\x9b[/x]"),
        (
            b'--b\r\nContent-Disposition: form-data; name="'
            + HOSTILE_FIELD
            + b'"\r\n\r\n'
            + HOSTILE_FIELD
            + b"\r\n--b--\r\n",
            "multipart/form-data; boundary=b",
        ),
    ]
    return [
        raw_request(f"/{percent}?{percent}", b"{}"),
        raw_path,
        in_field % (b"a", HOSTILE_FIELD),
        escape_in_field,
        event % (HOSTILE_FIELD, HOSTILE_FIELD),
        *(raw_request("/b", body, kind=kind) for body, kind in bodies),
        raw_request("/signed", b"{}", ("Stripe-Signature", "t=\x9b2J,v1=[/x]")),
        raw_request("/signed", escaped, ("Stripe-Signature", "t=1,v1=00")),
    ]


def hostile_answer(_: RawMessage, connection: socket.socket) -> bool:
    """A failure whose reason, headers and body want to act on the terminal."""
    body = b"\n".join([HOSTILE.encode()] * 3)
    head = b"HTTP/1.1 500 \x9b2J[/x]\xe2\x80\xae\r\nX-Note: %b\r\nContent-Length: %d\r\n\r\n"
    connection.sendall(head % (HOSTILE_FIELD, len(body)) + body)
    return True


def send_all_hostile(url: str) -> int:
    """Send each on a connection of its own; how many were taken in: all but those that are no HTTP."""
    statuses = [send_raw(url, raw).status for raw in hostile_requests()]
    assert sorted(set(statuses)) == [400, 500]
    assert statuses.count(400) <= 2
    return statuses.count(500)


@pytest.mark.parametrize(
    "level", [(), ("-v",), ("-vv",), ("-vvv",)], ids=lambda level: "".join(level) or "default"
)
def test_nothing_a_stranger_sends_reaches_a_persons_terminal_raw(
    project: Project, level: tuple[str, ...]
) -> None:
    with sink(hostile_answer) as live, project.watching("--forward-to", live.url, *level) as listening:
        taken = send_all_hostile(listening.url)
        listening.wait_for_text(f"#{taken}\r\n")
        assert send_raw(listening.url, raw_request("/still/there", b"{}")).status == 500
        listening.wait_for_text("/still/there")
        listening.stop()
        assert unsafe_characters(listening.lines.raw) == []
        assert b"\x1b[" in listening.lines.raw
        assert "was detached" not in listening.text
        assert "[/x]" in listening.text
        assert listening.errors == ""


@pytest.mark.parametrize("level", ["--plain", "-vv"])
def test_nothing_a_stranger_sends_reaches_a_plain_log_raw(project: Project, level: str) -> None:
    with sink(hostile_answer) as live, project.listening("--forward-to", live.url, level) as listening:
        taken = send_all_hostile(listening.url)
        listening.stop()
        assert unsafe_characters(listening.lines.raw) == []
        assert b"\x1b" not in listening.lines.raw
        assert f"{taken} received" in listening.text
        assert listening.errors == ""


def test_what_was_recorded_is_shown_safely_later(project: Project) -> None:
    with sink(hostile_answer) as live, project.listening("--forward-to", live.url, "--json") as listening:
        taken = send_all_hostile(listening.url)
        listening.wait_for("response", taken)
        listening.stop()
        assert b"\x1b" not in listening.lines.raw
        assert listening.lines.raw.isascii()
    colourful = project.with_environment(FORCE_COLOR="1", TERM="xterm-256color")
    outputs = [colourful.run("log"), colourful.run("fixtures", "list"), colourful.run("fixtures", "lint")]
    outputs += [colourful.run("show", f"#{number}") for number in range(1, taken + 1, 2)]
    fixtures = sorted((project.folder / "fixtures").rglob("*.toml"))
    outputs += [colourful.run("fixtures", "show", str(path)) for path in fixtures[::4]]
    for output in outputs:
        assert output.exit_code in (0, 4)
        assert unsafe_characters(output.stdout) == []
        assert unsafe_characters(output.stderr) == []
    with sink(hostile_answer) as live:
        replayed = colourful.run("replay", "fixtures/unknown", "--exact", "--to", live.url)
    assert replayed.exit_code == 1
    assert unsafe_characters(replayed.stdout + replayed.stderr) == []


EVIL_NAMES = (
    "../../x",
    "/etc/passwd",
    "..",
    ".",
    "a/../../../b",
    "\\..\\..\\c",
    "CON",
    "nul.toml",
    "~root",
    "x" * 4_000,
    ".gitattributes",
    "-rf",
    "$(touch owned)",
    "naïve/éàü 🎉",
)


def test_event_names_that_are_paths_stay_inside_the_fixtures_folder(project: Project) -> None:
    before = {path for path in project.folder.parent.rglob("*") if "fixtures" not in path.parts}
    with project.listening("--json") as listening:
        with Sender(listening.url) as sender:
            for number, name in enumerate(EVIL_NAMES):
                fields = (
                    ("X-GitHub-Event", name.encode().decode("latin-1")),
                    ("X-GitHub-Delivery", f"d-{number}"),
                )
                response = sender.send(
                    raw_request(f"/{name[:20].encode().hex()}", b'{"n":%d}' % number, *fields)
                )
                assert response is not None
                assert response.status == 202
            nul = b'{"object":"event","id":"evt_nul","type":"a\\u0000b/../../c"}'
            sender.send(raw_request("/../../nul", nul, ("Stripe-Signature", "t=1,v1=00")))
        saved = listening.wait_for("saved", len(EVIL_NAMES) + 1)
        listening.stop()
        assert listening.of_type("error") == []
    root = project.folder / "fixtures"
    for event in saved:
        path = Path(event["path"])
        assert path.resolve().is_relative_to(root.resolve())
        assert path.parent.parent == root
        assert path.stat().st_mode & 0o777 == 0o600
    after = {path for path in project.folder.parent.rglob("*") if "fixtures" not in path.parts}
    new = {path.relative_to(project.folder.parent).parts[:2] for path in after - before}
    assert new <= {("project", ".webhookctl"), ("home", "stderr")}
    assert project.ok("fixtures", "lint").exit_code == 0


def test_a_fixtures_folder_that_is_a_link_elsewhere_is_not_written_through(project: Project) -> None:
    outside = project.home / "outside"
    outside.mkdir()
    (project.folder / "fixtures").mkdir()
    os.symlink(outside, project.folder / "fixtures" / "github")
    with project.listening("--json") as listening:
        sent = raw_request("/", b"{}", ("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "d-1"))
        assert send_raw(listening.url, sent).status == 202
        assert listening.wait_for("error")[0]["code"] == "fixtures-unwritable"
    assert list(outside.iterdir()) == []


def test_an_app_that_refuses_hangs_up_talks_garbage_or_is_too_slow_is_told_to_the_sender_and_shown(
    project: Project,
) -> None:
    def misbehave(request: RawMessage, connection: socket.socket) -> bool:
        behaviour = request.start.split(b" ")[1]
        if behaviour == b"/half":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        elif behaviour == b"/garbage":
            connection.sendall(b"\x1b[2Jnot HTTP at all [/x]\r\n\r\n")
        elif behaviour == b"/slow":
            connection.recv(1)  # until the other side has had enough
        return False

    with (
        refusing_port() as port,
        sink(misbehave) as live,
        project.listening(
            *("--forward-to", f"/refused=127.0.0.1:{port}"),
            *("--forward-to", live.url, "--timeout", "300ms", "--no-save"),
        ) as listening,
    ):
        answers = {
            name: send_raw(listening.url, raw_request(f"/{name}", b"{}"))
            for name in ("refused", "silent", "half", "garbage", "slow")
        }
        listening.wait_for_text("#5\n      hint")
        listening.stop()
    expected = {
        "refused": (502, b"refused", "it refuses connections"),
        "silent": (502, b"closed", "it closed the connection without an answer"),
        "half": (502, b"closed", "it closed the connection in the middle of its response"),
        "garbage": (502, b"protocol", "it did not answer in HTTP"),
        "slow": (504, b"timeout", "no answer within 0.3 s"),
    }
    for name, (status, error, message) in expected.items():
        assert answers[name].status == status, name
        assert (b"Webhookctl-Error", error) in answers[name].headers, name
        assert message in answers[name].body.decode(), name
        assert message in listening.text, name
    attempts = [exchange["attempts"][0] for exchange in project.ok("log", "--json").data["exchanges"][::-1]]
    assert [attempt["error_kind"].encode() for attempt in attempts] == [
        error for _, error, _ in expected.values()
    ]
    assert all(attempt["status"] is None for attempt in attempts)


def test_too_large_bodies_and_heads_are_refused_and_the_next_delivery_is_taken(project: Project) -> None:
    with (
        app() as live,
        project.listening("--forward-to", live.url, "--json", "--max-body", "10k") as listening,
    ):
        assert send_raw(listening.url, raw_request("/", b"x" * 10_000)).status == 200
        assert send_raw(listening.url, raw_request("/", b"x" * 10_001)).status == 413
        chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert send_raw(listening.url, chunked + b"2af8\r\n" + b"x" * 11_000 + b"\r\n0\r\n\r\n").status == 413
        assert send_raw(listening.url, raw_request("/", b"x", ("X-Long", "v" * 200_000))).status == 431
        assert send_raw(listening.url, raw_request("/", b"after")).status == 200
        refused = [event["message"] for event in listening.wait_for("error", 3)]
        listening.stop()
    assert ["413" in message for message in refused] == [True, True, False]
    assert "431" in refused[2]
    assert len(live.received) == 2
