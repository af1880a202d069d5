"""Reads a channel of smee or gosmee: one server-sent event stream, each event an envelope.

Knows the two dialects; neither trying again nor what becomes of a delivery.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import aiohttp

from webhookctl import __version__
from webhookctl.errors import RelayError
from webhookctl.events import ErrorOccurred
from webhookctl.model import Response
from webhookctl.net.dialling import LostError, is_loopback, why
from webhookctl.net.foreign.envelope import EnvelopeError, unwrap
from webhookctl.net.foreign.event_stream import EventStream, StreamEvent
from webhookctl.net.foreign.wires import SILENCE_S, Arrival, WireOptions

_OPEN_S = 15.0
_NOTICES = frozenset({"ready", "ping", "connected"})
_REDIS_ID = re.compile(r"[0-9]+-[0-9]+\Z")  # only such ids outlive a connection
_CHANNEL = re.compile(r"/[A-Za-z0-9_-]{1,128}\Z")
_STREAM = "text/event-stream"
_MAX_URL_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a relay speaks: `prefix` stands before the channel where it is subscribed to."""

    name: str
    prefix: str


SMEE = Dialect("smee", "")
GOSMEE = Dialect("gosmee", "/events")


class Subscription:
    """A subscription to the channel at `url` (https://host/channel).

    `resume_id`: what an earlier one ended with, "" none; `on_resumable` gets each id that may be resumed from.
    """

    def __init__(
        self,
        dialect: Dialect,
        url: str,
        options: WireOptions,
        *,
        resume_id: str = "",
        on_resumable: Callable[[str], None] = lambda _: None,
    ) -> None:
        parts = urlsplit(url)
        self._dialect = dialect
        self._url = url
        self._options = options
        self._host = parts.hostname or ""
        self._stream_url = f"{parts.scheme}://{parts.netloc}{dialect.prefix}{parts.path}"
        self._resume_id = resume_id
        self._on_resumable = on_resumable
        self._unfinished: dict[str, bool] = {}  # ids in the order they came: whether each is done
        self._session: aiohttp.ClientSession | None = None
        self._response: aiohttp.ClientResponse | None = None

    async def connect(self, *, is_first: bool) -> str:
        """Subscribe. What a proxy in between may cause is fatal on the first connection only."""
        self._drop_response()
        if self._session is None:
            self._session = _session(self._host, self._options)
        headers = {"Accept": _STREAM, "Accept-Encoding": "identity", "Cache-Control": "no-cache"}
        if self._resume_id:
            headers["Last-Event-ID"] = self._resume_id
        try:
            response = await self._session.get(self._stream_url, headers=headers, allow_redirects=False)
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            raise LostError(_reason(error, self._host)) from error
        if refused := _refusal(response, self._dialect, self._url, is_first=is_first):
            response.close()
            raise refused
        self._response = response
        return self._url

    async def read(self, take: Callable[[Arrival], Awaitable[None]]) -> None:
        """Hand over what comes; raises LostError when the stream ends or is silent for too long."""
        response = self._response
        assert response is not None
        stream = EventStream(
            # base64 takes 4/3, an escape of JSON up to 6 bytes for one; the headers come on top
            max_event_bytes=2 * self._options.max_body_bytes + 1024 * 1024,
            last_id=self._resume_id,
        )
        try:
            async for data in response.content.iter_any():
                for event in stream.feed(data):
                    await self._take(event, take)
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            raise LostError(_reason(error, self._host)) from error
        raise LostError("it ended the stream")

    async def close(self) -> None:
        self._drop_response()
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _drop_response(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    async def _take(self, event: StreamEvent, take: Callable[[Arrival], Awaitable[None]]) -> None:
        if event.is_cut:
            self._dropped("it is larger than --max-body allows")
        elif event.name == "gosmee-gap":
            self._options.report(
                ErrorOccurred(
                    "relay-gap",
                    "the relay no longer has everything that came while this client was away: deliveries were lost",
                    "replay them from the provider",
                )
            )
        elif event.name not in _NOTICES and not _is_greeting(event.data):
            await self._take_delivery(event, take)
        if _REDIS_ID.match(event.id):
            self._resume_id = event.id

    async def _take_delivery(self, event: StreamEvent, take: Callable[[Arrival], Awaitable[None]]) -> None:
        try:
            unwrapped = (
                await asyncio.to_thread(unwrap, event.data) if _is_large(event) else unwrap(event.data)
            )
        except EnvelopeError as error:
            self._dropped(str(error))
            return
        if len(unwrapped.request.body) > self._options.max_body_bytes:
            self._dropped("its body is larger than --max-body allows")
            return
        if unwrapped.dropped:
            names = ", ".join(unwrapped.dropped[:5])
            message = f"fields that cannot be headers were left out: {names}"
            self._options.report(ErrorOccurred("relay-fields-dropped", message))
        is_resumable = _REDIS_ID.match(event.id) is not None
        if is_resumable:
            self._unfinished[event.id] = False

        async def done(_: Response) -> None:
            if is_resumable:
                self._finish(event.id)

        await take(
            Arrival(
                unwrapped.request,
                done,
                unwrapped.sent_at_s,
                unwrapped.is_body_exact,
                unwrapped.original_bytes,
            )
        )

    def _finish(self, event_id: str) -> None:
        """Tell the newest id before which nothing is under way any more."""
        if event_id in self._unfinished:
            self._unfinished[event_id] = True
        while self._unfinished and self._unfinished[oldest := next(iter(self._unfinished))]:
            del self._unfinished[oldest]
            self._on_resumable(oldest)

    def _dropped(self, reason: str) -> None:
        name = self._dialect.name
        self._options.report(ErrorOccurred("relay-dropped", f"what came from {name} was left out: {reason}"))


async def new_channel(dialect: Dialect, server: str, options: WireOptions) -> str:
    """The URL of a channel that the relay at `server` makes. Raises RelayError."""
    parts = urlsplit(server)
    host = parts.hostname or ""
    async with _session(host, options) as session:
        try:
            async with session.get(f"{server.rstrip('/')}/new", allow_redirects=False) as response:
                location = response.headers.get("Location", "")
                text = (await response.content.read(_MAX_URL_BYTES)).decode("utf-8", "replace").strip()
                status = response.status
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            raise unreachable(server, _reason(error, host)) from error
    made = urljoin(server, location) if 300 <= status < 400 and location else text if status == 200 else ""
    path = urlsplit(made).path if made.startswith(("http://", "https://")) else ""
    if not _CHANNEL.match(path):
        raise RelayError(
            "relay-not-found",
            f"{server} made no channel (it answered {status})",
            f"give the URL of a channel: --relay {dialect.name}+{server.rstrip('/')}/CHANNEL",
        )
    # A relay behind a proxy may call itself http:// and another name: the server named is the one that is known.
    return f"{parts.scheme}://{parts.netloc}{path}"


async def recognise(url: str, options: WireOptions) -> str:
    """What --relay should say for the http(s) URL `url` when smee or gosmee answers there; "" when neither does."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    async with _session(parts.hostname or "", options) as session:
        for dialect, address in ((GOSMEE, f"{origin}/version"), (SMEE, url)):
            try:
                async with session.get(
                    address, headers={"Accept": _STREAM}, allow_redirects=False
                ) as response:
                    is_gosmee = "X-Gosmee-Version" in response.headers
                    is_stream = response.headers.get("Content-Type", "").startswith(_STREAM)
            except (OSError, TimeoutError, aiohttp.ClientError):
                return ""
            if is_gosmee or (dialect is SMEE and is_stream):
                return f"{GOSMEE.name if is_gosmee else SMEE.name}+{url}"
    return ""


def unreachable(server: str, reason: str) -> RelayError:
    """The relay cannot be reached at the start."""
    return RelayError(
        "relay-unreachable", f"{server} cannot be reached: {reason}", "check the URL of --relay"
    )


def _session(host: str, options: WireOptions) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=options.tls or True),
        headers={"User-Agent": f"webhookctl/{__version__}"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_OPEN_S, sock_read=SILENCE_S),
        trust_env=not is_loopback(host),
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=1 << 20,
    )


def _refusal(
    response: aiohttp.ClientResponse, dialect: Dialect, url: str, *, is_first: bool
) -> RelayError | LostError | None:
    """What the answer to a subscription means; None when it is a stream."""
    status = response.status
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if status == 200 and kind == _STREAM:
        return None
    if status == 429 or status >= 500 or not is_first:
        return LostError(f"it answered {status}" + (f" ({kind})" if status == 200 and kind else ""))
    if status in (401, 403):
        return RelayError(
            "relay-unauthorised",
            f"{url} does not let this client in (it answered {status})",
            "protected gosmee channels are not supported: use one without, or webhookctl's own relay",
        )
    location = response.headers.get("Location")
    what = f"a redirect to {location}" if location else f"{status} {kind}".strip()
    return RelayError(
        "relay-not-found",
        f"{url} is no channel of {dialect.name}: it answered {what}",
        f"write {dialect.name}+https://HOST/CHANNEL, or {dialect.name} for a new channel"
        if dialect is SMEE
        else f"write {dialect.name}+https://HOST/CHANNEL, with a channel of 12 characters or more",
    )


def _is_greeting(data: bytes) -> bool:
    """gosmee greets in unnamed events; the older ones in a bare word."""
    return data in (b"ready", b"", b"{}") or (
        len(data) < 200 and data.replace(b" ", b"") in (b'{"message":"connected"}', b'{"message":"ready"}')
    )


def _is_large(event: StreamEvent) -> bool:
    return len(event.data) > 512 * 1024


def _reason(error: Exception, host: str) -> str:
    if isinstance(error, aiohttp.SocketTimeoutError) and not isinstance(
        error, aiohttp.ConnectionTimeoutError
    ):
        return f"it was silent for {SILENCE_S:g} s"
    if isinstance(error, aiohttp.ClientConnectorError):
        return why(error.os_error, host)
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
        return "the connection ended"
    return why(error, host)
