"""The broker's writer thread: commits all that has come in since its last commit together (group commit).

Knows SQLite and rows. Must not know who waits for a commit, nor what a channel allows.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

from webhookctl.errors import RelayError, UsageError
from webhookctl.relay import rows
from webhookctl.relay.broker import Arrival
from webhookctl.relay.spool import storage_error

_BATCH_ROWS = 256
_LAZY_FLUSH_S = 0.05  # what nobody waits for is committed with the next delivery, or after this long
_PAGE_BYTES = 8192
_Result = TypeVar("_Result")

OnStored: TypeAlias = Callable[[list["Append"], "RelayError | None"], None]


@dataclass(slots=True)
class Append:
    """A delivery on its way to disk; the thread fills in its place, `future` is for whoever waits."""

    channel: int
    arrival: Arrival
    future: "asyncio.Future[Any]"
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """A delivery that is done: its row goes, a line about it stays for a while."""

    id: int
    delivery_id: str
    status: int
    done_at_s: float
    is_spooled: bool


@dataclass(slots=True)
class _Batch:
    appends: list[Append] = field(default_factory=list)
    finished: list[Finished] = field(default_factory=list)
    attempts: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Call:
    work: Callable[[sqlite3.Connection], Any]
    future: "asyncio.Future[Any]"


class Writer:
    """One database, one thread, one event loop. `heads` are the newest sequence numbers by channel number.

    `on_stored` is called in the loop with what was committed, in order, or with what was not and why; `on_removed`
    in the thread with the names of bodies that no row holds any more.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        heads: dict[int, int],
        *,
        on_stored: OnStored,
        on_removed: Callable[[list[str]], None],
    ) -> None:
        self._database = database
        self._heads = heads  # the thread's own from now on
        self._on_stored = on_stored
        self._on_removed = on_removed
        self._loop = asyncio.get_running_loop()
        self._collected = _Batch()
        self._flush: asyncio.TimerHandle | None = None
        self._queue: SimpleQueue[_Batch | _Call | None] = SimpleQueue()
        self._unsaved = _Batch()  # the thread's: what nobody waits for and could not be written yet
        self._thread = threading.Thread(target=self._write, name="relay-writer", daemon=True)
        self._thread.start()

    def append(self, append: Append) -> None:
        """Have it stored with the next commit."""
        appends = self._collected.appends
        appends.append(append)
        if len(appends) == 1:
            # All that one round of the event loop brings becomes one batch, and one commit.
            self._loop.call_soon(self._hand_over)

    def finish(self, finished: Finished) -> None:
        """Have it written soon."""
        self._collected.finished.append(finished)
        self._collected.attempts.pop(finished.id, None)
        self._flush_soon()

    def note_attempts(self, id: int, attempts: int) -> None:  # noqa: A002  (the column's name)
        """Have it written soon, unless the delivery is done by then."""
        self._collected.attempts[id] = attempts
        self._flush_soon()

    def call(self, work: Callable[[sqlite3.Connection], _Result]) -> "asyncio.Future[_Result]":
        """What `work` returns, done in the thread after all that was handed over before.

        Raises RelayError as `storage_error` makes it, or what `work` raises of ours.
        """
        self._hand_over()
        future: asyncio.Future[_Result] = self._loop.create_future()
        self._queue.put(_Call(work, future))
        return future

    async def close(self) -> None:
        """Write what is left and end the thread."""
        if self._flush is not None:
            self._flush.cancel()
        self._hand_over()
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        await asyncio.sleep(0)  # what the thread said last is heard

    def _flush_soon(self) -> None:
        if self._flush is None:
            self._flush = self._loop.call_later(_LAZY_FLUSH_S, self._flush_now)

    def _flush_now(self) -> None:
        self._flush = None
        self._hand_over()

    def _hand_over(self) -> None:
        collected = self._collected
        if collected.appends or collected.finished or collected.attempts:
            self._collected = _Batch()
            self._queue.put(collected)

    # in the thread

    def _write(self) -> None:
        is_running = True
        while is_running:
            batch = _Batch()
            found = self._queue.get()
            while isinstance(found, _Batch):
                batch.appends += found.appends
                batch.finished += found.finished
                batch.attempts |= found.attempts
                if len(batch.appends) >= _BATCH_ROWS:
                    found = _Batch()
                    break
                try:
                    found = self._queue.get_nowait()
                except Empty:
                    break
            self._commit(batch)
            if isinstance(found, _Call):
                self._answer(found)
            is_running = found is not None

    def _commit(self, batch: _Batch) -> None:
        unsaved, self._unsaved = self._unsaved, _Batch()
        batch.finished[:0] = unsaved.finished
        batch.attempts = unsaved.attempts | batch.attempts
        if not (batch.appends or batch.finished or batch.attempts):
            return
        heads: dict[int, int] = {}
        try:
            with transaction(self._database) as database:
                self._insert(batch.appends, heads)
                _delete_finished(database, batch.finished)
                database.executemany(
                    "UPDATE delivery SET attempts = ? WHERE id = ?",
                    [(attempts, row_id) for row_id, attempts in batch.attempts.items()],
                )
        except Exception as error:
            # Whatever it was: the senders are told, and the next delivery tries anew. Disks get free again.
            if isinstance(error, sqlite3.OperationalError):
                self._unsaved = _Batch([], batch.finished, batch.attempts)
            self._tell(batch.appends, storage_error(error))
            return
        self._heads.update(heads)
        self._tell(batch.appends, None)
        self._on_removed([finished.delivery_id for finished in batch.finished if finished.is_spooled])

    def _insert(self, appends: list[Append], heads: dict[int, int]) -> None:
        values = []
        for append in appends:
            channel = append.channel
            append.seq = heads[channel] = heads.get(channel, self._heads.get(channel, 0)) + 1
            values.append(rows.delivery_row(channel, append.seq, append.arrival))
        insert(self._database, rows.DELIVERY, values)

    def _tell(self, appends: list[Append], error: RelayError | None) -> None:
        if appends:
            with suppress(RuntimeError):  # the loop was closed with a commit under way: nobody waits any more
                self._loop.call_soon_threadsafe(self._on_stored, appends, error)

    def _answer(self, call: _Call) -> None:
        try:
            outcome, error = call.work(self._database), None
        except (RelayError, UsageError) as refusal:
            outcome, error = None, refusal
        except Exception as failure:
            outcome, error = None, storage_error(failure)
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_settle, call.future, outcome, error)


def insert(database: sqlite3.Connection, table: tuple[str, str], values: Sequence[rows.Row]) -> None:
    """Insert with few statements: each one lets go of the interpreter lock, and may have to wait for it again."""
    for start, count in _powers(len(values)):
        flat = [value for row in values[start : start + count] for value in row]
        database.execute(rows.insert_statement(table, count), flat)


def _delete_finished(database: sqlite3.Connection, finished: list[Finished]) -> None:
    for start, count in _powers(len(finished)):
        ids = [each.id for each in finished[start : start + count]]
        database.execute(rows.delete_statement(count), ids)
    insert(
        database, rows.DONE, [(each.id, each.delivery_id, each.status, each.done_at_s) for each in finished]
    )


def _powers(length: int) -> Iterator[tuple[int, int]]:
    """`length` cut into powers of two, so that the prepared statements of all sizes stay cached: (start, count)."""
    start = 0
    while start < length:
        count = min(1 << ((length - start).bit_length() - 1), _BATCH_ROWS)
        yield start, count
        start += count


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All that is done in the block is committed, or nothing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def open_database(path: Path) -> sqlite3.Connection:
    """The database at `path`, made when it is not there. Raises UsageError `relay-data-unusable`."""
    try:
        path.touch(mode=0o600, exist_ok=True)
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, str(error)) from error
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > rows.VERSION:
            raise _unusable(path, "a newer webhookctl wrote it")
        database.execute(f"PRAGMA page_size={_PAGE_BYTES}")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.executescript(f"BEGIN IMMEDIATE; {rows.SCHEMA} PRAGMA user_version={rows.VERSION}; COMMIT")
    except sqlite3.Error as error:
        database.close()
        raise _unusable(path, str(error)) from error
    except UsageError:
        database.close()
        raise
    return database


def _unusable(path: Path, why: str) -> UsageError:
    return UsageError(
        "relay-data-unusable",
        f"{path} cannot be used: {why}",
        "use another --data folder, or restore this one",
    )


def _settle(future: "asyncio.Future[Any]", outcome: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(outcome)
    else:
        future.set_exception(error)
