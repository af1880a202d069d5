"""`webhookctl providers new`: a signing scheme of one's own, from options or by questions, checked and registered."""

import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from webhookctl.cli import options
from webhookctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from webhookctl.signing import Scheme
    from webhookctl.signing.draft import Draft
    from webhookctl.wiring.project import Project

_FOLDER = "providers"


def new(
    provider: Annotated[str, typer.Argument(metavar="ID", help="Lower-case letters, digits, _ and -.")],
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            metavar="'NAME: VALUE'",
            help="A header that is sent, with slots: 'X-Signature: sha256={sig}', 'X-Time: {ts}'. Repeatable.",
        ),
    ] = None,
    content: Annotated[
        str, typer.Option("--content", metavar="TEMPLATE", help="What is signed: '{ts}.{body}'.")
    ] = "{body}",
    algorithm: Annotated[
        str, typer.Option("--algorithm", metavar="NAME", help="hmac-sha256, ed25519, token, …")
    ] = "hmac-sha256",
    encoding: Annotated[
        str, typer.Option("--encoding", metavar="NAME", help="Of the signature: hex, base64, …")
    ] = "hex",
    key: Annotated[
        str, typer.Option("--key", metavar="NAME", help="How the secret becomes the key: utf8, base64, hex.")
    ] = "utf8",
    unit: Annotated[
        str, typer.Option("--time-unit", metavar="UNIT", help="Of {ts}: s, ms or iso8601.")
    ] = "s",
    tolerance: Annotated[
        str | None,
        typer.Option(
            "--tolerance", metavar="TIME", help="Age that is still accepted: 300, 5m. [default: any]"
        ),
    ] = None,
    event: Annotated[
        str,
        typer.Option(
            "--event", metavar="PLACE", help="Where the event type stands: body.type, header.X-Event."
        ),
    ] = "body.type",
    delivery_id: Annotated[
        str, typer.Option("--delivery-id", metavar="PLACE", help="Where the delivery id stands: body.id.")
    ] = "",
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="The name for people.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace the file when it is there.")] = False,
    json: options.Json = False,
) -> int:
    """Write a signing scheme of your own; without --header it asks.

    \b
    Examples:
      webhookctl providers new acme --header 'X-Acme-Signature: sha256={sig}'
      webhookctl providers new shop --header 'Shop-Sig: t={ts},v1={sig}' --content '{ts}.{body}' --tolerance 5m

    The file goes to providers/ID.toml in the project, and into `providers` of webhookctl.toml.
    """
    from webhookctl.config import parse_duration
    from webhookctl.output import envelope
    from webhookctl.signing.draft import Draft, draft_text, parse_header
    from webhookctl.wiring.project import open_project

    project = open_project()
    if header:
        draft = Draft(
            id=provider,
            name=name or provider.replace("_", " ").replace("-", " ").title(),
            headers=tuple(parse_header(text) for text in header),
            content=content,
            algorithm=algorithm,
            encoding=encoding,
            key=key,
            unit=unit,
            tolerance_s=None if tolerance is None else parse_duration(tolerance, "--tolerance"),
            event=event,
            delivery_id=delivery_id,
        )
    else:
        draft = _asked(provider, name)
    text = draft_text(draft)
    path = project.config.root / _FOLDER / f"{provider}.toml"
    scheme = _read_back(text, path)
    _write(path, text, is_replacing=force)
    registered = _register(project, path)
    if json:
        data: dict[str, object] = {"path": str(path), "provider": scheme.id, "registered": registered}
        envelope.write_envelope("providers new", data, exit_code=ExitCode.OK)
        return ExitCode.OK
    _tell(scheme, _shown(path), is_registered=registered)
    return ExitCode.OK


def _asked(provider: str, name: str) -> "Draft":
    """The answers of whoever sits at the terminal."""
    from webhookctl.signing.draft import Draft, parse_header

    if not sys.stdin.isatty():
        raise UsageError(
            "header-missing",
            "which header holds the signature?",
            "for example --header 'X-Signature: sha256={sig}'; at a terminal it asks",
        )

    def ask(question: str, default: str = "") -> str:
        return str(typer.prompt(question, default=default, show_default=bool(default), err=True)).strip()

    title = name or ask("Name of the provider", provider.replace("_", " ").replace("-", " ").title())
    header = ask("Header that holds the signature", f"X-{title.replace(' ', '-')}-Signature")
    value = ask("Its value, {sig} for the signature, {ts} for a time", "{sig}")
    headers = [parse_header(f"{header}: {value}")]
    if "{ts}" not in value:
        time_header = ask("Header that holds the time it was signed (empty for none)")
        headers += [(time_header, "{ts}")] if time_header else []
    has_time = any("{ts}" in each for _, each in headers)
    content = ask("What is signed", "{ts}.{body}" if has_time else "{body}")
    algorithm = ask("Algorithm", "hmac-sha256")
    encoding = ask("The signature is written in", "hex")
    key = ask("The secret becomes the key as utf8, base64 or hex", "utf8")
    tolerance = ask("Seconds after which a delivery is too old", "300") if has_time else ""
    event = ask("Where the event type stands", "body.type")
    return Draft(
        id=provider,
        name=title,
        headers=tuple(headers),
        content=content,
        algorithm=algorithm,
        encoding=encoding,
        key=key,
        tolerance_s=_seconds(tolerance),
        event=event,
    )


def _seconds(text: str) -> float | None:
    from webhookctl.config import parse_duration

    return parse_duration(text, "the age") if text else None


def _read_back(text: str, path: Path) -> "Scheme":
    """The scheme as it will be read, and proof that it signs. Raises UsageError `scheme-invalid`."""
    import secrets

    from webhookctl import signing
    from webhookctl.errors import SignatureError
    from webhookctl.model import Secret

    scheme = signing.parse_scheme(text, _shown(path))
    try:
        made = signing.make_key(scheme, secrets.token_bytes)
        signing.sign_request(
            scheme,
            Secret(made.secret),
            body=b"{}",
            timestamp_s=0.0,
            message_id="msg_0",
            url="http://localhost/",
        )
    except SignatureError as error:
        raise UsageError(
            "scheme-invalid", f"nothing can be signed so: {error.message}", error.hint
        ) from error
    return scheme


def _write(path: Path, text: str, *, is_replacing: bool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if is_replacing else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError("file-exists", f"{_shown(path)} exists already", "--force replaces it") from error
    except OSError as error:
        raise UsageError("file-unwritable", f"cannot write {_shown(path)}: {error.strerror}") from error


def _register(project: "Project", path: Path) -> bool:
    """True when webhookctl.toml names the file, which it is made to do where that is one plain line."""
    if path in project.config.providers:
        return True
    own = project.config.root / "webhookctl.toml"
    entry = path.relative_to(project.config.root).as_posix()
    try:
        old = own.read_text("utf-8") if own.exists() else ""
        new = _with_provider(old, entry)
        if new is None or (not old and _has_pyproject_table(project)):
            return False
        own.write_text(new, "utf-8")
    except OSError:
        return False
    return True


def _with_provider(text: str, entry: str) -> str | None:
    """`text` of a settings file with `entry` among its providers; None where it cannot be put there safely."""
    head, bracket, rest = text.partition("\n[")
    if text.startswith("["):
        head, bracket, rest = "", "", text
    new_head, count = re.subn(r"(?m)^(providers[ \t]*=[ \t]*\[)", rf'\g<1>"{entry}", ', head, count=1)
    new = new_head + bracket + rest if count else f'providers = ["{entry}"]\n{text}'
    try:
        before, after = tomllib.loads(text), tomllib.loads(new)
    except tomllib.TOMLDecodeError:
        return None
    names = after.pop("providers", [])
    expected = [entry, *before.pop("providers", [])]
    return new if names == expected and before == after else None


def _has_pyproject_table(project: "Project") -> bool:
    try:
        text = (project.config.root / "pyproject.toml").read_text("utf-8")
    except OSError:
        return False
    return "[tool.webhookctl" in text


def _tell(scheme: "Scheme", shown: str, *, is_registered: bool) -> None:
    from webhookctl.output import envelope

    envelope.write_note(f"written: {shown}")
    if not is_registered:
        envelope.write_note(f'name it in your settings: providers = ["{shown}"]')
    envelope.write_note(f"make a test key: webhookctl keys new {scheme.id} --print-secret")
    envelope.write_note(f"send an event:   webhookctl trigger {scheme.id}/order.paid")
    envelope.write_note(f"code for an app: webhookctl providers show {scheme.id} --code python")


def _shown(path: Path) -> str:
    from webhookctl.cli.listen import shown_path

    return shown_path(str(path))
