"""A channel as a stream of server-sent events, for clients of smee.io and gosmee as they are.

Whoever knows the URL may read, where the channel says so. A delivery is done once one reader was sent it and no tunnel
consumes; whoever comes back and says what it had last gets what was on its way. Must not know tunnels, nor how
deliveries are kept.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic

from aiohttp import web

from webhookctl.errors import RelayError, WebhookctlError
from webhookctl.model import Headers, header_value
from webhookctl.relay import event_text
from webhookctl.relay.admission import Admission, Buckets, Rate, is_open, network_of, not_found
from webhookctl.relay.broker import Arrival, Broker, Done, Queued, SpooledBody
from webhookctl.relay.channel import Channel, is_id
from webhookctl.relay.event_text import Dialect
from webhookctl.relay.metrics import Metrics
from webhookctl.relay.registry import GuestLimits, Registry

_KEEPALIVE_S = 25.0
_BACKLOG_PAGE = 64
_MAX_WAITING = 1000  # deliveries that are held in memory for a reader; further ones it reads from the disk
_MAX_WAITING_BYTES = 16 * 1024 * 1024
_REMEMBERED = 5 * _MAX_WAITING
_MAX_SENT, _MAX_SENT_BYTES = 1000, 8 * 1024 * 1024  # of a channel, for those that lose their connection
_KEEP_SENT_S = 86_400.0  # after its last reader has left: a laptop may sleep for long
_MAX_EMPTY_ROOMS = 20
_STALL_S = 60.0  # a reader that takes nothing for so long is gone
_MAX_READERS = 50  # of one channel
_CREATIONS = Rate(per_s=0.2, burst=10)
_STREAM_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx passes each event on at once
    "X-Content-Type-Options": "nosniff",
}


@dataclass(slots=True, eq=False)
class _Reader:
    """One open stream: the newest number that it has or need not get, what waits for it, and what woke it.

    `cut` breaks its connection.
    """

    last: int
    cut: Callable[[], None]
    waiting: deque[Queued] = field(default_factory=deque)
    waiting_bytes: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    is_behind: bool = True  # the backlog has to be looked at first
    is_paused: bool = False
    is_over: bool = False

    def add(self, queued: Queued) -> None:
        self.waiting.append(queued)
        self.waiting_bytes += queued.arrival.body_bytes
        if len(self.waiting) > _MAX_WAITING or self.waiting_bytes > _MAX_WAITING_BYTES:
            self.waiting.clear()
            self.waiting_bytes = 0
            self.is_behind = True
        self.wake.set()

    def take(self) -> Queued | None:
        if not self.waiting:
            return None
        queued = self.waiting.popleft()
        self.waiting_bytes -= queued.arrival.body_bytes
        return queued

    def end(self) -> None:
        self.is_over = True
        self.wake.set()


@dataclass(slots=True)
class _Room:
    """The readers of one channel, what was sent to one of them lately, and which of that is done."""

    readers: set[_Reader] = field(default_factory=set)
    done: OrderedDict[int, None] = field(default_factory=OrderedDict)
    sent: OrderedDict[int, Queued] = field(default_factory=OrderedDict)  # with their bodies, the oldest first
    sent_bytes: int = 0
    newest: int = 0  # the highest number that was sent
    forgotten: int = 0  # of what was sent, everything up to this
    left_s: float = 0.0  # when its last reader left

    def sent_after(self, last: int) -> list[Queued]:
        return [queued for seq, queued in self.sent.items() if seq > last]

    def remember_sent(self, queued: Queued, body: bytes) -> None:
        if queued.seq in self.sent:
            return
        self.sent[queued.seq] = replace(queued, arrival=replace(queued.arrival, body=body))
        self.sent_bytes += len(body)
        self.newest = max(self.newest, queued.seq)
        while len(self.sent) > _MAX_SENT or self.sent_bytes > _MAX_SENT_BYTES:
            seq, oldest = self.sent.popitem(last=False)
            self.forgotten = max(self.forgotten, seq)
            self.sent_bytes -= oldest.arrival.body_bytes

    def remember_done(self, seq: int) -> None:
        self.done[seq] = None
        if len(self.done) > _REMEMBERED:
            self.done.popitem(last=False)


class EventStreams:
    """The streams of one relay. `is_open` and `guests` as for the admin API: whether `/new` makes a channel."""

    def __init__(
        self,
        broker: Broker,
        registry: Registry,
        *,
        admission: Admission,
        metrics: Metrics,
        is_open: bool = False,
        guests: GuestLimits | None = None,
        now_s: Callable[[], float],
        keepalive_s: float = _KEEPALIVE_S,
    ) -> None:
        self._broker = broker
        self._registry = registry
        self._admission = admission
        self._metrics = metrics
        self._is_open = is_open
        self._guests = guests
        self._now_s = now_s
        self._keepalive_s = keepalive_s
        self._rooms: dict[str, _Room] = {}
        self._creations = Buckets()

    @staticmethod
    def takes(method: str, target: str, headers: Headers) -> bool:
        """Whether a request is one for `handle`, and no delivery."""
        if method not in ("GET", "HEAD"):
            return False
        path = target.partition("?")[0]
        if path in ("/new", "/version"):
            return True
        accept = header_value(headers, "accept") or b""
        return (
            method == "GET"
            and _stream(path) is not None
            and accept.strip().lower().startswith(b"text/event-stream")
        )

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request that `takes` said yes to. A stream ends when its reader leaves, or at `close`."""
        path = request.raw_path.partition("?")[0]
        if path == "/version":
            # gosmee's client refuses to work with a server newer than itself, and accepts this one.
            return _plain(200, "dev", {"X-Gosmee-Version": "dev"})
        if path == "/new":
            return await self._new(request)
        found = _stream(path)
        if found is None:
            return _not_found()
        channel_id, dialect = found
        channel = await self._broker.channel_by_id(channel_id)
        if channel is None or not is_open(channel, now_s=self._now_s()):
            return _not_found()
        if not channel.has_events:
            return _plain(403, "this channel has no event stream: its owner may allow it with --sse")
        if channel_id in self._rooms and len(self._rooms[channel_id].readers) >= _MAX_READERS:
            return _plain(503, "too many readers", {"Retry-After": "60"})
        return await self._stream(request, channel, dialect)

    def close(self) -> None:
        """End all streams."""
        for room in self._rooms.values():
            for reader in room.readers:
                reader.end()

    async def _new(self, request: web.BaseRequest) -> web.Response:
        if not self._is_open and self._guests is None:
            return _plain(403, "this relay makes channels for its owner alone")
        headers: Headers = tuple(request.raw_headers)
        creator = self._admission.origin(request.remote or "", is_tls=False, headers=headers).address
        wait_s = self._creations.wait_s(network_of(creator), _CREATIONS, self._now_s())
        if wait_s:
            return _plain(429, "too many requests", {"Retry-After": str(int(wait_s) + 1)})
        try:
            if self._is_open:
                made = await self._registry.create_open("", {"sse": True})
            else:
                limits = self._guests or GuestLimits()
                made = await self._registry.create_for_guest(
                    "", {"sse": True}, creator=creator, limits=limits
                )
        except WebhookctlError as error:
            return _plain(
                429 if error.code == "channels-exhausted" else 503, error.message, {"Retry-After": "60"}
            )
        url = self._registry.stream_url(str(made["id"]))
        return _plain(307, url, {"Location": url})

    async def _stream(
        self, request: web.BaseRequest, channel: Channel, dialect: Dialect
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=_STREAM_HEADERS)
        with (
            ExitStack() as stack,
            suppress(ConnectionError, RelayError),
        ):  # the reader left, or the channel went
            counts = await self._broker.counts(channel.id)
            room, reader = self._enter(request, channel, counts.head, stack)
            await response.prepare(request)
            await response.write(event_text.opening(dialect, last=reader.last))
            if reader.last < room.forgotten and dialect is Dialect.GOSMEE:
                await response.write(event_text.gap(asked=reader.last, oldest=room.forgotten + 1))
            while not reader.is_over:
                reader.wake.clear()
                await self._send_waiting(response, channel.id, dialect, room, reader)
                if not await _woken(reader.wake, self._keepalive_s):
                    await response.write(event_text.keepalive(dialect))
                    reader.is_behind = True  # a tunnel may have gone and left something behind
        return response

    def _enter(
        self, request: web.BaseRequest, channel: Channel, head: int, stack: ExitStack
    ) -> tuple[_Room, _Reader]:
        """A new reader of `channel`, which leaves with `stack`. One that says what it had goes on behind that."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        self._forget_old()
        room = self._rooms.setdefault(channel.id, _Room())
        had = _last_event(request)
        last = room.newest if had is None or had > head else had  # above: of another life of this relay
        reader = _Reader(last, transport.abort, is_paused=channel.is_paused)
        stack.callback(self._broker.watch(channel.id, reader.add))
        stack.callback(self._broker.watch_channels(partial(self._see_change, channel.id, reader)))
        room.readers.add(reader)
        self._metrics.subscribers += 1
        stack.callback(self._leave, channel.id, room, reader)
        return room, reader

    def _leave(self, channel_id: str, room: _Room, reader: _Reader) -> None:
        self._metrics.subscribers -= 1
        room.readers.discard(reader)
        if not room.readers:
            room.left_s = monotonic()
            self._rooms.pop(channel_id, None)
            self._rooms[channel_id] = room  # the one that was left last stands last
        self._forget_old()

    def _forget_old(self) -> None:
        """What was sent is of no use to anybody when nobody comes back for it."""
        empty = [known for known, room in self._rooms.items() if not room.readers]
        oldest_s = monotonic() - _KEEP_SENT_S
        for number, known in enumerate(reversed(empty)):
            if number >= _MAX_EMPTY_ROOMS or self._rooms[known].left_s < oldest_s:
                del self._rooms[known]

    def _see_change(self, channel_id: str, reader: _Reader, before: Channel, after: Channel | None) -> None:
        if before.id != channel_id:
            return
        if after is None or not after.has_events or not is_open(after, now_s=self._now_s()):
            reader.end()
            return
        reader.is_behind = reader.is_behind or (reader.is_paused and not after.is_paused)
        reader.is_paused = after.is_paused
        reader.wake.set()

    async def _send_waiting(
        self, response: web.StreamResponse, channel_id: str, dialect: Dialect, room: _Room, reader: _Reader
    ) -> None:
        """What it missed, then what has come since. While paused, it stays in the channel."""

        async def send(several: Sequence[Queued]) -> bool:
            for queued in several:
                if reader.is_over or reader.is_paused:
                    return False
                await self._send(response, channel_id, dialect, room, reader, queued)
            return True

        while not (reader.is_over or reader.is_paused):
            if reader.is_behind:
                reader.is_behind = False
                await send(room.sent_after(reader.last))
                after = 0
                while (page := await self._left(channel_id, after)) and await send(page):
                    after = page[-1].seq
            elif (next_one := reader.take()) is None:
                return
            elif next_one.seq > reader.last:
                await send((next_one,))

    async def _left(self, channel_id: str, after: int) -> Sequence[Queued]:
        """The next of what nobody got; with a tunnel there all of it is the tunnel's."""
        if self._broker.is_attended(channel_id):
            return ()
        return await self._broker.read(channel_id, after=after, limit=_BACKLOG_PAGE)

    async def _send(
        self,
        response: web.StreamResponse,
        channel_id: str,
        dialect: Dialect,
        room: _Room,
        reader: _Reader,
        queued: Queued,
    ) -> None:
        reader.last = max(reader.last, queued.seq)
        # One that another reader got has no file any more.
        queued = room.sent.get(queued.seq, queued)
        try:
            body = await self._body(queued.arrival)
        except RelayError:  # its file is gone: it would stand in the way of all others
            self._acknowledge(channel_id, room, queued)
            return
        room.remember_sent(queued, body)
        try:
            async with asyncio.timeout(_STALL_S):
                await response.write(event_text.delivery(dialect, queued.arrival, body, seq=queued.seq))
        except TimeoutError:
            reader.cut()
            raise ConnectionResetError from None
        self._acknowledge(channel_id, room, queued)

    def _acknowledge(self, channel_id: str, room: _Room, queued: Queued) -> None:
        """Mark it as done once, unless a tunnel consumes. The lease is held for no longer than this."""
        if queued.seq in room.done:
            return
        lease = self._broker.attach(channel_id, instance="events", is_takeover=False, on_lost=lambda *_: None)
        if lease is None:
            return
        self._broker.note_sent(lease, queued)
        if self._broker.acknowledge(lease, Done(queued.seq, queued.arrival.delivery_id, 0)):
            room.remember_done(queued.seq)
            self._metrics.count_acknowledged()
        self._broker.release(lease)

    async def _body(self, arrival: Arrival) -> bytes:
        body = arrival.body
        if isinstance(body, SpooledBody):
            return await self._broker.read_body(body, offset=0, size=body.size)
        return body


def _last_event(request: web.BaseRequest) -> int | None:
    """The number of the event that a reader had last, where it says so (WHATWG HTML §9.2.4)."""
    text = request.headers.get("Last-Event-ID", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


async def _woken(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _stream(path: str) -> tuple[str, Dialect] | None:
    """The channel id and dialect in ``/<id>`` (smee) or ``/events/<id>`` (gosmee)."""
    parts = path.strip("/").split("/")
    if len(parts) == 1 and is_id(parts[0]):
        return parts[0], Dialect.SMEE
    if len(parts) == 2 and parts[0] == "events" and is_id(parts[1]):
        return parts[1], Dialect.GOSMEE
    return None


def _not_found() -> web.Response:
    answer = not_found()
    return _plain(answer.status, answer.body.decode().rstrip("\n"))


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    fixed = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
    return web.Response(status=status, text=text + "\n", headers={**fixed, **(headers or {})})
