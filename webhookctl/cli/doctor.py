"""`webhookctl doctor`: what is installed, where files live, what would go wrong."""

from typing import TYPE_CHECKING, NamedTuple

from webhookctl import __version__
from webhookctl.cli import options
from webhookctl.errors import ExitCode, WebhookctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from webhookctl.wiring.project import Project

_PACKAGES = (
    "typer",
    "rich",
    "aiohttp",
    "websockets",
    "httptools",
    "uvloop",
    "msgspec",
    "cryptography",
    "stripe",
)
_LOW_SPACE_BYTES = 256 * 1024 * 1024


class Finding(NamedTuple):
    """One line of the report. `state` is ok, warn or fail."""

    state: str
    subject: str
    detail: str


def doctor(json: options.Json = False, plain: options.Plain = False) -> int:
    """Check the installation and this project; exit code 1 when something would not work.

    \b
    Examples:
      webhookctl doctor
      webhookctl doctor --json | jq '.data.findings[] | select(.state != "ok")'
    """
    from webhookctl.output import envelope

    findings = list(_findings())
    code = ExitCode.FINDING if any(finding.state == "fail" for finding in findings) else ExitCode.OK
    if json:
        data: dict[str, object] = {"findings": [finding._asdict() for finding in findings]}
        envelope.write_envelope("doctor", data, exit_code=code)
        return code
    from webhookctl.config import forces_color
    from webhookctl.formats import safe_line
    from webhookctl.output.painter import painter

    paint = painter(is_plain=plain, is_colour_forced=forces_color())
    width = max(len(finding.subject) for finding in findings)
    styles = {"ok": "ok", "warn": "warn", "fail": "bad"}
    for finding in findings:
        subject = finding.subject.ljust(width)
        paint.line(
            [
                (styles[finding.state], finding.state.ljust(4)),
                ("plain", f"  {subject}  "),
                ("dim" if finding.state == "ok" else "plain", safe_line(finding.detail)),
            ]
        )
    return code


def _findings() -> "Iterator[Finding]":
    import platform
    import sys

    from webhookctl.wiring.project import open_project

    yield Finding(
        "ok", "webhookctl", f"{__version__}, Python {platform.python_version()} at {sys.executable}"
    )
    yield Finding("ok", "packages", ", ".join(_installed()))
    try:
        project = open_project()
    except WebhookctlError as error:
        yield Finding("fail", "configuration", f"{error.message} ({error.hint})")
        return
    files = ", ".join(str(path) for path in project.config.files) or "no file, defaults only"
    yield Finding("ok", "project", str(project.config.root))
    yield Finding("ok", "configuration", files)
    for subject, check in (
        ("providers", _providers),
        ("secrets", _secrets),
        ("state folder", _state),
        ("history", _history),
        ("fixtures", _fixtures),
        ("listener", _listener),
        ("relay", _relay),
    ):
        yield from _guarded(subject, check, project)


def _guarded(
    subject: str, check: "Callable[[Project], Iterator[Finding]]", project: "Project"
) -> "Iterator[Finding]":
    try:
        yield from check(project)
    except WebhookctlError as error:
        yield Finding("fail", subject, f"{error.message} ({error.hint})" if error.hint else error.message)


def _installed() -> list[str]:
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return found


def _providers(project: "Project") -> "Iterator[Finding]":
    if project.config.provider is not None:
        project.scheme(project.config.provider)
    for source in project.config.secrets:
        if source.provider not in project.provider_ids():
            yield Finding(
                "warn", "providers", f"{source.origin}: a secret for {source.provider}, which is not known"
            )
    own = f", {len(project.own_schemes)} of your own" if project.own_schemes else ""
    yield Finding("ok", "providers", f"{len(project.provider_ids())} known{own}")


def _secrets(project: "Project") -> "Iterator[Finding]":
    for provider in project.provider_ids():
        for secret in project.known_secrets(provider):
            yield Finding("ok", "secret", f"{provider}: {secret.origin}")
    development = project.state.peek_development_secret()
    yield Finding("ok", "secret", "development: made" if development else "development: made at first use")


def _state(project: "Project") -> "Iterator[Finding]":
    import os
    import shutil

    folder = project.state.folder
    parent = folder if folder.exists() else folder.parent
    if not parent.is_dir():
        yield Finding("fail", "state folder", f"{parent} is not a folder: nothing could be recorded")
        return
    if not os.access(parent, os.W_OK):
        yield Finding("fail", "state folder", f"{parent} is not writable: nothing could be recorded")
        return
    free = shutil.disk_usage(parent).free
    state = "warn" if free < _LOW_SPACE_BYTES else "ok"
    yield Finding(state, "state folder", f"{folder}, {free // 1_000_000:,} MB free")


def _history(project: "Project") -> "Iterator[Finding]":
    from webhookctl.output import words
    from webhookctl.store.history import History

    path = project.state.history_path
    with History(path) as history:
        count = history.count()
    files = (path, path.with_name(f"{path.name}-wal"))
    size = sum(file.stat().st_size for file in files if file.exists())
    yield Finding(
        "ok",
        "history",
        f"{count:,} {'delivery' if count == 1 else 'deliveries'}, {words.size(size)}, at {path}",
    )


def _fixtures(project: "Project") -> "Iterator[Finding]":
    folder = project.fixture_folder()
    entries = folder.listing()
    broken = [entry for entry in entries if entry.problem]
    for entry in broken:
        yield Finding("warn", "fixtures", entry.problem)
    if folder.root.exists() and not folder.root.is_dir():
        yield Finding("fail", "fixtures", f"{folder.root} is not a folder")
        return
    writable = _is_writable(folder.root)
    detail = f"{len(entries)} at {folder.root}" + ("" if writable else ", which is not writable")
    yield Finding("ok" if writable else "fail", "fixtures", detail)


def _is_writable(folder: "Path") -> bool:
    import os

    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)


def _listener(project: "Project") -> "Iterator[Finding]":
    import socket

    running = project.state.running_listeners()
    for listener in running:
        yield Finding("ok", "listener", f"running at {listener.url} (process {listener.pid})")
    if running:
        return
    config = project.config
    with socket.socket(socket.AF_INET6 if ":" in config.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.host, config.port))
        except OSError as error:
            detail = f"port {config.port} on {config.host} cannot be used: {error.strerror}; choose another with --port"
            yield Finding("warn", "listener", detail)
        else:
            yield Finding("ok", "listener", f"none running; {config.host} port {config.port} is free")


def _relay(project: "Project") -> "Iterator[Finding]":
    """Says nothing in a project without a relay."""
    if project.config.relay is None:
        return
    from webhookctl.cli.running import run_async
    from webhookctl.wiring.own_channel import look_at

    yield Finding("ok", "relay", run_async(look_at(project, project.config.relay)))
