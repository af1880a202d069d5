"""A relay in the test's own event loop, clients that speak the tunnel's protocol, and senders that write raw bytes."""

import asyncio
import os
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TypeVar

from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from webhookctl.events import ServeEvent
from webhookctl.model import Headers, Secret
from webhookctl.relay.admission import Admission
from webhookctl.relay.channel import Channel, new_channel, url_of
from webhookctl.relay.connection import Doorway
from webhookctl.relay.ingress import Ingress, Site
from webhookctl.relay.metrics import Metrics
from webhookctl.relay.replies import Replies
from webhookctl.relay.server import Front, Rooms
from webhookctl.relay.sqlite_broker import SqliteBroker
from webhookctl.relay.tunnels import TunnelOptions, Tunnels
from webhookctl.relay.uploads import UploadLimits, Uploads
from webhookctl.tunnel_protocol import (
    MAX_FRAME_BYTES,
    SUBPROTOCOL,
    Acknowledge,
    Answer,
    AnswerBody,
    ClientSide,
    Close,
    CloseCode,
    Credit,
    Delivery,
    DeliveryBody,
    Frame,
    Hello,
    Mode,
    Ping,
    Pong,
    Skipped,
    Welcome,
)

NOW_S = 1_795_000_000.0
WAIT_S = 10.0
_Frame = TypeVar("_Frame")


class Clock:
    """The time of day, moved by hand."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


class _Nothing:
    """Pages and streams that there are not."""

    @staticmethod
    def takes(method: str, target: str, headers: Headers) -> bool:
        return False

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=404, text="page")

    def close(self) -> None:
        return None


@dataclass(slots=True)
class TestRelay:
    """A relay that runs, and what tests want of its insides."""

    __test__ = False
    url: str
    front: Front
    broker: SqliteBroker
    ingress: Ingress
    tunnels: Tunnels
    metrics: Metrics
    clock: Clock
    doorway: Doorway
    events: list[ServeEvent] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def channel(self, name: str = "my-app", **options: object) -> tuple[Channel, str]:
        """A new channel and its key."""
        made, key = new_channel(name, now_s=self.clock(), random_bytes=os.urandom)
        channel = replace(made, **options)  # type: ignore[arg-type]  # a test knows the fields it names
        await self.broker.create_channel(channel)
        return channel, key

    async def change(self, channel: Channel, **options: object) -> Channel:
        after = replace(channel, **options)  # type: ignore[arg-type]  # the same
        await self.broker.update_channel(channel, after)
        return after


@asynccontextmanager
async def relay(
    folder: Path,
    *,
    clock: Clock | None = None,
    limits: UploadLimits | None = None,
    heartbeat_s: float = 60.0,
    send_idle_s: float = 30.0,
    domain: str = "",
    public_url: str = "",
    tls: ssl.SSLContext | None = None,
    trusted_proxies: tuple[str, ...] = (),
    max_connections: int = 10_000,
    head_s: float = 10.0,
) -> AsyncIterator[TestRelay]:
    """A relay on a free port of 127.0.0.1, its data in `folder`."""
    clock = clock or Clock()
    events: list[ServeEvent] = []
    metrics = Metrics()
    problems: list[str] = []
    doorway = Doorway(problems.append, head_s=head_s, max_connections=max_connections)
    front = Front(doorway, tls=tls)
    async with SqliteBroker(folder, now_s=clock, on_commit=metrics.observe_commit) as broker:
        await front.bind("127.0.0.1", 0)
        public = public_url or front.url
        admission = Admission(
            read_secret=lambda reference: Secret("s3cret", reference), trusted_proxies=trusted_proxies
        )
        ingress = Ingress(
            broker,
            Site(public, domain),
            uploads=Uploads(broker, limits or UploadLimits()),
            replies=Replies(metrics=metrics, emit=events.append, now_s=clock, send_idle_s=send_idle_s),
            admission=admission,
            metrics=metrics,
            now_s=clock,
            new_id=lambda at_s: f"{int(at_s * 1000):012x}{secrets.token_hex(10)}",
        )
        tunnels = Tunnels(
            broker,
            TunnelOptions(heartbeat_s=heartbeat_s),
            metrics=metrics,
            url_of=partial(url_of, public_url=public, domain=domain),
            now_s=clock,
            new_session=partial(secrets.token_hex, 8),
            emit=events.append,
        )
        await front.open(Rooms(ingress, tunnels, _Nothing(), _Nothing()))
        running = TestRelay(front.url, front, broker, ingress, tunnels, metrics, clock, doorway, events)
        try:
            yield running
        finally:
            await front.stop(timeout_s=0.0)
            await front.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test in a new event loop, within WAIT_S in all."""

    async def within() -> None:
        async with asyncio.timeout(3 * WAIT_S):
            await test()

    asyncio.run(within())


async def until(is_there: Callable[[], object], what: str = "it") -> None:
    """Let the loop run until `is_there()`."""
    end_s = monotonic() + WAIT_S
    while not is_there():
        assert monotonic() < end_s, f"{what} did not come about"
        await asyncio.sleep(0.002)


# clients


class Client:
    """One tunnel: says and hears frames one by one."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.side = ClientSide(monotonic())
        self.welcome: Welcome | None = None

    async def say(self, *frames: Frame) -> None:
        for frame in frames:
            await self.connection.send(self.side.send(frame, monotonic()))

    async def hear(self) -> Frame:
        async with asyncio.timeout(WAIT_S):
            return self.side.receive(await self.connection.recv(decode=False), monotonic())

    async def expect(self, kind: type[_Frame]) -> _Frame:
        """The next frame, which is a `kind`. Pings are answered on the way."""
        frame = await self.hear()
        while isinstance(frame, Ping):
            await self.say(Pong(frame.nonce))
            frame = await self.hear()
        assert isinstance(frame, kind), frame
        return frame

    async def delivery(self) -> tuple[Delivery, bytes]:
        """The next delivery, with its whole body."""
        first = await self.expect(Delivery)
        pieces = [first.body]
        is_last = first.is_last
        while not is_last:
            piece = await self.expect(DeliveryBody)
            pieces.append(piece.data)
            is_last = piece.is_last
        return first, b"".join(pieces)

    async def answer(self, seq: int, body: bytes = b"done", status: int = 200, headers: Headers = ()) -> None:
        await self.say(Answer(seq, status, "OK", headers, body, True))

    async def answer_next(self, body: bytes = b"done") -> Delivery:
        delivery, _ = await self.delivery()
        await self.answer(delivery.seq, body)
        return delivery

    async def silence(self, seconds: float = 0.1) -> bool:
        """Whether nothing comes for a moment."""
        try:
            async with asyncio.timeout(seconds):
                await self.connection.recv(decode=False)
        except TimeoutError:
            return True
        return False

    async def close_code(self) -> tuple[CloseCode, int | None]:
        """How the relay ends it: the code of its Close frame and of the WebSocket."""
        frame = await self.hear()
        while not isinstance(frame, Close):
            frame = await self.hear()
        with suppress(ConnectionClosed):
            await self.connection.recv()
        return frame.code, self.connection.close_code


@asynccontextmanager
async def socket_to(url: str, key: str, *, context: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    """An open WebSocket at the tunnel's path: nothing is said yet."""
    async with connect(
        url.replace("http", "ws", 1) + "/.webhookctl/v1/tunnel",
        subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # their NewType of str
        additional_headers={"Authorization": f"Bearer {key}"},
        compression=None,
        proxy=None,
        ping_interval=None,
        max_size=MAX_FRAME_BYTES,
        close_timeout=1.0,
        ssl=context,
    ) as connection:
        yield Client(connection)


@asynccontextmanager
async def client(
    url: str,
    key: str,
    *,
    mode: Mode = Mode.CONSUME,
    cursor: int = 0,
    backlog: int = -1,
    window: int = 64,
    window_bytes: int = 1 << 30,
    instance: str = "one",
    channel: str = "",
) -> AsyncIterator[Client]:
    """A welcomed client."""
    async with socket_to(url, key) as found:
        await found.say(Hello(1, channel, mode, cursor, backlog, window, window_bytes, instance))
        found.welcome = await found.expect(Welcome)
        yield found


# senders


@dataclass(slots=True)
class Got:
    """A response as its bytes say."""

    status: int
    reason: str
    headers: Headers
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def value(self, name: bytes) -> bytes:
        (found,) = self.values(name)
        return found

    @property
    def outcome(self) -> str:
        return self.value(b"Webhookctl-Status").decode()


class Sender:
    """One connection of a sender; what is written is exactly what is given."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self, *, is_head: bool = False) -> Got:
        async with asyncio.timeout(WAIT_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            line, *fields = head[:-4].split(b"\r\n")
            version, status, reason = line.split(b" ", 2)
            assert version == b"HTTP/1.1"
            headers = tuple((name, value) for name, _, value in (field.partition(b": ") for field in fields))
            got = Got(int(status), reason.decode("latin-1"), headers, b"")
            if not is_head and got.status not in (100, 204, 304):
                got.body = await self._body(got)
            return got

    async def _body(self, got: Got) -> bytes:
        if got.values(b"transfer-encoding"):
            pieces = []
            while size := int((await self.reader.readuntil(b"\r\n"))[:-2], 16):
                pieces.append(await self.reader.readexactly(size))
                assert await self.reader.readexactly(2) == b"\r\n"
            assert await self.reader.readexactly(2) == b"\r\n"
            return b"".join(pieces)
        if got.values(b"content-length"):
            return await self.reader.readexactly(int(got.value(b"content-length")))
        return await self.reader.read()

    def leave(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def sender(port: int, *, context: ssl.SSLContext | None = None) -> AsyncIterator[Sender]:
    """A connection to the relay."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=1 << 20)
    try:
        yield Sender(reader, writer)
    finally:
        writer.transport.abort()


def post(target: str, body: bytes = b"", headers: Headers = (), method: str = "POST") -> bytes:
    """The bytes of a request."""
    fields = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    length = b"Content-Length: %d\r\n" % len(body) if body or method == "POST" else b""
    return b"%b %b HTTP/1.1\r\nHost: relay.test\r\n%b%b\r\n%b" % (
        method.encode(),
        target.encode("latin-1"),
        fields,
        length,
        body,
    )


async def send(port: int, target: str, body: bytes = b"", headers: Headers = (), method: str = "POST") -> Got:
    """One request on a connection of its own, and its response."""
    async with sender(port) as one:
        one.send(post(target, body, headers, method))
        return await one.response(is_head=method == "HEAD")


__all__ = [
    "NOW_S",
    "Acknowledge",
    "Answer",
    "AnswerBody",
    "Client",
    "Clock",
    "Close",
    "CloseCode",
    "Credit",
    "Delivery",
    "Got",
    "Hello",
    "Mode",
    "Sender",
    "Skipped",
    "TestRelay",
    "client",
    "post",
    "relay",
    "run",
    "send",
    "sender",
    "socket_to",
    "until",
]
