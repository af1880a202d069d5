"""Those that look on while `listen` runs: the broadcast to renderers, the tally, the health of the endpoints.

None of them may stop a delivery.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from webhookctl.events import (
    ErrorOccurred,
    Event,
    FixtureSaved,
    HandshakeAnswered,
    RequestReceived,
    ResponseReceived,
    Stopped,
    TargetChanged,
    VerdictGiven,
)
from webhookctl.model import Endpoint, FailureKind
from webhookctl.net.forwarder import Forwarder

Renderer: TypeAlias = Callable[[Event], None]

_HEALTH_OK_S = 5.0
_HEALTH_DOWN_S = 2.0
_HEALTH_TIMEOUT_S = 2.0


class Broadcast:
    """Gives each event to all renderers. One that fails is detached and reported once: it never stops a delivery."""

    def __init__(self, renderers: Sequence[Renderer]) -> None:
        self._renderers = list(renderers)
        self.on_closed: Callable[[], None] = lambda: None  # whoever read the output is gone

    def add(self, renderer: Renderer) -> None:
        self._renderers.append(renderer)

    def soon(self, event: Event) -> None:
        """Give it to them when the event loop is free: no app and no sender waits for lines to be written.

        Events given so keep their order among themselves.
        """
        asyncio.get_running_loop().call_soon(self, event)

    def __call__(self, event: Event) -> None:
        for renderer in tuple(self._renderers):
            try:
                renderer(event)
            except Exception as error:
                if renderer in self._renderers:
                    self._renderers.remove(renderer)
                    if isinstance(error, BrokenPipeError):
                        self.on_closed()
                        continue
                    self(ErrorOccurred("renderer-failed", f"an output failed and was detached: {error!r}"))


class Tally:
    """Counts what happened, for the line at the end."""

    def __init__(self) -> None:
        self.received = self.ended = self.delivered = self.failed = 0
        self.verified = self.refused = self.saved = 0

    def see(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self.received += 1
        elif isinstance(event, VerdictGiven):
            self.verified += event.verdict.is_ok
            self.refused += event.verdict.is_bad
        elif isinstance(event, ResponseReceived) and event.is_answer:
            self.ended += 1
            if event.attempt is not None:
                self.delivered += event.attempt.is_success
                self.failed += not event.attempt.is_success
        elif isinstance(event, HandshakeAnswered):
            self.ended += 1
        elif isinstance(event, FixtureSaved):
            self.saved += 1

    def stopped(self, reason: str, *, left_at_relay: int = 0) -> Stopped:
        return Stopped(
            reason,
            self.received,
            self.delivered,
            self.failed,
            self.verified,
            self.refused,
            self.saved,
            unfinished=self.received - self.ended,
            left_at_relay=left_at_relay,
        )


class Health:
    """Watches whether the endpoints can be reached, and tells when that changes."""

    def __init__(
        self, forwarder: Forwarder, endpoints: Sequence[Endpoint], emit: Callable[[Event], None]
    ) -> None:
        self._forwarder = forwarder
        self._endpoints = {endpoint.url: endpoint for endpoint in endpoints}
        self._emit = emit
        self.problems: dict[str, str] = dict.fromkeys(self._endpoints, "")
        self._is_told = False

    async def look(self) -> None:
        """Try each endpoint once, all at the same time; changes are told from the second look on."""
        async with asyncio.TaskGroup() as group:
            for url, endpoint in self._endpoints.items():
                group.create_task(self._look_at(url, endpoint), name=f"look at {url}")
        self._is_told = True

    async def _look_at(self, url: str, endpoint: Endpoint) -> None:
        failure = await self._forwarder.is_reachable(endpoint, timeout_s=_HEALTH_TIMEOUT_S)
        self._note(url, failure.message if failure else "")

    async def watch(self) -> None:
        while self._endpoints:
            await asyncio.sleep(_HEALTH_DOWN_S if any(self.problems.values()) else _HEALTH_OK_S)
            await self.look()

    def see(self, event: Event) -> None:
        """An attempt tells as much as a look of our own, and sooner."""
        if not isinstance(event, ResponseReceived | HandshakeAnswered) or event.attempt is None:
            return
        failure = event.attempt.failure
        if failure is None and any(self.problems.values()):
            self._note_origin(event.attempt.url, "")
        elif failure is not None and failure.kind is FailureKind.REFUSED:
            self._note_origin(event.attempt.url, failure.message)

    def _note_origin(self, attempted_url: str, problem: str) -> None:
        for url, endpoint in self._endpoints.items():
            if attempted_url.startswith(f"{endpoint.origin}/"):
                self._note(url, problem)

    def _note(self, url: str, problem: str) -> None:
        if self.problems[url] != problem:
            self.problems[url] = problem
            if self._is_told:
                self._emit(TargetChanged(url, not problem, problem))
