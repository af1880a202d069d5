"""Nasty requests and responses, byte for byte: peer → listener → session → history → forwarder → app, and back."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.net.wires import LOOPS, Peer, Sink, peer, run, sink
from tests.net.wires import listener as listening
from webhookctl.address import parse_endpoint
from webhookctl.model import Capture, Detection, Exchange, Verdict, VerdictKind
from webhookctl.net.forwarder import Forwarder
from webhookctl.session import Route, Session, SessionOptions
from webhookctl.store.history import History
from webhookctl.store.history_writer import HistoryWriter

HOST = b"Host: app.example.com"
ADDED = b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: app.example.com"
GZIPPED = gzip.compress(b'{"id":"evt_1"}', mtime=0)
BINARY = bytes(range(256)) * 3


@dataclass(frozen=True)
class House:
    """A whole way for deliveries, with the app at its end."""

    sink: Sink
    url: str

    @property
    def authority(self) -> bytes:
        return b"127.0.0.1:%d" % self.sink.port


def judge(_: Capture) -> tuple[Detection, Verdict]:
    return Detection(), Verdict(VerdictKind.UNKNOWN_SCHEME, None, "not judged here")


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    async with sink() as app, HistoryWriter(folder / "history.db", now_s=lambda: 0.0) as history:
        forwarder = Forwarder(tls=None, now_s=lambda: 0.0)
        endpoint = parse_endpoint(f"http://127.0.0.1:{app.port}")
        session = Session(
            SessionOptions(routes=(Route(None, endpoint),)),
            judge=judge,
            recorder=history,
            sender=forwarder,
            keeper=None,
            emit=lambda event: None,
        )
        async with listening(session.deliver) as listener:
            yield House(app, listener.url)
            await listener.stop(timeout_s=5)
        forwarder.close()


def stored(folder: Path) -> list[Exchange]:
    with History(folder / "history.db") as history:
        return history.newest(limit=100)[::-1]


def lines(*parts: bytes) -> bytes:
    return b"\r\n".join(parts) + b"\r\n\r\n"


async def exchanged(peer: Peer, app: Sink, data: bytes, *, is_head: bool = False) -> tuple[bytes, bytes]:
    """What the app got and what the peer was answered."""
    peer.send(data)
    answer = await peer.response(is_head=is_head)
    return app.requests[-1], answer


TARGETS = [
    b"/",
    b"/p?",
    b"/p?&&",
    b"/p?a&b=&=c&a&&",
    b"//double//slash",
    b"/a/../b/./c",
    b"/;v=1;w",
    b"/%zz%2F%2f%7E%41%00",
    b"/%c3%A9",
    b"/a|b\"<>{}^`\\'",
    b"/p?q=a+b%20c@:!$*(),",
    b"/p?url=http://example.org/?x=1",
    b"/caf\xc3\xa9?q=\xe9\xff\x80",
    b"/" + b"a" * 60_000,
]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: repr(target[:24]))
def test_a_target_arrives_as_it_was_sent(target: bytes, loop: str, tmp_path: Path) -> None:
    async def scene() -> tuple[bytes, bytes]:
        async with house(tmp_path) as way, peer(way.url) as sender:
            got, _ = await exchanged(sender, way.sink, lines(b"POST " + target + b" HTTP/1.1", HOST))
            return got, way.authority

    got, authority = run(scene(), loop)
    assert got == lines(b"POST " + target + b" HTTP/1.1", b"Host: " + authority, ADDED)
    assert stored(tmp_path)[0].capture.request.target.encode("latin-1") == target


@pytest.mark.parametrize(
    ("target", "forwarded"),
    [
        (b"http://app.example.com/hooks?x=1", b"/hooks?x=1"),
        (b"http://app.example.com", b"/"),
        (b"HTTPS://10.0.0.1:8443?x", b"/?x"),
    ],
)
def test_an_absolute_target_is_kept_and_never_chooses_where_to_go(
    target: bytes, forwarded: bytes, tmp_path: Path
) -> None:
    async def scene() -> tuple[bytes, bytes]:
        async with house(tmp_path) as way, peer(way.url) as sender:
            got, _ = await exchanged(sender, way.sink, lines(b"POST " + target + b" HTTP/1.1", HOST))
            return got, way.authority

    got, authority = run(scene())
    assert got == lines(b"POST " + forwarded + b" HTTP/1.1", b"Host: " + authority, ADDED)
    assert stored(tmp_path)[0].capture.request.target == target.decode()


METHODS = ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE", "QUERY", "PROPFIND", "REPORT"]


@pytest.mark.parametrize("method", METHODS)
def test_any_method_is_forwarded(method: str, tmp_path: Path) -> None:
    async def scene() -> bytes:
        async with house(tmp_path) as way, peer(way.url) as sender:
            data = lines(f"{method} /m HTTP/1.1".encode(), HOST, b"Content-Length: 3") + b"abc"
            got, _ = await exchanged(sender, way.sink, data, is_head=method == "HEAD")
            return got

    assert run(scene()).startswith(f"{method} /m HTTP/1.1\r\n".encode())
    request = stored(tmp_path)[0].capture.request
    assert (request.method, request.body) == (method, b"abc")


def test_options_of_the_server_itself_is_forwarded_as_such(tmp_path: Path) -> None:
    async def scene() -> bytes:
        async with house(tmp_path) as way, peer(way.url) as sender:
            return (await exchanged(sender, way.sink, lines(b"OPTIONS * HTTP/1.1", HOST)))[0]

    assert run(scene()).startswith(b"OPTIONS * HTTP/1.1\r\n")


HEADERS = [
    b"X-Dup: 1",
    b"x-dup: 2",
    b"X-DUP:",
    b"Empty:",
    b"High: caf\xc3\xa9 \xe9\x80\xff",
    b"Spaced: a  b\tc",
    b"!#$%&'*+-.^_`|~0: token",
    b"Authorization: Bearer sample",
    b"Cookie: a=b; c=d",
    b"User-Agent: Sample/1",
    b"Accept-Encoding: gzip",
    b"X-Dup: 3",
]


@pytest.mark.parametrize("loop", LOOPS)
def test_headers_keep_their_order_case_duplicates_and_bytes(loop: str, tmp_path: Path) -> None:
    async def scene() -> tuple[bytes, bytes]:
        async with house(tmp_path) as way, peer(way.url) as sender:
            got, _ = await exchanged(
                sender, way.sink, lines(b"POST / HTTP/1.1", *HEADERS[:3], HOST, *HEADERS[3:])
            )
            return got, way.authority

    got, authority = run(scene(), loop)
    written = [line + b" " if line.endswith(b":") else line for line in HEADERS]
    expected = [b"POST / HTTP/1.1", *written[:3], b"Host: " + authority, *written[3:], ADDED]
    assert got == lines(*expected)
    kept = stored(tmp_path)[0].capture.request.headers
    assert [name + b": " + value for name, value in kept] == [*written[:3], HOST, *written[3:]]


def test_hop_by_hop_fields_are_captured_and_not_forwarded(tmp_path: Path) -> None:
    own = [
        *(b"Connection: keep-alive, X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=5", b"TE: trailers"),
        *(b"Proxy-Authorization: Basic eDp5", b"Proxy-Connection: close", b"Trailer: X-T", b"X-End: 2"),
    ]

    async def scene() -> tuple[bytes, bytes]:
        async with house(tmp_path) as way, peer(way.url) as sender:
            got, _ = await exchanged(sender, way.sink, lines(b"POST / HTTP/1.1", HOST, *own))
            return got, way.authority

    got, authority = run(scene())
    assert got == lines(b"POST / HTTP/1.1", b"Host: " + authority, b"X-End: 2", ADDED)
    assert len(stored(tmp_path)[0].capture.request.headers) == 9


BODIES = {
    "json": b'{ "a" : 1.10 ,\r\n "b":"\xc3\xa9"}\n',
    "gzip": GZIPPED,
    "binary": BINARY,
    "looks like a request": b"\r\n\r\nPOST / HTTP/1.1\r\n\r\n",
    "25 MB": bytes(range(256)) * (25 * 4096),
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", BODIES)
def test_a_body_arrives_as_it_was_sent(kind: str, loop: str, tmp_path: Path) -> None:
    body = BODIES[kind]

    async def scene() -> tuple[bytes, bytes]:
        async with house(tmp_path) as way, peer(way.url) as sender:
            head = lines(
                b"POST / HTTP/1.1", HOST, b"content-length: %d" % len(body), b"Content-Encoding: gzip"
            )
            got, _ = await exchanged(sender, way.sink, head + body)
            return got, way.authority

    got, authority = run(scene(), loop)
    length = b"content-length: %d" % len(body)
    expected = lines(b"POST / HTTP/1.1", b"Host: " + authority, length, b"Content-Encoding: gzip", ADDED)
    assert got[: len(expected)] == expected
    assert got[len(expected) :] == body
    assert stored(tmp_path)[0].capture.request.body == body


def test_no_body_and_an_empty_body_are_told_apart(tmp_path: Path) -> None:
    async def scene() -> list[bytes]:
        async with house(tmp_path) as way, peer(way.url) as sender:
            await exchanged(sender, way.sink, lines(b"POST / HTTP/1.1", HOST))
            await exchanged(sender, way.sink, lines(b"POST / HTTP/1.1", HOST, b"Content-Length: 0"))
            return way.sink.requests

    absent, empty = run(scene())
    assert b"Content-Length" not in absent
    assert b"\r\nContent-Length: 0\r\n" in empty


CHUNKED = b'4;ext=1;q="a b"\r\nabcd\r\n00003\r\nefg\r\n0\r\n'


@pytest.mark.parametrize("trailers", [b"\r\n", b"X-Checksum: 1\r\nHost: evil.example.com\r\n\r\n"])
def test_a_chunked_body_is_framed_anew_and_its_trailers_join_no_headers(
    trailers: bytes, tmp_path: Path
) -> None:
    async def scene() -> tuple[bytes, bytes]:
        async with house(tmp_path) as way, peer(way.url) as sender:
            head = lines(b"POST / HTTP/1.1", b"transfer-encoding: Chunked", HOST)
            got, _ = await exchanged(sender, way.sink, head + CHUNKED + trailers)
            # The connection is in step afterwards, with nothing left over from the trailers.
            await exchanged(sender, way.sink, lines(b"GET /next HTTP/1.1", HOST))
            return got, way.authority

    got, authority = run(scene())
    assert got == lines(b"POST / HTTP/1.1", b"Content-Length: 7", b"Host: " + authority, ADDED) + b"abcdefg"
    first, second = stored(tmp_path)
    assert first.capture.request.headers == (
        (b"transfer-encoding", b"Chunked"),
        (b"Host", b"app.example.com"),
    )
    assert second.capture.request.headers == ((b"Host", b"app.example.com"),)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_request_that_comes_byte_by_byte_is_the_same(loop: str, tmp_path: Path) -> None:
    head = lines(
        b"POST /caf\xc3\xa9?x= HTTP/1.1", HOST, b"Empty:", b"High: \xe9", b"Transfer-Encoding: chunked"
    )
    data = head + CHUNKED + b"\r\n"

    async def scene() -> bytes:
        async with house(tmp_path) as way, peer(way.url) as sender:
            for byte in data:
                sender.send(bytes([byte]))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            await sender.response()
            return way.sink.requests[0]

    got = run(scene(), loop)
    assert got.startswith(b"POST /caf\xc3\xa9?x= HTTP/1.1\r\n")
    assert got.endswith(b"\r\n\r\nabcdefg")
    request = stored(tmp_path)[0].capture.request
    assert request.headers[1:3] == ((b"Empty", b""), (b"High", b"\xe9"))


def test_a_request_of_http_1_0_without_host_is_taken_and_the_connection_ends(tmp_path: Path) -> None:
    async def scene() -> tuple[bytes, bytes]:
        async with house(tmp_path) as way, peer(way.url) as sender:
            sender.send(b"POST /old HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi\r\n")
            return await sender.rest(), way.sink.requests[0]

    answer, got = run(scene())
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    assert got.startswith(b"POST /old HTTP/1.1\r\nHost: 127.0.0.1:")
    assert stored(tmp_path)[0].capture.http_version == "1.0"


def test_an_expectation_is_met_here_and_not_forwarded(tmp_path: Path) -> None:
    async def scene() -> tuple[bytes, bytes, bytes]:
        async with house(tmp_path) as way, peer(way.url) as sender:
            sender.send(lines(b"POST / HTTP/1.1", HOST, b"Expect: 100-Continue", b"Content-Length: 2"))
            interim = await sender.response()
            sender.send(b"hi")
            return interim, await sender.response(), way.sink.requests[0]

    interim, answer, got = run(scene())
    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Expect" not in got
    assert got.endswith(b"\r\n\r\nhi")


UPGRADE = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")


@pytest.mark.parametrize("framing", ["length", "chunks", "none", "late"])
def test_an_offer_of_http_2_is_declined_without_losing_the_body(framing: str, tmp_path: Path) -> None:
    field = {"chunks": [b"Transfer-Encoding: chunked"], "none": []}.get(framing, [b"Content-Length: 7"])
    body = {"chunks": CHUNKED + b"\r\n", "none": b""}.get(framing, b"abcdefg")

    async def scene() -> list[bytes]:
        async with house(tmp_path) as way, peer(way.url) as sender:
            sender.send(lines(b"POST /up?\xe9 HTTP/1.1", HOST, *UPGRADE, *field))
            if framing == "late":
                await asyncio.sleep(0.02)
            sender.send(body + lines(b"GET /next HTTP/1.1", HOST))
            await sender.response()
            await sender.response()
            return way.sink.requests

    first, second = run(scene())
    assert first.startswith(b"POST /up?\xe9 HTTP/1.1\r\n")
    assert first.endswith(b"\r\n\r\n" + (b"" if framing == "none" else b"abcdefg"))
    assert b"Upgrade" not in first
    assert b"HTTP2" not in first
    assert second.startswith(b"GET /next HTTP/1.1\r\n")
    kept = stored(tmp_path)[0].capture.request
    assert [name for name, _ in kept.headers[1:4]] == [b"Connection", b"Upgrade", b"HTTP2-Settings"]


@pytest.mark.parametrize("loop", LOOPS)
def test_pipelined_requests_are_answered_in_order(loop: str, tmp_path: Path) -> None:
    count = 40

    async def scene() -> list[bytes]:
        async with house(tmp_path) as way, peer(way.url) as sender:
            way.sink.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%03d" % n for n in range(count)]
            data = [lines(b"POST /%d HTTP/1.1" % n, HOST, b"Content-Length: 1") + b"x" for n in range(count)]
            sender.send(b"".join(data))
            return [await sender.response() for _ in range(count)]

    assert [answer[-3:] for answer in run(scene(), loop)] == [b"%03d" % number for number in range(count)]
    assert [each.capture.request.target for each in stored(tmp_path)] == [f"/{n}" for n in range(count)]


def response(*fields: bytes, status: bytes = b"200 OK", body: bytes = b"") -> bytes:
    return lines(b"HTTP/1.1 " + status, *fields) + body


RESPONSES = {
    "odd reason": (response(b"Content-Length: 0", status=b"299 Very  odd, \xe9!"),) * 2,
    "no reason": (response(b"Content-Length: 0", status=b"204 "), response(status=b"204 ")),
    "duplicates": (
        response(b"set-cookie: a", b"Set-Cookie: b", b"X: ", b"Y: \xe9\x80", b"Content-Length: 1", body=b"x"),
        response(b"set-cookie: a", b"Set-Cookie: b", b"X: ", b"Y: \xe9\x80", b"Content-Length: 1", body=b"x"),
    ),
    "gzip": (response(b"Content-Encoding: gzip", b"Content-Length: %d" % len(GZIPPED), body=GZIPPED),) * 2,
    "error": (response(b"Content-Length: 3", status=b"500 Oops", body=b"bad"),) * 2,
    "redirect": (response(b"Location: http://10.0.0.1/", b"Content-Length: 0", status=b"302 Found"),) * 2,
    "204": (response(b"X: 1", status=b"204 No Content"),) * 2,
    "304": (response(b"ETag: x", b"Content-Length: 9", status=b"304 Not Modified"),) * 2,
    "eof": (
        response(b"X: 1", body=b"until the end!EOF"),
        response(b"X: 1", b"Content-Length: 13", body=b"until the end"),
    ),
    "chunked": (
        response(b"Transfer-Encoding: chunked", b"X: 1", body=CHUNKED + b"T: 1\r\n\r\n"),
        response(b"X: 1", b"Content-Length: 7", body=b"abcdefg"),
    ),
    "hop by hop": (
        response(b"Connection: close, X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=1", b"Content-Length: 0"),
        response(b"Content-Length: 0"),
    ),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        + response(b"Content-Length: 2", status=b"201 Created", body=b"ok"),
        response(b"Content-Length: 2", status=b"201 Created", body=b"ok"),
    ),
    "old": (b"HTTP/1.0 200 OK\r\nX: 1\r\n\r\nold!EOF", response(b"X: 1", b"Content-Length: 3", body=b"old")),
    "large": (response(b"Content-Length: 3000000", body=b"z" * 3_000_000),) * 2,
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", RESPONSES)
def test_the_apps_response_comes_back_exactly(kind: str, loop: str, tmp_path: Path) -> None:
    answer, expected = RESPONSES[kind]

    async def scene() -> list[bytes]:
        async with house(tmp_path) as way, peer(way.url) as sender:
            way.sink.answers = [answer, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"]
            data = lines(b"POST / HTTP/1.1", HOST)
            return [(await exchanged(sender, way.sink, data))[1] for _ in range(2)]

    came, after = run(scene(), loop)
    assert came == expected
    assert after.endswith(b"next")  # nothing of the first one is left behind


def test_the_answer_to_head_keeps_its_length_and_has_no_body(tmp_path: Path) -> None:
    async def scene() -> list[bytes]:
        async with house(tmp_path) as way, peer(way.url) as sender:
            way.sink.answers = [response(b"Content-Length: 500", b"X: 1")]
            data = lines(b"HEAD / HTTP/1.1", HOST)
            return [
                (await exchanged(sender, way.sink, data, is_head=True))[1],
                (await exchanged(sender, way.sink, lines(b"GET / HTTP/1.1", HOST)))[1],
            ]

    head, after = run(scene())
    assert head == response(b"Content-Length: 500", b"X: 1")
    assert after.endswith(b"ok")


def test_the_answers_are_in_the_history_too(tmp_path: Path) -> None:
    async def scene() -> None:
        async with house(tmp_path) as way, peer(way.url) as sender:
            way.sink.answers = [RESPONSES["duplicates"][0]]
            await exchanged(sender, way.sink, lines(b"POST / HTTP/1.1", HOST))

    run(scene())
    (attempt,) = stored(tmp_path)[0].attempts
    assert attempt.response is not None
    assert attempt.response.body == b"x"
    assert attempt.response.headers[:2] == ((b"set-cookie", b"a"), (b"Set-Cookie", b"b"))
