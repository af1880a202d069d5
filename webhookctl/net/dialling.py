"""Opens the WebSocket of a tunnel, and says in our words why it does not open or has ended.

Knows one attempt only: neither frames nor trying again.
"""

import logging
import socket
import ssl
from ipaddress import ip_address
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, ProxyError, WebSocketException

from webhookctl import __version__
from webhookctl.errors import RelayError, UsageError
from webhookctl.model import Secret
from webhookctl.tunnel_protocol import MAX_FRAME_BYTES, SUBPROTOCOL, CloseCode

TUNNEL_PATH = "/.webhookctl/v1/tunnel"
_OPEN_S = 15.0
_CLOSE_S = 2.0
_QUEUED_FRAMES = 16

_silent = logging.getLogger("webhookctl.tunnel")  # what matters is told as events
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class LostError(Exception):
    """A tunnel that did not open or ended, and may well open again. `wait_s`: the relay asked for so long."""

    def __init__(self, reason: str, *, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_s = wait_s


class _Connect(connect):
    """Follows no redirect: the key is for the host that the user named."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def dial(relay: str, key: Secret, *, tls: ssl.SSLContext | None) -> ClientConnection:
    """A WebSocket to the relay at `relay` (http:// or https://), through the environment's proxy unless it is local.

    Raises RelayError for what will not change by itself (key, address), LostError for what may.
    """
    parts = urlsplit(relay)
    is_tls = parts.scheme == "https"
    url = f"{'wss' if is_tls else 'ws'}://{parts.netloc}{parts.path.rstrip('/')}{TUNNEL_PATH}"
    try:
        return await _Connect(
            url,
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # their NewType of str
            additional_headers={"Authorization": f"Bearer {key.reveal()}"},
            user_agent_header=f"webhookctl/{__version__}",
            compression=None,  # bodies hold secrets, and most are small
            proxy=None if is_loopback(parts.hostname or "") else True,
            open_timeout=_OPEN_S,
            close_timeout=_CLOSE_S,
            ping_interval=None,  # the protocol has its own heartbeat
            max_size=MAX_FRAME_BYTES,
            max_queue=_QUEUED_FRAMES,
            logger=_silent,
            ssl=(tls or ssl.create_default_context()) if is_tls else None,
        )
    except InvalidStatus as error:
        raise _refused(error, relay) from error
    except InvalidURI as error:
        raise UsageError("relay-invalid", f"{relay} is not the URL of a relay") from error
    except (OSError, TimeoutError, UnicodeError, WebSocketException) as error:
        raise LostError(why(error, parts.hostname or "")) from error


def is_loopback(host: str) -> bool:
    """True for this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def why(error: Exception, host: str) -> str:
    """Why there is no connection, in words that follow the name of the relay."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return f"the name {host} does not resolve"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return "it refuses connections"
    if isinstance(error, ProxyError):
        return f"the proxy: {error}"
    if isinstance(error, InvalidHandshake):
        return f"what answers there does not speak WebSocket ({error})"
    return str(error) or type(error).__name__


def _refused(error: InvalidStatus, relay: str) -> Exception:
    """What the relay's HTTP answer to the upgrade means."""
    status = error.response.status_code
    if status in (401, 403):
        return ended(CloseCode.UNAUTHORISED, "")
    if status == 426:
        return ended(CloseCode.UPGRADE_NEEDED, "")
    if status == 429 or status >= 500:
        return LostError(f"it answered {status}", wait_s=_asked_s(error.response.headers.get("Retry-After")))
    location = error.response.headers.get("Location")
    hint = (
        f"it redirects to {location}: if you trust that, use it" if location else "check the URL of --relay"
    )
    return RelayError("relay-not-found", f"{relay} answers {status}: there is no webhookctl relay", hint)


def _asked_s(text: str | None) -> float:
    return float(min(int(text), 300)) if text is not None and text.isdecimal() else 0.0


def ended(code: int, message: str) -> Exception:
    """What the close code of a tunnel means: RelayError when trying again makes no sense, else LostError.

    The relay's own `message` is told where our words do not say it already.
    """
    told = f": {message}" if message else ""
    match code:
        case CloseCode.UNAUTHORISED:
            return RelayError(
                "relay-unauthorised",
                "the relay does not accept this channel key",
                "make a channel there (webhookctl relay channel new) and give its key: --key env:WEBHOOKCTL_RELAY_KEY",
            )
        case CloseCode.REVOKED:
            return RelayError(
                "relay-key-revoked",
                "the key of this channel was revoked",
                "ask whoever runs the relay for a new key, and give it with --key",
            )
        case CloseCode.UNKNOWN_CHANNEL:
            return RelayError(
                "relay-channel-unknown",
                "the relay has no such channel for this key",
                "check --channel; the key alone is enough to find its channel",
            )
        case CloseCode.OCCUPIED:
            return RelayError(
                "relay-occupied",
                "another client is connected to this channel",
                "take it over with --takeover, or look on with --observe",
            )
        case CloseCode.SUPERSEDED:
            return RelayError(
                "relay-superseded",
                "another client has taken this channel over",
                "take it back with --takeover, or make a channel of your own: --channel NAME",
            )
        case CloseCode.UPGRADE_NEEDED:
            return RelayError(
                "relay-upgrade-needed",
                "relay and client have no version of the protocol in common",
                "upgrade the older of the two",
            )
        case CloseCode.TOO_MANY:
            return LostError(f"it has too many clients now{told}", wait_s=5.0)
        case CloseCode.SHUTTING_DOWN:
            return LostError(f"it is restarting{told}", wait_s=0.5)
    return LostError(f"it closed the tunnel{told}" if told else "the connection ended")
