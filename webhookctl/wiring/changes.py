"""Waits until a file of the project changes, for `test --watch`: by looking, which works on every file system.

Must not know what the files hold.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from time import sleep

_POLL_S = 0.5
_MOST = 20_000  # files looked at; beyond that a change may be missed
_IGNORED = frozenset({"__pycache__", "node_modules", "venv", "env", "target", "dist", "build"})
"""Folders that hold what others make; so do those that begin with a dot."""

Seen = dict[str, tuple[int, int]]


def look(folders: Iterable[Path]) -> Seen:
    """The files below `folders` with the time of their last change and their size."""
    seen: Seen = {}
    for folder in folders:
        for path in _files(folder):
            with suppress(OSError):
                status = os.stat(path)
                seen[path] = (status.st_mtime_ns, status.st_size)
            if len(seen) >= _MOST:
                return seen
    return seen


def wait_for_change(folders: Iterable[Path], before: Seen) -> str:
    """Block until something below `folders` is not as `before`; the path of what changed."""
    folders = list(folders)
    while True:
        now = look(folders)
        for path in now.keys() | before.keys():
            if now.get(path) != before.get(path):
                return path
        sleep(_POLL_S)


def _files(folder: Path) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _IGNORED and not name.startswith(".")]
        for name in files:
            # What a run writes itself is no reason for the next one.
            if not name.endswith(
                (".snapshots.json", ".pyc", ".log", ".sqlite3", ".db", ".sqlite3-wal", ".sqlite3-shm")
            ):
                yield os.path.join(root, name)
