"""A process of the user's beside us: in a group of its own, its last output kept, ended with all that it began.

Knows nothing of contracts. Where the system can do it, it dies with us.
"""

import asyncio
import ctypes
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

from webhookctl.errors import EndpointError

OUTPUT_BYTES = 64 * 1024  # of output are kept, the last ones
_PR_SET_PDEATHSIG = 1
_MARK = (
    "_WEBHOOKCTL_PROCESS"  # in the environment of all that it begins, so that what left its group is found
)
_POLL_S = 0.05
_LOOK_S = 0.01
_GRACE_S = 1.0  # for the last output, and for the system to bury the dead


class _Tail:
    """The last bytes of a stream."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._lost = 0

    def add(self, piece: bytes) -> None:
        self._kept += piece
        excess = len(self._kept) - OUTPUT_BYTES
        if excess > 0:
            del self._kept[:excess]
            self._lost += excess

    def text(self) -> str:
        """What is kept, with a word on what was left out before."""
        text = bytes(self._kept).decode("utf-8", "replace")
        return f"… {self._lost:,} bytes before this\n{text}" if self._lost else text


class Process:
    """One running command. `start` it, ask `ended` and `output`, and always `stop` it."""

    def __init__(self, process: asyncio.subprocess.Process, name: str, mark: str) -> None:
        self._process = process
        self._name = name
        self._mark = mark
        self._output = _Tail()
        self._errors = _Tail()
        self._heard = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._read(process.stdout, self._output), name=f"output of {name}")]
        if process.stderr is not None:
            errors = self._read(process.stderr, self._errors)
            self._tasks.append(loop.create_task(errors, name=f"errors of {name}"))
        self._watcher = loop.create_task(self._watch(), name=f"end of {name}")

    @classmethod
    async def start(
        cls,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        has_own_errors: bool = False,
    ) -> "Process":
        """Start `arguments` with `environment` in `folder`; with `has_own_errors` its stderr is kept apart.

        Raises EndpointError `command-failed`.
        """
        mark = secrets.token_hex(16)
        name = arguments[0]
        starting = asyncio.get_running_loop().create_task(
            asyncio.create_subprocess_exec(
                *arguments,
                env={**environment, _MARK: mark},
                cwd=str(folder),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE if has_own_errors else asyncio.subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_dying_with_us(),
            ),
            name=f"start of {name}",
        )
        try:
            return cls(await asyncio.shield(starting), name, mark)
        except asyncio.CancelledError:
            # Who gave up on it must not leave it behind.
            with suppress(OSError, ValueError):
                await cls(await starting, name, mark).stop(after_s=0)
            raise
        except (OSError, ValueError) as error:
            raise _not_started(error, name, folder) from error

    @property
    def ended(self) -> str:
        """How it ended, in words; "" while it runs."""
        code = self._process.returncode
        if code is None:
            return ""
        if code < 0:
            with suppress(ValueError):
                return f"{self._name} was ended by {signal.Signals(-code).name}"
        return f"{self._name} ended with exit code {code}"

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    def output(self) -> str:
        """Its last output, with a word on what was left out before."""
        return self._output.text()

    def errors(self) -> str:
        """What it wrote to stderr last, where that is kept apart."""
        return self._errors.text()

    async def until(self, is_ready: Callable[[], bool]) -> None:
        """Return when `is_ready` holds or the process has ended; asked after each output."""
        while not is_ready() and not self._watcher.done():
            self._heard.clear()
            await self._heard.wait()

    async def wait(self) -> None:
        """Return when it has ended and its output was read; a child that keeps its output open is not waited for."""
        await asyncio.shield(self._watcher)
        await asyncio.wait(self._tasks, timeout=_GRACE_S)

    async def stop(self, *, after_s: float) -> None:
        """SIGTERM to its whole group, and SIGKILL to all that it began and that is left `after_s` later."""
        self._signal_group(signal.SIGTERM)
        await asyncio.wait((self._watcher,), timeout=after_s)
        self._signal_group(signal.SIGKILL)
        await self._end_strays()
        tasks = (self._watcher, *self._tasks)
        await asyncio.wait(tasks, timeout=_GRACE_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _end_strays(self) -> None:
        """Kill all that it began, and return when the system has ended them, which takes it a moment."""
        end_s = monotonic() + _GRACE_S
        while (strays := list(_marked(self._mark))) and monotonic() < end_s:
            for stray in strays:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(stray, signal.SIGKILL)
            await asyncio.sleep(_LOOK_S)

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def _read(self, stream: asyncio.StreamReader | None, tail: _Tail) -> None:
        assert stream is not None
        while piece := await stream.read(OUTPUT_BYTES):
            tail.add(piece)
            self._heard.set()

    async def _watch(self) -> None:
        # asyncio's own wait may also wait for its pipes, which a child that outlives it holds open.
        waiter = asyncio.get_running_loop().create_task(self._process.wait(), name=f"wait for {self._name}")
        try:
            while self._process.returncode is None:
                await asyncio.wait((waiter,), timeout=_POLL_S)
        finally:
            waiter.cancel()
            self._heard.set()


def _not_started(error: Exception, name: str, folder: Path) -> EndpointError:
    if isinstance(error, FileNotFoundError) and not folder.is_dir():
        return EndpointError("command-failed", f"there is no folder {folder} to start {name} in")
    why = error.strerror if isinstance(error, OSError) else str(error)
    return EndpointError(
        "command-failed",
        f"the command {name} could not be started: {why}",
        "commands run without a shell (shell = true has one), in the folder of the contract file",
    )


def _dying_with_us() -> Callable[[], None] | None:
    """What makes a child of Linux get SIGKILL when we die, however that happens; None elsewhere."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)  # loaded before the fork: after it nothing may be
    parent = os.getpid()

    def ask() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # we died before it could ask
            os.kill(os.getpid(), signal.SIGKILL)

    return ask


def _marked(mark: str) -> Iterator[int]:
    """The processes whose environment holds `mark`: descendants that went into a session of their own. Linux only."""
    wanted = f"{_MARK}={mark}".encode()
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit():
            with suppress(OSError):  # it ended meanwhile, or is somebody else's
                if wanted in Path("/proc", name, "environ").read_bytes():
                    yield int(name)
