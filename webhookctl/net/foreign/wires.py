"""What the clients of foreign relays have in common: an arrival, the protocol of a wire, what a relay destroys.

Knows no relay in particular and no delivery's way.
"""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from webhookctl.events import ErrorOccurred
from webhookctl.model import Request, Response

SILENCE_S = 75.0  # they speak every 30 s or sooner; two turns missed and a half: the connection is dead


@dataclass(frozen=True, slots=True)
class Arrival:
    """One delivery as a relay brought it. `reply` takes the app's answer; `query` is what the sender's URL ended in.

    `sent_at_s`: when the relay took it in (Unix time), None when it does not say. `original_bytes`: how large the
    sender's body was, None when unknown.
    """

    request: Request
    reply: Callable[[Response], Awaitable[None]]
    sent_at_s: float | None = None
    is_body_exact: bool = True
    original_bytes: int | None = None


class Wire(Protocol):
    """One connection to a foreign relay, made as often as it is needed."""

    async def connect(self, *, is_first: bool) -> str:
        """Connect; the public URL. Raises RelayError for what will not change by itself, else LostError."""
        ...

    async def read(self, take: Callable[[Arrival], Awaitable[None]]) -> None:
        """Hand over what comes until the connection ends: never returns. Raises LostError."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class WireOptions:
    """`tls` for wss:// and https://, None for the usual one; `report` is told of what was dropped and why."""

    tls: ssl.SSLContext | None
    max_body_bytes: int
    report: Callable[[ErrorOccurred], None]
