"""What a project remembers of relays: its channels with their keys, and which deliveries the app has answered.

Lies in `.webhookctl/relay/` (0700, files 0600). Knows files; neither frames nor the network.
"""

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from webhookctl.errors import UsageError
from webhookctl.store.private_file import read_file, refuse_link, replace_file, writing
from webhookctl.store.project import ProjectState

_IDS_KEPT = 1_000  # deliveries whose id is compared when they come again
_COMPACT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RememberedChannel:
    """A channel on the relay at `relay` (its URL) as this project knows it; `key` is "" when it is given each time."""

    relay: str
    name: str
    url: str
    key: str = field(default="", repr=False)


class RelayState:
    """The project's memory of relays. Reading never creates it; writing does."""

    def __init__(self, state: ProjectState) -> None:
        self._state = state
        self.folder = state.folder / "relay"

    def channels(self) -> tuple[RememberedChannel, ...]:
        """All channels, the one used last first. Raises UsageError `state-unsafe` or `state-damaged`."""
        refuse_link(self._state.folder)
        refuse_link(self.folder)
        try:
            records = json.loads(read_file(self._path))
            return tuple(
                RememberedChannel(**{key: str(text) for key, text in each.items()}) for each in records
            )
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(
                "state-damaged",
                f"{self._path} does not hold readable channels",
                "move the file away; then give the channel's key with --key, or a new channel is made",
            ) from error

    def find(self, relay: str, name: str = "") -> RememberedChannel | None:
        """The channel of that name on `relay`; without a name the one used last that has its key here."""
        for channel in self.channels():
            if channel.relay == relay and (channel.name == name if name else channel.key):
                return channel
        return None

    def remember(self, channel: RememberedChannel) -> None:
        """Keep `channel` as the one used last, in the place of the same one; its key stays when none is given.

        Raises UsageError `state-unwritable`, `state-unsafe` or `state-damaged`.
        """
        known = self.channels()
        same = [each for each in known if (each.relay, each.name) == (channel.relay, channel.name)]
        if same and not channel.key and same[0].url == channel.url:
            channel = replace(channel, key=same[0].key)
        if known[:1] == (channel,):
            return
        self._make_folder()
        others = [each for each in known if each not in same]
        with writing(self._path):
            replace_file(
                self._path, json.dumps([asdict(each) for each in (channel, *others)], indent=1).encode()
            )

    def answered(self, url: str) -> "Answered":
        """What was answered of the channel at the public URL `url`."""
        self._make_folder()
        return Answered(self.folder / f"{sha256(url.encode()).hexdigest()[:24]}.answered")

    def spool_folder(self) -> Path:
        """Where bodies too large for memory lie while they are under way; made if it is not there."""
        self._make_folder()
        folder = self.folder / "bodies"
        with writing(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    @property
    def _path(self) -> Path:
        return self.folder / "channels.json"

    def _make_folder(self) -> None:
        self._state.create()
        refuse_link(self.folder)
        with writing(self.folder):
            self.folder.mkdir(mode=0o700, exist_ok=True)


class Answered:
    """The deliveries of one channel that are done, by number: kept in an append-only file. Close it at the end.

    `note` writes at once, which outlives the end of the process; `sync` makes it outlive the loss of power
    (`is_dirty`: there is something to sync).
    Raises UsageError `state-unwritable`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ranges: list[tuple[int, int]] = []  # ascending, apart from each other
        self._ids: dict[int, str] = {}
        self.is_dirty = False
        self._lock = threading.Lock()  # the file is not swapped while another thread syncs it
        self._load()
        self._compact()

    @property
    def cursor(self) -> int:
        """All numbers up to this one are done; 0 when the first is not."""
        return self._ranges[0][1] if self._ranges and self._ranges[0][0] == 1 else 0

    def knows(self, seq: int, delivery_id: str) -> bool:
        """Whether this very delivery is done. Another one under its number: the relay began anew."""
        if not any(first <= seq <= last for first, last in reversed(self._ranges)):
            return False
        return self._ids.get(seq, delivery_id) == delivery_id

    def note(self, seq: int, delivery_id: str) -> None:
        """Delivery `seq` is done."""
        self._add(seq, seq)
        self._ids[seq] = delivery_id
        self._write(f"{seq} {delivery_id}\n")

    def note_skipped(self, first: int, last: int) -> None:
        """Deliveries `first` to `last` will never come."""
        self._add(first, last)
        self._write(f"{first}-{last}\n")

    def forget_after(self, head: int) -> bool:
        """Forget what is above `head`, the newest number the relay has; whether there was any (it began anew)."""
        if not self._ranges or self._ranges[-1][1] <= head:
            return False
        self._ranges = [(first, min(last, head)) for first, last in self._ranges if first <= head]
        self._ids = {seq: each for seq, each in self._ids.items() if seq <= head}
        self._swap()
        return True

    def sync(self) -> None:
        """Return when all that was noted is on the disk. Blocks; may be called from another thread."""
        with self._lock:
            if self.is_dirty:
                self.is_dirty = False
                with writing(self._path):
                    os.fsync(self._file)

    def close(self) -> None:
        """Close the file. May be called once."""
        os.close(self._file)

    def _write(self, line: str) -> None:
        with writing(self._path):
            self._size += os.write(self._file, line.encode())
        self.is_dirty = True
        if self._size > _COMPACT_BYTES:
            self._swap()

    def _add(self, first: int, last: int) -> None:
        ranges = self._ranges
        if ranges and ranges[-1][0] <= first <= ranges[-1][1] + 1:  # the usual case: the next one
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
            return
        ranges.append((first, last))
        self._ranges = list(_joined(sorted(ranges)))

    def _load(self) -> None:
        try:
            text = self._path.read_text("ascii", "replace")
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError("state-damaged", f"{self._path} cannot be read: {error.strerror}") from error
        for line in text.split("\n")[:-1]:  # what has no end of line was cut off by a loss of power
            numbers, _, delivery_id = line.partition(" ")
            first, _, last = numbers.partition("-")
            if first.isdecimal() and (last or first).isdecimal():
                self._add(int(first), int(last or first))
                if delivery_id:
                    self._ids[int(first)] = delivery_id

    def _swap(self) -> None:
        with self._lock:
            os.close(self._file)
            self._compact()

    def _compact(self) -> None:
        """Write the file anew, as short as it can be, and open it for appending."""
        self._ids = dict(sorted(self._ids.items())[-_IDS_KEPT:])
        lines = [f"{first}-{last}\n" for first, last in self._ranges]
        lines += [f"{seq} {delivery_id}\n" for seq, delivery_id in self._ids.items()]
        data = "".join(lines).encode()
        with writing(self._path):
            replace_file(self._path, data)
            flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(self._path, flags)
        self._size = len(data)


def _joined(ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Ascending ranges with those that touch made one."""
    first, last = ranges[0]
    for next_first, next_last in ranges[1:]:
        if next_first <= last + 1:
            last = max(last, next_last)
        else:
            yield first, last
            first, last = next_first, next_last
    yield first, last
