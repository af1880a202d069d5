"""Where deliveries come from besides the local listener: a relay, ours or a foreign one. One Protocol, one switch.

Knows no protocol of any relay; `source_for` is the only place where a relay's URL decides what speaks to it.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from webhookctl.errors import RelayError
from webhookctl.events import Event, Place
from webhookctl.model import Capture, Response
from webhookctl.session import Turn

if TYPE_CHECKING:
    from webhookctl.session import Judge
    from webhookctl.wiring.project import Project


class Deliver(Protocol):
    """Takes one delivery all the way (stored, judged, shown, forwarded): the answer for its sender. Never raises.

    With a `turn` it is stored at once, and goes on when that returns.
    """

    def __call__(self, capture: Capture, turn: Turn | None = None) -> Coroutine[object, object, Response]: ...


_FOREIGN = frozenset({"smee", "gosmee", "svix"})


class Attach(StrEnum):
    """How a client attaches to its channel."""

    CONSUME = "consume"
    TAKEOVER = "takeover"
    OBSERVE = "observe"


@dataclass(frozen=True, slots=True)
class RelayPlan:
    """What `listen --relay` was told. `url` as given; `key` a reference (env:, file:) or the key; "" none.

    `backlog`: how many missed deliveries are wanted, -1 all. `timeout_s`: how long the app may take, None for ever.
    `is_forwarding`: else deliveries are shown and recorded only.
    """

    url: str
    channel: str = ""
    key: str = ""
    attach: Attach = Attach.CONSUME
    backlog: int = -1
    concurrency: int = 1
    is_insecure: bool = False
    ca_file: Path | None = None
    max_body_bytes: int = 32 * 1024 * 1024
    timeout_s: float | None = None
    is_forwarding: bool = True


class Source(Protocol):
    """Deliveries from elsewhere. `open`, then `run` (in a task), then `stop`."""

    @property
    def holds(self) -> bool:
        """Whether a delivery waits here while the app cannot be reached (else its failure is the answer)."""
        ...

    @property
    def in_flight(self) -> int:
        """Deliveries that `deliver` has not returned from."""
        ...

    @property
    def waiting(self) -> int:
        """Deliveries that have come and wait for their turn."""
        ...

    async def open(self) -> Place:
        """Connect, or find out where to: the public place. Raises RelayError (UsageError for a bad key or URL)."""
        ...

    async def run(self, deliver: Deliver) -> None:
        """Bring deliveries until `stop`, reconnecting for ever. Raises RelayError when it ends for good."""
        ...

    async def stop(self, *, timeout_s: float) -> int:
        """Take nothing new, finish what the app has, leave; how many deliveries stay at the relay."""
        ...


def is_foreign(url: str) -> bool:
    """Whether a value of --relay names somebody else's relay."""
    return url.partition("+")[0] in _FOREIGN


def answers_early(url: str) -> bool:
    """Whether the relay tells senders of success before anybody has listened, and keeps nothing for later."""
    return url.partition("+")[0] in ("smee", "gosmee")


def source_for(
    plan: RelayPlan, project: "Project", emit: Callable[[Event], None], judge: "Judge | None" = None
) -> Source:
    """What speaks to the relay that `plan.url` names. `judge` proves what a foreign relay changed, where given.

    Raises UsageError for a URL or an option that does not fit.
    """
    if is_foreign(plan.url):
        from webhookctl.wiring.foreign import foreign_source

        return foreign_source(plan, project, emit, judge or project.judge(provider=None, flag=()))
    from webhookctl.wiring.tunnelling import TunnelSource

    return TunnelSource(plan, project, emit)


def judge_behind(plan: RelayPlan, project: "Project", judge: "Judge") -> "Judge":
    """`judge` for what comes from the relay: behind a foreign one it knows what that one destroys."""
    if not is_foreign(plan.url):
        return judge
    from webhookctl.wiring.foreign import relayed_judge

    return relayed_judge(plan.url, judge, project)


async def hinted(plan: RelayPlan, error: RelayError) -> RelayError:
    """`error`, with what --relay should say when the URL of `plan` turns out to be smee's or gosmee's."""
    if error.code != "relay-not-found" or is_foreign(plan.url):
        return error
    from webhookctl.wiring.foreign import hint_for

    hint = await hint_for(plan)
    return RelayError(error.code, error.message, hint) if hint else error
