"""Bodies too large for memory, in files while they are under way: written piece by piece, hashed, removed at the end.

Knows files only.
"""

import os
import secrets
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from webhookctl.model import LargeBody
from webhookctl.store.private_file import writing


class Spool:
    """One body on its way into a file of its own in `folder` (0600). Raises UsageError `state-unwritable`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        self._hash = sha256()
        self._size = 0
        with writing(self._path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = open(os.open(self._path, flags, 0o600), "wb")  # noqa: SIM115  (lives on)

    def write(self, piece: bytes) -> None:
        """Append `piece`."""
        with writing(self._path):
            self._file.write(piece)
        self._hash.update(piece)
        self._size += len(piece)

    def finish(self) -> LargeBody:
        """The whole body; its file is the caller's to remove (`remove`)."""
        with writing(self._path):
            self._file.close()
        return LargeBody(self._size, self._hash.hexdigest(), str(self._path))

    def discard(self) -> None:
        """Give up: what was written is removed."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._path.unlink()


def remove(body: LargeBody | None) -> None:
    """Remove the file of `body`, if there is one. Never raises."""
    if body is not None and body.path:
        with suppress(OSError):
            Path(body.path).unlink()


def remove_leftovers(folder: Path) -> None:
    """Remove the files of processes that are no more. Never raises."""
    with suppress(OSError):
        for path in folder.iterdir():
            owner = path.name.partition("-")[0]
            if owner.isdecimal() and not _is_alive(int(owner)):
                with suppress(OSError):
                    path.unlink()


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # somebody else's
    return True
