"""Saves fixtures while `listen` runs: behind the answers, in a thread of its own, a limited number of each event.

Knows fixtures and the history; must not know how deliveries come in.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from queue import SimpleQueue

from webhookctl.errors import WebhookctlError
from webhookctl.events import ErrorOccurred, Event, FixtureSaved
from webhookctl.model import Exchange
from webhookctl.store.fixtures import FixtureFolder
from webhookctl.store.history import History
from webhookctl.wiring.project import Project

_REMEMBERED_BODIES = 5_000
_MAX_KINDS = 1_000  # event types that fixtures are saved of in one run


class Keeper:
    """Saves fixtures in a thread of its own, behind the answers; tells of each in the event loop."""

    def __init__(
        self,
        project: Project,
        folder: Path,
        *,
        limit: int,
        is_keeping_secrets: bool,
        emit: Callable[[Event], None],
    ) -> None:
        self._project = project
        self._limit = limit
        self._is_keeping_secrets = is_keeping_secrets
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._folder = FixtureFolder(folder)
        self._queue: SimpleQueue[Exchange | None] = SimpleQueue()
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._taken: dict[tuple[str | None, str], int] = {}
        self._thread = threading.Thread(target=self._work, name="fixture-keeper", daemon=True)
        self._thread.start()

    def offer(self, exchange: Exchange) -> None:
        """Have `exchange` saved, unless its event has enough fixtures or the same delivery was offered before."""
        key = _kind(exchange)
        taken = self._taken.get(key, 0)
        if taken >= self._limit or self._is_repeated(exchange):
            return
        if taken == 0 and len(self._taken) >= _MAX_KINDS:
            return  # somebody makes up events: the history has them all
        self._taken[key] = taken + 1
        self._queue.put(exchange)

    def close(self) -> None:
        """Save what is still waiting. Blocks; call from another thread than the event loop's."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (exchange := self._queue.get()) is not None:
            try:
                path = None if self._is_known(exchange) else self._save(exchange)
            except WebhookctlError as error:
                self._tell(ErrorOccurred(error.code, error.message, error.hint, exchange.id))
                continue
            except Exception as error:
                self._tell(
                    ErrorOccurred("fixture-failed", f"not saved as a fixture: {error!r}", "", exchange.id)
                )
                continue
            if path is not None:
                self._tell(FixtureSaved(exchange.id, str(path)))
            else:
                self._loop.call_soon_threadsafe(self._give_back, _kind(exchange))

    def _give_back(self, key: tuple[str | None, str]) -> None:
        self._taken[key] -= 1

    def _save(self, exchange: Exchange) -> Path | None:
        saved = self._project.fixture_of(exchange, keep_secrets=self._is_keeping_secrets)
        return self._folder.save(saved, limit=self._limit)

    def _is_repeated(self, exchange: Exchange) -> bool:
        """Whether the very same delivery was offered before in this run: same place, same body, same id."""
        request = exchange.capture.request
        digest = blake2b(request.body, digest_size=16)
        digest.update(f"{request.method} {request.target} {exchange.detection.delivery_id}".encode())
        key = digest.digest()
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > _REMEMBERED_BODIES:
            self._seen.popitem(last=False)
        return False

    def _is_known(self, exchange: Exchange) -> bool:
        """Whether the same delivery came in an earlier run, as the history tells."""
        if exchange.duplicate_of is None:
            return False
        with History(self._project.state.history_path) as history:
            original = history.find(exchange.duplicate_of)
        return original is not None and original.capture.request.body == exchange.capture.request.body

    def _tell(self, event: Event) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is listening any more
            self._loop.call_soon_threadsafe(self._emit, event)


def _kind(exchange: Exchange) -> tuple[str | None, str]:
    """What the limit of fixtures counts: provider and event, or method and path of what names no event."""
    request = exchange.capture.request
    path = request.target.partition("?")[0]
    return exchange.detection.provider, exchange.detection.event or f"{request.method} {path}"
