"""`listen`, put together: listener, history, forwarder, fixtures, target health, and the reasons to stop.

Runs in the caller's event loop and reports through renderers only.
"""

import asyncio
import os
import ssl
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from webhookctl.errors import ExitCode, UsageError
from webhookctl.events import ErrorOccurred, Place, Ready, Stopping
from webhookctl.model import Headers
from webhookctl.net.forwarder import Forwarder, tls_context
from webhookctl.net.listener import Listener, ListenerLimits, server_tls
from webhookctl.session import Route, Session, SessionOptions
from webhookctl.store.history_writer import HistoryWriter, Limits
from webhookctl.store.tls import certificate_path, local_certificate
from webhookctl.wiring.exposing import ExposePlan, Exposure, check
from webhookctl.wiring.handshaking import Greeter, HandshakePlan
from webhookctl.wiring.keeping import Keeper
from webhookctl.wiring.key_serving import KeyServer
from webhookctl.wiring.open_files import raise_open_files
from webhookctl.wiring.project import Judge, Project, now_s
from webhookctl.wiring.remote import Parts, Remote
from webhookctl.wiring.source import RelayPlan, answers_early
from webhookctl.wiring.stopping import Goal, Signals
from webhookctl.wiring.watching import Broadcast, Health, Renderer, Tally

_GRACE_S = 5.0  # what is in flight may finish for this long after Ctrl-C


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
    handshakes: HandshakePlan = field(default_factory=HandshakePlan)
    serves_keys: bool = False
    relay: RelayPlan | None = None
    expose: ExposePlan = field(default_factory=ExposePlan)

    @property
    def is_open(self) -> bool:
        """Others than this machine can reach the listener: by its address, a relay, a tunnel program."""
        expose = self.expose
        return not self.is_loopback or bool(self.relay or expose.tunnel or expose.public_url)

    @property
    def is_loopback(self) -> bool:
        """Nobody but this machine can reach the listener."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


async def listen(project: Project, plan: ListenPlan, renderers: Sequence[Renderer]) -> ExitCode:
    """Listen until told to stop; the exit code. Everything that happens goes to `renderers` as events.

    Raises UsageError for what cannot be started with, EndpointError `idle-timeout` when --exit-after or --until
    was not met in time, BrokenPipeError when the reader of the output went away.
    """
    raise_open_files()
    broadcast = Broadcast(renderers)
    judge = project.judge(provider=plan.provider, flag=plan.secrets)
    forwarder = Forwarder(tls=_client_tls(plan), now_s=now_s)
    greeter = _greeter(project, plan, judge)
    goal = Goal(exit_after=plan.exit_after, until=plan.until, idle_timeout_s=plan.idle_timeout_s)
    tally = Tally()
    broadcast.on_closed = goal.abandon
    broadcast.add(goal.see)
    broadcast.add(tally.see)
    project.state.development_secret()  # made now, so that `trigger` and `sign` have it from the start
    keeper = _keeper(project, plan, broadcast)
    async with HistoryWriter(project.state.history_path, _limits(project), now_s=now_s) as history:
        options = SessionOptions(
            plan.routes, plan.events, plan.is_early_ack, plan.timeout_s, plan.added_headers
        )
        session = Session(
            options,
            judge=judge,
            recorder=history,
            sender=forwarder,
            keeper=keeper,
            emit=broadcast.soon,
            greeter=greeter,
        )
        parts = Parts(judge, history, forwarder, keeper, broadcast, goal, greeter)
        remote = None if plan.relay is None else Remote(plan.relay, project, options, parts)
        exposure = _exposure(project, plan, goal, broadcast)
        listener = Listener(
            KeyServer(project, session.deliver) if plan.serves_keys else session.deliver,
            host=plan.host,
            port=plan.port,
            limits=ListenerLimits(max_body_bytes=plan.max_body_bytes),
            tls=_server_tls(project, plan),
            now_s=now_s,
            on_refused=lambda status, why: broadcast(
                ErrorOccurred("request-refused", f"answered {status}: {why}")
            ),
        )
        health = Health(forwarder, [route.endpoint for route in plan.routes], broadcast)
        with Signals(goal):
            await health.look()
            broadcast.add(health.see)
            async with remote or nullcontext() as place, exposure, listener:
                # Nothing is awaited until all know that it is ready: no delivery may come before that.
                with project.state.announce(listener.url, pid=os.getpid(), details=_details(project, plan)):
                    broadcast(_ready(project, plan, judge, listener.url, health, place))
                    goal.start()
                    if remote:
                        remote.start()
                    exposure.start(listener.url, place)
                    await _until_done(goal, health)
                    await exposure.leave()
                    left_at_relay = await _wind_down(listener, session, remote, goal, broadcast)
            forwarder.close()
            if keeper is not None:
                await asyncio.to_thread(keeper.close)
            await asyncio.sleep(0)  # the last events are on their way through the loop
    broadcast(tally.stopped(goal.reason, left_at_relay=left_at_relay))
    return goal.exit_code()


def _exposure(project: Project, plan: ListenPlan, goal: Goal, broadcast: Broadcast) -> Exposure:
    check(plan.expose, has_relay=plan.relay is not None)
    return Exposure(
        plan.expose,
        project,
        secrets=plan.secrets,
        goal=goal,
        emit=broadcast,
        is_answered_early=plan.relay is not None and answers_early(plan.relay.url),
    )


def _keeper(project: Project, plan: ListenPlan, broadcast: Broadcast) -> Keeper | None:
    if plan.fixtures is None:
        return None
    return Keeper(
        project,
        plan.fixtures,
        limit=plan.save_limit,
        is_keeping_secrets=plan.is_keeping_secrets,
        emit=broadcast,
    )


async def _until_done(goal: Goal, health: Health) -> None:
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(health.watch(), name="target health")
        await goal.reached.wait()
        watch.cancel()


async def _wind_down(
    listener: Listener, session: Session, remote: Remote | None, goal: Goal, broadcast: Broadcast
) -> int:
    """Finish what is in flight, up to five seconds or a second Ctrl-C; how many deliveries stay at the relay."""
    waiting = listener.in_flight + session.unfinished + (remote.in_flight if remote else 0)
    if waiting and goal.is_interrupted:
        broadcast(Stopping(waiting))
    left = remote.left if remote else 0
    async with asyncio.TaskGroup() as group:
        stopping = group.create_task(_finish(listener, session, remote), name="finish")
        hurry = group.create_task(goal.hurried.wait(), name="second interrupt")
        await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            left = stopping.result()
        else:
            stopping.cancel()
        hurry.cancel()
    return left


async def _finish(listener: Listener, session: Session, remote: Remote | None) -> int:
    leaving = remote.stop(timeout_s=_GRACE_S) if remote is not None else asyncio.sleep(0, 0)
    left, _ = await asyncio.gather(leaving, listener.stop(timeout_s=_GRACE_S))
    await session.finish(timeout_s=_GRACE_S)
    return left


def _ready(
    project: Project, plan: ListenPlan, judge: Judge, url: str, health: Health, place: Place | None
) -> Ready:
    providers = []
    made_here = project.state.keys.providers()
    for provider in project.provider_ids() if plan.provider is None else (plan.provider,):
        secrets = project.known_secrets(provider, flag=plan.secrets if plan.provider else ())
        if secrets:
            providers.append((provider, ", ".join(secret.origin for secret in secrets)))
        elif provider in made_here:
            providers.append((provider, "keys new"))
    if plan.secrets and plan.provider is None:
        providers = [("any provider", ", ".join(secret.origin for secret in judge.secrets("generic")))]
    return Ready(
        url=url,
        targets=tuple(health.problems.items()),
        fixtures=str(plan.fixtures) if plan.fixtures is not None else None,
        providers=tuple(providers),
        history=str(project.state.history_path),
        is_loopback=plan.is_loopback,
        place=place,
    )


def _details(project: Project, plan: ListenPlan) -> dict[str, str]:
    details = {"forward_to": ", ".join(route.endpoint.url for route in plan.routes)}
    references = [text for text in plan.secrets if text.startswith(("env:", "file:"))]
    if plan.secrets:
        details["secret"] = references[0] if references else "given"
    if plan.tls == "auto":
        details["certificate"] = str(certificate_path(project.state.tls_folder))
    return details


def _limits(project: Project) -> Limits:
    config = project.config
    return Limits(config.history_max_count, config.history_max_age_days * 86_400.0, config.history_max_bytes)


def _greeter(project: Project, plan: ListenPlan, judge: Judge) -> Greeter | None:
    """Answers handshakes; the URLs it opens are on the internet, so that certificates are checked in any case."""
    if plan.handshakes.mode == "off":
        return None
    tls = client_tls(is_insecure=False, ca_file=None) if plan.handshakes.is_sns_confirmed else None
    visitor = Forwarder(tls=tls, now_s=now_s)
    return Greeter(project, plan.handshakes, judge=judge, sender=visitor, is_open=plan.is_open)


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
