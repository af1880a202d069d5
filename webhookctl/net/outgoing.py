"""One connection to an endpoint: a request goes out, its response is parsed. One request at a time.

Knows neither which endpoint it is nor time limits; failures are ExchangeErrors of its future.
"""

import asyncio
import socket
from contextlib import suppress
from typing import BinaryIO

import httptools

from webhookctl.model import Failure, FailureKind, Response

_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux only
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
_LENGTH = frozenset({b"content-length", b"transfer-encoding"})
_PIECE_BYTES = 256 * 1024  # of a body that is read from a file


class ExchangeError(Exception):
    """A response that did not come: the failure, and whether not one byte of an answer had arrived."""

    def __init__(self, kind: FailureKind, message: str, *, is_untouched: bool = False) -> None:
        super().__init__(message)
        self.failure = Failure(kind, message)
        self.is_untouched = is_untouched


class Outgoing(asyncio.Protocol):
    """One connection to an endpoint; carries one request at a time."""

    __slots__ = (
        "_body",
        "_future",
        "_headers",
        "_is_head",
        "_is_in_head",
        "_is_writable",
        "_loop",
        "_needs_eof",
        "_parser",
        "_reason",
        "_size",
        "idle_since_s",
        "is_reusable",
        "received_any",
        "transport",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._future: asyncio.Future[Response] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: bytes | bytearray = b""
        self._size = 0  # on the wire, of all that came for one request
        self._reason = b""
        self._is_head = False
        self._is_in_head = True
        self._needs_eof = False
        self._is_writable = asyncio.Event()
        self._is_writable.set()
        self.is_reusable = True
        self.received_any = False
        self.idle_since_s = 0.0
        self.transport: asyncio.Transport

    # sending the request

    def exchange(self, data: bytes, *, is_head: bool) -> "asyncio.Future[Response]":
        self._future = self._loop.create_future()
        self._is_head = is_head
        self._size = 0
        self.received_any = False
        self.transport.write(data)
        return self._future

    async def write_file(self, path: str) -> None:
        """Send the file at `path` behind what was sent, as fast as it is taken; ends early when nobody takes it."""
        try:
            with _opened(path) as file:
                while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                    await self._is_writable.wait()
                    if self.transport.is_closing():
                        return
                    self.transport.write(piece)
        except OSError as error:
            self._fail(FailureKind.NETWORK, f"its body cannot be read any more: {error.strerror}")

    def pause_writing(self) -> None:
        self._is_writable.clear()

    def resume_writing(self) -> None:
        self._is_writable.set()

    def abandon(self) -> None:
        """The caller waits no longer: whatever still comes belongs to nobody."""
        self._future = None
        self.is_reusable = False
        self.transport.abort()

    # receiving the response

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio's class

    def data_received(self, data: bytes) -> None:
        if self._future is None:
            # Bytes nobody asked for: the stream is out of step, never re-use it.
            self.is_reusable = False
            self.transport.abort()
            return
        self.received_any = True
        self._size += len(data)
        if self._size > MAX_RESPONSE_BYTES:
            self._fail(FailureKind.PROTOCOL, f"its response is larger than {MAX_RESPONSE_BYTES:,} bytes")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(FailureKind.PROTOCOL, "it switched protocols (101) unasked")
        except httptools.HttpParserError as error:
            self._fail(FailureKind.PROTOCOL, f"it did not answer in HTTP ({error})")
        if self._future is not None:
            self._acknowledge()

    def _acknowledge(self) -> None:
        """Acknowledge a part of a response at once.

        Apps that write head and body apart (Python's http.server) hold the body back until then, and the system
        would let them wait 40 ms for it (delayed ACK meets Nagle).
        """
        connected = self.transport.get_extra_info("socket")
        if connected is not None and _QUICK_ACK is not None:
            with suppress(OSError):
                connected.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)

    def on_message_begin(self) -> None:
        if self._future is None:
            self.is_reusable = False  # a second response to one request: out of step
        self._headers = []
        self._body = b""
        self._reason = b""
        self._is_in_head = True
        self._needs_eof = False

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_head:  # trailers never join the headers: RFC 9110 §6.5.1
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        status = self._parser.get_status_code()
        is_framed = False
        for name, _ in self._headers:
            if name.lower() in _LENGTH:
                is_framed = True
        self._needs_eof = not is_framed and status >= 200 and status not in (204, 304) and not self._is_head
        if self._is_head and status >= 200:
            # The parser cannot be told that no body follows: take the head and give the connection up.
            self.is_reusable = False
            self._complete()

    def on_body(self, data: bytes) -> None:
        body = self._body
        if not body:
            self._body = data
        elif isinstance(body, bytearray):
            body += data
        else:
            self._body = bytearray(body) + data

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200 or self._needs_eof:
            return
        if not self._parser.should_keep_alive():
            self.is_reusable = False
        self._complete()

    def eof_received(self) -> None:
        self.is_reusable = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_reusable = False
        self._is_writable.set()
        if self._future is None:
            return
        if self._needs_eof and exc is None:
            self._complete()
        elif not self.received_any:
            self._fail(FailureKind.CLOSED, "it closed the connection without an answer", is_untouched=True)
        else:
            self._fail(FailureKind.CLOSED, "it closed the connection in the middle of its response")

    # done

    def _complete(self) -> None:
        future, self._future = self._future, None
        if future is None or future.done():
            return
        body = self._body
        future.set_result(
            Response(
                self._parser.get_status_code(),
                self._reason.decode("latin-1"),
                tuple(self._headers),
                body if isinstance(body, bytes) else bytes(body),
            )
        )

    def _fail(self, kind: FailureKind, message: str, *, is_untouched: bool = False) -> None:
        future, self._future = self._future, None
        self.is_reusable = False
        if future is not None and not future.done():
            future.set_exception(ExchangeError(kind, message, is_untouched=is_untouched))
        self.transport.abort()


def _opened(path: str) -> BinaryIO:
    return open(path, "rb")
