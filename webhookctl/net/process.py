"""A process of the user's beside us: in a group of its own, its last output kept, ended with all that it began.

Knows nothing of contracts. Where the system can do it, it dies with us.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from webhookctl.errors import EndpointError

OUTPUT_BYTES = 64 * 1024  # of output are kept, the last ones
_PR_SET_PDEATHSIG = 1


class Process:
    """One running command. `start` it, ask `ended` and `output`, and always `stop` it."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self._name = name
        self._kept = bytearray()
        self._lost = 0
        self._heard = asyncio.Event()
        self._reader = asyncio.get_running_loop().create_task(self._read(), name=f"output of {name}")

    @classmethod
    async def start(
        cls, arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path
    ) -> "Process":
        """Start `arguments` with `environment` in `folder`. Raises EndpointError `command-failed`."""
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                env=dict(environment),
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_dying_with_us(),
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise EndpointError(
                "command-failed",
                f"the command {arguments[0]} could not be started: {why}",
                "commands run without a shell, in the folder of the contract file",
            ) from error
        return cls(process, arguments[0])

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
        text = bytes(self._kept).decode("utf-8", "replace")
        return f"… {self._lost:,} bytes before this\n{text}" if self._lost else text

    async def until(self, is_ready: Callable[[], bool]) -> None:
        """Return when `is_ready` holds or the process has ended; asked after each output."""
        while not is_ready() and not self._reader.done():
            self._heard.clear()
            await self._heard.wait()

    async def stop(self, *, after_s: float) -> None:
        """SIGTERM to its whole group, and SIGKILL to what is left of it `after_s` later."""
        self._signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(after_s):
                await self._process.wait()
        self._signal(signal.SIGKILL)  # children that outlived it, too
        await self._process.wait()
        # A grandchild in a session of its own may hold the pipe open for ever: it gets no say in our end.
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.shield(self._reader)
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while piece := await self._process.stdout.read(OUTPUT_BYTES):
                self._kept += piece
                excess = len(self._kept) - OUTPUT_BYTES
                if excess > 0:
                    del self._kept[:excess]
                    self._lost += excess
                self._heard.set()
            await self._process.wait()
        finally:
            self._heard.set()


def _dying_with_us() -> Callable[[], None] | None:
    """What makes a child of Linux get SIGKILL when we die, however that happens; None elsewhere."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)  # loaded before the fork: after it nothing may be

    def ask() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask
