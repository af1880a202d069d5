"""One delivery's way, in order: scripts of captures in, steps and answers out; no sockets and no disk."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from webhookctl.address import parse_endpoint
from webhookctl.errors import UsageError
from webhookctl.events import ErrorOccurred, Event, RequestReceived, ResponseReceived, VerdictGiven
from webhookctl.model import (
    Attempt,
    Capture,
    Detection,
    Endpoint,
    Exchange,
    Failure,
    FailureKind,
    Headers,
    LargeBody,
    Relayed,
    Request,
    Response,
    Verdict,
    VerdictKind,
)
from webhookctl.session import Route, Sender, Session, SessionOptions, is_not_stored

T = TypeVar("T")
APP = parse_endpoint("http://app.example.com:3000")
OTHER = parse_endpoint("http://other.example.com:4000/hooks")
FOUND = Detection("stripe", "payment.made", "evt_1", "header Sample")
GOOD = Verdict(VerdictKind.OK, "stripe", "ok")
CREATED = Response(201, "Created", ((b"X", b"1"),), b"made")


def run(work: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(10):
            return await work

    return asyncio.run(limited())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def capture(body: bytes = b"{}", target: str = "/in?x=1") -> Capture:
    return Capture(
        Request("POST", target, ((b"Host", b"in.example.com"),), body), 1_700_000_000.0, "127.0.0.1:5"
    )


class Scene:
    """A session among parts in memory that write down each step in the order it happens."""

    def __init__(
        self,
        *routes: Route,
        events: tuple[str, ...] = (),
        is_early_ack: bool = False,
        added: Headers = (),
        detection: Detection = FOUND,
        judge: Callable[[Capture], tuple[Detection, Verdict]] | None = None,
        aside: Sender | None = None,
    ) -> None:
        self.steps: list[str] = []
        self.events: list[Event] = []
        self.sent: list[tuple[Endpoint, Request, float | None, Headers, bool]] = []
        self.large: list[LargeBody] = []
        self.kept: list[Exchange] = []
        self.attempts: list[tuple[int, Attempt]] = []
        self.outcomes: dict[str, Response | Failure | Exception] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.storing: Exception | None = None
        self.duplicate_of: int | None = None
        self.detection = detection
        self.session = Session(
            SessionOptions(routes, events, is_early_ack, 7.0, added),
            judge=judge or self.judge,
            recorder=self,
            sender=self,
            keeper=self,
            emit=self.emit,
            aside=aside,
        )

    def judge(self, _: Capture) -> tuple[Detection, Verdict]:
        self.steps.append("judge")
        return self.detection, GOOD

    def append(self, judged: tuple[Capture, Detection, Verdict]) -> Awaitable[tuple[int, int | None]]:
        async def store() -> tuple[int, int | None]:
            await self._gate("store")
            if self.storing is not None:
                raise self.storing
            self.steps.append("store")
            return 7, self.duplicate_of

        return store()

    def add_attempts(self, exchange_id: int, attempts: Sequence[Attempt]) -> None:
        self.attempts += [(exchange_id, attempt) for attempt in attempts]

    def discard(self, exchange_id: int) -> None:
        self.steps.append(f"discard {exchange_id}")

    def offer(self, exchange: Exchange) -> None:
        self.kept.append(exchange)

    def emit(self, event: Event) -> None:
        self.steps.append(type(event).__name__)
        self.events.append(event)

    async def send(
        self,
        endpoint: Endpoint,
        request: Request,
        *,
        timeout_s: float | None,
        added: Headers = (),
        keep_host: bool = False,
        large_body: LargeBody | None = None,
    ) -> Attempt:
        self.steps.append(f"send {endpoint.host}")
        if large_body is not None:
            self.large.append(large_body)
        self.sent.append((endpoint, request, timeout_s, added, keep_host))
        await self._gate(endpoint.host)
        outcome = self.outcomes.get(endpoint.host, CREATED)
        if isinstance(outcome, Exception):
            raise outcome
        if isinstance(outcome, Failure):
            return Attempt(endpoint.url, 1.0, 2.0, failure=outcome)
        return Attempt(endpoint.url, 1.0, 2.0, outcome)

    async def _gate(self, name: str) -> None:
        if name in self.gates:
            await self.gates[name].wait()

    def responses(self) -> list[ResponseReceived]:
        return [event for event in self.events if isinstance(event, ResponseReceived)]


def test_a_delivery_is_stored_before_it_is_told_of_forwarded_and_answered() -> None:
    async def scene() -> tuple[Scene, Response]:
        stage = Scene(Route(None, APP))
        stage.gates["store"] = asyncio.Event()
        task = asyncio.ensure_future(stage.session.deliver(capture()))
        await settle()
        assert stage.steps == ["judge"]
        assert not task.done()
        stage.gates["store"].set()
        return stage, await task

    stage, answer = run(scene())
    assert answer is CREATED
    assert stage.steps == [
        *("judge", "store", "RequestReceived", "VerdictGiven", "send app.example.com", "ResponseReceived"),
    ]
    received, verdict, response = stage.events
    assert received == RequestReceived(7, capture(), FOUND, None, False)
    assert verdict == VerdictGiven(7, GOOD)
    attempt = Attempt(APP.url, 1.0, 2.0, CREATED)
    assert response == ResponseReceived(7, attempt, 201, FOUND)
    assert stage.attempts == [(7, attempt)]
    assert stage.kept == [Exchange(7, capture(), FOUND, GOOD, None, (attempt,))]


def test_with_a_turn_it_is_stored_at_once_and_told_of_and_forwarded_when_its_turn_comes() -> None:
    async def scene() -> Scene:
        stage = Scene(Route(None, APP))
        turn = asyncio.Event()

        async def wait() -> None:
            await turn.wait()

        task = asyncio.ensure_future(stage.session.deliver(capture(), wait))
        await settle()
        assert stage.steps == ["judge", "store"]
        turn.set()
        assert await task is CREATED
        return stage

    assert run(scene()).steps[2:] == [
        "RequestReceived",
        "VerdictGiven",
        "send app.example.com",
        "ResponseReceived",
    ]


def test_what_is_cancelled_before_its_turn_is_taken_back_from_the_history() -> None:
    async def scene() -> Scene:
        stage = Scene(Route(None, APP))

        async def wait() -> None:
            await asyncio.Event().wait()

        task = asyncio.ensure_future(stage.session.deliver(capture(), wait))
        await settle()
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()
        return stage

    assert run(scene()).steps == ["judge", "store", "discard 7"]


def test_what_is_not_stored_is_refused_and_goes_nowhere() -> None:
    async def scene() -> tuple[Scene, Response]:
        stage = Scene(Route(None, APP))
        stage.storing = UsageError("history-unusable", "the disk is full", "make room")
        return stage, await stage.session.deliver(capture())

    stage, answer = run(scene())
    assert (answer.status, answer.reason) == (503, "Service Unavailable")
    assert (b"Webhookctl-Error", b"not-stored") in answer.headers
    assert answer.body == b"webhookctl could not store this delivery: the disk is full\n"
    assert stage.events == [
        ErrorOccurred("history-unusable", "a delivery was NOT stored: the disk is full", "make room")
    ]
    assert (stage.sent, stage.kept) == ([], [])


def test_without_a_route_it_is_accepted_and_kept() -> None:
    async def scene() -> tuple[Scene, Response]:
        stage = Scene(Route("github/*", APP), Route("/other/**", OTHER))
        stage.duplicate_of = 3
        return stage, await stage.session.deliver(capture())

    stage, answer = run(scene())
    assert answer == Response(202, "Accepted", (), b"")
    assert stage.sent == []
    assert stage.kept == [Exchange(7, capture(), FOUND, GOOD, 3)]
    assert stage.responses() == [ResponseReceived(7, None, 202, FOUND)]


def test_events_that_are_not_wanted_are_stored_and_neither_forwarded_nor_kept() -> None:
    async def scene() -> tuple[Scene, Response]:
        stage = Scene(Route(None, APP), events=("invoice.*", "github/*"))
        return stage, await stage.session.deliver(capture())

    stage, answer = run(scene())
    assert answer.status == 202
    assert "store" in stage.steps
    assert (stage.sent, stage.kept) == ([], [])
    assert isinstance(stage.events[0], RequestReceived)
    assert stage.events[0].is_ignored


def test_events_that_are_wanted_go_their_way() -> None:
    async def scene() -> Response:
        return await Scene(Route(None, APP), events=("payment.*",)).session.deliver(capture())

    assert run(scene()) is CREATED


def test_the_first_matching_routes_outcome_is_the_answer_and_the_others_get_it_too() -> None:
    async def scene() -> tuple[Scene, Response]:
        stage = Scene(Route("github/*", APP), Route("payment.*", OTHER), Route(None, APP))
        stage.gates["app.example.com"] = asyncio.Event()
        stage.outcomes["app.example.com"] = Response(500, "Oops", (), b"")
        answer = await stage.session.deliver(capture())  # does not wait for the other
        assert stage.session.unfinished == 1
        stage.gates["app.example.com"].set()
        assert await stage.session.finish(timeout_s=5) == 0
        return stage, answer

    stage, answer = run(scene())
    assert answer is CREATED
    assert [(event.status, event.is_answer) for event in stage.responses()] == [(201, True), (500, False)]
    assert len(stage.attempts) == 2
    assert [attempt.url for attempt in stage.kept[0].attempts] == [OTHER.url]


def test_a_request_is_addressed_to_its_endpoint_with_what_a_proxy_owes_it() -> None:
    async def scene() -> Scene:
        stage = Scene(Route(None, OTHER), added=((b"X-Own", b"1"),))
        await stage.session.deliver(capture())
        return stage

    ((_, request, timeout_s, added, keep_host),) = run(scene()).sent
    assert request.target == "/hooks?x=1"
    assert timeout_s == 7.0
    assert added == (
        (b"X-Forwarded-For", b"127.0.0.1"),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", b"in.example.com"),
        (b"X-Own", b"1"),
    )
    assert not keep_host


def test_a_host_given_by_hand_is_kept() -> None:
    async def scene() -> Scene:
        stage = Scene(Route(None, APP), added=((b"hOst", b"shop.example.com"),))
        await stage.session.deliver(capture())
        return stage

    assert run(scene()).sent[0][4]


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        (FailureKind.TIMEOUT, 504, "Gateway Timeout"),
        (FailureKind.REFUSED, 502, "Bad Gateway"),
        (FailureKind.DNS, 502, "Bad Gateway"),
        (FailureKind.CLOSED, 502, "Bad Gateway"),
        (FailureKind.PROTOCOL, 502, "Bad Gateway"),
        (FailureKind.TLS, 502, "Bad Gateway"),
    ],
)
def test_an_app_that_gives_no_response_is_told_of_to_the_sender(
    kind: FailureKind, status: int, reason: str
) -> None:
    async def scene() -> tuple[Scene, Response]:
        stage = Scene(Route(None, APP))
        stage.outcomes["app.example.com"] = Failure(kind, "it does not like us")
        return stage, await stage.session.deliver(capture())

    stage, answer = run(scene())
    assert (answer.status, answer.reason) == (status, reason)
    assert (b"Webhookctl-Error", kind.value.encode()) in answer.headers
    assert answer.body == b"webhookctl: the app at http://app.example.com:3000: it does not like us\n"
    assert stage.responses()[0].status == status
    assert len(stage.kept) == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UsageError("header-invalid", "a header is odd"), "a header is odd"),
        (RuntimeError("boom"), "sending it failed: RuntimeError('boom')"),
    ],
)
def test_a_sender_that_raises_is_an_attempt_that_failed(error: Exception, message: str) -> None:
    async def scene() -> tuple[Scene, Response]:
        stage = Scene(Route(None, APP))
        stage.outcomes["app.example.com"] = error
        return stage, await stage.session.deliver(capture())

    stage, answer = run(scene())
    assert answer.status == 502
    assert stage.attempts[0][1].failure == Failure(FailureKind.PROTOCOL, message)


@pytest.mark.parametrize("size", [2, 600_000])
def test_a_judge_that_fails_stops_no_delivery(size: int) -> None:
    def fail(_: Capture) -> tuple[Detection, Verdict]:
        raise ValueError("boom")

    async def scene() -> tuple[Scene, Response]:
        stage = Scene(Route(None, APP), judge=fail)
        return stage, await stage.session.deliver(capture(b"x" * size))

    stage, answer = run(scene())
    assert answer is CREATED
    error, received, verdict, _ = stage.events
    assert error == ErrorOccurred("judge-failed", "the signature could not be judged: ValueError('boom')")
    assert isinstance(received, RequestReceived)
    assert received.detection == Detection()
    assert isinstance(verdict, VerdictGiven)
    assert verdict.verdict.kind is VerdictKind.UNKNOWN_SCHEME


def test_a_large_body_is_judged_beside_the_loop() -> None:
    import threading

    threads: list[threading.Thread] = []

    def judge(_: Capture) -> tuple[Detection, Verdict]:
        threads.append(threading.current_thread())
        return FOUND, GOOD

    async def scene() -> None:
        stage = Scene(judge=judge)
        await stage.session.deliver(capture(b"x" * 512 * 1024))
        await stage.session.deliver(capture(b"x" * (512 * 1024 + 1)))

    run(scene())
    assert threads[0] is threading.main_thread()
    assert threads[1] is not threading.main_thread()


def test_with_early_ack_the_answer_comes_before_the_app_which_has_all_the_time() -> None:
    async def scene() -> tuple[Scene, Response]:
        stage = Scene(Route(None, APP), Route(None, OTHER), is_early_ack=True)
        stage.gates["app.example.com"] = asyncio.Event()
        answer = await stage.session.deliver(capture())
        await settle()
        assert (stage.sent[0][2], stage.sent[1][2]) == (None, 7.0)
        assert stage.session.unfinished
        stage.gates["app.example.com"].set()
        assert await stage.session.finish(timeout_s=5) == 0
        return stage, answer

    stage, answer = run(scene())
    assert answer == Response(202, "Accepted", (), b"")
    assert [(event.status, event.is_answer) for event in stage.responses()] == [(201, False), (202, True)]
    assert len(stage.kept) == 1


def test_with_early_ack_only_so_many_are_forwarded_at_once() -> None:
    async def scene() -> tuple[int, int]:
        stage = Scene(Route(None, APP), is_early_ack=True)
        stage.gates["app.example.com"] = asyncio.Event()
        for _ in range(100):
            assert (await stage.session.deliver(capture())).status == 202
        await settle()
        under_way = len(stage.sent)
        stage.gates["app.example.com"].set()
        await stage.session.finish(timeout_s=5)
        return under_way, len(stage.sent)

    assert run(scene()) == (64, 100)


def test_finishing_waits_for_what_follows_from_what_is_under_way() -> None:
    async def scene() -> tuple[int, int]:
        stage = Scene(Route(None, APP), Route(None, OTHER), is_early_ack=True)
        stage.gates["other.example.com"] = asyncio.Event()
        await stage.session.deliver(capture())
        asyncio.get_running_loop().call_later(0.05, stage.gates["other.example.com"].set)
        # The forward to the other endpoint has not even begun yet.
        return await stage.session.finish(timeout_s=5), len(stage.attempts)

    assert run(scene()) == (0, 2)


def test_finishing_gives_up_after_its_time_and_says_how_many_it_left() -> None:
    async def scene() -> tuple[int, int, int]:
        stage = Scene(Route(None, APP), is_early_ack=True)
        stage.gates["app.example.com"] = asyncio.Event()
        for _ in range(3):
            await stage.session.deliver(capture())
        return await stage.session.finish(timeout_s=0.02), stage.session.unfinished, len(stage.attempts)

    assert run(scene()) == (3, 0, 0)


def test_with_nothing_under_way_finishing_is_immediate() -> None:
    async def scene() -> int:
        return await Scene().session.finish(timeout_s=0)

    assert run(scene()) == 0


def relayed_capture(*, attempt: int = 1, large_body: LargeBody | None = None) -> Capture:
    return replace(
        capture(),
        url="https://relay.example.com/abc/in?x=1",
        relayed=Relayed("01f", attempt),
        large_body=large_body,
    )


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        (1, [(b"Webhookctl-Delivery-Id", b"01f")]),
        (3, [(b"Webhookctl-Delivery-Id", b"01f"), (b"Webhookctl-Attempt", b"3")]),
    ],
)
def test_the_app_is_told_the_relays_id_and_whether_it_may_know_the_delivery(
    attempt: int, expected: list[tuple[bytes, bytes]]
) -> None:
    async def scene() -> Scene:
        stage = Scene(Route(None, APP))
        await stage.session.deliver(relayed_capture(attempt=attempt))
        return stage

    added = run(scene()).sent[0][3]
    assert [field for field in added if field[0].startswith(b"Webhookctl-")] == expected
    assert (b"X-Forwarded-Proto", b"https") in added


def test_a_body_too_large_to_be_held_is_forwarded_before_the_answer_and_not_saved() -> None:
    async def scene() -> tuple[Scene, Response]:
        stage = Scene(Route(None, APP), is_early_ack=True)
        large = relayed_capture(large_body=LargeBody(9, "ab", "/file"))
        return stage, await stage.session.deliver(large)

    stage, answer = run(scene())
    assert answer is CREATED
    assert stage.large == [LargeBody(9, "ab", "/file")]
    assert stage.kept == []


def test_only_the_answering_route_goes_through_the_first_sender() -> None:
    async def scene() -> tuple[Scene, Scene]:
        other = Scene()
        stage = Scene(Route(None, APP), Route(None, OTHER), aside=other)
        await stage.session.deliver(capture())
        await stage.session.finish(timeout_s=5.0)
        return stage, other

    stage, other = run(scene())
    assert [endpoint for endpoint, *_ in stage.sent] == [APP]
    assert [endpoint for endpoint, *_ in other.sent] == [OTHER]


def test_an_answer_of_the_app_is_never_mistaken_for_not_stored() -> None:
    assert not is_not_stored(Response(503, "Service Unavailable", (), b""))
    assert not is_not_stored(Response(200, "OK", ((b"Webhookctl-Error", b"not-stored"),), b""))
