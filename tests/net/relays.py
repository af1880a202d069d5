"""A relay that says what a test tells it to: websockets' server, the protocol's own RelaySide, nothing else."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from time import monotonic
from typing import TypeVar

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.http11 import Response as HttpResponse

from webhookctl.model import Headers
from webhookctl.tunnel_protocol import (
    CHUNK_BYTES,
    SUBPROTOCOL,
    Close,
    CloseCode,
    Delivery,
    DeliveryBody,
    Frame,
    Hello,
    Ping,
    Pong,
    RelaySide,
    Welcome,
)

Kind = TypeVar("Kind")
KEY = "wck_aaaaaaaaaaaaaaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbb"


def a_delivery(
    seq: int, body: bytes = b"{}", *, attempt: int = 1, target: str = "/hooks", headers: Headers = ()
) -> Delivery:
    """The head of delivery `seq`, with the whole body when that fits into one frame."""
    first = body[:CHUNK_BYTES]
    return Delivery(
        seq=seq,
        delivery_id=f"{seq:032x}",
        attempt=attempt,
        received_at_s=1_767_225_600.0,
        peer="203.0.113.7:4000",
        is_tls=True,
        http_version="1.1",
        url=f"https://relay.example.com/abc{target}",
        method="POST",
        target=target,
        headers=headers,
        body_bytes=len(body),
        body=first,
        is_last=len(first) == len(body),
    )


class RelayTunnel:
    """The relay's end of one connection. What the client says is kept in `said`, its Pings answered."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.side = RelaySide(monotonic())
        self.said: list[Frame] = []
        self.ended = asyncio.Event()
        self._more = asyncio.Event()
        self.answers_pings = True

    @property
    def hello(self) -> Hello:
        assert self.side.hello is not None
        return self.side.hello

    async def listen(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                frame = self.side.receive(await self.connection.recv(decode=False), monotonic())
                if isinstance(frame, Ping) and self.answers_pings:
                    await self.send(Pong(frame.nonce))
                self.said.append(frame)
                self._more.set()
        self.ended.set()
        self._more.set()

    async def send(self, frame: Frame) -> None:
        await self.connection.send(self.side.send(frame, monotonic()))

    async def deliver(self, seq: int, body: bytes = b"{}", *, attempt: int = 1) -> None:
        """Delivery `seq` with all of its body, as far as the credit allows."""
        await self.send(a_delivery(seq, body, attempt=attempt))
        for at in range(CHUNK_BYTES, len(body), CHUNK_BYTES):
            piece = body[at : at + CHUNK_BYTES]
            while self.side.credit_bytes < len(piece):
                await asyncio.sleep(0)
            await self.send(DeliveryBody(seq, piece, at + len(piece) == len(body)))

    async def heard(self, kind: type[Kind], count: int = 1) -> Sequence[Kind]:
        """What the client said of this kind, once there are `count`."""
        while len(found := [frame for frame in self.said if isinstance(frame, kind)]) < count:
            if self.ended.is_set():
                raise AssertionError(f"the client left after {self.said}")
            self._more.clear()
            await self._more.wait()
        return found

    async def welcome(self, *, head: int = 0, pending: int = 0, heartbeat_s: float = 15.0) -> None:
        await self.heard(Hello)
        await self.send(
            Welcome(
                1, "shop", "https://relay.example.com/abc", "s", heartbeat_s, 10.0, "queued", head, pending
            )
        )

    async def end(self, code: CloseCode, message: str = "") -> None:
        await self.send(Close(code, message))
        await self.connection.close(code, message)

    def cut(self) -> None:
        """The network is gone."""
        self.connection.transport.abort()


class ScriptedRelay:
    """Each connection of a client becomes a RelayTunnel for the test. `refusal`: the status that upgrades get."""

    def __init__(self) -> None:
        self.url = ""
        self.refusal: int | None = None
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        self._tunnels: asyncio.Queue[RelayTunnel] = asyncio.Queue()

    async def next(self, **welcome: int) -> RelayTunnel:
        """The next connection, greeted."""
        tunnel = await self.next_silent()
        await tunnel.welcome(**welcome)
        return tunnel

    async def next_silent(self) -> RelayTunnel:
        """The next connection, not greeted yet."""
        return await self._tunnels.get()

    def check(self, connection: ServerConnection, request: Request) -> HttpResponse | None:
        self.keys.append(request.headers.get("Authorization"))
        self.paths.append(request.path)
        if self.refusal is None:
            return None
        return connection.respond(HTTPStatus(self.refusal), "no\n")

    async def converse(self, connection: ServerConnection) -> None:
        tunnel = RelayTunnel(connection)
        self._tunnels.put_nowait(tunnel)
        await tunnel.listen()


@asynccontextmanager
async def scripted_relay(tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedRelay]:
    """A relay on a free port of this machine."""
    relay = ScriptedRelay()
    async with serve(
        relay.converse,
        "127.0.0.1",
        0,
        process_request=relay.check,
        subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # their NewType of str
        compression=None,
        ping_interval=None,
        max_size=None,
        close_timeout=0.2,
        ssl=tls,
    ) as server:
        host, port = server.sockets[0].getsockname()[:2]
        relay.url = f"{'https' if tls else 'http'}://{host}:{port}"
        yield relay
