"""A sender that hangs up: what went over the wire, and what became of it."""

import asyncio
import socket

import pytest

from webhookctl.address import parse_endpoint
from webhookctl.model import Attempt, FailureKind, Request
from webhookctl.net.hang_up import send_and_hang_up

REQUEST = Request("POST", "/hooks", ((b"X-Sample", b"1"),), b'{"id": 1}')


async def hang_up(
    port: int, *, is_body_sent: bool = True, timeout_s: float = 5.0, request: Request = REQUEST
) -> Attempt:
    return await send_and_hang_up(
        parse_endpoint(f"http://127.0.0.1:{port}/hooks"),
        request,
        is_body_sent=is_body_sent,
        tls=None,
        timeout_s=timeout_s,
        now_s=lambda: 1_790_000_000.0,
    )


@pytest.mark.parametrize(("is_body_sent", "body"), [(True, b'{"id": 1}'), (False, b"")])
def test_all_that_was_asked_is_sent_and_then_the_connection_ends(is_body_sent: bool, body: bytes) -> None:
    async def work() -> None:
        received: asyncio.Queue[bytes] = asyncio.Queue()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.put_nowait(await reader.read())
            writer.close()

        server = await asyncio.start_server(take, "127.0.0.1", 0)
        async with server:
            attempt = await hang_up(server.sockets[0].getsockname()[1], is_body_sent=is_body_sent)
            head, _, rest = (await received.get()).partition(b"\r\n\r\n")
        assert head.startswith(b"POST /hooks HTTP/1.1\r\n")
        assert b"Content-Length: 9" in head
        assert rest == body
        assert attempt.failure is not None
        assert (attempt.failure.kind, attempt.response) == (FailureKind.CLOSED, None)
        assert (attempt.url.endswith("/hooks"), attempt.started_at_s) == (True, 1_790_000_000.0)

    asyncio.run(work())


def test_nobody_there_is_another_failure() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    attempt = asyncio.run(hang_up(port))
    assert attempt.failure is not None
    assert attempt.failure.kind is FailureKind.REFUSED


def test_a_receiver_that_takes_nothing_runs_out_of_time() -> None:
    async def work() -> None:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            large = Request("POST", "/", (), b"x" * 64 * 1024 * 1024)
            attempt = await hang_up(server.getsockname()[1], timeout_s=0.3, request=large)
        assert attempt.failure is not None
        assert attempt.failure.kind is FailureKind.TIMEOUT

    asyncio.run(work())
