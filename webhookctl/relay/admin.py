"""What the relay says under /.webhookctl/, the tunnel aside: health, readiness, metrics, and the API of channels.

JSON in, JSON out, a bearer key, no CORS. Must not know how channels are kept (Registry) nor how they are listened to.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address
from urllib.parse import unquote

from aiohttp import web

from webhookctl.errors import RelayError, WebhookctlError
from webhookctl.model import Headers, Secret, header_value
from webhookctl.relay import metrics as counting
from webhookctl.relay.admission import Admission, Buckets, Rate, network_of
from webhookctl.relay.metrics import Metrics
from webhookctl.relay.options import Record
from webhookctl.relay.registry import GuestLimits, Registry

PREFIX = "/.webhookctl/"
_CHANNELS = PREFIX + "v1/channels"
_MAX_BODY_BYTES = 64 * 1024
_BODY_TIMEOUT_S = 10.0
_FAILURES = Rate(per_s=0.1, burst=10)  # wrong keys of one address
_CREATIONS = Rate(per_s=0.2, burst=10)  # channels made without a key, of one address
_STATUS = {
    "admin-key-missing": 401,
    "admin-key-wrong": 401,
    "channel-unknown": 404,
    "channel-exists": 409,
    "channel-changed": 409,
    "channels-exhausted": 429,
    "broker-full": 503,
    "broker-failed": 503,
}


@dataclass(frozen=True, slots=True)
class AdminOptions:
    """Who may do what: the admin key, whether everybody may make channels (`is_open`), and what guests get.

    `control_key` is that of commands on the relay's own machine, for this run (control.py). `guests` is None when
    channels without an owner are not made.
    """

    admin_key: Secret | None = None
    control_key: Secret | None = None
    is_open: bool = False
    guests: GuestLimits | None = None


class _RefusedError(Exception):
    """The API says no: a status, and an error as in the envelope of commands."""

    def __init__(self, status: int, code: str, message: str, hint: str = "", *, retry_s: int = 0) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.hint = status, code, message, hint
        self.retry_s = retry_s


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    headers: Headers
    address: str
    body: web.BaseRequest


class Admin:
    """Answers everything under /.webhookctl/ but the tunnel. `problem` says why the relay is not ready, or None."""

    def __init__(
        self,
        registry: Registry,
        options: AdminOptions,
        *,
        admission: Admission,
        metrics: Metrics,
        problem: Callable[[], str | None],
        now_s: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._options = options
        self._admission = admission
        self._metrics = metrics
        self._problem = problem
        self._now_s = now_s
        self._failures = Buckets()
        self._creations = Buckets()
        keys = [key for key in (options.admin_key, options.control_key) if key is not None]
        self._key_hashes = [sha256(key.reveal().encode()).digest() for key in keys]

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """The answer to a request whose path begins with PREFIX. Never raises for what a client did."""
        call = self._call(request)
        try:
            return await self._answer(call)
        except _RefusedError as refused:
            retry = {"Retry-After": str(refused.retry_s)} if refused.retry_s else {}
            return _json(refused.status, _error(refused.code, refused.message, refused.hint), retry)
        except WebhookctlError as error:
            status = _STATUS.get(error.code, 500 if isinstance(error, RelayError) else 422)
            return _json(status, _error(error.code, error.message, error.hint))

    def _call(self, request: web.BaseRequest) -> _Call:
        headers: Headers = tuple(request.raw_headers)
        is_tls = request.transport is not None and request.transport.get_extra_info("ssl_object") is not None
        origin = self._admission.origin(request.remote or "", is_tls=is_tls, headers=headers)
        path = request.raw_path.partition("?")[0]
        return _Call(request.method, path, headers, origin.address, request)

    async def _answer(self, call: _Call) -> web.Response:
        if call.path == PREFIX + "health":
            _allow(call, "GET", "HEAD")
            return _json(200, {"status": "ok"})
        if call.path == PREFIX + "ready":
            _allow(call, "GET", "HEAD")
            problem = self._problem()
            return _json(
                503 if problem else 200, {"status": "not ready" if problem else "ready", "reason": problem}
            )
        if call.path == PREFIX + "metrics":
            _allow(call, "GET", "HEAD")
            if not self._is_local(call):
                self._require_admin(call)
            return web.Response(
                text=self._metrics.render(), headers=_safe({"Content-Type": counting.CONTENT_TYPE})
            )
        if call.path == _CHANNELS or call.path.startswith(_CHANNELS + "/"):
            _refuse_browsers(call)
            return await self._channels(call)
        raise _RefusedError(404, "path-unknown", "the relay has no such path")

    async def _channels(self, call: _Call) -> web.Response:
        reference, _, verb = call.path.removeprefix(_CHANNELS).strip("/").partition("/")
        if not reference:
            return await self._all_channels(call)
        self._require_admin(call)
        name, registry = unquote(reference), self._registry
        if not verb:
            _allow(call, "GET", "PATCH", "DELETE")
            if call.method == "PATCH":
                return _json(200, await registry.change(name, await _body(call)))
            return _json(
                200, await (registry.remove(name) if call.method == "DELETE" else registry.show(name))
            )
        verbs: dict[str, Callable[[str], Awaitable[Record]]] = {
            "rotate": registry.rotate,
            "revoke": registry.revoke,
            "pause": registry.pause,
            "resume": registry.resume,
        }
        if verb not in verbs:
            raise _RefusedError(404, "path-unknown", "the relay has no such path")
        _allow(call, "POST")
        return _json(200, await verbs[verb](name))

    async def _all_channels(self, call: _Call) -> web.Response:
        _allow(call, "GET", "POST")
        if call.method == "GET":
            self._require_admin(call)
            return _json(200, {"channels": await self._registry.list()})
        return _json(201, await self._create(call))

    async def _create(self, call: _Call) -> Record:
        is_admin = self._has_key(call)
        if not is_admin:
            if header_value(call.headers, "authorization") is not None:
                self._require_admin(call)
            if not self._options.is_open and self._options.guests is None:
                raise _RefusedError(
                    401,
                    "admin-key-missing",
                    "this relay makes channels for its owner alone",
                    "ask for a channel key",
                )
            self._limit(self._creations, _CREATIONS, call)
        options = await _body(call)
        name = options.pop("name", "")
        if not isinstance(name, str):
            raise _RefusedError(422, "channel-name-invalid", "the name of a channel is a text")
        if is_admin:
            return await self._registry.create(name, options)
        if self._options.is_open:
            return await self._registry.create_open(name, options)
        guests = self._options.guests or GuestLimits()
        return await self._registry.create_for_guest(name, options, creator=call.address, limits=guests)

    def _has_key(self, call: _Call) -> bool:
        """Whether the call carries an admin key. Compared in constant time."""
        kind, _, key = (header_value(call.headers, "authorization") or b"").partition(b" ")
        given = sha256(key.strip()).digest()
        is_one = [compare_digest(given, known) for known in self._key_hashes]
        return any(is_one) and kind.lower() == b"bearer"

    def _require_admin(self, call: _Call) -> None:
        """Raises 401, or 429 once an address has tried too often: then the right key does not help either."""
        self._limit(self._failures, _FAILURES, call, is_taken=False)
        if self._has_key(call):
            return
        self._limit(self._failures, _FAILURES, call)
        if self._options.admin_key is None:
            raise RelayError(
                "admin-key-missing", "this relay has no admin key", "start it with --admin-key env:NAME"
            )
        raise RelayError(
            "admin-key-wrong", "the admin key is missing or wrong", "Authorization: Bearer <key>"
        )

    def _limit(self, buckets: Buckets, rate: Rate, call: _Call, *, is_taken: bool = True) -> None:
        wait_s = buckets.wait_s(network_of(call.address), rate, self._now_s(), is_taken=is_taken)
        if wait_s:
            raise _RefusedError(429, "too-many-requests", "too many requests", retry_s=int(wait_s) + 1)

    def _is_local(self, call: _Call) -> bool:
        """From this machine itself, and through no proxy that says so."""
        is_forwarded = any(key.lower() in (b"x-forwarded-for", b"forwarded") for key, _ in call.headers)
        try:
            return not is_forwarded and ip_address(call.address).is_loopback
        except ValueError:
            return False


def _allow(call: _Call, *methods: str) -> None:
    if call.method not in methods:
        raise _RefusedError(
            405, "method-not-allowed", f"{call.method} is not for this path", ", ".join(methods)
        )


def _refuse_browsers(call: _Call) -> None:
    """No page of another site may use the API with what the browser adds by itself. There is no CORS either."""
    site = header_value(call.headers, "sec-fetch-site") or b"none"
    if header_value(call.headers, "origin") is not None or site.strip().lower() not in (
        b"none",
        b"same-origin",
    ):
        raise _RefusedError(403, "cross-site", "the API is not for web pages")


async def _body(call: _Call) -> Record:
    """The JSON object that was sent; an empty body is an empty one."""
    kind = (header_value(call.headers, "content-type") or b"").partition(b";")[0].strip().lower()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            data = bytearray()
            async for piece in call.body.content.iter_any():
                data += piece
                if len(data) > _MAX_BODY_BYTES:
                    raise _RefusedError(413, "body-too-large", f"at most {_MAX_BODY_BYTES} bytes")
    except TimeoutError:
        raise _RefusedError(408, "body-too-slow", "the body did not come in time") from None
    if not data:
        return {}
    if kind != b"application/json":
        raise _RefusedError(415, "body-not-json", "the body has to be JSON", "Content-Type: application/json")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise _RefusedError(400, "body-not-json", "the body is not JSON") from None
    if not isinstance(document, dict):
        raise _RefusedError(400, "body-not-json", "the body is not a JSON object")
    return document


def _error(code: str, message: str, hint: str) -> Record:
    return {"error": {"code": code, "message": message, "hint": hint}}


def _json(status: int, document: Record, headers: dict[str, str] | None = None) -> web.Response:
    text = json.dumps(document) + "\n"
    return web.Response(
        status=status, text=text, headers=_safe({"Content-Type": "application/json", **(headers or {})})
    )


def _safe(headers: dict[str, str]) -> dict[str, str]:
    return {
        **headers,
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
