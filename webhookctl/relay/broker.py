"""What the relay needs of the place where channels and deliveries are kept: one process's SQLite, or a cluster.

Declares words and a Protocol only: no disk, no network. Nothing in it asks for a consumer per channel.
"""

from asyncio import Future
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from webhookctl.model import Headers
from webhookctl.relay.channel import Channel
from webhookctl.tunnel_protocol import Answer, AnswerBody, CloseCode


@dataclass(frozen=True, slots=True)
class SpooledBody:
    """A body that lies in the spool instead of in memory: its name there, and its size in bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as a sender sent it, before it has its place in a channel's queue.

    `url` is the URL the sender called, `target` what the app is to see. While admission looks at a request whose body
    is not read yet, `body` is empty.
    """

    delivery_id: str
    received_at_s: float
    peer: str
    is_tls: bool
    http_version: str
    url: str
    method: str
    target: str
    headers: Headers
    body: bytes | SpooledBody = b""

    @property
    def body_bytes(self) -> int:
        return self.body.size if isinstance(self.body, SpooledBody) else len(self.body)


@dataclass(frozen=True, slots=True)
class Queued:
    """A delivery with its place: sequence numbers count from 1 in each channel, without gaps.

    `attempts` counts how often it was sent to a client before.
    """

    seq: int
    attempts: int
    arrival: Arrival


@dataclass(frozen=True, slots=True)
class Counts:
    """Where a channel stands: the newest sequence number, and what nobody acknowledged (what is being stored, too)."""

    head: int
    pending: int
    pending_bytes: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to consume a channel. What comes with an older `epoch` than the channel's is refused."""

    channel_id: str
    instance: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Done:
    """A delivery that is acknowledged: `status` is what the app answered, 0 when it answered nothing."""

    seq: int
    delivery_id: str
    status: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Deliveries that grew older than the channel keeps them: `count` of those from `first` to `last`."""

    first: int
    last: int
    count: int


AnswerFrame: TypeAlias = Answer | AnswerBody
OnAnswer: TypeAlias = Callable[[AnswerFrame | None], Future[None] | None]
"""Gets the answer to one delivery, piece by piece; None: the rest will not come.

Returns None, or what to wait for before the next piece, when the sender takes them slower than they come.
"""
OnQueued: TypeAlias = Callable[[Queued], None]
OnLost: TypeAlias = Callable[[CloseCode, str], None]
OnChannel: TypeAlias = Callable[[Channel, Channel | None], None]
"""Gets a channel as it was and as it is now; None when it was removed."""
Stop: TypeAlias = Callable[[], None]


class BodyDraft(Protocol):
    """A large body on its way into the spool. Ends with `finish` or `discard`."""

    async def write(self, data: bytes) -> None: ...

    async def finish(self) -> SpooledBody:
        """Durable on return."""
        ...

    def discard(self) -> None: ...


class Broker(Protocol):
    """Channels, their deliveries in order, and who waits for what. Used from one event loop.

    Raises RelayError: `broker-full` (no room on the disk), `broker-failed` (it cannot write), `channel-exists`,
    `channel-changed` (somebody else was quicker), `channel-unknown`.
    """

    # channels

    async def create_channel(self, channel: Channel) -> None: ...

    async def channel_by_id(self, channel_id: str) -> Channel | None: ...

    async def channel_by_name(self, name: str) -> Channel | None: ...

    async def channel_by_key_id(self, key_id: str) -> Channel | None: ...

    async def channels(self) -> Sequence[Channel]: ...

    async def update_channel(self, before: Channel, after: Channel) -> None:
        """Put `after` in the place of `before`, unless that has changed meanwhile (compare and set)."""
        ...

    async def remove_channel(self, channel_id: str) -> None:
        """Remove the channel with all its deliveries."""
        ...

    def watch_channels(self, on_channel: OnChannel) -> Stop:
        """Have every change and removal of a channel told to `on_channel`."""
        ...

    # deliveries

    def draft_body(self, delivery_id: str) -> BodyDraft: ...

    def append(self, channel_id: str, arrival: Arrival) -> "Future[Queued]":
        """Store durably. A delivery id that was appended before gives its first place again."""
        ...

    def watch(self, channel_id: str, on_queued: OnQueued) -> Stop:
        """Have every delivery of the channel told, in order, once it is durable."""
        ...

    async def read(self, channel_id: str, *, after: int, limit: int) -> Sequence[Queued]:
        """Up to `limit` deliveries after sequence number `after` that are not acknowledged, in order.

        Possibly fewer, so that they do not take much memory; none only when there are no more.
        """
        ...

    async def last_before_newest(self, channel_id: str, count: int) -> int:
        """The sequence number after which the `count` newest unacknowledged deliveries come; 0: there are no more."""
        ...

    async def read_body(self, body: SpooledBody, *, offset: int, size: int) -> bytes: ...

    async def counts(self, channel_id: str) -> Counts: ...

    async def expire(self, *, now_s: float) -> None:
        """Drop what is older than its channel's retention, and what was done more than an hour ago.

        A channel whose client is there keeps everything: the client gets it.
        """
        ...

    # the consuming client

    def attach(self, channel_id: str, *, instance: str, is_takeover: bool, on_lost: OnLost) -> Lease | None:
        """The lease of the channel; None while another instance holds it and this is no takeover.

        Whoever held it is told by `on_lost`, before this returns.
        """
        ...

    def is_attended(self, channel_id: str) -> bool:
        """Whether a client holds the channel's lease."""
        ...

    def note_sent(self, lease: Lease, queued: Queued) -> int:
        """Count that this delivery is sent to a client now: which time it is, from 1."""
        ...

    def acknowledge(self, lease: Lease, done: Done) -> bool:
        """Mark a delivery as done, soon durable; False when the lease is stale: then nothing happened."""
        ...

    async def acknowledge_through(self, lease: Lease, seq: int) -> None:
        """Mark every delivery up to `seq` as done: the client has known that since before."""
        ...

    def take_expired(self, lease: Lease) -> Lost | None:
        """What expired while nobody consumed and no client was told of, once."""
        ...

    def release(self, lease: Lease) -> None: ...

    # request and reply

    def expect_answer(self, delivery_id: str, on_answer: OnAnswer) -> Stop: ...

    def publish_answer(self, delivery_id: str, piece: AnswerFrame | None) -> "Future[None] | None":
        """Hand a piece to whoever waits for it, if anybody does; what `OnAnswer` returned."""
        ...
