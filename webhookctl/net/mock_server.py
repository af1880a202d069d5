"""An HTTP server that stands in for what a receiver calls: canned replies, and every call kept.

Knows nothing of contracts beyond their replies as responses.
"""

import asyncio
from collections.abc import Callable, Sequence
from math import inf
from time import monotonic
from typing import Self

from webhookctl.model import Capture, Request, Response
from webhookctl.net.listener import Listener, ListenerLimits

MAX_CALLS = 10_000  # kept; a receiver that calls in a loop must not fill the memory


class MockServer:
    """Answers with its replies in order, the last one again and again. `url` is known from `async with` on."""

    def __init__(self, replies: Sequence[tuple[float, Response]], *, now_s: Callable[[], float]) -> None:
        self._replies = replies
        self._answered = 0
        self.calls: list[Request] = []
        self.called_at_s = -inf  # the last time, monotonic
        self._listener = Listener(
            self._answer,
            host="127.0.0.1",
            port=0,
            limits=ListenerLimits(),
            tls=None,
            now_s=now_s,
            on_refused=_ignore,
        )

    @property
    def url(self) -> str:
        return self._listener.url

    def forget(self) -> None:
        """Forget the calls so far and begin with the first reply again."""
        self.calls.clear()
        self._answered = 0

    async def __aenter__(self) -> Self:
        await self._listener.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listener.__aexit__()

    async def _answer(self, capture: Capture) -> Response:
        self.called_at_s = monotonic()
        if len(self.calls) < MAX_CALLS:
            self.calls.append(capture.request)
        delay_s, response = self._replies[min(self._answered, len(self._replies) - 1)]
        self._answered += 1
        if delay_s:
            await asyncio.sleep(delay_s)
        return response


def _ignore(status: int, why: str) -> None:
    """What never became a call is no call."""
