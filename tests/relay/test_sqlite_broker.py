"""What the broker promises: durable before it is told, in order without gaps, read again, leased to one."""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.relay.harness import NOW_S, Clock, run, until
from webhookctl.errors import RelayError, UsageError
from webhookctl.relay.broker import Arrival, Counts, Done, Lost, Queued, SpooledBody
from webhookctl.relay.channel import Channel, new_channel
from webhookctl.relay.sqlite_broker import SqliteBroker
from webhookctl.tunnel_protocol import Answer, AnswerBody, CloseCode


def arrival(number: int = 1, body: bytes | SpooledBody = b"body", at_s: float = NOW_S) -> Arrival:
    """A request that came, with a delivery id of its own."""
    return Arrival(
        f"{number:032x}",
        at_s,
        "192.0.2.1:9",
        True,
        "1.1",
        "https://relay.test/c/hook?x",
        "POST",
        "/hook?x",
        ((b"X-A", b"1: 2"), (b"x-a", b""), (b"X-B", b"\xe9")),
        body,
    )


def channel(name: str = "my-app", **options: object) -> Channel:
    made, _ = new_channel(name, now_s=NOW_S, random_bytes=os.urandom)
    return replace(made, **options)  # type: ignore[arg-type]  # a test knows the fields it names


def with_broker(
    folder: Path, test: Callable[[SqliteBroker], Awaitable[None]], clock: Clock | None = None
) -> None:
    """Run `test` with a broker in `folder`."""

    async def within() -> None:
        async with SqliteBroker(folder, now_s=clock or Clock()) as broker:
            await test(broker)

    run(within)


async def spooled(broker: SqliteBroker, number: int, *pieces: bytes) -> SpooledBody:
    draft = broker.draft_body(f"{number:032x}")
    for piece in pieces:
        await draft.write(piece)
    return await draft.finish()


def nobody_is_told(code: CloseCode, message: str) -> None:
    raise AssertionError(f"told of {code}")


def test_deliveries_are_numbered_in_each_channel_and_read_as_they_were(tmp_path: Path) -> None:
    mine, other = channel("mine"), channel("other")

    async def store(broker: SqliteBroker) -> None:
        for each in (mine, other):
            await broker.create_channel(each)
        told: list[int] = []
        stop = broker.watch(mine.id, lambda queued: told.append(queued.seq))
        found = await asyncio.gather(
            *[broker.append((mine, other)[number % 2].id, arrival(number)) for number in range(20)]
        )
        assert [queued.seq for queued in found] == [number // 2 + 1 for number in range(20)]
        assert told == list(range(1, 11))
        stop()
        stop()

    async def look(broker: SqliteBroker) -> None:
        found = await broker.read(mine.id, after=0, limit=64)
        assert list(found) == [Queued(seq, 0, arrival(2 * seq - 2)) for seq in range(1, 11)]
        assert [queued.seq for queued in await broker.read(mine.id, after=7, limit=2)] == [8, 9]
        assert await broker.read(mine.id, after=10, limit=2) == []
        assert await broker.counts(mine.id) == Counts(10, 10, 40)
        assert broker.pending == 20
        assert await broker.append(mine.id, arrival(77)) == Queued(11, 0, arrival(77))

    with_broker(tmp_path / "data", store)
    with_broker(tmp_path / "data", look)


def test_an_append_that_is_repeated_keeps_its_place(tmp_path: Path) -> None:
    async def test(broker: SqliteBroker) -> None:
        mine = channel()
        await broker.create_channel(mine)
        at_once = await asyncio.gather(broker.append(mine.id, arrival(1)), broker.append(mine.id, arrival(1)))
        later = await broker.append(mine.id, arrival(1))
        assert [queued.seq for queued in (*at_once, later)] == [1, 1, 1]
        assert await broker.counts(mine.id) == Counts(1, 1, 4)

    with_broker(tmp_path / "data", test)


def test_numbers_go_on_when_everything_was_acknowledged_and_swept(tmp_path: Path) -> None:
    mine, clock = channel(), Clock()

    async def use(broker: SqliteBroker) -> None:
        await broker.create_channel(mine)
        lease = broker.attach(mine.id, instance="a", is_takeover=False, on_lost=nobody_is_told)
        assert lease is not None
        for number in range(3):
            queued = await broker.append(mine.id, arrival(number))
            assert broker.note_sent(lease, queued) == 1
            assert broker.acknowledge(lease, Done(queued.seq, queued.arrival.delivery_id, 200))
        assert await broker.counts(mine.id) == Counts(3, 0, 0)

    async def sweep(broker: SqliteBroker) -> None:
        clock.now_s += 4_000
        await broker.expire(now_s=clock())
        database = sqlite3.connect(tmp_path / "data" / "relay.sqlite3")
        assert database.execute("SELECT count(*) FROM done").fetchone() == (0,)
        database.close()

    async def go_on(broker: SqliteBroker) -> None:
        assert (await broker.append(mine.id, arrival(9))).seq == 4

    for step in (use, sweep, go_on):
        with_broker(tmp_path / "data", step, clock)


def test_how_a_delivery_ended_is_kept_for_an_hour(tmp_path: Path) -> None:
    async def test(broker: SqliteBroker) -> None:
        mine = channel()
        await broker.create_channel(mine)
        lease = broker.attach(mine.id, instance="a", is_takeover=False, on_lost=nobody_is_told)
        assert lease is not None
        queued = await broker.append(mine.id, arrival())
        broker.note_sent(lease, queued)
        broker.acknowledge(lease, Done(1, queued.arrival.delivery_id, 418))
        assert await broker.read(mine.id, after=0, limit=9) == []  # what was said before is done before
        await broker.expire(now_s=NOW_S + 3_500)
        database = sqlite3.connect(tmp_path / "data" / "relay.sqlite3")
        assert database.execute("SELECT delivery_id, status, done_at_s FROM done").fetchall() == [
            (queued.arrival.delivery_id, 418, NOW_S)
        ]
        database.close()

    with_broker(tmp_path / "data", test)


def test_attempts_are_counted_over_leases_and_restarts(tmp_path: Path) -> None:
    mine = channel()

    async def send(broker: SqliteBroker) -> None:
        await broker.create_channel(mine)
        await broker.append(mine.id, arrival(1))
        await broker.append(mine.id, arrival(2))
        for attempt in (1, 2):
            lease = broker.attach(mine.id, instance="a", is_takeover=False, on_lost=lambda *_: None)
            assert lease is not None
            (queued, _) = await broker.read(mine.id, after=0, limit=9)
            assert broker.note_sent(lease, queued) == attempt
            broker.release(lease)

    async def look(broker: SqliteBroker) -> None:
        assert [queued.attempts for queued in await broker.read(mine.id, after=0, limit=9)] == [2, 0]

    with_broker(tmp_path / "data", send)
    with_broker(tmp_path / "data", look)


def test_a_channel_is_leased_to_one_and_the_old_holder_is_fenced(tmp_path: Path) -> None:
    async def test(broker: SqliteBroker) -> None:
        mine = channel()
        await broker.create_channel(mine)
        told: list[CloseCode] = []
        assert not broker.is_attended(mine.id)
        first = broker.attach(
            mine.id, instance="a", is_takeover=False, on_lost=lambda code, _: told.append(code)
        )
        assert first is not None
        assert broker.attach(mine.id, instance="b", is_takeover=False, on_lost=nobody_is_told) is None
        assert told == []
        second = broker.attach(
            mine.id, instance="b", is_takeover=True, on_lost=lambda code, _: told.append(code)
        )
        assert second is not None
        assert told == [CloseCode.SUPERSEDED]
        assert second.epoch > first.epoch
        queued = await broker.append(mine.id, arrival())
        broker.note_sent(second, queued)
        done = Done(1, queued.arrival.delivery_id, 200)
        assert not broker.acknowledge(first, done)
        broker.release(first)
        assert broker.is_attended(mine.id)
        assert broker.acknowledge(second, done)
        assert broker.acknowledge(second, done)  # twice is once
        assert await broker.counts(mine.id) == Counts(1, 0, 0)
        broker.release(second)
        assert not broker.is_attended(mine.id)

    with_broker(tmp_path / "data", test)


def test_large_bodies_lie_in_the_spool_until_they_are_done(tmp_path: Path) -> None:
    spool, mine = tmp_path / "data" / "spool", channel()

    async def store(broker: SqliteBroker) -> None:
        await broker.create_channel(mine)
        body = await spooled(broker, 1, b"a" * 300_000, b"b" * 5)
        await broker.append(mine.id, arrival(1, body))
        (spool / "00half").write_bytes(b"left by a crash")
        assert oct((tmp_path / "data").stat().st_mode & 0o777) == "0o700"
        assert {oct(path.stat().st_mode & 0o777) for path in spool.iterdir()} >= {"0o600"}

    async def finish(broker: SqliteBroker) -> None:
        assert [path.name for path in spool.iterdir()] == [f"{1:032x}"]  # the half-written one was swept
        (queued,) = await broker.read(mine.id, after=0, limit=9)
        assert queued.arrival.body == SpooledBody(f"{1:032x}", 300_005)
        assert await broker.read_body(queued.arrival.body, offset=299_999, size=6) == b"abbbbb"
        with pytest.raises(RelayError, match="shorter"):
            await broker.read_body(queued.arrival.body, offset=299_999, size=7)
        lease = broker.attach(mine.id, instance="a", is_takeover=False, on_lost=nobody_is_told)
        assert lease is not None
        broker.note_sent(lease, queued)
        broker.acknowledge(lease, Done(1, queued.arrival.delivery_id, 200))
        await until(lambda: not list(spool.iterdir()))

    with_broker(tmp_path / "data", store)
    with_broker(tmp_path / "data", finish)


def test_a_body_that_is_not_wanted_leaves_nothing(tmp_path: Path) -> None:
    async def test(broker: SqliteBroker) -> None:
        draft = broker.draft_body("a" * 32)
        await draft.write(b"x" * 300_000)
        draft.discard()
        draft.discard()
        assert list((tmp_path / "data" / "spool").iterdir()) == []
        with pytest.raises(ValueError, match="no name"):
            broker.draft_body("../relay")

    with_broker(tmp_path / "data", test)


def test_what_is_older_than_its_retention_goes_unless_a_client_is_there(tmp_path: Path) -> None:
    async def test(broker: SqliteBroker) -> None:
        kept, left = channel("kept", retention_s=100.0), channel("left", retention_s=100.0)
        for each in (kept, left):
            await broker.create_channel(each)
        for number in range(3):
            await broker.append(kept.id, arrival(number, at_s=NOW_S + number))
            body = await spooled(broker, 10 + number, b"x" * 9)
            await broker.append(left.id, arrival(10 + number, body, at_s=NOW_S + number))
        lease = broker.attach(kept.id, instance="a", is_takeover=False, on_lost=nobody_is_told)
        assert lease is not None
        await broker.expire(now_s=NOW_S + 101.5)
        assert await broker.counts(kept.id) == Counts(3, 3, 12)
        assert await broker.counts(left.id) == Counts(3, 1, 9)
        assert len(list((tmp_path / "data" / "spool").iterdir())) == 1
        await broker.expire(now_s=NOW_S + 102.5)
        assert await broker.counts(left.id) == Counts(3, 0, 0)
        assert broker.take_expired(lease) is None
        other = broker.attach(left.id, instance="a", is_takeover=False, on_lost=nobody_is_told)
        assert other is not None
        assert broker.take_expired(other) == Lost(1, 3, 3)
        assert broker.take_expired(other) is None
        assert (await broker.append(left.id, arrival(99))).seq == 4

    with_broker(tmp_path / "data", test)


def test_the_newest_can_be_found(tmp_path: Path) -> None:
    async def test(broker: SqliteBroker) -> None:
        mine = channel()
        await broker.create_channel(mine)
        for number in range(5):
            await broker.append(mine.id, arrival(number))
        assert [await broker.last_before_newest(mine.id, count) for count in (0, 2, 5, 9)] == [5, 3, 0, 0]

    with_broker(tmp_path / "data", test)


def test_one_read_does_not_fill_the_memory(tmp_path: Path) -> None:
    async def test(broker: SqliteBroker) -> None:
        mine = channel()
        await broker.create_channel(mine)
        for number in range(40):
            await broker.append(mine.id, arrival(number, b"x" * 65_536))
        assert len(await broker.read(mine.id, after=0, limit=64)) == 16

    with_broker(tmp_path / "data", test)


def test_channels_are_found_changed_and_removed(tmp_path: Path) -> None:
    mine, other = channel("mine"), channel("other")
    renamed = replace(mine, name="renamed", key_id="k2", is_paused=True)

    async def use(broker: SqliteBroker) -> None:
        seen: list[tuple[str, str | None]] = []
        stop = broker.watch_channels(
            lambda before, after: seen.append((before.name, after.name if after else None))
        )
        for each in (mine, other):
            await broker.create_channel(each)
        with pytest.raises(RelayError) as taken:
            await broker.create_channel(channel("mine"))
        assert taken.value.code == "channel-exists"
        with pytest.raises(RelayError) as taken:
            await broker.update_channel(other, replace(other, name="mine"))
        assert taken.value.code == "channel-exists"
        await broker.update_channel(mine, renamed)
        with pytest.raises(RelayError) as changed:
            await broker.update_channel(mine, replace(mine, deadline_s=1.0))
        assert changed.value.code == "channel-changed"
        assert await broker.channel_by_name("mine") is None
        assert await broker.channel_by_key_id(mine.key_id) is None
        body = await spooled(broker, 1, b"x")
        await broker.append(other.id, arrival(1, body))
        told: list[CloseCode] = []
        broker.attach(other.id, instance="a", is_takeover=False, on_lost=lambda code, _: told.append(code))
        await broker.remove_channel(other.id)
        assert told == [CloseCode.UNKNOWN_CHANNEL]
        assert seen == [("mine", "renamed"), ("other", None)]
        assert list((tmp_path / "data" / "spool").iterdir()) == []
        stop()

    async def look(broker: SqliteBroker) -> None:
        assert list(await broker.channels()) == [renamed]
        assert await broker.channel_by_id(mine.id) == renamed
        assert await broker.channel_by_name("renamed") == renamed
        assert await broker.channel_by_key_id("k2") == renamed
        assert broker.pending == 0
        again = channel("other")
        await broker.create_channel(again)
        assert (await broker.append(again.id, arrival())).seq == 1

    with_broker(tmp_path / "data", use)
    with_broker(tmp_path / "data", look)


def test_a_channel_that_is_gone_takes_nothing(tmp_path: Path) -> None:
    async def test(broker: SqliteBroker) -> None:
        mine = channel()
        await broker.create_channel(mine)
        lease = broker.attach(mine.id, instance="a", is_takeover=False, on_lost=lambda *_: None)
        assert lease is not None
        storing = broker.append(mine.id, arrival(1, await spooled(broker, 1, b"x")))
        await broker.remove_channel(mine.id)
        assert (await storing).seq == 1
        for refused in (
            broker.append(mine.id, arrival(2)),
            broker.counts(mine.id),
            broker.remove_channel(mine.id),
        ):
            with pytest.raises(RelayError) as unknown:
                await refused
            assert unknown.value.code == "channel-unknown"
        assert not broker.acknowledge(lease, Done(1, "x", 200))
        assert not broker.is_attended(mine.id)
        assert broker.take_expired(lease) is None
        broker.release(lease)

    with_broker(tmp_path / "data", test)


def test_answers_go_to_who_waits_for_them(tmp_path: Path) -> None:
    async def test(broker: SqliteBroker) -> None:
        got: list[object] = []
        first, rest = Answer(1, 200, "", (), b"", False), AnswerBody(1, b"x", True)
        stop = broker.expect_answer("a", got.append)
        broker.publish_answer("a", first)
        broker.publish_answer("b", first)
        broker.publish_answer("a", rest)
        stop()
        broker.publish_answer("a", None)
        assert got == [first, rest]

    with_broker(tmp_path / "data", test)


def test_only_one_process_uses_a_folder(tmp_path: Path) -> None:
    async def test(broker: SqliteBroker) -> None:
        with pytest.raises(UsageError) as used:
            await SqliteBroker(tmp_path / "data", now_s=Clock()).__aenter__()
        assert used.value.code == "relay-data-in-use"

    with_broker(tmp_path / "data", test)


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    async def nothing(broker: SqliteBroker) -> None:
        raise AssertionError("it was opened")

    (tmp_path / "file").write_text("")
    (tmp_path / "newer").mkdir()
    newer = sqlite3.connect(tmp_path / "newer" / "relay.sqlite3")
    newer.execute("PRAGMA user_version=99")
    newer.close()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "relay.sqlite3").write_bytes(b"no database at all" * 99)
    for name, why in (
        ("file", "cannot be used"),
        ("newer", "newer webhookctl"),
        ("broken", "not a database"),
    ):
        with pytest.raises(UsageError, match=why) as unusable:
            with_broker(tmp_path / name, nothing)
        assert unusable.value.code == "relay-data-unusable"


def test_a_write_that_fails_reaches_its_senders_and_the_next_one_may_work(tmp_path: Path) -> None:
    async def test(broker: SqliteBroker) -> None:
        mine = channel()
        await broker.create_channel(mine)
        lease = broker.attach(mine.id, instance="a", is_takeover=False, on_lost=nobody_is_told)
        assert lease is not None
        first = await broker.append(mine.id, arrival(1))
        broker.note_sent(lease, first)
        (pages,) = broker._database.execute("PRAGMA page_count").fetchone()
        broker._database.execute(f"PRAGMA max_page_count={pages}")
        body = await spooled(broker, 3, b"x")
        broker.acknowledge(lease, Done(1, first.arrival.delivery_id, 200))
        refused = await asyncio.gather(
            broker.append(mine.id, arrival(2, b"x" * 65_000)),
            broker.append(mine.id, arrival(3, body)),
            return_exceptions=True,
        )
        assert [getattr(each, "code", None) for each in refused] == ["broker-full"] * 2
        assert broker.problem is not None
        assert await broker.counts(mine.id) == Counts(1, 0, 0)
        assert list((tmp_path / "data" / "spool").iterdir()) == []
        broker._database.execute("PRAGMA max_page_count=100000")
        assert (await broker.append(mine.id, arrival(2))).seq == 2  # no gap
        assert broker.problem is None
        (only,) = await broker.read(mine.id, after=0, limit=9)  # and the acknowledgement was not lost
        assert only.seq == 2

    with_broker(tmp_path / "data", test)
