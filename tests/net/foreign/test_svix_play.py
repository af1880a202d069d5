"""The relay of Svix Play against a server of the test: tokens, deliveries, answers, hostile messages."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from tests.net.foreign.servers import SvixServer, decoded, svix_event, svix_server
from tests.ports import free_port
from webhookctl.errors import RelayError
from webhookctl.events import ErrorOccurred
from webhookctl.model import Response
from webhookctl.net.dialling import LostError
from webhookctl.net.foreign import svix_play
from webhookctl.net.foreign.svix_play import SvixPlay, public_url, token_of
from webhookctl.net.foreign.wires import Arrival, WireOptions

T = TypeVar("T")
ANSWER = Response(
    418, "Odd", ((b"X-A", b"1"), (b"X-A", b"2"), (b"x-b", b"\xe9"), (b"Content-Length", b"3")), b"\x00\xff!"
)


def run(work: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(20):
            return await work

    return asyncio.run(limited())


class Scene:
    """A client of `server` that answers everything with `ANSWER`."""

    def __init__(self, server: SvixServer, token: str = "c_first") -> None:
        self.reports: list[ErrorOccurred] = []
        self.arrivals: list[Arrival] = []
        options = WireOptions(None, 10_000, self.reports.append)
        self.wire = SvixPlay(server.url, token, options, new_token=lambda: "c_second")

    async def take(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)
        await arrival.reply(ANSWER)


def test_a_delivery_comes_in_exactly_and_its_answer_goes_back() -> None:
    async def scene() -> None:
        async with svix_server() as server:
            server.events = [
                svix_event("ev-1", b"\x00{ }\xff", "PUT", **{"x-a": "caf\u00e9", "x-b": "\u20ac"})
            ]
            scene = Scene(server)
            url = await scene.wire.connect(is_first=True)
            assert url == f"http://127.0.0.1:{server.port}/in/c_first/"
            reading = asyncio.ensure_future(scene.wire.read(scene.take))
            await server.answered.wait()
            reading.cancel()
            await scene.wire.close()
            request = scene.arrivals[0].request
            assert (request.method, request.target, request.body) == ("PUT", "/", b"\x00{ }\xff")
            assert request.headers == ((b"x-a", b"caf\xe9"), (b"x-b", "\u20ac".encode()))
            answer = server.answers[0]
            assert (answer["type"], answer["version"]) == ("event", 1)
            assert answer["data"]["id"] == "ev-1"
            assert answer["data"]["status"] == 418
            assert answer["data"]["headers"] == {"X-A": "1, 2", "x-b": "\u00e9"}
            assert decoded(answer) == b"\x00\xff!"

    run(scene())


def test_the_token_the_server_gives_is_the_one_that_counts() -> None:
    async def scene() -> None:
        async with svix_server() as server:
            server.given = "c_given"
            scene = Scene(server)
            assert "/in/c_given/" in await scene.wire.connect(is_first=True)
            assert scene.wire.token == "c_given"
            await scene.wire.close()

    run(scene())


def test_a_token_in_use_is_replaced_at_the_start_only() -> None:
    async def scene() -> None:
        async with svix_server() as server:
            server.busy = {"c_first"}
            scene = Scene(server)
            assert "/in/c_second/" in await scene.wire.connect(is_first=True)
            assert server.tokens == ["c_first", "c_second"]
            server.busy = {"c_second"}
            with pytest.raises(LostError, match="still holds"):
                await scene.wire.connect(is_first=False)
            with pytest.raises(RelayError, match="every token"):
                await scene.wire.connect(is_first=True)
            await scene.wire.close()

    run(scene())


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("nonsense", "not JSON"),
        ("[" * 10_000, "not JSON"),
        ("[]", "no type"),
        ('{"type":"event","data":7}', "no data"),
        ('{"type":"event","data":{}}', "missing"),
        (svix_event("a", b"", "GET /x"), "method"),
        (svix_event("a", b"", **{"x a": "1"}), "header"),
        (svix_event("a", b"", **{"x-a": "1\r\nx-b: 2"}), "header"),
        ('{"type":"event","data":{"id":"a","method":"POST","headers":{"a":1},"body":""}}', "header"),
        ('{"type":"event","data":{"id":"a","method":"POST","headers":{},"body":"%"}}', "base64"),
    ],
    ids=lambda value: value[-50:],
)
def test_a_hostile_message_is_told_and_the_next_delivery_comes(message: str, why: str) -> None:
    async def scene() -> None:
        async with svix_server() as server:
            nothing = '{"type":"event","data":{"id":"ok","method":"GET","headers":{},"body":null}}'
            server.events = ['{"type":"later","data":{}}', message, nothing]
            scene = Scene(server)
            await scene.wire.connect(is_first=True)
            reading = asyncio.ensure_future(scene.wire.read(scene.take))
            await server.answered.wait()
            reading.cancel()
            await scene.wire.close()
            assert [report.code for report in scene.reports] == ["relay-dropped"]
            assert why in scene.reports[0].message
            assert [arrival.request.method for arrival in scene.arrivals] == ["GET"]

    run(scene())


def test_a_lost_connection_is_told_and_so_is_an_answer_that_could_not_go_back() -> None:
    async def scene() -> None:
        async with svix_server() as server:
            server.events = [svix_event("ev-1", b"{}")]
            scene = Scene(server)
            await scene.wire.connect(is_first=True)
            kept: list[Arrival] = []

            async def take(arrival: Arrival) -> None:
                kept.append(arrival)
                await server.connections[0].close(1011, "restarting")

            with pytest.raises(LostError, match="restarting"):
                await scene.wire.read(take)
            await kept[0].reply(ANSWER)
            assert scene.reports[0].code == "relay-answer-lost"

    run(scene())


@pytest.mark.parametrize(
    "first", ["nonsense", '{"type":"hello","data":{"token":"a"}}', '{"type":"start","data":{"token":"a/b"}}']
)
def test_what_does_not_speak_svix_is_an_error(first: str) -> None:
    async def scene() -> None:
        async with svix_server() as server:
            server.first = [first]
            scene = Scene(server)
            with pytest.raises(RelayError, match="does not speak"):
                await scene.wire.connect(is_first=True)
            await scene.wire.close()

    run(scene())


def test_nobody_there_is_told() -> None:
    async def scene() -> None:
        options = WireOptions(None, 1000, lambda _: None)
        wire = SvixPlay(f"ws://127.0.0.1:{free_port()}/", "c_a", options, new_token=lambda: "c_b")
        with pytest.raises(LostError, match="refuses connections"):
            await wire.connect(is_first=True)

    run(scene())


@pytest.mark.parametrize(
    ("status", "kind"), [(404, RelayError), (302, RelayError), (503, LostError), (429, LostError)]
)
def test_an_answer_without_a_websocket_is_final_or_not(status: int, kind: type[Exception]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n" % status)
        writer.close()

    async def scene() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            options = WireOptions(None, 1000, lambda _: None)
            wire = SvixPlay(f"ws://127.0.0.1:{port}/", "c_a", options, new_token=lambda: "c_b")
            with pytest.raises(kind, match=str(status)):
                await wire.connect(is_first=True)

    run(scene())


def test_the_public_url_of_svix_itself_is_on_play() -> None:
    assert public_url(svix_play.SERVER, "c_a") == "https://play.svix.com/in/c_a/"
    assert public_url("wss://relay.example.com/x/", "c_a") == "https://relay.example.com/in/c_a/"
    assert token_of("https://play.svix.com/in/c_a/") == "c_a"
    assert token_of("https://play.svix.com/") == ""


def test_messages_are_compact_json() -> None:
    assert json.loads(svix_play._message("start", {"token": "c"})) == {
        "type": "start",
        "version": 1,
        "data": {"token": "c"},
    }
