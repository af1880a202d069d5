"""What a broker holds in memory of each channel: counts, who consumes, what was sent and is not acknowledged.

Data only.
"""

from dataclasses import dataclass, field

from webhookctl.relay.broker import Lease, Lost, OnLost, OnQueued
from webhookctl.relay.channel import Channel


@dataclass(slots=True)
class Sent:
    """A delivery that was sent to a client and is not acknowledged."""

    attempts: int
    body_bytes: int
    is_spooled: bool


@dataclass(slots=True)
class State:
    """One channel as the loop sees it."""

    number: int
    channel: Channel
    head: int
    pending: int
    pending_bytes: int
    expired: Lost | None
    epoch: int = 0
    lease: Lease | None = None
    on_lost: OnLost | None = None
    sent: dict[int, Sent] = field(default_factory=dict)
    watchers: list[OnQueued] = field(default_factory=list)
