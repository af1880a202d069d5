"""Runs cloudflared or ngrok beside a local listener: started, watched, started again, ended with us.

Knows their command lines and what they print; nothing of deliveries. Lines: cloudflared's log, ngrok's JSON log.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from webhookctl.errors import RelayError
from webhookctl.net.tunnel import Backoff, Clock

_URL_S = 30.0  # from the start to its URL
_PATIENCE_S = 3.0  # then its complaints are told, if it has any and still no URL
_READY_S = 10.0  # from its URL to its first connection; then it is taken as ready anyway
_GRACE_S = 3.0
_PIPE_S = 0.5  # what it started may hold its output open for longer
_LINE_BYTES = 16 * 1024
_KEPT_LINES, _KEPT_LETTERS = 12, 300
_PUBLIC = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?/?\Z")
_BOXED = re.compile(r"\|\s+(https://\S+)\s+\|")
_CLOUDFLARED_PROBLEM = re.compile(r"\b(?:ERR|FTL)\s+(.*)")
# Between fork and exec: die with the parent (prctl PR_SET_PDEATHSIG, SIGKILL), unless that has died already.
_GUARD = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(1, 9)\n"
    "if os.getppid() != int(sys.argv[1]): sys.exit(1)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


@dataclass(slots=True)
class Output:
    """What a tunnel program has said so far: its URL, whether it is connected, its complaints, its last lines."""

    url: str = ""
    is_ready: bool = False
    problems: deque[str] = field(default_factory=lambda: deque(maxlen=3))
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    @property
    def complaint(self) -> str:
        """Why it does not work, in its own words: its complaints, else the last it said."""
        return "; ".join(self.problems) or (self.lines[-1] if self.lines else "it printed nothing")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tunnel program: its arguments for a local URL, how a line of it is read, how to get it, what errors mean."""

    name: str
    arguments: Callable[[str], Sequence[str]]
    read: Callable[[str, Output], None]
    install: str
    hints: Sequence[tuple[str, str]]


def _cloudflared_arguments(url: str) -> Sequence[str]:
    # A configuration of the user's would make it refuse quick tunnels.
    unchecked = ("--no-tls-verify",) if url.startswith("https:") else ()
    return ("tunnel", "--config", os.devnull, "--no-autoupdate", *unchecked, "--url", url)


def _read_cloudflared(line: str, output: Output) -> None:
    if boxed := _BOXED.search(line):
        output.url = boxed[1]
    elif "Registered tunnel connection" in line:
        output.is_ready = True
    elif problem := _CLOUDFLARED_PROBLEM.search(line):
        if os.devnull not in problem[1]:  # that its configuration is empty is as we want it
            output.problems.append(problem[1])
    elif line.startswith(("failed", "error", "Error")):
        output.problems.append(line)


def _ngrok_arguments(url: str) -> Sequence[str]:
    return ("http", url, "--log", "stdout", "--log-format", "json")


def _read_ngrok(line: str, output: Output) -> None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        text = line.removeprefix("ERROR:").strip()
        if line.startswith("ERROR:") and text:
            output.problems.append(text)
        return
    if record.get("msg") == "started tunnel" and isinstance(record.get("url"), str):
        output.url, output.is_ready = record["url"], True
    problem = record.get("err")
    if (
        record.get("lvl") in ("eror", "error", "crit")
        and isinstance(problem, str)
        and problem not in ("", "<nil>")
    ):
        output.problems.append(problem[:_KEPT_LETTERS])


CLOUDFLARED = Tool(
    "cloudflared",
    _cloudflared_arguments,
    _read_cloudflared,
    "install it (developers.cloudflare.com, downloads of cloudflared); no account is needed",
    (("429", "Cloudflare limits new quick tunnels: wait some minutes, or use --tunnel ngrok"),),
)
NGROK = Tool(
    "ngrok",
    _ngrok_arguments,
    _read_ngrok,
    "install it (ngrok.com/download) and give it your token: ngrok config add-authtoken TOKEN",
    (
        ("ERR_NGROK_4018", "ngrok needs an account: ngrok config add-authtoken TOKEN"),
        ("ERR_NGROK_105", "ngrok does not accept your token: ngrok config add-authtoken TOKEN"),
        ("ERR_NGROK_107", "ngrok does not accept your token: ngrok config add-authtoken TOKEN"),
        ("ERR_NGROK_108", "another ngrok of yours runs: your plan allows one at a time"),
        ("ERR_NGROK_334", "another ngrok of yours has this address: stop that one"),
    ),
)
TOOLS = {tool.name: tool for tool in (CLOUDFLARED, NGROK)}


def locate(tool: Tool) -> str:
    """Where the program is. Raises RelayError `tunnel-missing`."""
    program = shutil.which(tool.name)
    if program is None:
        raise RelayError("tunnel-missing", f"{tool.name} is not found on the PATH", tool.install)
    return program


class SpawnedTunnel:
    """One tunnel program for the listener at `local_url`. `open`, `run` in a task, `stop` in any case.

    `on_open` gets the public URL each time it is up again, `on_lost` why it ended and when it is tried again (s),
    `on_trouble` what it complains of while its URL is waited for.
    """

    def __init__(
        self,
        tool: Tool,
        local_url: str,
        *,
        clock: Clock,
        on_open: Callable[[str], Awaitable[None]],
        on_trouble: Callable[[str], None],
        on_lost: Callable[[str, float], None],
    ) -> None:
        self._tool = tool
        self._local_url = local_url
        self._clock = clock
        self._on_open = on_open
        self._on_trouble = on_trouble
        self._on_lost = on_lost
        self._process: asyncio.subprocess.Process | None = None
        self._output = Output()
        self._reading: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    async def open(self) -> str:
        """Start it; the public URL. Raises RelayError `tunnel-missing`, `tunnel-failed` or `tunnel-timeout`."""
        await self._start(locate(self._tool))
        try:
            await self._wait_for_url()
        except TimeoutError as error:
            await self.stop()
            raise RelayError("tunnel-timeout", *self._told(f"gave no URL within {_URL_S:g} s")) from error
        if not self._output.url:
            code = await self.stop()
            raise RelayError("tunnel-failed", *self._told(f"ended with exit code {code} before it was up"))
        with suppress(TimeoutError):
            await self._until(lambda output: output.is_ready, _READY_S)
        return self._output.url

    async def _wait_for_url(self) -> None:
        """Return when it has a URL or has ended. Raises TimeoutError."""
        try:
            await self._until(lambda output: bool(output.url), min(_PATIENCE_S, _URL_S))
        except TimeoutError:
            if self._output.problems:
                self._on_trouble(f"{self._tool.name} has no public URL yet: {self._output.problems[-1]}")
            await self._until(lambda output: bool(output.url), _URL_S - _PATIENCE_S)

    async def run(self) -> None:
        """Watch it for ever, and start it again when it ends."""
        backoff = Backoff(self._clock.chance)
        while True:
            started_s = self._clock.steady_s()
            if self._reading is not None:
                await asyncio.wait({self._reading})
            code = await self.stop()
            reason = f"{self._tool.name} ended (exit code {code}): {self._output.complaint}"
            url = ""
            while not url:
                wait_s = backoff.next_s(lasted_s=self._clock.steady_s() - started_s, least_s=1.0)
                self._on_lost(reason, wait_s)
                await self._clock.sleep(wait_s)
                started_s = self._clock.steady_s()
                try:
                    url = await self.open()
                except RelayError as error:
                    reason = error.message
            await self._on_open(url)

    async def stop(self) -> int | None:
        """End it and all it has started; its exit code, None when it never ran. May be called twice."""
        process, reading = self._process, self._reading
        self._process = self._reading = None
        if process is None or reading is None:
            return None
        try:
            # One that closed its output is most likely ending by itself: then its exit code is worth telling.
            code = await _exit_code(process, 0.2 if reading.done() else 0.0)
            _signal_group(process.pid, signal.SIGTERM)
            await _exit_code(process, _GRACE_S)
        finally:
            _signal_group(process.pid, signal.SIGKILL)
        await process.wait()
        await asyncio.wait({reading}, timeout=_PIPE_S)
        reading.cancel()
        await asyncio.wait({reading})
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001  (no other way to close its pipe)
        return process.returncode if code is None else code

    async def _start(self, program: str) -> None:
        await self.stop()
        self._output = Output()
        command = [program, *self._tool.arguments(self._local_url)]
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid()), *command]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is ours to handle
        )
        reading = self._read(self._process.stdout, self._output)
        self._reading = asyncio.get_running_loop().create_task(reading, name=f"output of {self._tool.name}")

    async def _read(self, stream: asyncio.StreamReader | None, output: Output) -> None:
        """Read all it prints, so that it never blocks; what is no line of reasonable length is cut."""
        assert stream is not None
        partial = bytearray()
        try:
            while data := await stream.read(1 << 16):
                *lines, rest = data.split(b"\n")
                for line in lines:
                    partial += line[: _LINE_BYTES - len(partial)]
                    self._see(bytes(partial), output)
                    partial.clear()
                partial += rest[: max(0, _LINE_BYTES - len(partial))]
            self._see(bytes(partial), output)
        finally:
            self._changed.set()

    def _see(self, line: bytes, output: Output) -> None:
        text = line.decode("utf-8", "replace").strip()
        if not text:
            return
        output.lines.append(text[:_KEPT_LETTERS])
        self._tool.read(text, output)
        if output.url and not _PUBLIC.match(output.url):
            output.url = ""
        output.url = output.url.rstrip("/")
        self._changed.set()

    async def _until(self, is_met: Callable[[Output], bool], timeout_s: float) -> None:
        """Return when the output is so, or it has ended. Raises TimeoutError."""
        reading = self._reading
        assert reading is not None
        async with asyncio.timeout(timeout_s):
            while not is_met(self._output) and not reading.done():
                self._changed.clear()
                await self._changed.wait()
                await asyncio.sleep(0)  # the reader sets it right before it is done

    def _told(self, what: str) -> tuple[str, str]:
        """What happened, in the program's own words, and what to do."""
        complaint = self._output.complaint
        everything = complaint + " ".join(self._output.lines)
        hint = next((hint for sign, hint in self._tool.hints if sign in everything), "")
        return f"{self._tool.name} {what}: {complaint}", hint or f"try it alone: {self._alone}"

    @property
    def _alone(self) -> str:
        return " ".join([self._tool.name, *self._tool.arguments(self._local_url)])


async def _exit_code(process: asyncio.subprocess.Process, timeout_s: float) -> int | None:
    """The exit code, None when it has not ended in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await process.wait()
    return process.returncode


def _signal_group(process_id: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process_id, number)
