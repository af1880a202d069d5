"""One connection to the relay: aiohttp's, with limits of our own and one plain line about each problem.

Knows HTTP's outer shape only: nothing of channels, deliveries or tunnels.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from webhookctl.relay.admission import network_of

MAX_HEAD_BYTES = 64 * 1024  # request line and fields together
_MAX_FIELDS = 256
_IDLE_S = 75.0
_LINGER_S = 2.0  # how long an unread body may keep coming after an early answer (413)


@dataclass(slots=True)
class Doorway:
    """What the connections of one relay share: limits, counts, and who hears of problems."""

    on_problem: Callable[[str], None]  # hears of each peer that was sent away, in one line
    head_s: float = 10.0
    max_connections: int = 10_000
    max_per_network: int = 1_000
    is_proxy: Callable[[str], bool] = lambda _: False
    connections: "set[Connection]" = field(default_factory=set)
    by_network: Counter[str] = field(default_factory=Counter)

    def check_time(self, now_s: float) -> None:
        """Send away who stopped in the middle of a request's head."""
        for connection in list(self.connections):
            connection.check_time(now_s)


class RelayServer(web.Server):
    """aiohttp's server over connections of ours."""

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], doorway: Doorway
    ) -> None:
        super().__init__(handler)
        self._doorway = doorway
        self._loop = asyncio.get_running_loop()

    def __call__(self) -> "Connection":
        return Connection(self, self._doorway, self._loop)


class Connection(web.RequestHandler):
    """A sender's or client's connection.

    `on_lost` is called when the connection ends, `on_room` when what was written is taken and there is room again.
    """

    __slots__ = ("_doorway", "_head_bytes", "_head_since_s", "_network", "on_lost", "on_room")

    def __init__(self, server: RelayServer, doorway: Doorway, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=_IDLE_S,
            logger=_Quiet("webhookctl.relay.connection"),
            access_log=None,  # type: ignore[arg-type]  # None turns it off
            max_line_size=MAX_HEAD_BYTES,
            max_field_size=MAX_HEAD_BYTES,
            max_headers=_MAX_FIELDS,
            lingering_time=_LINGER_S,
            auto_decompress=False,
        )
        self._doorway = doorway
        self._head_since_s = 0.0
        self._head_bytes = 0
        self._network = ""
        self.on_lost: Callable[[], None] | None = None
        self.on_room: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        doorway = self._doorway
        doorway.connections.add(self)
        host = self._host()
        if host and not _is_loopback(host) and not doorway.is_proxy(host):
            self._network = network_of(host)
            doorway.by_network[self._network] += 1
        if len(doorway.connections) > doorway.max_connections or (
            self._network and doorway.by_network[self._network] > doorway.max_per_network
        ):
            self._part(503, "too many connections at once", b"Retry-After: 5\r\n")

    def connection_lost(self, exc: BaseException | None) -> None:
        doorway = self._doorway
        doorway.connections.discard(self)
        if self._network:
            doorway.by_network[self._network] -= 1
            if not doorway.by_network[self._network]:
                del doorway.by_network[self._network]
        request = self._current_request
        if request is not None and request.content.is_eof():
            self._current_request = None  # aiohttp would take away a body that is here and not read yet
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Bytes came and nobody has anything to do: the head of a request is not whole yet.
        if self._waiter is None or self._waiter.done() or self._messages:
            self._head_since_s = 0.0
        else:
            self._head_bytes = self._head_bytes + len(data) if self._head_since_s else len(data)
            self._head_since_s = self._head_since_s or self._loop.time()
            if self._head_bytes > 2 * MAX_HEAD_BYTES:
                self._part(431, "the request's head is too large")

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.on_room is not None:
            self.on_room()

    def check_time(self, now_s: float) -> None:
        """Send the peer away when it has been in the middle of a head for too long."""
        if self._head_since_s and now_s - self._head_since_s > self._doorway.head_s:
            self._part(408, f"the request's head did not come within {self._doorway.head_s:g} s")

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002  (aiohttp's signature)
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  (the same)
    ) -> web.StreamResponse:
        """What a peer gets for bytes that are no request, or for a failure of ours. One line tells of it."""
        text = "the relay failed on this request"
        if status == 400:
            status, text = _what_is_wrong(exc)
        self._part(status, text, why=_told(exc))
        return Written(keeps_alive=False)

    def _part(self, status: int, text: str, fields: bytes = b"", *, why: str = "") -> None:
        """Say so, and end the connection."""
        self._head_since_s = 0.0
        self._doorway.on_problem(f"answered {status} to {self.peer}: {why or text}")
        transport = self.transport
        if transport is not None and not transport.is_closing():
            body = text.encode() + b"\n"
            transport.write(
                b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\n%bContent-Length: %d\r\n"
                b"Connection: close\r\n\r\n%b"
                % (status, HTTPStatus(status).phrase.encode(), fields, len(body), body)
            )
            if transport.can_write_eof():
                # What still comes is dropped for a while: a reset would take the answer from the peer.
                transport.write_eof()
                self._force_close = True
                self._loop.call_later(_LINGER_S, transport.close)
                return
        self.force_close()

    @property
    def peer(self) -> str:
        """Who is at the other end (``127.0.0.1:50312``, ``[::1]:50312``); empty when that cannot be told."""
        name = self.peername
        if not isinstance(name, tuple):
            return ""
        host, port = name[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _host(self) -> str:
        name = self.peername
        return str(name[0]) if isinstance(name, tuple) else ""


class Written(web.StreamResponse):
    """What aiohttp is told once a response was written past it."""

    def __init__(self, *, keeps_alive: bool) -> None:
        super().__init__()
        self._keeps_alive = keeps_alive

    @property
    def keep_alive(self) -> bool:
        return self._keeps_alive

    async def prepare(self, request: web.BaseRequest) -> None:  # noqa: ARG002  (aiohttp's signature)
        return None

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002  (the same)
        return None


class _Quiet(logging.Logger):
    """aiohttp's logger: it has nothing to say that `handle_error` has not said."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802, ARG002  (logging's signature)
        return False


def _what_is_wrong(error: BaseException | None) -> tuple[int, str]:
    """Status and text for bytes that the parser refused."""
    if isinstance(error, LineTooLong) and bytes(error.args[0]).startswith((b"/", b"http")):
        return 414, "the request's target is too long"
    if isinstance(error, LineTooLong) or "Too many headers" in str(error):
        return 431, "the request's head is too large"
    return 400, "this is not a valid HTTP/1.1 request"


def _told(error: BaseException | None) -> str:
    return (
        " ".join(str(error).split())[:200]
        if isinstance(error, BadHttpMessage)
        else repr(error)[:200]
        if error
        else ""
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return True


def connection_of(request: web.BaseRequest) -> Connection:
    """The connection that a request came by."""
    protocol: Any = request.protocol
    assert isinstance(protocol, Connection)
    return protocol
