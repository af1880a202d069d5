"""Takes deliveries in over HTTP/1.1: any method and path, exact bytes, guarded against bad and slow peers.

Hands each over as a `Capture` and writes the answer back exactly. Knows nothing of providers, history or rendering.
A protocol of its own over llhttp, since a request through aiohttp's server costs several times the parsing (bench/).
"""

import asyncio
import errno
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import httptools

from webhookctl.errors import UsageError
from webhookctl.model import Capture, Request, Response
from webhookctl.net.wire import plain_response, response_bytes

Deliver = Callable[[Capture], Awaitable[Response]]
"""What the engine does with a delivery: returns the answer for its sender. Must not raise."""

_MAX_HEAD_BYTES = 64 * 1024  # request line and fields together; nginx allows 32 KiB, node 16 KiB
_MAX_FIELDS = 256
_LINGER_S = 2.0  # how long an unread body may keep coming after an early answer (413)
_SWEEP_S = 1.0
_RETRY_AFTER = (b"Retry-After", b"1")


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Caps on what one peer may take. Times in seconds; body in bytes."""

    max_body_bytes: int = 32 * 1024 * 1024
    head_s: float = 10.0
    body_idle_s: float = 30.0
    idle_s: float = 75.0
    max_connections: int = 4_096


class Listener:
    """Listens on host and port from `async with` on; `url` tells where. Call `stop` before leaving to finish cleanly.

    `deliver` gets every complete request. `on_refused` gets (status, why) for what never became a delivery.
    Raises UsageError `port-in-use`, `port-forbidden` or `address-unusable`.
    """

    def __init__(
        self,
        deliver: Deliver,
        *,
        host: str,
        port: int,
        limits: ListenerLimits,
        tls: ssl.SSLContext | None,
        now_s: Callable[[], float],
        on_refused: Callable[[int, str], None],
    ) -> None:
        self.deliver = deliver
        self.limits = limits
        self.now_s = now_s
        self.on_refused = on_refused
        self.is_tls = tls is not None
        self.is_stopping = False
        self.connections: set[_Connection] = set()
        self.url = ""
        self._host = host
        self._port = port
        self._tls = tls
        self._in_flight = 0
        self._quiet = asyncio.Event()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Connection(self, loop), self._host, self._port, ssl=self._tls, backlog=1024
            )
        except (OSError, OverflowError) as error:
            raise _cannot_listen(self._host, self._port, error) from error
        host, port = self._server.sockets[0].getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if self._tls else 'http'}://{shown}:{port}"
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sweeper.cancel()
        self._server.close()
        for connection in list(self.connections):
            connection.transport.abort()

    async def stop(self, *, timeout_s: float) -> int:
        """Take no new delivery and wait for those in flight; how many were not answered in time."""
        self.is_stopping = True
        self._server.close()
        for connection in list(self.connections):
            connection.close_when_idle()
        if self._in_flight:
            self._quiet.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._quiet.wait()
        return self._in_flight

    def begin(self) -> None:
        self._in_flight += 1

    def end(self) -> None:
        self._in_flight -= 1
        if self._in_flight == 0 and self.is_stopping:
            self._quiet.set()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for connection in list(self.connections):
            connection.check_time(now_s)
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep)


class _Connection(asyncio.Protocol):
    """One sender's connection: parses requests, serves them one at a time and in order."""

    __slots__ = (
        "_body",
        "_capture",
        "_fields",
        "_head_bytes",
        "_is_discarding",
        "_is_in_head",
        "_is_last",
        "_is_message",
        "_listener",
        "_loop",
        "_parser",
        "_peer",
        "_queue",
        "_serving",
        "_since_s",
        "_size",
        "_target",
        "transport",
    )

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._serving: asyncio.Task[None] | None = None
        self._queue: deque[tuple[Capture, bool]] = deque()
        self._is_discarding = False  # the connection is done for: whatever still comes is thrown away
        self._is_message = False  # a request has begun and is not complete
        self._is_in_head = True
        self._head_bytes = 0
        self._since_s = loop.time()  # when the last thing happened that the clock is to be measured from
        self._reset()
        self.transport: asyncio.Transport

    def _reset(self) -> None:
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size = 0

    # the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio's class
        self._peer = _peer(transport)
        listener = self._listener
        listener.connections.add(self)
        if len(listener.connections) > listener.limits.max_connections:
            self._refuse(503, "too many connections at once", _RETRY_AFTER)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        self._listener.connections.discard(self)
        if self._is_message and not self._is_discarding:
            self._listener.on_refused(400, f"{self._peer} went away in the middle of a request")
        self._is_discarding = True

    def close_when_idle(self) -> None:
        if self._serving is None and not self._is_message:
            self.transport.close()

    def check_time(self, now_s: float) -> None:
        """Close the connection when its peer sent half a request and stopped, or has been idle for too long."""
        limits = self._listener.limits
        waited_s = now_s - self._since_s
        if self._is_discarding:
            if waited_s > _LINGER_S:
                self.transport.abort()
        elif self._is_message and self._is_in_head and waited_s > limits.head_s:
            self._refuse(408, f"the request head did not arrive within {limits.head_s:g} s")
        elif self._is_message and not self._is_in_head and waited_s > limits.body_idle_s:
            self._refuse(408, f"the body stopped coming for {limits.body_idle_s:g} s")
        elif not self._is_message and self._serving is None and waited_s > limits.idle_s:
            self.transport.close()

    # reading requests

    def data_received(self, data: bytes) -> None:
        if self._is_discarding:
            return
        if not self._is_message:
            self._is_message = True
            self._since_s = self._loop.time()
        elif not self._is_in_head:
            self._since_s = self._loop.time()
        if self._is_in_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # A protocol was offered that we do not take up, as we may: this request is served, then we part.
            self._is_last = True
            if self._queue:
                self._queue[-1] = (self._queue[-1][0], True)
        except httptools.HttpParserError as error:
            if not self._is_discarding:
                self._refuse(400, f"this is not a valid HTTP/1.1 request ({error})")
        else:
            if self._is_in_head and self._is_message and self._head_bytes > _MAX_HEAD_BYTES:
                self._refuse_head()

    def on_message_begin(self) -> None:
        self._is_message = True

    def on_url(self, data: bytes) -> None:
        self._target += data

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        fields = self._fields
        length = expects = upgrade = None
        hosts = 0
        size = len(self._target)
        for name, value in fields:
            size += len(name) + len(value) + 4
            width = len(name)
            if width == 4:
                hosts += name.lower() == b"host"
            elif width == 14 and name.lower() == b"content-length":
                length = value
            elif width == 6 and name.lower() == b"expect":
                expects = value.lower()
            elif width == 7 and name.lower() == b"upgrade":
                upgrade = value.lower()
        limits = self._listener.limits
        if size > _MAX_HEAD_BYTES or len(fields) > _MAX_FIELDS:
            self._refuse_head()
        elif hosts > 1 or (hosts == 0 and self._parser.get_http_version() == "1.1"):
            self._refuse(400, "a request has to have exactly one Host header")
        elif upgrade == b"websocket" or self._parser.get_method() == b"CONNECT":
            self._refuse(501, "webhookctl takes webhooks, not tunnels or WebSocket connections")
        elif length is not None and int(length) > limits.max_body_bytes:
            self._refuse_body()
        elif expects is not None and expects != b"100-continue":
            self._refuse(417, "only 100-continue can be expected")
        elif expects is not None and self._serving is None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        if self._is_discarding:
            return
        self._size += len(data)
        if self._size > self._listener.limits.max_body_bytes:
            self._refuse_body()
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._is_discarding:
            return
        parser, listener, body = self._parser, self._listener, self._body
        capture = Capture(
            Request(
                parser.get_method().decode("ascii"),
                self._target.decode("latin-1"),
                tuple(self._fields),
                body[0] if len(body) == 1 else b"".join(body),
            ),
            listener.now_s(),
            self._peer,
            listener.is_tls,
            parser.get_http_version(),
        )
        is_last = not parser.should_keep_alive()
        self._reset()
        self._is_message = False
        self._is_in_head = True
        self._head_bytes = 0
        if self._serving is None:
            self._serve(capture, is_last)
        else:
            # Pipelined: stop reading until the earlier ones are answered, so that the queue stays short.
            self._queue.append((capture, is_last))
            self.transport.pause_reading()

    # answering

    def _serve(self, capture: Capture, is_last: bool) -> None:
        self._is_last = is_last
        self._listener.begin()
        self._serving = self._loop.create_task(self._answer(capture))

    async def _answer(self, capture: Capture) -> None:
        listener = self._listener
        try:
            if listener.is_stopping:
                self._is_last = True
                response = plain_response(503, "webhookctl is stopping", _RETRY_AFTER)
            else:
                response = await self._deliver(capture)
            is_last = self._is_last or listener.is_stopping
            transport = self.transport
            if not transport.is_closing():
                is_head = capture.request.method == "HEAD"
                transport.write(response_bytes(response, for_head=is_head, close=is_last))
                if is_last:
                    self._is_discarding = True
                    transport.close()
        finally:
            listener.end()
            self._serving = None
            self._since_s = self._loop.time()
        if self._queue and not self._is_discarding:
            self._serve(*self._queue.popleft())
            if not self._queue:
                self.transport.resume_reading()

    async def _deliver(self, capture: Capture) -> Response:
        try:
            return await self._listener.deliver(capture)
        except Exception as error:
            self._listener.on_refused(500, f"webhookctl failed on a delivery: {error!r}")
            return plain_response(500, "webhookctl failed on this delivery")

    def _refuse(self, status: int, text: str, *fields: tuple[bytes, bytes]) -> None:
        """Answer and part. What the peer still sends is read and dropped for a while, so that it sees the answer."""
        self._is_discarding = True
        self._since_s = self._loop.time()
        self._listener.on_refused(status, f"{self._peer}: {text}")
        if self._serving is None and not self.transport.is_closing():
            self.transport.write(
                response_bytes(plain_response(status, text, *fields), for_head=False, close=True)
            )
            if self.transport.can_write_eof():
                self.transport.write_eof()

    def _refuse_head(self) -> None:
        if self._is_in_head and not self._fields:
            self._refuse(414, f"the request target is longer than {_MAX_HEAD_BYTES} bytes")
        else:
            self._refuse(
                431, f"the headers are larger than {_MAX_HEAD_BYTES} bytes, or more than {_MAX_FIELDS}"
            )

    def _refuse_body(self) -> None:
        limit = self._listener.limits.max_body_bytes
        self._refuse(413, f"the body is larger than {limit:,} bytes (--max-body)")


def _peer(transport: asyncio.BaseTransport) -> str:
    address = transport.get_extra_info("peername")
    if not isinstance(address, tuple):
        return ""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _cannot_listen(host: str, port: int, error: Exception) -> UsageError:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return UsageError(
            "port-in-use",
            f"port {port} on {host} is in use by another program",
            f"stop that program, or choose another port: --port {port + 1} (0 takes any free one)",
        )
    if number == errno.EACCES:
        return UsageError(
            "port-forbidden", f"port {port} needs more rights than you have", "choose a port above 1023"
        )
    if isinstance(error, socket.gaierror) or number == errno.EADDRNOTAVAIL:
        return UsageError(
            "address-unusable", f"{host} is not an address of this machine", "try --host 127.0.0.1"
        )
    return UsageError("address-unusable", f"cannot listen on {host} port {port}: {error}")


def server_tls(certificate: str, key: str) -> ssl.SSLContext:
    """The server context for `--tls`. Raises UsageError `tls-unusable` naming the files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            "tls-unusable",
            f"the certificate {certificate} with the key {key} cannot be used: {error}",
            "both must be PEM files that belong together; `--tls auto` makes a pair",
        ) from error
    return context
