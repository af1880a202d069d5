"""`listen --register`: the webhook at the provider while we listen, and what it missed asked for again.

Knows no provider's API; each is a Registrar.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from webhookctl.errors import UsageError, WebhookctlError
from webhookctl.events import BackfillAsked, ErrorOccurred, Event, HookRegistered, HookRemoved
from webhookctl.model import Secret
from webhookctl.net.registrar import Hook, PastDelivery, Registrar
from webhookctl.store.registrations import Registration, Registrations, known_deliveries

if TYPE_CHECKING:
    from webhookctl.wiring.project import Project

_REDELIVERABLE_S = 3 * 86_400.0  # GitHub keeps deliveries for three days
_TOLD_EVERY = 10
_REMOVE_S = 5.0
_PROVIDERS = ("github",)


@dataclass(frozen=True, slots=True)
class RegisterPlan:
    """What `listen --register` was told. `place` as given (``github:owner/repo``); `token` a reference or None."""

    place: str
    token: str | None = None
    events: tuple[str, ...] = ("*",)
    is_kept: bool = False
    is_backfilling: bool = False


class Registering:
    """One webhook at a provider. `put` makes or moves it, `leave` removes it.

    `is_answered_early`: senders are told of success before anybody has listened, so that success says little.
    """

    def __init__(
        self,
        plan: RegisterPlan,
        project: "Project",
        registrar: Registrar,
        *,
        secret: Secret,
        emit: Callable[[Event], None],
        now_s: Callable[[], float],
        is_answered_early: bool,
    ) -> None:
        self._plan = plan
        self._project = project
        self._registrar = registrar
        self._secret = secret
        self._emit = emit
        self._now_s = now_s
        self._is_answered_early = is_answered_early
        self._notes = Registrations(project.state)
        self._current: Registration | None = None
        self._putting: asyncio.Task[None] | None = None

    async def put(self, url: str) -> None:
        """Have the webhook call `url`: the one made before, one that is there already, else a new one.

        Raises UsageError or EndpointError. Once begun it is finished, so that no webhook is made unseen.
        """
        self._putting = asyncio.get_running_loop().create_task(self._put(url), name="register")
        await asyncio.shield(self._putting)

    async def backfill(self) -> None:
        """Ask again for what failed or was missed. Raises UsageError or EndpointError."""
        current = self._current
        if current is None:
            return
        missed = await self._missed(current)
        for asked, delivery in enumerate(missed):
            if asked % _TOLD_EVERY == 0:
                self._emit(BackfillAsked(self._plan.place, asked, len(missed)))
            await self._registrar.redeliver(current.hook_id, delivery.id)
        self._emit(BackfillAsked(self._plan.place, len(missed), len(missed)))
        self._note(replace(current, seen_at_s=self._now_s()))

    async def leave(self, hurried: asyncio.Event) -> None:
        """Remove the webhook, unless it shall stay or was there before. Never raises; what fails is told."""
        loop = asyncio.get_running_loop()
        removing = loop.create_task(self._remove(), name="remove the webhook")
        hurry = loop.create_task(hurried.wait(), name="second interrupt")
        await asyncio.wait({removing, hurry}, timeout=_REMOVE_S, return_when=asyncio.FIRST_COMPLETED)
        why = "it took too long"
        try:
            if removing.done():
                removing.result()
                return
        except WebhookctlError as error:
            why = error.message
        finally:
            for task in (removing, hurry):
                task.cancel()
            await asyncio.wait({removing, hurry})
            await self._registrar.close()
        self._emit(
            ErrorOccurred(
                "register-left",
                f"the webhook at {self._plan.place} could not be removed: {why}",
                "the next listen --register here takes it up again; or remove it in the provider's settings",
            )
        )

    async def _put(self, url: str) -> None:
        plan, known = self._plan, self._current or self._notes.find(self._plan.place)
        if known is not None and known.is_ours:
            hook = await self._registrar.update(known.hook_id, url, secret=self._secret, events=plan.events)
            if hook is not None:
                how = "moved" if self._current else "taken up again"
                self._have(hook, replace(known, url=url, pid=os.getpid()), how)
                return
            self._notes.forget(known)
        there = next((hook for hook in await self._registrar.hooks() if _is_same_url(hook.url, url)), None)
        is_ours = there is None
        hook = there or await self._registrar.create(url, secret=self._secret, events=plan.events)
        # Before there was a listener nothing could be missed.
        seen_at_s = known.seen_at_s if known and known.hook_id == hook.id else self._now_s()
        made = Registration(plan.place, hook.id, url, os.getpid(), seen_at_s, is_ours)
        self._have(hook, made, "made" if is_ours else "there already")

    def _have(self, hook: Hook, registration: Registration, how: str) -> None:
        self._note(registration)
        self._emit(HookRegistered(self._plan.place, hook.id, hook.url, hook.events, how))

    def _note(self, registration: Registration) -> None:
        self._current = registration
        self._notes.remember(registration)

    async def _missed(self, current: Registration) -> list[PastDelivery]:
        """What nobody has taken in, the oldest first; of each delivery its newest attempt."""
        since_s = self._now_s() - _REDELIVERABLE_S
        newest: dict[str, PastDelivery] = {}
        succeeded: set[str] = set()
        async for delivery in self._registrar.deliveries(current.hook_id, since_s=since_s):
            newest.setdefault(delivery.delivery_id, delivery)
            if delivery.is_success:
                succeeded.add(delivery.delivery_id)
        provider = self._plan.place.partition(":")[0]
        known = await asyncio.to_thread(
            known_deliveries, self._project.state.history_path, provider, tuple(newest)
        )
        return [
            delivery
            for delivery_id, delivery in reversed(newest.items())
            if delivery_id not in known
            and (
                delivery_id not in succeeded
                or (self._is_answered_early and delivery.attempted_at_s >= current.seen_at_s)
            )
        ]

    async def _remove(self) -> None:
        if self._putting is not None:
            await asyncio.wait({self._putting})
            self._putting.exception()  # told by `put`, if anybody still listened
        current = self._current
        if current is None:
            return
        if not current.is_ours or self._plan.is_kept:
            self._note(replace(current, seen_at_s=self._now_s()))
            return
        await self._registrar.remove(current.hook_id)
        self._notes.forget(current)
        self._current = None
        self._emit(HookRemoved(self._plan.place, current.hook_id))


def registering(
    plan: RegisterPlan,
    project: "Project",
    *,
    secrets: tuple[str, ...],
    emit: Callable[[Event], None],
    is_answered_early: bool,
) -> Registering:
    """What `plan` asks for, put together. `secrets`: the --secret options. Raises UsageError."""
    from webhookctl.config import github_access
    from webhookctl.net.registrar.github import API_URL, GithubRegistrar
    from webhookctl.wiring.project import now_s

    provider, _, place = plan.place.partition(":")
    if provider not in _PROVIDERS or not place:
        raise UsageError(
            "register-invalid",
            f"--register {plan.place}: webhooks can be registered at {', '.join(_PROVIDERS)}",
            "write github:OWNER/REPO, or github:ORGANISATION",
        )
    token, api_url = github_access(plan.token)
    registrar = GithubRegistrar(
        place,
        token,
        api_url=api_url or API_URL,
        now_s=now_s,
        sleep=asyncio.sleep,
        on_wait=lambda wait_s: emit(
            ErrorOccurred(
                "register-waiting", f"GitHub's limit of requests is reached: waiting {wait_s:,.0f} s"
            )
        ),
    )
    return Registering(
        plan,
        project,
        registrar,
        secret=project.secrets(provider, flag=secrets)[0],
        emit=emit,
        now_s=now_s,
        is_answered_early=is_answered_early,
    )


def _is_same_url(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")
