"""Where a stream of a foreign relay may be resumed from: one small file for each channel.

Knows files; neither relays nor deliveries. A point that was lost costs repeated deliveries, never missed ones.
"""

from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256

from webhookctl.errors import UsageError
from webhookctl.store.private_file import read_file, refuse_link, replace_file, writing
from webhookctl.store.project import ProjectState

_EVERY_S = 1.0  # written at most so often: each time costs a sync of the disk
_MAX_LETTERS = 200


class ResumePoint:
    """The point of the channel at `url`. `steady_s` gives seconds that only run forward."""

    def __init__(self, state: ProjectState, url: str, *, steady_s: Callable[[], float]) -> None:
        self._state = state
        self._path = state.folder / "relay" / f"{sha256(url.encode()).hexdigest()[:24]}.resume"
        self._steady_s = steady_s
        self._written_s = steady_s() - _EVERY_S
        self._pending = ""

    def read(self) -> str:
        """The point noted last; "" when there is none or it cannot be read."""
        with suppress(OSError, ValueError):
            text = read_file(self._path).decode("ascii").strip()
            if text.isprintable() and len(text) <= _MAX_LETTERS:
                return text
        return ""

    def note(self, point: str) -> None:
        """Remember `point`; it is on disk soon, and after `flush`."""
        self._pending = point
        if self._steady_s() - self._written_s >= _EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Write what was noted. What cannot be written is forgotten: deliveries come twice then."""
        if not self._pending:
            return
        with suppress(UsageError):
            self._state.create()
            refuse_link(self._path.parent)
            with writing(self._path):
                self._path.parent.mkdir(mode=0o700, exist_ok=True)
                replace_file(self._path, self._pending.encode("ascii", "ignore"))
        self._pending, self._written_s = "", self._steady_s()
