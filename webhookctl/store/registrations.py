"""What a project remembers of the webhooks it has made at providers, so that none is forgotten after a crash.

One file in `.webhookctl/`. Knows files; neither providers nor the network.
"""

import json
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from webhookctl.store.private_file import read_file, refuse_link, replace_file, writing
from webhookctl.store.project import ProjectState

_KEPT = 100


@dataclass(frozen=True, slots=True)
class Registration:
    """A webhook this project has made or uses: at `place` (``github:owner/repo``), for the listener `pid`.

    `seen_at_s`: until when its deliveries are known to have been listened to (Unix time). `is_ours`: made here.
    """

    place: str
    hook_id: str
    url: str
    pid: int
    seen_at_s: float
    is_ours: bool


class Registrations:
    """The project's webhooks. Reading never creates the file; a damaged one counts as empty."""

    def __init__(self, state: ProjectState) -> None:
        self._state = state
        self._path = state.folder / "registrations.json"

    def find(self, place: str) -> Registration | None:
        """The webhook of `place` that no running listener uses, the one used last; None when there is none."""
        busy = {listener.pid for listener in self._state.running_listeners()}
        found = [each for each in self._all() if each.place == place and each.pid not in busy]
        return found[-1] if found else None

    def remember(self, registration: Registration) -> None:
        """Keep it, in the place of what was known of the same webhook. Raises UsageError `state-unwritable`."""
        others = [each for each in self._all() if not _is_same(each, registration)]
        self._write([*others, registration][-_KEPT:])

    def forget(self, registration: Registration) -> None:
        """It is no longer there."""
        self._write([each for each in self._all() if not _is_same(each, registration)])

    def _all(self) -> list[Registration]:
        with suppress(OSError, ValueError, TypeError, RecursionError):
            return [
                Registration(
                    str(each["place"]),
                    str(each["hook_id"]),
                    str(each["url"]),
                    int(each["pid"]),
                    float(each["seen_at_s"]),
                    bool(each["is_ours"]),
                )
                for each in json.loads(read_file(self._path))
                if isinstance(each, dict) and each.keys() >= Registration.__dataclass_fields__.keys()
            ]
        return []

    def _write(self, registrations: list[Registration]) -> None:
        self._state.create()
        refuse_link(self._path)
        with writing(self._path):
            replace_file(self._path, json.dumps([asdict(each) for each in registrations], indent=1).encode())


def _is_same(one: Registration, other: Registration) -> bool:
    return (one.place, one.hook_id) == (other.place, other.hook_id)


def known_deliveries(history: Path, provider: str, delivery_ids: Iterable[str]) -> frozenset[str]:
    """Those of `delivery_ids` that the history has of `provider`. Nothing is known when it cannot be read."""
    import sqlite3

    wanted = frozenset(delivery_ids)
    if not wanted or not history.exists():
        return frozenset()
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{history.resolve().as_uri()}?mode=ro", uri=True)) as database,
    ):
        rows = database.execute("SELECT delivery_id FROM exchange WHERE provider = ?", (provider,))
        return frozenset(delivery_id for (delivery_id,) in rows if delivery_id in wanted)
    return frozenset()
