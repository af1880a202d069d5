"""Reads the history: every exchange of this project, whole, in one SQLite file.

Imports no asyncio, so that `log`, `show` and `verify` stay quick. Knows nothing of HTTP or rendering.
"""

import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Self

from webhookctl.errors import UsageError
from webhookctl.model import Exchange
from webhookctl.store import history_rows as rows


class History:
    """Reads the history, also while a listener writes it. Use as a context manager.

    A project without a history reads as an empty one. Raises UsageError `history-unusable` on a damaged file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None
        self._columns = rows.EXCHANGE_COLUMNS

    def __enter__(self) -> Self:
        if self._path.exists():
            with told_unusable(self._path):
                database = sqlite3.connect(
                    f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0
                )
                self._columns = rows.exchange_columns(check_version(database))
                # A listener that is just starting has made the file and not the tables yet.
                if database.execute(
                    "SELECT 1 FROM sqlite_master WHERE name = 'attempt_by_exchange'"
                ).fetchone():
                    self._database = database
                else:
                    database.close()
        return self

    def __exit__(self, *_: object) -> None:
        if self._database is not None:
            self._database.close()

    def find(self, exchange_id: int) -> Exchange | None:
        """The exchange of that id, with all its attempts, or None."""
        return next(self._select("WHERE id = ?", (exchange_id,)), None)

    def last(self) -> Exchange | None:
        """The newest exchange, or None."""
        return next(self._select("ORDER BY id DESC LIMIT 1"), None)

    def newest(
        self,
        *,
        limit: int,
        before_id: int | None = None,
        accept: Callable[[Exchange], bool] = lambda _: True,
    ) -> list[Exchange]:
        """Up to `limit` exchanges that `accept` takes, newest first, older than `before_id` when given."""
        boundary = before_id if before_id is not None else 1 << 62
        with closing(self._select("WHERE id < ? ORDER BY id DESC", (boundary,))) as exchanges:
            return list(islice(filter(accept, exchanges), limit))

    def count(self) -> int:
        """How many exchanges there are."""
        if self._database is None:
            return 0
        with told_unusable(self._path):
            return int(self._database.execute("SELECT count(*) FROM exchange").fetchone()[0])

    def _select(self, tail: str, parameters: Sequence[object] = ()) -> Generator[Exchange, None, None]:
        database = self._database
        if database is None:
            return
        with (
            told_unusable(self._path),
            closing(database.cursor()) as found,
            closing(database.cursor()) as tries,
        ):
            found.execute(f"SELECT id, {self._columns} FROM exchange {tail}", parameters)  # noqa: S608  (constants)
            for row in found:
                tries.execute(
                    f"SELECT {rows.ATTEMPT_COLUMNS} FROM attempt WHERE exchange_id = ? ORDER BY id",  # noqa: S608  (constants)
                    (row[0],),
                )
                yield rows.exchange(row, tuple(rows.attempt(attempt) for attempt in tries))


def check_version(database: sqlite3.Connection) -> int:
    """The schema of the file, 0 when it has none yet. Raises DatabaseError when it is newer than ours."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > rows.VERSION:
        raise sqlite3.DatabaseError(f"it was written by a newer webhookctl (schema {version})")
    return int(version)


def unusable(path: Path, error: Exception | str) -> UsageError:
    return UsageError(
        "history-unusable",
        f"the history {path} cannot be used: {error}",
        "check permissions and free space; a damaged file can be moved away, a new one is made",
    )


@contextmanager
def told_unusable(path: Path) -> Iterator[None]:
    """What goes wrong with the file is told of as `history-unusable`."""
    try:
        yield
    except (sqlite3.Error, OSError, ValueError) as error:
        raise unusable(path, error) from error
