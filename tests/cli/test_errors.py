"""Errors: one form, on stderr, with an exit code of their own; never a traceback that nobody asked for."""

import errno
import json
import os

import pytest

from tests.cli.commands import Delivery, Project, answered, run, run_process
from webhookctl.errors import EndpointError, ExitCode, FixtureError, SignatureError, UsageError

WRONG_CALLS = [
    ("nonsense",),
    ("sign", "--provdier", "stripe"),
    ("sign", "a", "b"),
    ("sign", "-p"),
    ("sign", "-p", "strpe"),
    ("verify", "missing.json"),
    ("log", "-n", "x"),
    ("log", "--status", "x"),
    ("show", "x"),
    ("show", "1"),
    ("fixtures", "lst"),
    ("fixtures", "show", "x"),
    ("fixtures", "show"),
    ("fixtures", "save", "x"),
    ("config", "shw"),
    ("trigger",),
    ("trigger", "no.such.event"),
    ("trigger", "github/push"),
    ("trigger", "github/push", "--to", "ftp://example.com"),
    ("replay", "x"),
    ("replay",),
    ("listen", "--port", "70000"),
    ("listen", "--timeout", "soon"),
]


@pytest.mark.parametrize("arguments", WRONG_CALLS, ids=" ".join)
def test_an_error_is_one_line_and_a_hint_on_stderr(project: Project, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code in (2, 4)
    assert result.stdout == b""
    lines = result.errors.splitlines()
    assert lines[0].startswith("error: ")
    assert len(lines) == 2
    assert lines[1].startswith("hint: ")
    assert not lines[0].endswith(".")


@pytest.mark.parametrize("arguments", WRONG_CALLS, ids=" ".join)
def test_with_json_the_error_is_an_envelope_on_stdout(project: Project, arguments: tuple[str, ...]) -> None:
    plain, result = run(*arguments), run(*arguments, "--json")
    assert result.errors == ""
    envelope = result.envelope
    assert (envelope["status"], envelope["data"], result.exit_code) == ("error", None, plain.exit_code)
    assert envelope["command"].split() == list(arguments[: len(envelope["command"].split())])
    [error] = envelope["errors"]
    assert plain.errors.startswith(f"error: {error['message']}\nhint: ") or arguments == ("sign", "-p")


def test_the_envelope_of_a_group_names_the_whole_command(project: Project) -> None:
    assert run("fixtures", "show", "x", "--json").envelope["command"] == "fixtures show"
    assert run("show", "x", "--json").envelope["command"] == "show"


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (("trigge",), "Did you mean 'trigger'?"),
        (("fixtures", "lst"), "Did you mean 'list'?"),
        (("sign", "--provdier", "x"), "--provider"),
        (("sign", "-p", "gihub"), "did you mean github?"),
        (("trigger", "payment_intent.suceeded"), "payment_intent.succeeded"),
    ],
)
def test_typing_errors_get_a_suggestion(
    project: Project, arguments: tuple[str, ...], suggestion: str
) -> None:
    assert suggestion in run(*arguments).errors


def planted(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `log` fail with `error`."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("webhookctl.wiring.project.open_project", fail)


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (UsageError("sample", "no"), 2),
        (SignatureError("sample", "no"), 3),
        (FixtureError("sample", "no"), 4),
        (EndpointError("sample", "no"), 5),
        (KeyboardInterrupt(), 130),
        (RuntimeError("no"), 70),
        (OSError(errno.EACCES, "no"), 70),
        (OSError(errno.ENOSPC, "no"), 2),
    ],
    ids=repr,
)
def test_each_kind_of_error_has_its_exit_code(
    project: Project, monkeypatch: pytest.MonkeyPatch, error: BaseException, exit_code: int
) -> None:
    monkeypatch.setattr("webhookctl.output.envelope.discard_output", lambda: None)
    planted(monkeypatch, error)
    assert run("log").exit_code == exit_code


def test_success_findings_signatures_and_fixtures_have_theirs(project: Project) -> None:
    project.development_secret()
    project.record(Delivery())
    project.write("fixtures/stripe/broken.toml", "format = \n")
    project.write("webhookctl.toml", 'provider = "strpe"\n')
    assert run("log").exit_code == ExitCode.OK
    assert run("doctor").exit_code == ExitCode.FINDING
    assert run("verify", "1", "-p", "stripe").exit_code == ExitCode.SIGNATURE
    assert run("fixtures", "lint").exit_code == ExitCode.FIXTURE


def test_an_endpoint_that_is_not_there_has_exit_code_5(project: Project, refusing: str) -> None:
    result = run("trigger", "github/push", "--secret", "s", "--to", f"{refusing}/")
    assert result.exit_code == 5


ODD_NAMES = [
    "",
    ".",
    "..",
    "a/b/../../..",
    "x" * 5_000,
    "~",
    "*",
    "[",
    "#",
    "#x",
    "-1",
    "\udcff",
    "\n",
    "a.toml/b",
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=[ascii(name)[1:20] for name in ODD_NAMES])
def test_a_name_that_means_nothing_is_no_bug(
    project: Project, refusing: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (project.folder / "down" / "here").mkdir(parents=True)
    monkeypatch.chdir(project.folder / "down" / "here")
    to = ("--to", refusing)
    for arguments in (
        ("replay", *to),
        ("replay", "--exact", *to),
        ("test", *to),
        ("verify", "--provider", "stripe"),
        ("sign", "--provider", "stripe", "--secret", "s"),
        ("show",),
        ("drift",),
        ("contract", "learn", *to),
        ("fixtures", "show"),
        ("fixtures", "lint"),
        ("fixtures", "fmt"),
        ("fixtures", "save"),
        ("providers", "show"),
        ("providers", "lint"),
        ("providers", "detect"),
        ("keys", "new"),
        ("keys", "show"),
        ("trigger", *to),
        ("relay", "channel", "show", "--data", "relay-data"),
    ):
        result = run(*arguments, "--", name)
        assert result.exit_code in range(7), (arguments, result.errors)


@pytest.mark.parametrize(
    "arguments",
    [
        ("fixtures", "list", "--fixtures", "x" * 5_000),
        ("relay", "channel", "list", "--data", "x" * 5_000),
        ("relay", "channel", "list", "--admin", "x" * 64),
        ("replay", "x", "--to", "."),
        ("trigger", "push", "--to", "x" * 64),
        ("log", "--limit", "9" * 400),
        ("trigger", "push", "--times", "9" * 400),
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_a_value_beyond_all_bounds_is_no_bug(project: Project, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code in range(7), result.errors


@pytest.mark.parametrize("name", [*ODD_NAMES[:5], "\0"], ids=lambda name: ascii(name)[1:20])
def test_a_fixture_of_a_contract_that_cannot_be_one_is_told(
    project: Project, refusing: str, name: str
) -> None:
    project.write(
        "odd.contract.toml",
        f"version = 1\n[receiver]\nurl = '{refusing}'\n[[cases]]\nname = 'a'\nsend = {json.dumps(name)}\n".encode(),
    )
    result = run("test", "odd.contract.toml")
    assert result.exit_code in (2, 4), result.errors
    assert "odd.contract.toml:4" in result.errors


def test_a_bug_of_ours_says_so_and_asks_for_a_report(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(monkeypatch, ZeroDivisionError("planted"))
    result = run("log")
    assert (result.exit_code, result.stdout) == (70, b"")
    first, second = result.errors.splitlines()
    assert first.startswith("error: webhookctl ")
    assert first.endswith(" failed: ZeroDivisionError: planted")
    assert second.startswith("hint: this is a bug of ours")
    assert run("log", "--json").envelope["errors"][0]["code"] == "internal"


@pytest.mark.parametrize(
    "arguments", [("--traceback", "show", "x"), ("show", "x", "--traceback")], ids=" ".join
)
def test_a_traceback_comes_when_it_is_asked_for_before_the_error(
    project: Project, arguments: tuple[str, ...]
) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, b"")
    assert result.errors.startswith("Traceback (most recent call last):\n")
    assert result.errors.endswith("hint: give a number such as '#18', or last\n")


def test_the_traceback_of_a_bug_leads_to_where_it_happened(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(monkeypatch, ZeroDivisionError("planted"))
    result = run("log", "--traceback", "--json")
    assert result.exit_code == 70
    assert "in fail\n" in result.errors
    assert result.envelope["errors"][0]["code"] == "internal"


def test_what_an_error_repeats_cannot_steer_the_terminal(project: Project) -> None:
    for arguments in (("show", "\x1b[31m"), ("fixtures", "show", "\x1b]0;x\x07"), ("\x1b[2J",)):
        assert not {"\x1b", "\x07"} & set(run(*arguments).errors)


def test_whoever_stops_reading_is_no_error(project: Project) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = run_process("trigger", "--list", stdout=writing)
    finally:
        os.close(writing)
    assert (result.exit_code, result.errors) == (0, "")


@pytest.mark.parametrize(
    "arguments", [("config", "show"), ("trigger", "--list"), ("log", "--json")], ids=" ".join
)
def test_a_full_disk_is_told_as_such(project: Project, arguments: tuple[str, ...]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        result = run_process(*arguments, stdout=full)
    finally:
        os.close(full)
    assert result.exit_code == 2
    assert result.errors == (
        "error: cannot write: No space left on device\nhint: make room, then run it again\n"
    )


@pytest.mark.parametrize("descriptor", [0, 1, 2])
def test_a_closed_stream_is_an_empty_one(project: Project, descriptor: int) -> None:
    result = run_process("sign", "-p", "github", "--secret", "s", redirection=f"{descriptor}>&-")
    assert result.exit_code == 0
    assert (result.text.startswith("X-Hub-Signature-256: ")) is (descriptor != 1)


@pytest.mark.parametrize(
    "environ",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["ascii", "C locale"],
)
def test_what_the_terminal_cannot_show_is_written_in_another_way(
    project: Project, environ: dict[str, str]
) -> None:
    project.record(Delivery('{"name":"Zoë"}'.encode(), attempts=(answered(500, "→ ü".encode()),)))
    shown = run_process("show", "1", environ=environ)
    assert shown.exit_code == 0
    assert b'"Zo\\xeb"' in shown.stdout
    for arguments in (("trigger", "--help"), ("log",), ("show", "ü"), ("sign", "-p", "\udcff")):
        result = run_process(*arguments, environ=environ)
        assert result.exit_code in (0, 2)
        assert b"Traceback" not in result.stderr
        assert b"bug" not in result.stderr
