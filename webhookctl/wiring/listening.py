"""`listen`, put together: listener, history, forwarder, fixtures, target health, and the reasons to stop.

Runs in the caller's event loop and reports through renderers only.
"""

import asyncio
import errno
import os
import resource
import signal
import ssl
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from queue import SimpleQueue

from webhookctl import match
from webhookctl.errors import EndpointError, ExitCode, UsageError, WebhookctlError
from webhookctl.events import (
    ErrorOccurred,
    Event,
    FixtureSaved,
    Ready,
    RequestReceived,
    ResponseReceived,
    Stopped,
    Stopping,
    TargetChanged,
    VerdictGiven,
)
from webhookctl.model import Endpoint, Exchange, FailureKind, Headers
from webhookctl.net.forwarder import Forwarder, tls_context
from webhookctl.net.listener import Listener, ListenerLimits, server_tls
from webhookctl.session import Route, Session, SessionOptions
from webhookctl.store.fixtures import FixtureFolder
from webhookctl.store.history import History
from webhookctl.store.history_writer import HistoryWriter, Limits
from webhookctl.store.tls import local_certificate
from webhookctl.wiring.project import Judge, Project, now_s

Renderer = Callable[[Event], None]

_GRACE_S = 5.0  # what is in flight may finish for this long after Ctrl-C
_HEALTH_OK_S = 5.0
_HEALTH_DOWN_S = 2.0
_HEALTH_TIMEOUT_S = 2.0
_REMEMBERED_BODIES = 5_000
_MAX_KINDS = 1_000  # event types that fixtures are saved of in one run


@dataclass(frozen=True, slots=True)
class ListenPlan:
    """Everything `listen` was told, flags and configuration merged. Times in seconds, sizes in bytes."""

    host: str
    port: int
    routes: tuple[Route, ...]
    provider: str | None = None
    secrets: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    fixtures: Path | None = None
    save_limit: int = 20
    is_keeping_secrets: bool = False
    is_early_ack: bool = False
    timeout_s: float = 30.0
    is_insecure: bool = False
    ca_file: Path | None = None
    tls: tuple[str, str] | str | None = None  # (certificate, key) or "auto"
    exit_after: int | None = None
    until: str | None = None
    idle_timeout_s: float | None = None
    max_body_bytes: int = 32 * 1024 * 1024
    added_headers: Headers = ()


async def listen(project: Project, plan: ListenPlan, renderers: Sequence[Renderer]) -> ExitCode:
    """Listen until told to stop; the exit code. Everything that happens goes to `renderers` as events.

    Raises UsageError for what cannot be started with, EndpointError `idle-timeout` when --exit-after or --until
    was not met in time, BrokenPipeError when the reader of the output went away.
    """
    _raise_open_files()
    broadcast = _Broadcast(renderers)
    judge = project.judge(provider=plan.provider, flag=plan.secrets)
    forwarder = Forwarder(tls=_client_tls(plan), now_s=now_s)
    goal = _Goal(plan)
    tally = _Tally()
    broadcast.on_closed = goal.abandon
    broadcast.add(goal.see)
    broadcast.add(tally.see)
    project.state.development_secret()  # made now, so that `trigger` and `sign` have it from the start
    keeper = _Keeper(project, plan, broadcast) if plan.fixtures is not None else None
    async with HistoryWriter(project.state.history_path, _limits(project), now_s=now_s) as history:
        options = SessionOptions(
            plan.routes, plan.events, plan.is_early_ack, plan.timeout_s, plan.added_headers
        )
        session = Session(
            options, judge=judge, recorder=history, sender=forwarder, keeper=keeper, emit=broadcast
        )
        listener = Listener(
            session.deliver,
            host=plan.host,
            port=plan.port,
            limits=ListenerLimits(max_body_bytes=plan.max_body_bytes),
            tls=_server_tls(project, plan),
            now_s=now_s,
            on_refused=lambda status, why: broadcast(
                ErrorOccurred("request-refused", f"answered {status}: {why}")
            ),
        )
        with _signals(goal), ExitStack() as stack:
            async with listener:
                health = _Health(forwarder, [route.endpoint for route in plan.routes], broadcast)
                await health.look()
                broadcast.add(health.see)
                stack.enter_context(
                    project.state.announce(listener.url, pid=os.getpid(), details=_details(plan))
                )
                broadcast(_ready(project, plan, judge, listener.url, health))
                goal.start()
                reason = await _until_done(goal, health)
                waiting = listener.in_flight + session.unfinished
                if waiting and goal.is_interrupted:
                    broadcast(Stopping(waiting))
                await _wind_down(listener, session, goal)
            forwarder.close()
            if keeper is not None:
                await asyncio.to_thread(keeper.close)
                await asyncio.sleep(0)  # its last reports are on their way through the loop
    broadcast(tally.stopped(reason))
    return goal.exit_code()


async def _until_done(goal: "_Goal", health: "_Health") -> str:
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(health.watch(), name="target health")
        await goal.reached.wait()
        watch.cancel()
    return goal.reason


async def _wind_down(listener: Listener, session: Session, goal: "_Goal") -> None:
    """Finish what is in flight, up to five seconds or a second Ctrl-C."""
    async with asyncio.TaskGroup() as group:
        stopping = group.create_task(_finish(listener, session), name="finish")
        hurry = group.create_task(goal.hurried.wait(), name="second interrupt")
        await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            stopping.cancel()
        hurry.cancel()


async def _finish(listener: Listener, session: Session) -> None:
    await listener.stop(timeout_s=_GRACE_S)
    await session.finish(timeout_s=_GRACE_S)


class _Broadcast:
    """Gives each event to all renderers. One that fails is detached and reported once: it never stops a delivery."""

    def __init__(self, renderers: Sequence[Renderer]) -> None:
        self._renderers = list(renderers)
        self.on_closed: Callable[[], None] = lambda: None  # whoever read the output is gone

    def add(self, renderer: Renderer) -> None:
        self._renderers.append(renderer)

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


class _Goal:
    """Knows when to stop: --exit-after, --until, --idle-timeout, or a signal; and with which exit code."""

    def __init__(self, plan: ListenPlan) -> None:
        self._plan = plan
        self._left = plan.exit_after
        self._awaited: set[int] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._is_met = plan.exit_after is None and plan.until is None
        self._signal: int | None = None
        self._is_abandoned = False
        self.reached = asyncio.Event()
        self.hurried = asyncio.Event()
        self.reason = ""

    def start(self) -> None:
        self._restart_idle()

    def see(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._restart_idle()
            detection = event.detection
            if self._plan.until is not None and match.event_matches(
                self._plan.until, provider=detection.provider, event=detection.event
            ):
                self._awaited.add(event.id)
        elif isinstance(event, ResponseReceived) and event.is_answer:
            self._restart_idle()
            if event.id in self._awaited:
                self._meet(f"{self._plan.until} arrived")
            elif self._left is not None:
                self._left -= 1
                if self._left == 0:
                    self._meet(f"{self._wanted_count()} arrived")

    def interrupt(self, number: int) -> None:
        if self.reached.is_set():
            self.hurried.set()
            return
        self._signal = number
        self._stop("interrupted" if number == signal.SIGINT else "asked to stop")

    def abandon(self) -> None:
        """Nobody reads our output any more (`listen | head`)."""
        self._is_abandoned = True
        self._stop("its output was closed")

    @property
    def is_interrupted(self) -> bool:
        """A person or a supervisor ended it, and may like to know what it still waits for."""
        return self._signal is not None

    def exit_code(self) -> ExitCode:
        if self._signal == signal.SIGINT:
            return ExitCode.INTERRUPTED
        if self._is_abandoned:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        if self._signal is None and not self._is_met:
            wanted = self._plan.until or self._wanted_count()
            raise EndpointError(
                "idle-timeout",
                f"nothing came for {self._plan.idle_timeout_s:g} s while waiting for {wanted}",
                "raise --idle-timeout, or check that the sender has this URL",
            )
        return ExitCode.OK

    def _wanted_count(self) -> str:
        return "1 delivery" if self._plan.exit_after == 1 else f"{self._plan.exit_after} deliveries"

    def _meet(self, reason: str) -> None:
        self._is_met = True
        self._stop(reason)

    def _stop(self, reason: str) -> None:
        if not self.reached.is_set():
            self.reason = reason
            self.reached.set()

    def _restart_idle(self) -> None:
        if self._plan.idle_timeout_s is None:
            return
        if self._idle is not None:
            self._idle.cancel()
        loop = asyncio.get_running_loop()
        reason = f"nothing came for {self._plan.idle_timeout_s:g} s"
        self._idle = loop.call_later(self._plan.idle_timeout_s, self._stop, reason)


class _Tally:
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
        elif isinstance(event, FixtureSaved):
            self.saved += 1

    def stopped(self, reason: str) -> Stopped:
        return Stopped(
            reason,
            self.received,
            self.delivered,
            self.failed,
            self.verified,
            self.refused,
            self.saved,
            unfinished=self.received - self.ended,
        )


class _Health:
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
        """Try each endpoint once; changes are told from the second look on."""
        for url, endpoint in self._endpoints.items():
            failure = await self._forwarder.is_reachable(endpoint, timeout_s=_HEALTH_TIMEOUT_S)
            self._note(url, failure.message if failure else "")
        self._is_told = True

    async def watch(self) -> None:
        while self._endpoints:
            await asyncio.sleep(_HEALTH_DOWN_S if any(self.problems.values()) else _HEALTH_OK_S)
            await self.look()

    def see(self, event: Event) -> None:
        """An attempt tells as much as a look of our own, and sooner."""
        if not isinstance(event, ResponseReceived) or event.attempt is None:
            return
        failure = event.attempt.failure
        if failure is None and any(self.problems.values()):
            self._note_origin(event.attempt.url, "")
        elif failure is not None and failure.kind is FailureKind.REFUSED:
            self._note_origin(event.attempt.url, failure.message)

    def _note_origin(self, attempted_url: str, problem: str) -> None:
        for url, endpoint in self._endpoints.items():
            if attempted_url.startswith(f"{'https' if endpoint.is_tls else 'http'}://{endpoint.authority}/"):
                self._note(url, problem)

    def _note(self, url: str, problem: str) -> None:
        if self.problems[url] != problem:
            self.problems[url] = problem
            if self._is_told:
                self._emit(TargetChanged(url, not problem, problem))


class _Keeper:
    """Saves fixtures in a thread of its own, behind the answers; tells of each in the event loop."""

    def __init__(self, project: Project, plan: ListenPlan, emit: Callable[[Event], None]) -> None:
        assert plan.fixtures is not None
        self._project = project
        self._plan = plan
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._folder = FixtureFolder(plan.fixtures)
        self._queue: SimpleQueue[Exchange | None] = SimpleQueue()
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._taken: dict[tuple[str | None, str], int] = {}
        self._thread = threading.Thread(target=self._work, name="fixture-keeper", daemon=True)
        self._thread.start()

    def offer(self, exchange: Exchange) -> None:
        """Have `exchange` saved, unless its event has enough fixtures or the same delivery was offered before."""
        key = _kind(exchange)
        taken = self._taken.get(key, 0)
        if taken >= self._plan.save_limit or self._is_repeated(exchange):
            return
        if taken == 0 and len(self._taken) >= _MAX_KINDS:
            return  # somebody makes up events: the history has them all
        self._taken[key] = taken + 1
        self._queue.put(exchange)

    def close(self) -> None:
        """Save what is still waiting. Blocks; call from another thread than the event loop's."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (exchange := self._queue.get()) is not None:
            try:
                path = None if self._is_known(exchange) else self._save(exchange)
            except WebhookctlError as error:
                self._tell(ErrorOccurred(error.code, error.message, error.hint, exchange.id))
                continue
            except Exception as error:
                self._tell(
                    ErrorOccurred("fixture-failed", f"not saved as a fixture: {error!r}", "", exchange.id)
                )
                continue
            if path is not None:
                self._tell(FixtureSaved(exchange.id, str(path)))
            else:
                self._loop.call_soon_threadsafe(self._give_back, _kind(exchange))

    def _give_back(self, key: tuple[str | None, str]) -> None:
        self._taken[key] -= 1

    def _save(self, exchange: Exchange) -> Path | None:
        saved = self._project.fixture_of(exchange, keep_secrets=self._plan.is_keeping_secrets)
        return self._folder.save(saved, limit=self._plan.save_limit)

    def _is_repeated(self, exchange: Exchange) -> bool:
        """Whether the very same delivery was offered before in this run: same place, same body, same id."""
        request = exchange.capture.request
        digest = blake2b(request.body, digest_size=16)
        digest.update(f"{request.method} {request.target} {exchange.detection.delivery_id}".encode())
        key = digest.digest()
        if key in self._seen:
            return True
        self._seen[key] = None
        if len(self._seen) > _REMEMBERED_BODIES:
            self._seen.popitem(last=False)
        return False

    def _is_known(self, exchange: Exchange) -> bool:
        """Whether the same delivery came in an earlier run, as the history tells."""
        if exchange.duplicate_of is None:
            return False
        with History(self._project.state.history_path) as history:
            original = history.find(exchange.duplicate_of)
        return original is not None and original.capture.request.body == exchange.capture.request.body

    def _tell(self, event: Event) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is listening any more
            self._loop.call_soon_threadsafe(self._emit, event)


def _kind(exchange: Exchange) -> tuple[str | None, str]:
    """What the limit of fixtures counts: provider and event, or method and path of what names no event."""
    request = exchange.capture.request
    path = request.target.partition("?")[0]
    return exchange.detection.provider, exchange.detection.event or f"{request.method} {path}"


class _signals:  # noqa: N801  (reads as `with _signals(goal)`)
    """SIGINT and SIGTERM end the listening while the block runs; a second SIGINT does at once."""

    def __init__(self, goal: _Goal) -> None:
        self._goal = goal

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
                loop.add_signal_handler(number, self._goal.interrupt, number)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(number)


def _ready(project: Project, plan: ListenPlan, judge: Judge, url: str, health: _Health) -> Ready:
    providers = []
    for provider in project.provider_ids() if plan.provider is None else (plan.provider,):
        secrets = project.known_secrets(provider, flag=plan.secrets if plan.provider else ())
        if secrets:
            providers.append((provider, ", ".join(secret.origin for secret in secrets)))
    if plan.secrets and plan.provider is None:
        providers = [("any provider", ", ".join(secret.origin for secret in judge.secrets("generic")))]
    return Ready(
        url=url,
        targets=tuple(health.problems.items()),
        fixtures=str(plan.fixtures) if plan.fixtures is not None else None,
        providers=tuple(providers),
        history=str(project.state.history_path),
        is_loopback=plan.host in ("localhost", "::1") or plan.host.startswith("127."),
    )


def _details(plan: ListenPlan) -> dict[str, str]:
    details = {"forward_to": ", ".join(route.endpoint.url for route in plan.routes)}
    references = [text for text in plan.secrets if text.startswith(("env:", "file:"))]
    if plan.secrets:
        details["secret"] = references[0] if references else "given"
    return details


def _limits(project: Project) -> Limits:
    config = project.config
    return Limits(config.history_max_count, config.history_max_age_days * 86_400.0, config.history_max_bytes)


def _client_tls(plan: ListenPlan) -> ssl.SSLContext | None:
    if not any(route.endpoint.is_tls for route in plan.routes):
        return None
    return client_tls(is_insecure=plan.is_insecure, ca_file=plan.ca_file)


def client_tls(*, is_insecure: bool, ca_file: Path | None) -> ssl.SSLContext:
    """The TLS settings for endpoints. Raises UsageError `ca-file-unusable`."""
    try:
        return tls_context(insecure=is_insecure, ca_file=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            "ca-file-unusable", f"the CA file {ca_file} cannot be used: {error}", "it has to be a PEM file"
        ) from error


def _server_tls(project: Project, plan: ListenPlan) -> ssl.SSLContext | None:
    if plan.tls is None:
        return None
    if isinstance(plan.tls, tuple):
        return server_tls(*plan.tls)
    certificate, key = local_certificate(project.state.tls_folder, now_s=now_s())
    return server_tls(str(certificate), str(key))


def _raise_open_files() -> None:
    """Each idle peer is an open file; the usual soft limit of 1,024 is meant for programs that use select."""
    with suppress(ValueError, OSError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = min(hard, 65_536) if hard != resource.RLIM_INFINITY else 65_536
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
