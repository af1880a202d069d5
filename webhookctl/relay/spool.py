"""The spool: bodies too large for memory and database, one file each, durable before their delivery is.

Knows files only. Disk work is done in threads; names are delivery ids of the relay's own making.
"""

import asyncio
import errno
import os
import re
from collections.abc import Callable, Iterable, Set
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from webhookctl.errors import RelayError
from webhookctl.relay.broker import SpooledBody

_WRITE_BYTES = 256 * 1024  # pieces are gathered to this before a thread writes them
_NAME = re.compile(r"[0-9a-z]{8,64}")
_Result = TypeVar("_Result")


def storage_error(error: Exception) -> RelayError:
    """Why something cannot be stored, as the sender's side is to see it."""
    text = str(error)
    is_full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if is_full or "disk is full" in text:
        return RelayError("broker-full", "the relay's disk is full", "make room in its data folder")
    return RelayError("broker-failed", f"the relay cannot write: {text}", "look at its data folder and disk")


class Spool:
    """The spool folder (0700). One process uses it at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, *, known: Set[str]) -> None:
        """Make the folder, and remove every file whose name is not `known`: half written, or done with."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for path in self._folder.iterdir():
            if path.name not in known:
                path.unlink(missing_ok=True)

    def draft(self, name: str) -> "Draft":
        return Draft(self._path(name), name)

    async def read(self, name: str, *, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`. Raises RelayError `broker-failed` when they are not there."""
        data = await _in_thread(lambda: _read(self._path(name), offset, size))
        if len(data) != size:
            raise RelayError("broker-failed", "a body in the spool is shorter than it was")
        return data

    def remove(self, names: Iterable[str]) -> None:
        """Remove what is there. What cannot be removed now goes when the spool is opened again."""
        for name in names:
            with suppress(OSError):
                self._path(name).unlink()

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of the spool")
        return self._folder / name


class Draft:
    """One body on its way to disk: `write` its pieces, then `finish`, or `discard`."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._size = 0
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._file: int | None = None

    async def write(self, data: bytes) -> None:
        """Add a piece. Raises RelayError `broker-full` or `broker-failed`."""
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        self._size += len(data)
        if self._gathered_bytes >= _WRITE_BYTES:
            await _in_thread(self._flush)

    async def finish(self) -> SpooledBody:
        """The body, on disk with its folder's entry. Raises what `write` does."""
        await _in_thread(self._complete)
        return SpooledBody(self._name, self._size)

    def discard(self) -> None:
        """Remove what there is of it. May be called after a failure, and twice."""
        self._gathered = []
        if self._file is not None:
            os.close(self._file)
            self._file = None
        with suppress(OSError):
            self._path.unlink()

    def _flush(self) -> None:
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        pieces, self._gathered, self._gathered_bytes = b"".join(self._gathered), [], 0
        view = memoryview(pieces)
        while view:
            view = view[os.write(self._file, view) :]

    def _complete(self) -> None:
        self._flush()
        assert self._file is not None
        os.fsync(self._file)
        os.close(self._file)
        self._file = None
        sync_folder(self._path.parent)


def sync_folder(folder: Path) -> None:
    """Make the entries of `folder` durable."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _read(path: Path, offset: int, size: int) -> bytes:
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return os.pread(number, size, offset)
    finally:
        os.close(number)


async def _in_thread(work: Callable[[], _Result]) -> _Result:
    """What `work` returns. A thread that has begun is waited for even when the caller is cancelled."""
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        with suppress(Exception):
            await future
        raise
    except OSError as error:
        raise storage_error(error) from error
