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
from time import perf_counter

from webhookctl.model import Attempt, Endpoint, Failure, FailureKind, Headers, LargeBody, Request, Response
from webhookctl.net import wire
from webhookctl.net.outgoing import ExchangeError, Outgoing

_IDLE_S = (
    4.0  # common app servers close idle connections after 5 s (node, uvicorn): never re-use one that old
)
_ERROR_NUMBER = re.compile(r"\[Errno (\d+)\]")
_LONG_S = 86_400.0  # a connection attempt that nobody limits: the system gives up long before
_MAX_IDLE = 128  # idle connections kept per endpoint


class Forwarder:
    """Sends requests to endpoints and keeps the connections for the next ones. Use from one event loop.

    `tls` is used for every https endpoint. `now_s` gives Unix time for `Attempt.started_at_s`.
    """

    def __init__(self, *, tls: ssl.SSLContext | None, now_s: Callable[[], float]) -> None:
        self._tls = tls
        self._now_s = now_s
        self._idle: dict[tuple[str, int, bool], list[Outgoing]] = {}

    async def send(
        self,
        endpoint: Endpoint,
        request: Request,
        *,
        timeout_s: float | None,
        added: Headers = (),
        keep_host: bool = False,
        large_body: LargeBody | None = None,
    ) -> Attempt:
        """One attempt: connect (or re-use a connection), write, read the whole response. Never raises for the peer.

        `timeout_s` covers all of it; None waits for ever. A `large_body` is sent from its file, in place of the
        request's own. Raises UsageError when the request cannot be written.
        """
        host = endpoint.authority.encode("latin-1")
        size = large_body.size if large_body else None
        data = wire.request_bytes(request, host=host, added=added, keep_host=keep_host, body_bytes=size)
        url = endpoint.origin + request.target
        started_at_s, start = self._now_s(), perf_counter()
        response: Response | None = None
        failure: Failure | None = None
        try:
            is_head, path = request.method == "HEAD", large_body.path if large_body else ""
            response = await self._exchange(endpoint, data, is_head, _Limit(timeout_s), path)
        except ExchangeError as broken:
            failure = broken.failure
        latency_ms = (perf_counter() - start) * 1000.0
        return Attempt(url, started_at_s, latency_ms, response, failure)

    async def is_reachable(self, endpoint: Endpoint, *, timeout_s: float) -> Failure | None:
        """Whether a connection can be made now: None, or why not. Nothing is sent."""
        try:
            connection = await self._connect(endpoint, _Limit(timeout_s))
        except ExchangeError as broken:
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
        self, endpoint: Endpoint, data: bytes, is_head: bool, limit: "_Limit", path: str
    ) -> Response:
        connection = self._take_idle(endpoint) if not path else None
        if connection is not None:
            try:
                return await self._exchange_on(connection, endpoint, data, is_head, limit)
            except ExchangeError as broken:
                if not broken.is_untouched:
                    raise
                # The app closed an idle connection just as we wrote: it has not begun to answer, so
                # try once on a fresh connection, as every keep-alive client has to.
        connection = await self._connect(endpoint, limit)
        return await self._exchange_on(connection, endpoint, data, is_head, limit, path)

    async def _exchange_on(
        self,
        connection: Outgoing,
        endpoint: Endpoint,
        data: bytes,
        is_head: bool,
        limit: "_Limit",
        path: str = "",
    ) -> Response:
        future = connection.exchange(data, is_head=is_head)
        loop = asyncio.get_running_loop()
        body = loop.create_task(connection.write_file(path), name="large body") if path else None
        timer = None
        if limit.timeout_s is not None:
            timer = loop.call_later(limit.left_s(), _expire, future, limit.timeout_s)
        try:
            response = await future
        except BaseException:
            connection.abandon()
            raise
        finally:
            if timer is not None:
                timer.cancel()
            if body is not None and not body.done():
                connection.is_reusable = False  # the app did not want all of it
                body.cancel()
        self._put_back(endpoint, connection)
        return response

    def _take_idle(self, endpoint: Endpoint) -> Outgoing | None:
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

    def _put_back(self, endpoint: Endpoint, connection: Outgoing) -> None:
        connections = self._idle.setdefault((endpoint.host, endpoint.port, endpoint.is_tls), [])
        # An app that answered before it took the whole request has not read the rest of it.
        is_taken = connection.transport.get_write_buffer_size() == 0
        if connection.is_reusable and is_taken and len(connections) < _MAX_IDLE:
            connection.idle_since_s = perf_counter()
            connections.append(connection)
        else:
            connection.transport.abort()

    async def _connect(self, endpoint: Endpoint, limit: "_Limit") -> Outgoing:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limit.left_s()):
                _, connection = await loop.create_connection(
                    lambda: Outgoing(loop),
                    endpoint.host,
                    endpoint.port,
                    ssl=(self._tls or True) if endpoint.is_tls else None,
                )
        except TimeoutError as error:
            raise ExchangeError(FailureKind.TIMEOUT, f"no connection{limit}") from error
        except OSError as error:
            raise ExchangeError(*_why_not_connected(error, endpoint)) from error
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
        future.set_exception(ExchangeError(FailureKind.TIMEOUT, f"no answer within {timeout_s:g} s"))


def tls_context(*, insecure: bool, ca_file: str | None) -> ssl.SSLContext:
    """The client context for https endpoints. Raises OSError or ssl.SSLError when `ca_file` cannot be used."""
    context = ssl.create_default_context(cafile=ca_file)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
