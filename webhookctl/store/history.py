"""The history: every exchange of this project, whole, in one SQLite file (WAL, synchronous=FULL).

One writer thread commits what has come in since its last commit together (group commit), so that a delivery
is on disk before its sender is answered, at the cost of one fsync a batch. Knows nothing of HTTP or rendering.
"""

import asyncio
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Self

from webhookctl.errors import UsageError, WebhookctlError
from webhookctl.model import (
    Attempt,
    Capture,
    Detection,
    Exchange,
    Failure,
    FailureKind,
    Headers,
    Request,
    Response,
    Verdict,
    VerdictKind,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS exchange (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  received_at_s REAL NOT NULL,
  peer TEXT NOT NULL,
  is_tls INTEGER NOT NULL,
  http_version TEXT NOT NULL,
  method TEXT NOT NULL,
  target TEXT NOT NULL,
  headers BLOB NOT NULL,
  body BLOB NOT NULL,
  provider TEXT,
  event TEXT,
  delivery_id TEXT,
  detected_by TEXT NOT NULL,
  verdict TEXT NOT NULL,
  scheme TEXT,
  reason TEXT NOT NULL,
  duplicate_of INTEGER
);
CREATE TABLE IF NOT EXISTS attempt (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  exchange_id INTEGER NOT NULL,
  url TEXT NOT NULL,
  started_at_s REAL NOT NULL,
  latency_ms REAL NOT NULL,
  status INTEGER,
  response_reason TEXT,
  response_headers BLOB,
  response_body BLOB,
  failure TEXT,
  failure_message TEXT
);
CREATE INDEX IF NOT EXISTS attempt_by_exchange ON attempt (exchange_id);
"""
_SCHEMA_VERSION = 1
_EXCHANGE_COLUMNS = (
    "received_at_s, peer, is_tls, http_version, method, target, headers, body, provider, event, delivery_id, "
    "detected_by, verdict, scheme, reason, duplicate_of"
)
_ATTEMPT_COLUMNS = (
    "exchange_id, url, started_at_s, latency_ms, status, response_reason, response_headers, response_body, "
    "failure, failure_message"
)
_EXCHANGE_WIDTH = 16
_BATCH_ROWS = 256  # rows of one commit: bounds what a commit may take, far above any real concurrency
_REMEMBERED_DELIVERIES = 20_000  # how far back a repeated delivery id is recognised
_LAZY_FLUSH_S = 0.05  # attempts are committed with the next delivery, or after this long
_QUIET_S = 1.0  # the limits are looked at when no delivery came for this long: deleting costs as much as storing,
_PRUNE_ANYWAY = 100_000  # and in a storm that has not ended after this many

Judged = tuple[Capture, Detection, Verdict]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the history keeps at most; older exchanges go first. 0 means no limit."""

    max_count: int = 100_000
    max_age_s: float = 30 * 86_400.0
    max_bytes: int = 2 * 1024**3


def encode_headers(headers: Headers) -> bytes:
    """Header fields as `Name: value` lines, CRLF-ended: exact, since neither may hold CR or LF."""
    return b"".join([b"%b: %b\r\n" % field for field in headers])


def decode_headers(data: bytes) -> Headers:
    """The inverse of `encode_headers`."""
    fields = []
    for line in data.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b": ")
        fields.append((name, value))
    return tuple(fields)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=10000")
    return connection


def _unusable(path: Path, error: Exception) -> WebhookctlError:
    return UsageError(
        "history-unusable",
        f"the history {path} cannot be used: {error}",
        "check permissions and free space; a damaged file can be moved away, a new one is made",
    )


class _Pending:
    """One delivery on its way to disk, with the future its sender waits on."""

    __slots__ = ("duplicate_of", "future", "judged")

    def __init__(self, judged: Judged, future: "asyncio.Future[tuple[int, int | None]]") -> None:
        self.judged = judged
        self.future = future
        self.duplicate_of: int | None = None


class HistoryWriter:
    """Appends to the history from one event loop. Use as an async context manager.

    `append` returns when the delivery is on disk; `add_attempts` returns at once and is committed with the next
    delivery or within 50 ms. Raises UsageError `history-unusable` when the file cannot be opened or written.
    """

    def __init__(self, path: Path, limits: Limits = Limits(), *, now_s: Callable[[], float]) -> None:
        self._path = path
        self._limits = limits
        self._now_s = now_s
        self._queue: SimpleQueue[_Pending | None] = SimpleQueue()
        self._attempts: list[tuple[int, Attempt]] = []
        self._flush: asyncio.TimerHandle | None = None
        self._seen: OrderedDict[tuple[str | None, str], int] = OrderedDict()
        self._since_prune = 0
        self._failure: Exception | None = None
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread
        self._database: sqlite3.Connection

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        try:
            self._database = _open_for_writing(self._path)
            self._remember_recent()
            self._prune()
        except (sqlite3.Error, OSError) as error:
            raise _unusable(self._path, error) from error
        self._thread = threading.Thread(target=self._write, name="history-writer", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._database.close()

    def append(self, judged: Judged) -> "asyncio.Future[tuple[int, int | None]]":
        """Store one delivery durably; the future gives its id and the id of the delivery it repeats, if any."""
        pending = _Pending(judged, self._loop.create_future())
        if self._failure is not None:
            pending.future.set_exception(_unusable(self._path, self._failure))
        else:
            self._queue.put(pending)
        return pending.future

    def add_attempts(self, exchange_id: int, attempts: Sequence[Attempt]) -> None:
        """Add attempts to a stored exchange, soon (within 50 ms) but without waiting."""
        self._attempts.extend([(exchange_id, attempt) for attempt in attempts])
        if self._flush is None:
            self._flush = self._loop.call_later(_LAZY_FLUSH_S, self._flush_attempts)

    def _flush_attempts(self) -> None:
        self._flush = None
        if self._attempts:
            # A batch of nothing but attempts: the writer takes them along with any batch.
            self._queue.put(_NOTHING)

    def _write(self) -> None:
        running = True
        while running:
            batch: list[_Pending] = []
            item = self._next()
            while True:
                if item is None:
                    running = False
                elif item is not _NOTHING:
                    batch.append(item)
                if len(batch) >= _BATCH_ROWS:
                    break
                try:
                    item = self._queue.get_nowait()
                except Empty:
                    break
            self._commit(batch)

    def _next(self) -> _Pending | None:
        """The next item; the history is pruned while none comes."""
        while self._since_prune:
            try:
                return self._queue.get(timeout=_QUIET_S)
            except Empty:
                self._prune_safely()
        return self._queue.get()

    def _prune_safely(self) -> None:
        self._since_prune = 0
        with suppress(sqlite3.Error):  # a full disk shows at the next delivery, where somebody is told
            self._prune()

    def _commit(self, batch: list[_Pending]) -> None:
        attempts, self._attempts = self._attempts, []
        database = self._database
        try:
            database.execute("BEGIN IMMEDIATE")
            first_id = self._insert(batch) if batch else 0
            if attempts:
                database.executemany(
                    f"INSERT INTO attempt ({_ATTEMPT_COLUMNS}) VALUES ({_marks(10)})",  # noqa: S608  (constants)
                    [_attempt_row(exchange_id, attempt) for exchange_id, attempt in attempts],
                )
            database.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._give_up(batch, error)
            return
        if batch:
            self._loop.call_soon_threadsafe(_resolve, batch, first_id)
            self._since_prune += len(batch)
            if self._since_prune >= _PRUNE_ANYWAY:
                self._prune_safely()

    def _give_up(self, batch: list[_Pending], error: Exception) -> None:
        """Tell every waiting sender that nothing was stored. The next delivery tries anew: disks get free again."""
        for pending in batch:
            detection = pending.judged[1]
            if pending.duplicate_of is None and detection.delivery_id is not None:
                self._seen.pop((detection.provider, detection.delivery_id), None)
        try:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
        except sqlite3.Error as broken:
            self._failure = broken
        self._loop.call_soon_threadsafe(_reject, batch, _unusable(self._path, error))

    def _insert(self, batch: list[_Pending]) -> int:
        """Insert a batch with few statements, each of which lets go of the interpreter lock once; the first id."""
        database = self._database
        (last_id,) = database.execute(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'exchange'), 0)"
        ).fetchone()
        values: list[object] = []
        for offset, pending in enumerate(batch):
            pending.duplicate_of = self._recognise(pending.judged[1], last_id + 1 + offset)
            values.extend(_exchange_row(pending.judged, pending.duplicate_of))
        start = 0
        while start < len(batch):
            # Powers of two only, so that the prepared statements of all sizes stay cached.
            rows = 1 << ((len(batch) - start).bit_length() - 1)
            database.execute(
                _insert_statement(rows), values[start * _EXCHANGE_WIDTH : (start + rows) * _EXCHANGE_WIDTH]
            )
            start += rows
        return int(last_id) + 1

    def _recognise(self, detection: Detection, exchange_id: int) -> int | None:
        if detection.delivery_id is None:
            return None
        key = (detection.provider, detection.delivery_id)
        earlier = self._seen.get(key)
        if earlier is None:
            self._seen[key] = exchange_id
            if len(self._seen) > _REMEMBERED_DELIVERIES:
                self._seen.popitem(last=False)
        return earlier

    def _remember_recent(self) -> None:
        rows = self._database.execute(
            "SELECT provider, delivery_id, coalesce(duplicate_of, id) FROM exchange WHERE delivery_id IS NOT NULL"
            " ORDER BY id DESC LIMIT ?",
            (_REMEMBERED_DELIVERIES,),
        ).fetchall()
        for provider, delivery_id, exchange_id in reversed(rows):
            self._seen.setdefault((provider, delivery_id), exchange_id)

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
        if limits.max_bytes and self._size_bytes() > limits.max_bytes:
            keep_from = max(keep_from, first + (last - first) // 10 + 1)
        if keep_from > first:
            database.execute("BEGIN IMMEDIATE")
            database.execute("DELETE FROM exchange WHERE id < ?", (keep_from,))
            database.execute("DELETE FROM attempt WHERE exchange_id < ?", (keep_from,))
            database.execute("COMMIT")

    def _size_bytes(self) -> int:
        """Pages in use; freed pages are used again, so the file does not grow past the limit."""
        pages, free, size = (
            int(self._database.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size


class History:
    """Reads the history, also while a listener writes it. Use as a context manager.

    A project without a history reads as an empty one. Raises UsageError `history-unusable` on a damaged file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        if self._path.exists():
            try:
                self._database = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=10.0)
                self._database.execute("SELECT id FROM exchange LIMIT 1").fetchone()
            except sqlite3.Error as error:
                raise _unusable(self._path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._database is not None:
            self._database.close()

    def find(self, exchange_id: int) -> Exchange | None:
        """The exchange of that id, with all its attempts, or None."""
        return next(iter(self._select("WHERE id = ?", (exchange_id,))), None)

    def last(self) -> Exchange | None:
        """The newest exchange, or None."""
        return next(iter(self._select("ORDER BY id DESC LIMIT 1", ())), None)

    def newest(
        self,
        *,
        limit: int,
        before_id: int | None = None,
        accept: Callable[[Exchange], bool] = lambda _: True,
    ) -> list[Exchange]:
        """Up to `limit` exchanges that `accept` takes, newest first, older than `before_id` when given."""
        found: list[Exchange] = []
        boundary = before_id if before_id is not None else 1 << 62
        while len(found) < limit:
            page = list(self._select("WHERE id < ? ORDER BY id DESC LIMIT 200", (boundary,)))
            if not page:
                break
            found.extend(exchange for exchange in page if accept(exchange))
            boundary = page[-1].id
        return found[:limit]

    def count(self) -> int:
        """How many exchanges there are."""
        if self._database is None:
            return 0
        return int(self._database.execute("SELECT count(*) FROM exchange").fetchone()[0])

    def _select(self, tail: str, parameters: tuple[object, ...]) -> Iterable[Exchange]:
        database = self._database
        if database is None:
            return
        try:
            with closing(
                database.execute(f"SELECT id, {_EXCHANGE_COLUMNS} FROM exchange {tail}", parameters)  # noqa: S608
            ) as rows:
                for row in rows:
                    attempts = database.execute(
                        f"SELECT {_ATTEMPT_COLUMNS} FROM attempt WHERE exchange_id = ? ORDER BY id",  # noqa: S608
                        (row[0],),
                    )
                    yield _exchange(row, tuple(_attempt(attempt) for attempt in attempts))
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error


_NOTHING = _Pending.__new__(_Pending)


def _open_for_writing(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600, exist_ok=True)
    database = _connect(path)
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > _SCHEMA_VERSION:
        database.close()
        raise sqlite3.DatabaseError(f"it was written by a newer webhookctl (schema {version})")
    database.executescript(_SCHEMA)
    database.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
    return database


def _marks(count: int) -> str:
    return ", ".join("?" * count)


_statements: dict[int, str] = {}


def _insert_statement(rows: int) -> str:
    statement = _statements.get(rows)
    if statement is None:
        one = f"({_marks(_EXCHANGE_WIDTH)})"
        statement = f"INSERT INTO exchange ({_EXCHANGE_COLUMNS}) VALUES {', '.join([one] * rows)}"  # noqa: S608
        _statements[rows] = statement
    return statement


def _resolve(batch: list[_Pending], first_id: int) -> None:
    for offset, pending in enumerate(batch):
        if not pending.future.done():
            pending.future.set_result((first_id + offset, pending.duplicate_of))


def _reject(batch: list[_Pending], error: Exception) -> None:
    for pending in batch:
        if not pending.future.done():
            pending.future.set_exception(error)


def _exchange_row(judged: Judged, duplicate_of: int | None) -> tuple[object, ...]:
    capture, detection, verdict = judged
    request = capture.request
    return (
        capture.received_at_s,
        capture.peer,
        capture.is_tls,
        capture.http_version,
        request.method,
        request.target,
        encode_headers(request.headers),
        request.body,
        detection.provider,
        detection.event,
        detection.delivery_id,
        detection.reason,
        verdict.kind.value,
        verdict.scheme,
        verdict.reason,
        duplicate_of,
    )


def _exchange(row: tuple[object, ...], attempts: tuple[Attempt, ...]) -> Exchange:
    (exchange_id, at, peer, tls, version, method, target, headers, body, provider, event, delivery_id) = row[
        :12
    ]
    (detected_by, verdict, scheme, reason, duplicate_of) = row[12:]
    return Exchange(
        id=_int(exchange_id),
        capture=Capture(
            Request(str(method), str(target), decode_headers(_bytes(headers)), _bytes(body)),
            received_at_s=float(str(at)),
            peer=str(peer),
            is_tls=bool(tls),
            http_version=str(version),
        ),
        detection=Detection(_text(provider), _text(event), _text(delivery_id), str(detected_by)),
        verdict=Verdict(VerdictKind(str(verdict)), _text(scheme), str(reason)),
        duplicate_of=None if duplicate_of is None else _int(duplicate_of),
        attempts=attempts,
    )


def _attempt_row(exchange_id: int, attempt: Attempt) -> tuple[object, ...]:
    response, failure = attempt.response, attempt.failure
    return (
        exchange_id,
        attempt.url,
        attempt.started_at_s,
        attempt.latency_ms,
        response.status if response else None,
        response.reason if response else None,
        encode_headers(response.headers) if response else None,
        response.body if response else None,
        failure.kind.value if failure else None,
        failure.message if failure else None,
    )


def _attempt(row: tuple[object, ...]) -> Attempt:
    _, url, started_at_s, latency_ms, status, reason, headers, body, failure, message = row
    return Attempt(
        url=str(url),
        started_at_s=float(str(started_at_s)),
        latency_ms=float(str(latency_ms)),
        response=None
        if status is None
        else Response(_int(status), str(reason), decode_headers(_bytes(headers)), _bytes(body)),
        failure=None if failure is None else Failure(FailureKind(str(failure)), str(message)),
    )


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


def _text(value: object) -> str | None:
    return None if value is None else str(value)
