"""Delivers a request to an endpoint byte for byte over keep-alive connections, and returns what came back.

No redirects, no proxies, no retries, no headers of its own. Failures are values (`Attempt.failure`), not exceptions.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from time import perf_counter

import httptools

from webhookctl.model import Attempt, Endpoint, Failure, FailureKind, Headers, Request, Response
from webhookctl.net import wire

MAX_RESPONSE_BYTES = 64 * 1024 * 1024
_IDLE_S = (
    4.0  # common app servers close idle connections after 5 s (node, uvicorn): never re-use one that old
)
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
        self._body: list[bytes] = []
        self._size = 0
        self._reason = b""
        self._is_head = False
        self._needs_eof = False
        self.is_reusable = True
        self.received_any = False
        self.idle_since_s = 0.0
        self.transport: asyncio.Transport

    # sending the request

    def exchange(self, data: bytes, *, is_head: bool) -> "asyncio.Future[Response]":
        self._future = self._loop.create_future()
        self._is_head = is_head
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
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio's class

    def data_received(self, data: bytes) -> None:
        if self._future is None:
            # Bytes nobody asked for: the stream is out of step, never re-use it.
            self.is_reusable = False
            self.transport.abort()
            return
        self.received_any = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(FailureKind.PROTOCOL, "it switched protocols (101) unasked")
        except httptools.HttpParserError as error:
            if self._future is not None:
                self._fail(FailureKind.PROTOCOL, f"it did not answer in HTTP ({error})")

    def on_message_begin(self) -> None:
        self._headers = []
        self._body = []
        self._size = 0
        self._reason = b""
        self._needs_eof = False

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        framed = False
        for name, _ in self._headers:
            lower = name.lower()
            if lower == b"content-length" or lower == b"transfer-encoding":
                framed = True
        self._needs_eof = not framed and status >= 200 and status not in (204, 304) and not self._is_head
        if self._is_head and status >= 200:
            # The parser cannot be told that no body follows: take the head and give the connection up.
            self.is_reusable = False
            self._complete()

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_RESPONSE_BYTES:
            self._fail(FailureKind.PROTOCOL, f"its response is larger than {MAX_RESPONSE_BYTES:,} bytes")
        else:
            self._body.append(data)

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
                body[0] if len(body) == 1 else b"".join(body),
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
        url = f"{'https' if endpoint.is_tls else 'http'}://{endpoint.authority}{request.target}"
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
            connection = await self._connect(endpoint, timeout_s)
        except _ExchangeError as broken:
            return broken.failure
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
        start = perf_counter()
        connection = self._take_idle(endpoint)
        if connection is not None:
            try:
                return await self._exchange_on(connection, endpoint, data, is_head, timeout_s)
            except _ExchangeError as broken:
                if not broken.is_untouched:
                    raise
                # The app closed an idle connection just as we wrote: it has not begun to answer, so
                # try once on a fresh connection, as every keep-alive client has to.
        left_s = None if timeout_s is None else max(0.001, timeout_s - (perf_counter() - start))
        connection = await self._connect(endpoint, left_s)
        left_s = None if timeout_s is None else max(0.001, timeout_s - (perf_counter() - start))
        return await self._exchange_on(connection, endpoint, data, is_head, left_s)

    async def _exchange_on(
        self, connection: _Connection, endpoint: Endpoint, data: bytes, is_head: bool, timeout_s: float | None
    ) -> Response:
        loop = asyncio.get_running_loop()
        future = connection.exchange(data, is_head=is_head)
        timer = None
        if timeout_s is not None:
            timer = loop.call_later(timeout_s, _expire, future, timeout_s)
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
        if connection.is_reusable and len(connections) < _MAX_IDLE:
            connection.idle_since_s = perf_counter()
            connections.append(connection)
        else:
            connection.transport.abort()

    async def _connect(self, endpoint: Endpoint, timeout_s: float | None) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop),
                    endpoint.host,
                    endpoint.port,
                    ssl=self._tls if endpoint.is_tls else None,
                )
        except TimeoutError as error:
            raise _ExchangeError(FailureKind.TIMEOUT, f"no connection within {timeout_s:g} s") from error
        except ssl.SSLCertVerificationError as error:
            raise _ExchangeError(
                FailureKind.TLS, f"its certificate is not trusted: {error.verify_message}"
            ) from error
        except ssl.SSLError as error:
            raise _ExchangeError(FailureKind.TLS, f"TLS failed: {error.reason or error}") from error
        except ConnectionRefusedError as error:
            raise _ExchangeError(FailureKind.REFUSED, "it refuses connections") from error
        except socket.gaierror as error:
            raise _ExchangeError(FailureKind.DNS, f"the name {endpoint.host} does not resolve") from error
        except OSError as error:
            refused = "Connect call failed" in str(error) and "111" in str(error)
            kind = FailureKind.REFUSED if refused else FailureKind.NETWORK
            raise _ExchangeError(
                kind, "it refuses connections" if refused else f"no connection: {error}"
            ) from error
        return connection


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
