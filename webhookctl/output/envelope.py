"""The one JSON envelope of one-shot commands, and errors for people: `error: …`, then `hint: …`.

Must not know commands; they hand over data and an exit code.
"""

import json
import sys
from collections.abc import Sequence
from typing import IO

from webhookctl.errors import ExitCode, WebhookctlError
from webhookctl.output.record import Record

VERSION = 1


def write_envelope(
    command: str, data: Record | None, *, exit_code: ExitCode, errors: Sequence[Record] = ()
) -> None:
    """Write `{"version","command","status","exit_code","data","errors"}` to stdout."""
    status = "success" if exit_code is ExitCode.OK else "error" if data is None else "finding"
    document: Record = {
        "version": VERSION,
        "command": command,
        "status": status,
        "exit_code": int(exit_code),
        "data": data,
        "errors": list(errors),
    }
    write(json.dumps(document, indent=2) + "\n")


def error_record(error: WebhookctlError) -> Record:
    return {"code": error.code, "message": error.message, "hint": error.hint}


def write(text: str, stream: IO[str] | None = None) -> None:
    """Write text that is safe already (or is data that has to stay exact) to stdout, at once."""
    target = sys.stdout if stream is None else stream
    target.write(text)
    target.flush()


def write_bytes(data: bytes) -> None:
    """Write bytes to stdout as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def write_error(error: WebhookctlError) -> None:
    """Write `error: …` and `hint: …` to stderr."""
    from webhookctl.formats import safe_text

    _write_stderr(
        f"error: {safe_text(error.message)}\n" + (f"hint: {safe_text(error.hint)}\n" if error.hint else "")
    )


def write_help(text: str) -> None:
    """Write the help of a command that was called without what it needs to stderr."""
    _write_stderr(text.rstrip("\n") + "\n")


def write_traceback(error: BaseException) -> None:
    """Write where `error` and its causes came from to stderr. It shows lines of code, no values of variables."""
    from traceback import format_exception

    from webhookctl.formats import safe_text

    _write_stderr(safe_text("".join(format_exception(error))))


def write_note(text: str) -> None:
    """Write one line for people to stderr."""
    from webhookctl.formats import safe_line

    _write_stderr(safe_line(text) + "\n")


def discard_output() -> None:
    """Whoever read our output is gone: let Python's own flush at exit go nowhere instead of failing."""
    import os

    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())


def _write_stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
