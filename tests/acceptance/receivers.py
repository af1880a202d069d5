"""Apps that receive webhooks, as threads of the test: one on http.server, one that keeps raw bytes; and raw senders."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import BinaryIO, TypeAlias
from urllib.parse import urlsplit

from tests.acceptance.running import DEADLINE_S

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]


class CaseInsensitive(dict[str, str]):
    """Header fields under their names in lower case, as web frameworks give them; any case finds them."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        super().__init__((name.lower(), value) for name, value in fields)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())


@dataclass(frozen=True, slots=True)
class Received:
    """One request as the app saw it."""

    method: str
    path: str
    headers: CaseInsensitive
    body: bytes


Answer: TypeAlias = tuple[int, bytes]
Handle: TypeAlias = Callable[[Received], Answer]


@dataclass(slots=True)
class App:
    """A running app: its URL and what it received. `changed` is notified at each request."""

    url: str
    received: list[Received] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int) -> list[Received]:
        """Block until `count` requests have come in."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.received) >= count, DEADLINE_S), self.received
            return list(self.received)


@contextmanager
def app(
    handle: Handle = lambda received: (200, b"thank you\n"), *, tls: ssl.SSLContext | None = None
) -> Iterator[App]:
    """An app on http.server, keep-alive and threaded, that answers what `handle` says."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            received = Received(self.command, self.path, CaseInsensitive(self.headers.items()), body)
            with running.changed:
                running.received.append(received)
                running.changed.notify_all()
            status, answer = handle(received)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_PUT = do_GET = handle_any  # noqa: N815  (http.server's names)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  (its name there)
            """Nobody reads it."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            """A peer that was killed is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    running = App(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join(DEADLINE_S)
        server.server_close()


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One HTTP message as its bytes: the first line, the header fields as written, the body without its framing."""

    start: bytes
    headers: RawHeaders
    body: bytes

    @property
    def status(self) -> int:
        return int(self.start.split(b" ")[1])


def read_message(stream: BinaryIO, *, is_bodyless: bool = False) -> RawMessage | None:
    """The next message on a buffered binary stream; None when the stream ended before one began."""
    start = stream.readline()
    if not start.endswith(b"\r\n"):
        return None
    headers: RawHeaders = []
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.removesuffix(b"\r\n").partition(b": ")
        headers.append((name, value))
    length = next((int(value) for name, value in headers if name.lower() == b"content-length"), None)
    body = stream.read(length) if length is not None and not is_bodyless else b""
    return RawMessage(start.removesuffix(b"\r\n"), headers, body)


Serve: TypeAlias = Callable[[RawMessage, socket.socket], bool]
"""Answers a raw request on its socket; False when the connection is to be closed then."""


@dataclass(slots=True)
class Sink:
    """A running raw receiver: its URL and the requests as bytes, in order of arrival."""

    url: str
    requests: list[RawMessage] = field(default_factory=list)


def always(answer: bytes) -> Serve:
    """Answers the same raw bytes to everything."""

    def serve(_: RawMessage, connection: socket.socket) -> bool:
        connection.sendall(answer)
        return True

    return serve


ACCEPT_ALL = always(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def sink(serve: Serve = ACCEPT_ALL, *, port: int = 0) -> Iterator[Sink]:
    """A receiver on bare sockets that keeps every byte it is sent and answers what `serve` writes."""
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    running = Sink(f"http://127.0.0.1:{listener.getsockname()[1]}")
    connections: list[socket.socket] = []

    def converse(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while (request := read_message(stream)) is not None:
                    running.requests.append(request)
                    if not serve(request, connection):
                        return
            except OSError:
                return  # the peer was killed, or the test is over

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.append(connection)
            threading.Thread(target=converse, args=(connection,), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    try:
        yield running
    finally:
        for each in (listener, *connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


class Sender:
    """A keep-alive connection to a listener on which raw requests are sent."""

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 0), DEADLINE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname=parts.hostname)
        self._stream = self._socket.makefile("rb")

    def send(self, raw: bytes) -> RawMessage | None:
        """Send the bytes as they are; the response, or None when the connection ended without one."""
        self._socket.sendall(raw)
        return read_message(self._stream, is_bodyless=raw.startswith(b"HEAD "))

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def send_raw(url: str, raw: bytes) -> RawMessage:
    """Send one raw request on a connection of its own; its response."""
    with Sender(url) as sender:
        response = sender.send(raw)
    assert response is not None, raw
    return response


def raw_request(
    target: str, body: bytes, *fields: tuple[str, str], method: str = "POST", kind: str = "application/json"
) -> bytes:
    """A plain raw request with a body."""
    head = [f"{method} {target} HTTP/1.1", "Host: hooks.example.com", f"Content-Type: {kind}"]
    head += [f"{name}: {value}" for name, value in fields]
    head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body
