"""A frame's bytes and back: fixed big-endian heads, lengths before texts, bodies at the end.

Knows nothing of turns, credit or connections. Any bytes decode to a frame or to a ProtocolError.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import isfinite
from string import ascii_letters, digits
from struct import Struct
from struct import error as StructError  # noqa: N812  (it is an exception)
from typing import Any, TypeAlias

from webhookctl.errors import RelayError
from webhookctl.model import Headers
from webhookctl.tunnel_protocol.frames import (
    CHUNK_BYTES,
    MAX_FRAME_BYTES,
    VERSION,
    Acknowledge,
    Answer,
    AnswerBody,
    Close,
    CloseCode,
    Credit,
    Delivery,
    DeliveryBody,
    Frame,
    Hello,
    Mode,
    Ping,
    Pong,
    Skipped,
    Welcome,
)

MAX_FIELDS = 1_024  # header fields in one frame
MAX_TEXT_BYTES = 4_096  # of a name, a reason or a message
MAX_HEAD_BYTES = (
    MAX_FRAME_BYTES - CHUNK_BYTES - 16 * 1024
)  # texts and header fields, 8 bytes more for each field
MAX_COUNT = 2**63 - 1  # of any counter: a signed 64-bit integer everywhere it is kept

_TOKEN = (ascii_letters + digits + "!#$%&'*+-.^_`|~").encode()  # RFC 9110 5.6.2: what a field name is made of
_IS_TLS, _IS_LAST = 1, 2

_HELLO = Struct(">BBBQqIQ")
_WELCOME = Struct(">BBddQQ")
_DELIVERY = Struct(">BQIdBQH6I")
_PIECE = Struct(">BQB")
_SKIPPED = Struct(">BQQQ")
_CREDIT = Struct(">BIQ")
_ANSWER = Struct(">BQHBHI")
_NUMBER = Struct(">BQ")
_CLOSE = Struct(">BH")


class ProtocolError(RelayError):
    """The peer (or our own side) said what the protocol does not allow. `close_code` ends the tunnel."""

    def __init__(self, close_code: CloseCode, message: str) -> None:
        is_old = close_code is CloseCode.UPGRADE_NEEDED
        hint = (
            "upgrade the older side"
            if is_old
            else "client and relay may be of different releases: upgrade both"
        )
        super().__init__("tunnel-protocol", message, hint)
        self.close_code = close_code


def encode(frame: Frame) -> bytes:
    """The bytes of `frame`, at most MAX_FRAME_BYTES. Raises ProtocolError for what no peer would take."""
    try:
        return _ENCODERS[type(frame)](frame)
    except (StructError, ValueError) as error:
        raise _refusal(f"{type(frame).__name__} cannot be encoded: {error}") from error


def decode(data: bytes) -> Frame:
    """The frame that `data` is. Raises ProtocolError for anything else, whatever the bytes."""
    if not 0 < len(data) <= MAX_FRAME_BYTES:
        raise _refusal(f"a frame of {len(data)} bytes")
    decoder = _DECODERS.get(data[0])
    if decoder is None:
        raise _refusal(f"unknown kind of frame: {data[0]}")
    try:
        return decoder(data)
    except (StructError, ValueError) as error:
        raise _refusal(f"a broken frame of kind {data[0]}: {error}") from error


def _refusal(message: str) -> ProtocolError:
    return ProtocolError(CloseCode.PROTOCOL_ERROR, message)


# Texts of the small frames: UTF-8, the lengths of all of them first.


def _packed(texts: Sequence[str]) -> bytes:
    encoded = [text.encode() for text in texts]
    sizes = [len(each) for each in encoded]
    _check_texts(sizes)
    return b"".join((Struct(f">{len(sizes)}H").pack(*sizes), *encoded))


def _unpacked(data: bytes, at: int, count: int, *, may_go_on: bool = False) -> list[str]:
    """`count` texts from offset `at`, which have to end where `data` ends unless it `may_go_on`."""
    lengths = Struct(f">{count}H")
    sizes = lengths.unpack_from(data, at)
    _check_texts(sizes)
    at += lengths.size
    excess = len(data) - at - sum(sizes)
    if excess < 0 or (excess and not may_go_on):
        raise ValueError("its length is not that of its parts")
    texts = []
    for size in sizes:
        texts.append(data[at : at + size].decode())
        at += size
    return texts


def _check_texts(sizes: Sequence[int]) -> None:
    if max(sizes) > MAX_TEXT_BYTES:
        raise ValueError(f"a text of {max(sizes)} bytes")


# Heads of HTTP: texts as on the wire (latin-1), then the header fields, then the first piece of the body.


def _packed_head(start: bytes, texts: bytes, headers: Headers, body: bytes) -> bytes:
    """`start`, the sizes of all names and values, `texts`, names and values, `body`."""
    parts = [part for field in headers for part in field]
    blob = b"".join((texts, *parts))
    _check_head(blob, [name for name, _ in headers])
    _check_piece(body)
    return b"".join((start, _lengths(len(parts)).pack(*map(len, parts)), blob, body))


def _unpacked_head(
    data: bytes, at: int, text_sizes: Sequence[int], count: int
) -> tuple[list[str], Headers, bytes]:
    """Texts, header fields and body from offset `at`, where the sizes of `count` fields begin."""
    if count > MAX_FIELDS:
        raise ValueError(f"{count} header fields")
    sizes = _lengths(2 * count).unpack_from(data, at)
    at += 8 * count
    end = at + sum(text_sizes) + sum(sizes)
    if end > len(data):
        raise ValueError("it ends too early")
    blob = data[at:end]
    headers, names, at = [], [], sum(text_sizes)
    line = blob[:at].decode("latin-1")
    each = iter(sizes)
    for name_size, value_size in zip(each, each, strict=True):
        middle = at + name_size
        name = blob[at:middle]
        at = middle + value_size
        names.append(name)
        headers.append((name, blob[middle:at]))
    _check_head(blob, names)
    body = data[end:]
    _check_piece(body)
    texts, at = [], 0
    for size in text_sizes:
        texts.append(line[at : at + size])
        at += size
    return texts, tuple(headers), body


@lru_cache(64)
def _lengths(count: int) -> Struct:
    return Struct(f">{count}I")


def _check_head(blob: bytes, names: list[bytes]) -> None:
    """Nothing that could end a line or smuggle a field in, on either side."""
    if len(names) > MAX_FIELDS or len(blob) > MAX_HEAD_BYTES:
        raise ValueError(f"{len(names)} header fields, {len(blob)} bytes")
    if b"\n" in blob or b"\r" in blob or b"\0" in blob:
        raise ValueError("CR, LF or NUL in its head")
    if not all(names) or b"".join(names).translate(None, _TOKEN):
        raise ValueError("a header field's name is none")


def _check_piece(body: bytes) -> None:
    if len(body) > CHUNK_BYTES:
        raise ValueError(f"a piece of {len(body)} bytes")


def _checked_count(number: int) -> int:
    if not 0 <= number <= MAX_COUNT:
        raise ValueError(f"the number {number}")
    return number


def _checked_seq(number: int) -> int:
    if not 1 <= number <= MAX_COUNT:
        raise ValueError(f"the sequence number {number}")
    return number


def _checked_flags(flags: int, known: int) -> int:
    if flags & ~known:
        raise ValueError(f"unknown flags: {flags}")
    return flags


def _checked_seconds(seconds: float) -> float:
    if not (isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{seconds} seconds")
    return seconds


# One pair for each frame.


def _encode_hello(frame: Hello) -> bytes:
    numbers = (frame.cursor, frame.backlog, frame.window_deliveries, frame.window_bytes)
    _check_hello(frame)
    return _HELLO.pack(1, frame.version, frame.mode, *numbers) + _packed((frame.channel, frame.instance))


def _decode_hello(data: bytes) -> Hello:
    _, version, mode, cursor, backlog, deliveries, body_bytes = _HELLO.unpack_from(data)
    # A later version may say more after what this one knows; who answers it decides the version.
    channel, instance = _unpacked(data, _HELLO.size, 2, may_go_on=version > VERSION)
    frame = Hello(version, channel, Mode(mode), cursor, backlog, deliveries, body_bytes, instance)
    _check_hello(frame)
    return frame


def _check_hello(frame: Hello) -> None:
    _checked_count(frame.cursor)
    _checked_count(frame.window_bytes)
    if frame.backlog < -1:
        raise ValueError(f"a backlog of {frame.backlog}")


def _encode_welcome(frame: Welcome) -> bytes:
    seconds = _checked_seconds(frame.heartbeat_s), _checked_seconds(frame.deadline_s)
    counts = _checked_count(frame.head), _checked_count(frame.pending)
    texts = (frame.channel, frame.url, frame.session, frame.policy)
    return _WELCOME.pack(2, frame.version, *seconds, *counts) + _packed(texts)


def _decode_welcome(data: bytes) -> Welcome:
    _, version, heartbeat_s, deadline_s, head, pending = _WELCOME.unpack_from(data)
    channel, url, session, policy = _unpacked(data, _WELCOME.size, 4)
    seconds = _checked_seconds(heartbeat_s), _checked_seconds(deadline_s)
    return Welcome(
        version, channel, url, session, *seconds, policy, _checked_count(head), _checked_count(pending)
    )


def _encode_delivery(frame: Delivery) -> bytes:
    texts = (frame.delivery_id, frame.peer, frame.http_version, frame.url, frame.method, frame.target)
    start = _DELIVERY.pack(
        3,
        _checked_seq(frame.seq),
        frame.attempt,
        _checked_seconds(frame.received_at_s),
        frame.is_tls * _IS_TLS | frame.is_last * _IS_LAST,
        _checked_count(frame.body_bytes),
        len(frame.headers),
        *map(len, texts),
    )
    return _packed_head(start, "".join(texts).encode("latin-1"), frame.headers, frame.body)


def _decode_delivery(data: bytes) -> Delivery:
    _, seq, attempt, received_at_s, flags, body_bytes, count, *sizes = _DELIVERY.unpack_from(data)
    texts, headers, body = _unpacked_head(data, _DELIVERY.size, sizes, count)
    delivery_id, peer, http_version, url, method, target = texts
    _checked_flags(flags, _IS_TLS | _IS_LAST)
    return Delivery(
        _checked_seq(seq),
        delivery_id,
        attempt,
        _checked_seconds(received_at_s),
        peer,
        bool(flags & _IS_TLS),
        http_version,
        url,
        method,
        target,
        headers,
        _checked_count(body_bytes),
        body,
        bool(flags & _IS_LAST),
    )


def _encode_piece(kind: int, frame: DeliveryBody | AnswerBody) -> bytes:
    _check_piece(frame.data)
    return b"".join((_PIECE.pack(kind, _checked_seq(frame.seq), frame.is_last * _IS_LAST), frame.data))


def _decode_piece(data: bytes) -> tuple[int, bytes, bool]:
    _, seq, flags = _PIECE.unpack_from(data)
    body = data[_PIECE.size :]
    _check_piece(body)
    return _checked_seq(seq), body, bool(_checked_flags(flags, _IS_LAST))


def _encode_skipped(frame: Skipped) -> bytes:
    _check_skipped(frame)
    return _SKIPPED.pack(5, frame.first, frame.last, frame.count) + _packed((frame.reason,))


def _decode_skipped(data: bytes) -> Skipped:
    _, first, last, count = _SKIPPED.unpack_from(data)
    (reason,) = _unpacked(data, _SKIPPED.size, 1)
    frame = Skipped(first, last, count, reason)
    _check_skipped(frame)
    return frame


def _check_skipped(frame: Skipped) -> None:
    if not (1 <= frame.first <= frame.last <= MAX_COUNT and 1 <= frame.count <= frame.last - frame.first + 1):
        raise ValueError(f"{frame.count} skipped from {frame.first} to {frame.last}")


def _encode_credit(frame: Credit) -> bytes:
    return _CREDIT.pack(6, frame.deliveries, _checked_count(frame.body_bytes))


def _decode_credit(data: bytes) -> Credit:
    _, deliveries, body_bytes = _CREDIT.unpack(data)
    return Credit(deliveries, _checked_count(body_bytes))


def _encode_answer(frame: Answer) -> bytes:
    reason = frame.reason.encode("latin-1")
    flags = frame.is_last * _IS_LAST
    status = _checked_status(frame.status)
    start = _ANSWER.pack(7, _checked_seq(frame.seq), status, flags, len(frame.headers), len(reason))
    return _packed_head(start, reason, frame.headers, frame.body)


def _decode_answer(data: bytes) -> Answer:
    _, seq, status, flags, count, size = _ANSWER.unpack_from(data)
    (reason,), headers, body = _unpacked_head(data, _ANSWER.size, (size,), count)
    is_last = bool(_checked_flags(flags, _IS_LAST))
    return Answer(_checked_seq(seq), _checked_status(status), reason, headers, body, is_last)


def _checked_status(status: int) -> int:
    if not 100 <= status <= 999:
        raise ValueError(f"the status {status}")
    return status


def _encode_close(frame: Close) -> bytes:
    return _CLOSE.pack(12, frame.code) + _packed((frame.message,))


def _decode_close(data: bytes) -> Close:
    _, code = _CLOSE.unpack_from(data)
    (message,) = _unpacked(data, _CLOSE.size, 1)
    return Close(CloseCode(code), message)


_Encoder: TypeAlias = Callable[[Any], bytes]
_Decoder: TypeAlias = Callable[[bytes], Frame]

_ENCODERS: dict[type[Frame], _Encoder] = {
    Hello: _encode_hello,
    Welcome: _encode_welcome,
    Delivery: _encode_delivery,
    DeliveryBody: lambda frame: _encode_piece(4, frame),
    Skipped: _encode_skipped,
    Credit: _encode_credit,
    Answer: _encode_answer,
    AnswerBody: lambda frame: _encode_piece(8, frame),
    Acknowledge: lambda frame: _NUMBER.pack(9, _checked_seq(frame.seq)),
    Ping: lambda frame: _NUMBER.pack(10, frame.nonce),
    Pong: lambda frame: _NUMBER.pack(11, frame.nonce),
    Close: _encode_close,
}

_DECODERS: dict[int, _Decoder] = {
    1: _decode_hello,
    2: _decode_welcome,
    3: _decode_delivery,
    4: lambda data: DeliveryBody(*_decode_piece(data)),
    5: _decode_skipped,
    6: _decode_credit,
    7: _decode_answer,
    8: lambda data: AnswerBody(*_decode_piece(data)),
    9: lambda data: Acknowledge(_checked_seq(_NUMBER.unpack(data)[1])),
    10: lambda data: Ping(_NUMBER.unpack(data)[1]),
    11: lambda data: Pong(_NUMBER.unpack(data)[1]),
    12: _decode_close,
}
