"""What makes a listener reachable and known besides a relay: a tunnel program, and the webhook at the provider.

Runs beside the listening; knows no delivery.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from webhookctl.errors import UsageError, WebhookctlError
from webhookctl.events import BecamePublic, ErrorOccurred, Event, Place, TunnelStarting
from webhookctl.wiring.registering import Registering, RegisterPlan, registering

if TYPE_CHECKING:
    from webhookctl.net.spawned_tunnel import SpawnedTunnel
    from webhookctl.wiring.project import Project
    from webhookctl.wiring.stopping import Goal

TUNNELS = ("cloudflared", "ngrok")
_NOTE = "bodies stay exact; the case and the order of headers may change on the way"


@dataclass(frozen=True, slots=True)
class ExposePlan:
    """How the listener becomes public: `tunnel` (cloudflared, ngrok or ""), or the `public_url` it has already."""

    tunnel: str = ""
    public_url: str = ""
    register: RegisterPlan | None = None


def check(plan: ExposePlan, *, has_relay: bool) -> None:
    """Raises UsageError for what cannot be done, RelayError `tunnel-missing`, before anything is started."""
    if plan.tunnel and plan.tunnel not in TUNNELS:
        raise UsageError(
            "tunnel-unknown", f"--tunnel {plan.tunnel}: there is {' and '.join(TUNNELS)}", "or use --relay"
        )
    if sum([bool(plan.tunnel), bool(plan.public_url), has_relay]) > 1:
        raise UsageError(
            "tunnel-conflict", "--relay, --tunnel and --public-url exclude each other", "choose one of them"
        )
    if plan.register and not (plan.tunnel or plan.public_url or has_relay):
        raise UsageError(
            "register-needs-url",
            f"{plan.register.place} needs a URL that can be reached from the Internet",
            "add --tunnel cloudflared, --relay URL, or --public-url URL",
        )
    if plan.tunnel:
        from webhookctl.net.spawned_tunnel import TOOLS, locate

        locate(TOOLS[plan.tunnel])


class Exposure:
    """Keeps the listener at `local_url` reachable and registered from `start` until `stop`."""

    def __init__(
        self,
        plan: ExposePlan,
        project: "Project",
        *,
        secrets: tuple[str, ...],
        goal: "Goal",
        emit: Callable[[Event], None],
        is_answered_early: bool,
    ) -> None:
        self._plan = plan
        self._goal = goal
        self._emit = emit
        self._registering: Registering | None = None
        if plan.register is not None:
            self._registering = registering(
                plan.register, project, secrets=secrets, emit=emit, is_answered_early=is_answered_early
            )
        self._tunnel: SpawnedTunnel | None = None
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def start(self, local_url: str, place: Place | None) -> None:
        """Begin, with the place at a relay if there is one. What makes it impossible ends the listening."""
        running = self._run(local_url, place)
        self._running = asyncio.get_running_loop().create_task(running, name="exposure")

    async def leave(self) -> None:
        """Remove the webhook, so that nothing new is sent here; a second Ctrl-C does not wait for it."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        registering, self._registering = self._registering, None
        if registering is not None:
            await registering.leave(self._goal.hurried)

    async def stop(self) -> None:
        """Leave, if that was not done yet, and end the tunnel program."""
        try:
            await self.leave()
        finally:
            if self._tunnel is not None:
                await self._tunnel.stop()

    async def _run(self, local_url: str, place: Place | None) -> None:
        try:
            url = self._plan.public_url or (place.url if place else "")
            if self._plan.tunnel:
                tunnel = self._tunnel = self._new_tunnel(local_url)
                self._emit(TunnelStarting(self._plan.tunnel))
                url = await tunnel.open()
                self._tell(url)
            if self._registering is not None:
                _require(url)
                await self._registering.put(url)
                await self._backfill(self._registering)
            if self._tunnel is not None:
                await self._tunnel.run()
        except WebhookctlError as error:
            self._goal.fail(error)

    async def _backfill(self, registering: Registering) -> None:
        """What cannot be asked for again is told: the new deliveries come all the same."""
        if self._plan.register is None or not self._plan.register.is_backfilling:
            return
        try:
            await registering.backfill()
        except WebhookctlError as error:
            self._emit(ErrorOccurred(error.code, error.message, error.hint))

    def _new_tunnel(self, local_url: str) -> "SpawnedTunnel":
        from webhookctl.net.spawned_tunnel import TOOLS, SpawnedTunnel
        from webhookctl.net.tunnel import Clock
        from webhookctl.wiring.project import now_s

        return SpawnedTunnel(
            TOOLS[self._plan.tunnel],
            local_url,
            clock=Clock(wall_s=now_s),
            on_open=self._reopened,
            on_trouble=lambda reason: self._emit(
                ErrorOccurred("tunnel-trouble", reason, "it is given some more time")
            ),
            on_lost=lambda reason, wait_s: self._emit(
                ErrorOccurred("tunnel-ended", reason, f"it is started again in {wait_s:.1f} s")
            ),
        )

    async def _reopened(self, url: str) -> None:
        """The program was started again: a quick tunnel has another URL then, which the provider has to know."""
        self._tell(url)
        if self._registering is not None:
            try:
                await self._registering.put(url)
            except WebhookctlError as error:
                self._emit(ErrorOccurred(error.code, error.message, error.hint))

    def _tell(self, url: str) -> None:
        self._emit(BecamePublic(Place(url, channel=self._plan.tunnel, note=_NOTE)))


def _require(url: str) -> None:
    """An observer of a channel may not know its URL."""
    if not url:
        raise UsageError(
            "register-needs-url",
            "the public URL of the channel is not known here",
            "let the one who answers on the channel register it",
        )
