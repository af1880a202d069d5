"""The tunnels of a relay: who may open one, which are open, and when all of them end.

Knows WebSockets and keys; what is said in a tunnel is its own.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from webhookctl.events import ServeEvent
from webhookctl.model import Headers, header_value
from webhookctl.relay.admission import is_open
from webhookctl.relay.broker import Broker
from webhookctl.relay.channel import Channel, fits, key_id_of
from webhookctl.relay.connection import connection_of
from webhookctl.relay.metrics import Metrics
from webhookctl.relay.tunnel import Surroundings, Tunnel
from webhookctl.tunnel_protocol import MAX_FRAME_BYTES, SUBPROTOCOL, CloseCode

PATH = "/.webhookctl/v1/tunnel"


@dataclass(frozen=True, slots=True)
class TunnelOptions:
    """How often silence is broken, and how many tunnels there may be."""

    heartbeat_s: float = 20.0
    max_tunnels: int = 10_000


class Tunnels:
    """All tunnels that are open. `url_of` makes a channel's public URL, `new_session` names a tunnel."""

    def __init__(
        self,
        broker: Broker,
        options: TunnelOptions,
        *,
        metrics: Metrics,
        url_of: Callable[[Channel], str],
        now_s: Callable[[], float],
        new_session: Callable[[], str],
        emit: Callable[[ServeEvent], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.is_stopping = False
        self._around = Surroundings(
            broker, metrics, options.heartbeat_s, url_of, now_s, new_session, emit, loop
        )
        self._max_tunnels = options.max_tunnels
        self._open: set[Tunnel] = set()
        self._stop_watching = broker.watch_channels(self._see_channel)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Open a tunnel for who has a key, and serve it to its end."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        key = _bearer(tuple(request.raw_headers))
        key_id = key_id_of(key)
        channel = await self._around.broker.channel_by_key_id(key_id) if key_id else None
        if not fits(channel, key) or channel is None or not is_open(channel, now_s=self._around.now_s()):
            return _text(401, "the channel key is missing or wrong", {"WWW-Authenticate": "Bearer"})
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), compress=False, max_msg_size=MAX_FRAME_BYTES + 1, decode_text=False
        )
        await socket.prepare(request)
        tunnel = Tunnel(self._around, channel, socket, connection_of(request))
        self._open.add(tunnel)
        self._around.metrics.tunnels += 1
        try:
            await tunnel.serve()
        finally:
            self._open.discard(tunnel)
            self._around.metrics.tunnels -= 1
        return socket

    def check_time(self, now_s: float) -> None:
        """Break silence, and part with peers that are dead. `now_s` is the loop's time."""
        for tunnel in list(self._open):
            tunnel.check_time(now_s)

    async def close(self) -> None:
        """End all tunnels: the relay shuts down."""
        self.is_stopping = True
        self._stop_watching()
        closing = [tunnel.end(CloseCode.SHUTTING_DOWN, "the relay shuts down") for tunnel in list(self._open)]
        await asyncio.gather(*closing)

    def _refusal(self, request: web.BaseRequest) -> web.Response | None:
        if self.is_stopping:
            return _text(503, "the relay is stopping", {"Retry-After": "5"})
        if len(self._open) >= self._max_tunnels:
            return _text(503, "too many tunnels", {"Retry-After": "30"})
        headers: Headers = tuple(request.raw_headers)
        is_socket = (header_value(headers, "upgrade") or b"").strip().lower() == b"websocket"
        if request.method != "GET" or not is_socket:
            return _text(426, "this path takes WebSocket connections", {"Upgrade": "websocket"})
        offered = b",".join(value for name, value in headers if name.lower() == b"sec-websocket-protocol")
        if SUBPROTOCOL.encode() not in [each.strip() for each in offered.split(b",")]:
            return _text(400, f"the relay speaks {SUBPROTOCOL}")
        return None

    def _see_channel(self, before: Channel, after: Channel | None) -> None:
        for tunnel in list(self._open):
            if tunnel.channel.id == before.id:
                tunnel.see_channel(after)


def _bearer(headers: Headers) -> str:
    kind, _, key = (header_value(headers, "authorization") or b"").partition(b" ")
    return key.strip().decode("latin-1") if kind.lower() == b"bearer" else ""


def _text(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    fixed = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
    return web.Response(status=status, text=text + "\n", headers={**fixed, **(headers or {})})
