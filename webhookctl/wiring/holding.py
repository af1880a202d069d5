"""Waits for an app that cannot be reached: the delivery stays in its turn and is tried until the app answers.

For deliveries that somebody keeps for us. Knows attempts only; neither relays nor channels.
"""

import asyncio
from collections.abc import Awaitable, Callable

from webhookctl.events import Event, RelayHeld, TargetChanged
from webhookctl.model import Attempt, Endpoint, FailureKind, Headers, LargeBody, Request
from webhookctl.session import Sender

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_CLOSED_TRIES = 3  # an app that dies of a delivery would die of it for ever
_UNREACHABLE = frozenset({FailureKind.REFUSED, FailureKind.DNS, FailureKind.NETWORK, FailureKind.TLS})


class Holding:
    """A sender that gives up only when told to. `waiting` counts the deliveries behind the one that waits."""

    def __init__(
        self,
        sender: Sender,
        emit: Callable[[Event], None],
        *,
        waiting: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sender = sender
        self._emit = emit
        self._waiting = waiting
        self._sleep = sleep
        self._is_told = False
        self._is_over = False
        self._parked: set[asyncio.Task[object]] = set()
        self._wake = asyncio.Event()

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
        """The attempt that got an answer, or one that failed in another way than for want of an app."""
        wait_s, closed = _FIRST_WAIT_S, 0
        while True:
            attempt = await self._sender.send(
                endpoint,
                request,
                timeout_s=timeout_s,
                added=added,
                keep_host=keep_host,
                large_body=large_body,
            )
            closed += attempt.failure is not None and attempt.failure.kind is FailureKind.CLOSED
            if not _is_unreachable(attempt, timeout_s) or closed >= _CLOSED_TRIES:
                self._is_told = self._is_told and attempt.failure is not None
                return attempt
            if not self._is_told:
                self._is_told = True
                self._emit(RelayHeld(attempt.failure.message if attempt.failure else "", self._waiting()))
            await self._pause(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def see(self, event: Event) -> None:
        """The health of the app: what waits is tried at once when it is back."""
        if isinstance(event, TargetChanged) and event.is_reachable:
            self._wake.set()
            self._wake.clear()

    async def park(self) -> None:
        """Keep the calling task where it is until `give_up` cancels it."""
        await self._cancellable(asyncio.Event().wait())

    def give_up(self) -> None:
        """Cancel the tasks that wait, now and from now on."""
        self._is_over = True
        for task in self._parked:
            task.cancel()

    async def _pause(self, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        tasks = [
            loop.create_task(_until(self._sleep(wait_s)), name="held"),
            loop.create_task(_until(self._wake.wait()), name="held until the app is back"),
        ]
        try:
            await self._cancellable(asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED))
        finally:
            for task in tasks:
                task.cancel()

    async def _cancellable(self, wait: Awaitable[object]) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._is_over:
            task.cancel()
        self._parked.add(task)
        try:
            await wait
        finally:
            self._parked.discard(task)


async def _until(wait: Awaitable[object]) -> None:
    await wait


def _is_unreachable(attempt: Attempt, timeout_s: float | None) -> bool:
    """Whether the app has not answered at all. Without a limit of ours a timeout is the network's."""
    if attempt.failure is None:
        return False
    kind = attempt.failure.kind
    return (
        kind in _UNREACHABLE
        or kind is FailureKind.CLOSED
        or (kind is FailureKind.TIMEOUT and timeout_s is None)
    )
