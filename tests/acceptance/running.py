"""Runs the real command as people do: processes in a project of their own, their output read as it comes.

Every wait has a deadline, every process is killed at the end; nothing sleeps for a fixed time.
"""

import json
import os
import pty
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, TypeAlias
from urllib.parse import urlsplit

from tests.acceptance.starting import BASE_ENVIRONMENT, Process, start

DEADLINE_S = 30.0
"""How long anything may take before the test fails. Far above what it takes, so that a busy machine passes."""

Record: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """What a command that ended left behind."""

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
    def data(self) -> Record:
        """`data` of the JSON envelope; the envelope's exit code has to be the process's."""
        envelope = json.loads(self.stdout)
        assert envelope["exit_code"] == self.exit_code
        assert isinstance(envelope["data"], dict)
        return envelope["data"]

    @property
    def attempts(self) -> list[Record]:
        attempts = self.data["attempts"]
        assert isinstance(attempts, list)
        return attempts


class Lines:
    """The lines a process writes, collected by a thread so that it never blocks; `ended` after the last one."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._changed = threading.Condition()
        self._raw = b""
        self.ended = False
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        while True:
            try:
                data = self._read()
            except OSError:  # a pseudo-terminal says so when the process is gone
                data = b""
            with self._changed:
                self._raw += data
                self.ended = not data
                self._changed.notify_all()
            if not data:
                return

    @property
    def raw(self) -> bytes:
        with self._changed:
            return self._raw

    @property
    def whole(self) -> list[str]:
        """The lines that are complete."""
        return self.raw.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")[:-1]

    def wait_until(self, is_there: Callable[[], object], what: str) -> None:
        """Block until `is_there()`; fails with all that was written when it does not come about."""
        with self._changed:
            is_done = self._changed.wait_for(lambda: bool(is_there()) or self.ended, DEADLINE_S)
        if not is_done or not is_there():
            written = self.raw.decode("utf-8", "replace")
            raise AssertionError(f"{what} did not come; at the end of what did:\n{written[-2_000:]}")

    def join(self) -> None:
        self._thread.join(DEADLINE_S)


class Listening:
    """A running `webhookctl listen` and what it writes."""

    def __init__(self, process: Process, lines: Lines, errors: Path) -> None:
        self.process = process
        self.lines = lines
        self._errors = errors
        self.url = ""

    def wait_ready(self) -> None:
        self.lines.wait_until(lambda: self._found_url() is not None, "the ready line")
        self.url = self._found_url() or ""

    def _found_url(self) -> str | None:
        for line in self.lines.whole:
            if line.startswith('{"v":1,"type":"ready"'):
                return str(json.loads(line)["url"])
            if found := re.search(r"Ready\S* on (http\S+)", visible(line)):
                return found[1]
        return None

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def errors(self) -> str:
        """What it wrote to stderr so far."""
        return self._errors.read_text()

    @property
    def events(self) -> list[Record]:
        """All events so far (of a listener with --json)."""
        return [json.loads(line) for line in self.lines.whole]

    def of_type(self, kind: str, *, number: int | None = None) -> list[Record]:
        """The events of one type so far, of delivery `number` where that is given."""
        return [event for event in self.events if event["type"] == kind and number in (None, event["id"])]

    def wait_for(self, kind: str, count: int = 1, *, number: int | None = None) -> list[Record]:
        """Block until there are `count` events of that type; all of them."""
        self.lines.wait_until(lambda: len(self.of_type(kind, number=number)) >= count, f"{count} x {kind}")
        return self.of_type(kind, number=number)

    def wait_for_text(self, text: str) -> str:
        """Block until `text` was written, colours aside; all that was written, without colours."""
        self.lines.wait_until(lambda: text in self.text, repr(text))
        return self.text

    @property
    def text(self) -> str:
        return visible(self.lines.raw.decode("utf-8", "replace"))

    def interrupt(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def wait(self, timeout_s: float = DEADLINE_S) -> int:
        """Block until it has ended and all it wrote is read; its exit code."""
        code = self.process.wait(timeout_s)
        self.lines.join()
        return code

    def stop(self, number: int = signal.SIGINT) -> int:
        """End it as a person would; its exit code."""
        self.interrupt(number)
        return self.wait()


@dataclass(frozen=True, slots=True)
class Project:
    """A project folder, and commands run in it with an environment of their own."""

    folder: Path
    home: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """All variables that its commands see."""
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_STATE_HOME": str(self.home / "state"),
            **BASE_ENVIRONMENT,
            **self.environ,
        }

    def with_environment(self, **variables: str) -> "Project":
        """The same project seen with more variables."""
        return Project(self.folder, self.home, self.environ | variables)

    def run(self, *arguments: str, stdin: bytes = b"") -> Result:
        """Run a command to its end."""
        with TemporaryFile() as given, TemporaryFile() as stdout, TemporaryFile() as stderr:
            given.write(stdin)
            given.seek(0)
            process = self._start(arguments, given.fileno(), stdout.fileno(), stderr.fileno())
            try:
                process.wait(DEADLINE_S)
            finally:
                process.kill()
                process.wait()
            return Result(process.wait(), _content(stdout), _content(stderr))

    def ok(self, *arguments: str, stdin: bytes = b"") -> Result:
        """Run a command that has to end with 0."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, (arguments, result)
        return result

    @contextmanager
    def listening(self, *arguments: str, is_bare: bool = False, is_ready: bool = True) -> Iterator[Listening]:
        """`listen` with these arguments and `--port 0` (unless `is_bare`), ready; killed at the end."""
        port = () if is_bare else ("--port", "0")
        errors = self.home / "stderr"
        ours, theirs = os.pipe()
        with self._listening(("listen", *port, *arguments), ours, theirs, errors) as listening:
            if is_ready:
                listening.wait_ready()
            yield listening

    @contextmanager
    def watching(self, *arguments: str, **variables: str) -> Iterator[Listening]:
        """`listen --port 0` in a pseudo-terminal of 140 columns: what a person at a screen sees."""
        project = self.with_environment(TERM="xterm-256color", COLUMNS="140", LINES="40", **variables)
        ours, theirs = pty.openpty()
        errors = self.home / "stderr"
        with project._listening(("listen", "--port", "0", *arguments), ours, theirs, errors) as listening:
            listening.wait_ready()
            yield listening

    @contextmanager
    def _listening(
        self, arguments: Sequence[str], ours: int, theirs: int, errors: Path
    ) -> Iterator[Listening]:
        """A started command that writes to `theirs`, which is read at `ours`; killed at the end."""
        with open(os.devnull, "rb") as nothing, open(errors, "wb") as stderr:
            process = self._start(arguments, nothing.fileno(), theirs, stderr.fileno())
        os.close(theirs)
        listening = Listening(process, Lines(_chunks(ours)), errors)
        try:
            yield listening
        finally:
            process.kill()
            process.wait()
            listening.lines.join()
            os.close(ours)

    def _start(self, arguments: Sequence[str], *streams: int) -> Process:
        stdin, stdout, stderr = streams
        return start(
            arguments, folder=self.folder, environment=self.environment, streams=(stdin, stdout, stderr)
        )

    def files(self, folder: str = "fixtures") -> list[str]:
        """All files below a folder of the project, relative to it."""
        root = self.folder / folder
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _chunks(descriptor: int) -> Callable[[], bytes]:
    return lambda: os.read(descriptor, 65_536)


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """`text` without colours: the one kind of escape sequence that our own output may hold."""
    return _COLOUR.sub("", text)


def unsafe_characters(output: bytes) -> list[str]:
    """What in `output` a terminal would act on, colours aside: must be empty whatever came over the network."""
    text = output.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return _UNSAFE.findall(visible(text))


def is_ended(process: Process, within_s: float) -> bool:
    """Whether the process ends by itself within that time."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(within_s)
    return process.returncode is not None
