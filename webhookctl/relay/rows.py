"""The relay's tables, and deliveries as their rows.

Knows columns and SQL texts only: no file, no connection, no thread.
"""

from functools import cache

from webhookctl.model import Headers
from webhookctl.relay.broker import Arrival, Queued, SpooledBody

VERSION = 1
SEQ_BITS = 40
"""A delivery's row id is its channel's number and its sequence number: each channel is one range, in order."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS channel (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  head INTEGER NOT NULL DEFAULT 0,
  expired_first INTEGER NOT NULL DEFAULT 0,
  expired_last INTEGER NOT NULL DEFAULT 0,
  expired_count INTEGER NOT NULL DEFAULT 0,
  record TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS delivery (
  id INTEGER PRIMARY KEY,
  body_bytes INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  received_at_s REAL NOT NULL,
  delivery_id TEXT NOT NULL,
  peer TEXT NOT NULL,
  is_tls INTEGER NOT NULL,
  http_version TEXT NOT NULL,
  url TEXT NOT NULL,
  method TEXT NOT NULL,
  target TEXT NOT NULL,
  headers BLOB NOT NULL,
  body BLOB
);
CREATE TABLE IF NOT EXISTS done (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id INTEGER NOT NULL,
  delivery_id TEXT NOT NULL,
  status INTEGER NOT NULL,
  done_at_s REAL NOT NULL
);
"""
# `body` is NULL when it lies in the spool, under the delivery's id.
_COLUMNS = (
    "id, body_bytes, attempts, received_at_s, delivery_id, peer, is_tls, http_version, url, method, target, "
    "headers, body"
)
DELIVERY = ("delivery", _COLUMNS)
DONE = ("done", "id, delivery_id, status, done_at_s")
Row = tuple[object, ...]


def row_id(channel_number: int, seq: int) -> int:
    """The id of the row of delivery `seq`."""
    return channel_number << SEQ_BITS | seq


@cache  # few: the writer asks for powers of two only
def insert_statement(table: tuple[str, str], rows: int) -> str:
    """The SQL that inserts `rows` rows into `table`, one value a column."""
    name, columns = table
    marks = f"({', '.join('?' * (columns.count(',') + 1))})"
    return f"INSERT INTO {name} ({columns}) VALUES {', '.join([marks] * rows)}"  # noqa: S608  (constants)


@cache
def delete_statement(rows: int) -> str:
    """The SQL that deletes `rows` deliveries by their row ids."""
    return f"DELETE FROM delivery WHERE id IN ({', '.join('?' * rows)})"  # noqa: S608  (constants)


def delivery_row(channel_number: int, seq: int, arrival: Arrival) -> Row:
    """A new delivery as a row of `DELIVERY`."""
    body = arrival.body
    return (
        row_id(channel_number, seq),
        arrival.body_bytes,
        0,
        arrival.received_at_s,
        arrival.delivery_id,
        arrival.peer,
        arrival.is_tls,
        arrival.http_version,
        arrival.url,
        arrival.method,
        arrival.target,
        _encode_headers(arrival.headers),
        body if isinstance(body, bytes) else None,
    )


def queued(row: Row) -> Queued:
    """The delivery in a row of `DELIVERY`."""
    number, size, attempts, at_s, delivery_id, peer, is_tls, version, url, method, target, headers, body = row
    assert isinstance(number, int)
    assert isinstance(size, int)
    assert isinstance(attempts, int)
    assert isinstance(at_s, float)
    assert isinstance(headers, bytes)
    arrival = Arrival(
        str(delivery_id),
        at_s,
        str(peer),
        bool(is_tls),
        str(version),
        str(url),
        str(method),
        str(target),
        _decode_headers(headers),
        body if isinstance(body, bytes) else SpooledBody(str(delivery_id), size),
    )
    return Queued(number & (1 << SEQ_BITS) - 1, attempts, arrival)


def _encode_headers(headers: Headers) -> bytes:
    return b"".join([name + b":" + value + b"\r\n" for name, value in headers])


def _decode_headers(data: bytes) -> Headers:
    fields = []
    for line in data.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        fields.append((name, value))
    return tuple(fields)
