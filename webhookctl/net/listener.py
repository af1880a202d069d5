"""Listens for deliveries on a host and port, over TLS or not, and stops without losing one that is under way.

Hands each over as a `Capture` and writes the answer back exactly. Knows nothing of providers, history or rendering.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from webhookctl.errors import UsageError
from webhookctl.net.connection import Connection
from webhookctl.net.intake import Deliver, Intake, ListenerLimits

__all__ = ["Listener", "ListenerLimits", "server_tls"]


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
        self.url = ""
        self._intake = Intake(deliver, limits, now_s, on_refused, tls is not None, self._look_whether_quiet)
        self._host = host
        self._port = port
        self._tls = tls
        self._quiet = asyncio.Event()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        try:
            if not 0 <= self._port < 65_536:  # uvloop would take what is left of it
                raise OverflowError("a port is a number up to 65535")
            self._server = await loop.create_server(
                lambda: Connection(self._intake, loop),
                self._host,
                self._port,
                ssl=self._tls,
                ssl_handshake_timeout=self._intake.limits.head_s if self._tls else None,
                backlog=1024,
            )
        except (OSError, OverflowError, UnicodeError) as error:
            raise _cannot_listen(self._host, self._port, error) from error
        host, port = self._server.sockets[0].getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if self._tls else 'http'}://{shown}:{port}"
        self._sweep()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sweeper.cancel()
        self._server.close()
        for connection in list(self._intake.connections):
            connection.transport.abort()

    @property
    def in_flight(self) -> int:
        """Deliveries that are not answered yet."""
        return self._intake.in_flight

    async def stop(self, *, timeout_s: float) -> int:
        """Take no new delivery and wait for those in flight; how many were not answered in time."""
        intake = self._intake
        intake.is_stopping = True
        self._server.close()
        for connection in list(intake.connections):
            connection.close_when_idle()
        self._look_whether_quiet()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._quiet.wait()
        return intake.in_flight

    def _look_whether_quiet(self) -> None:
        """Quiet is when every delivery is answered and the answers are taken."""
        intake = self._intake
        if intake.is_stopping and not intake.in_flight and not any(c.is_unsent for c in intake.connections):
            self._quiet.set()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for connection in list(self._intake.connections):
            connection.check_time(now_s)
        self._sweeper = loop.call_later(self._intake.limits.sweep_s, self._sweep)


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
    return UsageError(
        "address-unusable", f"cannot listen on {host} port {port}: {error}", "try --host 127.0.0.1"
    )


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
