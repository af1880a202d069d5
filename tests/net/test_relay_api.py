"""Making a channel over the relay's HTTP API, and every way it can fail."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.net.wires import OK, run, sink
from webhookctl.errors import RelayError
from webhookctl.net.relay_api import CreatedChannel, create_channel


def answer(status: int, document: object) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = (
        f"HTTP/1.1 {status} Sample\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@asynccontextmanager
async def relay(given: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Something that answers this, its URL, and what it got."""
    async with sink() as server:
        server.answers = [given]
        yield f"http://127.0.0.1:{server.port}", server.requests


def made(given: bytes) -> tuple[CreatedChannel, bytes]:
    async def scene() -> tuple[CreatedChannel, bytes]:
        async with relay(given) as (url, requests):
            channel = await create_channel(url, "shop", tls=None)
            return channel, requests[0]

    return run(scene())


def refusal(given: bytes) -> RelayError:
    async def scene() -> RelayError:
        async with relay(given) as (url, _):
            with pytest.raises(RelayError) as failure:
                await create_channel(url, "shop", tls=None)
            return failure.value

    return run(scene())


def test_a_channel_is_asked_for_by_name_and_comes_with_its_key() -> None:
    record = {
        "id": "abc",
        "name": "shop",
        "url": "https://r.example.com/abc",
        "key": "wck_1",
        "policy": "hold",
    }
    channel, request = made(answer(201, record))
    assert channel == CreatedChannel("shop", "https://r.example.com/abc", "wck_1", "hold")
    assert "wck_1" not in repr(channel)
    assert request.startswith(b"POST /.webhookctl/v1/channels HTTP/1.1\r\n")
    assert request.endswith(b'{"name": "shop"}')


def error(code: str) -> dict[str, object]:
    return {"error": {"code": code, "message": "no", "hint": ""}}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (answer(409, error("channel-exists")), "relay-channel-exists"),
        (answer(401, error("admin-key-missing")), "relay-closed"),
        (answer(403, error("cross-site")), "relay-closed"),
        (answer(429, error("too-many-requests")), "relay-refused"),
        (answer(503, error("broker-full")), "relay-refused"),
        (answer(404, b"<html>"), "relay-not-found"),
        (answer(200, [1]), "relay-not-found"),
        (answer(200, b"[" * 60_000), "relay-not-found"),
        (answer(302, b""), "relay-not-found"),
        (answer(201, {"name": "shop"}), "relay-not-found"),
        (OK, "relay-not-found"),
    ],
)
def test_each_refusal_has_its_code_and_a_hint(given: bytes, code: str) -> None:
    error = refusal(given)
    assert error.code == code
    assert error.hint


def test_what_does_not_speak_http_or_answer_is_unreachable() -> None:
    assert refusal(b"nonsense\r\n\r\n").code == "relay-unreachable"

    async def scene() -> RelayError:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        with pytest.raises(RelayError, match="refuses connections") as failure:
            await create_channel(f"http://127.0.0.1:{port}", "shop", tls=None)
        return failure.value

    assert run(scene()).code == "relay-unreachable"
