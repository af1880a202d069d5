"""`trigger` and `replay`, put together: what to send, the forwarder to send it with, and the verdict on what was sent.

Runs in the caller's event loop and reports through `tell` only.
"""

import asyncio
import secrets as randomness
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from webhookctl import catalogue, signing
from webhookctl.address import addressed
from webhookctl.delivery import prepare
from webhookctl.delivery.prepare import Edits, Mode, Prepared
from webhookctl.delivery.run import Prepare, Sent, deliver_all
from webhookctl.errors import UsageError
from webhookctl.fixture import Fixture
from webhookctl.model import Endpoint, Secret, Verdict
from webhookctl.net.forwarder import Forwarder
from webhookctl.wiring.listening import client_tls
from webhookctl.wiring.project import Project, now_s
from webhookctl.wiring.sources import listener_secret, load_target, restored

_PAYLOAD_EPOCH_S = (
    1_767_225_600.0  # 2026-01-01: with a seed given the payload tells of one day, always the same
)


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How to send: where, how often, how many at once, starts `interval_s` apart; times in seconds."""

    endpoint: Endpoint
    timeout_s: float = 30.0
    times: int = 1
    concurrency: int = 1
    interval_s: float = 0.0
    is_insecure: bool = False
    ca_file: Path | None = None


async def send_all(work: Sequence[Prepare], options: SendOptions, tell: Callable[[Sent], None]) -> None:
    """Send all of `work` `times` over; `tell` gets each as it ends. Raises what preparing raises."""
    tls = None
    if options.endpoint.is_tls:
        tls = client_tls(is_insecure=options.is_insecure, ca_file=options.ca_file)
    forwarder = Forwarder(tls=tls, now_s=now_s)

    def repeated() -> Iterator[Prepare]:
        for _ in range(options.times):
            yield from work

    try:
        await deliver_all(
            repeated(),
            sender=forwarder,
            endpoint=options.endpoint,
            timeout_s=options.timeout_s,
            concurrency=options.concurrency,
            interval_s=options.interval_s,
            tell=tell,
            sleep=asyncio.sleep,
            monotonic_s=monotonic,
        )
    finally:
        forwarder.close()


def judge_sent(sent: Sent) -> Verdict | None:
    """The verdict of our own verifier on what was sent, as the endpoint should have judged it; None when unsigned."""
    prepared = sent.prepared
    if prepared.scheme is None or not prepared.secrets:
        return None
    return signing.verify(
        prepared.scheme, prepared.secrets, sent.request, now_s=sent.attempt.started_at_s, url=sent.attempt.url
    )


def forging(
    project: Project,
    template: catalogue.Template,
    edits: Edits,
    *,
    secret_flags: Sequence[str],
    seed: int | None,
    url: str,
    key_url: str | None = None,
) -> Prepare:
    """What makes the deliveries of `trigger`: new ids each time, or always the same payload with a `seed`.

    `key_url` is where the payload says that the certificate is. Raises UsageError `key-url-unused`.
    """
    scheme = project.scheme(template.provider)
    if key_url is not None:
        scheme = signing.with_key_url(scheme, key_url)
    secrets = project.secrets(template.provider, flag=secret_flags or listener_secret(project))

    def make() -> Prepared:
        now = now_s()
        return prepare.forge(
            template,
            edits,
            scheme=scheme,
            secrets=secrets,
            seed=randomness.randbits(48) if seed is None else seed,
            payload_time_s=now if seed is None else _PAYLOAD_EPOCH_S,
            now_s=now,
            url=url,
            is_rotating=bool(secret_flags),
        )

    return make


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What to replay and how: `mode` None means re-signed where that is possible, else exact."""

    targets: tuple[str, ...]
    mode: Mode | None
    edits: Edits
    provider: str | None = None
    secret_flags: tuple[str, ...] = ()
    has_new_id: bool = False
    fixtures: Path | None = None


def load_all(project: Project, plan: ReplayPlan, stdin: Callable[[], bytes]) -> list[Fixture]:
    """Everything that the targets mean, in the order given.

    Raises FixtureError `fixture-unknown`, `exchange-unknown` and what loading raises.
    """
    return [
        saved
        for target in plan.targets
        for saved in load_target(project, target, stdin=stdin, provider=plan.provider, folder=plan.fixtures)
    ]


def replaying(
    project: Project, plan: ReplayPlan, saved: Sequence[Fixture], endpoint: Endpoint
) -> list[Prepare]:
    """What makes the deliveries of `replay`, one a fixture. Raises UsageError when one cannot be signed."""
    return [
        _replay(project, each, plan, endpoint.origin + addressed(each.request, endpoint).target)
        for each in saved
    ]


def _replay(project: Project, saved: Fixture, plan: ReplayPlan, url: str) -> Prepare:
    provider = plan.provider or saved.provider
    scheme = project.scheme(provider) if provider in project.provider_ids() else None
    if plan.provider is not None and scheme is None:
        scheme = project.scheme(plan.provider)  # unknown: says so
    secrets: tuple[Secret, ...] = ()
    if scheme is not None:
        secrets = project.secrets(scheme.id, flag=plan.secret_flags or listener_secret(project))
    mode = plan.mode or (Mode.EXACT if scheme is None else Mode.RESIGNED)
    if mode is Mode.RESIGNED and scheme is None:
        raise UsageError(
            "provider-missing",
            f"{saved.name} says no provider that webhookctl knows, so it cannot be signed again",
            "name it with --provider, or send it as it was: --exact",
        )

    def make() -> Prepared:
        if mode is Mode.EXACT or scheme is None:
            if plan.has_new_id:
                raise UsageError("exact-edited", "--exact and --new-id contradict each other", "use --resign")
            return prepare.exact(restored(project, saved), plan.edits, scheme=scheme, secrets=secrets)
        # What was redacted goes out again where this project still has it: it stays on this machine.
        return prepare.resign(
            restored(project, saved),
            plan.edits,
            scheme=scheme,
            secrets=secrets,
            now_s=now_s(),
            url=url,
            fresh_id=_fresh_id if plan.has_new_id else None,
            is_rotating=bool(plan.secret_flags),
        )

    return make


def _fresh_id(old: str) -> str:
    return prepare.renewed(old, randomness.choice)
