"""What happens while listening or sending, as frozen data: the one stream that every renderer receives.

Knows the words only. An event says what happened, never how to show it.
"""

from dataclasses import dataclass
from typing import TypeAlias

from webhookctl.model import Attempt, Capture, Detection, Verdict


@dataclass(frozen=True, slots=True)
class Ready:
    """The listener takes deliveries at `url` from now on."""

    url: str
    targets: tuple[tuple[str, str], ...]  # endpoint, and why it cannot be reached now ("" when it can)
    fixtures: str | None  # folder that deliveries are saved to, or None
    providers: tuple[tuple[str, str], ...]  # provider id and where its secret comes from
    history: str
    is_loopback: bool = True  # nobody but this machine can reach it


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A delivery is on disk under `id`; nobody was answered yet."""

    id: int
    capture: Capture
    detection: Detection
    duplicate_of: int | None
    is_ignored: bool = False  # left out by --events: stored, but neither forwarded nor saved


@dataclass(frozen=True, slots=True)
class VerdictGiven:
    """The signature of delivery `id` was judged."""

    id: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    """An attempt of delivery `id` ended. `is_answer`: it is the one whose outcome goes back to the sender.

    `attempt` is None when the delivery is forwarded nowhere; `status` is what the sender is told.
    """

    id: int
    attempt: Attempt | None
    status: int
    detection: Detection
    is_answer: bool = True


@dataclass(frozen=True, slots=True)
class HandshakeAnswered:
    """The handshake `handshake` (`name` for people), which delivery `id` is, was answered with `status`.

    `is_by_app`: the app's answer went back, else one of webhookctl. `refusal` says why it was refused, "" when it
    was granted. `complaints` are about the app's answer; `attempt` is how the app was asked, None when it was not.
    """

    id: int
    handshake: str
    name: str
    status: int
    is_by_app: bool
    refusal: str = ""
    complaints: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class FixtureSaved:
    """Delivery `id` was saved as the fixture at `path`."""

    id: int
    path: str


@dataclass(frozen=True, slots=True)
class ErrorOccurred:
    """Something went wrong that a user should know; `id` when it concerns one delivery."""

    code: str
    message: str
    hint: str = ""
    id: int | None = None


@dataclass(frozen=True, slots=True)
class TargetChanged:
    """An endpoint that deliveries are forwarded to became reachable or unreachable (`reason` says why)."""

    url: str
    is_reachable: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The listener takes nothing new and waits for `waiting` deliveries that are under way."""

    waiting: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The listener has stopped. Counts of this run; `unfinished` deliveries are stored but got no attempt's end."""

    reason: str
    received: int
    delivered: int
    failed: int
    verified: int
    refused_signatures: int
    saved: int
    unfinished: int


Event: TypeAlias = (
    Ready
    | RequestReceived
    | VerdictGiven
    | ResponseReceived
    | HandshakeAnswered
    | FixtureSaved
    | ErrorOccurred
    | TargetChanged
    | Stopping
    | Stopped
)
