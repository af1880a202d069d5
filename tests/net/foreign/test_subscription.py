"""The event streams of smee and gosmee against scripts: what is asked, what is taken, what ends it."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from tests.net.foreign.servers import (
    STREAM_HEAD,
    gosmee_event,
    plain,
    smee_event,
    stream_server,
)
from tests.ports import free_port
from webhookctl.errors import RelayError
from webhookctl.events import ErrorOccurred
from webhookctl.model import Response
from webhookctl.net.dialling import LostError
from webhookctl.net.foreign import subscription
from webhookctl.net.foreign.subscription import GOSMEE, SMEE, Dialect, Subscription, new_channel, recognise
from webhookctl.net.foreign.wires import Arrival, WireOptions

T = TypeVar("T")
READY = b"id: 0\nevent: ready\ndata: {}\n\n"
PING = b"id: 1\nevent: ping\ndata: {}\n\n"
GREETING = b'data: {"message":"connected"}\n\ndata: {"message":"ready"}\n\n: keepalive\n\n'
ANSWER = Response(200, "OK", (), b"")


def run(work: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(20):
            return await work

    return asyncio.run(limited())


class Scene:
    """One subscription until its stream ends, and all it told."""

    def __init__(
        self, dialect: Dialect, *script: bytes, max_body_bytes: int = 10_000, resume_id: str = ""
    ) -> None:
        self.reports: list[ErrorOccurred] = []
        self.arrivals: list[Arrival] = []
        self.resumable: list[str] = []
        self.lost = ""
        self.requests: list[bytes] = []
        self.url = ""
        self._dialect = dialect
        self._options = WireOptions(None, max_body_bytes, self.reports.append)
        self._resume_id = resume_id
        run(self._play(list(script)))

    async def _play(self, script: list[bytes]) -> None:
        async with stream_server(script) as server:
            wire = Subscription(
                self._dialect,
                f"{server.url}/channel-1234",
                self._options,
                resume_id=self._resume_id,
                on_resumable=self.resumable.append,
            )
            try:
                self.url = (await wire.connect(is_first=True)).removeprefix(server.url)
                await wire.read(self._take)
            except LostError as lost:
                self.lost = lost.reason
            finally:
                await wire.close()
                self.requests = server.requests

    async def _take(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)
        await arrival.reply(ANSWER)

    @property
    def told(self) -> list[str]:
        return [report.message for report in self.reports]


def test_smee_is_asked_for_a_stream_exactly_as_it_wants() -> None:
    scene = Scene(SMEE, STREAM_HEAD, READY)
    head = scene.requests[0]
    assert head.startswith(b"GET /channel-1234 HTTP/1.1\r\n")
    assert b"\r\nAccept: text/event-stream\r\n" in head
    assert b"Last-Event-ID" not in head
    assert scene.url == "/channel-1234"


def test_gosmee_is_subscribed_to_under_events() -> None:
    assert (
        Scene(GOSMEE, STREAM_HEAD, GREETING).requests[0].startswith(b"GET /events/channel-1234 HTTP/1.1\r\n")
    )


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_deliveries_of_smee_come_out_however_they_are_split(step: int) -> None:
    first = smee_event(2, '{"a":1.5}', **{"x-github-event": "push", "content-length": "9"})
    data = READY + first + PING + smee_event(3, '{"b":"é"}')
    scene = Scene(SMEE, STREAM_HEAD, *[data[at : at + step] for at in range(0, len(data), step)])
    assert [arrival.request.body for arrival in scene.arrivals] == [b'{"a":1.5}', '{"b":"é"}'.encode()]
    assert scene.arrivals[0].request.headers[0] == (b"x-github-event", b"push")
    assert scene.arrivals[0].original_bytes == 9
    assert not scene.arrivals[0].is_body_exact
    assert scene.lost == "it ended the stream"
    assert scene.reports == []
    assert scene.resumable == []


def test_deliveries_of_gosmee_are_exact_and_its_greetings_are_none() -> None:
    body = b'{ "a" : 1.0 }\r\n'
    scene = Scene(GOSMEE, STREAM_HEAD, b"data: ready\n\n", GREETING, gosmee_event(body, **{"x-a": "1"}))
    assert [arrival.request.body for arrival in scene.arrivals] == [body]
    assert scene.arrivals[0].is_body_exact
    assert scene.arrivals[0].sent_at_s == 1_795_441_771.0
    assert scene.reports == []


def test_gosmee_with_redis_is_resumed_and_its_gap_is_told() -> None:
    gap = b'event: gosmee-gap\ndata: {"error":"missed_history","requested_id":"1-0","oldest_id":"5-0"}\n\n'
    scene = Scene(GOSMEE, STREAM_HEAD, gap, gosmee_event(b"{}", event_id="7-0"), resume_id="1-0")
    assert b"\r\nLast-Event-ID: 1-0\r\n" in scene.requests[0]
    assert scene.reports[0].code == "relay-gap"
    assert scene.resumable == ["7-0"]


def test_a_point_is_resumable_only_when_all_before_it_is_done() -> None:
    async def scene() -> list[str]:
        seen: list[str] = []
        kept: list[Arrival] = []
        script = [STREAM_HEAD, *(gosmee_event(b"{}", event_id=f"{number}-0") for number in (1, 2, 3))]
        async with stream_server(script) as server:
            options = WireOptions(None, 1000, lambda _: None)
            wire = Subscription(GOSMEE, f"{server.url}/c", options, on_resumable=seen.append)
            await wire.connect(is_first=True)

            async def take(arrival: Arrival) -> None:
                kept.append(arrival)

            with pytest.raises(LostError):
                await wire.read(take)
            await kept[1].reply(ANSWER)
            assert seen == []
            await kept[0].reply(ANSWER)
            assert seen == ["1-0", "2-0"]
            await wire.connect(is_first=False)
            assert b"Last-Event-ID: 3-0" in server.requests[1]
            await wire.close()
        return seen

    run(scene())


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (b"data: {\n\n", "not JSON"),
        (b"data: []\n\n", "no JSON object"),
        (b'data: {"x-a":"1"}\n\n', "no body"),
        (b'data: {"bodyB":"%"}\n\n', "base64"),
        (b"data: " + b"x" * 2_000_000 + b"\n\n", "larger"),
        (gosmee_event(b"x" * 1001), "larger"),
        (b'data: {"encrypted":true,"ciphertext":""}\n\n', "encrypted"),
    ],
    ids=["text", "list", "empty", "base64", "line", "body", "encrypted"],
)
def test_a_hostile_event_is_told_and_the_next_delivery_comes(event: bytes, why: str) -> None:
    scene = Scene(GOSMEE, STREAM_HEAD, event, gosmee_event(b"{}"), max_body_bytes=1000)
    assert [report.code for report in scene.reports] == ["relay-dropped"]
    assert why in scene.told[0]
    assert [arrival.request.body for arrival in scene.arrivals] == [b"{}"]


def test_fields_that_are_no_headers_are_told() -> None:
    scene = Scene(SMEE, STREAM_HEAD, smee_event(1, "{}", **{"x y": "1"}))
    assert scene.told == ["fields that cannot be headers were left out: x y"]
    assert len(scene.arrivals) == 1


def test_a_large_delivery_is_unwrapped_too() -> None:
    body = json.dumps({"a": "x" * 600_000}).encode()
    assert (
        Scene(GOSMEE, STREAM_HEAD, gosmee_event(body), max_body_bytes=10**6).arrivals[0].request.body == body
    )


@pytest.mark.parametrize(
    ("answer", "code", "word"),
    [
        (plain("200 OK", b"<html>", Content_Type="text/html"), "relay-not-found", "200 text/html"),
        (plain("404 Not Found"), "relay-not-found", "404"),
        (plain("302 Found", Location="https://example.org/x"), "relay-not-found", "https://example.org/x"),
        (plain("401 Unauthorized"), "relay-unauthorised", "401"),
        (plain("403 Forbidden"), "relay-unauthorised", "403"),
    ],
    ids=["page", "absent", "elsewhere", "401", "403"],
)
@pytest.mark.parametrize("dialect", [SMEE, GOSMEE], ids=lambda dialect: dialect.name)
def test_what_is_no_stream_is_an_error_at_the_start(
    dialect: Dialect, answer: bytes, code: str, word: str
) -> None:
    with pytest.raises(RelayError) as caught:
        Scene(dialect, answer)
    assert caught.value.code == code
    assert word in caught.value.message


@pytest.mark.parametrize("answer", [plain("503 Busy"), plain("429 Slow"), b"", b"garbage\r\n\r\n"], ids=repr)
def test_a_relay_in_trouble_is_tried_again(answer: bytes) -> None:
    assert Scene(SMEE, answer).lost


def test_a_page_in_between_is_no_reason_to_give_up_later() -> None:
    async def scene() -> None:
        page = [plain("200 OK", b"<html>", Content_Type="text/html")]
        async with stream_server([STREAM_HEAD], page) as server:
            wire = Subscription(SMEE, f"{server.url}/c", WireOptions(None, 1000, lambda _: None))
            await wire.connect(is_first=True)
            with pytest.raises(LostError, match="200"):
                await wire.connect(is_first=False)
            await wire.close()

    run(scene())


def test_silence_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "SILENCE_S", 0.2)
    assert Scene(SMEE, STREAM_HEAD, READY, b"WAIT").lost == "it was silent for 0.2 s"


def test_nobody_there_is_told() -> None:
    async def scene() -> None:
        wire = Subscription(
            SMEE, f"http://127.0.0.1:{free_port()}/c", WireOptions(None, 1000, lambda _: None)
        )
        with pytest.raises(LostError, match="refuses connections"):
            await wire.connect(is_first=True)
        await wire.close()

    run(scene())


def made(dialect: Dialect, answer: bytes) -> str:
    async def scene() -> str:
        async with stream_server([answer]) as server:
            url = await new_channel(dialect, f"{server.url}/", WireOptions(None, 1000, lambda _: None))
            assert server.requests[0].startswith(b"GET /new HTTP/1.1\r\n")
            return url.removeprefix(server.url)

    return run(scene())


def test_smee_makes_a_channel_by_a_redirect_and_gosmee_by_a_text() -> None:
    location = "http://behind-a-proxy.example.com/AbCd-1234_efgh56"
    assert made(SMEE, plain("307 Temporary Redirect", Location=location)) == "/AbCd-1234_efgh56"
    assert made(SMEE, plain("307 Temporary Redirect", Location="/AbCd")) == "/AbCd"
    assert made(GOSMEE, plain("200 OK", b"https://other.example.com/abcdefghijkl\n")) == "/abcdefghijkl"


@pytest.mark.parametrize(
    "answer",
    [
        plain("200 OK", b"<html>"),
        plain("404 Not Found"),
        plain("302 Found", Location="/a/b"),
        plain("302 Found"),
    ],
    ids=["page", "absent", "deep", "nowhere"],
)
def test_a_server_that_makes_no_channel_is_an_error(answer: bytes) -> None:
    with pytest.raises(RelayError, match="made no channel"):
        made(SMEE, answer)


def test_a_channel_of_nobody_is_an_error() -> None:
    with pytest.raises(RelayError, match="refuses connections"):
        run(new_channel(SMEE, f"http://127.0.0.1:{free_port()}", WireOptions(None, 1000, lambda _: None)))


def recognised(*answers: bytes) -> str:
    async def scene() -> str:
        async with stream_server(*([answer] for answer in answers)) as server:
            found = await recognise(f"{server.url}/abcdefghijkl", WireOptions(None, 1000, lambda _: None))
            return found.replace(server.url, "URL")

    return run(scene())


def test_a_plain_url_of_smee_or_gosmee_is_recognised() -> None:
    stream = plain("200 OK", b"", Content_Type="text/event-stream")
    assert recognised(plain("200 OK", b"1.0", X_Gosmee_Version="1.0")) == "gosmee+URL/abcdefghijkl"
    assert recognised(plain("404 Not Found"), stream) == "smee+URL/abcdefghijkl"
    assert recognised(plain("404 Not Found"), plain("404 Not Found")) == ""
    assert recognised(b"") == ""
