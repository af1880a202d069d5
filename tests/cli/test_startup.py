"""What a command imports: sets of modules, not milliseconds, so that slow starts cannot creep in."""

import json
import os
import subprocess
import sys

import pytest

from tests.cli.commands import DEADLINE_S, Project

NETWORK = {"aiohttp", "websockets", "httptools", "uvloop", "textual"}
HEAVY = NETWORK | {"asyncio", "ssl", "sqlite3", "rich"}

# Runs the command as `python -m webhookctl` does, then says on stderr what was imported.
_SPY = """
import sys
from webhookctl.__main__ import main
try:
    main()
finally:
    sys.stderr.write("\\nimported " + " ".join({name.partition(".")[0] for name in sys.modules}))
"""


def imported(*arguments: str, environ: dict[str, str] | None = None) -> tuple[set[str], str]:
    """The top-level modules that a command imports in a fresh process, and what it writes to stdout."""
    done = subprocess.run(
        [sys.executable, "-c", _SPY, *arguments],
        input="{}",
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr
    return set(done.stderr.rpartition("\nimported ")[2].split()), done.stdout


def test_the_version_needs_no_command_line_library(project: Project) -> None:
    modules, text = imported("--version")
    assert text.startswith("webhookctl ")
    assert not modules & (HEAVY | {"typer", "pydantic", "platformdirs", "importlib_metadata"})


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("listen", "--help"),
        ("sign", "-p", "stripe", "--secret", "s"),
        ("verify", "-p", "stripe", "--secret", "s"),
        ("verify", "-p", "stripe", "--secret", "s", "--json", "body.json"),
        ("fixtures", "list"),
        ("fixtures", "lint"),
        ("config", "show"),
        ("trigger", "--list"),
    ],
    ids=" ".join,
)
def test_what_needs_no_network_imports_none(project: Project, arguments: tuple[str, ...]) -> None:
    project.write("body.json", b"{}")
    modules, _ = imported(*arguments)
    assert "webhookctl" in modules
    assert not modules & HEAVY


def test_a_dry_run_imports_neither_server_nor_tunnel(project: Project) -> None:
    modules, _ = imported("trigger", "github/push", "--dry-run")
    assert not modules & {"aiohttp", "websockets", "textual"}


@pytest.mark.parametrize("arguments", [("log",), ("doctor",)], ids=" ".join)
def test_reading_the_history_imports_no_network_library(project: Project, arguments: tuple[str, ...]) -> None:
    modules, _ = imported(*arguments)
    assert not modules & (NETWORK | {"rich"})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("webhookctl tri", {"trigger"}),
        ("webhookctl fixtures l", {"list", "lint"}),
        ("webhookctl sign --prov", {"--provider"}),
        ("webhookctl sign -p stri", {"stripe", "stripe_thin"}),
        ("webhookctl trigger payment_intent.succ", {"payment_intent.succeeded"}),
        ("webhookctl trigger github/push", {"github/push"}),
        ("webhookctl replay stripe/", {"stripe/sample"}),
        ("webhookctl fixtures show sam", {"sample"}),
        ("webhookctl replay la", {"last"}),
    ],
)
def test_the_shell_completes_commands_options_providers_events_and_fixtures(
    project: Project, words: str, expected: set[str]
) -> None:
    project.write("fixtures/stripe/sample.toml", "format = 1\n[request]\n")
    position = len(words.split()) - 1
    environ = {"_WEBHOOKCTL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(position)}
    modules, text = imported(environ=environ)
    assert set(text.split()) == expected
    assert not modules & HEAVY


def test_completion_in_a_broken_project_is_silent(project: Project) -> None:
    project.write("webhookctl.toml", "port = \n")
    environ = {
        "_WEBHOOKCTL_COMPLETE": "complete_bash",
        "COMP_WORDS": "webhookctl replay x",
        "COMP_CWORD": "2",
    }
    _, text = imported(environ=environ)
    assert text.strip() == ""


_COUNTED = """
import sys
from webhookctl.signing import scheme_file
read = []
parse = scheme_file.parse_scheme
scheme_file.parse_scheme = lambda text, origin: (read.append(origin), parse(text, origin))[1]
from webhookctl.cli import app
code = app.run(sys.argv[1:])
sys.stderr.write(f"\\nread {sorted(set(read))}")
"""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("listen", "--port", "0", "--no-save", "--idle-timeout", "10ms"), ["generic.toml"]),
        (
            ("listen", "--port", "0", "--no-save", "--idle-timeout", "10ms", "-p", "slack"),
            ["generic.toml", "slack.toml"],
        ),
        (("providers", "list"), []),
        (("sign", "-p", "stripe", "--secret", "s"), ["stripe.toml"]),
    ],
    ids=["listen", "listen -p", "providers list", "sign"],
)
def test_no_scheme_file_is_read_that_is_not_needed(
    project: Project, arguments: tuple[str, ...], expected: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COUNTED, *arguments],
        input="{}",
        env={**os.environ, "SLACK_SIGNING_SECRET": "s"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    read = done.stderr.rpartition("\nread ")[2]
    assert "error: webhookctl" not in done.stderr
    assert set(json.loads(read.replace("'", '"'))) <= set(expected)
