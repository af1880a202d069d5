"""Delivers prepared requests: in order or several at once, at a rate, and tells of each as it ends.

Must not know sockets or terminals; the forwarder and the clock come in.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from webhookctl.address import addressed
from webhookctl.delivery.prepare import Prepared
from webhookctl.model import Attempt, Endpoint, Headers, Request


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
    ) -> Attempt: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """One request that was sent, number `number` (from 1), and how it went. `request` is as it was addressed."""

    number: int
    prepared: Prepared
    request: Request
    attempt: Attempt


Prepare = Callable[[], Prepared]
"""Makes the request at the moment it is sent, so that its timestamp is fresh even after a long wait."""


async def deliver_all(
    work: Iterable[Prepare],
    *,
    sender: Sender,
    endpoint: Endpoint,
    timeout_s: float,
    concurrency: int,
    interval_s: float,
    tell: Callable[[Sent], None],
    sleep: Callable[[float], Awaitable[None]],
    monotonic_s: Callable[[], float],
) -> None:
    """Send everything in `work`, at most `concurrency` at once, starts at least `interval_s` apart.

    `tell` gets each as it ends. With `concurrency` 1 the order is that of `work`, each answered before the next.
    Raises what preparing raises; the peer's failures are in `Sent.attempt`.
    """
    queue = enumerate(work, start=1)
    start_s = monotonic_s()

    async def take_turns() -> None:
        for number, prepare in queue:
            wait_s = start_s + (number - 1) * interval_s - monotonic_s()
            if interval_s and wait_s > 0:
                await sleep(wait_s)
            prepared = prepare()
            request = addressed(prepared.request, endpoint)
            attempt = await sender.send(
                endpoint, request, timeout_s=timeout_s, added=prepared.added, keep_host=prepared.keeps_host
            )
            tell(Sent(number, prepared, request, attempt))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(take_turns(), name="deliver")
    except BaseExceptionGroup as several:
        # One error is what a user can act on; the others are the same, from the other turns.
        raise several.exceptions[0] from None
