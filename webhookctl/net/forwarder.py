"""Delivers a request to an endpoint byte for byte over keep-alive connections, and returns what came back.

No redirects, no proxies, no headers of its own, no retry but for an idle connection that the app had closed already.
Failures are values (`Attempt.failure`), not exceptions.
"""

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

import httptools

from webhookctl.model import Attempt, Endpoint, Failure, FailureKind, Headers, Request, Response
from webhookctl.net import wire

_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux only
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
_IDLE_S = (
    4.0  # common app servers close idle connections after 5 s (node, uvicorn): never re-use one that old
)
_LENGTH = frozenset({b"content-length", b"transfer-encoding"})
_ERROR_NUMBER = re.compile(r"\[Errno (\d+)\]")
_LONG_S = 86_400.0  # a connection attempt that nobody limits: the system gives up long before
_MAX_IDLE = 128  # idle connections kept per endpoint


class _ExchangeError(Exception):
    """A response that did not come: the failure, and whether not one byte of an answer had arrived."""

    def __init__(self, kind: FailureKind, message: str, *, is_untouched: bool = False) -> None:
        super().__init__(message)
        self.failure = Failure(kind, message)
        self.is_untouched = is_untouched


class _Connection(asyncio.Protocol):
    """One connection to an endpoint; carries one request at a time."""

    __slots__ = (
        "_body",
        "_future",
        "_headers",
        "_is_head",
        "_is_in_head",
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
            future.set_exception(_ExchangeError(kind, message, is_untouched=is_untouched))
        self.transport.abort()


class Forwarder:
    """Sends requests to endpoints and keeps the connections for the next ones. Use from one event loop.

    `tls` is used for every https endpoint. `now_s` gives Unix time for `Attempt.started_at_s`.
    """

    def __init__(self, *, tls: ssl.SSLContext | None, now_s: Callable[[], float]) -> None:
        self._tls = tls
        self._now_s = now_s
        self._idle: dict[tuple[str, int, bool], list[_Connection]] = {}

    async def send(
        self,
        endpoint: Endpoint,
        request: Request,
        *,
        timeout_s: float | None,
        added: Headers = (),
        keep_host: bool = False,
    ) -> Attempt:
        """One attempt: connect (or re-use a connection), write, read the whole response. Never raises for the peer.

        `timeout_s` covers all of it; None waits for ever. Raises UsageError when the request cannot be written.
        """
        host = endpoint.authority.encode("latin-1")
        data = wire.request_bytes(request, host=host, added=added, keep_host=keep_host)
        url = endpoint.origin + request.target
        started_at_s, start = self._now_s(), perf_counter()
        response: Response | None = None
        failure: Failure | None = None
        try:
            response = await self._exchange(endpoint, data, request.method == "HEAD", timeout_s)
        except _ExchangeError as broken:
            failure = broken.failure
        latency_ms = (perf_counter() - start) * 1000.0
        return Attempt(url, started_at_s, latency_ms, response, failure)

    async def is_reachable(self, endpoint: Endpoint, *, timeout_s: float) -> Failure | None:
        """Whether a connection can be made now: None, or why not. Nothing is sent."""
        try:
            connection = await self._connect(endpoint, _Limit(timeout_s))
        except _ExchangeError as broken:
            return broken.failure
        connection.is_reusable = False
        connection.transport.abort()
        return None

    def close(self) -> None:
        """Close the idle connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.transport.abort()
        self._idle.clear()

    async def _exchange(
        self, endpoint: Endpoint, data: bytes, is_head: bool, timeout_s: float | None
    ) -> Response:
        limit = _Limit(timeout_s)
        connection = self._take_idle(endpoint)
        if connection is not None:
            try:
                return await self._exchange_on(connection, endpoint, data, is_head, limit)
            except _ExchangeError as broken:
                if not broken.is_untouched:
                    raise
                # The app closed an idle connection just as we wrote: it has not begun to answer, so
                # try once on a fresh connection, as every keep-alive client has to.
        connection = await self._connect(endpoint, limit)
        return await self._exchange_on(connection, endpoint, data, is_head, limit)

    async def _exchange_on(
        self, connection: _Connection, endpoint: Endpoint, data: bytes, is_head: bool, limit: "_Limit"
    ) -> Response:
        future = connection.exchange(data, is_head=is_head)
        timer = None
        if limit.timeout_s is not None:
            timer = asyncio.get_running_loop().call_later(limit.left_s(), _expire, future, limit.timeout_s)
        try:
            response = await future
        except BaseException:
            connection.abandon()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        self._put_back(endpoint, connection)
        return response

    def _take_idle(self, endpoint: Endpoint) -> _Connection | None:
        connections = self._idle.get((endpoint.host, endpoint.port, endpoint.is_tls))
        now = perf_counter()
        while connections:
            connection = connections.pop()
            if (
                connection.is_reusable
                and now - connection.idle_since_s < _IDLE_S
                and not connection.transport.is_closing()
            ):
                return connection
            connection.transport.abort()
        return None

    def _put_back(self, endpoint: Endpoint, connection: _Connection) -> None:
        connections = self._idle.setdefault((endpoint.host, endpoint.port, endpoint.is_tls), [])
        # An app that answered before it took the whole request has not read the rest of it.
        is_taken = connection.transport.get_write_buffer_size() == 0
        if connection.is_reusable and is_taken and len(connections) < _MAX_IDLE:
            connection.idle_since_s = perf_counter()
            connections.append(connection)
        else:
            connection.transport.abort()

    async def _connect(self, endpoint: Endpoint, limit: "_Limit") -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limit.left_s()):
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop),
                    endpoint.host,
                    endpoint.port,
                    ssl=(self._tls or True) if endpoint.is_tls else None,
                )
        except TimeoutError as error:
            raise _ExchangeError(FailureKind.TIMEOUT, f"no connection{limit}") from error
        except OSError as error:
            raise _ExchangeError(*_why_not_connected(error, endpoint)) from error
        return connection


class _Limit:
    """A time limit that begins now; as text what it was, for people (the system has limits of its own)."""

    __slots__ = ("_start", "timeout_s")

    def __init__(self, timeout_s: float | None) -> None:
        self._start = perf_counter()
        self.timeout_s = timeout_s

    def left_s(self) -> float:
        """Seconds left, 0 when it has passed; very many without a limit."""
        if self.timeout_s is None:
            return _LONG_S
        return max(0.0, self._start + self.timeout_s - perf_counter())

    def __str__(self) -> str:
        return "" if self.timeout_s is None else f" within {self.timeout_s:g} s"


def _why_not_connected(error: OSError, endpoint: Endpoint) -> tuple[FailureKind, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        return FailureKind.TLS, f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return FailureKind.TLS, f"TLS failed: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return FailureKind.DNS, f"the name {endpoint.host} does not resolve"
    # Of a name with several addresses asyncio joins the errors into one text without a number.
    numbers = {error.errno, *(int(number) for number in _ERROR_NUMBER.findall(str(error)))}
    if errno.ECONNREFUSED in numbers:
        return FailureKind.REFUSED, "it refuses connections"
    if endpoint.is_tls and isinstance(error, ConnectionError):
        return FailureKind.TLS, f"TLS failed: it closed the connection ({error})"
    return FailureKind.NETWORK, f"no connection: {error}"


def _expire(future: "asyncio.Future[Response]", timeout_s: float) -> None:
    if not future.done():
        future.set_exception(_ExchangeError(FailureKind.TIMEOUT, f"no answer within {timeout_s:g} s"))


def tls_context(*, insecure: bool, ca_file: str | None) -> ssl.SSLContext:
    """The client context for https endpoints. Raises OSError or ssl.SSLError when `ca_file` cannot be used."""
    context = ssl.create_default_context(cafile=ca_file)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
