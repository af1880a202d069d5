"""`listen --serve-keys`: the public halves of this project's test keys, where a verifier can fetch them.

Public halves only, to GET and HEAD only; such a request is no delivery and is not recorded.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable

from webhookctl import signing
from webhookctl.errors import WebhookctlError
from webhookctl.model import Capture, Request, Response, Secret
from webhookctl.wiring.project import DEVELOPMENT, Project

ROOT = "/.well-known/webhookctl/"

_TARGET = re.compile(re.escape(ROOT) + r"([a-z0-9_-]+)/(jwks\.json|cert\.pem|public\.pem)(?:\?.*)?")
_FORMS = {"jwks.json": "jwks", "cert.pem": "certificate", "public.pem": "pem"}

Deliver = Callable[[Capture], Awaitable[Response]]


class KeyServer:
    """Answers requests for keys; every other request goes to `deliver`."""

    def __init__(self, project: Project, deliver: Deliver) -> None:
        self._project = project
        self._deliver = deliver
        self._forms: dict[tuple[str, Secret], dict[str, str]] = {}

    async def __call__(self, capture: Capture) -> Response:
        """The answer to `capture`. Never raises what `deliver` does not."""
        wanted = _wanted(capture.request)
        if wanted is None:
            return await self._deliver(capture)
        return await asyncio.to_thread(self._answer, *wanted)  # a key may have to be made first

    def _answer(self, provider: str, file: str) -> Response:
        try:
            text = self._public(provider).get(_FORMS[file])
        except WebhookctlError:
            text = None
        if text is None:
            message = f"no key pair of {provider} is here; make one: webhookctl keys new {provider}\n"
            return _response(404, "Not Found", b"text/plain; charset=utf-8", message)
        kind = b"application/json" if file.endswith(".json") else b"application/x-pem-file"
        return _response(200, "OK", kind, text)

    def _public(self, provider: str) -> dict[str, str]:
        project = self._project
        scheme = project.scheme(provider)
        secret = project.own_key(provider)
        if secret is None and scheme.needs_pair:
            (secret, *_) = project.secrets(provider)
        if secret is None or secret.origin != DEVELOPMENT:
            return {}
        key = (provider, secret)
        if key not in self._forms:
            self._forms[key] = dict(signing.public_forms(scheme, secret))
        return self._forms[key]


def _wanted(request: Request) -> tuple[str, str] | None:
    match = _TARGET.fullmatch(request.target)
    if match is None or request.method not in ("GET", "HEAD"):
        return None
    return match.group(1), match.group(2)


def _response(status: int, reason: str, kind: bytes, text: str) -> Response:
    headers = ((b"Content-Type", kind), (b"Cache-Control", b"no-store"))
    return Response(status, reason, headers, text.encode())
