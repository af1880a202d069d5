"""What goes down one tunnel: deliveries in order, as far as the client's credit and its connection go.

A delivery whose client waits goes straight on once it is stored; what does not is read again when there is room.
Knows no sockets.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from webhookctl.errors import RelayError
from webhookctl.relay.broker import Broker, Queued, SpooledBody
from webhookctl.tunnel_protocol import (
    CHUNK_BYTES,
    Delivery,
    DeliveryBody,
    Frame,
    ProtocolError,
    RelaySide,
    Skipped,
)

_MAX_WAITING = 64
_MAX_WAITING_BYTES = 1024 * 1024
_SPOOL_READ_BYTES = 4 * CHUNK_BYTES


class Outlet:
    """Sends a channel's deliveries. `offer` what is stored, `pump` when credit or room came.

    `has_room` says whether more may be written, `count_sent` which time a delivery is sent; `on_unreadable` hears of
    one that cannot be, `on_failed` of a broker that cannot read. An observer's outlet (`is_lossy`) leaves out what
    comes too fast, and says so.
    """

    def __init__(
        self,
        broker: Broker,
        channel_id: str,
        side: RelaySide,
        *,
        send: Callable[[Frame], None],
        has_room: Callable[[], bool],
        count_sent: Callable[[Queued], int],
        on_unreadable: Callable[[Queued], None],
        on_failed: Callable[[RelayError], None],
        is_lossy: bool,
    ) -> None:
        self._broker = broker
        self._channel_id = channel_id
        self._side = side
        self._send = send
        self._has_room = has_room
        self._count_sent = count_sent
        self._on_unreadable = on_unreadable
        self._on_failed = on_failed
        self.is_lossy = is_lossy
        self._waiting: deque[Queued | Skipped] = deque()
        self._waiting_bytes = 0
        self._last = 0  # everything up to this was sent, waits, or will not be sent
        self._head = 0  # the newest that is known to be stored
        self._task: asyncio.Task[None] | None = None
        self._room: asyncio.Event = asyncio.Event()
        self._is_open = False
        self.is_paused = False

    def start(self, *, after: int, head: int) -> None:
        """Send what comes after sequence number `after`."""
        self._is_open = True
        self._last = after
        self._head = max(self._head, head)
        self.pump()

    def stop(self) -> None:
        self._is_open = False
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    def offer(self, queued: Queued) -> None:
        """A delivery was stored."""
        self._head = queued.seq
        if not self._is_open or queued.seq <= self._last:
            return
        is_full = len(self._waiting) >= _MAX_WAITING or self._waiting_bytes >= _MAX_WAITING_BYTES
        if self._last == queued.seq - 1 and (self.is_lossy or not is_full):
            if is_full:
                self._leave_out(queued.seq)
            else:
                self._take(queued)
        self.pump()

    def _take(self, queued: Queued) -> None:
        if queued.seq <= self._last:
            return  # numbers rise, whatever is read
        self._last = queued.seq
        self._waiting.append(queued)
        if isinstance(queued.arrival.body, bytes):
            self._waiting_bytes += len(queued.arrival.body)

    def _leave_out(self, seq: int) -> None:
        self._last = seq
        before = self._waiting[-1]
        if isinstance(before, Skipped):
            self._waiting[-1] = Skipped(before.first, seq, before.count + 1, before.reason)
        else:
            self._waiting.append(Skipped(seq, seq, 1, "slow"))

    def pump(self) -> None:
        """Send what can be sent now."""
        self._room.set()
        if self._task is not None or not self._is_open:
            return
        side, waiting = self._side, self._waiting
        while side.credit_deliveries and not self.is_paused and self._has_room():
            if not waiting:
                if self._last < self._head:
                    self._begin(self._catch_up())
                return
            queued = waiting[0]
            if isinstance(queued, Skipped):
                waiting.popleft()
                self._send(queued)
                continue
            body = queued.arrival.body
            if isinstance(body, SpooledBody) or len(body) > min(CHUNK_BYTES, side.credit_bytes):
                self._begin(self._send_in_pieces(queued))
                return
            waiting.popleft()
            self._waiting_bytes -= len(body)
            self._send_first(queued, body)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(self._do(work), name="relay outlet")

    async def _do(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except RelayError as error:
            self._is_open = False
            self._on_failed(error)
        finally:
            self._task = None
        self.pump()

    async def _catch_up(self) -> None:
        """Read what is stored and was not kept in memory."""
        head = self._head
        limit = min(self._side.credit_deliveries, _MAX_WAITING)
        found = await self._broker.read(self._channel_id, after=self._last, limit=limit)
        for queued in found:
            self._take(queued)
        if not found:
            self._last = max(self._last, head)

    def _send_first(self, queued: Queued, body: bytes) -> bool:
        """Send a delivery with the first piece of its body; whether that could be done."""
        try:
            self._send(self._frame(queued, body))
        except ProtocolError:
            self._give_up(queued)
            return False
        return True

    def _give_up(self, queued: Queued) -> None:
        """A delivery that cannot be sent must not stand in the way of the others."""
        self._send(Skipped(queued.seq, queued.seq, 1, "unreadable"))
        self._on_unreadable(queued)

    async def _send_in_pieces(self, queued: Queued) -> None:
        self._waiting.popleft()
        arrival = queued.arrival
        body, offset = arrival.body, 0
        if isinstance(body, bytes):
            self._waiting_bytes -= len(body)
            offset = min(CHUNK_BYTES, self._side.credit_bytes)
        if not self._send_first(queued, body[:offset] if isinstance(body, bytes) else b""):
            return
        while offset < arrival.body_bytes:
            size = await self._room_for(arrival.body_bytes - offset)
            try:
                data = await self._read(body, offset, size)
            except RelayError:
                self._give_up(queued)
                return
            offset += len(data)
            for start in range(0, len(data), CHUNK_BYTES):
                is_last = offset == arrival.body_bytes and start + CHUNK_BYTES >= len(data)
                self._send(DeliveryBody(queued.seq, data[start : start + CHUNK_BYTES], is_last))

    async def _room_for(self, wanted: int) -> int:
        """How many bytes of a body may be sent now, once it is at least one."""
        while not (self._side.credit_bytes and self._has_room()):
            self._room.clear()
            await self._room.wait()
        return min(wanted, self._side.credit_bytes, _SPOOL_READ_BYTES)

    async def _read(self, body: bytes | SpooledBody, offset: int, size: int) -> bytes:
        if isinstance(body, SpooledBody):
            return await self._broker.read_body(body, offset=offset, size=size)
        return body[offset : offset + size]

    def _frame(self, queued: Queued, body: bytes) -> Delivery:
        arrival = queued.arrival
        return Delivery(
            queued.seq,
            arrival.delivery_id,
            self._count_sent(queued),
            arrival.received_at_s,
            arrival.peer,
            arrival.is_tls,
            arrival.http_version,
            arrival.url,
            arrival.method,
            arrival.target,
            arrival.headers,
            arrival.body_bytes,
            body,
            len(body) == arrival.body_bytes,
        )
