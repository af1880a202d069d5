"""Foreign relays as sources: kept connected, everything through `deliver`, and what they destroy is said."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.net.foreign.servers import (
    STREAM_HEAD,
    decoded,
    gosmee_event,
    plain,
    smee_event,
    stream_server,
    svix_event,
    svix_server,
)
from tests.ports import free_port
from webhookctl.errors import RelayError, UsageError
from webhookctl.events import ErrorOccurred, Event, RelayConnected, RelayDisconnected
from webhookctl.model import Capture, Detection, Request, Response, Verdict, VerdictKind
from webhookctl.net.foreign.wires import WireOptions
from webhookctl.net.tunnel import Clock
from webhookctl.session import Turn
from webhookctl.store.project import ProjectState
from webhookctl.wiring import foreign
from webhookctl.wiring.foreign import ForeignSource, Kind, RelayedJudge, hint_for, new_token, parse_foreign
from webhookctl.wiring.project import open_project
from webhookctl.wiring.source import Attach, RelayPlan, source_for

T = TypeVar("T")
NOW_S = 1_795_441_800.0
READY = b"id: 0\nevent: ready\ndata: {}\n\n"
FINE = Verdict(VerdictKind.OK, "sample", "ok")


def run(work: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(20):
            return await work

    return asyncio.run(limited())


class Scene:
    """A source whose waits take no time, and an app that answers 200 with the body it got."""

    def __init__(self, folder: Path, relay: str, *, channel: str = "", verdict: Verdict = FINE) -> None:
        self.events: list[Event] = []
        self.captures: list[Capture] = []
        self.waits: list[float] = []
        self.arrived = asyncio.Event()
        self.wanted = 1
        self.hold: asyncio.Event | None = None
        self.error: Exception | None = None
        self.source = ForeignSource(
            parse_foreign(relay),
            RelayPlan(relay, channel=channel),
            state=ProjectState(folder),
            options=WireOptions(None, 100_000, self.events.append),
            emit=self.events.append,
            judge=lambda _: (Detection("sample"), verdict),
            clock=Clock(wall_s=lambda: NOW_S, sleep=self.sleep, chance=lambda: 1.0),
        )

    async def sleep(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        await asyncio.sleep(0)

    async def deliver(self, capture: Capture, turn: Turn | None = None) -> Response:
        assert turn is None  # the source's own workers keep the order
        self.captures.append(capture)
        if len(self.captures) >= self.wanted:
            self.arrived.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error
        return Response(200, "OK", (), capture.request.body)

    async def play(self, wanted: int = 1) -> str:
        """Open, take `wanted` deliveries, stop; the public URL."""
        self.wanted = wanted
        place = await self.source.open()
        running = asyncio.ensure_future(self.source.run(self.deliver))
        await self.arrived.wait()
        assert await self.source.stop(timeout_s=5.0) == 0
        await running
        return place.url


def test_a_delivery_of_smee_is_a_capture_with_the_url_that_was_called(tmp_path: Path) -> None:
    async def scene() -> None:
        event = smee_event(1, '{"a":1}', host="smee.example").replace(b'"query":{}', b'"query":{"x":"1"}')
        async with stream_server([STREAM_HEAD, READY, event, b"WAIT"]) as server:
            scene = Scene(tmp_path, f"smee+{server.url}/some-channel")
            assert await scene.play() == f"{server.url}/some-channel"
            capture = scene.captures[0]
            assert capture.request == Request("POST", "/?x=1", ((b"host", b"smee.example"),), b'{"a":1}')
            assert capture.url == f"{server.url}/some-channel?x=1"
            assert capture.received_at_s == 1_795_441_771.0
            assert not capture.is_tls
            server.release.set()

    run(scene())


def test_a_time_that_cannot_be_is_the_time_of_arrival(tmp_path: Path) -> None:
    async def scene() -> None:
        events = [
            smee_event(1, "{}").replace(b"1795441771000", time)
            for time in (b"99999999999999", b"1000", b'"x"')
        ]
        async with stream_server([STREAM_HEAD, *events, b"WAIT"]) as server:
            scene = Scene(tmp_path, f"smee+{server.url}/c")
            await scene.play(3)
            assert [capture.received_at_s for capture in scene.captures] == [NOW_S] * 3
            server.release.set()

    run(scene())


def test_smee_alone_makes_a_channel_and_remembers_it(tmp_path: Path) -> None:
    async def scene() -> None:
        new = [plain("307 Temporary Redirect", Location="/fresh-channel-1")]
        stream = [STREAM_HEAD, smee_event(1, "{}"), b"WAIT"]
        async with stream_server(new, stream, stream) as server:
            for _ in range(2):
                url = await Scene(tmp_path, f"smee+{server.url}").play()
                assert url == f"{server.url}/fresh-channel-1"
            targets = [head.split(b" ")[1] for head in server.requests]
            assert targets == [b"/new", b"/fresh-channel-1", b"/fresh-channel-1"]
            server.release.set()

    run(scene())


def test_a_channel_can_be_named(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stream_server([STREAM_HEAD, gosmee_event(b"{}"), b"WAIT"]) as server:
            assert (await Scene(tmp_path, f"gosmee+{server.url}", channel="mine").play()).endswith("/mine")
            server.release.set()

    run(scene())


def test_a_lost_stream_is_connected_again_and_both_are_told(tmp_path: Path) -> None:
    async def scene() -> None:
        again = [STREAM_HEAD, gosmee_event(b"2"), b"WAIT"]
        async with stream_server([STREAM_HEAD, gosmee_event(b"1")], [plain("503 Busy")], again) as server:
            scene = Scene(tmp_path, f"gosmee+{server.url}/channel-1234")
            await scene.play(2)
            assert [capture.request.body for capture in scene.captures] == [b"1", b"2"]
            kinds = [type(event) for event in scene.events]
            assert kinds == [RelayConnected, RelayDisconnected, RelayDisconnected, RelayConnected]
            reasons = [event.reason for event in scene.events if isinstance(event, RelayDisconnected)]
            assert reasons == ["it ended the stream", "it answered 503"]
            assert scene.waits == [0.2, 0.4]
            server.release.set()

    run(scene())


def test_gosmee_with_redis_is_resumed_by_the_next_run(tmp_path: Path) -> None:
    async def scene() -> None:
        script = [STREAM_HEAD, gosmee_event(b"{}", event_id="7-0"), b"WAIT"]
        async with stream_server(script) as server:
            for _ in range(2):
                await Scene(tmp_path, f"gosmee+{server.url}/channel-1234").play()
            assert b"Last-Event-ID" not in server.requests[0]
            assert b"\r\nLast-Event-ID: 7-0\r\n" in server.requests[1]
            server.release.set()

    run(scene())


def test_a_relay_that_refuses_at_the_start_is_an_error_with_a_hint(tmp_path: Path) -> None:
    relay = f"smee+http://127.0.0.1:{free_port()}/c"
    with pytest.raises(RelayError) as caught:
        run(Scene(tmp_path, relay).source.open())
    assert caught.value.code == "relay-unreachable"
    assert "refuses connections" in caught.value.message
    assert caught.value.hint


def test_what_is_no_relay_is_an_error_at_the_start(tmp_path: Path) -> None:
    async def scene() -> None:
        async with stream_server([plain("200 OK", b"<html>", Content_Type="text/html")]) as server:
            with pytest.raises(RelayError, match="no channel of smee"):
                await Scene(tmp_path, f"smee+{server.url}/c").source.open()

    run(scene())


@pytest.mark.parametrize("attach", [Attach.OBSERVE, Attach.TAKEOVER])
def test_observing_and_taking_over_are_for_our_own_relay(tmp_path: Path, attach: Attach) -> None:
    (tmp_path / ".git").mkdir()
    project = open_project(tmp_path)
    judge = project.judge(provider=None, flag=())
    with pytest.raises(UsageError, match=f"--{attach}"):
        source_for(RelayPlan("smee", attach=attach), project, lambda _: None, judge)
    assert isinstance(source_for(RelayPlan("smee"), project, lambda _: None), ForeignSource)


def test_a_relay_that_refuses_for_good_later_ends_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with svix_server() as server:
            scene = Scene(tmp_path, f"svix+{server.url}")
            await scene.source.open()
            server.first = ["nonsense"]
            running = asyncio.ensure_future(scene.source.run(scene.deliver))
            await server.connections[0].close()
            with pytest.raises(RelayError, match="does not speak"):
                await running
            await scene.source.stop(timeout_s=1.0)

    run(scene())


def test_the_answer_goes_back_through_svix_and_the_token_stays(tmp_path: Path) -> None:
    async def scene() -> None:
        async with svix_server() as server:
            server.events = [svix_event("ev-1", b"hello", "PUT")]
            urls = [await Scene(tmp_path, f"svix+{server.url}").play() for _ in range(2)]
            assert urls[0] == urls[1]
            assert server.tokens[0] == server.tokens[1]
            assert decoded(server.answers[0]) == b"hello"

    run(scene())


def test_a_slow_delivery_holds_up_no_other_and_is_finished_before_leaving(tmp_path: Path) -> None:
    async def scene() -> None:
        async with svix_server() as server:
            server.events = [svix_event(f"ev-{number}", b"x") for number in range(10)]
            scene = Scene(tmp_path, f"svix+{server.url}")
            scene.hold = asyncio.Event()
            playing = asyncio.ensure_future(scene.play(10))
            await scene.arrived.wait()
            assert scene.source.in_flight == 10
            assert not scene.source.holds
            assert scene.source.waiting == 0
            scene.hold.set()
            await playing
            while len(server.answers) < 10:
                await asyncio.sleep(0)

    run(scene())


def test_what_is_not_finished_in_time_is_given_up(tmp_path: Path) -> None:
    async def scene() -> None:
        async with svix_server() as server:
            server.events = [svix_event("ev-1", b"x")]
            scene = Scene(tmp_path, f"svix+{server.url}")
            scene.hold = asyncio.Event()
            await scene.source.open()
            running = asyncio.ensure_future(scene.source.run(scene.deliver))
            await scene.arrived.wait()
            assert await scene.source.stop(timeout_s=0.01) == 0
            await running

    run(scene())


def test_a_delivery_that_fails_here_is_told_and_answered(tmp_path: Path) -> None:
    async def scene() -> None:
        async with svix_server() as server:
            server.events = [svix_event("ev-1", b"x")]
            scene = Scene(tmp_path, f"svix+{server.url}")
            scene.error = RuntimeError("broken")
            await scene.play()
            await server.answered.wait()
            assert server.answers[0]["data"]["status"] == 502
            assert [event.code for event in scene.events if isinstance(event, ErrorOccurred)] == [
                "relay-delivery-failed"
            ]

    run(scene())


def test_more_deliveries_than_may_be_under_way_wait_in_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "_MAX_AT_ONCE", 2)

    async def scene() -> None:
        events = [gosmee_event(b"%d" % number) for number in range(5)]
        async with stream_server([STREAM_HEAD, *events, b"WAIT"]) as server:
            scene = Scene(tmp_path, f"gosmee+{server.url}/channel-1234")
            scene.hold = asyncio.Event()
            scene.wanted = 2
            playing = asyncio.ensure_future(scene.play(2))
            await scene.arrived.wait()
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(scene.captures) == 2
            scene.hold.set()
            await playing
            server.release.set()

    run(scene())


def test_a_large_body_is_looked_at_in_a_thread(tmp_path: Path) -> None:
    async def scene() -> None:
        body = json.dumps({"a": "x" * 50_000}, separators=(",", ":"))
        async with stream_server([STREAM_HEAD, smee_event(1, body), b"WAIT"]) as server:
            scene = Scene(tmp_path, f"smee+{server.url}/c")
            await scene.play()
            assert scene.captures[0].request.body == body.encode()
            server.release.set()

    run(scene())


@pytest.mark.parametrize(
    "text",
    [
        "smee+",
        "smee+host/c",
        "smee+ftp://host/c",
        "gosmee",
        "gosmee+https://",
        "svix+https://host",
        "svix+wss://",
    ],
)
def test_a_relay_without_a_fitting_url_is_refused_with_how_to_write_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_foreign(text)
    assert caught.value.code == "relay-url-invalid"
    assert f"{text.partition('+')[0]}+" in caught.value.hint


def test_a_protected_channel_of_gosmee_is_refused() -> None:
    with pytest.raises(UsageError, match="NaCl"):
        parse_foreign("gosmee+https://host/channel-1234?pubkey=abc")


@pytest.mark.parametrize(
    "text", ["smee", "smee+https://host", "gosmee+http://host/c", "svix", "svix+ws://host/x"]
)
def test_the_usual_ways_to_write_it_are_understood(text: str) -> None:
    assert parse_foreign(text).url == text.partition("+")[2]


@pytest.mark.parametrize("text", ["smee", "gosmee+https://host/c", "svix"])
def test_each_relay_says_what_it_destroys(text: str) -> None:
    loses = parse_foreign(text).kind.loses
    assert "header" in loses
    assert "path" in loses


def judged(kind: Kind, verdict: Verdict, *, url: str = "https://smee.example/c", length: bool = False) -> str:
    headers = ((b"content-length", b"2"),) if length else ()
    capture = Capture(Request("POST", "/", headers, b"{}"), NOW_S, "", url=url)
    judge = RelayedJudge(lambda _: (Detection(), verdict), kind, lambda scheme: scheme == "signs-url")
    return judge(capture)[1].reason


def test_a_signature_that_smee_broke_says_so_and_what_to_use() -> None:
    smee = parse_foreign("smee").kind
    wrong = Verdict(VerdictKind.WRONG_SECRET, "sample", "wrong secret")
    assert judged(smee, wrong).startswith(
        "wrong secret; smee re-serialised the body: it cannot carry exact signatures"
    )
    assert "--tunnel cloudflared" in judged(smee, wrong)
    assert judged(smee, wrong, length=True) == "wrong secret"
    assert judged(smee, wrong, url="") == "wrong secret"
    assert judged(smee, Verdict(VerdictKind.EXPIRED, "sample", "expired")) == "expired"
    assert judged(smee, Verdict(VerdictKind.NO_SECRET, None, "unknown")) == "unknown"


def test_a_scheme_that_signs_the_url_is_told_that_gosmee_drops_it() -> None:
    gosmee = parse_foreign("gosmee+https://host/c").kind
    assert "drops path and query" in judged(gosmee, Verdict(VerdictKind.WRONG_SECRET, "signs-url", "wrong"))
    assert judged(gosmee, Verdict(VerdictKind.WRONG_SECRET, "sample", "wrong")) == "wrong"


def test_a_plain_url_gets_a_hint_when_a_foreign_relay_answers() -> None:
    async def hint(answer: Callable[[], bytes]) -> str:
        async with stream_server([answer()]) as server:
            return (await hint_for(RelayPlan(f"{server.url}/c"))).replace(server.url, "URL")

    gosmee = run(hint(lambda: plain("200 OK", b"1", X_Gosmee_Version="1")))
    assert gosmee == "that looks like gosmee: --relay gosmee+URL/c"
    assert run(hint(lambda: plain("404 Not Found"))) == ""
    assert run(hint_for(RelayPlan("svix"))) == ""


def test_tokens_are_long_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith("c_") and len(token) == 29 and token.isascii() for token in tokens)
