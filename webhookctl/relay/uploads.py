"""Reads the bodies that senders send: small ones into memory, large ones into the spool, within limits.

Knows one request's body at a time. Must not know what is done with it.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from typing import TypeAlias

from aiohttp import web

from webhookctl.errors import RelayError
from webhookctl.relay import answering
from webhookctl.relay.admission import Reason, Refusal, not_found, too_large
from webhookctl.relay.broker import BodyDraft, Broker, SpooledBody
from webhookctl.relay.channel import Channel
from webhookctl.relay.visit import Visit

INLINE_BYTES = 256 * 1024  # a body up to this lies in the database; above, in the spool
RETRY: tuple[bytes, bytes] = (b"Retry-After", b"10")

Body: TypeAlias = bytes | SpooledBody


class NoBodyError(Exception):
    """The body cannot be had: what its sender is told, None when it is gone."""

    def __init__(self, refusal: Refusal | None) -> None:
        super().__init__()
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Times in seconds; `max_body_bytes` is for all channels, whatever their own limit says."""

    max_body_bytes: int = 128 * 1024 * 1024
    idle_s: float = 30.0
    total_s: float = 600.0


class Uploads:
    """The bodies that are on their way in."""

    def __init__(self, broker: Broker, limits: UploadLimits) -> None:
        self._broker = broker
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._under_way: Counter[str] = Counter()  # bytes of spooled bodies, by channel id

    def under_way(self, channel_id: str) -> int:
        """Bytes that come in for a channel now and are not stored yet."""
        return self._under_way[channel_id]

    async def read(self, visit: Visit, channel: Channel, delivery_id: str) -> Body:
        """The whole body: in memory up to INLINE_BYTES, else in the spool. Raises NoBodyError."""
        content, limit = visit.request.content, self._limit(channel)
        length = visit.request.content_length or 0
        if length > limit:
            raise NoBodyError(_too_large(channel, limit))
        if not content.is_eof() and visit.offers("Expect"):
            visit.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        pieces: list[bytes] = []
        size = 0
        until_s = self._loop.time() + self._limits.total_s
        while True:
            data = await self._piece(visit, until_s)
            if not data:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.append(data)
            size += len(data)
            if size > limit:
                raise NoBodyError(_too_large(channel, limit))
            if max(size, length) > INLINE_BYTES:
                return await self._spool(visit, channel, delivery_id, b"".join(pieces), until_s)

    async def _piece(self, visit: Visit, until_s: float) -> bytes:
        """The next piece of the body, b"" at its end. Raises NoBodyError."""
        content = visit.request.content
        try:
            data = content.read_nowait()
            if data or content.at_eof():
                return data
            async with asyncio.timeout(min(self._limits.idle_s, until_s - self._loop.time())):
                return await content.readany()
        except TimeoutError:
            raise NoBodyError(refusal(408, "the body did not come in time")) from None
        except (web.RequestPayloadError, ConnectionError, asyncio.IncompleteReadError):
            # It ends early, or is not framed as it has to be. Nothing was promised.
            is_there = visit.request.transport is not None
            raise NoBodyError(refusal(400, "the body is not whole") if is_there else None) from None

    async def _spool(
        self, visit: Visit, channel: Channel, delivery_id: str, start: bytes, until_s: float
    ) -> SpooledBody:
        limit, size, draft = self._limit(channel), 0, self._broker.draft_body(delivery_id)
        is_done = False
        try:
            data = start
            while data:
                size += len(data)
                self._under_way[channel.id] += len(data)
                if size > limit:
                    raise NoBodyError(_too_large(channel, limit))
                await self._keep(channel, draft, data)
                data = await self._piece(visit, until_s)
            body = await draft.finish()
            is_done = True
            return body
        except RelayError as error:
            raise NoBodyError(unstored(error)) from error
        finally:
            self._under_way[channel.id] -= size
            if not self._under_way[channel.id]:
                del self._under_way[channel.id]
            if not is_done:
                draft.discard()

    async def _keep(self, channel: Channel, draft: BodyDraft, data: bytes) -> None:
        if channel.max_pending_bytes:
            counts = await self._broker.counts(channel.id)
            if counts.pending_bytes + self._under_way[channel.id] > channel.max_pending_bytes:
                raise NoBodyError(refusal(429, "this channel holds as much as it may", RETRY, Reason.QUOTA))
        await draft.write(data)

    def _limit(self, channel: Channel) -> int:
        limit = self._limits.max_body_bytes
        return min(limit, channel.max_body_bytes) if channel.max_body_bytes else limit


def refusal(
    status: int, text: str, field: tuple[bytes, bytes] | None = None, reason: Reason = Reason.INVALID
) -> Refusal:
    """A refusal in plain text."""
    return Refusal(answering.text_response(status, text, *((field,) if field else ())), reason)


def unstored(error: RelayError) -> Refusal:
    """The delivery could not be stored: the sender has to come again."""
    if error.code == "channel-unknown":
        return Refusal(not_found(), Reason.UNKNOWN)
    status = 507 if error.code == "broker-full" else 503
    return Refusal(
        answering.text_response(status, "the relay cannot store this now", RETRY),
        Reason.STORAGE,
        error.message,
    )


def _too_large(channel: Channel, limit: int) -> Refusal:
    return too_large(replace(channel, max_body_bytes=limit))
