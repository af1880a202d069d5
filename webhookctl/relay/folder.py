"""A relay's data folder: made for its owner alone, and held by one process at a time.

Knows files only.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from webhookctl.errors import UsageError


def hold(folder: Path) -> int:
    """The open lock file of `folder`, which is made when it is not there; closing it lets others in.

    Raises UsageError `relay-data-in-use`, OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise UsageError(
            "relay-data-in-use",
            f"another relay uses the data folder {folder}",
            "stop it, or give this one a folder of its own: --data",
        ) from error
    return lock


@contextmanager
def told_unusable(folder: Path) -> Iterator[None]:
    """What fails in the block is told as UsageError `relay-data-unusable`."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise UsageError(
            "relay-data-unusable",
            f"the data folder {folder} cannot be used: {error}",
            "the relay needs a folder it may write: --data",
        ) from error
