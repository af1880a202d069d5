"""A handshake's way: stored first, asked of the first app in time, answered by whom the greeter says, saved nowhere."""

import asyncio
from collections.abc import Awaitable, Sequence

from webhookctl.address import parse_endpoint
from webhookctl.events import Event, HandshakeAnswered, RequestReceived, ResponseReceived, VerdictGiven
from webhookctl.handshake import Handshake, resolve
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
    Request,
    Response,
    Verdict,
    VerdictKind,
)
from webhookctl.session import Route, Session, SessionOptions, Settled

APP = parse_endpoint("http://app.example.com:3000")
OTHER = parse_endpoint("http://other.example.com:3000")
OWN = Response(200, "OK", (), b"own")
NOT_FOUND = Response(404, "Not Found", (), b"no such route")
OURS = Settled(OWN)
DELIVERY = Capture(Request("POST", "/in", (), b"{}"), 1_700_000_000.0, "127.0.0.1:5")


class Scene:
    """A session and its parts in memory; it is its own greeter, which calls every request the handshake `name`."""

    def __init__(
        self,
        name: str | None,
        settled: Settled = OURS,
        *,
        routes: tuple[Route, ...] = (),
        events: tuple[str, ...] = (),
        outcome: Response | Failure = NOT_FOUND,
        acknowledged: Response | None = OWN,
        has_greeter: bool = True,
        is_early_ack: bool = False,
    ) -> None:
        self.row = None if name is None else resolve(name)
        self.settled = settled
        self.outcome = outcome
        self.acknowledged = acknowledged
        self.steps: list[str] = []
        self.events: list[Event] = []
        self.stored: list[tuple[Detection, Verdict]] = []
        self.kept: list[Exchange] = []
        self.seen: list[Attempt | None] = []
        self.session = Session(
            SessionOptions(routes, events, is_early_ack, timeout_s=7.0),
            judge=self.judge,
            recorder=self,
            sender=self,
            keeper=self,
            emit=self.events.append,
            greeter=self if has_greeter else None,
        )

    def deliver(self) -> Response:
        async def whole() -> Response:
            answer = await self.session.deliver(DELIVERY)
            await self.session.finish(timeout_s=5)
            return answer

        return asyncio.run(whole())

    def judge(self, _: Capture) -> tuple[Detection, Verdict]:
        return Detection(), Verdict(VerdictKind.NO_HEADER, "sample", "no header X-Sample")

    def append(self, judged: tuple[Capture, Detection, Verdict]) -> Awaitable[tuple[int, int | None]]:
        async def store() -> tuple[int, int | None]:
            self.steps.append("store")
            self.stored.append(judged[1:])
            return 7, None

        return store()

    def add_attempts(self, exchange_id: int, attempts: Sequence[Attempt]) -> None:
        self.steps.append("attempt")

    def offer(self, exchange: Exchange) -> None:
        self.kept.append(exchange)

    def discard(self, exchange_id: int) -> None:
        raise AssertionError("nothing is discarded here")

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
        self.steps.append(f"send {endpoint.host} within {timeout_s}")
        if isinstance(self.outcome, Response):
            return Attempt(endpoint.url, 1_700_000_000.0, 3.0, response=self.outcome)
        return Attempt(endpoint.url, 1_700_000_000.0, 3.0, failure=self.outcome)

    def find(self, request: Request, detection: Detection) -> Handshake | None:
        self.steps.append("find")
        return self.row

    def patience_s(self, handshake: Handshake, timeout_s: float) -> float:
        return timeout_s / 2

    def settle(self, handshake: Handshake, exchange: Exchange, attempt: Attempt | None) -> Settled:
        self.seen.append(attempt)
        return self.settled

    def acknowledgement(self, handshake: Handshake, exchange: Exchange) -> Response | None:
        return self.acknowledged

    async def visit(self, url: str) -> str:
        self.steps.append(f"visit {url}")
        return "the subscription is confirmed"

    @property
    def told(self) -> HandshakeAnswered:
        (event,) = [event for event in self.events if isinstance(event, HandshakeAnswered)]
        return event


def test_without_an_app_the_answer_is_our_own_and_the_delivery_was_stored_before() -> None:
    scene = Scene("slack")
    assert scene.deliver() == OWN
    assert scene.steps == ["find", "store"]
    assert scene.seen == [None]
    assert [type(event) for event in scene.events] == [RequestReceived, VerdictGiven, HandshakeAnswered]
    assert (scene.told.id, scene.told.handshake, scene.told.status) == (7, "slack", 200)
    assert not scene.told.is_by_app
    assert scene.kept == []


def test_the_first_app_alone_is_asked_for_as_long_as_the_greeter_says() -> None:
    scene = Scene("slack", routes=(Route(None, APP), Route(None, OTHER)), is_early_ack=True)
    assert scene.deliver() == OWN
    assert scene.steps == ["find", "store", "send app.example.com within 3.5", "attempt"]
    assert scene.told.attempt is not None


def test_the_app_s_answer_goes_back_where_the_greeter_has_none() -> None:
    scene = Scene("slack", Settled(None, complaints=("wrong",)), routes=(Route(None, APP),))
    assert scene.deliver() == NOT_FOUND
    assert scene.told.is_by_app
    assert scene.told.complaints == ("wrong",)


def test_an_app_that_gave_no_answer_is_told_as_for_any_delivery() -> None:
    failure = Failure(FailureKind.REFUSED, "it refuses connections")
    scene = Scene("slack", Settled(None), routes=(Route(None, APP),), outcome=failure)
    assert scene.deliver().status == 502
    assert scene.told.status == 502


def test_with_nobody_to_answer_it_is_accepted_as_any_delivery() -> None:
    scene = Scene("slack", Settled(None))
    assert scene.deliver().status == 202
    assert not scene.told.is_by_app


def test_what_events_leaves_out_is_not_forwarded_but_answered() -> None:
    scene = Scene("slack", routes=(Route(None, APP),), events=("stripe/*",))
    assert scene.deliver() == OWN
    assert scene.steps == ["find", "store"]


def test_a_handshake_is_recorded_under_its_provider_and_an_unsigned_one_has_no_bad_signature() -> None:
    scene = Scene("meta")
    scene.deliver()
    detection, verdict = scene.stored[0]
    assert (detection.provider, detection.event) == ("meta", "handshake")
    assert verdict.kind is VerdictKind.UNKNOWN_SCHEME


def test_the_verdict_on_a_signed_handshake_stays() -> None:
    scene = Scene("slack")
    scene.deliver()
    assert scene.stored[0][1].kind is VerdictKind.NO_HEADER


def test_a_url_is_visited_behind_the_answer_and_the_outcome_is_told() -> None:
    scene = Scene("aws_sns", Settled(OWN, notes=("a",), visit="https://sns.example.com/"))
    assert scene.deliver() == OWN
    assert scene.steps == ["find", "store", "visit https://sns.example.com/"]
    assert scene.told.notes == ("a", "the subscription is confirmed")


def test_an_acknowledgement_is_a_delivery_with_the_text_that_its_provider_wants() -> None:
    scene = Scene("adyen")
    assert scene.deliver() == OWN
    (event,) = [event for event in scene.events if isinstance(event, ResponseReceived)]
    assert event.status == 200
    assert len(scene.kept) == 1
    assert scene.stored[0][0].event is None


def test_what_cannot_be_acknowledged_is_accepted() -> None:
    assert Scene("adyen", acknowledged=None).deliver().status == 202


def test_an_app_acknowledges_for_itself() -> None:
    assert Scene("adyen", routes=(Route(None, APP),)).deliver() == NOT_FOUND


def test_no_handshake_and_no_greeter_are_ordinary_deliveries() -> None:
    assert Scene(None).deliver().status == 202
    assert Scene("slack", has_greeter=False).deliver().status == 202
