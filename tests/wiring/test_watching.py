"""The broadcast to renderers: in order, behind the delivery itself, and never in its way."""

import asyncio

from webhookctl.events import ErrorOccurred, Event
from webhookctl.wiring.watching import Broadcast


def told(text: str) -> ErrorOccurred:
    return ErrorOccurred("sample", text)


def test_what_is_given_soon_comes_in_order_once_the_loop_is_free() -> None:
    seen: list[Event] = []

    async def deliver() -> None:
        broadcast = Broadcast([seen.append])
        broadcast.soon(told("one"))
        broadcast.soon(told("two"))
        assert seen == []  # whoever delivers goes on first
        await asyncio.sleep(0)
        assert seen == [told("one"), told("two")]

    asyncio.run(deliver())


def test_a_renderer_that_fails_is_detached_and_the_others_are_told() -> None:
    seen: list[Event] = []

    def fails(event: Event) -> None:
        raise ValueError("no room")

    async def deliver() -> None:
        broadcast = Broadcast([fails, seen.append])
        broadcast.soon(told("one"))
        broadcast.soon(told("two"))
        await asyncio.sleep(0)

    asyncio.run(deliver())
    assert told("one") in seen
    assert told("two") in seen
    assert [event.code for event in seen if isinstance(event, ErrorOccurred)].count("renderer-failed") == 1


def test_a_reader_that_went_away_is_told_of_once_and_no_error() -> None:
    gone: list[str] = []

    def broken(event: Event) -> None:
        raise BrokenPipeError

    async def deliver() -> None:
        broadcast = Broadcast([broken])
        broadcast.on_closed = lambda: gone.append("gone")
        broadcast.soon(told("one"))
        broadcast.soon(told("two"))
        await asyncio.sleep(0)

    asyncio.run(deliver())
    assert gone == ["gone"]
