"""The way of a delivery through a relay, as senders and clients see it."""

import asyncio
import hmac
from pathlib import Path

import pytest

from tests.relay.harness import (
    Acknowledge,
    Answer,
    AnswerBody,
    Client,
    client,
    post,
    relay,
    run,
    send,
    sender,
    until,
)
from webhookctl.events import DeliveryAnswered
from webhookctl.model import Headers, Response
from webhookctl.relay.channel import Gate, Policy
from webhookctl.relay.uploads import UploadLimits


def test_a_delivery_reaches_the_client_exactly_and_its_answer_the_sender(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one, sender(running.port) as sending:
                fields: Headers = (
                    (b"X-Twice", b"1"),
                    (b"x-tWICE", b"\xe9 2"),
                    (b"X-Empty", b""),
                    (b"Webhookctl-Attempt", b"7"),
                )
                target = f"/{channel.id}/a%2Fb//c?x=%7E&&y"
                sending.send(post(target, b"\x00\xffbody", fields, "PUT"))
                delivery, body = await one.delivery()
                assert (delivery.seq, delivery.attempt, body) == (1, 1, b"\x00\xffbody")
                assert (delivery.method, delivery.target) == ("PUT", "/a%2Fb//c?x=%7E&&y")
                assert delivery.url == running.url + target
                assert delivery.headers == (
                    (b"Host", b"relay.test"),
                    *fields[:3],
                    (b"Content-Length", b"6"),
                )
                assert delivery.http_version == "1.1"
                assert delivery.peer.startswith("127.0.0.1:")
                said: Headers = (
                    (b"X-B", b"1"),
                    (b"x-b", b"\xff"),
                    (b"Content-Type", b"text/html"),
                    (b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT"),
                    (b"Connection", b"x-hop"),
                    (b"X-Hop", b"1"),
                    (b"Content-Length", b"99"),
                    (b"webhookctl-status", b"forged"),
                )
                await one.say(Answer(1, 418, "Té pot", said, b"\x00\xfe", True))
                got = await sending.response()
                assert (got.status, got.reason, got.body) == (418, "Té pot", b"\x00\xfe")
                assert got.headers == (
                    *said[:4],
                    (b"Content-Length", b"2"),
                    (b"Content-Security-Policy", b"sandbox"),
                    (b"X-Content-Type-Options", b"nosniff"),
                    (b"Webhookctl-Status", b"delivered"),
                    (b"Webhookctl-Delivery-Id", delivery.delivery_id.encode()),
                )
            counts = await running.broker.counts(channel.id)
            assert (counts.head, counts.pending, counts.pending_bytes) == (1, 0, 0)

    run(test)


def test_with_nobody_there_the_sender_hears_at_once_that_it_is_queued(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            got = await send(running.port, f"/{channel.id}/hook", b"one")
            assert (got.status, got.outcome) == (202, "queued")
            async with client(running.url, key) as one:
                assert one.welcome is not None
                assert (one.welcome.head, one.welcome.pending) == (1, 1)
                delivery, body = await one.delivery()
                assert (delivery.target, body) == ("/hook", b"one")
                assert delivery.delivery_id.encode() == got.value(b"Webhookctl-Delivery-Id")

    run(test)


def test_the_policy_unavailable_stores_and_asks_to_come_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, _ = await running.channel(policy=Policy.UNAVAILABLE)
            got = await send(running.port, f"/{channel.id}")
            assert (got.status, got.outcome) == (503, "unavailable")
            assert int(got.value(b"Retry-After")) > 0
            assert (await running.broker.counts(channel.id)).pending == 1

    run(test)


def test_after_the_deadline_the_policy_answers_and_a_late_answer_acknowledges(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel(deadline_s=0.05)
            async with client(running.url, key) as one:
                got = await send(running.port, f"/{channel.id}")
                assert (got.status, got.outcome) == (202, "queued")
                assert (await running.broker.counts(channel.id)).pending == 1
                await one.answer_next()
                await until(lambda: not running.broker.pending, "the acknowledgement")

    run(test)


def test_a_held_sender_waits_until_a_client_comes_and_answers(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel(policy=Policy.HOLD, deadline_s=5.0)
            async with sender(running.port) as sending:
                sending.send(post(f"/{channel.id}"))
                await until(lambda: running.broker.pending)
                running.clock.now_s += 6.0
                async with client(running.url, key) as one:
                    await one.answer_next(b"at last")
                    got = await sending.response()
                    assert (got.status, got.body, got.outcome) == (200, b"at last", "held")

    run(test)


def test_a_held_sender_that_leaves_breaks_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel(policy=Policy.HOLD)
            async with sender(running.port) as sending:
                sending.send(post(f"/{channel.id}", b"x"))
                await until(lambda: running.broker.pending)
                sending.leave()
                await until(lambda: not running.ingress.in_flight)
            async with client(running.url, key) as one:
                await one.answer_next()
                await until(lambda: not running.broker.pending)
            assert [event.outcome for event in running.events if isinstance(event, DeliveryAnswered)] == [
                "left"
            ]

    run(test)


def test_a_sender_that_does_not_wait_loses_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            for size in (3, 300_000):
                async with sender(running.port) as sending:
                    sending.send(post(f"/{channel.id}", b"x" * size))
                    await sending.writer.drain()
                    sending.writer.close()
            async with client(running.url, key) as one:
                bodies = {len((await one.delivery())[1]) for _ in range(2)}
                assert bodies == {3, 300_000}

    run(test)


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "DELETE", "PATCH", "PURGE"])
def test_every_method_is_a_delivery(tmp_path: Path, method: str) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one, sender(running.port) as sending:
                sending.send(post(f"/{channel.id}?a=1", method=method))
                assert (await one.answer_next()).method == method
                assert (await sending.response()).body == b"done"

    run(test)


def test_head_gets_the_length_and_no_body(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one, sender(running.port) as sending:
                for _ in range(2):  # the connection goes on
                    sending.send(post(f"/{channel.id}", method="HEAD"))
                    delivery, _ = await one.delivery()
                    await one.answer(delivery.seq, b"", headers=((b"Content-Length", b"12"),))
                    got = await sending.response(is_head=True)
                    assert (got.status, got.value(b"content-length")) == (200, b"12")

    run(test)


def test_a_body_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, _ = await running.channel(max_body_bytes=1000)
            async with sender(running.port) as sending:
                sending.send(
                    b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" % channel.id.encode()
                )
                got = await sending.response()
                assert (got.status, got.outcome) == (413, "refused")
                assert got.value(b"Connection") == b"close"
            assert running.broker.pending == 0

    run(test)


@pytest.mark.parametrize("size", [2_000, 200_000])
def test_a_chunked_body_over_the_limit_is_refused(tmp_path: Path, size: int) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data", limits=UploadLimits(max_body_bytes=size - 1)) as running:
            channel, _ = await running.channel()
            async with sender(running.port) as sending:
                sending.send(
                    b"POST /%b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
                    % (channel.id.encode(), size, b"x" * size)
                )
                assert (await sending.response()).status == 413
            assert list((tmp_path / "data" / "spool").iterdir()) == []

    run(test)


def test_continue_is_said_only_to_who_is_let_in(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, _ = await running.channel(max_body_bytes=100)
            head = b"POST /%b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
            async with sender(running.port) as sending:
                sending.send(head % (channel.id.encode(), 4))
                assert (await sending.response()).status == 100
                sending.send(b"body")
                assert (await sending.response()).status == 202
            async with sender(running.port) as sending:
                sending.send(head % (channel.id.encode(), 400))
                assert (await sending.response()).status == 413
            async with sender(running.port) as sending:
                sending.send(head % (b"nobody", 4))
                assert (await sending.response()).status == 404

    run(test)


def test_a_body_that_stops_coming_is_given_up_and_nothing_is_stored(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data", limits=UploadLimits(idle_s=0.05)) as running:
            channel, _ = await running.channel()
            for sent in (b"half", b"x" * 100_000):
                async with sender(running.port) as sending:
                    sending.send(
                        b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n%b"
                        % (channel.id.encode(), sent)
                    )
                    assert (await sending.response()).status == 408
            assert running.broker.pending == 0
            assert list((tmp_path / "data" / "spool").iterdir()) == []

    run(test)


@pytest.mark.parametrize("size", [10, 200_000])
def test_a_sender_that_leaves_in_the_middle_of_its_body_leaves_nothing(tmp_path: Path, size: int) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, _ = await running.channel()
            async with sender(running.port) as sending:
                sending.send(
                    b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n%b"
                    % (channel.id.encode(), b"x" * size)
                )
                await until(lambda: running.ingress.in_flight)
                await asyncio.sleep(0.05)
                sending.leave()
                await until(lambda: not running.ingress.in_flight)
            assert running.broker.pending == 0
            assert list((tmp_path / "data" / "spool").iterdir()) == []

    run(test)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")), 501),
        (((b"Expect", b"a miracle"),), 417),
        (((b"X-Long", b"x" * 63_000), (b"X-More", b"x" * 5_000)), 431),
        (((b"X-Too-Long", b"x" * 70_000),), 431),
        (tuple((b"X-%d" % number, b"1") for number in range(300)), 431),
        (((b"Content-Length", b"3"), (b"Content-Length", b"4")), 400),
        (((b"Bad Name", b"1"),), 400),
    ],
)
def test_what_no_channel_takes_is_refused_in_plain_text(tmp_path: Path, fields: Headers, status: int) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, _ = await running.channel()
            got = await send(running.port, f"/{channel.id}", headers=fields, method="GET")
            assert got.status == status
            assert got.value(b"content-type") == b"text/plain; charset=utf-8"
            assert running.broker.pending == 0

    run(test)


def test_a_target_that_is_too_long_is_told_so(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, _ = await running.channel()
            assert (await send(running.port, f"/{channel.id}/{'x' * 70_000}")).status == 414

    run(test)


@pytest.mark.parametrize("path", ["/", "/nothing", "/" + "a" * 26, "/.webhookctl", "*"])
def test_other_paths_are_nobodys(tmp_path: Path, path: str) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            await running.channel()
            got = await send(running.port, path, method="OPTIONS")
            assert (got.status, got.outcome) == (404, "refused")

    run(test)


def test_a_channel_has_a_host_of_its_own_where_there_is_a_domain(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(
            tmp_path / "data", domain="hooks.example.com", public_url="https://hooks.example.com"
        ) as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one, sender(running.port) as sending:
                assert one.welcome is not None
                assert one.welcome.url == f"https://{channel.id}.hooks.example.com"
                host = f"{channel.id}.hooks.example.com".encode()
                sending.send(b"GET /a/%b?b HTTP/1.1\r\nHost: %b\r\n\r\n" % (b"c" * 26, host))
                delivery = await one.answer_next()
                assert delivery.target == f"/a/{'c' * 26}?b"
                assert delivery.url == f"https://{channel.id}.hooks.example.com/a/{'c' * 26}?b"

    run(test)


def test_a_public_url_may_have_a_path(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data", public_url="https://example.com/hooks") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one:
                for path in (f"/hooks/{channel.id}/x", f"/{channel.id}/x"):  # as it is, and with it taken off
                    sending = asyncio.ensure_future(send(running.port, path))
                    delivery = await one.answer_next()
                    await sending
                    assert delivery.target == "/x"
                    assert delivery.url == f"https://example.com/hooks/{channel.id}/x"

    run(test)


def test_what_a_trusted_proxy_says_of_the_sender_is_believed(tmp_path: Path) -> None:
    async def test() -> None:
        for proxies, peer in ((("127.0.0.0/8",), "203.0.113.9"), ((), "127.0.0.1")):
            async with relay(tmp_path / f"data-{peer}", trusted_proxies=proxies) as running:
                channel, key = await running.channel()
                forwarded: Headers = ((b"X-Forwarded-For", b"203.0.113.9"), (b"X-Forwarded-Proto", b"https"))
                await send(running.port, f"/{channel.id}", headers=forwarded)
                async with client(running.url, key) as one:
                    delivery, _ = await one.delivery()
                    assert delivery.peer.partition(":")[0] == peer
                    assert delivery.is_tls is bool(proxies)

    run(test)


@pytest.mark.parametrize(
    ("method", "fields"),
    [("GET", ((b"Accept", b"text/html,*/*"),)), ("POST", ((b"Sec-Fetch-Mode", b"navigate"),))],
)
def test_a_browser_gets_a_notice_and_never_the_page(tmp_path: Path, method: str, fields: Headers) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one, sender(running.port) as sending:
                sending.send(post(f"/{channel.id}", headers=fields, method=method))
                delivery, _ = await one.delivery()
                page: Headers = ((b"Content-Type", b"text/html"), (b"Location", b"https://evil.example.com"))
                await one.answer(delivery.seq, b"<h1>Sign in</h1>", 302, page)
                got = await sending.response()
                assert got.status == 200
                assert got.value(b"content-type") == b"text/plain; charset=utf-8"
                assert got.values(b"location") == []
                assert b"Sign in" not in got.body
                assert b"302" in got.body

    run(test)


def test_a_canned_answer_is_given_once_the_delivery_is_stored(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            canned = Response(200, "", ((b"Content-Type", b"application/json"),), b'{"ok":true}')
            channel, key = await running.channel(canned=canned)
            async with client(running.url, key) as one:
                got = await send(running.port, f"/{channel.id}")
                assert (got.status, got.body, got.outcome) == (200, b'{"ok":true}', "queued")
                await one.answer_next(b"unheard")
                await until(lambda: not running.broker.pending)

    run(test)


def test_a_paused_channel_stores_and_sends_when_it_goes_on(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one:
                paused = await running.change(channel, is_paused=True)
                assert (await send(running.port, f"/{channel.id}", b"1")).status == 202
                assert await one.silence()
                await running.change(paused, is_paused=False)
                assert (await one.delivery())[1] == b"1"

    run(test)


def test_a_skipped_delivery_answers_its_sender(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one, sender(running.port) as sending:
                sending.send(post(f"/{channel.id}"))
                delivery, _ = await one.delivery()
                await one.say(Acknowledge(delivery.seq))
                got = await sending.response()
                assert (got.status, got.outcome) == (202, "delivered")

    run(test)


@pytest.mark.parametrize("fields", [(), ((b"Content-Length", b"150000"),)])
def test_a_large_answer_comes_whole(tmp_path: Path, fields: Headers) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one, sender(running.port) as sending:
                for _ in range(2):  # the connection goes on
                    sending.send(post(f"/{channel.id}"))
                    delivery, _ = await one.delivery()
                    await one.say(
                        Answer(delivery.seq, 200, "OK", fields, b"a" * 50_000, False),
                        AnswerBody(delivery.seq, b"b" * 50_000, False),
                        AnswerBody(delivery.seq, b"c" * 50_000, True),
                    )
                    got = await sending.response()
                    assert got.body == b"a" * 50_000 + b"b" * 50_000 + b"c" * 50_000
                    assert bool(got.values(b"transfer-encoding")) is not bool(fields)
                await until(lambda: not running.broker.pending)

    run(test)


def test_an_answer_of_unknown_length_ends_with_the_connection_for_http_10(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one, sender(running.port) as sending:
                sending.send(b"GET /%b HTTP/1.0\r\nHost: x\r\n\r\n" % channel.id.encode())
                delivery, _ = await one.delivery()
                assert delivery.http_version == "1.0"
                await one.say(
                    Answer(delivery.seq, 200, "OK", (), b"a", False), AnswerBody(delivery.seq, b"b", True)
                )
                got = await sending.response()
                assert (got.body, got.value(b"connection")) == (b"ab", b"close")

    run(test)


@pytest.mark.parametrize("pieces", [[b"too", b" much"], [b"few"]])
def test_an_answer_that_is_not_as_long_as_it_says_is_broken_off(tmp_path: Path, pieces: list[bytes]) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one, sender(running.port) as sending:
                sending.send(post(f"/{channel.id}"))
                delivery, _ = await one.delivery()
                await one.say(Answer(delivery.seq, 200, "OK", ((b"Content-Length", b"5"),), b"", False))
                for number, piece in enumerate(pieces, 1):
                    await one.say(AnswerBody(delivery.seq, piece, number == len(pieces)))
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await sending.response()

    run(test)


def test_an_answer_that_its_client_does_not_end_is_broken_off_and_the_delivery_comes_again(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with sender(running.port) as sending:
                async with client(running.url, key) as one:
                    sending.send(post(f"/{channel.id}"))
                    delivery, _ = await one.delivery()
                    await one.say(Answer(delivery.seq, 200, "OK", (), b"begun", False))
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await sending.response()
            async with client(running.url, key) as one:
                again, _ = await one.delivery()
                assert (again.seq, again.attempt, again.delivery_id) == (1, 2, delivery.delivery_id)

    run(test)


def test_a_status_that_ends_no_request_becomes_502(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one, sender(running.port) as sending:
                sending.send(post(f"/{channel.id}"))
                delivery, _ = await one.delivery()
                await one.answer(delivery.seq, b"", 101)
                assert (await sending.response()).status == 502

    run(test)


def test_a_full_channel_sends_senders_away_until_there_is_room(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel(max_pending=2, max_pending_bytes=400_000)
            assert [(await send(running.port, f"/{channel.id}", b"x")).status for _ in range(3)] == [
                202,
                202,
                429,
            ]
            async with client(running.url, key) as one:
                await one.answer_next()
                await one.answer_next()
                await until(lambda: not running.broker.pending)
            async with sender(
                running.port
            ) as sending:  # no length is announced, so it is found out on the way
                body = b"%x\r\n%b\r\n0\r\n\r\n" % (500_000, b"x" * 500_000)
                sending.send(
                    b"POST /%b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%b"
                    % (channel.id.encode(), body)
                )
                got = await sending.response()
                assert got.status == 429
                assert got.values(b"Retry-After")

    run(test)


def test_a_gate_looks_at_large_bodies_too_and_leaves_nothing_of_what_it_refuses(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, _ = await running.channel(gate=Gate("github", "env:SECRET"))
            for body in (b"x" * 9, b"x" * 300_000):
                signature = hmac.new(b"s3cret", body, "sha256").hexdigest().encode()
                for given, status in ((signature, 202), (b"0" * 64, 401)):
                    fields: Headers = ((b"X-Hub-Signature-256", b"sha256=" + given),)
                    assert (await send(running.port, f"/{channel.id}", body, fields)).status == status
            assert (await running.broker.counts(channel.id)).pending == 2
            assert len(list((tmp_path / "data" / "spool").iterdir())) == 1

    run(test)


def test_a_target_in_absolute_form_is_taken_as_it_is_meant(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            url = f"http://relay.test/{channel.id}/a?b"
            await send(running.port, url)
            async with client(running.url, key) as one:
                delivery, _ = await one.delivery()
                assert (delivery.target, delivery.url) == ("/a?b", url)

    run(test)


def test_a_sender_that_pauses_gets_all_of_a_large_answer(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one, sender(running.port) as slow:
                slow.send(post(f"/{channel.id}"))
                delivery, _ = await one.delivery()
                transport = slow.writer.transport
                assert isinstance(transport, asyncio.Transport)
                transport.pause_reading()
                flooding = asyncio.ensure_future(flood(one, delivery.seq))
                await asyncio.sleep(0.1)
                transport.resume_reading()
                assert len((await slow.response()).body) == 200 * 65_536
                await flooding
                await until(lambda: not running.broker.pending)

    async def flood(one: Client, seq: int) -> None:
        await one.say(Answer(seq, 200, "OK", (), b"", False))
        for number in range(200):
            await one.say(AnswerBody(seq, b"x" * 65_536, number == 199))

    run(test)


def test_a_sender_that_takes_nothing_is_given_up(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data", send_idle_s=0.05) as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one, sender(running.port) as slow:
                slow.send(post(f"/{channel.id}"))
                delivery, _ = await one.delivery()
                transport = slow.writer.transport
                assert isinstance(transport, asyncio.Transport)
                transport.pause_reading()
                await one.say(Answer(delivery.seq, 200, "OK", (), b"", False))
                for number in range(200):
                    await one.say(AnswerBody(delivery.seq, b"x" * 65_536, number == 199))
                await until(lambda: not running.broker.pending)  # it is done all the same
                await until(lambda: not running.ingress.in_flight)

    run(test)
