"""Prepared requests on their way: order, how many at once, at what pace, and what is told."""

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from webhookctl.address import parse_endpoint
from webhookctl.delivery.prepare import Mode, Prepared
from webhookctl.delivery.run import Prepare, Sent, deliver_all
from webhookctl.errors import UsageError
from webhookctl.model import Attempt, Detection, Endpoint, Headers, Request, Response

APP = parse_endpoint("http://app.example.com:3000/hooks")


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now_s += seconds


class App:
    """A sender that notes what begins and ends, and takes a turn of the loop in between."""

    def __init__(self, turns: int = 1) -> None:
        self.log: list[str] = []
        self.under_way = self.most = 0
        self.calls: list[tuple[Request, float | None, Headers, bool]] = []
        self._turns = turns

    async def send(
        self,
        endpoint: Endpoint,
        request: Request,
        *,
        timeout_s: float | None,
        added: Headers = (),
        keep_host: bool = False,
    ) -> Attempt:
        assert endpoint is APP
        self.calls.append((request, timeout_s, added, keep_host))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.log.append(f"begin {request.body.decode()}")
        for _ in range(self._turns):
            await asyncio.sleep(0)
        self.log.append(f"end {request.body.decode()}")
        self.under_way -= 1
        return Attempt(endpoint.url, 0.0, 0.0, Response(200, "OK", (), b""))


def prepared(number: int, added: Headers = ()) -> Prepared:
    request = Request("POST", "/in?x=1", (), str(number).encode())
    return Prepared(request, Mode.EXACT, Detection(), f"#{number}", added=added)


def making(count: int) -> Iterator[Prepare]:
    for number in range(1, count + 1):
        yield partial(prepared, number)


def deliver(
    work: Any, app: App, clock: Clock, *, concurrency: int = 1, interval_s: float = 0.0
) -> list[Sent]:
    told: list[Sent] = []
    asyncio.run(
        deliver_all(
            work,
            sender=app,
            endpoint=APP,
            timeout_s=3.0,
            concurrency=concurrency,
            interval_s=interval_s,
            tell=told.append,
            sleep=clock.sleep,
            monotonic_s=lambda: clock.now_s,
        )
    )
    return told


def test_one_at_a_time_each_is_answered_before_the_next_begins() -> None:
    app = App()
    told = deliver(making(3), app, Clock())
    assert app.log == ["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"]
    assert [sent.number for sent in told] == [1, 2, 3]
    assert [sent.prepared.label for sent in told] == ["#1", "#2", "#3"]
    assert told[0].attempt.status == 200


def test_several_at_once_are_never_more_than_was_said_and_none_is_left_out() -> None:
    app = App(turns=3)
    told = deliver(making(20), app, Clock(), concurrency=4)
    assert app.most == 4
    assert sorted(sent.number for sent in told) == list(range(1, 21))


def test_more_at_once_than_there_are_is_no_harm() -> None:
    assert len(deliver(making(2), App(), Clock(), concurrency=50)) == 2
    assert deliver(making(0), App(), Clock(), concurrency=5) == []


def test_starts_are_an_interval_apart_and_the_first_is_at_once() -> None:
    clock = Clock()
    deliver(making(4), App(), clock, interval_s=0.5)
    assert clock.slept == [0.5, 0.5, 0.5]


def test_a_start_that_is_late_is_not_made_later() -> None:
    clock = Clock()

    class Slow(App):
        async def send(self, *arguments: Any, **options: Any) -> Attempt:
            clock.now_s += 0.8
            return await super().send(*arguments, **options)

    deliver(making(3), Slow(), clock, interval_s=0.5)
    assert clock.slept == []
    assert clock.now_s == pytest.approx(102.4)


def test_a_request_is_made_when_its_turn_comes() -> None:
    clock = Clock()
    made_at: list[float] = []

    def make() -> Prepared:
        made_at.append(clock.now_s)
        return prepared(1)

    deliver([make, make, make], App(), clock, interval_s=2.0)
    assert made_at == [100.0, 102.0, 104.0]


def test_a_request_is_addressed_and_sent_with_what_was_added_to_it() -> None:
    app = App()
    added = ((b"Host", b"shop.example.com"), (b"X", b"1"))
    told = deliver([lambda: prepared(1, added), lambda: prepared(2)], app, Clock())
    (request, timeout_s, with_added, keep_host), (_, _, without, names_endpoint) = app.calls
    assert request.target == "/hooks?x=1"
    assert told[0].request is request
    assert (timeout_s, with_added, keep_host) == (3.0, added, True)
    assert (without, names_endpoint) == ((), False)


@pytest.mark.parametrize(("concurrency", "begun"), [(1, 2), (5, 4)])
def test_what_preparing_raises_is_raised_alone_and_ends_the_others(concurrency: int, begun: int) -> None:
    app = App(turns=50)

    def fail() -> Prepared:
        raise UsageError("secret-missing", "no secret")

    with pytest.raises(UsageError, match="no secret"):
        deliver([*making(2), fail, *making(5)], app, Clock(), concurrency=concurrency)
    assert len(app.calls) == begun


def test_being_cancelled_is_no_error_of_a_delivery() -> None:
    async def scene() -> None:
        class Stuck(App):
            async def send(self, *arguments: Any, **options: Any) -> Attempt:
                await asyncio.Event().wait()
                raise AssertionError

        work = deliver_all(
            making(3),
            sender=Stuck(),
            endpoint=APP,
            timeout_s=3.0,
            concurrency=2,
            interval_s=0,
            tell=lambda sent: None,
            sleep=asyncio.sleep,
            monotonic_s=lambda: 0.0,
        )
        task = asyncio.ensure_future(work)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())
