"""Deliveries from a relay: in order, answered after the app, none twice, none lost, whatever becomes of the tunnel."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.net.relays import KEY, RelayTunnel, ScriptedRelay, a_delivery, scripted_relay
from tests.net.wires import run, until
from webhookctl.errors import RelayError, UsageError
from webhookctl.events import (
    Event,
    Place,
    RelayConnected,
    RelayDisconnected,
    RelayDraining,
    RelayKnown,
    RelaySkipped,
)
from webhookctl.model import Capture, Relayed, Response
from webhookctl.net.tunnel import Clock
from webhookctl.session import Turn
from webhookctl.store.relay_state import RelayState, RememberedChannel
from webhookctl.tunnel_protocol import (
    Acknowledge,
    Answer,
    AnswerBody,
    Credit,
    Hello,
    Mode,
    Skipped,
)
from webhookctl.wiring.project import Project, open_project
from webhookctl.wiring.source import Attach, RelayPlan
from webhookctl.wiring.tunnelling import TunnelSource

URL = "https://relay.example.com/abc"
OK = Response(200, "OK", ((b"X-App", b"yes"),), b"done")


@dataclass
class App:
    """Stands where the session and the app are: keeps what comes, answers when it is let."""

    stored: list[Capture] = field(default_factory=list)
    left: list[Capture] = field(default_factory=list)  # cancelled before their turn
    got: list[Capture] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    look: Callable[[Capture], None] = lambda _: None

    def __post_init__(self) -> None:
        self.gate.set()

    async def deliver(self, capture: Capture, turn: Turn | None = None) -> Response:
        self.stored.append(capture)
        try:
            if turn is not None:
                await turn()
        except asyncio.CancelledError:
            self.left.append(capture)
            raise
        self.got.append(capture)
        self.look(capture)
        await self.gate.wait()
        return self.answers.pop(0) if self.answers else OK

    @property
    def targets(self) -> list[bytes]:
        return [capture.request.body for capture in self.got]


@dataclass
class Scene:
    """A client at work: what it told, and its source."""

    source: TunnelSource
    app: App
    events: list[Event]

    def told(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "webhookctl.toml").write_text("")
    return open_project(tmp_path)


def clock() -> Clock:
    async def sleep(_: float) -> None:
        await asyncio.sleep(0.001)

    return Clock(wall_s=lambda: 0.0, steady_s=lambda: 0.0, sleep=sleep, chance=lambda: 0.0)


@asynccontextmanager
async def listening(
    relay: ScriptedRelay, project: Project, app: App | None = None, **options: object
) -> AsyncIterator[tuple[Scene, RelayTunnel]]:
    """A client that listens on the scripted relay, and the relay's end of its first tunnel."""
    plan = RelayPlan(relay.url, key=KEY, **options)  # type: ignore[arg-type]  # each test's own
    events: list[Event] = []
    source = TunnelSource(plan, project, events.append, clock=clock())
    scene = Scene(source, app or App(), events)
    loop = asyncio.get_running_loop()
    opening = loop.create_task(source.open())
    tunnel = await relay.next_silent()
    await tunnel.heard(Hello)
    await tunnel.welcome(head=tunnel.hello.cursor + 9)
    await opening
    running = loop.create_task(source.run(scene.app.deliver))
    try:
        yield scene, tunnel
    finally:
        scene.app.gate.set()
        await source.stop(timeout_s=1.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_a_delivery_reaches_the_app_whole_and_its_answer_goes_back(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay, listening(relay, project) as (client, tunnel):
            sent = a_delivery(1, b"body", target="/x?y=1", headers=((b"Host", b"a"), (b"host", b"\xe9")))
            await tunnel.send(sent)
            assert await tunnel.heard(Answer) == [Answer(1, 200, "OK", ((b"X-App", b"yes"),), b"done", True)]
            assert await tunnel.heard(Credit) == [Credit(1, 4)]
            (capture,) = client.app.got
            assert capture.request.target == "/x?y=1"
            assert capture.request.headers == sent.headers
            assert capture.request.body == b"body"
            assert capture.url == "https://relay.example.com/abc/x?y=1"
            assert capture.relayed == Relayed(f"{1:032x}", 1)
            assert (capture.peer, capture.is_tls, capture.received_at_s) == (
                "203.0.113.7:4000",
                True,
                1_767_225_600.0,
            )

    run(scene())


def test_the_next_delivery_waits_until_the_app_has_answered_the_one_before(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay, listening(relay, project) as (client, tunnel):
            client.app.gate.clear()
            for seq in (1, 2, 3):
                await tunnel.deliver(seq, b"%d" % seq)
            await until(lambda: client.source.waiting == 2)
            assert client.app.targets == [b"1"]
            client.app.gate.set()
            assert [answer.seq for answer in await tunnel.heard(Answer, 3)] == [1, 2, 3]
            assert client.app.targets == [b"1", b"2", b"3"]

    run(scene())


def test_those_behind_it_are_stored_meanwhile_and_left_to_the_relay_when_it_stops(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay, listening(relay, project) as (client, tunnel):
            client.app.gate.clear()
            for seq in (1, 2, 3):
                await tunnel.deliver(seq, b"%d" % seq)
            await until(lambda: len(client.app.stored) == 3)
            assert client.app.targets == [b"1"]
            assert (client.source.in_flight, client.source.waiting) == (1, 2)
            stopping = asyncio.get_running_loop().create_task(client.source.stop(timeout_s=5.0))
            await until(lambda: [each.request.body for each in client.app.left] == [b"2", b"3"])
            client.app.gate.set()
            assert await stopping == 2
            assert client.app.targets == [b"1"]

    run(scene())


def test_deliveries_that_come_before_the_run_wait_for_it(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay:
            source = TunnelSource(RelayPlan(relay.url, key=KEY), project, lambda _: None, clock=clock())
            loop = asyncio.get_running_loop()
            opening = loop.create_task(source.open())
            tunnel = await relay.next(head=1, pending=1)
            await tunnel.deliver(1, b"early")
            await opening
            await until(lambda: source.waiting == 1)
            app = App()
            running = loop.create_task(source.run(app.deliver))
            assert [answer.seq for answer in await tunnel.heard(Answer)] == [1]
            assert app.targets == [b"early"]
            await source.stop(timeout_s=1.0)
            await asyncio.gather(running, return_exceptions=True)

    run(scene())


def test_with_concurrency_several_are_with_the_app_at_once(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay, listening(relay, project, concurrency=3) as (client, tunnel):
            client.app.gate.clear()
            for seq in (1, 2, 3, 4):
                await tunnel.deliver(seq)
            await until(lambda: len(client.app.got) == 3)
            assert client.source.in_flight == 3
            client.app.gate.set()
            await tunnel.heard(Answer, 4)

    run(scene())


def test_a_large_answer_goes_back_in_pieces(project: Project) -> None:
    async def scene() -> None:
        app = App(answers=[Response(200, "OK", (), bytes(range(256)) * 1_000)])
        async with scripted_relay() as relay, listening(relay, project, app) as (_, tunnel):
            await tunnel.deliver(1)
            pieces = await tunnel.heard(AnswerBody, 3)
            (head,) = await tunnel.heard(Answer)
            assert not head.is_last
            assert [piece.is_last for piece in pieces] == [False, False, True]
            assert b"".join([head.body, *(piece.data for piece in pieces)]) == bytes(range(256)) * 1_000

    run(scene())


def test_an_answer_that_fits_no_frame_becomes_a_502(project: Project) -> None:
    async def scene() -> None:
        app = App(answers=[Response(200, "OK", ((b"X-Big", b"x" * 300_000),), b"")])
        async with scripted_relay() as relay, listening(relay, project, app) as (_, tunnel):
            await tunnel.deliver(1)
            (answer,) = await tunnel.heard(Answer)
            assert answer.status == 502
            assert b"cannot be passed on" in answer.body

    run(scene())


def test_what_is_not_in_the_history_is_not_answered_but_tried_again(project: Project) -> None:
    async def scene() -> None:
        not_stored = Response(
            503, "Service Unavailable", ((b"Webhookctl-Error", b"not-stored"),), b"disk full"
        )
        app = App(answers=[not_stored, not_stored, OK])
        async with scripted_relay() as relay, listening(relay, project, app) as (client, tunnel):
            await tunnel.deliver(1)
            (answer,) = await tunnel.heard(Answer)
            assert answer.status == 200
            assert len(client.app.got) == 3

    run(scene())


def test_what_came_while_the_app_was_busy_is_stored_together(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay, listening(relay, project) as (client, tunnel):
            client.app.gate.clear()
            await tunnel.deliver(1)
            await until(lambda: len(client.app.got) == 1)
            for seq in (2, 3, 4):
                await tunnel.deliver(seq)
            await until(lambda: client.source.waiting == 3)
            assert len(client.app.stored) == 1
            client.app.look = lambda _: client.app.gate.clear()
            client.app.gate.set()
            await until(lambda: len(client.app.got) == 2)
            assert len(client.app.stored) == 4

    run(scene())


def test_credit_is_given_back_for_several_deliveries_at_once_and_to_the_last(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay, listening(relay, project) as (client, tunnel):
            client.app.gate.clear()
            for seq in range(1, 41):
                await tunnel.deliver(seq, b"four")
            await until(lambda: client.source.waiting == 39)
            client.app.gate.set()
            await tunnel.heard(Answer, 40)
            await until(lambda: tunnel.side.credit_deliveries == 64)
            assert await tunnel.heard(Credit, 3) == [Credit(16, 64), Credit(16, 64), Credit(8, 32)]

    run(scene())


# connections that break


def test_what_waited_for_its_turn_is_sent_again_and_reaches_the_app_once(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay, listening(relay, project) as (client, tunnel):
            client.app.gate.clear()
            for seq in (1, 2, 3):
                await tunnel.deliver(seq, b"%d" % seq)
            await until(lambda: client.source.waiting == 2)
            tunnel.cut()
            again = await relay.next(head=3, pending=3)
            assert client.told(RelayDisconnected)
            for seq in (1, 2, 3):
                await again.deliver(seq, b"%d" % seq, attempt=2)
            client.app.gate.set()
            assert [answer.seq for answer in await again.heard(Answer, 3)] == [1, 2, 3]
            assert client.app.targets == [b"1", b"2", b"3"]
            assert [capture.relayed and capture.relayed.attempt for capture in client.app.got] == [1, 1, 1]

    run(scene())


def test_an_answer_that_came_while_the_tunnel_was_down_still_reaches_the_sender(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay, listening(relay, project) as (client, tunnel):
            client.app.gate.clear()
            await tunnel.deliver(1)
            await until(lambda: bool(client.app.got))
            tunnel.cut()
            client.app.gate.set()
            again = await relay.next_silent()
            await until(lambda: not client.source.in_flight)
            await again.welcome(head=1, pending=1)
            await again.deliver(1, attempt=2)
            assert await again.heard(Answer) == [Answer(1, 200, "OK", ((b"X-App", b"yes"),), b"done", True)]
            assert len(client.app.got) == 1
            assert client.told(RelayKnown) == [RelayKnown(1, f"{1:032x}", 2)]

    run(scene())


def test_what_an_earlier_run_answered_is_acknowledged_without_the_app(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay:
            async with listening(relay, project) as (_, tunnel):
                await tunnel.deliver(1)
                await tunnel.deliver(3)
                await tunnel.heard(Answer, 2)
            async with listening(relay, project, channel="shop") as (client, tunnel):
                assert tunnel.hello.cursor == 1
                await tunnel.deliver(3, b"again", attempt=2)
                assert await tunnel.heard(Acknowledge) == [Acknowledge(3)]
                assert {Credit(0, 5), Credit(1, 0)} == set(await tunnel.heard(Credit, 2))
                await tunnel.deliver(4)
                await tunnel.heard(Answer)
                assert len(client.app.got) == 1

    run(scene())


def test_the_note_is_on_disk_before_the_answer_goes_out(project: Project, tmp_path: Path) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay, listening(relay, project) as (client, tunnel):
            client.app.gate.clear()
            await tunnel.deliver(1)
            await until(lambda: bool(client.app.got))
            (file,) = (tmp_path / ".webhookctl" / "relay").glob("*.answered")
            assert file.read_text() == ""
            client.app.gate.set()
            await tunnel.heard(Answer)
            assert file.read_text() == f"1 {1:032x}\n"

    run(scene())


def test_a_relay_that_began_anew_is_not_mistaken_for_the_old_one(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay, listening(relay, project) as (_, tunnel):
            for seq in (1, 2, 3):
                await tunnel.deliver(seq)
            await tunnel.heard(Answer, 3)
            tunnel.cut()
            again = await relay.next(head=1, pending=0)
            await again.deliver(2)
            await again.heard(Answer)

    run(scene())


# stopping


def test_stopping_finishes_what_the_app_has_and_counts_what_stays(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay, listening(relay, project) as (client, tunnel):
            client.app.gate.clear()
            for seq in (1, 2, 3):
                await tunnel.deliver(seq)
            await until(lambda: client.source.waiting == 2)
            stopping = asyncio.get_running_loop().create_task(client.source.stop(timeout_s=5.0))
            await asyncio.sleep(0.01)
            assert not stopping.done()
            client.app.gate.set()
            assert await stopping == 2
            assert [answer.seq for answer in await tunnel.heard(Answer)] == [1]
            assert len(client.app.got) == 1

    run(scene())


def test_what_is_with_the_app_and_what_is_on_its_way_back_is_in_flight(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        is_flowing = asyncio.Event()

        async def flush(_: object, *, all_of_it: bool = False) -> None:
            await is_flowing.wait()

        monkeypatch.setattr("webhookctl.wiring.tunnelling.Tunnel.flush", flush)
        async with scripted_relay() as relay, listening(relay, project) as (client, tunnel):
            client.app.gate.clear()
            await tunnel.deliver(1)
            await until(lambda: bool(client.app.got))
            assert client.source.in_flight == 1
            client.app.gate.set()
            await until(lambda: not client.source._in_hand)
            assert client.source.in_flight == 1
            is_flowing.set()
            await tunnel.heard(Answer)
            await until(lambda: client.source.in_flight == 0)

    run(scene())


def test_what_the_app_does_not_finish_in_time_stays_at_the_relay(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay, listening(relay, project) as (client, tunnel):
            client.app.gate.clear()
            await tunnel.deliver(1)
            await until(lambda: bool(client.app.got))
            assert await client.source.stop(timeout_s=0.01) == 1

    run(scene())


def test_after_a_refusal_for_good_the_run_ends_with_it(project: Project) -> None:
    async def scene() -> None:
        from webhookctl.tunnel_protocol import CloseCode

        events: list[Event] = []
        async with scripted_relay() as relay:
            source = TunnelSource(RelayPlan(relay.url, key=KEY), project, events.append, clock=clock())
            opening = asyncio.get_running_loop().create_task(source.open())
            tunnel = await relay.next()
            assert await opening == Place(URL, "shop", "queued", "")
            running = asyncio.get_running_loop().create_task(source.run(App().deliver))
            await tunnel.end(CloseCode.SUPERSEDED)
            with pytest.raises(RelayError) as failure:
                await running
            assert failure.value.code == "relay-superseded"
            await source.stop(timeout_s=1.0)

    run(scene())


# what is told


def test_the_place_and_the_backlog_are_told_once_the_run_begins(project: Project) -> None:
    async def scene() -> None:
        events: list[Event] = []
        async with scripted_relay() as relay:
            source = TunnelSource(RelayPlan(relay.url, key=KEY), project, events.append, clock=clock())
            opening = asyncio.get_running_loop().create_task(source.open())
            tunnel = await relay.next(head=3, pending=3)
            await opening
            assert events == []
            running = asyncio.get_running_loop().create_task(source.run(App().deliver))
            for seq in (1, 2, 3):
                await tunnel.deliver(seq)
            await tunnel.heard(Answer, 3)
            assert events[0] == RelayConnected(Place(URL, "shop", "queued", ""), 3)
            draining = [event for event in events if isinstance(event, RelayDraining)]
            assert [(event.done, event.total) for event in draining] == [(0, 3), (3, 3)]
            await source.stop(timeout_s=1.0)
            running.cancel()

    run(scene())


def test_skipped_deliveries_are_told_and_never_asked_for_again(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay:
            async with listening(relay, project) as (client, tunnel):
                await tunnel.send(Skipped(1, 5, 5, "expired"))
                await until(lambda: bool(client.told(RelaySkipped)))
                assert client.told(RelaySkipped) == [RelaySkipped(1, 5, 5, "expired")]
            async with listening(relay, project, channel="shop") as (_, tunnel):
                assert tunnel.hello.cursor == 5

    run(scene())


def test_a_body_whose_rest_is_skipped_is_forgotten(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay, listening(relay, project) as (client, tunnel):
            await tunnel.send(a_delivery(1, bytes(100_000)))
            await tunnel.send(Skipped(1, 1, 1, "expired"))
            await tunnel.deliver(2)
            assert [answer.seq for answer in await tunnel.heard(Answer)] == [2]
            assert len(client.app.got) == 1

    run(scene())


# how it attaches


@pytest.mark.parametrize(
    ("attach", "mode"),
    [(Attach.CONSUME, Mode.CONSUME), (Attach.TAKEOVER, Mode.TAKEOVER), (Attach.OBSERVE, Mode.OBSERVE)],
)
def test_it_attaches_as_it_was_told_but_takes_over_only_once(
    project: Project, attach: Attach, mode: Mode
) -> None:
    async def scene() -> None:
        async with (
            scripted_relay() as relay,
            listening(relay, project, attach=attach, backlog=7, channel="shop") as (_, tunnel),
        ):
            assert (tunnel.hello.mode, tunnel.hello.backlog, tunnel.hello.channel) == (mode, 7, "shop")
            tunnel.cut()
            again = await relay.next()
            assert again.hello.mode is (Mode.CONSUME if mode is Mode.TAKEOVER else mode)
            assert again.hello.backlog == -1
            assert again.hello.instance == tunnel.hello.instance

    run(scene())


def test_an_observer_answers_nothing_and_gives_its_credit_back(project: Project, tmp_path: Path) -> None:
    async def scene() -> None:
        async with (
            scripted_relay() as relay,
            listening(relay, project, attach=Attach.OBSERVE, backlog=0) as (client, tunnel),
        ):
            await tunnel.deliver(4, b"four")
            assert await tunnel.heard(Credit) == [Credit(1, 4)]
            assert not client.source.holds
            tunnel.cut()
            again = await relay.next()
            assert again.hello.cursor == 4
            assert [type(frame).__name__ for frame in tunnel.said] == ["Hello", "Credit"]
        assert list((tmp_path / ".webhookctl" / "relay").glob("*.answered")) == []

    run(scene())


# large bodies


def test_a_body_too_large_to_be_held_goes_through_a_file_that_is_gone_afterwards(
    project: Project, tmp_path: Path
) -> None:
    async def scene() -> None:
        from hashlib import sha256

        body = bytes(range(256)) * 1_000
        seen: list[bytes] = []

        def look(capture: Capture) -> None:
            assert capture.large_body is not None
            seen.append(Path(capture.large_body.path).read_bytes())

        app = App(look=look)
        async with (
            scripted_relay() as relay,
            listening(relay, project, app, max_body_bytes=70_000) as (_, tunnel),
        ):
            await tunnel.deliver(1, body)
            await tunnel.heard(Answer)
            assert seen == [body]
            (capture,) = app.got
            assert capture.request.body == b""
            assert capture.body_bytes == len(body)
            assert capture.large_body is not None
            assert capture.large_body.sha256 == sha256(body).hexdigest()
            given = await tunnel.heard(Credit, 5)
            assert sum(credit.body_bytes for credit in given) == len(body)
            assert sum(credit.deliveries for credit in given) == 1
        assert list((tmp_path / ".webhookctl" / "relay" / "bodies").iterdir()) == []

    run(scene())


def test_files_of_bodies_cut_off_by_the_network_are_removed(project: Project, tmp_path: Path) -> None:
    async def scene() -> None:
        folder = tmp_path / ".webhookctl" / "relay" / "bodies"
        async with (
            scripted_relay() as relay,
            listening(relay, project, max_body_bytes=1_000) as (client, tunnel),
        ):
            await tunnel.send(a_delivery(1, bytes(100_000)))
            await until(lambda: len(list(folder.iterdir())) == 1)
            tunnel.cut()
            await relay.next()
            assert list(folder.iterdir()) == []
            assert client.app.got == []

    run(scene())


# keys


@pytest.mark.parametrize(
    ("url", "key", "code"),
    [
        ("ftp://relay.example.com", KEY, "relay-invalid"),
        ("https://user@relay.example.com", KEY, "relay-invalid"),
        ("https://relay.example.com?x=1", KEY, "relay-invalid"),
        ("https://relay.example.com:99999", KEY, "relay-invalid"),
        ("https://relay..example.com", KEY, "relay-invalid"),
        ("https://[::1", KEY, "relay-invalid"),
        (f"https://{'x' * 64}", KEY, "relay-invalid"),
        ("https://relay.example.com", "two words", "relay-key-invalid"),
        ("https://relay.example.com", "env:NO_SUCH_VARIABLE", "secret-missing"),
    ],
)
def test_what_cannot_be_a_relay_or_a_key_is_said_before_anything_is_sent(
    project: Project, url: str, key: str, code: str
) -> None:
    async def scene() -> None:
        with pytest.raises(UsageError) as failure:
            await TunnelSource(RelayPlan(url, key=key), project, lambda _: None).open()
        assert failure.value.code == code

    run(scene())


def test_a_given_key_is_used_and_not_kept(project: Project) -> None:
    async def scene() -> None:
        async with scripted_relay() as relay:
            async with listening(relay, project):
                assert relay.keys == [f"Bearer {KEY}"]
            known = RelayState(project.state).channels()
            assert known == (RememberedChannel(relay.url, "shop", URL, ""),)

    run(scene())


def test_a_remembered_channel_is_waited_for_even_when_the_relay_is_away(project: Project) -> None:
    async def scene() -> None:
        events: list[Event] = []
        async with scripted_relay() as relay:
            relay.refusal = 503
            RelayState(project.state).remember(RememberedChannel(relay.url, "shop", URL, KEY))
            source = TunnelSource(RelayPlan(relay.url), project, events.append, clock=clock())
            opening = asyncio.get_running_loop().create_task(source.open())
            await until(lambda: len(relay.keys) > 3)
            assert not opening.done()
            relay.refusal = None
            await relay.next()
            assert (await opening).url == URL
            running = asyncio.get_running_loop().create_task(source.run(App().deliver))
            await until(lambda: any(isinstance(event, RelayDisconnected) for event in events))
            await source.stop(timeout_s=1.0)
            running.cancel()

    run(scene())
