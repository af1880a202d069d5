"""`webhookctl fixtures`: list, show, lint, format and save the fixtures of a project."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from webhookctl.cli import options
from webhookctl.errors import ExitCode, FixtureError, UsageError

if TYPE_CHECKING:
    from webhookctl.store.fixtures import FixtureFolder
    from webhookctl.wiring.project import Project

app = typer.Typer(no_args_is_help=True)

Targets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TARGET",
        help="Names, paths, folders or globs. [default: all]",
        autocompletion=options.complete_fixture,
    ),
]


@app.callback()
def fixtures() -> None:
    """Work with the fixtures: saved deliveries as a pair of files, readable in a review and exact to the byte."""


@app.command("list")
def list_fixtures(
    folder: options.FixtureFolderOption = None, json: options.Json = False, plain: options.Plain = False
) -> int:
    """List the fixtures.

    \b
    Examples:
      webhookctl fixtures list
      webhookctl fixtures list --json | jq '.data.fixtures[].name'
    """
    from webhookctl.output import envelope
    from webhookctl.wiring.project import open_project

    entries = _folder(open_project(), folder).listing()
    if json:
        from webhookctl.output import record

        data: dict[str, object] = {
            "fixtures": [
                {
                    "name": f"{entry.path.parent.name}/{entry.path.stem}",
                    "path": str(entry.path),
                    "provider": entry.provider,
                    "event": entry.event,
                    "received_at": record.timestamp(entry.received_at.timestamp())
                    if entry.received_at
                    else None,
                    "size": entry.size,
                    "is_edited": entry.is_edited,
                    "problem": entry.problem or None,
                }
                for entry in entries
            ]
        }
        envelope.write_envelope("fixtures list", data, exit_code=ExitCode.OK)
        return ExitCode.OK
    from webhookctl.config import forces_color
    from webhookctl.output.fixtures import listing_lines
    from webhookctl.output.painter import painter

    paint = painter(is_plain=plain, is_colour_forced=forces_color())
    for line in listing_lines(entries):
        paint.line(line)
    if not entries:
        envelope.write_note(
            "no fixtures yet: `webhookctl listen` saves them, or `webhookctl fixtures save '#1'`"
        )
    return ExitCode.OK


@app.command("show")
def show(
    target: Annotated[str, typer.Argument(metavar="FIXTURE", autocompletion=options.complete_fixture)],
    body: Annotated[bool, typer.Option("--body", help="Write the wire body alone, byte for byte.")] = False,
    folder: options.FixtureFolderOption = None,
    json: options.Json = False,
    plain: options.Plain = False,
) -> int:
    """Show a fixture: request line, headers, body, verdict.

    \b
    Examples:
      webhookctl fixtures show payment_intent.succeeded
      webhookctl fixtures show github/push --body | jq .
    """
    from webhookctl.output import envelope
    from webhookctl.wiring.project import open_project

    fixture_folder = _folder(open_project(), folder)
    path = only_path(fixture_folder, target)
    saved = fixture_folder.load(path)
    if body:
        envelope.write_bytes(saved.request.body)
        return ExitCode.OK
    if json:
        from webhookctl.output import record

        data: dict[str, object] = {
            "name": saved.name,
            "path": str(path),
            "provider": saved.provider,
            "event": saved.event,
            "delivery_id": saved.delivery_id,
            "received_at": record.timestamp(saved.received_at.timestamp()) if saved.received_at else None,
            **record.request(saved.request),
            "is_edited": saved.is_edited,
        }
        envelope.write_envelope("fixtures show", data, exit_code=ExitCode.OK)
        return ExitCode.OK
    from webhookctl.config import forces_color
    from webhookctl.output.fixtures import fixture_lines
    from webhookctl.output.painter import painter

    paint = painter(is_plain=plain, is_colour_forced=forces_color())
    for line in fixture_lines(saved):
        paint.line(line)
    return ExitCode.OK


@app.command("lint")
def lint(
    targets: Targets = None,
    secrets: Annotated[
        bool, typer.Option("--secrets/--no-secrets", help="Look for secrets that should be redacted.")
    ] = True,
    folder: options.FixtureFolderOption = None,
    json: options.Json = False,
) -> int:
    """Check fixtures: form, body hash, line ends, secrets. Exit code 4 when one is wrong.

    \b
    Examples:
      webhookctl fixtures lint
      webhookctl fixtures lint fixtures/stripe --json
    """
    from webhookctl.output import envelope
    from webhookctl.wiring.project import open_project

    fixture_folder = _folder(open_project(), folder)
    paths = _paths(fixture_folder, targets)
    problems = fixture_folder.lint(paths, secrets=secrets)
    code = ExitCode.FIXTURE if problems else ExitCode.OK
    if json:
        data: dict[str, object] = {
            "checked": len(paths),
            "problems": [
                {
                    "path": str(problem.path),
                    "code": problem.code,
                    "message": problem.message,
                    "hint": problem.hint,
                }
                for problem in problems
            ],
        }
        envelope.write_envelope("fixtures lint", data, exit_code=code)
        return code
    from webhookctl.formats import safe_line
    from webhookctl.output.words import counted

    for problem in problems:
        text = (
            problem.message if str(problem.path) in problem.message else f"{problem.path}: {problem.message}"
        )
        envelope.write(f"{safe_line(text)}\n")
        if problem.hint:
            envelope.write(f"  hint: {safe_line(problem.hint)}\n")
    envelope.write_note(f"{counted(len(paths), 'fixture')} checked, {counted(len(problems), 'problem')}")
    return code


@app.command("fmt")
def fmt(
    targets: Targets = None, folder: options.FixtureFolderOption = None, json: options.Json = False
) -> int:
    """Lay fixtures out anew; the request stays the same to the byte.

    \b
    Examples:
      webhookctl fixtures fmt
      webhookctl fixtures fmt fixtures/stripe/payment_intent.succeeded.toml
    """
    from webhookctl.output import envelope
    from webhookctl.wiring.project import open_project

    fixture_folder = _folder(open_project(), folder)
    paths = _paths(fixture_folder, targets)
    changed = [str(path) for path in paths if fixture_folder.format_file(path)]
    if json:
        envelope.write_envelope(
            "fixtures fmt", {"checked": len(paths), "changed": changed}, exit_code=ExitCode.OK
        )
    else:
        from webhookctl.output.words import counted

        envelope.write("".join(f"formatted {path}\n" for path in changed))
        envelope.write_note(f"{len(changed)} of {counted(len(paths), 'fixture')} changed")
    return ExitCode.OK


@app.command("save")
def save(
    target: Annotated[str, typer.Argument(metavar="#ID|last", help="A delivery of the history.")],
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Its name. [default: the event]")] = None,
    keep_secrets: Annotated[bool, typer.Option("--keep-secrets", help="Do not redact.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--fixtures", metavar="DIR", help="Folder of the fixtures.")
    ] = None,
    json: options.Json = False,
) -> int:
    """Make a fixture of a recorded delivery.

    \b
    Examples:
      webhookctl fixtures save '#18'
      webhookctl fixtures save last card-declined
    """
    from webhookctl.output import envelope
    from webhookctl.wiring.project import open_project
    from webhookctl.wiring.sources import held_exchange, is_exchange

    if target != "last" and not is_exchange(target):
        raise UsageError("id-invalid", f"{target!r} is no delivery", "give a number such as '#18', or last")
    project = open_project()
    saved = project.fixture_of(held_exchange(project, target), name=name, keep_secrets=keep_secrets)
    path = project.fixture_folder(folder).save(saved, limit=None)
    if json:
        envelope.write_envelope("fixtures save", {"path": str(path)}, exit_code=ExitCode.OK)
    else:
        envelope.write(f"{path}\n")
    return ExitCode.OK


def only_path(fixture_folder: "FixtureFolder", target: str) -> Path:
    """The one fixture that `target` means. Raises FixtureError `fixture-ambiguous`, `fixture-unknown`."""
    paths = fixture_folder.resolve(target)
    if len(paths) > 1:
        raise FixtureError(
            "fixture-ambiguous", f"{target} is {len(paths)} fixtures", f"for example {paths[0]}"
        )
    return paths[0]


def _folder(project: "Project", folder: Path | None) -> "FixtureFolder":
    """The project's fixtures, which may be none yet, or those in `folder`, which must be there."""
    found = project.fixture_folder(folder)
    if not os.path.isdir(found.root) and (folder is not None or os.path.exists(found.root)):
        raise UsageError("fixtures-missing", f"there is no folder {found.root}", "check --fixtures")
    return found


def _paths(fixture_folder: "FixtureFolder", targets: list[str] | None) -> list[Path]:
    if not targets:
        return [entry.path for entry in fixture_folder.listing()]
    return [path for target in targets for path in fixture_folder.resolve(target)]
