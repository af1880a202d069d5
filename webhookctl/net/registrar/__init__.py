"""Webhooks at their provider: made, found, changed, removed, and past deliveries asked for again. One Protocol.

Knows no provider; each has a module here.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from webhookctl.model import Secret

__all__ = ["Hook", "PastDelivery", "Registrar"]


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook as the provider has it."""

    id: str
    url: str
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PastDelivery:
    """One attempt of the provider to deliver. `delivery_id` is what the request carries, the same over all attempts."""

    id: str
    delivery_id: str
    event: str
    attempted_at_s: float
    is_success: bool


class Registrar(Protocol):
    """The webhooks of one place at a provider (a repository, an organisation).

    All of it raises UsageError (rights, names) or EndpointError (not reachable, limits).
    """

    async def hooks(self) -> list[Hook]:
        """The webhooks there are."""
        ...

    async def create(self, url: str, *, secret: Secret, events: Sequence[str]) -> Hook: ...

    async def update(self, hook_id: str, url: str, *, secret: Secret, events: Sequence[str]) -> Hook | None:
        """Change it; None when it is no longer there."""
        ...

    async def remove(self, hook_id: str) -> None:
        """Remove it; fine when it is no longer there."""
        ...

    def deliveries(self, hook_id: str, *, since_s: float) -> AsyncIterator[PastDelivery]:
        """Attempts since then (Unix time), the newest first."""
        ...

    async def redeliver(self, hook_id: str, attempt_id: str) -> None: ...

    async def close(self) -> None: ...
