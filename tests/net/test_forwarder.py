"""The forwarder and every way an app can fail it, in both event loops: failures are values, connections are re-used."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from tests.net.wires import LOOPS, OK, Sink, run, sink, until
from tests.ports import free_port
from webhookctl.address import parse_endpoint
from webhookctl.errors import UsageError
from webhookctl.model import Attempt, Endpoint, FailureKind, LargeBody, Request
from webhookctl.net import outgoing as module
from webhookctl.net.forwarder import Forwarder, tls_context

REQUEST = Request("POST", "/hooks", (), b"hi")
both_loops = pytest.mark.parametrize("loop", LOOPS)


@asynccontextmanager
async def forwarding(tls: ssl.SSLContext | None = None) -> AsyncIterator[Forwarder]:
    forwarder = Forwarder(tls=tls, now_s=lambda: 1_767_225_600.0)
    try:
        yield forwarder
    finally:
        forwarder.close()
        await asyncio.sleep(0)


def at(port: int, host: str = "127.0.0.1", scheme: str = "http") -> Endpoint:
    return parse_endpoint(f"{scheme}://{host}:{port}")


def attempts_with(
    answers: list[bytes],
    *,
    loop: str,
    count: int = 1,
    timeout_s: float | None = 5.0,
    request: Request = REQUEST,
) -> tuple[list[Attempt], Sink]:
    """`count` attempts, one after the other, at a sink that gives these answers."""

    async def scene() -> tuple[list[Attempt], Sink]:
        async with sink() as app, forwarding() as forwarder:
            app.answers = answers
            return [
                await forwarder.send(at(app.port), request, timeout_s=timeout_s) for _ in range(count)
            ], app

    return run(scene(), loop)


def failure_of(attempt: Attempt) -> tuple[FailureKind, str]:
    assert attempt.response is None
    assert attempt.failure is not None
    return attempt.failure.kind, attempt.failure.message


@both_loops
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_closed_port_refuses_whatever_it_is_called(host: str, loop: str) -> None:
    async def scene() -> Attempt:
        async with forwarding() as forwarder:
            return await forwarder.send(at(free_port(), host), REQUEST, timeout_s=5.0)

    attempt = run(scene(), loop)
    assert failure_of(attempt) == (FailureKind.REFUSED, "it refuses connections")
    assert attempt.started_at_s == 1_767_225_600.0
    assert attempt.latency_ms >= 0


@both_loops
def test_a_name_that_does_not_resolve_is_told_apart(loop: str) -> None:
    async def scene() -> Attempt:
        async with forwarding() as forwarder:
            return await forwarder.send(at(80, "no-such-host.invalid"), REQUEST, timeout_s=5.0)

    assert failure_of(run(scene(), loop)) == (
        FailureKind.DNS,
        "the name no-such-host.invalid does not resolve",
    )


@both_loops
def test_a_name_with_several_addresses_refuses_when_all_do(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()

    async def scene() -> Attempt:
        async def several(*_: object, **__: object) -> list[tuple[object, ...]]:
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                for address in ("127.0.0.1", "127.0.0.2")
            ]

        running = asyncio.get_running_loop()
        if loop == "asyncio":
            monkeypatch.setattr(running, "_ensure_resolved", several)
            return await attempt("127.0.0.1")
        return await attempt("localhost")

    async def attempt(host: str) -> Attempt:
        async with forwarding() as forwarder:
            return await forwarder.send(at(port, host), REQUEST, timeout_s=5.0)

    assert failure_of(run(scene(), loop))[0] is FailureKind.REFUSED


@both_loops
def test_no_answer_in_time_is_a_timeout_that_names_the_limit(loop: str) -> None:
    async def scene() -> tuple[Attempt, Attempt]:
        async with sink() as app, forwarding() as forwarder:
            app.hold = asyncio.Event()
            first = await forwarder.send(at(app.port), REQUEST, timeout_s=0.05)
            app.hold.set()
            return first, await forwarder.send(at(app.port), REQUEST, timeout_s=5.0)

    first, second = run(scene(), loop)
    assert failure_of(first) == (FailureKind.TIMEOUT, "no answer within 0.05 s")
    assert second.status == 200  # on a connection of its own: the late answer belongs to nobody


@both_loops
def test_the_limit_covers_a_response_that_never_ends(loop: str) -> None:
    async def scene() -> Attempt:
        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"x")
                await asyncio.sleep(0.005)

        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        async with forwarding() as forwarder:
            attempt = await forwarder.send(at(server.sockets[0].getsockname()[1]), REQUEST, timeout_s=0.1)
        server.close()
        await asyncio.sleep(0.02)
        return attempt

    assert failure_of(run(scene(), loop)) == (FailureKind.TIMEOUT, "no answer within 0.1 s")


@both_loops
def test_a_connection_that_is_not_made_in_time_is_a_timeout(loop: str) -> None:
    async def scene() -> Attempt:
        # A listening socket whose queue is full takes no further connection.
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", 0))
            busy.listen(0)
            port = busy.getsockname()[1]
            others = [socket.socket() for _ in range(4)]
            for other in others:
                other.setblocking(False)
                other.connect_ex(("127.0.0.1", port))
            async with forwarding() as forwarder:
                attempt = await forwarder.send(at(port), REQUEST, timeout_s=0.05)
            for other in others:
                other.close()
            return attempt

    assert failure_of(run(scene(), loop)) == (FailureKind.TIMEOUT, "no connection within 0.05 s")


@both_loops
def test_without_a_limit_it_waits(loop: str) -> None:
    async def scene() -> Attempt:
        async with sink() as app, forwarding() as forwarder:
            app.hold = asyncio.Event()
            asyncio.get_running_loop().call_later(0.1, app.hold.set)
            return await forwarder.send(at(app.port), REQUEST, timeout_s=None)

    assert run(scene(), loop).status == 200


BROKEN = {
    "nothing": (b"", FailureKind.CLOSED, "it closed the connection without an answer"),
    "half a head": (b"HTTP/1.1 200 OK\r\nX:!EOF", FailureKind.CLOSED, "in the middle of its response"),
    "half a body": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx!EOF",
        FailureKind.CLOSED,
        "in the middle",
    ),
    "half a chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab!EOF",
        FailureKind.CLOSED,
        "in the middle",
    ),
    "interim alone": (b"HTTP/1.1 100 Continue\r\n\r\n!EOF", FailureKind.CLOSED, "in the middle"),
    "garbage": (b"\xff\xfe" * 9 + b"!EOF", FailureKind.PROTOCOL, "it did not answer in HTTP"),
    "another protocol": (
        b"220 mail.example.com ESMTP\r\n!EOF",
        FailureKind.PROTOCOL,
        "it did not answer in HTTP",
    ),
    "length and chunked": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        FailureKind.PROTOCOL,
        "it did not answer in HTTP",
    ),
    "101": (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
        FailureKind.PROTOCOL,
        "it switched protocols (101) unasked",
    ),
}


@both_loops
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_answer_is_a_failure_and_the_next_delivery_is_not_harmed(kind: str, loop: str) -> None:
    answer, expected, message = BROKEN[kind]
    (first, second), app = attempts_with([answer], loop=loop, count=2)
    told, why = failure_of(first)
    assert told is expected
    assert message in why
    assert second.status == 200
    assert len(app.requests) == 2  # no retry: nobody but the sender may send a delivery twice


@both_loops
def test_a_response_over_the_cap_is_refused(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RESPONSE_BYTES", 1_000)
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1_001
    headers = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000 + b"\r\n\r\n"
    for answer in (large, headers):
        (attempt,), _ = attempts_with([answer], loop=loop)
        assert failure_of(attempt) == (FailureKind.PROTOCOL, "its response is larger than 1,000 bytes")


@both_loops
def test_a_connection_is_used_again(loop: str) -> None:
    attempts, app = attempts_with([], loop=loop, count=5)
    assert [attempt.status for attempt in attempts] == [200] * 5
    assert app.connections == 1


@both_loops
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        OK + OK,  # more than was asked for: out of step
        OK + b"garbage",
        OK + b"HTTP/1.1 2",
    ],
)
def test_a_connection_that_cannot_be_trusted_is_not_used_again(answer: bytes, loop: str) -> None:
    attempts, app = attempts_with([answer], loop=loop, count=2)
    assert [attempt.status for attempt in attempts] == [200, 200]
    assert app.connections == 2


@both_loops
def test_an_answer_that_comes_unasked_is_never_taken_for_the_next_one(loop: str) -> None:
    async def scene() -> tuple[Attempt, int]:
        async with sink() as app, forwarding() as forwarder:
            await forwarder.send(at(app.port), REQUEST, timeout_s=5.0)
            for writer in app._writers:
                writer.write(b"HTTP/1.1 500 Late\r\nContent-Length: 0\r\n\r\n")
            await asyncio.sleep(0.02)
            return await forwarder.send(at(app.port), REQUEST, timeout_s=5.0), app.connections

    attempt, connections = run(scene(), loop)
    assert attempt.status == 200
    assert connections == 2


@both_loops
def test_an_idle_connection_that_the_app_closed_is_left_alone(loop: str) -> None:
    async def scene() -> tuple[Attempt, int]:
        async with sink() as app, forwarding() as forwarder:
            await forwarder.send(at(app.port), REQUEST, timeout_s=5.0)
            app.drop_connections()
            await asyncio.sleep(0.02)
            return await forwarder.send(at(app.port), REQUEST, timeout_s=5.0), app.connections

    attempt, connections = run(scene(), loop)
    assert (attempt.status, connections) == (200, 2)


@both_loops
def test_a_used_connection_closed_without_one_byte_of_an_answer_is_tried_again_once(loop: str) -> None:
    (first, second), app = attempts_with([OK, b""], loop=loop, count=2)
    assert (first.status, second.status) == (200, 200)
    assert (len(app.requests), app.connections) == (3, 2)
    (first, second), app = attempts_with([OK, b"", b""], loop=loop, count=2)
    assert failure_of(second)[0] is FailureKind.CLOSED
    assert (len(app.requests), app.connections) == (3, 2)


@both_loops
def test_a_used_connection_closed_in_the_middle_of_an_answer_is_not_tried_again(loop: str) -> None:
    (_, second), app = attempts_with([OK, b"HTTP/1!EOF"], loop=loop, count=2)
    assert failure_of(second)[0] is FailureKind.CLOSED
    assert len(app.requests) == 2


@both_loops
def test_a_connection_that_has_been_idle_for_long_is_not_used_again(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhookctl.net.forwarder._IDLE_S", 0.0)
    _, app = attempts_with([], loop=loop, count=2)
    assert app.connections == 2


@both_loops
def test_an_app_that_answers_before_it_took_the_whole_body_gets_a_new_connection(loop: str) -> None:
    async def scene() -> tuple[Attempt, int]:
        count = 0
        writers = []

        async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal count
            count += 1
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            reader._transport.pause_reading()  # type: ignore[attr-defined]  # and never takes the rest
            writers.append(writer)

        server = await asyncio.start_server(hasty, "127.0.0.1", 0)
        async with forwarding() as forwarder:
            endpoint = at(server.sockets[0].getsockname()[1])
            large = Request("POST", "/", (), b"x" * 30_000_000)
            await forwarder.send(endpoint, large, timeout_s=5.0)
            attempt = await forwarder.send(endpoint, REQUEST, timeout_s=5.0)
        for writer in writers:
            writer.transport.abort()
        server.close()
        await asyncio.sleep(0)
        return attempt, count

    attempt, connections = run(scene(), loop)
    assert (attempt.status, connections) == (413, 2)


@both_loops
def test_many_at_once_have_a_connection_each_and_the_answers_are_not_mixed_up(loop: str) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            target = head.split(b" ", 2)[1]
            await asyncio.sleep(0)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))

    async def scene() -> list[Attempt]:
        async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await echo(reader, writer)
            except asyncio.IncompleteReadError:
                writer.close()

        server = await asyncio.start_server(swallow, "127.0.0.1", 0)
        endpoint = at(server.sockets[0].getsockname()[1])
        async with forwarding() as forwarder:
            found: list[Attempt] = []
            for _ in range(3):
                sends = [
                    forwarder.send(endpoint, Request("GET", f"/{number}", (), b""), timeout_s=5.0)
                    for number in range(50)
                ]
                found += await asyncio.gather(*sends)
        server.close()
        await asyncio.sleep(0.02)
        return found

    attempts = run(scene(), loop)
    assert [each.response and each.response.body for each in attempts] == [b"/%d" % n for n in range(50)] * 3


@both_loops
def test_a_send_that_is_cancelled_leaves_no_connection_behind(loop: str) -> None:
    async def scene() -> tuple[Attempt, int]:
        async with sink() as app, forwarding() as forwarder:
            app.hold = asyncio.Event()
            task = asyncio.ensure_future(forwarder.send(at(app.port), REQUEST, timeout_s=None))
            await until(lambda: bool(app.requests))
            task.cancel()
            await asyncio.wait([task])
            app.hold.set()
            return await forwarder.send(at(app.port), REQUEST, timeout_s=5.0), app.connections

    attempt, connections = run(scene(), loop)
    assert (attempt.status, connections) == (200, 2)


@both_loops
def test_an_ipv6_address_is_reached_and_named_in_brackets(loop: str) -> None:
    async def scene() -> tuple[Attempt, bytes, int]:
        async with sink(host="::1") as app, forwarding() as forwarder:
            attempt = await forwarder.send(at(app.port, "[::1]"), REQUEST, timeout_s=5.0)
            return attempt, app.requests[0], app.port

    attempt, got, port = run(scene(), loop)
    assert attempt.url == f"http://[::1]:{port}/hooks"
    assert f"Host: [::1]:{port}\r\n".encode() in got


@both_loops
def test_no_proxy_of_the_environment_is_ever_used(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    (attempt,), _ = attempts_with([], loop=loop)
    assert attempt.status == 200


def test_what_cannot_be_written_is_not_sent() -> None:
    with pytest.raises(UsageError) as caught:
        attempts_with([], loop="asyncio", request=Request("POST", "/", ((b"X", b"a\r\nY: b"),), b""))
    assert caught.value.code == "header-invalid"


@both_loops
def test_reachability_is_looked_at_without_sending_anything(loop: str) -> None:
    async def scene() -> tuple[object, object, int]:
        async with sink() as app, forwarding() as forwarder:
            found = await forwarder.is_reachable(at(app.port), timeout_s=5.0)
            missing = await forwarder.is_reachable(at(free_port()), timeout_s=5.0)
            assert missing is not None
            return found, missing.kind, len(app.requests)

    assert run(scene(), loop) == (None, FailureKind.REFUSED, 0)


def server_context(authority: trustme.CA, name: str = "localhost") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def over_tls(
    tls: ssl.SSLContext | None, authority: trustme.CA, loop: str, name: str = "localhost"
) -> list[Attempt]:
    async def scene() -> list[Attempt]:
        running = asyncio.get_running_loop()
        running.set_exception_handler(lambda *_: None)  # the server's side of a refused handshake
        async with sink(tls=server_context(authority, name)) as app, forwarding(tls) as forwarder:
            return [
                await forwarder.send(at(app.port, "localhost", "https"), REQUEST, timeout_s=5.0)
                for _ in range(2)
            ]

    return run(scene(), loop)


@both_loops
def test_a_certificate_of_an_unknown_authority_is_refused(loop: str) -> None:
    context = tls_context(insecure=False, ca_file=None)
    for tls in (context, None):  # without any context the system's is used: never plain HTTP
        kind, message = failure_of(over_tls(tls, trustme.CA(), loop)[0])
        assert kind is FailureKind.TLS
        assert message.startswith("its certificate is not trusted: ")


@both_loops
def test_a_certificate_of_a_given_authority_is_trusted(loop: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    attempts = over_tls(tls_context(insecure=False, ca_file=str(file)), authority, loop)
    assert [attempt.status for attempt in attempts] == [200, 200]
    assert attempts[0].url.startswith("https://localhost:")


@both_loops
def test_a_certificate_for_another_name_is_refused(loop: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    attempts = over_tls(tls_context(insecure=False, ca_file=str(file)), authority, loop, "other.example.com")
    assert failure_of(attempts[0])[0] is FailureKind.TLS


@both_loops
def test_insecure_takes_any_certificate(loop: str) -> None:
    attempts = over_tls(tls_context(insecure=True, ca_file=None), trustme.CA(), loop, "other.example.com")
    assert attempts[0].status == 200


@both_loops
def test_a_plain_app_behind_https_is_a_failure_of_tls(loop: str) -> None:
    async def scene() -> Attempt:
        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with forwarding(tls_context(insecure=True, ca_file=None)) as forwarder:
            attempt = await forwarder.send(at(port, scheme="https"), REQUEST, timeout_s=5.0)
        server.close()
        return attempt

    kind, message = failure_of(run(scene(), loop))
    assert kind is FailureKind.TLS
    assert message.startswith("TLS failed: ")


@both_loops
def test_an_app_that_hangs_up_during_the_handshake_is_a_failure_of_tls(loop: str) -> None:
    async def scene() -> Attempt:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.transport.abort()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with forwarding(tls_context(insecure=True, ca_file=None)) as forwarder:
            attempt = await forwarder.send(at(port, scheme="https"), REQUEST, timeout_s=5.0)
        server.close()
        return attempt

    assert failure_of(run(scene(), loop))[0] is FailureKind.TLS


def test_a_ca_file_that_cannot_be_used_raises(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        tls_context(insecure=False, ca_file=str(tmp_path / "bad.pem"))
    with pytest.raises(FileNotFoundError):
        tls_context(insecure=False, ca_file=str(tmp_path / "missing.pem"))


def test_the_time_an_attempt_took_is_measured() -> None:
    async def scene() -> tuple[Attempt, float]:
        async with sink() as app, forwarding() as forwarder:
            app.hold = asyncio.Event()
            asyncio.get_running_loop().call_later(0.05, app.hold.set)
            start = time.perf_counter()
            attempt = await forwarder.send(at(app.port), REQUEST, timeout_s=5.0)
            return attempt, (time.perf_counter() - start) * 1000

    attempt, around_ms = run(scene())
    assert 40 <= attempt.latency_ms <= around_ms


class _Transport:
    """As much of a transport as a connection touches; `options` are what was set on its socket."""

    def __init__(self) -> None:
        self.options: list[tuple[int, int, int]] = []

    def write(self, data: bytes) -> None: ...

    def abort(self) -> None: ...

    def get_extra_info(self, name: str) -> object:
        assert name == "socket"
        return self

    def setsockopt(self, *option: int) -> None:
        self.options.append((option[0], option[1], option[2]))


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="TCP_QUICKACK is Linux's")
def test_half_a_response_is_acknowledged_at_once_so_that_the_other_half_comes() -> None:
    async def scene() -> list[tuple[int, int, int]]:
        transport = _Transport()
        connection = module.Outgoing(asyncio.get_running_loop())
        connection.connection_made(transport)  # type: ignore[arg-type]  # a stand-in
        answer = connection.exchange(b"POST / HTTP/1.1\r\n\r\n", is_head=False)
        connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        half_way = list(transport.options)
        connection.data_received(b"ok")
        assert (await answer).body == b"ok"
        assert transport.options == half_way
        return half_way

    assert asyncio.run(scene()) == [(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)]


# bodies from files


def large_attempt(path: Path, size: int, answers: list[bytes], loop: str = "asyncio") -> tuple[Attempt, Sink]:
    """One attempt with a body from a file, at a sink that gives these answers."""

    async def scene() -> tuple[Attempt, Sink]:
        async with sink() as app, forwarding() as forwarder:
            app.answers = answers
            body = LargeBody(size, "", str(path))
            request = Request("POST", "/hooks", ((b"content-length", b"3"), (b"X-A", b"b")), b"")
            return await forwarder.send(at(app.port), request, timeout_s=10.0, large_body=body), app

    return run(scene(), loop)


@both_loops
def test_a_large_body_is_sent_from_its_file_byte_for_byte(loop: str, tmp_path: Path) -> None:
    body = bytes(range(256)) * 20_000
    path = tmp_path / "body"
    path.write_bytes(body)
    attempt, app = large_attempt(path, len(body), [OK], loop)
    assert attempt.status == 200
    head, _, sent = app.requests[0].partition(b"\r\n\r\n")
    assert sent == body
    assert head.split(b"\r\n")[2:] == [b"content-length: %d" % len(body), b"X-A: b"]


def test_an_app_that_refuses_a_large_body_before_its_end_has_answered(tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(bytes(30_000_000))

    async def scene() -> Attempt:
        is_over = asyncio.Event()

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
            with suppress(ConnectionError):
                await reader.read()
            writer.close()
            is_over.set()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        async with server, forwarding() as forwarder:
            port = server.sockets[0].getsockname()[1]
            body = LargeBody(30_000_000, "", str(path))
            attempt = await forwarder.send(at(port), REQUEST, timeout_s=10.0, large_body=body)
            await is_over.wait()
            return attempt

    assert run(scene()).status == 413


def test_an_app_that_leaves_in_the_middle_of_a_large_body_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(bytes(30_000_000))

    async def scene() -> Attempt:
        async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()

        server = await asyncio.start_server(leave, "127.0.0.1", 0)
        async with server, forwarding() as forwarder:
            port = server.sockets[0].getsockname()[1]
            body = LargeBody(30_000_000, "", str(path))
            return await forwarder.send(at(port), REQUEST, timeout_s=10.0, large_body=body)

    failure = run(scene()).failure
    assert failure is not None
    assert failure.kind is FailureKind.CLOSED


def test_a_large_body_whose_file_is_gone_is_a_failure(tmp_path: Path) -> None:
    attempt, _ = large_attempt(tmp_path / "gone", 5, [OK])
    assert attempt.failure is not None
    assert attempt.failure.kind is FailureKind.NETWORK
    assert "cannot be read any more" in attempt.failure.message
