"""Raw sockets for the network tests: a sink that records bytes, a peer that speaks them, and both event loops."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import uvloop

from webhookctl.model import Capture, Response
from webhookctl.net.listener import Listener, ListenerLimits

T = TypeVar("T")
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
}
DEADLINE_S = 20.0
USUAL = ListenerLimits()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def run(work: Coroutine[Any, Any, T], loop: str = "asyncio") -> T:
    """Run `work` to its end in a loop of its own, and fail when that takes too long."""

    async def limited() -> T:
        async with asyncio.timeout(DEADLINE_S):
            return await work

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(limited())


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for a condition; `run` sets the deadline."""
    while not is_so():
        await asyncio.sleep(0.002)


async def read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def read_response(reader: asyncio.StreamReader, *, is_head: bool = False) -> bytes:
    """One whole response as bytes: by its Content-Length, else nothing follows its head."""
    head = await read_head(reader)
    length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
    if is_head or length is None or head.startswith((b"HTTP/1.1 304", b"HTTP/1.1 204")):
        return head
    return head + await reader.readexactly(int(length[1]))


class Sink:
    """A server that keeps every request as bytes and answers as it is told, in order (then 200 for ever)."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.answers: list[
            bytes
        ] = []  # b"" closes without an answer; an answer ending in b"!EOF" then closes
        self.connections = 0
        self.hold: asyncio.Event | None = None  # answers wait for it
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await read_head(reader)
                length = re.search(rb"(?i)\r\nContent-Length: (\d+)\r\n", head)
                self.requests.append(head + (await reader.readexactly(int(length[1])) if length else b""))
                if self.hold is not None:
                    await self.hold.wait()
                answer = self.answers.pop(0) if self.answers else OK
                writer.write(answer.removesuffix(b"!EOF"))
                if not answer or answer.endswith(b"!EOF"):
                    break
        writer.close()

    def drop_connections(self) -> None:
        """Close what is open, as an app server does with idle connections."""
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def sink(*, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Sink]:
    """A `Sink` on a free port."""
    served = Sink()
    server = await asyncio.start_server(served.serve, host, 0, ssl=tls, limit=1 << 26)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        served.drop_connections()
        await asyncio.sleep(0)


class Peer:
    """A raw client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self, *, is_head: bool = False) -> bytes:
        return await read_response(self.reader, is_head=is_head)

    async def rest(self) -> bytes:
        """Everything until the other side closes."""
        data = b""
        with suppress(ConnectionError):
            while piece := await self.reader.read(1 << 16):
                data += piece
        return data


@asynccontextmanager
async def peer(url: str, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """A connection to the listener at `url`."""
    host, _, port = url.rpartition("://")[2].rpartition(":")
    reader, writer = await asyncio.open_connection(
        host.strip("[]"), int(port), ssl=tls, server_hostname="localhost" if tls else None, limit=1 << 26
    )
    try:
        yield Peer(reader, writer)
    finally:
        writer.transport.abort()


class Taker:
    """What a listener delivers to: keeps the captures, answers with `response`, and remembers what was refused."""

    def __init__(self, response: Response | None = None) -> None:
        self.captures: list[Capture] = []
        self.refused: list[tuple[int, str]] = []
        self.response = response or Response(200, "OK", (), b"ok")
        self.hold: asyncio.Event | None = None

    async def deliver(self, capture: Capture) -> Response:
        self.captures.append(capture)
        if self.hold is not None:
            await self.hold.wait()
        return self.response

    def refuse(self, status: int, why: str) -> None:
        self.refused.append((status, why))


def listener(
    deliver: Callable[[Capture], Awaitable[Response]],
    *,
    limits: ListenerLimits = USUAL,
    tls: ssl.SSLContext | None = None,
    on_refused: Callable[[int, str], None] = lambda status, why: None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Listener:
    return Listener(
        deliver,
        host=host,
        port=port,
        limits=limits,
        tls=tls,
        now_s=lambda: 1_767_225_600.0,
        on_refused=on_refused,
    )
