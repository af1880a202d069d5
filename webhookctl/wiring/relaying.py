"""`relay serve`, put together: broker, admission, admin, ingress and tunnels on one port.

Runs in the caller's event loop; must not know options or rendering.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address, ip_network
from itertools import count
from pathlib import Path

from webhookctl.config.secret import read_secret
from webhookctl.errors import ExitCode, RelayError
from webhookctl.events import (
    DeliveryAnswered,
    DeliveryRefused,
    ErrorOccurred,
    ServeEvent,
    ServingStarted,
    ServingStopped,
    Stopping,
)
from webhookctl.model import Secret
from webhookctl.relay.admin import Admin, AdminOptions
from webhookctl.relay.admission import Admission, Rate
from webhookctl.relay.channel import check_networks, url_of
from webhookctl.relay.connection import Doorway
from webhookctl.relay.control import Control, write_control
from webhookctl.relay.ingress import Ingress, Site
from webhookctl.relay.metrics import Metrics
from webhookctl.relay.registry import GuestLimits, Registry
from webhookctl.relay.replies import Replies
from webhookctl.relay.server import Front, Rooms, server_tls
from webhookctl.relay.sqlite_broker import SqliteBroker
from webhookctl.relay.sse import EventStreams
from webhookctl.relay.tunnels import TunnelOptions, Tunnels
from webhookctl.relay.uploads import UploadLimits, Uploads
from webhookctl.wiring.open_files import raise_open_files
from webhookctl.wiring.project import Project, now_s
from webhookctl.wiring.stopping import Goal, Signals

_SWEEP_S = 60.0


@dataclass(frozen=True, slots=True)
class ServePlan:
    """Everything `relay serve` was told. Times in seconds, sizes in bytes.

    `public_url` is the URL under which senders reach the relay ("" the address it listens on); with `domain`, each
    channel has the host `<id>.<domain>` as well.
    """

    data_folder: Path
    host: str = "127.0.0.1"
    port: int = 4480
    public_url: str = ""
    domain: str = ""
    tls: tuple[str, str] | None = None  # certificate and key, PEM files
    trusted_proxies: tuple[str, ...] = ()  # networks in CIDR notation
    admin_key: Secret | None = None  # of the admin API over the network
    is_open: bool = False  # everybody may make channels
    guest_lifetime_s: float = 0.0  # above 0: everybody may make channels that end by themselves after it
    guest_channels: int = 5  # of those, of one address
    address_rate_per_s: float = 0.0  # of one sender's address over all channels; 0 no limit
    heartbeat_s: float = 20.0
    grace_s: float = 10.0
    max_body_bytes: int = 128 * 1024 * 1024  # of any channel, whatever its own limit says
    max_connections: int = 10_000
    max_connections_per_address: int = 1_000

    @property
    def guests(self) -> GuestLimits | None:
        if not self.guest_lifetime_s:
            return None
        return GuestLimits(lifetime_s=self.guest_lifetime_s, per_address=self.guest_channels)

    @property
    def address_rate(self) -> Rate | None:
        per_s = self.address_rate_per_s
        return Rate(per_s, max(1.0, 5 * per_s)) if per_s else None


async def serve(
    project: Project, plan: ServePlan, renderers: Sequence[Callable[[ServeEvent], None]]
) -> ExitCode:
    """Serve until told to stop; the exit code. Everything that happens goes to `renderers` as events.

    Raises UsageError for what cannot be started with: `port-in-use`, `relay-data-in-use`, `tls-unusable`, ….
    """
    plan = replace(plan, trusted_proxies=check_networks(plan.trusted_proxies))
    raise_open_files()
    goal = Goal(exit_after=None, until=None, idle_timeout_s=None)
    tally = _Tally(renderers, on_closed=goal.abandon)
    tls = server_tls(*plan.tls) if plan.tls else None
    front = Front(_doorway(plan, tally), tls=tls)
    metrics = Metrics()
    async with SqliteBroker(plan.data_folder, now_s=now_s, on_commit=metrics.observe_commit) as broker:
        await front.bind(plan.host, plan.port)
        metrics.pending = lambda: broker.pending
        relay = _Relay(project, plan, front, broker, metrics, tally)
        with Signals(goal):
            await relay.open()
            async with asyncio.TaskGroup() as group:
                sweeping = group.create_task(relay.sweep(), name="relay sweeping")
                await goal.reached.wait()
                if goal.is_interrupted and relay.ingress.in_flight:
                    tally(Stopping(relay.ingress.in_flight))
                await _wind_down(front, goal, plan.grace_s)
                sweeping.cancel()
            await front.close()
        tally(ServingStopped(goal.reason, tally.received, tally.refused, broker.pending))
    return goal.exit_code()


async def _wind_down(front: Front, goal: Goal, grace_s: float) -> None:
    """Let senders in flight have their answers, for a while or until a second Ctrl-C."""
    async with asyncio.TaskGroup() as group:
        stopping = group.create_task(front.stop(timeout_s=grace_s), name="stop")
        hurry = group.create_task(goal.hurried.wait(), name="second interrupt")
        await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            stopping.cancel()
        hurry.cancel()


class _Relay:
    """All parts of one relay, plugged together."""

    def __init__(
        self,
        project: Project,
        plan: ServePlan,
        front: Front,
        broker: SqliteBroker,
        metrics: Metrics,
        emit: Callable[[ServeEvent], None],
    ) -> None:
        self._plan = plan
        self._front = front
        self._broker = broker
        self._emit = emit
        self._public_url = plan.public_url or front.url
        self._control_key = Secret(secrets.token_urlsafe(32), "relay")
        self._registry = Registry(
            broker,
            public_url=self._public_url,
            domain=plan.domain,
            now_s=now_s,
            random_bytes=secrets.token_bytes,
            scheme=project.scheme,
        )
        admission = Admission(
            read_secret=partial(read_secret, base=plan.data_folder),
            scheme=project.scheme,
            trusted_proxies=plan.trusted_proxies,
            address_rate=plan.address_rate,
        )
        self.ingress = Ingress(
            broker,
            Site(self._public_url, plan.domain),
            uploads=Uploads(broker, UploadLimits(max_body_bytes=plan.max_body_bytes)),
            replies=Replies(metrics=metrics, emit=emit, now_s=now_s),
            admission=admission,
            metrics=metrics,
            now_s=now_s,
            new_id=_delivery_ids(),
        )
        self._rooms = Rooms(
            self.ingress,
            self._tunnels(metrics),
            self._pages(admission, metrics),
            self._streams(admission, metrics),
        )

    def _tunnels(self, metrics: Metrics) -> Tunnels:
        return Tunnels(
            self._broker,
            TunnelOptions(heartbeat_s=self._plan.heartbeat_s, max_tunnels=self._plan.max_connections),
            metrics=metrics,
            url_of=partial(url_of, public_url=self._public_url, domain=self._plan.domain),
            now_s=now_s,
            new_session=partial(secrets.token_hex, 8),
            emit=self._emit,
        )

    def _pages(self, admission: Admission, metrics: Metrics) -> Admin:
        plan = self._plan
        options = AdminOptions(plan.admin_key, self._control_key, plan.is_open, plan.guests)
        return Admin(
            self._registry, options, admission=admission, metrics=metrics, problem=self._problem, now_s=now_s
        )

    def _streams(self, admission: Admission, metrics: Metrics) -> EventStreams:
        plan = self._plan
        return EventStreams(
            self._broker,
            self._registry,
            admission=admission,
            metrics=metrics,
            is_open=plan.is_open,
            guests=plan.guests,
            now_s=now_s,
        )

    async def open(self) -> None:
        """Let everybody in, and tell."""
        plan, url = self._plan, self._front.url
        write_control(plan.data_folder, Control(self._public_url, plan.domain, url, self._control_key))
        channels = len(await self._broker.channels())
        await self._front.open(self._rooms)
        self._emit(
            ServingStarted(
                url,
                self._public_url,
                plan.domain,
                str(plan.data_folder),
                channels,
                self._broker.pending,
                plan.admin_key is not None,
                plan.is_open,
                plan.guests is not None,
                plan.host in ("localhost", "::1") or plan.host.startswith("127."),
            )
        )

    async def sweep(self) -> None:
        """Drop what is too old, once a minute."""
        while True:
            try:
                await self._registry.remove_expired()
                await self._broker.expire(now_s=now_s())
            except RelayError as error:
                self._emit(ErrorOccurred(error.code, error.message, error.hint))
            await asyncio.sleep(_SWEEP_S)

    def _problem(self) -> str | None:
        return "it is stopping" if self.ingress.is_stopping else self._broker.problem


class _Tally:
    """Gives each event to all renderers, and counts. A renderer that fails is detached: it never stops a delivery."""

    def __init__(
        self, renderers: Sequence[Callable[[ServeEvent], None]], *, on_closed: Callable[[], None]
    ) -> None:
        self._renderers = list(renderers)
        self._on_closed = on_closed
        self.received = self.refused = 0

    def __call__(self, event: ServeEvent) -> None:
        if isinstance(event, DeliveryAnswered):
            self.received += 1
        elif isinstance(event, DeliveryRefused):
            self.refused += 1
        for renderer in tuple(self._renderers):
            try:
                renderer(event)
            except BrokenPipeError:
                self._renderers.remove(renderer)
                self._on_closed()
            except Exception as error:
                self._renderers.remove(renderer)
                self(ErrorOccurred("renderer-failed", f"an output failed and was detached: {error!r}"))


def _doorway(plan: ServePlan, emit: Callable[[ServeEvent], None]) -> Doorway:
    proxies = [ip_network(text, strict=False) for text in plan.trusted_proxies]
    return Doorway(
        on_problem=lambda text: emit(ErrorOccurred("request-refused", text)),
        max_connections=plan.max_connections,
        max_per_network=plan.max_connections_per_address,
        is_proxy=lambda host: any(ip_address(host) in proxy for proxy in proxies),
    )


def _delivery_ids() -> Callable[[float], str]:
    """Makes ids of 32 hexadecimal digits that sort by time: milliseconds, then a count from a point by chance.

    As RFC 9562 §6.2 has it for UUIDs of version 7; they need not be secret.
    """
    numbers = count(secrets.randbits(79))
    return lambda at_s: f"{int(at_s * 1000):012x}{next(numbers):020x}"
