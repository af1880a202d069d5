"""The listener among bad, slow and many peers: each is answered once, told of once, and stops nobody else."""

import asyncio
import re
import resource
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.net.wires import LOOPS, Taker, peer, run, until
from tests.net.wires import listener as listening
from webhookctl.errors import UsageError
from webhookctl.model import Capture, Response
from webhookctl.net.listener import ListenerLimits, server_tls

HOST = b"Host: app.example.com\r\n"
GOOD = b"POST /good HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\nhi"
CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
QUICK = ListenerLimits(
    max_body_bytes=1_000, head_s=0.05, body_idle_s=0.05, body_s=0.3, idle_s=0.3, sweep_s=0.01
)


def post(
    *fields: bytes, target: bytes = b"/", version: bytes = b"1.1", host: bytes = HOST, body: bytes = b""
) -> bytes:
    head = b"POST " + target + b" HTTP/" + version + b"\r\n" + host
    return head + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


def answered(data: bytes, *, limits: ListenerLimits = QUICK, loop: str = "asyncio") -> tuple[bytes, Taker]:
    """Everything the peer is told that sends `data`, until the listener closes; what came of it."""
    taker = Taker()

    async def scene() -> bytes:
        async with (
            listening(taker.deliver, limits=limits, on_refused=taker.refuse) as listener,
            peer(listener.url) as sender,
        ):
            sender.send(data)
            return await sender.rest()

    return run(scene(), loop), taker


REFUSED = {
    "length and chunked": (400, post(b"Content-Length: 3", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    "chunked and length": (400, post(b"Transfer-Encoding: chunked", b"Content-Length: 3", body=b"0\r\n\r\n")),
    "length twice, the same": (400, post(b"Content-Length: 2", b"Content-Length: 2", body=b"hi")),
    "length twice, different": (400, post(b"Content-Length: 2", b"Content-Length: 3", body=b"hi!")),
    "length list": (400, post(b"Content-Length: 2, 2", body=b"hi")),
    "length -1": (400, post(b"Content-Length: -1")),
    "length +2": (400, post(b"Content-Length: +2", body=b"hi")),
    "length 0x2": (400, post(b"Content-Length: 0x2", body=b"hi")),
    "length 2_0": (400, post(b"Content-Length: 2_0")),
    "length empty": (400, post(b"Content-Length:")),
    "length huge": (400, post(b"Content-Length: " + b"9" * 40)),
    "length over the cap": (413, post(b"Content-Length: 1001")),
    "coding unknown": (501, post(b"Transfer-Encoding: gzip")),
    "coding identity": (501, post(b"Transfer-Encoding: identity")),
    "coding xchunked": (501, post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n")),
    "coding twice": (400, post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")),
    "coding gzip, chunked": (501, post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")),
    "coding chunked, gzip": (400, post(b"Transfer-Encoding: chunked, gzip")),
    "coding empty": (400, post(b"Transfer-Encoding:")),
    "coding in 1.0": (400, post(b"Transfer-Encoding: chunked", version=b"1.0", body=b"0\r\n\r\n")),
    "bare LF": (400, b"POST / HTTP/1.1\n" + HOST + b"\r\n"),
    "bare LF after a field": (400, post(b"A: b\nC: d")),
    "bare CR in a field": (400, post(b"A: b\rC: d")),
    "folded": (400, post(b"A: b\r\n c")),
    "folded with tab": (400, post(b"A: b\r\n\tc")),
    "folded framing": (400, post(b"Transfer-Encoding:\r\n chunked")),
    "space before colon": (400, post(b"A : b")),
    "space in front": (400, b"POST / HTTP/1.1\r\n A: b\r\n" + HOST + b"\r\n"),
    "no colon": (400, post(b"nothing")),
    "no name": (400, post(b": x")),
    "name not ASCII": (400, post(b"A\xe9: x")),
    "NUL in a value": (400, post(b"A: b\0c")),
    "NUL in a name": (400, post(b"A\0: c")),
    "NUL in the target": (400, post(target=b"/\0")),
    "tab in the target": (400, post(target=b"/a\tb")),
    "DEL in a target over 0x7F": (400, post(target=b"/\xe9\x7f")),
    "no target": (400, post(target=b"\xe9")),
    "no host": (400, post(host=b"")),
    "two hosts": (400, post(b"host: app.example.com")),
    "chunk size not hex": (400, CHUNKED + b"0x3\r\nabc\r\n"),
    "chunk size negative": (400, CHUNKED + b"-3\r\nabc\r\n"),
    "chunk size huge": (400, CHUNKED + b"f" * 17 + b"\r\n"),
    "chunk size with bare LF": (400, CHUNKED + b"3\nabc\r\n"),
    "chunk without its end": (400, CHUNKED + b"3\r\nabcXX"),
    "chunks over the cap": (413, CHUNKED + b"3e9\r\n" + b"x" * 1_001 + b"\r\n0\r\n\r\n"),
    "chunks of nothing": (400, CHUNKED + b"1;" + b"x" * 400_000 + b"\r\nx\r\n"),
    "endless trailers": (400, CHUNKED + b"0\r\nA: " + b"x" * 400_000),
    "version 2": (505, post(version=b"2.0")),
    "version 0.9": (505, b"GET /\r\n\r\n"),
    "version 1.2": (400, post(version=b"1.2")),
    "preface of HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "method in lower case": (400, b"post / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "garbage": (400, b"\xff" * 100),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "CONNECT": (501, b"CONNECT example.org:443 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "WebSocket": (501, b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"),
    "another expectation": (417, post(b"Expect: miracles", b"Content-Length: 2")),
    "expected too much": (413, post(b"Expect: 100-continue", b"Content-Length: 1001")),
    "long target": (414, post(target=b"/" + b"x" * 66_000)),
    "long target, endless": (414, b"POST /" + b"x" * 400_000),
    "long target over 0x7F": (414, b"POST /\xe9" + b"x" * 400_000),
    "large field": (431, post(b"A: " + b"x" * 66_000)),
    "large field, endless": (431, b"POST / HTTP/1.1\r\n" + HOST + b"A: b\r\nB: " + b"x" * 400_000),
    "many fields": (431, post(*[b"A: b"] * 256)),
    "half a head": (408, b"POST / HTTP/1.1\r\nHo"),
    "half a method": (408, b"PO"),
    "half a target over 0x7F": (408, b"POST /\xe9"),
    "half a body": (408, post(b"Content-Length: 3", body=b"ab")),
    "half a chunk": (408, CHUNKED + b"3\r\nab"),
    "no body": (408, post(b"Content-Length: 3")),
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", REFUSED)
def test_a_bad_request_is_refused_once_and_never_delivered(kind: str, loop: str) -> None:
    status, data = REFUSED[kind]
    answer, taker = answered(data, loop=loop)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert head.endswith(b"\r\nConnection: close")
    assert b"Content-Type: text/plain; charset=utf-8\r\n" in head
    assert body.endswith(b"\n")
    assert b"HTTP/1.1" not in body.replace(b"valid HTTP/1.1", b"").replace(b"speaks HTTP/1.1", b"")
    assert taker.captures == []
    ((told, why),) = taker.refused
    assert told == status
    assert why.startswith("127.0.0.1:")
    assert why.isprintable()


def test_expecting_a_body_that_is_too_large_is_refused_before_it_is_sent() -> None:
    answer, _ = answered(REFUSED["expected too much"][1])
    assert b"100 Continue" not in answer


def test_http_1_0_expects_no_interim_answer() -> None:
    answer, _ = answered(post(b"Expect: 100-continue", b"Content-Length: 2", version=b"1.0", body=b"hi"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_break_the_listener(data: bytes, is_after_a_good_one: bool) -> None:
    taker = Taker()

    async def scene() -> bytes:
        async with listening(taker.deliver, limits=QUICK, on_refused=taker.refuse) as listener:
            async with peer(listener.url) as sender:
                sender.send((GOOD if is_after_a_good_one else b"") + data)
                sender.writer.write_eof()
                await sender.rest()
            async with peer(listener.url) as sender:
                sender.send(GOOD)
                return await sender.response()

    assert run(scene()).startswith(b"HTTP/1.1 200 OK")


def test_the_requests_before_a_bad_one_are_answered_first() -> None:
    taker = Taker()

    async def scene() -> bytes:
        taker.hold = asyncio.Event()
        async with (
            listening(taker.deliver, limits=QUICK, on_refused=taker.refuse) as listener,
            peer(listener.url) as sender,
        ):
            sender.send(GOOD + GOOD + b"\xff\r\n\r\n")
            await until(lambda: bool(taker.refused))
            await asyncio.sleep(0.1)  # longer than any sweep would leave a refused peer, were nobody waiting
            taker.hold.set()
            return await sender.rest()

    answer = run(scene())
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"200", b"200", b"400"]
    assert len(taker.captures) == 2


def test_a_peer_that_goes_away_in_the_middle_of_a_body_is_told_of_once() -> None:
    taker = Taker()

    async def scene() -> None:
        async with listening(taker.deliver, on_refused=taker.refuse) as listener:
            async with peer(listener.url) as sender:
                sender.send(post(b"Content-Length: 9", body=b"abc"))
                await sender.writer.drain()
                await asyncio.sleep(0.02)
            await until(lambda: bool(taker.refused))

    run(scene())
    ((status, why),) = taker.refused
    assert status == 400
    assert "in the middle of a request" in why
    assert taker.captures == []


def test_a_peer_that_comes_and_goes_without_a_word_is_not_told_of() -> None:
    taker = Taker()

    async def scene() -> None:
        async with listening(taker.deliver, on_refused=taker.refuse) as listener:
            for data in (b"", b"\r\n\r\n", GOOD):
                async with peer(listener.url) as sender:
                    sender.send(data)
                    if data == GOOD:
                        await sender.response()
                    sender.writer.write_eof()
                    await sender.rest()

    run(scene())
    assert taker.refused == []


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_peer_that_only_stops_sending_still_gets_its_answers(count: int, loop: str) -> None:
    taker = Taker()

    async def scene() -> bytes:
        taker.hold = asyncio.Event()
        async with (
            listening(taker.deliver, on_refused=taker.refuse) as listener,
            peer(listener.url) as sender,
        ):
            sender.send(GOOD * count)
            sender.writer.write_eof()
            await until(lambda: bool(taker.captures))
            await asyncio.sleep(0.05)
            taker.hold.set()
            return await sender.rest()

    assert run(scene(), loop).count(b"HTTP/1.1 200 OK") == count


def test_a_slow_body_may_take_its_time_but_not_for_ever() -> None:
    taker = Taker()

    async def scene() -> bytes:
        async with (
            listening(taker.deliver, limits=QUICK, on_refused=taker.refuse) as listener,
            peer(listener.url) as sender,
        ):
            sender.send(post(b"Content-Length: 1000"))
            while not taker.refused:
                sender.send(b"x")
                await asyncio.sleep(0.01)
            return await sender.response()

    assert run(scene()).startswith(b"HTTP/1.1 408 Request Timeout")
    assert taker.refused[0][1].endswith("the body did not arrive within 0.3 s")


def test_an_idle_connection_is_closed_without_a_word() -> None:
    answer, taker = answered(GOOD)
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    assert taker.refused == []


def test_a_peer_whose_request_is_being_delivered_is_not_idle() -> None:
    taker = Taker()

    async def scene() -> bytes:
        taker.hold = asyncio.Event()
        async with listening(taker.deliver, limits=QUICK) as listener, peer(listener.url) as sender:
            sender.send(GOOD)
            await asyncio.sleep(2 * QUICK.idle_s)
            taker.hold.set()
            return await sender.response()

    assert run(scene()).startswith(b"HTTP/1.1 200 OK")


def test_a_request_that_waits_for_the_one_before_it_does_not_run_out_of_time() -> None:
    taker = Taker()

    async def scene() -> list[bytes]:
        taker.hold = asyncio.Event()
        async with (
            listening(taker.deliver, limits=QUICK, on_refused=taker.refuse) as listener,
            peer(listener.url) as sender,
        ):
            sender.send(GOOD + GOOD + GOOD[:10])
            await asyncio.sleep(4 * QUICK.head_s)
            sender.send(GOOD[10:])
            taker.hold.set()
            return [await sender.response() for _ in range(3)]

    assert all(answer.startswith(b"HTTP/1.1 200") for answer in run(scene()))
    assert taker.refused == []


def test_an_expectation_behind_another_request_is_met_in_its_turn() -> None:
    taker = Taker()

    async def scene() -> list[bytes]:
        taker.hold = asyncio.Event()
        async with listening(taker.deliver) as listener, peer(listener.url) as sender:
            sender.send(GOOD + post(b"Expect: 100-continue", b"Content-Length: 2"))
            await until(lambda: bool(taker.captures))
            taker.hold.set()
            answers = [await sender.response(), await sender.response()]
            sender.send(b"hi")
            return [*answers, await sender.response()]

    assert [answer[9:12] for answer in run(scene())] == [b"200", b"100", b"200"]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_peer_that_takes_no_answers_is_held_back_and_then_cut_off(loop: str) -> None:
    taker = Taker(Response(200, "OK", (), b"x" * 300_000))
    count = 300

    async def scene() -> int:
        async with listening(taker.deliver, limits=QUICK, on_refused=taker.refuse) as listener:
            host, port = listener.url.rpartition("//")[2].split(":")
            with socket.socket() as raw:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                raw.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(raw, (host, int(port)))
                await loop.sock_sendall(raw, GOOD * count)
                while True:
                    await asyncio.sleep(0.02)
                    before = len(taker.captures)
                    await asyncio.sleep(0.3)
                    if len(taker.captures) == before:
                        break
                delivered = len(taker.captures)
                await asyncio.sleep(0.5)
                # Another sender is served all the while.
                async with peer(listener.url) as sender:
                    sender.send(GOOD)
                    await sender.response()
                # What the kernel still held arrives; then the connection is at its end.
                with suppress(ConnectionError):
                    while await loop.sock_recv(raw, 1 << 20):
                        pass
                return delivered

    assert run(scene(), loop) < count / 2


def test_over_the_cap_a_connection_is_told_to_come_back() -> None:
    taker = Taker()

    async def scene() -> list[bytes]:
        limits = ListenerLimits(max_connections=2)
        async with (
            listening(taker.deliver, limits=limits, on_refused=taker.refuse) as listener,
            peer(listener.url) as first,
            peer(listener.url) as second,
        ):
            second.send(GOOD)
            answers = [await second.response()]
            async with peer(listener.url) as third:
                third.send(GOOD)
                answers.append(await third.rest())
            first.send(GOOD)
            return [*answers, await first.response()]

    good, refused, also_good = run(scene())
    assert good.startswith(b"HTTP/1.1 200")
    assert also_good.startswith(b"HTTP/1.1 200")
    assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nRetry-After: 1\r\n" in refused
    assert [status for status, _ in taker.refused] == [503]


def test_a_thousand_idle_connections_stop_no_delivery() -> None:
    count = 1_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4_096)), hard))
    taker = Taker()

    async def scene() -> bytes:
        async with listening(taker.deliver) as listener:
            host, port = listener.url.rpartition("//")[2].split(":")
            loop = asyncio.get_running_loop()
            idle = []
            try:
                for _ in range(count):
                    raw = socket.socket()
                    idle.append(raw)
                    raw.setblocking(False)
                    await loop.sock_connect(raw, (host, int(port)))
                async with peer(listener.url) as sender:
                    sender.send(GOOD)
                    return await sender.response()
            finally:
                for raw in idle:
                    raw.close()

    assert run(scene()).startswith(b"HTTP/1.1 200")


def test_a_delivery_that_fails_within_is_answered_500_and_told_of() -> None:
    taker = Taker()

    async def fail(_: Capture) -> Response:
        raise RuntimeError("boom")

    async def scene() -> list[bytes]:
        async with listening(fail, on_refused=taker.refuse) as listener, peer(listener.url) as sender:
            sender.send(GOOD)
            first = await sender.response()
            sender.send(GOOD)
            return [first, await sender.response()]

    assert [answer[9:12] for answer in run(scene())] == [b"500", b"500"]
    assert taker.refused == [(500, "webhookctl failed on a delivery: RuntimeError('boom')")] * 2


@pytest.mark.parametrize("loop", LOOPS)
def test_stopping_waits_for_the_answers_under_way_however_long_they_are(loop: str) -> None:
    taker = Taker(Response(200, "OK", (), b"x" * 20_000_000))

    async def scene() -> tuple[int, bytes, bytes]:
        taker.hold = asyncio.Event()
        async with (
            listening(taker.deliver) as listener,
            peer(listener.url) as sender,
            peer(listener.url) as idle,
        ):
            sender.send(GOOD)
            await until(lambda: bool(taker.captures))
            stopping = asyncio.ensure_future(listener.stop(timeout_s=10))
            await asyncio.sleep(0.02)
            assert not stopping.done()
            taker.hold.set()
            answer = await sender.rest()
            return await stopping, answer, await idle.rest()

    left, answer, nothing = run(scene(), loop)
    assert left == 0
    assert len(answer) > 20_000_000
    assert b"\r\nConnection: close\r\n" in answer[:100]
    assert nothing == b""


def test_stopping_gives_up_after_its_time_and_says_how_many_are_left() -> None:
    taker = Taker()

    async def scene() -> int:
        taker.hold = asyncio.Event()
        async with listening(taker.deliver) as listener, peer(listener.url) as sender:
            sender.send(GOOD)
            await until(lambda: bool(taker.captures))
            left = await listener.stop(timeout_s=0.05)
            taker.hold.set()
            return left

    assert run(scene()) == 1


def test_a_request_that_is_complete_only_after_the_stop_is_sent_away() -> None:
    taker = Taker()

    async def scene() -> bytes:
        taker.hold = asyncio.Event()
        async with (
            listening(taker.deliver) as listener,
            peer(listener.url) as one,
            peer(listener.url) as late,
        ):
            one.send(GOOD)
            late.send(GOOD[:10])
            await until(lambda: bool(taker.captures))
            await asyncio.sleep(0.02)
            stopping = asyncio.ensure_future(listener.stop(timeout_s=5))
            await asyncio.sleep(0)
            late.send(GOOD[10:])
            answer = await late.rest()
            taker.hold.set()
            await stopping
            return answer

    answer = run(scene())
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1" in answer
    assert len(taker.captures) == 1


def test_the_capture_says_when_from_whom_and_how() -> None:
    _, taker = answered(GOOD)
    (capture,) = taker.captures
    assert capture.received_at_s == 1_767_225_600.0
    assert capture.peer.startswith("127.0.0.1:")
    assert (capture.is_tls, capture.http_version) == (False, "1.1")


def test_over_ipv6_the_url_and_the_peer_have_brackets() -> None:
    taker = Taker()

    async def scene() -> str:
        async with listening(taker.deliver, host="::1") as listener, peer(listener.url) as sender:
            sender.send(GOOD)
            await sender.response()
            return listener.url

    assert run(scene()).startswith("http://[::1]:")
    assert taker.captures[0].peer.startswith("[::1]:")


@pytest.mark.parametrize("loop", LOOPS)
def test_over_tls_deliveries_are_taken_and_a_plain_peer_is_not(loop: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    certificate.write_bytes(made.cert_chain_pems[0].bytes())
    key.write_bytes(made.private_key_pem.bytes())
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    taker = Taker()

    async def scene() -> tuple[bytes, bytes]:
        tls = server_tls(str(certificate), str(key))
        async with listening(taker.deliver, tls=tls) as listener:
            assert listener.url.startswith("https://127.0.0.1:")
            async with peer(listener.url) as plain:
                plain.send(GOOD)
                nothing = await plain.rest()
            async with peer(listener.url, tls=trusting) as sender:
                sender.send(GOOD)
                return nothing, await sender.response()

    nothing, answer = run(scene(), loop)
    assert not nothing.startswith(b"HTTP")
    assert answer.startswith(b"HTTP/1.1 200")
    assert [capture.is_tls for capture in taker.captures] == [True]


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.pem") as caught:
        server_tls(str(tmp_path / "nowhere.pem"), "key")
    assert caught.value.code == "tls-unusable"


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("host", "port", "code"),
    [
        ("127.0.0.1", 0, "port-in-use"),
        ("192.0.2.1", 0, "address-unusable"),
        ("no-such-host.invalid", 0, "address-unusable"),
        ("x" * 64, 0, "address-unusable"),
        ("127.0.0.1", 70_000, "address-unusable"),
    ],
)
def test_where_it_cannot_listen_it_says_why(host: str, port: int, code: str, loop: str) -> None:
    async def scene() -> None:
        taker = Taker()
        async with listening(taker.deliver) as other:
            taken = int(other.url.rpartition(":")[2]) if code == "port-in-use" else port
            async with listening(taker.deliver, host=host, port=taken):
                pass

    with pytest.raises(UsageError) as caught:
        run(scene(), loop)
    assert caught.value.code == code
