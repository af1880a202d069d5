"""What happens while listening or sending, as frozen data: the one stream that every renderer receives.

Knows the words only. An event says what happened, never how to show it.
"""

from dataclasses import dataclass
from typing import TypeAlias

from webhookctl.model import Attempt, Capture, Detection, Verdict


@dataclass(frozen=True, slots=True)
class Place:
    """The public end of a relay: the URL to give to providers; channel and policy where it has them.

    `note` is a warning in words ("" none): what is lost on the way, who may read along.
    """

    url: str
    channel: str = ""
    policy: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """The listener takes deliveries at `url` from now on."""

    url: str
    targets: tuple[tuple[str, str], ...]  # endpoint, and why it cannot be reached now ("" when it can)
    fixtures: str | None  # folder that deliveries are saved to, or None
    providers: tuple[tuple[str, str], ...]  # provider id and where its secret comes from
    history: str
    is_loopback: bool = True  # nobody but this machine can reach it
    place: Place | None = None  # of the relay, when there is one


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
class RelayConnected:
    """Deliveries to `place` come here from now on; `missed` of them have waited at the relay."""

    place: Place
    missed: int


@dataclass(frozen=True, slots=True)
class RelayDisconnected:
    """The relay cannot be reached; the next try is in `retry_in_s` seconds."""

    reason: str
    retry_in_s: float


@dataclass(frozen=True, slots=True)
class RelayDraining:
    """Of `total` deliveries that had waited at the relay `done` are through, `per_s` in a second."""

    done: int
    total: int
    per_s: float


@dataclass(frozen=True, slots=True)
class RelaySkipped:
    """`count` deliveries, numbers `first` to `last` of the channel, will not come, and why."""

    first: int
    last: int
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class RelayHeld:
    """A delivery waits for the app, which cannot be reached (`reason`), and `waiting` others behind it."""

    reason: str
    waiting: int


@dataclass(frozen=True, slots=True)
class RelayKnown:
    """A delivery that the app has answered already came again (number `seq`) and was acknowledged without the app."""

    seq: int
    delivery_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class TunnelStarting:
    """The tunnel program of that name was started; nobody knows the public URL yet."""

    program: str


@dataclass(frozen=True, slots=True)
class BecamePublic:
    """From now on the listener is reached at `place`, through a tunnel program (its name is the channel)."""

    place: Place


@dataclass(frozen=True, slots=True)
class HookRegistered:
    """A provider's webhook at `place` (``github:owner/repo``) calls `url` from now on.

    `how`: made, taken up again (left by an earlier run), moved (to a new URL), there already (somebody else's).
    """

    place: str
    hook_id: str
    url: str
    events: tuple[str, ...]
    how: str


@dataclass(frozen=True, slots=True)
class HookRemoved:
    """The webhook that this run had made at `place` is gone."""

    place: str
    hook_id: str


@dataclass(frozen=True, slots=True)
class BackfillAsked:
    """The provider was asked to deliver `asked` of `total` failed or missed deliveries again."""

    place: str
    asked: int
    total: int


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
    left_at_relay: int = 0  # deliveries that wait there for the next run


RelayEvent: TypeAlias = (
    RelayConnected | RelayDisconnected | RelayDraining | RelaySkipped | RelayHeld | RelayKnown
)

ExposureEvent: TypeAlias = TunnelStarting | BecamePublic | HookRegistered | HookRemoved | BackfillAsked
"""What happens around a listener's public URL, other than at a relay."""

Event: TypeAlias = (
    Ready
    | RequestReceived
    | VerdictGiven
    | ResponseReceived
    | HandshakeAnswered
    | FixtureSaved
    | ErrorOccurred
    | TargetChanged
    | RelayEvent
    | ExposureEvent
    | Stopping
    | Stopped
)


@dataclass(frozen=True, slots=True)
class ServingStarted:
    """The relay takes deliveries at `public_url`, and listens at `url`, from now on."""

    url: str
    public_url: str
    domain: str
    data_folder: str
    channels: int
    pending: int  # deliveries of all channels that wait for their clients
    has_admin_key: bool
    is_open: bool  # everybody may make channels
    has_guests: bool  # everybody may make channels that end by themselves
    is_loopback: bool  # nobody but this machine can reach it


@dataclass(frozen=True, slots=True)
class DeliveryAnswered:
    """A stored delivery's sender was answered `status`; `outcome` as in Webhookctl-Status, "left" when it had left."""

    at_s: float
    channel: str
    delivery_id: str
    seq: int
    peer: str
    method: str
    target: str
    body_bytes: int
    status: int
    outcome: str
    latency_ms: float


@dataclass(frozen=True, slots=True)
class DeliveryRefused:
    """A request was refused at the door and not stored; `channel` is "" when there is none. `detail` is for the log."""

    at_s: float
    channel: str
    peer: str
    method: str
    target: str
    status: int
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TunnelOpened:
    """A client attached to a channel: `mode` is "consume" or "observe"; `pending` deliveries will be sent to it."""

    at_s: float
    channel: str
    peer: str
    mode: str
    pending: int


@dataclass(frozen=True, slots=True)
class TunnelClosed:
    """A client is gone, and why."""

    at_s: float
    channel: str
    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class ServingStopped:
    """The relay has stopped. Counts of this run; `pending` deliveries wait on disk for the next one."""

    reason: str
    received: int
    refused: int
    pending: int


ServeEvent: TypeAlias = (
    ServingStarted
    | DeliveryAnswered
    | DeliveryRefused
    | TunnelOpened
    | TunnelClosed
    | ErrorOccurred
    | Stopping
    | ServingStopped
)
