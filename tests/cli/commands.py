"""Runs commands as a user would and returns what they wrote: in this process, or in one of its own."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import typer.main

from webhookctl.cli import app
from webhookctl.model import Attempt, Capture, Detection, Headers, Request, Response, Verdict, VerdictKind

NOW_S = 1_790_000_000.0
"""When the recorded deliveries of these tests came in."""
DEADLINE_S = 60


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended and what it wrote."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode()

    @property
    def errors(self) -> str:
        return self.stderr.decode()

    @property
    def envelope(self) -> dict[str, Any]:
        document = json.loads(self.stdout)
        assert isinstance(document, dict)
        assert document["exit_code"] == self.exit_code
        return document

    @property
    def data(self) -> dict[str, Any]:
        data = self.envelope["data"]
        assert isinstance(data, dict)
        return data


def run(*arguments: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None) -> Result:
    """Run a command in this process and the current folder."""
    stdout, stderr = io.BytesIO(), io.BytesIO()
    with (
        closing(io.TextIOWrapper(stdout, "utf-8", write_through=True)) as out,
        closing(io.TextIOWrapper(stderr, "utf-8", write_through=True)) as errors,
        closing(io.TextIOWrapper(io.BytesIO(stdin), "utf-8")) as given,
        patch.dict(os.environ, environ or {}),
        patch("typer.main.get_command", _command_of),
        patch.multiple(sys, stdin=given, stdout=out, stderr=errors),
    ):
        exit_code = app.run(arguments)
        return Result(exit_code, stdout.getvalue(), stderr.getvalue())


_command_of = cache(typer.main.get_command)
"""All commands made from their functions once, not for each call: that takes longer than most commands do."""


def run_process(
    *arguments: str,
    stdin: bytes = b"",
    environ: Mapping[str, str] | None = None,
    stdout: int = subprocess.PIPE,
    redirection: str = "",
) -> Result:
    """Run a command as a process of its own, where the state of a process matters; `redirection` is the shell's."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "webhookctl", *arguments],
        input=stdin,
        env={**os.environ, **(environ or {})},
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=DEADLINE_S,
        check=False,
    )
    return Result(done.returncode, done.stdout or b"", done.stderr)


@dataclass(frozen=True, slots=True)
class Project:
    """The folder that commands run in, and the home of who runs them."""

    folder: Path
    home: Path

    @property
    def history_path(self) -> Path:
        return self.folder / ".webhookctl" / "history.sqlite3"

    def write(self, name: str, content: bytes | str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def development_secret(self) -> str:
        """The project's own secret, made when there is none."""
        result = run("listen", "--print-secret")
        assert result.exit_code == 0
        return result.text.strip()

    def record(self, *deliveries: "Delivery") -> None:
        """Put deliveries into the history, the first as #1."""
        asyncio.run(_record(self.folder, deliveries))


_OK = Verdict(VerdictKind.OK, "stripe", "ok")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery for the history."""

    body: bytes = b'{"id":"evt_1","type":"invoice.paid"}'
    headers: Headers = ((b"Content-Type", b"application/json"),)
    provider: str | None = "stripe"
    event: str | None = "invoice.paid"
    verdict: Verdict = _OK
    attempts: tuple[Attempt, ...] = ()
    delivery_id: str | None = None


def answered(status: int, body: bytes = b"") -> Attempt:
    """An attempt that was answered so."""
    response = Response(status, "", ((b"Content-Type", b"text/plain"),), body)
    return Attempt("http://127.0.0.1:3000/hooks", NOW_S + 1, 12.5, response)


async def _record(folder: Path, deliveries: Sequence[Delivery]) -> None:
    from webhookctl.store.history_writer import HistoryWriter
    from webhookctl.store.project import ProjectState

    state = ProjectState(folder)
    state.create()
    async with HistoryWriter(state.history_path, now_s=lambda: NOW_S) as history:
        for delivery in deliveries:
            request = Request("POST", "/hooks", delivery.headers, delivery.body)
            capture = Capture(request, NOW_S, "127.0.0.1:50000")
            detection = Detection(delivery.provider, delivery.event, delivery.delivery_id)
            exchange_id, _ = await history.append((capture, detection, delivery.verdict))
            history.add_attempts(exchange_id, delivery.attempts)


def signature(provider: str, body: bytes, *, timestamp: float = NOW_S, secret: str = "file:secret") -> str:
    """A `Name: value` header that `webhookctl sign` makes; `secret` as in `--secret`."""
    result = run("sign", "-p", provider, "--secret", secret, "--timestamp", str(int(timestamp)), stdin=body)
    assert result.exit_code == 0, result.errors
    return result.text.rstrip("\n")
