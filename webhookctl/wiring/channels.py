"""`relay channel …`, put together: on the data folder, through the relay that uses it, or through an admin API.

Runs in the caller's event loop. What it can do is Registry's; here it is only carried there.
"""

import json
import os
import secrets as randomness
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from webhookctl.address import is_local, parse_endpoint
from webhookctl.errors import RelayError, UsageError, WebhookctlError
from webhookctl.model import Endpoint, FailureKind, Request, Response, Secret
from webhookctl.net.forwarder import Forwarder
from webhookctl.relay.control import read_control
from webhookctl.relay.options import Record
from webhookctl.relay.registry import Registry
from webhookctl.relay.sqlite_broker import SqliteBroker
from webhookctl.wiring.listening import client_tls
from webhookctl.wiring.project import Project, now_s

_PATH = "/.webhookctl/v1/channels"
_TIMEOUT_S = 30.0
_DEFAULT_URL = "http://127.0.0.1:4480"


class Verb(StrEnum):
    """What can be done with channels."""

    CREATE = "create"
    LIST = "list"
    SHOW = "show"
    CHANGE = "change"
    ROTATE = "rotate"
    REVOKE = "revoke"
    PAUSE = "pause"
    RESUME = "resume"
    REMOVE = "remove"


_METHODS = {Verb.LIST: "GET", Verb.SHOW: "GET", Verb.CHANGE: "PATCH", Verb.REMOVE: "DELETE"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the channels are: a data folder on this machine, or a relay's URL with its admin key."""

    data_folder: Path
    admin_url: str = ""
    admin_key: Secret | None = None
    is_insecure: bool = False
    ca_file: Path | None = None


async def act(
    project: Project,
    place: Place,
    verb: Verb,
    reference: str = "",
    options: Mapping[str, object] | None = None,
) -> Record:
    """Do `verb` to the channel `reference` (its name for CREATE); the channel as JSON, `{"channels": […]}` for LIST.

    Raises RelayError and UsageError as Registry does, UsageError `relay-data-missing` and what opening the folder
    raises, RelayError `relay-unreachable` and `relay-refused`.
    """
    given = dict(options or {})
    if place.admin_url:
        endpoint = parse_endpoint(place.admin_url)
        if place.admin_key is not None and not endpoint.is_tls and not is_local(endpoint):
            raise UsageError(
                "admin-url-insecure",
                f"the admin key would go to {endpoint.origin} without TLS",
                "give an https URL, or run the command on the relay's machine with --data",
            )
        config = project.config
        is_insecure, ca_file = place.is_insecure or config.insecure, place.ca_file or config.ca_file
        tls = client_tls(is_insecure=is_insecure, ca_file=ca_file) if endpoint.is_tls else None
        return await _over_http(place.admin_url, place.admin_key, verb, reference, given, tls)
    if verb is not Verb.CREATE and not _is_folder(place.data_folder):  # looking leaves nothing behind
        if verb is Verb.LIST:
            return {"channels": []}
        raise UsageError(
            "relay-data-missing",
            f"no relay has used the data folder {place.data_folder}",
            "name another with --data, or a relay elsewhere with --admin",
        )
    broker = SqliteBroker(place.data_folder, now_s=now_s)
    control = read_control(place.data_folder)
    try:
        await broker.__aenter__()
    except UsageError as error:
        if error.code != "relay-data-in-use" or control is None:
            raise
        # A relay runs on this folder: it is told, so that it acts at once. Its key was never on the network.
        tls = client_tls(is_insecure=True, ca_file=None) if control.url.startswith("https:") else None
        return await _over_http(control.url, control.key, verb, reference, given, tls)
    try:
        registry = Registry(
            broker,
            public_url=control.public_url if control else _DEFAULT_URL,
            domain=control.domain if control else "",
            now_s=now_s,
            random_bytes=randomness.token_bytes,
            scheme=project.scheme,
        )
        return await _locally(registry, verb, reference, given)
    finally:
        await broker.__aexit__(None, None, None)


def _is_folder(path: Path) -> bool:
    """Whether it is one; a name that no folder can have is none."""
    return os.path.isdir(path)


async def _locally(registry: Registry, verb: Verb, reference: str, options: Record) -> Record:
    if verb is Verb.LIST:
        return {"channels": await registry.list()}
    if verb is Verb.CREATE:
        return await registry.create(reference, options)
    if verb is Verb.CHANGE:
        return await registry.change(reference, options)
    verbs = {
        Verb.SHOW: registry.show,
        Verb.ROTATE: registry.rotate,
        Verb.REVOKE: registry.revoke,
        Verb.PAUSE: registry.pause,
        Verb.RESUME: registry.resume,
        Verb.REMOVE: registry.remove,
    }
    return await verbs[verb](reference)


async def _over_http(
    url: str, key: Secret | None, verb: Verb, reference: str, options: Record, tls: ssl.SSLContext | None
) -> Record:
    endpoint = parse_endpoint(url)
    request = _request(endpoint, key, verb, reference, options)
    forwarder = Forwarder(tls=tls, now_s=now_s)
    try:
        attempt = await forwarder.send(endpoint, request, timeout_s=_TIMEOUT_S)
    finally:
        forwarder.close()
    if attempt.response is None:
        failure = attempt.failure
        is_untrusted = failure is not None and failure.kind is FailureKind.TLS
        raise RelayError(
            "relay-unreachable",
            f"the relay at {endpoint.origin} cannot be reached: {failure.message if failure else 'no response'}",
            "a certificate of your own: --ca-file PATH" if is_untrusted else "does it run there?",
        )
    return _record(attempt.response, endpoint.origin)


def _request(endpoint: Endpoint, key: Secret | None, verb: Verb, reference: str, options: Record) -> Request:
    target = endpoint.path.rstrip("/") + _PATH
    if verb not in (Verb.CREATE, Verb.LIST):
        target += "/" + quote(reference, safe="")
    if verb in (Verb.ROTATE, Verb.REVOKE, Verb.PAUSE, Verb.RESUME):
        target += f"/{verb}"
    headers = [(b"Host", endpoint.authority.encode()), (b"Accept", b"application/json")]
    if key is not None:
        headers.append((b"Authorization", b"Bearer " + key.reveal().encode()))
    body = b""
    if verb in (Verb.CREATE, Verb.CHANGE):
        headers.append((b"Content-Type", b"application/json"))
        body = json.dumps({**options, "name": reference} if verb is Verb.CREATE else options).encode()
    return Request(_METHODS.get(verb, "POST"), target, tuple(headers), body)


def _record(response: Response, origin: str) -> Record:
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise RelayError(
            "relay-refused",
            f"{origin} answered {response.status}, and not as a relay does",
            "is the URL that of a webhookctl relay?",
        )
    if response.status < 400:
        return document
    raise _error(document.get("error"), response.status, origin)


def _error(error: object, status: int, origin: str) -> WebhookctlError:
    """What the relay said, as the error that the same command on the data folder gives."""
    fields = error if isinstance(error, dict) else {}
    code, message, hint = (str(fields.get(name) or "") for name in ("code", "message", "hint"))
    if status == 401:
        hint = "give the key that it was started with: --admin-key env:RELAY_ADMIN_KEY"
    kind = UsageError if status == 422 else RelayError
    return kind(code or "relay-refused", message or f"{origin} answered {status}", hint)
