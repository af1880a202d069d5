"""The client's end of a tunnel against a scripted relay: it comes back from all that passes, and only from that."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from tests.net.relays import KEY, ScriptedRelay, a_delivery, scripted_relay
from tests.net.wires import LOOPS, run, until
from webhookctl.errors import RelayError
from webhookctl.model import Secret
from webhookctl.net.forwarder import tls_context
from webhookctl.net.tunnel import Backoff, Clock, Tunnel
from webhookctl.tunnel_protocol import (
    Acknowledge,
    Close,
    CloseCode,
    Credit,
    Delivery,
    DeliveryBody,
    Frame,
    Hello,
    Mode,
    Ping,
    Skipped,
    Welcome,
)

both_loops = pytest.mark.parametrize("loop", LOOPS)


@dataclass
class User:
    """Remembers what the tunnel told it."""

    opened: list[Welcome] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    lost: list[tuple[str, float]] = field(default_factory=list)

    def hello(self) -> Hello:
        return Hello(1, "", Mode.CONSUME, len(self.opened), -1, 64, 1 << 20, "instance")

    def on_open(self, welcome: Welcome) -> None:
        self.opened.append(welcome)

    def on_frame(self, frame: Delivery | DeliveryBody | Skipped) -> None:
        self.frames.append(frame)

    def on_lost(self, reason: str, retry_in_s: float) -> None:
        self.lost.append((reason, retry_in_s))


class Time:
    """Clocks that stand until a test moves them; sleeping takes no time and is written down."""

    def __init__(self) -> None:
        self.steady_s = 1_000.0
        self.slept_through_s = 0.0
        self.sleeps: list[float] = []
        self.is_running = True

    def clock(self) -> Clock:
        return Clock(
            wall_s=lambda: self.steady_s + self.slept_through_s,
            steady_s=lambda: self.steady_s,
            sleep=self.sleep,
            chance=lambda: 1.0,
        )

    async def sleep(self, duration_s: float) -> None:
        self.sleeps.append(duration_s)
        if self.is_running:
            self.steady_s += duration_s
        await asyncio.sleep(0.001)


@asynccontextmanager
async def tunnel_to(
    url: str,
    user: User,
    *,
    clock: Clock | None = None,
    is_patient: bool = False,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[Tunnel, "asyncio.Task[None]"]]:
    tunnel = Tunnel(url, Secret(KEY), user, tls=tls, clock=clock or Time().clock(), is_patient=is_patient)
    running = asyncio.get_running_loop().create_task(tunnel.run())
    try:
        yield tunnel, running
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError, RelayError):
            await running


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections, and that nobody else can take meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


def still() -> Clock:
    """Time that stands still: no heartbeat comes in between."""
    time = Time()
    time.is_running = False
    return time.clock()


@both_loops
def test_it_says_who_it_is_and_gets_what_the_relay_sends(loop: str) -> None:
    async def scene() -> None:
        user = User()
        async with scripted_relay() as relay, tunnel_to(relay.url, user, clock=still()):
            tunnel = await relay.next()
            await tunnel.deliver(1, b"hello")
            await until(lambda: bool(user.frames))
            assert relay.keys == [f"Bearer {KEY}"]
            assert relay.paths == ["/.webhookctl/v1/tunnel"]
            assert tunnel.hello == Hello(1, "", Mode.CONSUME, 0, -1, 64, 1 << 20, "instance")
            assert user.frames == [a_delivery(1, b"hello")]

    run(scene(), loop)


@both_loops
def test_frames_go_out_in_the_order_of_the_calls(loop: str) -> None:
    async def scene() -> None:
        user = User()
        async with scripted_relay() as relay, tunnel_to(relay.url, user, clock=still()) as (tunnel, _):
            other = await relay.next()
            for seq in (1, 2, 3):
                await other.deliver(seq)
            await until(lambda: len(user.frames) == 3)
            assert all(tunnel.send(Acknowledge(seq)) for seq in (2, 1, 3))
            assert await other.heard(Acknowledge, 3) == [Acknowledge(2), Acknowledge(1), Acknowledge(3)]

    run(scene(), loop)


def test_without_a_connection_nothing_is_sent_and_flush_does_not_wait() -> None:
    async def scene() -> None:
        async with scripted_relay() as relay, tunnel_to(relay.url, User(), clock=still()) as (tunnel, _):
            assert not tunnel.send(Credit(1, 1))
            await tunnel.flush(all_of_it=True)

    run(scene())


@both_loops
def test_a_lost_connection_is_made_again_and_told(loop: str) -> None:
    async def scene() -> None:
        user = User()
        async with scripted_relay() as relay, tunnel_to(relay.url, user, clock=still()):
            first = await relay.next()
            await until(lambda: bool(user.opened))
            first.cut()
            second = await relay.next()
            await until(lambda: len(user.opened) == 2)
            assert second.hello.cursor == 1
            assert [reason for reason, _ in user.lost] == ["the connection ended"]

    run(scene(), loop)


def test_a_relay_that_restarts_is_waited_for() -> None:
    async def scene() -> None:
        user, time = User(), Time()
        time.is_running = False
        async with scripted_relay() as relay, tunnel_to(relay.url, user, clock=time.clock()):
            first = await relay.next()
            await until(lambda: bool(user.opened))
            relay.refusal = 503
            await first.end(CloseCode.SHUTTING_DOWN, "back soon")
            await until(lambda: len(user.lost) >= 6)
            relay.refusal = None
            await relay.next()
        assert [wait_s for _, wait_s in user.lost[:6]] == [0.5, 0.4, 0.8, 1.6, 3.2, 6.4]
        assert user.lost[0][0] == "it is restarting: back soon"
        assert user.lost[1][0] == "it answered 503"

    run(scene())


def test_the_wait_grows_to_half_a_minute_and_starts_anew_after_a_connection_that_was_of_use() -> None:
    backoff = Backoff(lambda: 1.0)
    waits = [backoff.next_s(lasted_s=0.0) for _ in range(10)]
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    assert backoff.next_s(lasted_s=59.9) == 30.0
    assert backoff.next_s(lasted_s=60.0) == 0.2
    assert backoff.next_s(lasted_s=0.0) == 0.4
    assert backoff.next_s(lasted_s=0.0, was_of_use=True) == 0.2
    assert Backoff(lambda: 0.0).next_s(lasted_s=0.0) == 0.1
    assert Backoff(lambda: 0.0).next_s(lasted_s=0.0, was_of_use=True, least_s=5.0) == 5.0


@pytest.mark.parametrize(
    ("is_answered", "lasts_s", "waits"),
    [(True, 0.0, [0.2] * 4), (False, 0.0, [0.2, 0.4, 0.8, 1.6]), (False, 60.0, [0.2] * 4)],
)
def test_a_relay_that_restarts_often_is_tried_again_soon_as_long_as_deliveries_come_through(
    is_answered: bool, lasts_s: float, waits: list[float]
) -> None:
    async def scene() -> None:
        user, time = User(), Time()
        time.is_running = False
        async with (
            scripted_relay() as relay,
            tunnel_to(relay.url, user, clock=time.clock(), is_patient=True) as (tunnel, _),
        ):
            for seq in range(1, 5):
                other = await relay.next()
                await other.deliver(seq)
                await until(lambda seq=seq: len(user.frames) == seq)  # type: ignore[misc]  # it is called at once
                if is_answered:
                    assert tunnel.send(Acknowledge(seq))
                    await other.heard(Acknowledge)
                time.steady_s += lasts_s
                other.cut()
                await until(lambda seq=seq: len(user.lost) == seq)  # type: ignore[misc]  # the same
        assert [wait_s for _, wait_s in user.lost] == waits

    run(scene())


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (CloseCode.UNAUTHORISED, "relay-unauthorised"),
        (CloseCode.REVOKED, "relay-key-revoked"),
        (CloseCode.UNKNOWN_CHANNEL, "relay-channel-unknown"),
        (CloseCode.OCCUPIED, "relay-occupied"),
        (CloseCode.SUPERSEDED, "relay-superseded"),
        (CloseCode.UPGRADE_NEEDED, "relay-upgrade-needed"),
    ],
)
@pytest.mark.parametrize("has_frame", [True, False])
def test_a_refusal_for_good_ends_it_with_a_hint(code: CloseCode, expected: str, has_frame: bool) -> None:
    async def scene() -> RelayError:
        user = User()
        async with scripted_relay() as relay, tunnel_to(relay.url, user, is_patient=True) as (_, running):
            tunnel = await relay.next()
            if has_frame:
                await tunnel.end(code)
            else:
                await tunnel.connection.close(code)
            with pytest.raises(RelayError) as failure:
                await running
            assert user.lost == []
        return failure.value

    error = run(scene())
    assert error.code == expected
    assert error.hint


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "relay-unauthorised"),
        (403, "relay-unauthorised"),
        (426, "relay-upgrade-needed"),
        (404, "relay-not-found"),
        (302, "relay-not-found"),
        (503, "relay-unreachable"),
    ],
)
def test_an_upgrade_that_is_refused_at_first_is_an_error(status: int, code: str) -> None:
    async def scene() -> str:
        async with scripted_relay() as relay:
            relay.refusal = status
            async with tunnel_to(relay.url, User()) as (_, running):
                with pytest.raises(RelayError) as failure:
                    await running
        return failure.value.code

    assert run(scene()) == code


def test_a_relay_that_cannot_be_reached_is_an_error_unless_it_is_known() -> None:
    async def scene() -> None:
        user = User()
        with closed_port() as port:
            url = f"http://127.0.0.1:{port}"
            async with tunnel_to(url, user) as (_, running):
                with pytest.raises(RelayError, match="refuses connections") as failure:
                    await running
            assert failure.value.code == "relay-unreachable"
            async with tunnel_to(url, user, clock=still(), is_patient=True):
                await until(lambda: len(user.lost) >= 3)
        assert user.lost[0][0] == "it refuses connections"

    run(scene())


def test_a_silent_relay_is_pinged_and_given_up_after_three_heartbeats() -> None:
    async def scene() -> None:
        user, time = User(), Time()
        async with scripted_relay() as relay, tunnel_to(relay.url, user, clock=time.clock()):
            tunnel = await relay.next_silent()
            tunnel.answers_pings = False
            time.is_running = False
            await tunnel.welcome(heartbeat_s=5.0)
            await until(lambda: bool(user.opened))
            began_s, time.is_running = time.steady_s, True
            await until(lambda: bool(user.lost))
            assert 2 <= len(await tunnel.heard(Ping)) <= 3
            assert user.lost[0][0] == "nothing was heard from it any more"
            assert time.steady_s - began_s >= 15.0

    run(scene())


def test_pings_of_the_relay_are_answered() -> None:
    async def scene() -> None:
        from webhookctl.tunnel_protocol import Pong

        async with scripted_relay() as relay, tunnel_to(relay.url, User(), clock=still()):
            tunnel = await relay.next()
            await tunnel.send(Ping(77))
            assert await tunnel.heard(Pong) == [Pong(77)]

    run(scene())


def test_after_the_machine_slept_the_connection_is_made_anew_at_once() -> None:
    async def scene() -> None:
        user, time = User(), Time()
        time.is_running = False
        async with scripted_relay() as relay, tunnel_to(relay.url, user, clock=time.clock()):
            await relay.next()
            await until(lambda: bool(user.opened))
            time.slept_through_s = 3_600.0
            await relay.next()
            await until(lambda: len(user.opened) == 2)
            assert user.lost == [("this machine slept for 3600 s", 0.2)]

    run(scene())


def test_what_breaks_the_protocol_is_told_to_the_relay_and_tried_again() -> None:
    async def scene() -> None:
        user = User()
        async with scripted_relay() as relay, tunnel_to(relay.url, user, clock=still()):
            tunnel = await relay.next()
            await tunnel.connection.send(b"\xff nonsense")
            (close,) = await tunnel.heard(Close)
            assert close.code is CloseCode.PROTOCOL_ERROR
            await relay.next()
            assert user.lost[0][0].startswith("it broke the protocol")

    run(scene())


@both_loops
def test_close_sends_what_is_left_says_goodbye_and_ends_the_run(loop: str) -> None:
    async def scene() -> None:
        user = User()
        async with scripted_relay() as relay, tunnel_to(relay.url, user, clock=still()) as (tunnel, running):
            other = await relay.next()
            await other.deliver(1)
            await until(lambda: bool(user.frames))
            tunnel.send(Acknowledge(1))
            await tunnel.close()
            await running
            assert await other.heard(Acknowledge) == [Acknowledge(1)]
            assert [frame.code for frame in await other.heard(Close)] == [CloseCode.SHUTTING_DOWN]
            assert not tunnel.is_open

    run(scene(), loop)


def test_close_before_any_connection_is_fine() -> None:
    async def scene() -> None:
        tunnel = Tunnel("http://127.0.0.1:1", Secret(KEY), User(), tls=None, clock=still(), is_patient=True)
        await tunnel.close()
        await tunnel.run()

    run(scene())


def test_flush_waits_while_much_is_unsent_and_wakes_when_the_connection_is_lost() -> None:
    async def scene() -> None:
        from webhookctl.tunnel_protocol import Answer, AnswerBody

        user = User()
        async with scripted_relay() as relay, tunnel_to(relay.url, user, clock=still()) as (tunnel, _):
            other = await relay.next()
            await other.deliver(1)
            await until(lambda: bool(user.frames))
            other.connection.transport.pause_reading()
            tunnel.send(Answer(1, 200, "OK", (), b"", is_last=False))
            for _ in range(400):
                tunnel.send(AnswerBody(1, bytes(60_000), is_last=False))
            flushing = asyncio.get_running_loop().create_task(tunnel.flush())
            await asyncio.sleep(0.01)
            assert not flushing.done()
            other.cut()
            await flushing

    run(scene())


def test_the_key_is_never_sent_to_where_a_redirect_leads() -> None:
    async def scene() -> tuple[ScriptedRelay, RelayError]:
        async with scripted_relay() as target, scripted_relay() as relay:

            def check(connection: object, request: object) -> object:
                from websockets.datastructures import Headers
                from websockets.http11 import Response

                return Response(307, "Temporary Redirect", Headers(Location=target.url), b"")

            relay.check = check  # type: ignore[assignment, method-assign]
            async with _again(relay) as url, tunnel_to(url, User()) as (_, running):
                with pytest.raises(RelayError) as failure:
                    await running
            return target, failure.value

    target, error = run(scene())
    assert target.keys == []
    assert error.code == "relay-not-found"
    assert target.url in error.hint


@asynccontextmanager
async def _again(relay: ScriptedRelay) -> AsyncIterator[str]:
    """The relay served once more, with the check it has now."""
    from websockets.asyncio.server import serve

    async with serve(relay.converse, "127.0.0.1", 0, process_request=relay.check) as server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"


@both_loops
def test_over_tls_the_relays_certificate_is_checked(loop: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)

    async def scene() -> None:
        async with scripted_relay(server_side) as relay:
            trusting = tls_context(insecure=False, ca_file=str(tmp_path / "ca.pem"))
            user = User()
            async with tunnel_to(relay.url, user, clock=still(), tls=trusting):
                await relay.next()
                await until(lambda: bool(user.opened))
            async with tunnel_to(relay.url, User(), clock=still()) as (_, running):
                with pytest.raises(RelayError, match="certificate is not trusted"):
                    await running

    run(scene(), loop)
