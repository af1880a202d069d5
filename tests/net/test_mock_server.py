"""What stands in for a service that a receiver calls."""

import asyncio
from http.client import HTTPConnection
from urllib.parse import urlsplit

from webhookctl.model import Response
from webhookctl.net.mock_server import MockServer

REPLIES = [(0.0, Response(503, "", (), b"later")), (0.0, Response(201, "", ((b"X-A", b"1"),), b"{}"))]


def call(
    url: str, method: str = "POST", path: str = "/orders?x=1", body: bytes = b"hello"
) -> tuple[int, bytes]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, body=body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_replies_come_in_order_the_last_again_and_again_and_calls_are_kept() -> None:
    async def work() -> None:
        async with MockServer(REPLIES, now_s=lambda: 0.0) as server:
            answers = [await asyncio.to_thread(call, server.url) for _ in range(3)]
            assert answers == [(503, b"later"), (201, b"{}"), (201, b"{}")]
            first = server.calls[0]
            assert (first.method, first.target, first.body, len(server.calls)) == (
                "POST",
                "/orders?x=1",
                b"hello",
                3,
            )
            server.forget()
            assert server.calls == []
            assert await asyncio.to_thread(call, server.url) == (503, b"later")

    asyncio.run(work())


def test_each_server_has_an_address_of_its_own() -> None:
    async def work() -> None:
        async with (
            MockServer(REPLIES, now_s=lambda: 0.0) as one,
            MockServer(REPLIES, now_s=lambda: 0.0) as other,
        ):
            assert one.url != other.url
            await asyncio.to_thread(call, one.url)
            assert (len(one.calls), len(other.calls)) == (1, 0)

    asyncio.run(work())
