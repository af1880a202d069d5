"""Makes a channel on a relay over its HTTP API.

Knows the API's words only: what is done with the channel is the caller's.
"""

import json
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from webhookctl import __version__
from webhookctl.errors import RelayError
from webhookctl.net.dialling import is_loopback, why
from webhookctl.net.tunnel import unreachable

_CHANNELS_PATH = "/.webhookctl/v1/channels"
_TIMEOUT = aiohttp.ClientTimeout(total=15.0)
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class CreatedChannel:
    """A channel just made: its name, public URL, policy, and the key that only we know now."""

    name: str
    url: str
    key: str = field(repr=False)
    policy: str = ""


async def create_channel(relay: str, name: str, *, tls: ssl.SSLContext | None) -> CreatedChannel:
    """Make a channel called `name` on `relay`.

    Raises RelayError `relay-unreachable`, `relay-channel-exists` (the name is taken), `relay-closed` (strangers may
    make none there), `relay-not-found` or `relay-refused`.
    """
    parts = urlsplit(relay)
    headers = {"User-Agent": f"webhookctl/{__version__}"}
    try:
        async with (
            aiohttp.ClientSession(
                trust_env=not is_loopback(parts.hostname or ""),
                timeout=_TIMEOUT,
                headers=headers,
                cookie_jar=aiohttp.DummyCookieJar(),
            ) as session,
            session.post(
                relay + _CHANNELS_PATH,
                json={"name": name},
                allow_redirects=False,
                ssl=tls if tls is not None else True,
            ) as response,
        ):
            status = response.status
            data = bytearray()
            while len(data) < _MAX_BYTES and (piece := await response.content.readany()):
                data += piece
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise unreachable(relay, _why(error, parts.hostname or "")) from error
    return _created(relay, name, status, _document(bytes(data)))


def _why(error: Exception, host: str) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return why(error.certificate_error, host)
    if isinstance(error, aiohttp.ClientConnectorError):
        return why(error.os_error, host)
    return why(error, host)


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _created(relay: str, name: str, status: int, document: dict[str, Any]) -> CreatedChannel:
    match document:
        case {"name": str(made), "url": str(url), "key": str(key)} if status == 201:
            return CreatedChannel(made, url, key, str(document.get("policy", "")))
        case {"error": {"code": str(code), "message": str(message)}}:
            raise _refused(relay, name, status, code, message)
    raise RelayError(
        "relay-not-found",
        f"{relay} answers {status}: there is no webhookctl relay",
        "check the URL of --relay; for smee.io and others write smee+https://…",
    )


def _refused(relay: str, name: str, status: int, code: str, message: str) -> RelayError:
    if status == 409:
        return RelayError(
            "relay-channel-exists",
            f"{relay} has a channel {name} already",
            "give its key with --key, or choose another name with --channel",
        )
    if status in (401, 403):
        return RelayError(
            "relay-closed",
            f"{relay} makes channels for its owner alone",
            f"on the relay's machine: webhookctl relay channel new {name}; then give its key here: "
            "--key env:WEBHOOKCTL_RELAY_KEY",
        )
    return RelayError("relay-refused", f"{relay} made no channel: {message} ({code})", "see the message")
