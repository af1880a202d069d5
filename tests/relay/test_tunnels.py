"""Tunnels, spoken to frame by frame: who may open one, credit, redelivery, leases, observers, ends."""

import asyncio
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.relay.harness import (
    NOW_S,
    Acknowledge,
    Answer,
    AnswerBody,
    Client,
    CloseCode,
    Credit,
    Hello,
    Mode,
    Skipped,
    client,
    post,
    relay,
    run,
    send,
    sender,
    socket_to,
    until,
)
from webhookctl.errors import RelayError
from webhookctl.events import ErrorOccurred, TunnelClosed, TunnelOpened
from webhookctl.relay import tunnel
from webhookctl.relay.broker import Arrival, SpooledBody
from webhookctl.relay.channel import revoked
from webhookctl.relay.uploads import INLINE_BYTES
from webhookctl.tunnel_protocol import Close, Delivery, DeliveryBody, Ping, Pong


def test_without_the_right_key_there_is_no_upgrade(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            _, key = await running.channel()
            for wrong in ("", "wck_x", key[:-1] + ("A" if key[-1] != "A" else "B"), key[:27] + "A" * 22):
                with pytest.raises(InvalidStatus) as refused:
                    async with socket_to(running.url, wrong):
                        pass
                assert refused.value.response.status_code == 401

    run(test)


def test_the_path_is_for_websockets_that_speak_our_protocol(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            path = "/.webhookctl/v1/tunnel"
            assert (await send(running.port, path, method="GET")).status == 426
            upgrade = ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
            assert (await send(running.port, path, headers=upgrade, method="GET")).status == 400

    run(test)


def test_a_key_opens_its_own_channel_only(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            mine, key = await running.channel("mine")
            other, _ = await running.channel("other")
            await send(running.port, f"/{other.id}", b"not for you")
            async with socket_to(running.url, key) as one:
                await one.say(Hello(1, other.name, Mode.CONSUME, 0, -1, 1, 1, "x"))
                assert await one.close_code() == (CloseCode.UNKNOWN_CHANNEL, 4404)
            for name in ("", mine.name, mine.id):
                async with client(running.url, key, channel=name) as one:
                    assert one.welcome is not None
                    assert (one.welcome.channel, one.welcome.pending) == ("mine", 0)
                    assert one.welcome.url == f"{running.url}/{mine.id}"
                    assert await one.silence(0.02)

    run(test)


def test_credit_bounds_what_is_sent(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            for number in range(4):
                await send(running.port, f"/{channel.id}", b"%d" % number)
            async with client(running.url, key, window=2) as one:
                assert [(await one.delivery())[1] for _ in range(2)] == [b"0", b"1"]
                assert await one.silence()
                await one.say(Credit(1, 1))
                assert (await one.delivery())[1] == b"2"
                assert await one.silence()

    run(test)


@pytest.mark.parametrize("size", [150, 60_000, 300_000])
def test_a_body_larger_than_the_window_comes_as_the_credit_does(tmp_path: Path, size: int) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
            await send(running.port, f"/{channel.id}", body)
            await send(running.port, f"/{channel.id}", b"next")
            async with client(running.url, key, window=9, window_bytes=100) as one:
                frame = await one.expect(Delivery)
                assert (frame.body_bytes, frame.is_last) == (size, False)
                got, is_last = frame.body, False
                while len(got) < size:
                    assert not is_last
                    if not one.side.credit_bytes:
                        await one.say(Credit(0, 9_000))
                    piece = await one.expect(DeliveryBody)
                    got, is_last = got + piece.data, piece.is_last
                assert (got, is_last) == (body, True)
                await one.say(Credit(0, 9_000))
                assert (await one.delivery())[1] == b"next"

    run(test)


def test_what_was_not_acknowledged_comes_again_and_says_so(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            for number in range(3):
                await send(running.port, f"/{channel.id}", b"%d" % number)
            async with client(running.url, key) as one:
                for seq in (1, 2, 3):
                    delivery, _ = await one.delivery()
                    assert (delivery.seq, delivery.attempt) == (seq, 1)
                await one.say(Acknowledge(2))
                await until(lambda: running.broker.pending == 2)
            for attempt in (2, 3):
                async with client(running.url, key) as one:
                    for seq in (1, 3):
                        delivery, body = await one.delivery()
                        assert (delivery.seq, delivery.attempt, body) == (seq, attempt, b"%d" % (seq - 1))
                    assert await one.silence(0.02)

    run(test)


def test_the_cursor_ends_what_the_client_knows_to_be_done(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            for number in range(4):
                await send(running.port, f"/{channel.id}", b"%d" % number)
            async with client(running.url, key, cursor=3) as one:
                assert one.welcome is not None
                assert (one.welcome.head, one.welcome.pending) == (4, 1)
                assert (await one.delivery())[0].seq == 4
                assert running.broker.pending == 1
            async with client(running.url, key, cursor=99) as one:  # of another life of this relay
                assert (await one.delivery())[0].seq == 4

    run(test)


@pytest.mark.parametrize(("backlog", "seqs", "skipped"), [(0, [], 4), (1, [4], 3), (3, [2, 3, 4], 1)])
def test_a_client_may_want_the_newest_only(
    tmp_path: Path, backlog: int, seqs: list[int], skipped: int
) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            for _ in range(4):
                await send(running.port, f"/{channel.id}", b"x")
            async with client(running.url, key, backlog=backlog) as one:
                assert one.welcome is not None
                assert one.welcome.pending == len(seqs)
                assert await one.expect(Skipped) == Skipped(1, skipped, skipped, "backlog")
                assert [(await one.delivery())[0].seq for _ in seqs] == seqs
                await send_soon(running.port, channel.id)
                assert (await one.delivery())[0].seq == 5
            assert running.broker.pending == 5  # nothing is lost by it

    async def send_soon(port: int, channel_id: str) -> None:
        async with sender(port) as one:
            one.send(post(f"/{channel_id}"))
            await one.writer.drain()
            await asyncio.sleep(0.05)

    run(test)


def test_a_second_client_is_refused_unless_it_takes_over(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key, instance="first") as first:
                async with socket_to(running.url, key) as second:
                    await second.say(Hello(1, "", Mode.CONSUME, 0, -1, 1, 1, "second"))
                    assert await second.close_code() == (CloseCode.OCCUPIED, 4409)
                await send_one(running.port, channel.id)
                delivery, _ = await first.delivery()
                async with client(running.url, key, mode=Mode.TAKEOVER, instance="third") as third:
                    again, _ = await third.delivery()
                    assert (again.seq, again.attempt) == (delivery.seq, 2)
                    assert await first.close_code() == (CloseCode.SUPERSEDED, 4410)
                    await third.answer(again.seq)
                    await until(lambda: not running.broker.pending)

    async def send_one(port: int, channel_id: str) -> None:
        async with sender(port) as one:
            one.send(post(f"/{channel_id}", b"x"))
            await one.writer.drain()
            await asyncio.sleep(0.05)

    run(test)


def test_the_same_instance_replaces_its_own_lost_connection(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with (
                client(running.url, key, instance="same") as lost,
                client(running.url, key, instance="same") as found,
                sender(running.port) as sending,
            ):
                assert await lost.close_code() == (CloseCode.SUPERSEDED, 4410)
                sending.send(post(f"/{channel.id}"))
                await found.answer_next()
                assert (await sending.response()).status == 200

    run(test)


def test_observers_see_everything_and_change_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key, mode=Mode.OBSERVE, instance="o") as observer:
                got = await send(running.port, f"/{channel.id}", b"1")
                assert (got.status, got.outcome) == (202, "queued")  # nobody consumes
                assert (await observer.delivery())[1] == b"1"
                async with client(running.url, key) as one:
                    assert (await one.answer_next()).attempt == 1
                    async with sender(running.port) as sending:
                        sending.send(post(f"/{channel.id}", b"2" * 200_000))
                        assert (await observer.delivery())[1] == b"2" * 200_000
                        await one.answer_next()
                        assert (await sending.response()).outcome == "delivered"
                await until(lambda: not running.broker.pending)
                assert await observer.silence(0.02)

    run(test)


def test_an_observer_that_is_too_slow_is_told_what_it_missed(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key, mode=Mode.OBSERVE, window=1) as observer:
                for number in range(70):
                    await send(running.port, f"/{channel.id}", b"%d" % number)
                assert (await observer.delivery())[1] == b"0"
                await observer.say(Credit(100, 0))
                assert [(await observer.delivery())[1] for _ in range(64)][-1] == b"64"
                assert await observer.expect(Skipped) == Skipped(66, 70, 5, "slow")
            assert running.broker.pending == 70

    run(test)


def test_what_does_not_fit_into_memory_is_read_again_in_order(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key, window=1) as one:
                senders = [
                    asyncio.ensure_future(send(running.port, f"/{channel.id}", b"%d" % n)) for n in range(200)
                ]
                for seq in range(1, 201):
                    delivery, body = await one.delivery()
                    assert delivery.seq == seq
                    await one.answer(delivery.seq, body)
                    await one.say(Credit(1, 1))
                got = await asyncio.gather(*senders)
                assert {each.outcome for each in got} == {"delivered"}
                assert [each.body for each in got] == [b"%d" % n for n in range(200)]  # each has its own

    run(test)


def test_large_bodies_and_small_ones_keep_their_order(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            sizes = [10, 700_000, 0, 65_536, 65_537, 3]
            async with client(running.url, key, window_bytes=100_000) as one:
                asyncio.get_running_loop().create_task(self_credit(one))
                for size in sizes:
                    async with sender(running.port) as sending:
                        sending.send(post(f"/{channel.id}", b"x" * size))
                        await sending.writer.drain()
                        await until(lambda size=size: running.broker.pending == sizes.index(size) + 1)  # type: ignore[misc]
                for seq, size in enumerate(sizes, 1):
                    delivery, body = await one.delivery()
                    assert (delivery.seq, len(body)) == (seq, size)
                for seq in range(1, 7):
                    await one.answer(seq)
                await until(lambda: not running.broker.pending)
                await until(lambda: not list((tmp_path / "data" / "spool").iterdir()), "an empty spool")

    async def self_credit(one: Client) -> None:
        for _ in range(100):
            await one.say(Credit(0, 10_000))
            await asyncio.sleep(0.001)

    run(test)


def test_a_body_that_is_gone_from_the_spool_does_not_stop_the_others(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            await send(running.port, f"/{channel.id}", b"x" * (INLINE_BYTES + 1))
            await send(running.port, f"/{channel.id}", b"next")
            for path in (tmp_path / "data" / "spool").iterdir():
                path.unlink()
            async with client(running.url, key) as one:
                assert (await one.expect(Delivery)).seq == 1
                assert await one.expect(Skipped) == Skipped(1, 1, 1, "unreadable")
                assert (await one.delivery())[1] == b"next"
                assert running.broker.pending == 1

    run(test)


def test_what_expired_while_nobody_listened_is_told_once(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel(retention_s=100.0)
            for number in range(3):
                await send(running.port, f"/{channel.id}", b"x" * (1 + number * INLINE_BYTES))
                running.clock.now_s += 60.0
            await running.broker.expire(now_s=running.clock())
            assert running.broker.pending == 1
            assert len(list((tmp_path / "data" / "spool").iterdir())) == 1
        async with relay(tmp_path / "data", clock=running.clock) as running:
            async with client(running.url, key) as one:
                assert await one.expect(Skipped) == Skipped(1, 2, 2, "expired")
                assert (await one.delivery())[0].seq == 3
            async with client(running.url, key) as one:
                assert (await one.delivery())[0].seq == 3

    run(test)


def test_what_expired_comes_before_what_is_passed_over_and_before_what_is_wanted(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel(retention_s=100.0)
            for _ in range(5):
                await send(running.port, f"/{channel.id}", b"x")
                running.clock.now_s += 30.0
            await running.broker.expire(now_s=running.clock())
            async with client(running.url, key, backlog=1) as one:
                assert await one.expect(Skipped) == Skipped(1, 2, 2, "expired")
                assert await one.expect(Skipped) == Skipped(3, 4, 2, "backlog")
                assert (await one.delivery())[0].seq == 5

    run(test)


def test_of_what_expired_a_client_is_told_what_it_has_not_dealt_with(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel(retention_s=100.0)
            for _ in range(3):
                await send(running.port, f"/{channel.id}", b"x")
            running.clock.now_s += 101.0
            await running.broker.expire(now_s=running.clock())
            async with client(running.url, key, cursor=1) as one:
                assert await one.expect(Skipped) == Skipped(2, 3, 2, "expired")

    run(test)


def test_a_client_that_says_nothing_is_pinged_and_given_up(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data", heartbeat_s=20.0) as running:
            _, key = await running.channel()
            async with client(running.url, key) as one:
                loop = asyncio.get_running_loop()
                running.tunnels.check_time(loop.time() + 19.0)
                assert await one.silence(0.02)
                running.tunnels.check_time(loop.time() + 21.0)
                ping = await one.hear()
                assert isinstance(ping, Ping)
                await one.say(Pong(ping.nonce), Ping(7))
                assert await one.expect(Pong) == Pong(7)
                running.tunnels.check_time(loop.time() + 61.0)
                with pytest.raises(ConnectionClosed):
                    await one.hear()
                await until(lambda: any(isinstance(event, TunnelClosed) for event in running.events))
                assert running.metrics.tunnels == 0

    run(test)


def test_who_breaks_the_protocol_is_told_why(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            _, key = await running.channel()
            async with socket_to(running.url, key) as one:
                await one.connection.send(b"\xffnonsense")
                assert await one.close_code() == (CloseCode.PROTOCOL_ERROR, 4400)
            async with socket_to(running.url, key) as one:
                await one.connection.send("text")
                assert await one.close_code() == (CloseCode.PROTOCOL_ERROR, 4400)
            async with client(running.url, key) as one:
                one.side._outstanding[9] = False
                await one.answer(9)
                assert (await one.close_code())[0] is CloseCode.PROTOCOL_ERROR
            async with client(running.url, key):  # the lease is free again
                pass

    run(test)


def test_a_revoked_key_and_a_removed_channel_end_the_tunnel(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one:
                await running.broker.update_channel(channel, revoked(channel))
                assert await one.close_code() == (CloseCode.REVOKED, 4403)
            other, key = await running.channel("other")
            async with client(running.url, key) as one:
                await running.broker.remove_channel(other.id)
                assert await one.close_code() == (CloseCode.UNKNOWN_CHANNEL, 4404)
            assert (await send(running.port, f"/{other.id}")).status == 404

    run(test)


def test_a_client_that_says_goodbye_frees_its_channel(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one:
                await one.say(Close(CloseCode.SHUTTING_DOWN, "bye"))
                await until(lambda: not running.broker.is_attended(channel.id))
            opened = [event for event in running.events if isinstance(event, TunnelOpened)]
            assert [(event.channel, event.mode, event.pending) for event in opened] == [
                ("my-app", "consume", 0)
            ]

    run(test)


def test_a_relay_that_stops_answers_who_waits_and_says_goodbye(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with (
                client(running.url, key) as one,
                sender(running.port) as quick,
                sender(running.port) as slow,
            ):
                quick.send(post(f"/{channel.id}", b"1"))
                first, _ = await one.delivery()
                slow.send(post(f"/{channel.id}", b"2"))
                await one.delivery()
                stopping = asyncio.ensure_future(running.front.stop(timeout_s=0.3))
                await asyncio.sleep(0.02)
                assert (await send(running.port, f"/{channel.id}")).status == 503
                with pytest.raises(InvalidStatus):
                    async with socket_to(running.url, key):
                        pass
                await one.answer(first.seq, b"in time")
                assert (await quick.response()).body == b"in time"
                got = await slow.response()
                assert (got.status, got.outcome) == (202, "queued")
                assert await one.close_code() == (CloseCode.SHUTTING_DOWN, 4503)
                assert await stopping == 1

    run(test)


def test_one_slow_sender_does_not_hold_up_the_others_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "_STALL_S", 0.05)

    async def test() -> None:
        async with relay(tmp_path / "data", send_idle_s=0.2) as running:
            channel, key = await running.channel()
            async with (
                client(running.url, key) as one,
                sender(running.port) as slow,
                sender(running.port) as quick,
            ):
                slow.send(post(f"/{channel.id}", b"slow"))
                first, _ = await one.delivery()
                slow.reader._transport.pause_reading()  # type: ignore[attr-defined]  # it takes nothing
                await one.say(Answer(first.seq, 200, "OK", (), b"", False))
                answering = asyncio.ensure_future(flood(one, first.seq))
                quick.send(post(f"/{channel.id}", b"quick"))
                second, _ = await one.delivery()
                await answering
                await one.answer(second.seq)
                assert (await quick.response()).body == b"done"
                await until(lambda: not running.broker.pending)
                told = [each.code for each in running.events if isinstance(each, ErrorOccurred)]
                assert told == ["sender-slow"]  # once: then its answer is broken off

    async def flood(one: Client, seq: int) -> None:
        for _ in range(200):
            await one.say(AnswerBody(seq, b"x" * 65_536, False))
        await one.say(AnswerBody(seq, b"", True))

    run(test)


def test_a_delivery_that_no_frame_can_hold_does_not_stop_the_others(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            await send(running.port, f"/{channel.id}", b"first")
            for body in (b"x", SpooledBody("f" * 32, 99)):
                headers = ((b"not a name", b""),)
                odd = Arrival(
                    f"{len(str(body)):032x}", NOW_S, "", False, "1.1", "", "GET", "/", headers, body
                )
                await running.broker.append(channel.id, odd)
            await send(running.port, f"/{channel.id}", b"last")
            async with client(running.url, key) as one:
                assert (await one.delivery())[1] == b"first"
                assert await one.expect(Skipped) == Skipped(2, 2, 1, "unreadable")
                assert await one.expect(Skipped) == Skipped(3, 3, 1, "unreadable")
                assert (await one.delivery())[1] == b"last"
                assert running.broker.pending == 2

    run(test)


def test_a_broker_that_cannot_read_ends_the_tunnel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            await send(running.port, f"/{channel.id}", b"x")

            async def fail(*_: object, **__: object) -> None:
                raise RelayError("broker-failed", "the disk is gone")

            monkeypatch.setattr(running.broker, "read", fail)
            async with client(running.url, key) as one:
                assert await one.close_code() == (CloseCode.SHUTTING_DOWN, 4503)
            monkeypatch.setattr(running.broker, "last_before_newest", fail)
            async with socket_to(running.url, key) as one:
                await one.say(Hello(1, "", Mode.CONSUME, 0, 0, 1, 1, "x"))
                assert await one.close_code() == (CloseCode.SHUTTING_DOWN, 4503)

    run(test)


def test_too_many_tunnels_are_refused(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            _, key = await running.channel()
            running.tunnels._max_tunnels = 1
            async with client(running.url, key):
                with pytest.raises(InvalidStatus) as refused:
                    async with socket_to(running.url, key):
                        pass
                assert refused.value.response.status_code == 503

    run(test)
