"""The project's `.webhookctl/` folder: development secret, running listeners, places of history and TLS files.

Knows files and process ids; must not know configuration, providers, or what the history holds.
"""

import json
import os
import secrets
import sys
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from webhookctl.errors import UsageError
from webhookctl.model import Secret
from webhookctl.store.keys import KeyFolder
from webhookctl.store.private_file import publish, read_file, refuse_link, replace_file, unsafe, writing

_SECRET_PREFIX = "whsec_"  # noqa: S105  (a prefix, not a password)
_SECRET_BYTES = 32
LEARNT = "learnt from a handshake"
_MAX_LEARNT = 20
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener running in this project: its `url`, the process, when it was announced (Unix time).

    `details` are the texts its owner announced with it (forward target, token file, …).
    """

    url: str
    pid: int
    announced_at_s: float
    details: Mapping[str, str] = field(default_factory=dict)


class Announcement:
    """The entry of one running listener; withdrawn by `withdraw` or at the end of a `with` block."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def withdraw(self) -> None:
        """Remove the entry. May be called twice; never raises (the entry dies with the process anyway)."""
        with suppress(OSError):
            self._path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.withdraw()


class ProjectState:
    """The `.webhookctl/` folder of the project at `root`. Reading never creates it; writing does."""

    __slots__ = ("folder",)

    def __init__(self, root: Path) -> None:
        self.folder = root / ".webhookctl"

    @property
    def history_path(self) -> Path:
        """Where the history database lies. Call `create` before writing it."""
        return self.folder / "history.sqlite3"

    @property
    def tls_folder(self) -> Path:
        """Where the local certificate authority and its certificates lie. Call `create` before writing."""
        return self.folder / "tls"

    def create(self) -> Path:
        """Make the folder (0700, ignoring itself in git) unless it is there, and return it.

        Raises UsageError `state-unwritable` (read-only, full disk) or `state-unsafe` (a symbolic link).
        """
        refuse_link(self.folder)
        with writing(self.folder):
            self.folder.mkdir(mode=0o700, exist_ok=True)
            publish(self.folder / ".gitignore", b"*\n")
        return self.folder

    def development_secret(self) -> Secret:
        """The project's own secret, made on the first call: ``whsec_`` and the base64 of 32 random bytes.

        The form serves every HMAC scheme, Standard Webhooks included. Two processes calling at once get the
        same one. Raises UsageError `state-unwritable`, `state-unsafe` or `state-damaged`.
        """
        if known := self.peek_development_secret():
            return known
        self.create()
        made = _SECRET_PREFIX + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
        with writing(self._secret_path):
            publish(self._secret_path, f"{made}\n".encode())
        # Whoever came first has won; what is in the file is the secret.
        return self.peek_development_secret() or Secret(made, "development")

    def peek_development_secret(self) -> Secret | None:
        """The development secret if one was made, else None. Raises what `development_secret` does."""
        refuse_link(self.folder)
        path = self._secret_path
        try:
            text = read_file(path).decode().strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            if path.is_symlink():
                raise unsafe(path) from error
            raise _damaged(path) from error
        if not text.startswith(_SECRET_PREFIX) or len(text.split()) != 1:
            raise _damaged(path)
        return Secret(text, "development")

    def learn_secret(self, provider: str, secret: Secret) -> bool:
        """Keep a secret that a handshake of `provider` brought (0600); False when it was kept before.

        The newest comes first, the oldest of more than twenty are dropped. Raises UsageError `state-unwritable` or
        `state-unsafe`.
        """
        known = [each.reveal() for each in self.learnt_secrets(provider)]
        if secret.reveal() in known:
            return False
        self.create()
        refuse_link(self._learnt_folder)
        path = self._learnt_folder / f"{provider}.json"
        with writing(path):
            self._learnt_folder.mkdir(mode=0o700, exist_ok=True)
            replace_file(path, json.dumps([secret.reveal(), *known][:_MAX_LEARNT]).encode())
        return True

    def learnt_secrets(self, provider: str) -> tuple[Secret, ...]:
        """The secrets that handshakes of `provider` brought, the newest first. A file that is none counts as empty."""
        with suppress(OSError, ValueError, RecursionError):
            found = json.loads(read_file(self._learnt_folder / f"{provider}.json"))
            if isinstance(found, list):
                return tuple(Secret(text, LEARNT) for text in found if isinstance(text, str) and text)
        return ()

    def announce(self, url: str, *, pid: int, details: Mapping[str, str] | None = None) -> Announcement:
        """Enter the listener at `url`, run by process `pid`, so that other commands of the project find it.

        The entry is one 0600 file, complete from the moment it is visible. Raises UsageError
        `state-unwritable` or `state-unsafe`.
        """
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        self.create()
        refuse_link(self._listeners_folder)
        path = self._listeners_folder / f"{pid}-{port}.json"
        record = {
            "url": url,
            "pid": pid,
            "process_space": _process_space(),
            "process_start": _process_start(pid),
            "details": dict(details or {}),
        }
        with writing(path):
            self._listeners_folder.mkdir(mode=0o700, exist_ok=True)
            replace_file(path, json.dumps(record, indent=1).encode())
        return Announcement(path)

    def running_listeners(self) -> list[Listener]:
        """The listeners of this project whose process is alive, newest first. Never raises.

        Entries of dead processes are removed. Those made in another container (whose processes cannot be
        seen from here) and files that are no entries are left alone and left out.
        """
        found: list[tuple[int, Listener]] = []
        with suppress(OSError):
            for path in self._listeners_folder.glob("*.json"):
                with suppress(OSError, ValueError, RecursionError):
                    changed_ns = path.lstat().st_mtime_ns
                    record = _Record.parse(read_file(path))
                    if record.process_space != _process_space():
                        continue
                    if record.is_alive():
                        found.append((changed_ns, record.listener(changed_ns / 1e9)))
                    else:
                        path.unlink()
        return [listener for _, listener in sorted(found, key=lambda entry: entry[0], reverse=True)]

    @property
    def keys(self) -> KeyFolder:
        """The keys made for single providers."""
        return KeyFolder(self.folder / "keys", self.create)

    @property
    def _secret_path(self) -> Path:
        return self.folder / "development-secret"

    @property
    def _learnt_folder(self) -> Path:
        return self.folder / "learnt-secrets"

    @property
    def _listeners_folder(self) -> Path:
        return self.folder / "listeners"


@dataclass(frozen=True, slots=True)
class _Record:
    """What an announcement's file says, checked."""

    url: str
    pid: int
    process_space: str
    process_start: str | None
    details: dict[str, str]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The record in `data`. Raises ValueError (RecursionError) when it is none."""
        match json.loads(data):
            case {
                "url": str(url),
                "pid": int(pid),
                "process_space": str(space),
                "process_start": str() | None as start,
                "details": dict(details),
            } if pid > 0 and not isinstance(pid, bool):
                return cls(url, pid, space, start, {str(key): str(text) for key, text in details.items()})
        raise ValueError("not an announcement")

    def is_alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except PermissionError:
            pass  # alive, somebody else's
        except (ProcessLookupError, OverflowError):
            return False
        # A process id is used again after a while; together with its start time it is not.
        start = _process_start(self.pid)
        return None in (start, self.process_start) or start == self.process_start

    def listener(self, announced_at_s: float) -> Listener:
        return Listener(self.url, self.pid, announced_at_s, self.details)


def _process_space() -> str:
    """Where process ids mean the same: the Linux pid namespace (one per container), else the platform."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return sys.platform


def _process_start(pid: int) -> str | None:
    """When the process started (clock ticks since boot, field 22 of proc(5) stat); None where unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command's name (field 2) may itself hold blanks and brackets: count from its closing one.
    after_name = stat.rpartition(b")")[2].split()
    return after_name[19].decode() if len(after_name) > 19 else None


def _damaged(path: Path) -> UsageError:
    return UsageError(
        "state-damaged",
        f"{path} does not hold a readable development secret",
        "remove the file; a new secret is made on the next run",
    )
