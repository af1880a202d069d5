"""`webhookctl log` and `webhookctl show`: what the history holds."""

import asyncio
import re

import pytest

from tests.cli.commands import NOW_S, Delivery, Project, answered, run
from webhookctl.model import (
    Attempt,
    Capture,
    Detection,
    Failure,
    FailureKind,
    Finding,
    Request,
    Verdict,
    VerdictKind,
)

BAD = Verdict(VerdictKind.WRONG_SECRET, "github", "wrong secret")
REFUSED = Attempt(
    "http://127.0.0.1:3000/hooks", NOW_S, 1.5, None, Failure(FailureKind.REFUSED, "it refuses connections")
)


@pytest.fixture
def recorded(project: Project) -> Project:
    """Five deliveries of different providers, verdicts and outcomes."""
    project.record(
        Delivery(attempts=(answered(200, b"thanks"),)),
        Delivery(provider="github", event="push", verdict=BAD, attempts=(answered(404),)),
        Delivery(event="payment_intent.succeeded", attempts=(REFUSED, answered(503, b"later"))),
        Delivery(event="payment_intent.canceled", attempts=(REFUSED,)),
        Delivery(
            b"\x00\xff", (), None, None, Verdict(VerdictKind.UNKNOWN_SCHEME, None, "no provider recognised")
        ),
    )
    return project


def ids(*filters: str) -> list[int]:
    result = run("log", "--json", *filters)
    assert (result.exit_code, result.errors) == (0, "")
    return [exchange["id"] for exchange in result.data["exchanges"]]


def test_the_newest_delivery_comes_first_one_a_line(recorded: Project) -> None:
    result = run("log")
    lines = [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "WHEN", line) for line in result.text.splitlines()]
    assert lines == [
        "#5  WHEN  unknown  POST /hooks               sig -    not forwarded",
        "#4  WHEN  stripe   payment_intent.canceled   sig ok   no answer: it refuses connections  1.5 ms",
        "#3  WHEN  stripe   payment_intent.succeeded  sig ok   503 error  12 ms  (2 attempts)",
        "#2  WHEN  github   push                      sig BAD  404 refused  12 ms",
        "#1  WHEN  stripe   invoice.paid              sig ok   200 ok  12 ms",
    ]
    assert result.errors == ""


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ((), [5, 4, 3, 2, 1]),
        (("-n", "2"), [5, 4]),
        (("--provider", "stripe"), [4, 3, 1]),
        (("-p", "stripe", "-n", "1"), [4]),
        (("--event", "payment_intent.*"), [4, 3]),
        (("--event", "push"), [2]),
        (("--status", "200"), [1]),
        (("--status", "4xx"), [2]),
        (("--status", "5xx"), [3]),
        (("--status", "failed"), [4, 3, 2]),
        (("--status", "none"), [5]),
        (("--status", "503", "--event", "invoice.*"), []),
        (("--bad-signature",), [2]),
    ],
)
def test_filters_leave_what_fits_all_of_them(
    recorded: Project, filters: tuple[str, ...], expected: list[int]
) -> None:
    assert ids(*filters) == expected


def test_why_a_signature_was_refused_is_shown_long_after(project: Project) -> None:
    finding = Finding("body-newline", "send the bytes as they are", "", ("secret-other",))
    verdict = Verdict(VerdictKind.BODY_CHANGED, "github", "the body lost a newline", finding)
    project.record(Delivery(provider="github", event="push", verdict=verdict), Delivery(verdict=BAD))
    lines = run("show", "1").text.splitlines()
    at = lines.index("sig BAD the body lost a newline")
    assert lines[at + 1 : at + 3] == [
        "cause body-newline, secret-other",
        "fix send the bytes as they are",
    ]
    assert "\nfix " not in run("show", "2").text
    kept = [exchange["cause"] for exchange in run("log", "--json").data["exchanges"]]
    assert kept == [
        None,
        {
            "code": "body-newline",
            "words": "the body lost a newline",
            "fix": "send the bytes as they are",
            "secret": None,
            "also": ["secret-other"],
        },
    ]


def test_what_is_left_out_is_told_on_stderr(recorded: Project) -> None:
    some = run("log", "-n", "2")
    assert len(some.text.splitlines()) == 2
    assert some.errors == "2 of 5 recorded deliveries; webhookctl show '#5' shows one\n"
    none = run("log", "--status", "410")
    assert (none.stdout, none.errors) == (b"", "none of 5 recorded deliveries fits\n")


@pytest.mark.parametrize("status", ["999", "abc", "2x", "", "20"])
def test_a_status_that_is_none_is_refused(project: Project, status: str) -> None:
    result = run("log", "--status", status)
    assert (result.exit_code, result.stdout) == (2, b"")
    assert result.errors == f"error: --status {status!r} is no status\nhint: give 200, 4xx, failed or none\n"


def test_a_misspelt_provider_does_not_look_like_an_empty_history(recorded: Project) -> None:
    result = run("log", "-p", "strpe")
    assert (result.exit_code, result.errors) == (
        2,
        "error: no provider 'strpe'\nhint: did you mean stripe?\n",
    )


@pytest.mark.parametrize("limit", ["0", "-1", "x"])
def test_a_limit_is_a_whole_number_from_one(project: Project, limit: str) -> None:
    result = run("log", "-n", limit)
    assert result.exit_code == 2
    assert result.errors.startswith("error: Invalid value for '--limit' / '-n'")


def test_an_empty_history_is_no_error_and_makes_no_file(project: Project) -> None:
    result = run("log")
    assert (result.exit_code, result.stdout, result.errors) == (0, b"", "nothing recorded yet\n")
    assert run("log", "--json").data == {"exchanges": [], "total": 0}
    assert not (project.folder / ".webhookctl").exists()


@pytest.mark.parametrize("command", [("log",), ("show", "1"), ("verify", "1"), ("fixtures", "save", "1")])
def test_a_damaged_history_is_named_with_what_to_do(project: Project, command: tuple[str, ...]) -> None:
    project.write(".webhookctl/history.sqlite3", b"this is no database, whatever its name says" * 50)
    result = run(*command)
    assert (result.exit_code, result.stdout) == (2, b"")
    assert result.errors.startswith(f"error: the history {project.history_path} cannot be used: ")
    assert result.errors.splitlines()[1].startswith("hint: ")


def test_a_history_is_read_while_a_listener_writes_it(project: Project) -> None:
    async def read_while_writing() -> tuple[list[int], str]:
        from webhookctl.store.history_writer import HistoryWriter
        from webhookctl.store.project import ProjectState

        state = ProjectState(project.folder)
        state.create()
        capture = Capture(Request("POST", "/", (), b"{}"), NOW_S, "127.0.0.1:5")
        verdict = Verdict(VerdictKind.OK, "stripe", "ok")
        async with HistoryWriter(state.history_path, now_s=lambda: NOW_S) as history:
            await history.append((capture, Detection("stripe", "invoice.paid"), verdict))
            found = await asyncio.to_thread(ids)
            await history.append((capture, Detection("stripe", "invoice.paid"), verdict))
            return found, (await asyncio.to_thread(run, "show", "2")).text.splitlines()[0]

    assert asyncio.run(read_while_writing()) == ([1], "#2  stripe  invoice.paid")


def test_show_has_request_verdict_and_every_attempt(recorded: Project) -> None:
    text = run("show", "#3").text
    assert text.startswith("#3  stripe  payment_intent.succeeded\nreceived ")
    for part in (
        "\nsig ok\n",
        "\nPOST /hooks HTTP/1.1\nContent-Type: application/json\n\n{\n",
        '  "type": "invoice.paid"\n',
        "\n-> http://127.0.0.1:3000/hooks  ",
        "\nno answer: it refuses connections  1.5 ms\n",
        "\n503 error  12 ms\nContent-Type: text/plain\n\nlater\n",
    ):
        assert part in text


def test_show_takes_the_newest_delivery_by_itself(recorded: Project) -> None:
    assert run("show").text == run("show", "last").text == run("show", "5").text == run("show", "#5").text


def test_the_body_alone_is_written_byte_for_byte(recorded: Project) -> None:
    result = run("show", "5", "--body")
    assert (result.stdout, result.stderr) == (b"\x00\xff", b"")


def test_show_as_json_has_the_exchange_as_log_has_it(recorded: Project) -> None:
    exchange = run("show", "3", "--json").data["exchange"]
    assert exchange == run("log", "--json").data["exchanges"][2]
    first, second = exchange["attempts"]
    assert (first["status"], first["error_kind"], first["response"]) == (None, "refused", None)
    assert (second["status"], second["error"], second["response"]["body_text"]) == (503, None, "later")


@pytest.mark.parametrize("target", ["x", "", "#", "-1", "1.5"])
def test_a_target_that_is_no_number_is_refused(project: Project, target: str) -> None:
    # `--` lets what begins with a dash be an argument.
    result = run("show", "--", target)
    assert (result.exit_code, result.stdout) == (2, b"")
    assert result.errors == f"error: {target!r} is no delivery\nhint: give a number such as '#18', or last\n"


def test_a_number_that_was_not_recorded_is_told(recorded: Project) -> None:
    for number in ("6", "0", "9" * 30):
        result = run("show", number)
        assert (result.exit_code, result.stdout) == (4, b"")
        assert result.errors == (
            f"error: the history has no delivery {number}\nhint: webhookctl log shows what there is\n"
        )


def test_what_came_from_the_network_cannot_steer_the_terminal(project: Project) -> None:
    project.record(
        Delivery(
            b'{"a":"\x1b[31m"}\x1b]0;title\x07\xe2\x80\xae',
            ((b"X-Evil", b"\x1b[2J\x9b1m"),),
            event="\x1b[31mpush\u202e",
            attempts=(answered(500, b"\x1b[31mred"),),
        )
    )
    for command in (("log",), ("show", "1")):
        output = run(*command)
        assert output.exit_code == 0
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(output.text)
