"""Handshakes for `listen`: found, answered or left to the app and checked, and what they bring kept.

Must not know options or rendering.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from webhookctl import handshake as handshakes
from webhookctl.errors import WebhookctlError
from webhookctl.handshake import Answer, Handshake, Judgement, Known
from webhookctl.model import Attempt, Detection, Endpoint, Exchange, Request, Response, Secret
from webhookctl.session import Sender, Settled
from webhookctl.wiring.project import Judge, Project

_SHARE_OF_LIMIT = 0.6  # of the sender's patience is the app's; the rest is for an answer of our own
_VISIT_S = 15.0
_CONFIRMED = re.compile(rb"<SubscriptionArn>[\x21-\x7e]{1,300}</SubscriptionArn>")


@dataclass(frozen=True, slots=True)
class HandshakePlan:
    """How handshakes are treated: `mode` auto, app or off; where verify tokens are; whether SNS URLs are opened."""

    mode: str = "auto"
    verify_tokens: tuple[str, ...] = ()
    is_sns_confirmed: bool = False


class Greeter:
    """Answers handshakes itself, or leaves them to the app and checks its answer.

    `is_open`: others can reach the listener; then no verify token is taken unseen.
    """

    def __init__(
        self, project: Project, plan: HandshakePlan, *, judge: Judge, sender: Sender, is_open: bool
    ) -> None:
        self._project = project
        self._plan = plan
        self._judge = judge
        self._sender = sender
        self._is_open = is_open
        self._is_app_alone = plan.mode == "app"
        self._tokens = cache(self._read_tokens)
        self._tokens(())  # a reference that leads nowhere is told at the start

    def find(self, request: Request, detection: Detection) -> Handshake | None:
        """The handshake that a delivery is."""
        return handshakes.find(request, detection.provider)

    def patience_s(self, handshake: Handshake, timeout_s: float) -> float:
        """How long the app may take, so that there is time left for an answer of our own."""
        if self._is_app_alone or handshake.time_limit_s is None:
            return timeout_s
        return min(timeout_s, handshake.time_limit_s * _SHARE_OF_LIMIT)

    def settle(self, handshake: Handshake, exchange: Exchange, attempt: Attempt | None) -> Settled:
        """Whose answer goes back, what is wrong with the app's, and what the handshake brought."""
        request = exchange.capture.request
        known = self._known(handshake, exchange)
        own = handshakes.answer(handshake, request, known)
        if attempt is None and self._is_app_alone:
            return Settled(None, complaints=("no app is there to answer it: --forward-to",))
        judgement = Judgement()
        if attempt is not None:
            judgement = _judged(handshake, request, attempt, known)
        is_by_app = attempt is not None and (judgement.is_right or self._is_app_alone)
        if is_by_app and judgement.is_refusal:
            return Settled(None, refusal=own.refusal or "the app refused it")
        notes = self._kept(handshake, exchange, own)
        if not is_by_app:
            notes = (*own.notes, *notes)
        visit, visit_notes = self._visit_of(handshake, own, is_by_app=is_by_app)
        response = None if is_by_app else own.response
        refusal = "" if is_by_app else own.refusal
        return Settled(response, refusal, judgement.complaints, (*notes, *visit_notes), visit)

    def acknowledgement(self, handshake: Handshake, exchange: Exchange) -> Response | None:
        """What the provider wants to read for each delivery; None when it is not known or the app's affair."""
        if self._is_app_alone:
            return None
        known = self._known(handshake, exchange)
        return handshakes.acknowledge(handshake, exchange.capture.request, known)

    async def visit(self, url: str) -> str:
        """Open a URL of AWS SNS that `answer` found safe; what came of it, in words."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        endpoint = Endpoint(host, 443, True, host)
        request = Request("GET", f"/?{parts.query}", ((b"Accept", b"text/xml"),), b"")
        attempt = await self._sender.send(endpoint, request, timeout_s=_VISIT_S)
        if attempt.failure is not None:
            return f"the subscription is NOT confirmed: {attempt.failure.message}"
        if attempt.is_success and attempt.response is not None and _CONFIRMED.search(attempt.response.body):
            return "the subscription is confirmed"
        return f"the subscription is NOT confirmed: AWS answered {attempt.status}"

    def _known(self, handshake: Handshake, exchange: Exchange) -> Known:
        return Known(
            secrets=self._secrets(handshake) if handshake.keyed is not None else (),
            tokens=self._tokens(handshake.token_variables),
            verdict=exchange.verdict if handshake.is_signed else None,
            accepts_any_token=not self._is_open,
            secret_variable=self._secret_variable(handshake) if handshake.keyed is not None else "",
        )

    def _secrets(self, handshake: Handshake) -> tuple[Secret, ...]:
        try:
            return self._judge.secrets(handshake.provider)
        except WebhookctlError:
            return ()

    def _secret_variable(self, handshake: Handshake) -> str:
        variables = self._project.scheme(handshake.provider).secret_variables
        return variables[0] if variables else ""

    def _read_tokens(self, variables: Sequence[str]) -> tuple[Secret, ...]:
        return self._project.verify_tokens(variables, flag=self._plan.verify_tokens)

    def _kept(self, handshake: Handshake, exchange: Exchange, own: Answer) -> tuple[str, ...]:
        """Keep the secret that a handshake brought, and say so without showing it."""
        if own.learnt is None:
            return ()
        provider = handshake.provider
        try:
            is_new = not self._judge.flag and self._project.learn(provider, own.learnt)
        except WebhookctlError as error:
            return (f"its secret could not be kept: {error.message}",)
        kept = (
            f"its secret is kept as one of {provider}" if is_new else "its secret was not kept: one is known"
        )
        shows = f"; webhookctl show '#{exchange.id}' shows it" if handshake.id == "notion" else ""
        return (kept + shows,)

    def _visit_of(self, handshake: Handshake, own: Answer, *, is_by_app: bool) -> tuple[str, tuple[str, ...]]:
        """The URL to open, and what is said about one that is not opened."""
        if handshake.visit is None or own.refusal or is_by_app:
            return "", ()
        if not own.visit:
            return "", ("its SubscribeURL is none of AWS SNS: it is not opened",)
        if not self._plan.is_sns_confirmed:
            return "", (f"to confirm it open {own.visit} (listen --confirm-sns does)",)
        return own.visit, ()


def _judged(handshake: Handshake, request: Request, attempt: Attempt, known: Known) -> Judgement:
    if attempt.response is None:
        assert attempt.failure is not None
        message = attempt.failure.message
        return Judgement((message if message.startswith("no ") else f"no answer: {message}",))
    took_s = attempt.latency_ms / 1_000
    return handshakes.check(handshake, request, attempt.response, known, took_s=took_s)
