"""Takes deliveries in: reads a request whole, has it stored, and gives its sender the app's answer or the policy's.

Stored first, answered then. Knows nothing of tunnels, nor where things are stored.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import urlsplit

from aiohttp import web

from webhookctl.errors import RelayError
from webhookctl.model import Request
from webhookctl.relay import answering
from webhookctl.relay.admission import Admission, Refusal, is_open
from webhookctl.relay.answering import Asked, Status
from webhookctl.relay.broker import Arrival, Broker, Queued, SpooledBody
from webhookctl.relay.channel import Channel, Policy, is_id
from webhookctl.relay.connection import MAX_HEAD_BYTES, connection_of
from webhookctl.relay.metrics import Metrics
from webhookctl.relay.replies import Replies
from webhookctl.relay.uploads import RETRY, NoBodyError, Uploads, refusal, unstored
from webhookctl.relay.visit import Visit
from webhookctl.relay.waiting import Ended, Waiting
from webhookctl.tunnel_protocol import Answer


@dataclass(frozen=True, slots=True)
class Site:
    """Where the relay is reached: its own URL, without a slash at its end, and the domain of channels' hosts, or ""."""

    public_url: str
    domain: str = ""


class Ingress:
    """Every request that is none of the relay's own paths. `new_id` makes a delivery id of the time."""

    def __init__(
        self,
        broker: Broker,
        site: Site,
        *,
        uploads: Uploads,
        replies: Replies,
        admission: Admission,
        metrics: Metrics,
        now_s: Callable[[], float],
        new_id: Callable[[float], str],
    ) -> None:
        self._broker = broker
        self._uploads = uploads
        self._replies = replies
        self._admission = admission
        self._metrics = metrics
        self._now_s = now_s
        self._new_id = new_id
        self._loop = asyncio.get_running_loop()
        self._public_url = site.public_url
        self._prefix = urlsplit(site.public_url).path.rstrip("/")
        self._host_suffix = f".{site.domain.lower()}" if site.domain else ""
        self._waiting: set[Waiting] = set()
        self._date, self._date_s = b"", -1
        self.is_stopping = False
        self.in_flight = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take one request and write its answer."""
        visit = self._visit(request)
        self.in_flight += 1
        try:
            return await self._take(visit)
        except NoBodyError as none:
            if none.refusal is None:
                return self._replies.leave(visit)
            return self._replies.refuse(visit, none.refusal)
        finally:
            self.in_flight -= 1
            visit.connection.on_lost = None

    def end_waiting(self) -> None:
        """Give every sender that still waits its policy's answer now."""
        for waiting in list(self._waiting):
            waiting.end(Ended.STOPPING)

    def _visit(self, request: web.BaseRequest) -> Visit:
        now_s = self._now_s()
        if int(now_s) != self._date_s:
            self._date_s = int(now_s)
            self._date = formatdate(self._date_s, usegmt=True).encode()
        is_http_10 = request.version < (1, 1)
        asked = Asked(request.method == "HEAD", is_http_10, is_http_10 or not request.keep_alive, self._date)
        connection, headers = connection_of(request), tuple(request.raw_headers)
        return Visit(request, connection, headers, asked, now_s, connection.peer)

    # a request's way

    async def _take(self, visit: Visit) -> web.StreamResponse:
        request, replies = visit.request, self._replies
        refused = self._refuse_kind(visit)
        if refused is not None:
            return replies.refuse(visit, refused)
        origin = self._admission.origin(
            visit.peer, is_tls=visit.connection.ssl_context is not None, headers=visit.headers
        )
        found = await self._find(visit)
        if found is None:
            return replies.refuse(visit, self._admission.refuse_unknown(origin.address, visit.began_s))
        channel, target = found
        visit.channel = channel.name
        refused = await self._admit(visit, channel, origin.address)
        if refused is not None:
            return replies.refuse(visit, refused)
        delivery_id = self._new_id(visit.began_s)
        body = await self._uploads.read(visit, channel, delivery_id)
        arrival = Arrival(
            delivery_id,
            visit.began_s,
            visit.peer if _host(visit.peer) == origin.address else origin.address,
            origin.is_tls,
            "1.1" if request.version >= (1, 1) else "1.0",
            self._url(visit, channel, is_tls=origin.is_tls),
            request.method,
            target,
            answering.without_own(visit.headers),
            body,
        )
        self._metrics.count_bytes("in", arrival.body_bytes)
        refused = await self._check_signature(channel, arrival)
        if refused is not None:
            if isinstance(body, SpooledBody):
                self._broker.draft_body(arrival.delivery_id).discard()
            return replies.refuse(visit, refused)
        return await self._keep(visit, channel, arrival)

    def _refuse_kind(self, visit: Visit) -> Refusal | None:
        """What no channel takes."""
        request = visit.request
        if self.is_stopping:
            return refusal(503, "the relay is stopping", RETRY)
        if request.method == "CONNECT" or visit.offers("Upgrade", ("websocket", "tcp")):
            return refusal(501, "channels take webhooks, not tunnels or WebSocket connections")
        size = len(request.raw_path) + sum([len(name) + len(value) + 4 for name, value in visit.headers])
        if size > MAX_HEAD_BYTES:
            return refusal(431, f"the request's head is larger than {MAX_HEAD_BYTES} bytes")
        if visit.offers("Expect") and not visit.offers("Expect", ("100-continue",)):
            return refusal(417, "only 100-continue can be expected")
        return None

    async def _admit(self, visit: Visit, channel: Channel, address: str) -> Refusal | None:
        counts = await self._broker.counts(channel.id)
        return self._admission.check(
            channel,
            address=address,
            now_s=visit.began_s,
            body_bytes=visit.request.content_length,
            pending=counts.pending,
            pending_bytes=counts.pending_bytes + self._uploads.under_way(channel.id),
        )

    async def _check_signature(self, channel: Channel, arrival: Arrival) -> Refusal | None:
        if channel.gate is None:
            return None
        body = arrival.body
        if isinstance(body, SpooledBody):
            body = await self._broker.read_body(body, offset=0, size=body.size)
        request = Request(arrival.method, arrival.target, arrival.headers, body)
        return self._admission.check_signature(channel, request, url=arrival.url, now_s=arrival.received_at_s)

    # what it calls

    async def _find(self, visit: Visit) -> tuple[Channel, str] | None:
        """The channel that is called, and the target as its app is to see it."""
        target = visit.request.raw_path
        if not target.startswith("/") and "://" in target:
            target = "/" + target.partition("://")[2].partition("/")[2]
        if self._host_suffix:
            host, _, _ = visit.request.headers.get("Host", "").lower().partition(":")
            if host.endswith(self._host_suffix):
                return await self._open(host.removesuffix(self._host_suffix), target)
        path, mark, query = target.partition("?")
        if self._prefix and path.startswith(self._prefix + "/"):
            path = path.removeprefix(self._prefix)
        first, _, rest = path.removeprefix("/").partition("/")
        return await self._open(first, f"/{rest}{mark}{query}")

    async def _open(self, channel_id: str, target: str) -> tuple[Channel, str] | None:
        if not is_id(channel_id):
            return None
        channel = await self._broker.channel_by_id(channel_id)
        if channel is None or not is_open(channel, now_s=self._now_s()):
            return None
        return channel, target

    def _url(self, visit: Visit, channel: Channel, *, is_tls: bool) -> str:
        """The URL that the sender called: by the relay's public URL, or by the channel's own host."""
        target = visit.request.raw_path
        if not target.startswith("/"):
            return target
        host = visit.request.headers.get("Host", "")
        if self._host_suffix and host.lower().startswith(channel.id + "."):
            scheme = "https" if is_tls or self._public_url.startswith("https:") else "http"
            return f"{scheme}://{host}{target}"
        if self._prefix and target.startswith(self._prefix + "/"):
            target = target.removeprefix(self._prefix)
        return self._public_url + target

    # its answer

    async def _keep(self, visit: Visit, channel: Channel, arrival: Arrival) -> web.StreamResponse:
        """Store the delivery, then wait for whatever answers it."""
        waiting = Waiting(self._loop)
        self._waiting.add(waiting)
        stop = self._broker.expect_answer(arrival.delivery_id, waiting.on_answer)
        timer: asyncio.TimerHandle | None = None
        try:
            try:
                queued = await self._broker.append(channel.id, arrival)
            except RelayError as error:
                return self._replies.refuse(visit, unstored(error))
            if visit.request.transport is None:
                return self._replies.leave(visit, queued)
            visit.connection.on_lost = lambda: waiting.end(Ended.SENDER_LEFT)
            if self._is_answered_at_once(channel):
                return self._answer_by_policy(visit, channel, queued)
            if channel.policy is not Policy.HOLD:
                timer = self._loop.call_later(channel.deadline_s, waiting.end, Ended.DEADLINE)
            return await self._answer(visit, channel, queued, waiting)
        finally:
            stop()
            self._waiting.discard(waiting)
            waiting.end(Ended.SENDER_LEFT)
            if timer is not None:
                timer.cancel()

    async def _answer(
        self, visit: Visit, channel: Channel, queued: Queued, waiting: Waiting
    ) -> web.StreamResponse:
        first = await waiting.first
        if isinstance(first, Answer):
            is_late = channel.policy is Policy.HOLD and self._now_s() - visit.began_s > channel.deadline_s
            status = Status.HELD if is_late else Status.DELIVERED
            return await self._replies.pass_on(visit, queued, first, status, waiting)
        if first is Ended.SENDER_LEFT:
            return self._replies.leave(visit, queued)
        if first is Ended.UNANSWERED:
            response = answering.text_response(202, "delivered")
            return self._replies.say(visit, queued, response, Status.DELIVERED)
        return self._answer_by_policy(visit, channel, queued)

    def _is_answered_at_once(self, channel: Channel) -> bool:
        """Whether nobody can answer for the app now."""
        if channel.canned is not None or self.is_stopping:
            return True
        if channel.policy is Policy.HOLD:
            return False
        return channel.is_paused or not self._broker.is_attended(channel.id)

    def _answer_by_policy(self, visit: Visit, channel: Channel, queued: Queued) -> web.StreamResponse:
        if channel.canned is not None:
            return self._replies.say(visit, queued, channel.canned, Status.QUEUED)
        if channel.policy is Policy.UNAVAILABLE:
            response = answering.text_response(503, "nobody answers for the app now", RETRY)
            return self._replies.say(visit, queued, response, Status.UNAVAILABLE)
        return self._replies.say(visit, queued, answering.text_response(202, "queued"), Status.QUEUED)


def _host(peer: str) -> str:
    """The address in a peer's name."""
    return peer.rpartition(":")[0].strip("[]")
