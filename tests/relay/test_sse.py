"""Channels as server-sent events: who may read, and what counts as done."""

import asyncio
from base64 import b64decode
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.relay.doors import arrival, door, parse, run
from tests.relay.streams import no_readers, nothing_waits, pending, reading, until, with_events
from webhookctl.relay.admin import AdminOptions
from webhookctl.relay.registry import GuestLimits


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


def test_replies_are_read_as_they_are() -> None:
    assert parse(b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n").headers == {"a": "b"}
