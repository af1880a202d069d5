"""Channels as server-sent events: the envelopes of smee.io and gosmee, who may read, and what counts as done."""

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import tempfile
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.acceptance.relay_running import Wire
from tests.relay.doors import NOW_S, Door, arrival, door, parse, run
from webhookctl.relay import sse
from webhookctl.relay.admin import AdminOptions
from webhookctl.relay.event_text import Dialect, delivery, keepalive, opening
from webhookctl.relay.registry import GuestLimits
from webhookctl.relay.sse import EventStreams

NPM = Path(__file__).parent / "npm"


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


# Envelopes


def data_of(event: bytes) -> dict[str, Any]:
    lines = event.decode().split("\n")
    document = json.loads("\n".join(line[6:] for line in lines if line.startswith("data: ")))
    assert isinstance(document, dict)
    return document


def test_smees_envelope_has_headers_query_timestamp_and_the_body_as_json() -> None:
    one = arrival(
        b'{"a": 1.0}', target="/x?b=1&a=2&a=3&empty=", X_GitHub_Event="push", Transfer_Encoding="chunked"
    )
    event = delivery(Dialect.SMEE, one, b'{"a": 1.0}', seq=7)
    assert event.startswith(b"id: 7\ndata: ")
    assert data_of(event) == {
        "host": "hooks.example.com",
        "content-type": "application/json",
        "x-github-event": "push",
        "query": {"b": "1", "a": ["2", "3"], "empty": ""},
        "timestamp": int((NOW_S + 1) * 1000),
        "body": {"a": 1.0},
    }
    assert b'{"a": 1.0}' in event  # as it was written, so that what clients re-serialise is as near as can be


def test_gosmees_envelope_has_the_body_exact_and_the_first_of_each_header() -> None:
    one = arrival(X_GitHub_Event="push", x_github_event="other", body="ours")
    body = b"\x00\xff\r\n"
    assert data_of(delivery(Dialect.GOSMEE, one, body, seq=1)) == {
        "content-type": "application/json",
        "x-github-event": "push",
        "timestamp": str(int((NOW_S + 1) * 1000)),
        "bodyB": "AP8NCg==",
    }


def test_duplicate_headers_are_joined_for_smee_as_node_does() -> None:
    one = arrival(X_One="1", x_one="2")
    assert data_of(delivery(Dialect.SMEE, one, b"{}", seq=1))["x-one"] == "1, 2"


@pytest.mark.parametrize("name", ["body", "query", "timestamp", "Body", "bodyB"])
def test_a_header_cannot_take_the_place_of_what_the_relay_says(name: str) -> None:
    fields: dict[str, Any] = {name: "forged"}
    one = arrival(**fields)
    smee = data_of(delivery(Dialect.SMEE, one, b"{}", seq=1))
    gosmee = data_of(delivery(Dialect.GOSMEE, one, b"{}", seq=1))
    assert (smee["body"], smee["query"], smee["timestamp"]) == ({}, {}, int((NOW_S + 1) * 1000))
    assert (gosmee["bodyB"], gosmee["timestamp"]) == ("e30=", str(int((NOW_S + 1) * 1000)))


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", {}),
        (b"a=1&b=2", "a=1&b=2"),
        (b"NaN", "NaN"),
        (b"\xff", "�"),
        (b"[" * 3000, "[" * 3000),
        (b'{\r\n "a": "x",\n"b": 2\r}', {"a": "x", "b": 2}),
        (b'"\xe2\x80\xa8"', "\u2028"),
    ],
)
def test_smee_gets_json_as_it_is_and_anything_else_as_a_text(body: bytes, shown: object) -> None:
    assert data_of(delivery(Dialect.SMEE, arrival(), body, seq=1))["body"] == shown


@given(st.binary(max_size=200), st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3))
@settings(derandomize=True, deadline=None)
def test_whatever_is_sent_stays_one_event_and_gosmee_gets_its_bytes(
    body: bytes, fields: dict[str, str]
) -> None:
    text = json.dumps(fields).encode()
    for sent in (body, text):
        for dialect in Dialect:
            event = delivery(dialect, arrival(), sent, seq=1)
            assert event.endswith(b"\n\n")
            assert event.count(b"\n\n") == 1
            assert all(line.startswith((b"id: ", b"data: ")) for line in event[:-2].split(b"\n"))
        assert b64decode(data_of(delivery(Dialect.GOSMEE, arrival(), sent, seq=1))["bodyB"]) == sent
    assert data_of(delivery(Dialect.SMEE, arrival(), text, seq=1))["body"] == fields


def test_each_dialect_opens_and_keeps_alive_in_its_own_way() -> None:
    assert opening(Dialect.SMEE) == b"retry: 1000\nid: 0\nevent: ready\ndata: {}\n\n"
    assert (
        opening(Dialect.GOSMEE)
        == b'retry: 1000\ndata: {"message":"connected"}\n\ndata: {"message":"ready"}\n\n'
    )
    assert keepalive(Dialect.SMEE) == b"event: ping\ndata: {}\n\n"
    assert keepalive(Dialect.GOSMEE).startswith(b":")


@pytest.mark.parametrize(
    ("method", "target", "accept", "is_taken"),
    [
        ("GET", "/" + "a" * 26, "text/event-stream", True),
        ("GET", "/" + "a" * 26 + "?stream=x", "text/event-stream", True),
        ("GET", "/events/" + "a" * 26, "text/event-stream", True),
        ("GET", "/" + "a" * 26, "text/html", False),
        ("GET", "/" + "a" * 26, "", False),
        ("GET", "/" + "a" * 26 + "/x", "text/event-stream", False),
        ("GET", "/" + "a" * 25, "text/event-stream", False),
        ("POST", "/" + "a" * 26, "text/event-stream", False),
        ("HEAD", "/" + "a" * 26, "text/event-stream", False),
        ("GET", "/new", "", True),
        ("HEAD", "/new", "", True),
        ("POST", "/new", "", False),
        ("GET", "/version", "", True),
    ],
)
def test_readers_are_told_from_deliveries(method: str, target: str, accept: str, is_taken: bool) -> None:
    assert EventStreams.takes(method, target, ((b"Accept", accept.encode()),)) is is_taken


# Streams


@pytest.mark.parametrize("path", ["/{id}", "/events/{id}"])
def test_what_waited_comes_first_then_what_comes_and_each_is_done_once_it_was_written(
    tmp_path: Path, path: str
) -> None:
    async def scene() -> None:
        async with door(tmp_path) as at:
            channel_id = await with_events(at)
            for number in range(1, 101):
                await at.deliver(channel_id, arrival(number=number))
            async with reading(at, path.format(id=channel_id)) as stream:
                assert b"text/event-stream" in stream.head
                seen = [(await stream.event())["id"] for _ in range(100)]
                await at.deliver(channel_id, arrival(number=101))
                seen.append((await stream.event())["id"])
                assert seen == [str(number) for number in range(1, 102)]
                await until(lambda: nothing_waits(at, channel_id))
            assert "acknowledged_total 101" in at.metrics.render()

    run(scene)


async def nothing_waits(at: Door, channel_id: str) -> bool:
    return await pending(at, channel_id) == 0


def test_every_reader_gets_every_delivery_and_it_is_done_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with door(tmp_path) as at:
            channel_id = await with_events(at)
            async with reading(at, f"/{channel_id}") as one, reading(at, f"/events/{channel_id}") as other:
                for number in range(1, 6):
                    await at.deliver(channel_id, arrival(number=number))
                for stream in (one, other):
                    assert [(await stream.event())["id"] for _ in range(5)] == ["1", "2", "3", "4", "5"]
                await until(lambda: nothing_waits(at, channel_id))
            assert await pending(at, channel_id) == 0
            assert "acknowledged_total 5" in at.metrics.render()

    run(scene)


def test_beside_a_tunnel_a_reader_sees_what_comes_and_nothing_is_done_by_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with door(tmp_path, keepalive_s=0.02) as at:
            channel_id = await with_events(at)
            await at.deliver(channel_id, arrival(number=1))
            lease = at.broker.attach(channel_id, instance="t", is_takeover=False, on_lost=lambda *_: None)
            assert lease is not None
            async with reading(at, f"/{channel_id}") as stream:
                await at.deliver(channel_id, arrival(number=2))
                assert (await stream.event())["id"] == "2"
                assert await pending(at, channel_id) == 2
                at.broker.release(lease)  # the tunnel is gone: what it left is the reader's
                seen: list[str] = []
                while len(seen) < 2:
                    event = await stream.event()
                    seen += [event["id"]] if "id" in event else []
                assert seen == ["1", "2"]
                await until(lambda: nothing_waits(at, channel_id))

    run(scene)


def test_a_tunnel_that_comes_finds_the_channel_free(tmp_path: Path) -> None:
    async def scene() -> None:
        async with door(tmp_path) as at:
            channel_id = await with_events(at)
            async with reading(at, f"/{channel_id}") as stream:
                await at.deliver(channel_id, arrival())
                await stream.event()
                await until(lambda: nothing_waits(at, channel_id))
                assert at.broker.attach(channel_id, instance="t", is_takeover=False, on_lost=lambda *_: None)

    run(scene)


def test_a_paused_channel_keeps_its_deliveries_until_it_is_resumed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with door(tmp_path) as at:
            channel_id = await with_events(at)
            async with reading(at, f"/{channel_id}") as stream:
                await at.registry.pause(channel_id)
                await at.deliver(channel_id, arrival(number=1))
                await asyncio.sleep(0.05)
                assert await pending(at, channel_id) == 1
                await at.registry.resume(channel_id)
                assert (await stream.event())["id"] == "1"

    run(scene)


def test_a_large_body_that_lies_in_the_spool_is_read_whole(tmp_path: Path) -> None:
    async def scene() -> None:
        async with door(tmp_path) as at:
            channel_id = await with_events(at)
            draft = at.broker.draft_body(arrival().delivery_id)
            await draft.write(b"x" * 300_000)
            one = replace(arrival(), body=await draft.finish())
            async with reading(at, f"/events/{channel_id}") as stream:
                await at.deliver(channel_id, one)
                assert b64decode((await stream.envelope())["bodyB"]) == b"x" * 300_000

    run(scene)


def test_a_body_that_is_lost_stands_in_nobodys_way(tmp_path: Path) -> None:
    async def scene() -> None:
        async with door(tmp_path) as at:
            channel_id = await with_events(at)
            draft = at.broker.draft_body(arrival().delivery_id)
            await draft.write(b"x" * 300_000)
            await at.deliver(channel_id, replace(arrival(), body=await draft.finish()))
            for path in (tmp_path / "data" / "spool").iterdir():
                path.unlink()
            await at.deliver(channel_id, arrival(number=2))
            async with reading(at, f"/{channel_id}") as stream:
                assert (await stream.event())["id"] == "2"
                await until(lambda: nothing_waits(at, channel_id))

    run(scene)


def test_silence_is_broken(tmp_path: Path) -> None:
    async def scene() -> None:
        async with door(tmp_path, keepalive_s=0.02) as at:
            channel_id = await with_events(at)
            async with reading(at, f"/{channel_id}") as smee, reading(at, f"/events/{channel_id}") as gosmee:
                assert (await smee.event())["event"] == "ping"
                assert list(await gosmee.event()) == [":"]

    run(scene)


@pytest.mark.parametrize("how", ["revoke", "remove", "change", "close"])
def test_a_stream_ends_when_its_channel_does(tmp_path: Path, how: str) -> None:
    async def scene() -> None:
        async with door(tmp_path) as at:
            channel_id = await with_events(at)
            async with reading(at, f"/{channel_id}") as stream:
                if how == "close":
                    at.streams.close()
                elif how == "change":
                    await at.registry.change(channel_id, {"sse": False})
                else:
                    await getattr(at.registry, how)(channel_id)
                with pytest.raises(EOFError):
                    await stream.event()
            await until(lambda: no_readers(at))

    run(scene)


async def no_readers(at: Door) -> bool:
    return at.metrics.subscribers == 0


def test_a_reader_that_left_is_forgotten_and_gets_nothing_marked_as_done(tmp_path: Path) -> None:
    async def scene() -> None:
        async with door(tmp_path, keepalive_s=0.02) as at:
            channel_id = await with_events(at)
            async with reading(at, f"/{channel_id}"):
                assert at.metrics.subscribers == 1
            await until(lambda: no_readers(at))
            await at.deliver(channel_id, arrival())
            assert await pending(at, channel_id) == 1

    run(scene)


def test_who_may_not_read_is_told_no_more_than_whether_the_url_is_one(tmp_path: Path) -> None:
    async def scene() -> None:
        async with door(tmp_path) as at:
            closed = str((await at.registry.create("closed", {}))["id"])
            revoked = await with_events(at, "revoked")
            await at.registry.revoke(revoked)
            expired = str(
                (
                    await at.registry.create_for_guest(
                        "", {"sse": True}, creator="192.0.2.1", limits=GuestLimits(lifetime_s=1)
                    )
                )["id"]
            )
            at.clock.at_s += 2
            accept = {"Accept": "text/event-stream"}
            unknown = await at.ask("GET", "/" + "a" * 26, key=None, **accept)
            assert unknown.status == 404
            for channel_id in (revoked, expired):
                reply = await at.ask("GET", f"/{channel_id}", key=None, **accept)
                assert (reply.status, reply.body) == (404, unknown.body)
            without = await at.ask("GET", f"/{closed}", key=None, **accept)
            assert without.status == 403
            assert b"--sse" in without.body

    run(scene)


def test_a_channel_has_so_many_readers_and_no_more(tmp_path: Path) -> None:
    async def scene() -> int:
        async with door(tmp_path) as at, AsyncExitStack() as stack:
            channel_id = await with_events(at)
            for _ in range(50):
                await stack.enter_async_context(reading(at, f"/{channel_id}"))
            reply = await at.ask("GET", f"/{channel_id}", key=None, Accept="text/event-stream")
            return reply.status

    assert run(scene) == 503


def test_a_slow_reader_gets_everything_in_order_though_little_is_held_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "_MAX_WAITING", 3)

    async def scene() -> None:
        async with door(tmp_path) as at:
            channel_id = await with_events(at)
            async with reading(at, f"/{channel_id}") as slow:
                body = json.dumps("x" * 100_000).encode()
                for number in range(1, 151):
                    await at.deliver(channel_id, arrival(body, number=number))
                assert await pending(at, channel_id) > 20  # it takes no more before it is read
                assert await slow.numbers(150) == list(range(1, 151))
                await until(lambda: nothing_waits(at, channel_id))

    run(scene)


def test_a_reader_that_takes_nothing_is_sent_away_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "_STALL_S", 0.2)

    async def scene() -> None:
        async with door(tmp_path) as at:
            channel_id = await with_events(at)
            async with reading(at, f"/{channel_id}") as stalled, reading(at, f"/{channel_id}") as quick:
                body, number = json.dumps("x" * 250_000).encode(), 0
                while at.metrics.subscribers == 2:
                    number += 1
                    await at.deliver(channel_id, arrival(body, number=number))
                    assert await quick.numbers(1) == [number]
                await at.deliver(channel_id, arrival(number=number + 1))
                assert await quick.numbers(1) == [number + 1]
                stalled.leave()
            await until(lambda: nothing_waits(at, channel_id))

    run(scene)


@pytest.mark.parametrize("path", ["/{id}", "/events/{id}"])
def test_who_lost_its_connection_gets_what_was_on_its_way_and_nothing_twice(
    tmp_path: Path, path: str
) -> None:
    async def scene() -> None:
        async with door(tmp_path, keepalive_s=0.05) as at:
            channel_id = await with_events(at)
            url = path.format(id=channel_id)
            async with reading(at, url) as first:
                for number in range(1, 6):
                    await at.deliver(channel_id, arrival(number=number))
                assert await first.numbers(3) == [1, 2, 3]
                await until(lambda: nothing_waits(at, channel_id))  # the others are written, and lost with it
            await until(lambda: no_readers(at))
            await at.deliver(channel_id, arrival(number=6))
            async with reading(at, url, last=3) as again:
                await at.deliver(channel_id, arrival(number=7))
                assert await again.numbers(4) == [4, 5, 6, 7]
                await until(lambda: nothing_waits(at, channel_id))
            async with reading(at, url, last=7) as third:
                await at.deliver(channel_id, arrival(number=8))
                assert await third.numbers(1) == [8]
            assert "acknowledged_total 8" in at.metrics.render()

    run(scene)


@pytest.mark.parametrize("last", [None, 900])
def test_a_new_reader_and_one_of_another_life_of_the_relay_get_what_nobody_got(
    tmp_path: Path, last: int | None
) -> None:
    async def scene() -> None:
        async with door(tmp_path, keepalive_s=0.05) as at:
            channel_id = await with_events(at)
            async with reading(at, f"/{channel_id}") as first:
                assert first.opening == {"retry": "1000", "id": "0", "event": "ready", "data": "{}"}
                await at.deliver(channel_id, arrival(number=1))
                assert await first.numbers(1) == [1]
                await until(lambda: nothing_waits(at, channel_id))
            await until(lambda: no_readers(at))
            await at.deliver(channel_id, arrival(number=2))
            async with reading(at, f"/{channel_id}", last=last) as new:
                assert new.opening["id"] == "1"  # what it says should it come back before anything else came
                assert await new.numbers(1) == [2]

    run(scene)


@pytest.mark.parametrize("text", ["", "x", "-1", "9" * 30, "\u0661"])
def test_a_last_event_that_is_none_is_that_of_a_new_reader(tmp_path: Path, text: str) -> None:
    async def scene() -> None:
        async with door(tmp_path) as at:
            channel_id = await with_events(at)
            await at.deliver(channel_id, arrival(number=1))
            async with reading(at, f"/{channel_id}", last=text) as stream:  # type: ignore[arg-type]  # on purpose
                assert await stream.numbers(1) == [1]

    run(scene)


def test_a_large_body_that_was_on_its_way_comes_again_though_its_file_is_gone(tmp_path: Path) -> None:
    async def scene() -> None:
        async with door(tmp_path) as at:
            channel_id = await with_events(at)
            draft = at.broker.draft_body(f"{1:032x}")
            await draft.write(b'"' + b"x" * 300_000 + b'"')
            large = replace(arrival(number=1), body=await draft.finish())
            async with reading(at, f"/{channel_id}") as first:
                await at.deliver(channel_id, large)
                await first.event()
                await until(lambda: nothing_waits(at, channel_id))
            async with reading(at, f"/{channel_id}", last=0) as again:
                assert (await again.envelope())["body"] == "x" * 300_000

    run(scene)


def test_a_slow_reader_gets_a_large_body_though_a_quick_one_has_it_and_its_file_is_gone(
    tmp_path: Path,
) -> None:
    async def scene() -> None:
        async with door(tmp_path) as at:
            channel_id = await with_events(at)
            async with (
                reading(at, f"/{channel_id}", is_narrow=True) as slow,
                reading(at, f"/{channel_id}") as quick,
            ):
                for number in range(1, 21):
                    draft = at.broker.draft_body(f"{number:032x}")
                    await draft.write(b'"' + b"x" * 300_000 + b'"')
                    await at.deliver(channel_id, replace(arrival(number=number), body=await draft.finish()))
                    assert await quick.numbers(1) == [number]
                await until(lambda: nothing_waits(at, channel_id))
                await until(lambda: no_files(tmp_path))
                assert await slow.numbers(20) == list(range(1, 21))

    run(scene)


async def no_files(folder: Path) -> bool:
    return not [path for path in folder.rglob("spool/*") if path.is_file()]


def test_what_a_tunnel_left_behind_does_not_put_the_newest_number_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with door(tmp_path, keepalive_s=0.02) as at:
            channel_id = await with_events(at)
            await at.deliver(channel_id, arrival(number=1))
            lease = at.broker.attach(channel_id, instance="t", is_takeover=False, on_lost=lambda *_: None)
            assert lease is not None
            async with reading(at, f"/{channel_id}") as stream:
                await at.deliver(channel_id, arrival(number=2))
                assert await stream.numbers(1) == [2]
                at.broker.release(lease)
                assert await stream.numbers(2) == [1, 2]
                await until(lambda: nothing_waits(at, channel_id))
            async with reading(at, f"/{channel_id}") as new:
                assert new.opening["id"] == "2"
                await at.deliver(channel_id, arrival(number=3))
                assert await new.numbers(1) == [3]

    run(scene)


def test_what_is_too_old_to_come_again_is_told_to_gosmee_and_the_rest_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "_MAX_SENT", 2)

    async def scene() -> None:
        async with door(tmp_path) as at:
            channel_id = await with_events(at)
            async with reading(at, f"/events/{channel_id}") as first:
                for number in range(1, 6):
                    await at.deliver(channel_id, arrival(number=number))
                assert await first.numbers(5) == [1, 2, 3, 4, 5]
                await until(lambda: nothing_waits(at, channel_id))
            async with reading(at, f"/events/{channel_id}", last=1) as again:
                told = await again.event()
                assert told["event"] == "gosmee-gap"
                assert json.loads(told["data"]) == {
                    "error": "missed_history",
                    "requested_id": "1",
                    "oldest_id": "4",
                }
                assert await again.numbers(2) == [4, 5]
            async with reading(at, f"/{channel_id}", last=1) as smee:
                assert await smee.numbers(2) == [4, 5]

    run(scene)


def test_what_was_sent_is_forgotten_after_a_while_and_of_many_channels_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "_MAX_EMPTY_ROOMS", 2)

    async def scene() -> None:
        async with door(tmp_path, keepalive_s=0.05) as at:
            rooms = at.streams._rooms
            ids = [await with_events(at, f"channel-{number}") for number in range(4)]
            for channel_id in ids:
                async with reading(at, f"/{channel_id}") as stream:
                    await at.deliver(channel_id, arrival())
                    await stream.event()
                await until(lambda: no_readers(at))
            assert list(rooms) == ids[2:]
            monkeypatch.setattr(sse, "_KEEP_SENT_S", 0.0)
            async with reading(at, f"/{ids[0]}"):
                assert list(rooms) == [ids[0]]

    run(scene)


async def readers_are(at: Door, count: int) -> bool:
    return at.metrics.subscribers == count


# What clients ask for besides


def test_new_makes_a_channel_where_everybody_may(tmp_path: Path) -> None:
    async def scene() -> None:
        async with door(tmp_path, AdminOptions(is_open=True)) as at:
            for method in ("HEAD", "GET"):
                reply = await at.ask(method, "/new", key=None)
                assert reply.status == 307
                channel = await at.broker.channel_by_id(reply.headers["location"].rpartition("/")[2])
                assert channel is not None
                assert channel.has_events

    run(scene)


def test_new_is_for_nobody_on_a_closed_relay_and_limited_for_guests(tmp_path: Path) -> None:
    async def scene() -> list[int]:
        async with door(tmp_path / "closed") as at:
            statuses = [(await at.ask("GET", "/new", key=None)).status]
        async with door(tmp_path / "guests", AdminOptions(guests=GuestLimits(per_address=1))) as at:
            statuses += [(await at.ask("GET", "/new", key=None)).status for _ in range(2)]
        async with door(tmp_path / "open", AdminOptions(is_open=True)) as at:
            statuses += [(await at.ask("GET", "/new", key=None)).status for _ in range(11)][-1:]
        return statuses

    assert run(scene) == [403, 307, 429, 429]


def test_gosmees_client_is_told_a_version_it_accepts(tmp_path: Path) -> None:
    async def scene() -> str:
        async with door(tmp_path) as at:
            return (await at.ask("GET", "/version", key=None)).headers["x-gosmee-version"]

    assert run(scene) == "dev"


# The real client


def smee_client() -> Path:
    """The folder of an installed smee-client; skips where npm is missing."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is missing here: the real smee-client did not run")
    if not (NPM / "node_modules" / "smee-client").is_dir():
        command = [
            npm,
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--no-package-lock",
        ]
        done = subprocess.run(command, cwd=NPM, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            pytest.skip(f"smee-client cannot be installed here: {done.stderr.strip()[:200]}")
    return NPM


@asynccontextmanager
async def smee(folder: Path, url: str, target: str) -> AsyncIterator[None]:
    """The real smee-client, which has to run until the end."""
    with tempfile.TemporaryFile() as complaints:
        client = await asyncio.create_subprocess_exec(
            "node", "node_modules/smee-client/bin/smee.js", "--url", url, "--target", target,
            cwd=folder, stdout=asyncio.subprocess.DEVNULL, stderr=complaints,
        )  # fmt: skip
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                client.kill()
            await client.wait()
            complaints.seek(0)
            assert client.returncode == -signal.SIGKILL, f"it ended by itself: {complaints.read().decode()}"


@pytest.mark.xdist_group("npm")
def test_smee_client_as_it_is_forwards_what_a_channel_gets(tmp_path: Path) -> None:
    folder = smee_client()

    async def scene() -> None:
        seen: asyncio.Queue[bytes] = asyncio.Queue()

        async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(
                next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))[15:]
            )
            await seen.put(head + await reader.readexactly(size))
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(app, "127.0.0.1", 0)
        target = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks"
        async with door(tmp_path, keepalive_s=0.5) as at:
            channel_id = await with_events(at)
            await at.deliver(channel_id, arrival(b'{"waited": true}', number=1, X_GitHub_Event="ping"))
            async with smee(folder, f"http://127.0.0.1:{at.port}/{channel_id}", target):
                first = await seen.get()
                await at.deliver(channel_id, arrival(b'{"live":"\\u00e9"}', number=2, target="/?a=1"))
                second = await seen.get()
        server.close()
        head, _, body = first.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /hooks HTTP/1.1")
        assert b"x-github-event: ping" in head.lower()
        assert json.loads(body) == {"waited": True}
        head, _, body = second.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /hooks?a=1 HTTP/1.1")
        assert json.loads(body) == {"live": "é"}

    run(scene)


@pytest.mark.xdist_group("npm")
def test_smee_client_loses_nothing_though_the_network_is_cut_and_it_is_slower_than_the_relay(
    tmp_path: Path,
) -> None:
    """Only what was answered by the app counts: what its own request was lost with is smee-client's to lose."""
    folder, count = smee_client(), 1_500

    async def scene() -> None:
        seen: list[int] = []

        async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
                    size = int(next(line for line in head if line.startswith(b"content-length"))[15:])
                    seen.append(json.loads(await reader.readexactly(size))["n"])
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(app, "127.0.0.1", 0)
        target = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks"
        async with door(tmp_path, keepalive_s=0.2) as at:
            wire = Wire(at.port)
            channel_id = await with_events(at)
            async with smee(folder, f"{wire.url}/{channel_id}", target):
                for number in range(count):
                    body = json.dumps({"n": number, "text": "x" * 2_000}).encode()
                    await at.deliver(channel_id, arrival(body, number=number))
                    if number == 0:  # a cut before its first connection ends smee-client
                        await until(lambda: are_seen(seen, 1))
                    if number in (400, 800, 1_200):
                        wire.cut()
                        wire.mend()
                await until(lambda: are_seen(seen, count))
            wire.close()
        server.close()
        assert set(seen) == set(range(count))

    run(scene, limit_s=90)


async def are_seen(seen: list[int], count: int) -> bool:
    return len(set(seen)) >= count


def test_replies_are_read_as_they_are() -> None:
    assert parse(b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n").headers == {"a": "b"}
