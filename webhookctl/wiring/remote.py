"""The relay's part of `listen`: a source, the session its deliveries go through, and waiting for the app in between.

Knows what a Source promises; no relay's protocol.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from webhookctl.errors import RelayError, WebhookctlError
from webhookctl.events import Place
from webhookctl.model import Capture, Response
from webhookctl.net.forwarder import Forwarder
from webhookctl.session import Greeter, Judge, Keeper, Recorder, Session, SessionOptions, Turn
from webhookctl.wiring.holding import Holding
from webhookctl.wiring.source import RelayPlan, hinted, judge_behind, source_for
from webhookctl.wiring.stopping import Goal
from webhookctl.wiring.watching import Broadcast

if TYPE_CHECKING:
    from webhookctl.wiring.project import Project


@dataclass(frozen=True, slots=True)
class Parts:
    """What the relay's part shares with the local listener."""

    judge: Judge
    recorder: Recorder
    forwarder: Forwarder
    keeper: Keeper | None
    emit: Broadcast
    goal: Goal
    greeter: Greeter | None = None


class Remote:
    """Deliveries from the relay of `plan`, taken through a session of their own: the app may take its time there."""

    def __init__(
        self,
        plan: RelayPlan,
        project: "Project",
        options: SessionOptions,
        parts: Parts,
    ) -> None:
        forwarder, emit = parts.forwarder, parts.emit
        self._plan = plan
        self._goal = parts.goal
        self._running: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._source = source_for(plan, project, emit.soon, parts.judge)
        self._holding = Holding(forwarder, emit.soon, waiting=lambda: self._source.waiting)
        timeout_s = plan.timeout_s if self._source.holds else options.timeout_s
        self._session = Session(
            replace(options, timeout_s=timeout_s, routes=options.routes if plan.is_forwarding else ()),
            judge=judge_behind(plan, project, parts.judge),
            recorder=parts.recorder,
            sender=self._holding if self._source.holds else forwarder,
            aside=forwarder,
            keeper=parts.keeper,
            emit=emit.soon,
            greeter=parts.greeter,
        )
        emit.add(self._holding.see)

    @property
    def in_flight(self) -> int:
        """Deliveries with the app, and those whose answer is on its way."""
        return self._source.in_flight + self._session.unfinished

    @property
    def left(self) -> int:
        """Deliveries that are not done yet, as far as is known here."""
        return self._source.in_flight + self._source.waiting

    async def __aenter__(self) -> Place | None:
        """Connect; the public place, or None when it was stopped meanwhile. Raises RelayError and UsageError."""
        loop = asyncio.get_running_loop()
        opening = loop.create_task(self._source.open(), name="open relay")
        stopped = loop.create_task(self._goal.reached.wait(), name="stopped while opening")
        try:
            await asyncio.wait((opening, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not opening.done():
                return None
            place = await opening
        except RelayError as error:
            await self.stop(timeout_s=0.0)
            raise await hinted(self._plan, error) from error
        except BaseException:
            await self.stop(timeout_s=0.0)
            raise
        finally:
            stopped.cancel()
            opening.cancel()
        return place

    def start(self) -> None:
        """Bring deliveries until `stop`. What ends it for good ends the listening too."""
        self._running = asyncio.get_running_loop().create_task(self._run(), name="relay")

    async def __aexit__(self, *_: object) -> None:
        if not self._is_stopped:
            await self.stop(timeout_s=0.0)

    async def _run(self) -> None:
        try:
            await self._source.run(self._deliver)
        except WebhookctlError as error:
            self._goal.fail(error)

    async def stop(self, *, timeout_s: float) -> int:
        """Finish what the app has; how many deliveries stay at the relay."""
        self._is_stopped = True
        self._holding.give_up()
        try:
            left = await self._source.stop(timeout_s=timeout_s)
            await self._session.finish(timeout_s=timeout_s)
        finally:
            if self._running is not None:
                self._running.cancel()
        return left

    async def _deliver(self, capture: Capture, turn: Turn | None = None) -> Response:
        async def mine() -> None:
            if turn is not None:
                await turn()
            if self._source.holds and self._goal.reached.is_set():  # it is done: this one stays at the relay
                await self._holding.park()

        return await self._session.deliver(capture, mine)
