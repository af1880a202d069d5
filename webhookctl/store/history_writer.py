"""Writes the history: every exchange of this project, whole, in one SQLite file (WAL, synchronous=FULL).

One writer thread commits what has come in since its last commit together (group commit), so that a delivery
is on disk before its sender is answered, at the cost of one fsync a batch. Deliveries that a relay keeps until they
are answered are written before, and synced soon. Knows nothing of HTTP or rendering.
"""

import asyncio
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Self

from webhookctl.model import Attempt, Capture, Detection, Verdict
from webhookctl.store import history_rows as rows
from webhookctl.store.history import check_version, told_unusable, unusable
from webhookctl.store.history_rows import ATTEMPT, EXCHANGE, Row

_BATCH_ROWS = 256  # rows of one commit: bounds what a commit may take, far above any real concurrency
_PAGE_BYTES = 8192  # of new files: batches of 64 commit in an eighth less time than with 4096
_REMEMBERED_DELIVERIES = 20_000  # how far back a repeated delivery id is recognised
_LAZY_FLUSH_S = 0.05  # attempts are committed with the next delivery, or after this long; relayed ones synced
_MAX_UNSAVED = 10_000  # attempts kept for better times while nothing can be written
_QUIET_S = (
    1.0  # the limits are looked at when no delivery came for this long: deleting costs as much as storing,
)
_PRUNE_ANYWAY = 100_000  # and in a storm that has not ended after this many

Judged = tuple[Capture, Detection, Verdict]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the history keeps at most; older exchanges go first. 0 means no limit."""

    max_count: int = 100_000
    max_age_s: float = 30 * 86_400.0
    max_bytes: int = 2 * 1024**3


class _Pending:
    """One delivery on its way to disk, with the future its sender waits on."""

    __slots__ = ("duplicate_of", "future", "judged")

    def __init__(self, judged: Judged, future: "asyncio.Future[tuple[int, int | None]]") -> None:
        self.judged = judged
        self.future = future
        self.duplicate_of: int | None = None


@dataclass(slots=True)
class _Batch:
    """What is committed together: deliveries somebody waits for, and (exchange id, attempt).

    `is_due`: what was written before it has to be synced as well.
    """

    deliveries: list[_Pending]
    attempts: list[tuple[int, Attempt]]
    discarded: list[int]
    is_due: bool


class HistoryWriter:
    """Appends to the history from one event loop. Use as an async context manager.

    `append` returns when the delivery is on disk; of one that came by a relay, when it is written: it outlives this
    process, and within 50 ms the loss of power. `add_attempts` returns at once and is committed with the next
    delivery or within 50 ms. Raises UsageError `history-unusable` when the file cannot be opened or written.
    """

    def __init__(self, path: Path, limits: Limits = Limits(), *, now_s: Callable[[], float]) -> None:
        self._path = path
        self._limits = limits
        self._now_s = now_s
        # What the event loop has collected and not handed over yet:
        self._deliveries: list[_Pending] = []
        self._attempts: list[tuple[int, Attempt]] = []
        self._discarded: list[int] = []
        self._flush: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._queue: SimpleQueue[_Batch | None] = SimpleQueue()
        # The writer thread's own:
        self._unsaved: list[tuple[int, Attempt]] = []
        self._seen: OrderedDict[tuple[str | None, str], int] = OrderedDict()
        self._since_prune = 0
        self._has_unsynced = False
        self._is_syncing = True  # as the database is set
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread
        self._database: sqlite3.Connection

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        with told_unusable(self._path):
            self._database = _open_for_writing(self._path)
            self._remember_recent()
            self._prune()
        self._thread = threading.Thread(target=self._write, name="history-writer", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_closed = True
        if self._flush is not None:
            self._flush.cancel()
        self._hand_over(is_due=True)
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._database.close()

    def append(self, judged: Judged) -> "asyncio.Future[tuple[int, int | None]]":
        """Store one delivery durably; the future gives its id and the id of the delivery it repeats, if any."""
        pending = _Pending(judged, self._loop.create_future())
        if self._is_closed:
            pending.future.set_exception(unusable(self._path, "it is closed"))
            return pending.future
        self._deliveries.append(pending)
        if len(self._deliveries) == 1:
            # All that one round of the event loop brings becomes one batch, and one commit.
            self._loop.call_soon(self._hand_over)
        if judged[0].relayed is not None:
            self._flush_soon()
        return pending.future

    def add_attempts(self, exchange_id: int, attempts: Sequence[Attempt]) -> None:
        """Add attempts to a stored exchange, soon (within 50 ms) but without waiting."""
        self._attempts.extend([(exchange_id, attempt) for attempt in attempts])
        self._flush_soon()

    def discard(self, exchange_id: int) -> None:
        """Take back a stored delivery that nothing was done with, soon (within 50 ms) but without waiting."""
        self._discarded.append(exchange_id)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self._flush is None and not self._is_closed:
            self._flush = self._loop.call_later(_LAZY_FLUSH_S, self._flush_now)

    def _flush_now(self) -> None:
        self._flush = None
        self._hand_over(is_due=True)

    def _hand_over(self, *, is_due: bool = False) -> None:
        if self._deliveries or self._attempts or self._discarded or is_due:
            self._queue.put(_Batch(self._deliveries, self._attempts, self._discarded, is_due))
            self._deliveries, self._attempts, self._discarded = [], [], []

    # in the writer thread

    def _write(self) -> None:
        running = True
        while running:
            batch = _Batch([], [], [], False)
            more = self._next()
            while True:
                if more is None:
                    running = False
                else:
                    batch.deliveries += more.deliveries
                    batch.attempts += more.attempts
                    batch.discarded += more.discarded
                    batch.is_due |= more.is_due
                if len(batch.deliveries) >= _BATCH_ROWS:
                    break
                try:
                    more = self._queue.get_nowait()
                except Empty:
                    break
            self._commit(batch)

    def _next(self) -> _Batch | None:
        """The next of the queue; the history is pruned while none comes."""
        while self._since_prune:
            try:
                return self._queue.get(timeout=_QUIET_S)
            except Empty:
                self._prune_safely()
        return self._queue.get()

    def _commit(self, batch: _Batch) -> None:
        attempts = self._unsaved + batch.attempts
        self._unsaved = []
        is_empty = not (batch.deliveries or attempts or batch.discarded)
        if is_empty and not (batch.is_due and self._has_unsynced):
            return
        fresh: list[tuple[str | None, str]] = []
        try:
            self._set_syncing(
                batch.is_due or any(each.judged[0].relayed is None for each in batch.deliveries)
            )
            with _transaction(self._database):
                if is_empty:  # a commit syncs what was written before it when it writes something itself
                    self._database.execute(f"PRAGMA user_version={rows.VERSION}")
                first_id = self._insert_deliveries(batch.deliveries, fresh)
                self._insert(ATTEMPT, [rows.attempt_row(*attempt) for attempt in attempts])
                for exchange_id in batch.discarded:
                    self._database.execute("DELETE FROM exchange WHERE id = ?", (exchange_id,))
        except Exception as error:
            # Whatever it was: the senders are told, and the next delivery tries anew. Disks get free again.
            for key in fresh:
                self._seen.pop(key, None)
            if isinstance(error, sqlite3.OperationalError):
                self._unsaved = attempts[-_MAX_UNSAVED:]
            self._tell(batch.deliveries, unusable(self._path, error))
            return
        self._has_unsynced = not self._is_syncing
        if batch.deliveries:
            self._tell(batch.deliveries, first_id)
            self._since_prune += len(batch.deliveries)
            if self._since_prune >= _PRUNE_ANYWAY:
                self._prune_safely()

    def _set_syncing(self, is_syncing: bool) -> None:
        if is_syncing is not self._is_syncing:
            self._database.execute(f"PRAGMA synchronous={'FULL' if is_syncing else 'NORMAL'}")
            self._is_syncing = is_syncing

    def _tell(self, deliveries: list[_Pending], outcome: int | Exception) -> None:
        with suppress(RuntimeError):  # the loop was closed with a commit under way: nobody waits any more
            self._loop.call_soon_threadsafe(_settle, deliveries, outcome)

    def _insert_deliveries(self, deliveries: list[_Pending], fresh: list[tuple[str | None, str]]) -> int:
        """Insert within the transaction; the first id. Ids are consecutive, since nobody else can write now."""
        (last_id,) = self._database.execute(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'exchange'), 0)"
        ).fetchone()
        values: list[Row] = []
        for exchange_id, pending in enumerate(deliveries, int(last_id) + 1):
            capture, detection, verdict = pending.judged
            pending.duplicate_of = self._recognise(detection, exchange_id, fresh)
            values.append(rows.exchange_row(capture, detection, verdict, pending.duplicate_of))
        self._insert(EXCHANGE, values)
        return int(last_id) + 1

    def _insert(self, table: tuple[str, str], values: list[Row]) -> None:
        """Insert with few statements: each one lets go of the interpreter lock, and may have to wait for it again."""
        start = 0
        while start < len(values):
            # Powers of two only, so that the prepared statements of all sizes stay cached.
            count = min(1 << ((len(values) - start).bit_length() - 1), _BATCH_ROWS)
            flat = [value for row in values[start : start + count] for value in row]
            self._database.execute(rows.insert_statement(table, count), flat)
            start += count

    def _recognise(
        self, detection: Detection, exchange_id: int, fresh: list[tuple[str | None, str]]
    ) -> int | None:
        """The delivery that this one repeats, or None; then it is remembered, and added to `fresh`."""
        if detection.delivery_id is None:
            return None
        key = (detection.provider, detection.delivery_id)
        earlier = self._seen.get(key)
        if earlier is None:
            self._seen[key] = exchange_id
            fresh.append(key)
            if len(self._seen) > _REMEMBERED_DELIVERIES:
                self._seen.popitem(last=False)
        return earlier

    def _remember_recent(self) -> None:
        found = self._database.execute(
            "SELECT provider, delivery_id, coalesce(duplicate_of, id) FROM exchange"
            " WHERE id > (SELECT max(id) FROM exchange) - ? AND delivery_id IS NOT NULL ORDER BY id",
            (_REMEMBERED_DELIVERIES,),
        )
        for provider, delivery_id, exchange_id in found:
            self._seen.setdefault((provider, delivery_id), exchange_id)

    def _prune_safely(self) -> None:
        self._since_prune = 0
        with suppress(sqlite3.Error):  # a full disk shows at the next delivery, where somebody is told
            self._prune()

    def _prune(self) -> None:
        """Delete what is over the limits, oldest first. Ids are dense, so no look needs to walk the table."""
        limits, database = self._limits, self._database
        first, last = database.execute("SELECT min(id), max(id) FROM exchange").fetchone()
        if first is None:
            return
        keep_from = first
        if limits.max_age_s:
            (young,) = database.execute(
                "SELECT id FROM exchange WHERE received_at_s >= ? ORDER BY id LIMIT 1",
                (self._now_s() - limits.max_age_s,),
            ).fetchone() or (last + 1,)
            keep_from = max(keep_from, young)
        if limits.max_count:
            keep_from = max(keep_from, last - limits.max_count + 1)
        self._delete_before(keep_from)
        while limits.max_bytes and keep_from < last and self._size_bytes() > limits.max_bytes:
            keep_from = max(keep_from, first) + (last - max(keep_from, first)) // 10 + 1
            self._delete_before(keep_from)

    def _delete_before(self, exchange_id: int) -> None:
        with _transaction(self._database):
            self._database.execute("DELETE FROM exchange WHERE id < ?", (exchange_id,))
            self._database.execute("DELETE FROM attempt WHERE exchange_id < ?", (exchange_id,))

    def _size_bytes(self) -> int:
        """Pages in use; freed pages are used again, so the file does not grow past the limit."""
        pages, free, size = (
            int(self._database.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _open_for_writing(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600, exist_ok=True)
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    try:
        check_version(database)
        database.execute(f"PRAGMA page_size={_PAGE_BYTES}")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        with _transaction(database):
            _bring_up_to_date(database)
    except BaseException:
        database.close()
        raise
    return database


def _bring_up_to_date(database: sqlite3.Connection) -> None:
    """Make the tables, or add what a file of an older version lacks. Within a transaction: another may do the same."""
    for statement in f"{rows.migration(check_version(database))}{rows.SCHEMA}".split(";"):
        database.execute(statement)
    database.execute(f"PRAGMA user_version={rows.VERSION}")


def _settle(deliveries: list[_Pending], outcome: int | Exception) -> None:
    """Tell the senders: `outcome` is the first id, or why nothing was stored."""
    for offset, pending in enumerate(deliveries):
        if pending.future.done():
            continue
        if isinstance(outcome, int):
            pending.future.set_result((outcome + offset, pending.duplicate_of))
        else:
            pending.future.set_exception(outcome)
