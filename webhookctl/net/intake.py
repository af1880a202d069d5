"""What the connections of one listener share: limits, what to do with a delivery, and how many are under way.

Knows nothing of HTTP.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from webhookctl.model import Capture, Response

if TYPE_CHECKING:
    from webhookctl.net.connection import Connection

Deliver = Callable[[Capture], Awaitable[Response]]
"""What the engine does with a delivery: returns the answer for its sender. Must not raise."""


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Caps on what one peer may take. Times in seconds; body in bytes. `sweep_s`: how often the times are looked at."""

    max_body_bytes: int = 32 * 1024 * 1024
    head_s: float = 10.0
    body_idle_s: float = 30.0
    body_s: float = 600.0
    idle_s: float = 75.0
    max_connections: int = 4_096
    sweep_s: float = 1.0


@dataclass(slots=True)
class Intake:
    """What the connections of one listener share. `on_quiet` is called when the last of them may have finished."""

    deliver: Deliver
    limits: ListenerLimits
    now_s: Callable[[], float]
    on_refused: Callable[[int, str], None]
    is_tls: bool
    on_quiet: Callable[[], None]
    is_stopping: bool = False
    in_flight: int = 0
    connections: "set[Connection]" = field(default_factory=set)


def peer_name(transport: asyncio.BaseTransport) -> str:
    """Who is at the other end (``127.0.0.1:50312``, ``[::1]:50312``); empty when that cannot be told."""
    address = transport.get_extra_info("peername")
    if not isinstance(address, tuple):
        return ""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
