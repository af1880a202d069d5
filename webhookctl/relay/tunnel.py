"""One tunnel, from Hello to Close: what its client says, what it is sent, and why it ends.

Knows a WebSocket and the protocol; what is stored and who waits for it is the broker's.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from struct import pack
from typing import Any

from aiohttp import WSMsgType, web

from webhookctl.errors import RelayError
from webhookctl.events import ErrorOccurred, ServeEvent, TunnelClosed, TunnelOpened
from webhookctl.relay.broker import Broker, Done, Lease, Queued
from webhookctl.relay.channel import Channel
from webhookctl.relay.connection import Connection
from webhookctl.relay.metrics import Metrics
from webhookctl.relay.outlet import Outlet
from webhookctl.tunnel_protocol import (
    Acknowledge,
    Answer,
    AnswerBody,
    Close,
    CloseCode,
    Credit,
    Frame,
    Hello,
    Mode,
    Ping,
    Pong,
    ProtocolError,
    RelaySide,
    Skipped,
    Welcome,
    common_version,
)

_CLOSE_S = 5.0  # how long a client has to take its Close
_STALL_S = 10.0  # how long one slow sender may hold up the answers to others


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all tunnels of a relay share. `url_of` makes a channel's public URL, `new_session` names a tunnel."""

    broker: Broker
    metrics: Metrics
    heartbeat_s: float
    url_of: Callable[[Channel], str]
    now_s: Callable[[], float]
    new_session: Callable[[], str]
    emit: Callable[[ServeEvent], None]
    loop: asyncio.AbstractEventLoop


class Tunnel:
    """One client's connection, from Hello to Close."""

    def __init__(
        self,
        surroundings: Surroundings,
        channel: Channel,
        socket: "web.WebSocketResponse[Any]",
        connection: Connection,
    ) -> None:
        self.channel = channel
        self._around = surroundings
        self._broker = surroundings.broker
        self._socket = socket
        self._connection = connection
        self._side = RelaySide(surroundings.loop.time())
        self._lease: Lease | None = None
        self._outlet = Outlet(
            self._broker,
            channel.id,
            self._side,
            send=self._send,
            has_room=lambda: not connection.writing_paused,
            count_sent=self._count_sent,
            on_unreadable=lambda queued: self._acknowledge(queued.seq, 0),
            on_failed=lambda error: self._close(CloseCode.SHUTTING_DOWN, error.message),
            is_lossy=False,
        )
        self._outlet.is_paused = channel.is_paused
        self._sent: dict[int, str] = {}  # delivery ids by sequence number: what is not done
        self._statuses: dict[int, int] = {}  # of answers that have begun and are not whole
        self._nonce = 0
        self._closing: asyncio.Task[None] | None = None
        self._reason = "the client left"

    async def serve(self) -> None:
        """Read what the client says until it or we end it."""
        stop = self._broker.watch(self.channel.id, self._outlet.offer)
        self._connection.on_room = self._outlet.pump
        try:
            async for message in self._socket:
                if message.type is not WSMsgType.BINARY:
                    raise ProtocolError(CloseCode.PROTOCOL_ERROR, "a text message, where all are binary")
                frame = self._side.receive(message.data, self._around.loop.time())
                if isinstance(frame, Hello):
                    await self._welcome(frame)
                    continue
                answered = self._sent.get(frame.seq, "") if isinstance(frame, (Answer, AnswerBody)) else ""
                room = self._hear(frame)
                if room is not None:
                    await self._wait_for_sender(room, answered)
        except ProtocolError as error:
            self._close(error.close_code, error.message)
        except RelayError as error:  # the channel went, or the broker cannot read
            self._close(CloseCode.SHUTTING_DOWN, error.message)
        finally:
            stop()
            self._connection.on_room = None
            self._let_go()
            if self._side.welcome is not None:
                now_s, channel = self._around.now_s(), self.channel.name
                self._around.emit(TunnelClosed(now_s, channel, self._connection.peer, self._reason))
            if self._closing is not None:
                await asyncio.shield(self._closing)

    def see_channel(self, channel: Channel | None) -> None:
        """The channel was changed or removed."""
        if channel is None:
            self._close(CloseCode.UNKNOWN_CHANNEL, "the channel was removed")
        elif channel.key_hash != self.channel.key_hash:
            self._close(CloseCode.REVOKED, "this key was revoked")
        else:
            self.channel = channel
            self._outlet.is_paused = channel.is_paused
            self._outlet.pump()

    def check_time(self, now_s: float) -> None:
        side = self._side
        if now_s >= side.dead_at_s:
            self._reason = "the client was silent for too long"
            transport = self._connection.transport
            if transport is not None:
                transport.abort()
        elif now_s >= side.ping_due_s and self._closing is None:
            self._nonce += 1
            self._send(Ping(self._nonce))

    async def end(self, code: CloseCode, message: str) -> None:
        """Say Close and wait until the client has taken it, or not."""
        self._close(code, message)
        if self._closing is not None:
            await asyncio.shield(self._closing)

    # what the client says

    async def _welcome(self, hello: Hello) -> None:
        channel, broker = self.channel, self._broker
        if hello.channel not in ("", channel.id, channel.name):
            raise ProtocolError(CloseCode.UNKNOWN_CHANNEL, "this key opens another channel")
        version = common_version(hello.version)
        if hello.mode is Mode.OBSERVE:
            self._outlet.is_lossy = True
        elif not self._attach(hello):
            raise ProtocolError(CloseCode.OCCUPIED, "another client listens on this channel")
        counts = await broker.counts(channel.id)
        cursor = hello.cursor if hello.cursor <= counts.head else 0  # of another life of this relay
        if self._lease is not None and cursor:
            await broker.acknowledge_through(self._lease, cursor)
        expired = self._take_expired(cursor)
        after = cursor if expired is None else expired.last
        skipped = await self._skip(hello, after)
        counts = await broker.counts(channel.id)
        pending = counts.pending - (skipped.count if skipped is not None else 0)
        session, url = self._around.new_session(), self._around.url_of(channel)
        heartbeat_s = self._around.heartbeat_s
        self._send(
            Welcome(
                version,
                channel.name,
                url,
                session,
                heartbeat_s,
                channel.deadline_s,
                channel.policy,
                counts.head,
                max(0, pending),
            )
        )
        mode, waiting = ("observe" if self._lease is None else "consume"), max(0, pending)
        self._around.emit(
            TunnelOpened(self._around.now_s(), channel.name, self._connection.peer, mode, waiting)
        )
        for gap in (expired, skipped):  # each begins behind the one before it, and deliveries behind both
            if gap is not None:
                self._send(gap)
                after = gap.last
        self._outlet.start(after=after, head=counts.head)

    def _attach(self, hello: Hello) -> bool:
        self._lease = self._broker.attach(
            self.channel.id,
            instance=hello.instance,
            is_takeover=hello.mode is Mode.TAKEOVER,
            on_lost=self._lose_lease,
        )
        return self._lease is not None

    async def _skip(self, hello: Hello, cursor: int) -> Skipped | None:
        """What the client does not want of what it missed. It stays where it is."""
        if hello.backlog < 0:
            return None
        last = await self._broker.last_before_newest(self.channel.id, hello.backlog)
        if last <= cursor:
            return None
        counts = await self._broker.counts(self.channel.id)
        count = min(max(1, counts.pending - hello.backlog), last - cursor)
        return Skipped(cursor + 1, last, count, "backlog")

    def _take_expired(self, cursor: int) -> Skipped | None:
        """What grew too old behind `cursor` while nobody listened; nothing up to its last is pending."""
        lost = self._broker.take_expired(self._lease) if self._lease is not None else None
        if lost is None or lost.last <= cursor:
            return None
        first = max(lost.first, cursor + 1)
        return Skipped(first, lost.last, min(lost.count, lost.last - first + 1), "expired")

    def _hear(self, frame: Frame) -> "asyncio.Future[None] | None":
        """Act on a frame; what to wait for before the next is read, if anything."""
        if isinstance(frame, Answer):
            return self._hear_answer(frame, frame.status)
        if isinstance(frame, AnswerBody):
            return self._hear_answer(frame, self._statuses.get(frame.seq, 0))
        if isinstance(frame, Credit):
            self._outlet.pump()
        elif isinstance(frame, Acknowledge):
            delivery_id = self._sent.get(frame.seq)
            if delivery_id is not None:
                self._broker.publish_answer(delivery_id, None)
            self._acknowledge(frame.seq, 0)
        elif isinstance(frame, Ping):
            self._send(Pong(frame.nonce))
        elif isinstance(frame, Close):
            self._close(frame.code, "")
        return None

    def _hear_answer(self, frame: Answer | AnswerBody, status: int) -> "asyncio.Future[None] | None":
        delivery_id = self._sent.get(frame.seq)
        if delivery_id is None or self._lease is None:
            return None
        room = self._broker.publish_answer(delivery_id, frame)
        if frame.is_last:
            self._statuses.pop(frame.seq, None)
            self._acknowledge(frame.seq, status)
        else:
            self._statuses[frame.seq] = status
        return room

    async def _wait_for_sender(self, room: "asyncio.Future[None]", delivery_id: str) -> None:
        """Hold back what the client says next, for a while; then this sender's answer is broken off."""
        try:
            async with asyncio.timeout(_STALL_S):
                await asyncio.shield(room)
        except TimeoutError:
            text = f"a sender of channel {self.channel.name} takes its answer too slowly"
            self._around.emit(ErrorOccurred("sender-slow", text))
            self._broker.publish_answer(delivery_id, None)

    def _acknowledge(self, seq: int, status: int) -> None:
        delivery_id = self._sent.pop(seq, None)
        if delivery_id is None or self._lease is None:
            return
        if self._broker.acknowledge(self._lease, Done(seq, delivery_id, status)):
            self._around.metrics.count_acknowledged()

    # what we say

    def _count_sent(self, queued: Queued) -> int:
        if self._lease is None:
            return queued.attempts + 1
        self._sent[queued.seq] = queued.arrival.delivery_id
        attempt = self._broker.note_sent(self._lease, queued)
        if attempt > 1:
            self._around.metrics.count_redelivered()
        return attempt

    def _send(self, frame: Frame) -> None:
        if self._closing is not None:
            return
        data = self._side.send(frame, self._around.loop.time())
        transport = self._connection.transport
        if transport is not None and not transport.is_closing():
            _write_message(transport, data)

    def _lose_lease(self, code: CloseCode, message: str) -> None:
        self._lease = None
        self._close(code, message)

    def _close(self, code: CloseCode, message: str) -> None:
        """Say Close; the rest goes by itself. What the client still says is heard until then."""
        if self._closing is not None:
            return
        self._reason = message or self._reason
        self._let_go()
        with suppress(ProtocolError):  # the client said Close first
            self._send(Close(code, message))
        self._closing = self._around.loop.create_task(self._part(code, message), name="relay tunnel closes")

    async def _part(self, code: CloseCode, message: str) -> None:
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._socket.close(code=code, message=message.encode()[:120])
        except (TimeoutError, ConnectionError):
            pass
        if self._connection.transport is not None:
            self._connection.transport.close()

    def _let_go(self) -> None:
        """Leave the channel to others. Answers that have begun will not be whole."""
        self._outlet.stop()
        for seq in self._statuses:
            self._broker.publish_answer(self._sent[seq], None)
        self._statuses.clear()
        self._sent.clear()
        if self._lease is not None:
            self._broker.release(self._lease)
            self._lease = None


def _write_message(transport: asyncio.WriteTransport, data: bytes) -> None:
    """Write one binary WebSocket message (RFC 6455 §5.2): a server's is not masked."""
    size = len(data)
    if size < 126:
        transport.write(pack(">BB", 0x82, size) + data)
    elif size < 65_536:
        transport.write(pack(">BBH", 0x82, 126, size) + data)
    else:
        transport.write(pack(">BBQ", 0x82, 127, size) + data)
