"""Readers of a channel's server-sent events, for the tests: what they see, and what the relay holds for them."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.relay.doors import Door


class Stream:
    """A reader of events, by the rules of the standard (WHATWG HTML §9.2), independent of ours."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._text = ""
        self.head = b""
        self.opening: dict[str, str] = {}

    async def event(self) -> dict[str, str]:
        """The next event: `data`, and `event` and `id` where it has them. Comments are events named ":"."""
        while "\n\n" not in self._text:
            size = int((await self._reader.readline()).strip() or b"0", 16)
            if size == 0:
                raise EOFError
            self._text += (await self._reader.readexactly(size)).decode()
            await self._reader.readexactly(2)
        block, _, self._text = self._text.partition("\n\n")
        found: dict[str, list[str]] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            found.setdefault(name or ":", []).append(value.removeprefix(" "))
        return {name: "\n".join(values) for name, values in found.items()}

    async def numbers(self, count: int) -> list[int]:
        """The numbers of the next deliveries."""
        found: list[int] = []
        while len(found) < count:
            event = await self.event()
            found += [int(event["id"])] if "id" in event else []
        return found

    async def envelope(self) -> dict[str, Any]:
        document = json.loads((await self.event())["data"])
        assert isinstance(document, dict)
        return document

    def leave(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def reading(
    at: Door, path: str, *, last: int | None = None, is_narrow: bool = False
) -> AsyncIterator[Stream]:
    """A stream, past its opening; as of a client that had event `last`. `is_narrow`: little is on its way at once."""
    connected = socket.socket()
    if is_narrow:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connected.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connected, ("127.0.0.1", at.port))
    reader, writer = await asyncio.open_connection(sock=connected)
    had = "" if last is None else f"Last-Event-ID: {last}\r\n"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{had}\r\n".encode())
    stream = Stream(reader, writer)
    stream.head = await reader.readuntil(b"\r\n\r\n")
    assert stream.head.startswith(b"HTTP/1.1 200"), stream.head
    for _ in range(2 if path.startswith("/events/") else 1):
        stream.opening = await stream.event()
    try:
        yield stream
    finally:
        stream.leave()


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    while not await true():
        await asyncio.sleep(0.005)


async def with_events(at: Door, name: str = "smee-like") -> str:
    return str((await at.registry.create(name, {"sse": True}))["id"])


async def pending(at: Door, channel_id: str) -> int:
    return (await at.broker.counts(channel_id)).pending


async def nothing_waits(at: Door, channel_id: str) -> bool:
    return await pending(at, channel_id) == 0


async def no_readers(at: Door) -> bool:
    return at.metrics.subscribers == 0


async def readers_are(at: Door, count: int) -> bool:
    return at.metrics.subscribers == count
