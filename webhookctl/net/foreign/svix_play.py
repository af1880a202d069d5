"""Speaks the relay of Svix Play over WebSocket: deliveries in, the app's answers back to their senders.

Knows one connection; neither trying again nor what becomes of a delivery.
"""

import json
import logging
import re
import ssl
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException

from webhookctl import __version__
from webhookctl.errors import RelayError, UsageError
from webhookctl.events import ErrorOccurred
from webhookctl.model import Request, Response
from webhookctl.net.dialling import LostError, is_loopback, why
from webhookctl.net.foreign.wires import Arrival, WireOptions

SERVER = "wss://api.relay.svix.com/api/v1/listen/"
_PUBLIC = "https://play.svix.com"
_VERSION = 1
_OPEN_S = 15.0
_PING_S = 20.0
_IN_USE = 1008
_MAX_TOKENS = 5
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_METHOD = _NAME
_FORBIDDEN = re.compile(r"[\r\n\0]")
_NOT_PASSED_ON = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"})

_silent = logging.getLogger("webhookctl.svix")  # what matters is told as reports
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class _Connect(connect):
    """Follows no redirect: the user named the host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class SvixPlay:
    """A listener on Svix Play (or what speaks like it at `server`) under `token`; `new_token` draws another.

    `token` changes when the relay has it in use already, or gives another one.
    """

    def __init__(
        self, server: str, token: str, options: WireOptions, *, new_token: Callable[[], str]
    ) -> None:
        self.token = token
        self._server = server
        self._options = options
        self._new_token = new_token
        self._connection: ClientConnection | None = None

    async def connect(self, *, is_first: bool) -> str:
        """Connect and say which token is ours; on the first connection another one when it is taken."""
        for _ in range(_MAX_TOKENS):
            await self.close()
            try:
                await self._start()
            except ConnectionClosed as closed:
                if closed.rcvd is None or closed.rcvd.code != _IN_USE:
                    raise LostError(_end(closed)) from closed
                if not is_first:
                    # Our own lost connection: the relay notices a while after us.
                    raise LostError("it still holds the connection that was lost", wait_s=2.0) from closed
                self.token = self._new_token()
            else:
                return public_url(self._server, self.token)
        raise RelayError("relay-occupied", "Svix Play refuses every token as in use", "try again later")

    async def read(self, take: Callable[[Arrival], Awaitable[None]]) -> None:
        """Hand over what comes; raises LostError when the connection ends."""
        connection = self._connection
        assert connection is not None
        try:
            async for data in connection:
                if arrival := self._arrival(data, connection):
                    await take(arrival)
        except ConnectionClosed as closed:
            raise LostError(_end(closed)) from closed
        raise LostError("it closed the connection")

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _start(self) -> None:
        connection = self._connection = await self._dial()
        await connection.send(_message("start", {"token": self.token}))
        try:
            start = _parse(await connection.recv())
        except ValueError as error:
            raise RelayError(
                "relay-not-found", f"{self._server} does not speak as Svix Play does: {error}"
            ) from error
        token = start["data"].get("token")
        if start["type"] != "start" or not isinstance(token, str) or not _TOKEN.match(token):
            raise RelayError("relay-not-found", f"{self._server} does not speak as Svix Play does")
        self.token = token

    async def _dial(self) -> ClientConnection:
        parts = urlsplit(self._server)
        is_tls = parts.scheme == "wss"
        try:
            return await _Connect(
                self._server,
                user_agent_header=f"webhookctl/{__version__}",
                compression=None,
                proxy=None if is_loopback(parts.hostname or "") else True,
                open_timeout=_OPEN_S,
                close_timeout=2.0,
                ping_interval=_PING_S,
                ping_timeout=_PING_S,
                max_size=2 * self._options.max_body_bytes + 1024 * 1024,
                logger=_silent,
                ssl=(self._options.tls or ssl.create_default_context()) if is_tls else None,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            if status == 429 or status >= 500:
                raise LostError(f"it answered {status}", wait_s=1.0) from error
            raise RelayError(
                "relay-not-found",
                f"{self._server} answers {status}: there is no Svix Play",
                "check the URL of --relay",
            ) from error
        except InvalidURI as error:
            raise UsageError("relay-url-invalid", f"{self._server} is not the URL of a relay") from error
        except (OSError, TimeoutError, WebSocketException) as error:
            raise LostError(why(error, parts.hostname or "")) from error

    def _arrival(self, data: str | bytes, connection: ClientConnection) -> Arrival | None:
        try:
            event = _parse(data)
            if event["type"] != "event":
                return None
            identity, request = _request(event["data"])
        except ValueError as error:
            self._options.report(
                ErrorOccurred("relay-dropped", f"what came from Svix Play was left out: {error}")
            )
            return None

        async def reply(response: Response) -> None:
            try:
                await connection.send(_message("event", _answer(identity, response)))
            except ConnectionClosed:
                self._options.report(
                    ErrorOccurred(
                        "relay-answer-lost", "the connection ended before the app's answer could go back"
                    )
                )

        return Arrival(request, reply)


def public_url(server: str, token: str) -> str:
    """Where senders send for `token`."""
    parts = urlsplit(server)
    if parts.hostname == urlsplit(SERVER).hostname:
        return f"{_PUBLIC}/in/{token}/"
    return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}/in/{token}/"


def token_of(url: str) -> str:
    """The token in a public URL of `public_url`; "" when there is none."""
    token = url.rstrip("/").rpartition("/in/")[2]
    return token if _TOKEN.match(token) else ""


def _message(kind: str, data: dict[str, Any]) -> str:
    return json.dumps({"type": kind, "version": _VERSION, "data": data}, separators=(",", ":"))


def _parse(data: str | bytes) -> dict[str, Any]:
    """Raises ValueError saying why it is no message."""
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    match message:
        case {"type": str(kind), "data": dict(fields)}:
            return {"type": kind, "data": fields}
    raise ValueError("it has no type or no data")


def _request(data: dict[str, Any]) -> tuple[str, Request]:
    """The id to answer under, and the request. Raises ValueError saying why it is none."""
    match data:
        case {"id": str(identity), "method": str(method), "headers": dict(headers), "body": str(body)}:
            pass
        case {"id": str(identity), "method": str(method), "headers": dict(headers), "body": None}:
            body = ""
        case _:
            raise ValueError("a field of it is missing or of another type")
    if not _METHOD.match(method):
        raise ValueError("its method is no HTTP token")
    try:
        raw = b64decode(body, validate=True)
    except ValueError as error:
        raise ValueError("its body is not base64") from error
    fields = []
    for name, value in headers.items():
        if not isinstance(value, str) or not _NAME.match(name) or _FORBIDDEN.search(value):
            raise ValueError("a header of it cannot be one")
        try:
            fields.append((name.encode("ascii"), value.encode("latin-1")))
        except UnicodeEncodeError:
            fields.append((name.encode("ascii"), value.encode("utf-8", "replace")))
    return identity, Request(method, "/", tuple(fields), raw)


def _answer(identity: str, response: Response) -> dict[str, Any]:
    """The answer for the sender; a field that comes several times is joined, as the relay knows one value a name."""
    headers: dict[str, str] = {}
    for name, value in response.headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        if key.lower() not in _NOT_PASSED_ON:
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
    body = b64encode(response.body).decode("ascii")
    return {"id": identity, "status": response.status, "headers": headers, "body": body}


def _end(closed: ConnectionClosed) -> str:
    reason = closed.rcvd.reason if closed.rcvd else ""
    return f"it closed the connection: {reason[:200]}" if reason else "the connection ended"
