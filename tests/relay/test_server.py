"""The port itself: peers that dawdle, crowds, TLS, and what is told of it all."""

import asyncio
import logging
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from tests.relay.harness import client, post, relay, run, send, sender, socket_to, until
from webhookctl.errors import UsageError
from webhookctl.events import DeliveryRefused
from webhookctl.relay.connection import Doorway
from webhookctl.relay.server import Front, server_tls
from webhookctl.tunnel_protocol import Hello, Mode, Welcome


@pytest.mark.parametrize("start", [b"POST /x HTTP/1.1\r\nHost", b"\r\n", b"GET"])
def test_who_does_not_finish_a_head_is_sent_away(tmp_path: Path, start: bytes) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running, sender(running.port) as slow:
            slow.send(start)
            await until(lambda: any(each._head_since_s for each in running.doorway.connections))
            now_s = asyncio.get_running_loop().time()
            running.doorway.check_time(now_s + 9.0)
            assert running.doorway.connections
            running.doorway.check_time(now_s + 11.0)
            assert (await slow.response()).status == 408
            assert await slow.reader.read() == b""

    run(test)


def test_a_head_without_an_end_is_cut_off(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running, sender(running.port) as endless:
            endless.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
            for number in range(40):
                endless.send(b"X-%d: %b\r\n" % (number, b"x" * 5_000))
                await asyncio.sleep(0.002)
            assert (await endless.response()).status == 431

    run(test)


def test_a_head_in_pieces_is_a_head(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running, sender(running.port) as slow:
            channel, _ = await running.channel()
            for byte in post(f"/{channel.id}", b"body"):
                slow.send(bytes([byte]))
                await asyncio.sleep(0)
            assert (await slow.response()).status == 202
            assert not any(each._head_since_s for each in running.doorway.connections)

    run(test)


def test_more_connections_than_allowed_are_turned_away(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data", max_connections=2) as running:
            channel, _ = await running.channel()
            async with sender(running.port), sender(running.port):
                await until(lambda: len(running.doorway.connections) == 2)
                async with sender(running.port) as third:
                    got = await third.response()
                    assert (got.status, got.value(b"Retry-After")) == (503, b"5")
            await until(lambda: not running.doorway.connections)
            assert (await send(running.port, f"/{channel.id}")).status == 202

    run(test)


def test_one_network_takes_no_more_than_its_share() -> None:
    async def test() -> None:
        doorway = Doorway(lambda _: None, max_per_network=1)
        server = Front(doorway, tls=None)._connections
        ends = [socket.socketpair() for _ in range(3)]
        hosts = ["2001:db8::1", "2001:db8::2", "2001:db9::1"]  # the first two share a /64
        connections = [server() for _ in ends]
        for (near, _), host, connection in zip(ends, hosts, connections, strict=True):
            connection._cache["peername"] = (host, 9)
            await asyncio.get_running_loop().connect_accepted_socket(lambda made=connection: made, near)  # type: ignore[misc]
        assert [each._force_close for each in connections] == [False, True, False]
        for _, far in ends:
            far.close()
        await until(lambda: not doorway.connections)
        assert not doorway.by_network

    run(test)


def test_over_tls_everything_is_the_same(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def test() -> None:
        tls = server_tls(str(tmp_path / "both.pem"), str(tmp_path / "both.pem"))
        async with relay(tmp_path / "data", tls=tls) as running:
            assert running.url.startswith("https://")
            channel, key = await running.channel()
            async with socket_to(running.url, key, context=context) as one:
                await one.say(Hello(1, "", Mode.CONSUME, 0, -1, 9, 1 << 20, "x"))
                await one.expect(Welcome)
                async with sender(running.port, context=context) as sending:
                    sending.send(post(f"/{channel.id}", b"x" * 200_000))
                    delivery, body = await one.delivery()
                    assert (delivery.is_tls, len(body)) == (True, 200_000)
                    await one.answer(delivery.seq)
                    assert (await sending.response()).status == 200

    run(test)


def test_certificates_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as unusable:
        server_tls(str(tmp_path / "none.pem"), str(tmp_path / "none.key"))
    assert unusable.value.code == "tls-unusable"


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            for host, port, code in (
                ("127.0.0.1", running.port, "port-in-use"),
                ("192.0.2.1", 0, "address-unusable"),
                ("x" * 64, 0, "address-unusable"),
                ("127.0.0.1", 99_999, "address-unusable"),
            ):
                with pytest.raises(UsageError) as refused:
                    await Front(Doorway(lambda _: None), tls=None).bind(host, port)
                assert refused.value.code == code

    run(test)


def test_bytes_that_are_no_request_cost_one_line_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            problems: list[str] = []
            running.doorway.on_problem = problems.append
            for data in (b"\x16\x03\x01\x02\x00\x01\x00", b"\x00\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
                async with sender(running.port) as one:
                    one.send(data)
                    assert (await one.response()).status == 400
            assert len(problems) == 3
            assert all(
                line.startswith("answered 400 to 127.0.0.1:") and "\n" not in line for line in problems
            )

    with caplog.at_level(logging.DEBUG, "aiohttp"):
        run(test)
    assert not [record for record in caplog.records if record.name.startswith(("aiohttp", "webhookctl"))]
    assert capsys.readouterr() == ("", "")


def test_a_failure_of_ours_is_a_500_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, _ = await running.channel()
            problems: list[str] = []
            running.doorway.on_problem = problems.append
            monkeypatch.setattr(running.broker, "counts", None)
            assert (await send(running.port, f"/{channel.id}")).status == 500
            assert len(problems) == 1
            assert "TypeError" in problems[0]

    run(test)


def test_own_paths_never_reach_a_channel(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one:
                got = await send(running.port, f"/.webhookctl/{channel.id}")
                assert (got.status, got.body) == (404, b"page")
                assert await one.silence(0.02)
            assert not [event for event in running.events if isinstance(event, DeliveryRefused)]

    run(test)


def test_requests_on_one_connection_are_answered_in_turn(tmp_path: Path) -> None:
    async def test() -> None:
        async with relay(tmp_path / "data") as running:
            channel, key = await running.channel()
            async with client(running.url, key) as one, sender(running.port) as sending:
                sending.send(b"".join(post(f"/{channel.id}", b"%d" % number) for number in range(5)))
                for number in range(5):
                    delivery, body = await one.delivery()
                    assert body == b"%d" % number
                    await one.answer(delivery.seq, body)
                assert [(await sending.response()).body for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]

    run(test)
