"""What can be done with channels: make, list, show, change, rotate, revoke, pause, resume, remove.

One place for the admin API and for commands on the data folder. Must not know HTTP, options of a command, or rendering.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from webhookctl import signing
from webhookctl.errors import RelayError
from webhookctl.relay import channel as channels
from webhookctl.relay.admission import network_of
from webhookctl.relay.broker import Broker
from webhookctl.relay.channel import Channel, RandomBytes, is_id, new_channel, url_of
from webhookctl.relay.options import Record, apply, apply_as_guest, describe
from webhookctl.signing import Scheme

_ATTEMPTS = 8  # to change a channel that others change, too


@dataclass(frozen=True, slots=True)
class GuestLimits:
    """What a channel without an owner gets, and how many there may be: of one sender's network, and in all."""

    lifetime_s: float = 86_400.0
    per_address: int = 5
    max_channels: int = 10_000
    max_pending: int = 100
    max_pending_bytes: int = 8 * 1024 * 1024
    max_body_bytes: int = 1024 * 1024
    rate_per_s: float = 5.0
    burst: int = 50


class Registry:
    """The channels of one broker. Raises RelayError `channel-unknown`, `channel-exists`, UsageError for bad options.

    `public_url` and `domain` make a channel's URL; `scheme` finds a provider's scheme and raises for an unknown one.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        public_url: str,
        domain: str = "",
        now_s: Callable[[], float],
        random_bytes: RandomBytes,
        scheme: Callable[[str], Scheme] = signing.load,
    ) -> None:
        self._broker = broker
        self._public_url = public_url.rstrip("/")
        self._domain = domain
        self._now_s = now_s
        self._random_bytes = random_bytes
        self._scheme = scheme
        self._guests = asyncio.Lock()  # counted and made in one go

    async def create(self, name: str, options: Mapping[str, object]) -> Record:
        """A new channel, with its `key`: the only time that it is shown."""
        made, key = new_channel(name, now_s=self._now_s(), random_bytes=self._random_bytes)
        return await self._keep(self._checked(apply(made, options)), key)

    async def create_open(self, name: str, options: Mapping[str, object]) -> Record:
        """A new channel for who has no admin key, on a relay that is open: default limits, no gate."""
        made, key = new_channel(name, now_s=self._now_s(), random_bytes=self._random_bytes)
        return await self._keep(apply_as_guest(made, options), key)

    async def create_for_guest(
        self, name: str, options: Mapping[str, object], *, creator: str, limits: GuestLimits
    ) -> Record:
        """A new channel that ends by itself. Raises RelayError `channels-exhausted` when there are too many."""
        network, now_s = network_of(creator), self._now_s()
        made, key = new_channel(name, now_s=now_s, random_bytes=self._random_bytes)
        guest = replace(
            made,
            expires_at_s=now_s + limits.lifetime_s,
            creator=network,
            retention_s=min(made.retention_s, limits.lifetime_s),
            max_pending=limits.max_pending,
            max_pending_bytes=limits.max_pending_bytes,
            max_body_bytes=limits.max_body_bytes,
            rate_per_s=limits.rate_per_s,
            burst=limits.burst,
        )
        async with self._guests:
            known = [each for each in await self._broker.channels() if each.expires_at_s is not None]
            alive = [each for each in known if (each.expires_at_s or 0.0) > now_s]
            own = sum(each.creator == network for each in alive)
            if own >= limits.per_address or len(alive) >= limits.max_channels:
                raise RelayError(
                    "channels-exhausted",
                    f"this relay gives {limits.per_address} channels to one address",
                    "use one that you have, or wait until it expires",
                )
            return await self._keep(apply_as_guest(guest, options), key)

    async def list(self) -> list[Record]:
        """All channels, by name."""
        return [await self._described(each) for each in sorted(await self._broker.channels(), key=_name)]

    async def show(self, reference: str) -> Record:
        """The channel of that name or id."""
        return await self._described(await self._find(reference))

    async def change(self, reference: str, options: Mapping[str, object]) -> Record:
        """The channel with other options."""
        return await self._change(reference, lambda before: self._checked(apply(before, options)))

    async def rotate(self, reference: str) -> Record:
        """The channel with a new `key`; whoever uses the old one is cut off."""
        keys: list[str] = []

        def rotate(before: Channel) -> Channel:
            after, key = channels.rotated(before, random_bytes=self._random_bytes)
            keys.append(key)
            return after

        record = await self._change(reference, rotate)
        return self._with_key(record, keys[-1])

    async def revoke(self, reference: str) -> Record:
        """The channel without a key: its URL answers 404 and nobody listens, until it is rotated."""
        return await self._change(reference, channels.revoked)

    async def pause(self, reference: str) -> Record:
        """The channel, taking deliveries in and sending none."""
        return await self._change(reference, lambda before: replace(before, is_paused=True))

    async def resume(self, reference: str) -> Record:
        """The channel, sending what waits and what comes."""
        return await self._change(reference, lambda before: replace(before, is_paused=False))

    async def remove(self, reference: str) -> Record:
        """Remove the channel and all it holds; as it was."""
        found = await self._find(reference)
        record = await self._described(found)
        await self._broker.remove_channel(found.id)
        return record

    async def remove_expired(self) -> int:
        """Remove the channels whose time is over; how many."""
        now_s = self._now_s()
        gone = [each for each in await self._broker.channels() if (each.expires_at_s or now_s + 1) <= now_s]
        for each in gone:
            await self._broker.remove_channel(each.id)
        return len(gone)

    def stream_url(self, channel_id: str) -> str:
        """The URL by path, also where channels have hosts of their own: what clients of smee.io take."""
        return f"{self._public_url}/{channel_id}"

    def _checked(self, channel: Channel) -> Channel:
        if channel.gate is not None:
            self._scheme(channel.gate.provider)  # raises for a provider that there is not
        return channel

    async def _keep(self, channel: Channel, key: str) -> Record:
        await self._broker.create_channel(channel)
        return self._with_key(await self._described(channel), key)

    def _with_key(self, record: Record, key: str) -> Record:
        return {**record, "relay_url": self._public_url, "key": key}

    async def _find(self, reference: str) -> Channel:
        by_id = await self._broker.channel_by_id(reference) if is_id(reference) else None
        found = by_id or await self._broker.channel_by_name(reference)
        if found is None:
            raise RelayError(
                "channel-unknown",
                f"there is no channel {reference[:80]!r}",
                "`webhookctl relay channel list`",
            )
        return found

    async def _change(self, reference: str, change: Callable[[Channel], Channel]) -> Record:
        for attempt in range(_ATTEMPTS):
            before = await self._find(reference)
            after = change(before)
            try:
                await self._broker.update_channel(before, after)
            except RelayError as error:
                if error.code != "channel-changed" or attempt + 1 == _ATTEMPTS:
                    raise
            else:
                return await self._described(after)
        raise AssertionError("the last attempt returned or raised")

    async def _described(self, channel: Channel) -> Record:
        counts = await self._broker.counts(channel.id)
        url = url_of(channel, public_url=self._public_url, domain=self._domain)
        return describe(
            channel, url=url, pending=counts.pending, pending_bytes=counts.pending_bytes, head=counts.head
        )


def _name(channel: Channel) -> str:
    return channel.name
