"""Waiting for an app that is away: tried until it answers, told once, given up only when told to."""

import asyncio
from dataclasses import dataclass, field

import pytest

from tests.net.wires import run, until
from webhookctl.address import parse_endpoint
from webhookctl.events import Event, RelayHeld, TargetChanged
from webhookctl.model import Attempt, Endpoint, Failure, FailureKind, Headers, LargeBody, Request, Response
from webhookctl.wiring.holding import Holding

ENDPOINT = parse_endpoint("3000")
REQUEST = Request("POST", "/", (), b"{}")
ANSWER = Response(500, "Internal Server Error", (), b"")


@dataclass
class App:
    """Fails in these ways, one after the other, then answers."""

    failures: list[FailureKind] = field(default_factory=list)
    tries: int = 0

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
        self.tries += 1
        if self.failures:
            return Attempt("", 0.0, 0.0, failure=Failure(self.failures.pop(0), "it refuses connections"))
        return Attempt("", 0.0, 0.0, response=ANSWER)


class Held:
    """Holding in front of an app, its naps and what it told."""

    def __init__(self, *failures: FailureKind, naps_end: bool = True) -> None:
        self.app = App(list(failures))
        self.naps: list[float] = []
        self.events: list[Event] = []
        self._naps_end = naps_end
        self.holding = Holding(self.app, self.events.append, waiting=lambda: 2, sleep=self._nap)

    async def _nap(self, duration_s: float) -> None:
        self.naps.append(duration_s)
        if not self._naps_end:
            await asyncio.Event().wait()

    async def send(self, timeout_s: float | None = None) -> Attempt:
        return await self.holding.send(ENDPOINT, REQUEST, timeout_s=timeout_s)


@pytest.mark.parametrize("kind", [FailureKind.REFUSED, FailureKind.DNS, FailureKind.NETWORK, FailureKind.TLS])
def test_an_app_that_is_away_is_tried_until_it_answers(kind: FailureKind) -> None:
    held = Held(*[kind] * 7)
    assert run(held.send()).response == ANSWER
    assert held.app.tries == 8
    assert held.naps == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert held.events == [RelayHeld("it refuses connections", 2)]


def test_it_is_told_again_only_after_the_app_was_there_in_between() -> None:
    held = Held(FailureKind.REFUSED)

    async def scene() -> None:
        await held.send()
        held.app.failures = [FailureKind.REFUSED]
        await held.send()

    run(scene())
    assert len(held.events) == 2


def test_an_app_that_dies_of_a_delivery_is_given_up_after_three_tries() -> None:
    held = Held(*[FailureKind.CLOSED] * 5)
    attempt = run(held.send())
    assert attempt.failure is not None
    assert held.app.tries == 3


@pytest.mark.parametrize(
    ("kind", "timeout_s", "tries"),
    [(FailureKind.PROTOCOL, None, 1), (FailureKind.TIMEOUT, 5.0, 1), (FailureKind.TIMEOUT, None, 2)],
)
def test_only_an_app_that_is_away_is_waited_for(
    kind: FailureKind, timeout_s: float | None, tries: int
) -> None:
    held = Held(kind)
    run(held.send(timeout_s))
    assert held.app.tries == tries


def test_it_tries_at_once_when_the_app_is_reported_back() -> None:
    held = Held(FailureKind.REFUSED, naps_end=False)

    async def scene() -> Attempt:
        sending = asyncio.get_running_loop().create_task(held.send())
        await until(lambda: bool(held.naps))
        held.holding.see(TargetChanged("http://localhost:3000", is_reachable=False, reason="x"))
        await asyncio.sleep(0)
        assert not sending.done()
        held.holding.see(TargetChanged("http://localhost:3000", is_reachable=True))
        return await sending

    assert run(scene()).response == ANSWER


def test_giving_up_cancels_those_that_wait_and_those_that_would() -> None:
    async def scene() -> None:
        held = Held(FailureKind.REFUSED, FailureKind.REFUSED, naps_end=False)
        loop = asyncio.get_running_loop()
        waiting = loop.create_task(held.send())
        parked = loop.create_task(held.holding.park())
        await until(lambda: bool(held.naps))
        held.holding.give_up()
        later = loop.create_task(held.send())
        done = await asyncio.gather(waiting, parked, later, return_exceptions=True)
        assert [type(error) for error in done] == [asyncio.CancelledError] * 3

    run(scene())


def test_giving_up_leaves_those_alone_that_are_with_the_app() -> None:
    async def scene() -> None:
        held = Held()
        held.holding.give_up()
        assert (await held.send()).response == ANSWER

    run(scene())
