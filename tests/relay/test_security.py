"""What a relay on the open network withstands: other people's keys, guesses, rubbish in tunnels, browsers, floods."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.relay.harness import (
    Acknowledge,
    Answer,
    Client,
    CloseCode,
    Credit,
    Got,
    Hello,
    Mode,
    TestRelay,
    client,
    post,
    relay,
    run,
    send,
    sender,
    socket_to,
    until,
)
from webhookctl.model import Headers
from webhookctl.relay.channel import Gate, revoked, rotated
from webhookctl.tunnel_protocol import MAX_FRAME_BYTES, Ping, encode

_DEADLINE_S = 60


def without_date(got: Got) -> tuple[int, Headers, bytes]:
    return got.status, tuple(field for field in got.headers if field[0] != b"Date"), got.body


async def refused_key(url: str, key: str) -> tuple[int, bytes]:
    """How the relay answers who wants a tunnel with a key that it does not take."""
    with pytest.raises(InvalidStatus) as error:
        async with socket_to(url, key):
            pass
    return error.value.response.status_code, bytes(error.value.response.body or b"")


# Other people's keys


def test_a_key_reads_answers_and_acknowledges_in_its_own_channel_only(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path) as at:
            mine, my_key = await at.channel("mine")
            theirs, their_key = await at.channel("theirs")
            await send(at.port, f"/{theirs.id}", b"their secret")
            async with client(at.url, their_key, window=0) as them:
                # Numbers of deliveries belong to a channel: what is said of number 1 is said of mine, where it is none.
                for frame in (Acknowledge(1), Answer(1, 200, "OK", (), b"forged", True)):
                    async with client(at.url, my_key) as me:
                        assert await me.silence()
                        await me.connection.send(encode(frame))
                        assert (await me.close_code())[0] is CloseCode.PROTOCOL_ERROR
                assert (await at.broker.counts(theirs.id)).pending == 1
                await them.say(Credit(1, 1000))
                assert (await them.delivery())[1] == b"their secret"
            assert (await at.broker.counts(mine.id)).head == 0

    run(test)


@pytest.mark.parametrize("mode", Mode)
def test_a_key_opens_no_other_channel_by_name_or_id_in_any_mode(tmp_path: Path, mode: Mode) -> None:
    async def test() -> None:
        async with relay(tmp_path) as at:
            _, my_key = await at.channel("mine")
            theirs, _ = await at.channel("theirs")
            for wanted in (theirs.name, theirs.id, theirs.id.upper(), "../theirs"):
                async with socket_to(at.url, my_key) as me:
                    await me.say(Hello(1, wanted, mode, 0, -1, 1, 1000, "x"))
                    assert await me.close_code() == (CloseCode.UNKNOWN_CHANNEL, CloseCode.UNKNOWN_CHANNEL)
            assert not at.broker.is_attended(theirs.id)

    run(test)


# Guesses


def test_all_channels_that_there_are_not_answer_the_same_to_the_byte(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path) as at:
            closed, _ = await at.channel("closed")
            await at.broker.update_channel(closed, revoked(closed))
            expired, _ = await at.channel("expired", expires_at_s=at.clock() - 1)
            removed, _ = await at.channel("removed")
            await at.broker.remove_channel(removed.id)
            paths = [closed.id, expired.id, removed.id, "a" * 26, "closed", "", "admin", ".env"]
            answers = {without_date(await send(at.port, f"/{path}", b"{}")) for path in paths}
            assert [status for status, _, _ in answers] == [404]
            assert [await stored(at, each.id) for each in (closed, expired)] == [0, 0]

    run(test)


def test_all_keys_that_fit_nothing_are_refused_the_same_way(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path) as at:
            channel, key = await at.channel()
            _, other_key = await at.channel("other")
            closed, closed_key = await at.channel("closed")
            await at.broker.update_channel(closed, revoked(closed))
            crossed = key[:27] + other_key[27:]  # the public half of one, the secret of another
            keys = ["", "x", key[:-1], key + "A", crossed, closed_key, f"wck_{channel.key_id}_{'A' * 22}"]
            assert {await refused_key(at.url, each) for each in keys} == {
                (401, b"the channel key is missing or wrong\n")
            }

    run(test)


# Keys that are taken away


@pytest.mark.parametrize("how", ["revoke", "rotate"])
def test_a_key_that_is_taken_away_is_dead_at_once_in_open_tunnels_too(tmp_path: Path, how: str) -> None:
    async def test() -> None:
        async with relay(tmp_path) as at:
            channel, key = await at.channel()
            async with client(at.url, key) as old, client(at.url, key, mode=Mode.OBSERVE) as observer:
                after = revoked(channel) if how == "revoke" else rotated(channel, random_bytes=os.urandom)[0]
                await at.broker.update_channel(channel, after)
                for each in (old, observer):
                    assert await each.close_code() == (CloseCode.REVOKED, CloseCode.REVOKED)
            assert not at.broker.is_attended(channel.id)
            assert (await refused_key(at.url, key))[0] == 401

    run(test)


# Rubbish in a tunnel


def rubbish(random: Random) -> bytes:
    """Bytes that are no frame, or one that is out of place, cut or bent."""
    frames = [
        encode(Hello(1, "theirs", Mode.TAKEOVER, 2**63 - 1, -1, 2**31 - 1, 2**62, "x" * 60)),
        encode(Answer(random.randrange(2**40), 200, "OK", ((b"A", b"b"),), b"x" * 50, True)),
        encode(Acknowledge(random.randrange(2**40))),
        encode(Credit(2**31 - 1, 2**62)),
        encode(Ping(1)),
    ]
    data = bytearray(random.choice([*frames, random.randbytes(random.randrange(300)), b""]))
    for _ in range(random.randrange(4)):
        if data:
            data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data[: random.randrange(len(data) + 1)] if random.random() < 0.3 else data)


async def feed(one: Client, random: Random, theirs: bytes) -> None:
    """Say rubbish until the relay has enough; nothing of others comes back, and its last word is a close code."""
    with suppress(ConnectionClosed):
        for _ in range(20):
            await one.connection.send(rubbish(random))
    await deaf(one, theirs)
    code = one.connection.close_code or 0
    assert 4000 <= code < 5000 or code in (1002, 1006, 1009), code


async def deaf(one: Client, never: bytes = b"\x00 nothing like it") -> None:
    """Hear until the relay ends it."""
    with suppress(ConnectionClosed):
        while True:
            assert never not in await one.connection.recv(decode=False)


def test_rubbish_ends_the_tunnel_it_came_in_and_nothing_else(tmp_path: Path) -> None:
    async def test() -> None:
        random = Random(20261123)
        async with relay(tmp_path) as at:
            _, my_key = await at.channel("mine")
            theirs, their_key = await at.channel("theirs")
            async with client(at.url, their_key) as them:
                for turn in range(60):
                    async with socket_to(at.url, my_key) as one:
                        if turn % 2:
                            await one.say(Hello(1, "", Mode.TAKEOVER, 0, -1, 9, 10**6, f"i{turn}"))
                        await one.connection.send(b"\xff" if turn % 5 == 0 else rubbish(random))
                        await one.connection.send(b"\xff\xff")  # enough, whatever came before
                        await feed(one, random, b"their secret")
                async with sender(at.port) as one_sender:
                    one_sender.send(post(f"/{theirs.id}", b"their secret"))
                    await them.answer_next(b"still here")
                    assert (await one_sender.response()).body == b"still here"
            await until(lambda: at.metrics.tunnels == 0, "the end of all tunnels")

    run(test)


@pytest.mark.parametrize("message", [b"\x00" * (MAX_FRAME_BYTES + 2), "a text message"])
def test_what_is_too_large_or_no_bytes_at_all_ends_the_tunnel(tmp_path: Path, message: bytes | str) -> None:
    async def test() -> None:
        async with relay(tmp_path) as at:
            _, key = await at.channel()
            async with socket_to(at.url, key) as one:
                await one.connection.send(message)
                await deaf(one)
                assert one.connection.close_code in (1009, CloseCode.PROTOCOL_ERROR)

    run(test)


# Limits: each answers as it is documented, and nothing is stored


@pytest.mark.parametrize(
    ("options", "fields", "body", "status", "reason"),
    [
        ({"allowed_networks": ("192.0.2.0/24",)}, (), b"{}", 403, "network"),
        ({"max_body_bytes": 10}, (), b"x" * 11, 413, "too_large"),
        ({"max_pending_bytes": 10}, (), b"x" * 11, 429, "quota"),
        ({"gate": Gate("stripe", "env:X")}, (), b"{}", 401, "signature"),
        ({"gate": Gate("stripe", "env:X")}, ((b"Stripe-Signature", b"t=1,v1=00"),), b"{}", 401, "signature"),
        ({}, ((b"X-Long", b"x" * 70_000),), b"{}", 431, ""),
        ({}, tuple((b"X-%d" % number, b"1") for number in range(400)), b"{}", 431, ""),
        ({}, ((b"Expect", b"a-miracle"),), b"{}", 417, "invalid"),
        ({}, ((b"Upgrade", b"websocket"), (b"Connection", b"upgrade")), b"", 501, "invalid"),
    ],
)
def test_each_limit_at_the_door_answers_in_its_own_way(
    tmp_path: Path, options: dict[str, Any], fields: Headers, body: bytes, status: int, reason: str
) -> None:
    async def test() -> None:
        async with relay(tmp_path) as at:
            channel, _ = await at.channel(**options)
            assert (await send(at.port, f"/{channel.id}", body, fields)).status == status
            assert (await at.broker.counts(channel.id)).head == 0
            if reason:
                assert f'refused_total{{reason="{reason}"}} 1' in at.metrics.render()

    run(test)


def test_above_its_rate_a_channel_sends_away_and_says_when_to_come_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path) as at:
            channel, _ = await at.channel(rate_per_s=0.1, burst=2)
            got = [await send(at.port, f"/{channel.id}", b"{}") for _ in range(3)]
            assert [each.status for each in got] == [202, 202, 429]
            assert got[2].value(b"Retry-After") == b"10"
            assert (await at.broker.counts(channel.id)).head == 2

    run(test)


# Browsers


@pytest.mark.parametrize(
    "fields",
    [((b"Sec-Fetch-Mode", b"navigate"),), ((b"Accept", b"text/html,application/xhtml+xml"),), ()],
)
def test_no_page_of_an_app_becomes_a_page_of_the_relay(tmp_path: Path, fields: Headers) -> None:
    page = b"<script>alert(document.domain)</script>"

    async def test() -> None:
        async with relay(tmp_path) as at:
            channel, key = await at.channel()
            async with client(at.url, key) as one, sender(at.port) as browser:
                browser.send(post(f"/{channel.id}", b"", fields, "GET"))
                delivery, _ = await one.delivery()
                await one.answer(delivery.seq, page, headers=((b"Content-Type", b"text/html"),))
                got = await browser.response()
            assert got.value(b"Content-Security-Policy") == b"sandbox"
            assert got.value(b"X-Content-Type-Options") == b"nosniff"
            if fields:
                assert page not in got.body
                assert got.value(b"Content-Type").startswith(b"text/plain")

    run(test)


# The whole program


_SPY = """
import sys
def spy(event, arguments):
    if event == "socket.connect":
        sys.stderr.write(f"outbound {arguments[1]!r}\\n"); sys.stderr.flush()
    elif event in ("socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
        sys.stderr.write(f"outbound {event} {arguments!r}\\n"); sys.stderr.flush()
sys.addaudithook(spy)
from webhookctl.__main__ import main
main()
"""


def test_the_relay_never_dials_out(tmp_path: Path) -> None:
    """An audit hook (PEP 578) sees every connection, name look-up and process of the running relay."""
    command = [
        "relay",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        str(tmp_path / "d"),
        "--json",
        "--open-channels",
    ]
    environ = {**os.environ, "HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", _SPY, *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environ,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        port = int(url.rpartition(":")[2])

        async def test() -> None:
            fields: Headers = ((b"Content-Type", b"application/json"),)
            made = await send(port, "/.webhookctl/v1/channels", b'{"name":"x"}', fields)
            channel = json.loads(made.body)
            async with client(url, channel["key"]) as one, sender(port) as app:
                app.send(post(f"/{channel['id']}", b'{"callback":"http://192.0.2.1/"}', fields))
                await one.answer_next()
                assert (await app.response()).body == b"done"
            evil: Headers = (
                (b"Referer", b"http://192.0.2.1/"),
                (b"Host", b"192.0.2.1"),
                (b"Forward-To", b"192.0.2.1"),
            )
            for target in (
                "http://192.0.2.1/",
                f"http://192.0.2.1/{channel['id']}",
                f"//192.0.2.1/{channel['id']}",
            ):
                await send(port, target, b"{}", evil)
            await send(port, "/new", b"", (), "GET")
            await send(port, "/.webhookctl/metrics", b"", (), "GET")

        try:
            run(test)
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=_DEADLINE_S)
        assert process.returncode == 130
        # Its own listening address is looked up once; nothing else ever.
        outbound = [line for line in errors.splitlines() if line.startswith("outbound")]
        assert [line for line in outbound if "'127.0.0.1', 0" not in line] == [], outbound


def test_the_spy_of_the_test_above_sees_connections(tmp_path: Path) -> None:
    code = (
        _SPY.partition("from webhookctl")[0] + "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    assert "outbound ('127.0.0.1', 9)" in done.stderr


async def stored(at: TestRelay, channel_id: str) -> int:
    return (await at.broker.counts(channel_id)).head


def test_a_paused_and_revoked_channel_stays_shut(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path) as at:
            channel, _ = await at.channel()
            await at.broker.update_channel(channel, replace(revoked(channel), is_paused=True))
            assert (await send(at.port, f"/{channel.id}", b"{}")).status == 404
            assert await stored(at, channel.id) == 0

    run(test)
