"""One relay on one port: ingress, tunnels, admin and event streams behind one door; starting, stopping, the clockwork.

Knows addresses and which path belongs to whom. What is stored where, and who may what, is handed in.
"""

import asyncio
import errno
import ssl
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from webhookctl.errors import UsageError
from webhookctl.model import Headers
from webhookctl.relay import tunnels
from webhookctl.relay.connection import Doorway, RelayServer
from webhookctl.relay.ingress import Ingress
from webhookctl.relay.tunnels import Tunnels

_OWN = "/.webhookctl/"
_READING = ("GET", "HEAD")
_TICK_S = 1.0
_LOOK_S = 0.02  # how often it is looked whether the last answer is out
_CLOSE_S = 2.0


class Pages(Protocol):
    """What answers requests under the relay's own paths."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse: ...


class Streams(Protocol):
    """What answers readers of event streams."""

    @staticmethod
    def takes(method: str, target: str, headers: Headers) -> bool: ...

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Rooms:
    """Who answers what."""

    ingress: Ingress
    tunnels: Tunnels
    pages: Pages
    streams: Streams


class Front:
    """The port. `bind` first, since what is behind it needs its URL; then `open`, `stop`, `close`."""

    def __init__(self, doorway: Doorway, *, tls: ssl.SSLContext | None) -> None:
        self.url = ""
        self._doorway = doorway
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._connections = RelayServer(self._handle, doorway)
        self._ticking: asyncio.TimerHandle | None = None
        self._server: asyncio.Server
        self._rooms: Rooms

    async def bind(self, host: str, port: int) -> None:
        """Take the port, and let nobody in yet.

        Raises UsageError `port-in-use`, `port-forbidden` or `address-unusable`.
        """
        try:
            self._server = await self._loop.create_server(
                self._connections,
                host,
                port,
                ssl=self._tls,
                ssl_handshake_timeout=self._doorway.head_s if self._tls else None,
                backlog=1024,
                start_serving=False,
            )
        except (OSError, OverflowError, UnicodeError) as error:
            raise _cannot_listen(host, port, error) from error
        found, number = self._server.sockets[0].getsockname()[:2]
        shown = f"[{found}]" if ":" in found else found
        self.url = f"{'https' if self._tls else 'http'}://{shown}:{number}"

    async def open(self, rooms: Rooms) -> None:
        """Let everybody in."""
        self._rooms = rooms
        await self._server.start_serving()
        self._tick()

    async def stop(self, *, timeout_s: float) -> int:
        """Take nothing new, and wait for the answers that senders wait for; how many got their policy's instead."""
        rooms = self._rooms
        rooms.ingress.is_stopping = rooms.tunnels.is_stopping = True
        rooms.streams.close()
        end_s = self._loop.time() + timeout_s
        while rooms.ingress.in_flight and self._loop.time() < end_s:  # noqa: ASYNC110  (at the end only)
            await asyncio.sleep(_LOOK_S)
        left = rooms.ingress.in_flight
        rooms.ingress.end_waiting()
        await rooms.tunnels.close()
        return left

    async def close(self) -> None:
        """End what is left."""
        if self._ticking is not None:
            self._ticking.cancel()
        self._server.close()
        await self._connections.shutdown(_CLOSE_S)

    def _tick(self) -> None:
        now_s = self._loop.time()
        self._doorway.check_time(now_s)
        self._rooms.tunnels.check_time(now_s)
        self._ticking = self._loop.call_later(_TICK_S, self._tick)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        rooms, path = self._rooms, request.raw_path
        if path.startswith(_OWN):
            if path.partition("?")[0] == tunnels.PATH:
                return await rooms.tunnels.handle(request)
            return await rooms.pages.handle(request)
        if request.method in _READING and rooms.streams.takes(
            request.method, path, tuple(request.raw_headers)
        ):
            return await rooms.streams.handle(request)
        return await rooms.ingress.handle(request)


def server_tls(certificate: str, key: str) -> ssl.SSLContext:
    """The context for `--tls-cert` and `--tls-key`. Raises UsageError `tls-unusable` naming the files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            "tls-unusable",
            f"the certificate {certificate} with the key {key} cannot be used: {error}",
            "both must be PEM files that belong together",
        ) from error
    return context


def _cannot_listen(host: str, port: int, error: Exception) -> UsageError:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return UsageError(
            "port-in-use",
            f"port {port} on {host} is in use by another program",
            f"stop that program, or choose another port: --listen {host}:{port + 1} (0 takes any free one)",
        )
    if number == errno.EACCES:
        return UsageError(
            "port-forbidden", f"port {port} needs more rights than you have", "choose a port above 1023"
        )
    return UsageError(
        "address-unusable",
        f"cannot listen on {host} port {port}: {error}",
        "--listen takes an address of this machine: 127.0.0.1, 0.0.0.0",
    )
