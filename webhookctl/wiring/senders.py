"""Where the senders of a contract send to: a listener that answers as planned and judges what came in.

Must not know reports. Implements the receiving half of `contract.sender.Ear`; the stage does the rest.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Self

from webhookctl import signing
from webhookctl.address import public_url
from webhookctl.contract.model import Contract, Reply
from webhookctl.contract.sender import PATH, Received
from webhookctl.contract.sends import LISTENER
from webhookctl.errors import WebhookctlError
from webhookctl.model import Capture, Response, Verdict, VerdictKind
from webhookctl.net.listener import Listener, ListenerLimits
from webhookctl.signing import presented
from webhookctl.signing.moment import signed_at_s
from webhookctl.wiring.project import Project, now_s

MAX_KEPT = 10_000  # a sender that never stops must not fill the memory


class SenderListener:
    """`async with` opens it; `url` is known from then on. Raises UsageError `port-in-use`."""

    def __init__(self, project: Project, contract: Contract) -> None:
        self._project = project
        self._signer = contract.signer
        self._answers: Sequence[Reply] = (Reply(),)
        self._count = 0
        self.received: list[Received] = []
        self._listener = Listener(
            self._answer,
            host="127.0.0.1",
            port=contract.listener_port,
            limits=ListenerLimits(),
            tls=None,
            now_s=now_s,
            on_refused=_ignore,
        )

    @property
    def url(self) -> str:
        return self._listener.url + PATH

    def listen(self, answers: Sequence[Reply]) -> None:
        """Forget what came in; answer so from now on."""
        self._answers, self._count = answers, 0
        self.received = []

    async def __aenter__(self) -> Self:
        await self._listener.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listener.__aexit__()

    async def _answer(self, capture: Capture) -> Response:
        start_s, kept = monotonic(), self.received
        if capture.request.target.partition("?")[0] != PATH:
            answer, delay_s = Response(200, "", (), b""), 0.0  # where a redirect leads
        else:
            reply = self._answers[min(self._count, len(self._answers) - 1)]
            self._count += 1
            answer, delay_s = self._response(reply), reply.delay_s
        if len(kept) < MAX_KEPT:
            kept.append(self._judged(capture, answer))
        position = len(kept) - 1
        if delay_s:
            await asyncio.sleep(delay_s)
            kept[position] = replace(kept[position], took_ms=(monotonic() - start_s) * 1000)
        return answer

    def _response(self, reply: Reply) -> Response:
        headers = tuple(
            (name.encode("latin-1"), value.replace(f"{{{LISTENER}.url}}", self.url).encode("latin-1"))
            for name, value in reply.headers
        )
        return Response(reply.status, "", headers, reply.body)

    def _judged(self, capture: Capture, answer: Response) -> Received:
        project, request = self._project, capture.request
        detection = project.detector.detect(request, provider=self._signer.provider)
        if detection.provider is None:
            verdict = Verdict(VerdictKind.UNKNOWN_SCHEME, None, "no provider recognised: name it in [signer]")
            return Received(request, capture.received_at_s, answer, 0.0, verdict, None, None)
        scheme = project.scheme(detection.provider)
        try:
            secrets = project.secrets(detection.provider, flag=self._signer.secrets)
        except WebhookctlError as error:  # of a provider that nobody named, so it was not known before
            verdict = Verdict(VerdictKind.NO_SECRET, scheme.id, error.message)
            return Received(request, capture.received_at_s, answer, 0.0, verdict, detection.delivery_id, None)
        verdict = signing.verify(
            scheme,
            secrets,
            request,
            now_s=capture.received_at_s,
            url=public_url(capture) if scheme.needs_line else "",
            tolerance_s=self._signer.tolerance_s,
        )
        at_s = signed_at_s(scheme.timestamp, presented.read(scheme, request.headers), request.body)
        return Received(
            request,
            capture.received_at_s,
            answer,
            0.0,
            verdict,
            detection.delivery_id,
            None if isinstance(at_s, str) else at_s,
        )


def sender_secrets(project: Project, contract: Contract) -> set[str]:
    """The secrets that its senders sign with. Raises UsageError `secret-missing`, `provider-unknown`."""
    provider = contract.signer.provider
    if not contract.sends or provider is None:
        return set()
    return {secret.reveal() for secret in project.secrets(provider, flag=contract.signer.secrets)}


def _ignore(status: int, why: str) -> None:
    """What never became an attempt is none."""
