"""Answers senders: with the app's own response as it comes, with the policy's, or with a refusal; and tells of each.

Must not know how an answer came about.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from aiohttp import web

from webhookctl.events import DeliveryAnswered, DeliveryRefused, ServeEvent
from webhookctl.model import Response
from webhookctl.relay import answering
from webhookctl.relay.admission import Refusal
from webhookctl.relay.answering import Framing, Status
from webhookctl.relay.broker import Queued
from webhookctl.relay.connection import Written
from webhookctl.relay.metrics import Metrics
from webhookctl.relay.visit import Visit
from webhookctl.relay.waiting import Waiting
from webhookctl.tunnel_protocol import Answer, AnswerBody

_LEFT = "left"


class Replies:
    """Writes answers. `send_idle_s`: how long a sender may take nothing of one."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        emit: Callable[[ServeEvent], None],
        now_s: Callable[[], float],
        send_idle_s: float = 30.0,
    ) -> None:
        self._metrics = metrics
        self._emit = emit
        self._now_s = now_s
        self._send_idle_s = send_idle_s
        self._loop = asyncio.get_running_loop()
        self._keep, self._part = Written(keeps_alive=True), Written(keeps_alive=False)

    def refuse(self, visit: Visit, refusal: Refusal) -> web.StreamResponse:
        """Say no. A body that has not come is not waited for."""
        request, response = visit.request, refusal.response
        if not request.content.is_eof():
            visit.asked = replace(visit.asked, is_last=True)
        visit.write(answering.own_bytes(response, visit.asked, status=Status.REFUSED))
        self._metrics.count_refusal(refusal.reason)
        self._emit(
            DeliveryRefused(
                visit.began_s,
                visit.channel,
                visit.peer,
                request.method,
                request.raw_path,
                response.status,
                refusal.reason,
                refusal.detail,
            )
        )
        return self._end(visit)

    def leave(self, visit: Visit, queued: Queued | None = None) -> web.StreamResponse:
        """The sender has left; what it sent is stored when it is `queued`."""
        if queued is not None:
            self._tell(visit, queued, 0, _LEFT)
        return self._part

    def say(self, visit: Visit, queued: Queued, response: Response, status: Status) -> web.StreamResponse:
        """A response of the relay's own to a delivery that is stored."""
        visit.write(
            answering.own_bytes(response, visit.asked, status=status, delivery_id=queued.arrival.delivery_id)
        )
        self._tell(visit, queued, response.status, status)
        return self._end(visit)

    async def pass_on(
        self, visit: Visit, queued: Queued, first: Answer, status: Status, waiting: Waiting
    ) -> web.StreamResponse:
        """The app's own response, of which `first` is the first piece."""
        arrival = queued.arrival
        if not 200 <= first.status <= 599:
            text = f"the app answered with the status {first.status}, which ends no request"
            return self.say(visit, queued, answering.text_response(502, text), status)
        if answering.is_navigation(arrival.method, arrival.headers):
            return self.say(visit, queued, answering.notice(first), status)
        head, framing = answering.head_bytes(
            first, visit.asked, status=status, delivery_id=arrival.delivery_id
        )
        if framing is None or first.is_last:
            visit.write(head + first.body if framing is not None else head)
            self._metrics.count_bytes("out", len(first.body))
            self._tell(visit, queued, first.status, status)
            return self._end(visit)
        visit.write(head)
        is_whole = await self._stream(visit, first, framing, waiting)
        self._tell(visit, queued, first.status, status)
        is_told_by_end = framing.length is None and not framing.is_chunked
        return self._end(visit) if is_whole and not is_told_by_end else self._part

    async def _stream(self, visit: Visit, first: Answer, framing: Framing, waiting: Waiting) -> bool:
        """Write a body as it comes; whether it became whole. One that does not is broken off, for its sender to see."""
        left = framing.length
        piece: AnswerBody | None = AnswerBody(first.seq, first.body, first.is_last)
        while piece is not None:
            data = piece.data
            if left is not None:
                left -= len(data)
                if left < 0 or (piece.is_last and left):
                    break  # not as long as the app said
            if data:
                visit.write(answering.chunk(data) if framing.is_chunked else data)
                self._metrics.count_bytes("out", len(data))
            if piece.is_last:
                visit.write(b"0\r\n\r\n" if framing.is_chunked else b"")
                return True
            if not await self._has_room(visit):
                break
            piece = await waiting.piece()
        transport = visit.request.transport
        if transport is not None:
            transport.abort()
        return False

    async def _has_room(self, visit: Visit) -> bool:
        """Wait until the sender has taken what was written; False when it does not, or has left."""
        connection = visit.connection
        if not connection.writing_paused:
            return visit.request.transport is not None
        room: asyncio.Future[None] = self._loop.create_future()
        connection.on_room = lambda: None if room.done() else room.set_result(None)
        try:
            async with asyncio.timeout(self._send_idle_s):
                await room
        except TimeoutError:
            return False
        finally:
            connection.on_room = None
        return True

    def _tell(self, visit: Visit, queued: Queued, status: int, outcome: str) -> None:
        arrival = queued.arrival
        seconds = self._now_s() - visit.began_s
        self._metrics.count_outcome(outcome, seconds)
        self._emit(
            DeliveryAnswered(
                visit.began_s,
                visit.channel,
                arrival.delivery_id,
                queued.seq,
                arrival.peer,
                arrival.method,
                arrival.target,
                arrival.body_bytes,
                status,
                outcome,
                seconds * 1000,
            )
        )

    def _end(self, visit: Visit) -> web.StreamResponse:
        return self._part if visit.asked.is_last else self._keep
