"""Many channels and many tunnels at once: clients that speak the tunnel's protocol, hundreds in one process."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.acceptance.relay_running import ChannelKey
from webhookctl.relay.channel import new_channel
from webhookctl.relay.sqlite_broker import SqliteBroker
from webhookctl.tunnel_protocol import (
    MAX_FRAME_BYTES,
    SUBPROTOCOL,
    Answer,
    ClientSide,
    Credit,
    Delivery,
    Frame,
    Hello,
    Mode,
    Ping,
    Pong,
    Welcome,
)

_NOW_S = 1_795_000_000.0


def make_channels(data: Path, count: int) -> list[ChannelKey]:
    """So many channels in the data folder of a relay that does not run."""

    async def make() -> list[ChannelKey]:
        keys = []
        async with SqliteBroker(data, now_s=lambda: _NOW_S) as broker:
            for number in range(count):
                channel, key = new_channel(f"many-{number}", now_s=_NOW_S, random_bytes=os.urandom)
                await broker.create_channel(channel)
                keys.append(ChannelKey(channel.id, channel.name, key))
        return keys

    return asyncio.run(make())


@dataclass(slots=True)
class Listener:
    """One tunnel: answers every delivery with its own body, keeps (sequence number, attempt, body) of each."""

    connection: ClientConnection
    side: ClientSide
    received: list[tuple[int, int, bytes]] = field(default_factory=list)
    on_received: Callable[[], None] = lambda: None
    welcome: Welcome | None = None

    async def say(self, *frames: Frame) -> None:
        for frame in frames:
            await self.connection.send(self.side.send(frame, monotonic()))

    async def hear(self) -> Frame:
        return self.side.receive(await self.connection.recv(decode=False), monotonic())

    async def run(self) -> None:
        """Answer until the connection ends."""
        try:
            while True:
                match await self.hear():
                    case Delivery(seq=seq, attempt=attempt, body=body):
                        self.received.append((seq, attempt, body))
                        await self.say(Credit(1, len(body)), Answer(seq, 200, "OK", (), body, True))
                        self.on_received()
                    case Ping(nonce):
                        await self.say(Pong(nonce))
        except ConnectionClosed:
            return


@asynccontextmanager
async def listening(relay_url: str, channel: ChannelKey, *, window: int = 64) -> AsyncIterator[Listener]:
    """An open tunnel that consumes the channel."""
    async with connect(
        relay_url.replace("http", "ws", 1) + "/.webhookctl/v1/tunnel",
        subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # their NewType of str
        additional_headers={"Authorization": f"Bearer {channel.key}"},
        compression=None,
        proxy=None,
        ping_interval=None,
        max_size=MAX_FRAME_BYTES,
        close_timeout=1.0,
    ) as connection:
        listener = Listener(connection, ClientSide(monotonic()))
        await listener.say(Hello(1, channel.id, Mode.CONSUME, 0, -1, window, 4 * 1024 * 1024, channel.id))
        welcome = await listener.hear()
        assert isinstance(welcome, Welcome), welcome
        listener.welcome = welcome
        yield listener


@asynccontextmanager
async def all_listening(relay_url: str, channels: list[ChannelKey]) -> AsyncIterator[list[Listener]]:
    """An open tunnel for each channel, all of them answering."""
    async with AsyncExitStack() as stack:
        listeners = []
        for start in range(0, len(channels), 50):
            entering = (
                stack.enter_async_context(listening(relay_url, each)) for each in channels[start : start + 50]
            )
            listeners += await asyncio.gather(*entering)
        tasks = [asyncio.ensure_future(listener.run()) for listener in listeners]
        try:
            yield listeners
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def post(relay_url: str, path: str, bodies: list[bytes]) -> list[tuple[int, bytes]]:
    """POST each body over one keep-alive connection, one after the other; status and body of each answer."""
    host, _, port = relay_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answers = []
    for body in bodies:
        writer.write(
            b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        answers.append((int(head.split(b" ")[1]), await reader.readexactly(length)))
    writer.close()
    return answers
