"""Readers of events that are slow or lose their connection: what comes again, and what is told as gone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.relay.doors import arrival, door, run
from tests.relay.streams import no_readers, nothing_waits, pending, reading, until, with_events
from webhookctl.relay import sse


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
