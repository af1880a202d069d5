"""Foreign relays as scripts: raw bytes over TCP for event streams, a WebSocket server for Svix Play."""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: keep-alive\r\n\r\n"


def plain(status: str, body: bytes = b"", **fields: str) -> bytes:
    """A whole response."""
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class StreamServer:
    """Answers each connection with the next of `scripts`: pieces written one by one; then it waits for `release`.

    An empty list of scripts: the last one again. `requests` are the heads it got.
    """

    def __init__(self, scripts: list[list[bytes]]) -> None:
        self.scripts = scripts
        self.requests: list[bytes] = []
        self.release = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            for piece in script:
                if piece == b"WAIT":
                    await self.release.wait()
                else:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        writer.close()


@asynccontextmanager
async def stream_server(*scripts: list[bytes]) -> AsyncIterator[StreamServer]:
    """A `StreamServer` on a free port."""
    served = StreamServer(list(scripts))
    server = await asyncio.start_server(served.handle, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for writer in served.writers:
            writer.close()
        await asyncio.sleep(0)


def smee_event(number: int, body: str, **fields: object) -> bytes:
    """A delivery as smee writes it: one line, a counter as id, no name."""
    others = "".join(f"{json.dumps(name)}:{json.dumps(value)}," for name, value in fields.items())
    return (
        f'id: {number}\ndata: {{{others}"body":{body},"query":{{}},"timestamp":1795441771000}}\n\n'.encode()
    )


def gosmee_event(body: bytes, *, event_id: str = "", **fields: str) -> bytes:
    """A delivery as gosmee writes it: base64, an id only with Redis behind it."""
    envelope = json.dumps({**fields, "timestamp": "1795441771000", "bodyB": b64encode(body).decode()})
    return (f"id: {event_id}\n" if event_id else "").encode() + f"data: {envelope}\n\n".encode()


class SvixServer:
    """Takes tokens but those of `busy`, sends `events`, keeps what comes back in `answers`."""

    def __init__(self) -> None:
        self.busy: set[str] = set()
        self.given = ""
        self.tokens: list[str] = []
        self.events: list[str] = []
        self.answers: list[dict[str, Any]] = []
        self.answered = asyncio.Event()
        self.first: list[str] = []
        self.on_start: Callable[[ServerConnection], Any] | None = None
        self.connections: list[ServerConnection] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/v1/listen/"

    async def handle(self, connection: ServerConnection) -> None:
        start = json.loads(await connection.recv())
        token = start["data"]["token"]
        self.tokens.append(token)
        self.connections.append(connection)
        if token in self.busy:
            await connection.close(1008, "This socket is already in use")
            return
        for text in self.first or [json.dumps({**start, "data": {"token": self.given or token}})]:
            await connection.send(text)
        for text in self.events:
            await connection.send(text)
        async for data in connection:
            self.answers.append(json.loads(data))
            self.answered.set()


@asynccontextmanager
async def svix_server() -> AsyncIterator[SvixServer]:
    """A `SvixServer` on a free port."""
    served = SvixServer()
    async with serve(served.handle, "127.0.0.1", 0) as server:
        served.port = next(iter(server.sockets)).getsockname()[1]
        yield served


def svix_event(identity: str, body: bytes, method: str = "POST", **headers: str) -> str:
    data = {"id": identity, "method": method, "headers": headers, "body": b64encode(body).decode()}
    return json.dumps({"type": "event", "version": 1, "data": data})


def decoded(answer: dict[str, Any]) -> bytes:
    return b64decode(answer["data"]["body"])
