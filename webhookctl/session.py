"""One delivery's way through `listen`: judge, store, tell, shake hands or forward, answer, keep; in that order.

No sockets, no disk, no clock of its own: all of that comes in through the protocols below.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from webhookctl import match
from webhookctl.address import addressed, forwarded_headers
from webhookctl.errors import WebhookctlError
from webhookctl.events import (
    ErrorOccurred,
    Event,
    HandshakeAnswered,
    RequestReceived,
    ResponseReceived,
    VerdictGiven,
)
from webhookctl.handshake import Handshake
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

Judge = Callable[[Capture], tuple[Detection, Verdict]]
Emit = Callable[[Event], None]
Turn = Callable[[], Awaitable[None]]
"""Returns when it is a delivery's turn to be forwarded. Cancelled there, the delivery stays with whoever keeps it."""

_LARGE_BODY_BYTES = 512 * 1024  # judged in a thread, so that one big body does not hold up the others
_EARLY_CONCURRENCY = 64  # forwards under way at once with --ack early
_HANDSHAKE_S = 30.0  # for the app where nothing else is limited
_ACCEPTED = Response(202, "Accepted", (), b"")
_TEXT = (b"Content-Type", b"text/plain; charset=utf-8")
_ERROR = b"Webhookctl-Error"
_NOT_STORED = b"not-stored"


class Recorder(Protocol):
    """The history. `append` resolves when the delivery is on disk, to its id and the id of the one it repeats."""

    def append(self, judged: tuple[Capture, Detection, Verdict]) -> Awaitable[tuple[int, int | None]]: ...

    def add_attempts(self, exchange_id: int, attempts: Sequence[Attempt]) -> None: ...

    def discard(self, exchange_id: int) -> None: ...


class Sender(Protocol):
    """The forwarder: one attempt, failures as values."""

    async def send(
        self,
        endpoint: Endpoint,
        request: Request,
        *,
        timeout_s: float | None,
        added: Headers = (),
        keep_host: bool = False,
        large_body: LargeBody | None = None,
    ) -> Attempt: ...


class Keeper(Protocol):
    """Saves fixtures behind the answer; `offer` returns at once."""

    def offer(self, exchange: Exchange) -> None: ...


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of a handshake. `response` goes back; None: the app's, such as it is. The rest is told as an event.

    `visit` is a URL that still has to be opened, behind the answer.
    """

    response: Response | None
    refusal: str = ""
    complaints: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    visit: str = ""


class Greeter(Protocol):
    """Recognises handshakes and decides whose answer goes back. `find` costs ordinary deliveries next to nothing."""

    def find(self, request: Request, detection: Detection) -> Handshake | None: ...

    def patience_s(self, handshake: Handshake, timeout_s: float) -> float: ...

    def settle(self, handshake: Handshake, exchange: Exchange, attempt: Attempt | None) -> Settled: ...

    def acknowledgement(self, handshake: Handshake, exchange: Exchange) -> Response | None: ...

    async def visit(self, url: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Route:
    """Deliveries that match `pattern` (None: all) go to `endpoint`."""

    pattern: str | None
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How deliveries are treated. `events`: patterns of those to forward and save; empty means all."""

    routes: tuple[Route, ...] = ()
    events: tuple[str, ...] = ()
    is_early_ack: bool = False
    timeout_s: float | None = 30.0  # None: the app may take as long as it likes
    added_headers: Headers = ()


class Session:
    """Takes each captured delivery through its steps; `deliver` returns what its sender is answered.

    Stored durably before anybody is answered or anything is forwarded. With several matching routes the first
    one's outcome is the answer; the others go through `aside` when that is another sender. Call `finish` before
    leaving the event loop.
    """

    def __init__(
        self,
        options: SessionOptions,
        *,
        judge: Judge,
        recorder: Recorder,
        sender: Sender,
        keeper: Keeper | None,
        emit: Emit,
        greeter: Greeter | None = None,
        aside: Sender | None = None,
    ) -> None:
        self._options = options
        self._judge = judge
        self._recorder = recorder
        self._sender = sender
        self._aside = aside or sender
        self._keeper = keeper
        self._emit = emit
        self._greeter = greeter
        self._keep_host = any(name.lower() == b"host" for name, _ in options.added_headers)
        self._behind: set[asyncio.Task[None]] = set()
        self._early_slots = asyncio.Semaphore(_EARLY_CONCURRENCY)

    @property
    def unfinished(self) -> int:
        """Forwards still under way behind an answer already given."""
        return len(self._behind)

    async def deliver(self, capture: Capture, turn: Turn | None = None) -> Response:
        """Take one delivery all the way and return the answer for its sender. Never raises.

        With a `turn` it is stored at once, together with others, and goes on when that returns.
        """
        detection, verdict = await self._judged(capture)
        handshake = self._greeter.find(capture.request, detection) if self._greeter is not None else None
        if handshake is not None:
            detection, verdict = _named(handshake, detection, verdict)
        try:
            exchange_id, duplicate_of = await self._recorder.append((capture, detection, verdict))
        except WebhookctlError as error:
            self._emit(ErrorOccurred(error.code, f"a delivery was NOT stored: {error.message}", error.hint))
            return _own_answer(503, f"webhookctl could not store this delivery: {error.message}", _NOT_STORED)
        if turn is not None:
            await self._wait_for(turn, exchange_id)
        options = self._options
        is_wanted = not options.events or any(
            match.event_matches(pattern, provider=detection.provider, event=detection.event)
            for pattern in options.events
        )
        self._emit(RequestReceived(exchange_id, capture, detection, duplicate_of, not is_wanted))
        self._emit(VerdictGiven(exchange_id, verdict))
        exchange = Exchange(exchange_id, capture, detection, verdict, duplicate_of)
        routes = [route for route in options.routes if self._is_match(route, exchange)] if is_wanted else []
        if handshake is not None and not handshake.is_acknowledgement:
            return await self._shake(handshake, routes, exchange)
        if not routes:
            answer = self._acknowledgement(handshake, exchange)
            self._emit(ResponseReceived(exchange_id, None, answer.status, detection))
            if is_wanted:
                self._keep(exchange)
            return answer
        if options.is_early_ack and capture.large_body is None:  # its file lives until this returns
            self._run_behind(self._forward_early(routes, exchange))
            return _ACCEPTED
        return await self._forward(routes, exchange)

    async def _judged(self, capture: Capture) -> tuple[Detection, Verdict]:
        try:
            if len(capture.request.body) > _LARGE_BODY_BYTES:
                return await asyncio.to_thread(self._judge, capture)
            return self._judge(capture)
        except Exception as error:
            self._emit(ErrorOccurred("judge-failed", f"the signature could not be judged: {error!r}"))
            return Detection(), Verdict(VerdictKind.UNKNOWN_SCHEME, None, "judging it failed: a bug")

    async def _wait_for(self, turn: Turn, exchange_id: int) -> None:
        try:
            await turn()
        except asyncio.CancelledError:
            self._recorder.discard(exchange_id)  # it will come again
            raise

    async def finish(self, *, timeout_s: float) -> int:
        """Wait for the forwards behind answers already given; how many had to be given up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._behind:  # one may bring forth others
                    await asyncio.wait(self._behind)
        left = [task for task in self._behind if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        return len(left)

    def _is_match(self, route: Route, exchange: Exchange) -> bool:
        detection = exchange.detection
        return match.route_matches(
            route.pattern,
            provider=detection.provider,
            event=detection.event,
            target=exchange.capture.request.target,
        )

    async def _shake(self, handshake: Handshake, routes: list[Route], exchange: Exchange) -> Response:
        """A handshake: the first route's app is asked in time for an answer of our own. Nothing is saved of it."""
        assert self._greeter is not None
        attempt = None
        if routes:
            # Not by the sender that holds what the app cannot take now: a challenge is answered in time or not at all.
            patience_s = self._greeter.patience_s(handshake, self._options.timeout_s or _HANDSHAKE_S)
            attempt = await self._attempt(self._aside, routes[0], exchange, patience_s)
        settled = self._greeter.settle(handshake, exchange, attempt)
        answer = settled.response
        if answer is None:
            answer = _ACCEPTED if attempt is None else attempt.response or _failed_answer(attempt)
        told = HandshakeAnswered(
            exchange.id,
            handshake.id,
            handshake.name,
            answer.status,
            settled.response is None and attempt is not None,
            settled.refusal,
            settled.complaints,
            settled.notes,
            attempt,
        )
        if settled.visit:
            self._run_behind(self._visit(settled.visit, told))
        else:
            self._emit(told)
        return answer

    async def _visit(self, url: str, told: HandshakeAnswered) -> None:
        assert self._greeter is not None
        outcome = await self._greeter.visit(url)
        self._emit(replace(told, notes=(*told.notes, outcome)))

    def _acknowledgement(self, handshake: Handshake | None, exchange: Exchange) -> Response:
        """What a delivery that goes nowhere is answered: what its provider wants to read, else 202."""
        if handshake is None or self._greeter is None:
            return _ACCEPTED
        return self._greeter.acknowledgement(handshake, exchange) or _ACCEPTED

    async def _forward(self, routes: list[Route], exchange: Exchange) -> Response:
        """Deliver to all routes at once; return as soon as the first one's outcome is known."""
        if len(routes) > 1:
            self._run_behind(self._forward_rest(routes[1:], exchange))
        attempt = await self._attempt(self._sender, routes[0], exchange, self._options.timeout_s)
        answer = attempt.response or _failed_answer(attempt)
        self._emit(ResponseReceived(exchange.id, attempt, answer.status, exchange.detection))
        self._keep(exchange.with_attempts((attempt,)))
        return answer

    async def _forward_rest(self, routes: list[Route], exchange: Exchange) -> None:
        async with asyncio.TaskGroup() as group:
            for route in routes:
                group.create_task(self._forward_aside(route, exchange), name=f"forward #{exchange.id}")

    async def _forward_aside(self, route: Route, exchange: Exchange) -> None:
        attempt = await self._attempt(self._aside, route, exchange, self._options.timeout_s)
        status = attempt.status or _failed_answer(attempt).status
        self._emit(ResponseReceived(exchange.id, attempt, status, exchange.detection, is_answer=False))

    async def _forward_early(self, routes: list[Route], exchange: Exchange) -> None:
        """Behind a 202 already given: no time limit, so that a breakpoint in the app may take as long as it likes."""
        async with self._early_slots:
            if len(routes) > 1:
                self._run_behind(self._forward_rest(routes[1:], exchange))
            attempt = await self._attempt(self._sender, routes[0], exchange, None)
        self._emit(ResponseReceived(exchange.id, attempt, 202, exchange.detection))
        self._keep(exchange.with_attempts((attempt,)))

    def _keep(self, exchange: Exchange) -> None:
        if self._keeper is not None and exchange.capture.large_body is None:
            self._keeper.offer(exchange)

    async def _attempt(
        self, sender: Sender, route: Route, exchange: Exchange, timeout_s: float | None
    ) -> Attempt:
        capture = exchange.capture
        request = addressed(capture.request, route.endpoint)
        added = forwarded_headers(capture) + self._options.added_headers
        try:
            attempt = await sender.send(
                route.endpoint,
                request,
                timeout_s=timeout_s,
                added=added,
                keep_host=self._keep_host,
                large_body=capture.large_body,
            )
        except (
            Exception
        ) as error:  # an attempt that ends otherwise than as a value would be lost without a trace
            message = error.message if isinstance(error, WebhookctlError) else f"sending it failed: {error!r}"
            failure = Failure(FailureKind.PROTOCOL, message)
            attempt = Attempt(route.endpoint.url, capture.received_at_s, 0.0, failure=failure)
        self._recorder.add_attempts(exchange.id, (attempt,))
        return attempt

    def _run_behind(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="forward behind an answer")
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)


def _named(handshake: Handshake, detection: Detection, verdict: Verdict) -> tuple[Detection, Verdict]:
    """What is said of a handshake: who asks where nothing else told it, and that it is none of the signed ones."""
    if handshake.is_acknowledgement:
        return detection, verdict
    detection = replace(
        detection,
        provider=detection.provider or handshake.provider,
        event=detection.event or "handshake",
    )
    if not handshake.is_signed:
        verdict = Verdict(VerdictKind.UNKNOWN_SCHEME, None, "a handshake is not signed")
    return detection, verdict


def is_not_stored(answer: Response) -> bool:
    """Whether `answer` says that the delivery is nowhere: who can bring it again should."""
    return answer.status == 503 and (_ERROR, _NOT_STORED) in answer.headers


def _failed_answer(attempt: Attempt) -> Response:
    """What the sender is told when the app gave no response: 504 when it was slow, 502 otherwise."""
    failure = attempt.failure
    assert failure is not None
    status = 504 if failure.kind is FailureKind.TIMEOUT else 502
    return _own_answer(
        status, f"webhookctl: the app at {attempt.url}: {failure.message}", failure.kind.value.encode()
    )


def _own_answer(status: int, text: str, error: bytes) -> Response:
    reason = {502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}[status]
    body = (text + "\n").encode("utf-8", "replace")
    return Response(status, reason, (_TEXT, (_ERROR, error)), body)
