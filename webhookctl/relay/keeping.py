"""What the broker does in its database apart from deliveries: channels made, changed, removed; the old swept out.

Plain functions over one connection, called in the writer's thread. Knows no loop and no files.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from webhookctl.relay import rows
from webhookctl.relay.broker import Queued
from webhookctl.relay.channel import Channel, from_text, to_text
from webhookctl.relay.commits import transaction

_KEEP_DONE_S = 3_600.0
_KEEP_DONE = 200_000  # lines about deliveries that are done, however many came within the hour
_READ_BYTES = 1024 * 1024  # of bodies that one read brings into memory, one more row aside
_RANGE = "id >= :first AND id < :end"
_SIZES = "count(*), coalesce(sum(body_bytes), 0), coalesce(min(id), 0), coalesce(max(id), 0)"


@dataclass(frozen=True, slots=True)
class Expired:
    """Deliveries of one channel that were dropped, and the names of bodies that went with them."""

    number: int
    first: int
    last: int
    count: int
    body_bytes: int
    spooled: list[str]


@dataclass(frozen=True, slots=True)
class Kept:
    """One channel as it was found on disk."""

    number: int
    channel: Channel
    head: int
    pending: int
    pending_bytes: int
    expired: Expired | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """All channels, and the names of all bodies in the spool that a delivery needs."""

    channels: list[Kept]
    spooled: set[str]


def load(database: sqlite3.Connection) -> Loaded:
    """What is on disk."""
    queued = {
        number: (count, size, newest)
        for number, count, size, newest in database.execute(
            "SELECT id >> ?, count(*), sum(body_bytes), max(id) FROM delivery GROUP BY 1", (rows.SEQ_BITS,)
        )
    }
    done = dict(database.execute("SELECT id >> ?, max(id) FROM done GROUP BY 1", (rows.SEQ_BITS,)).fetchall())
    channels = []
    for number, noted, first, last, lost, record in database.execute(
        "SELECT number, head, expired_first, expired_last, expired_count, record FROM channel"
    ):
        count, size, newest = queued.get(number, (0, 0, 0))
        head = max(noted, _seq(newest), _seq(done.get(number, 0)))
        expired = Expired(number, first, last, lost, 0, []) if lost else None
        channels.append(Kept(number, from_text(record), head, count, size, expired))
    return Loaded(channels, set(_spooled(database, 0, 1 << 62)))


def pending(database: sqlite3.Connection, number: int, after: int, limit: int) -> list[Queued]:
    """The next deliveries of a channel after sequence number `after`: up to `limit`, or until they are large."""
    found: list[Queued] = []
    size = 0
    for row in database.execute(
        f"SELECT {rows.DELIVERY[1]} FROM delivery WHERE {_RANGE} ORDER BY id LIMIT :limit",  # noqa: S608  (constants)
        {"first": rows.row_id(number, after + 1), "end": _end(number), "limit": limit},
    ):
        queued = rows.queued(row)
        found.append(queued)
        size += len(queued.arrival.body) if isinstance(queued.arrival.body, bytes) else 0
        if size >= _READ_BYTES:
            break
    return found


def before_newest(database: sqlite3.Connection, number: int, count: int) -> int:
    """The sequence number of the newest delivery but `count`; 0 when there are no more than that."""
    row = database.execute(
        f"SELECT id FROM delivery WHERE {_RANGE} ORDER BY id DESC LIMIT 1 OFFSET :count",  # noqa: S608  (constants)
        {"first": rows.row_id(number, 0), "end": _end(number), "count": count},
    ).fetchone()
    return _seq(row[0]) if row else 0


def create(database: sqlite3.Connection, channel: Channel) -> int:
    """Store a new channel; its number."""
    with transaction(database):
        number = database.execute(
            "INSERT INTO channel (id, record) VALUES (?, ?)", (channel.id, to_text(channel))
        ).lastrowid
    assert number is not None
    return number


def update(database: sqlite3.Connection, after: Channel) -> None:
    """Store a channel's new record."""
    with transaction(database):
        database.execute("UPDATE channel SET record = ? WHERE id = ?", (to_text(after), after.id))


def remove(database: sqlite3.Connection, number: int) -> list[str]:
    """Remove a channel and its deliveries; the names of their bodies in the spool."""
    with transaction(database):
        names = _drop(database, number, _end(number))
        database.execute("DELETE FROM channel WHERE number = ?", (number,))
    return names


def remove_through(database: sqlite3.Connection, number: int, seq: int, *, now_s: float) -> Expired:
    """Mark the deliveries up to `seq` as done without an answer."""
    end = rows.row_id(number, seq + 1)
    with transaction(database):
        count, size, first, last = _sizes(database, number, end)
        database.execute(
            "INSERT INTO done (id, delivery_id, status, done_at_s)"  # noqa: S608  (constants)
            f" SELECT id, delivery_id, 0, :now_s FROM delivery WHERE {_RANGE}",
            {"first": rows.row_id(number, 0), "end": end, "now_s": now_s},
        )
        return Expired(number, _seq(first), _seq(last), count, size, _drop(database, number, end))


def expire(database: sqlite3.Connection, due: Mapping[int, float], *, now_s: float) -> list[Expired]:
    """Drop what came to each channel number before its time in `due`, and old lines about what is done."""
    found = []
    for number, before_s in due.items():
        row = database.execute(
            f"SELECT id FROM delivery WHERE {_RANGE} AND received_at_s >= :before_s ORDER BY id LIMIT 1",  # noqa: S608  (constants)
            {"first": rows.row_id(number, 0), "end": _end(number), "before_s": before_s},
        ).fetchone()
        end = row[0] if row else _end(number)
        count, size, first, last = _sizes(database, number, end)
        if count:
            with transaction(database):
                names = _drop(database, number, end)
                _note_expired(database, number, _seq(first), _seq(last), count)
            found.append(Expired(number, _seq(first), _seq(last), count, size, names))
    _forget_done(database, now_s)
    return found


def _note_expired(database: sqlite3.Connection, number: int, first: int, last: int, count: int) -> None:
    database.execute(
        "UPDATE channel SET expired_first = CASE expired_count WHEN 0 THEN :first ELSE expired_first END,"
        " expired_last = :last, expired_count = expired_count + :count, head = max(head, :last)"
        " WHERE number = :number",
        {"number": number, "first": first, "last": last, "count": count},
    )


def _forget_done(database: sqlite3.Connection, now_s: float) -> None:
    (young,) = database.execute(
        "SELECT coalesce((SELECT number FROM done WHERE done_at_s >= ? ORDER BY number LIMIT 1),"
        " (SELECT max(number) + 1 FROM done), 0)",
        (now_s - _KEEP_DONE_S,),
    ).fetchone()
    (newest,) = database.execute("SELECT coalesce(max(number), 0) FROM done").fetchone()
    keep_from = max(young, newest - _KEEP_DONE + 1)
    with transaction(database):
        # What is forgotten here was the last trace of how far its channel had come.
        database.execute(
            "UPDATE channel SET head = max(head, last) FROM (SELECT id >> :bits AS of, max(id & :mask) AS last"
            " FROM done WHERE number < :keep_from GROUP BY of) WHERE number = of",
            {"bits": rows.SEQ_BITS, "mask": (1 << rows.SEQ_BITS) - 1, "keep_from": keep_from},
        )
        database.execute("DELETE FROM done WHERE number < ?", (keep_from,))


def _sizes(database: sqlite3.Connection, number: int, end: int) -> tuple[int, int, int, int]:
    """Of a channel's deliveries before row id `end`: how many, body bytes, first and last row id."""
    count, size, first, last = database.execute(
        f"SELECT {_SIZES} FROM delivery WHERE {_RANGE}",  # noqa: S608  (constants)
        {"first": rows.row_id(number, 0), "end": end},
    ).fetchone()
    return count, size, first, last


def _drop(database: sqlite3.Connection, number: int, end: int) -> list[str]:
    names = _spooled(database, rows.row_id(number, 0), end)
    database.execute(
        f"DELETE FROM delivery WHERE {_RANGE}",  # noqa: S608  (constants)
        {"first": rows.row_id(number, 0), "end": end},
    )
    return names


def _spooled(database: sqlite3.Connection, first: int, end: int) -> list[str]:
    found = database.execute(
        f"SELECT delivery_id FROM delivery WHERE {_RANGE} AND body IS NULL",  # noqa: S608  (constants)
        {"first": first, "end": end},
    )
    return [name for (name,) in found]


def _end(number: int) -> int:
    return rows.row_id(number + 1, 0)


def _seq(row_id: int) -> int:
    return row_id & (1 << rows.SEQ_BITS) - 1
