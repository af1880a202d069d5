"""Options that several commands share, so that they are named, explained and completed alike."""

import sys
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

MANY = 1_000_000_000
"""The most that can be counted to: more is a slip of the finger."""


def complete_provider(incomplete: str) -> list[str]:
    """Provider ids for the shell, from the names of the data files."""
    from webhookctl import signing

    return [provider for provider in signing.provider_ids() if provider.startswith(incomplete)]


def complete_event(incomplete: str) -> list[str]:
    """Event names for the shell: bare ones, or `provider/event` once a slash is typed; and handshakes."""
    from webhookctl import catalogue, handshake

    names = catalogue.names()
    bare = [name.partition("/")[2] for name in names]
    challenges = [f"handshake:{row.id}" for row in handshake.load_all()]
    return sorted({name for name in [*bare, *names, *challenges] if name.startswith(incomplete)})


def complete_attack(incomplete: str) -> list[str]:
    """Names of attacks for the shell."""
    from webhookctl.signing.attack import FORGERIES

    return [attack.name for attack in FORGERIES if attack.name.startswith(incomplete)]


def complete_fixture(incomplete: str) -> list[str]:
    """Fixture names of this project for the shell."""
    from webhookctl.errors import WebhookctlError
    from webhookctl.wiring.project import open_project

    try:
        entries = open_project().fixture_folder().listing()
    except WebhookctlError:
        return []
    names = [entry.path.stem for entry in entries] + [
        f"{entry.path.parent.name}/{entry.path.stem}" for entry in entries
    ]
    return sorted({name for name in [*names, "last"] if name.startswith(incomplete)})


Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Write JSON for programs.")]
Plain: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--plain", help="Lines of text only: no colour, no cursor movement, words instead of glyphs."
    ),
]
Provider: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--provider",
        "-p",
        metavar="NAME",
        help="Who sends: stripe, github, …",
        autocompletion=complete_provider,
    ),
]
Secrets: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--secret",
        metavar="VALUE|env:NAME|file:PATH",
        help="Signing secret; repeat it while one is rotated. A value given openly is visible to others on this "
        "machine: prefer env: or file:.",
    ),
]
HeaderTexts: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="Add or replace a header. Repeatable."),
]
To: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="URL|channel:NAME",
        help="Endpoint, or a channel of a relay that this project has listened on. Default: this project's running "
        "listener, else the `endpoint` setting.",
    ),
]
Assignments: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Set a value of the body: --set data.object.amount=4200. Repeatable.",
    ),
]
Removals: TypeAlias = Annotated[
    list[str] | None, typer.Option("--unset", metavar="PATH", help="Remove a value of the body. Repeatable.")
]
Creating: TypeAlias = Annotated[
    bool, typer.Option("--set-new", help="Let --set make paths that do not exist yet.")
]
Timeout: TypeAlias = Annotated[
    str | None,
    typer.Option("--timeout", metavar="TIME", help="How long the endpoint may take: 30, 500ms, 2m."),
]
Insecure: TypeAlias = Annotated[
    bool | None,
    typer.Option("--insecure", help="Accept any certificate of the other side.", show_default=False),
]
CaFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="PATH",
        help="Certificates (PEM) to trust instead of the system's.",
        show_default=False,
    ),
]
Times: TypeAlias = Annotated[
    int, typer.Option("--times", metavar="N", min=1, max=MANY, help="Send it N times.")
]
Concurrency: TypeAlias = Annotated[
    int, typer.Option("--concurrency", metavar="N", min=1, max=1000, help="Send N at once.")
]
Rate: TypeAlias = Annotated[
    str | None, typer.Option("--rate", metavar="N/s", help="Start at most this many a second: 10/s, 30/m.")
]
OwnsHost: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--i-own-this-host",
        help="Allow attacks and load (more than 100, or 10 at once) on a host that is not local.",
    ),
]
FixtureFolderOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--fixtures", metavar="DIR", help="Folder of the fixtures, instead of the configured one."),
]


def read_stdin() -> bytes:
    """All of standard input; a person at a terminal is told that it is read."""
    if sys.stdin.isatty():
        from webhookctl.output import envelope

        envelope.write_note("reading standard input: paste the body, then Ctrl-D")
    return sys.stdin.buffer.read()


def read_input(name: str) -> bytes:
    """The bytes of the file `name`, or of standard input for `-`. Raises UsageError `file-unreadable`."""
    from webhookctl.errors import UsageError

    if name == "-":
        return read_stdin()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            "file-unreadable", f"{name} cannot be read: {reason}", "give a file, or - for stdin"
        ) from error
