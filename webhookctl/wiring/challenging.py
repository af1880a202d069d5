"""`trigger handshake:NAME`, put together: challenges to send, and the verdict on what the app answered.

Imports neither asyncio nor the network, so that a dry run stays quick.
"""

import secrets as randomness
from collections.abc import Sequence
from dataclasses import dataclass

from webhookctl import handshake as handshakes
from webhookctl.delivery.challenge import Variant, forge_challenge
from webhookctl.delivery.prepare import Prepared
from webhookctl.handshake import Handshake, Judgement, Known
from webhookctl.model import Attempt, Headers, Request, Secret
from webhookctl.wiring.project import Project, now_s
from webhookctl.wiring.sources import listener_secret

_TOKEN = "webhookctl"  # noqa: S105  (sent where no verify token is known)


@dataclass(frozen=True, slots=True)
class ChallengePlan:
    """What to send: `variants` of one handshake, to `url`. `seed` None draws a challenge anew each time."""

    handshake: Handshake
    variants: tuple[Variant, ...]
    url: str
    secret_flags: tuple[str, ...] = ()
    token_flags: tuple[str, ...] = ()
    seed: int | None = None
    added: Headers = ()


class Challenger:
    """Plays the provider: makes the challenges of a plan, and judges answers as the provider would."""

    def __init__(self, project: Project, plan: ChallengePlan) -> None:
        self._plan = plan
        handshake = plan.handshake
        is_known = handshake.provider in project.provider_ids()
        self._scheme = project.scheme(handshake.provider) if is_known else None
        self._secrets: Sequence[Secret] = ()
        if is_known and (handshake.is_signed or handshake.keyed is not None):
            self._secrets = project.secrets(
                handshake.provider, flag=plan.secret_flags or listener_secret(project)
            )
        self._tokens = project.verify_tokens(handshake.token_variables, flag=plan.token_flags)

    def prepare(self, variant: Variant) -> Prepared:
        """The challenge, ready to be sent now."""
        plan = self._plan
        return forge_challenge(
            plan.handshake,
            variant,
            scheme=self._scheme,
            secrets=self._secrets,
            token=self._token,
            seed=randomness.randbits(48) if plan.seed is None else plan.seed,
            now_s=now_s(),
            url=plan.url,
            added=plan.added,
        )

    def judge(self, variant: Variant, request: Request, attempt: Attempt) -> Judgement:
        """What the provider would dislike about the answer; nothing where there was none."""
        if attempt.response is None:
            return Judgement()
        handshake = self._plan.handshake
        if variant is not Variant.RIGHT:
            status = 403 if variant is Variant.WRONG_TOKEN else handshake.refusal_status
            return handshakes.check_refusal(handshake, attempt.response, status)
        # The app has to have the secrets that the provider has, which is us: their origin does not matter.
        known = Known(
            secrets=tuple(Secret(secret.reveal()) for secret in self._secrets),
            tokens=(Secret(self._token),),
        )
        took_s = attempt.latency_ms / 1_000
        return handshakes.check(handshake, request, attempt.response, known, took_s=took_s)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before reading the outcome."""
        if self._plan.handshake.token is None or self._tokens:
            return ()
        return (f"no verify token is known here: {_TOKEN} is sent; --verify-token gives another",)

    @property
    def _token(self) -> str:
        return self._tokens[0].reveal() if self._tokens else _TOKEN
