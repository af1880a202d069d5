"""What relay and client say to each other, as frozen data: one frame is one binary WebSocket message.

Knows the words only: no socket, no clock, no queue.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from webhookctl.model import Headers

VERSION = 1
SUBPROTOCOL = "webhookctl.v1"
CHUNK_BYTES = 64 * 1024  # body bytes in one frame at most
MAX_FRAME_BYTES = 256 * 1024  # a head with its fields and a first chunk; what is longer is refused


class Mode(IntEnum):
    """How a client attaches to its channel."""

    CONSUME = 0  # refused while another client consumes
    TAKEOVER = 1  # the client that consumes now is superseded
    OBSERVE = 2  # sees every delivery, answers and acknowledges nothing


class CloseCode(IntEnum):
    """Why a tunnel ends: WebSocket close codes of the private range, the last digits as HTTP's."""

    PROTOCOL_ERROR = 4400
    UNAUTHORISED = 4401
    REVOKED = 4403
    UNKNOWN_CHANNEL = 4404
    OCCUPIED = 4409  # another client consumes this channel
    SUPERSEDED = 4410  # another client took over
    UPGRADE_NEEDED = 4426  # no version in common
    TOO_MANY = 4429
    SHUTTING_DOWN = 4503


@dataclass(frozen=True, slots=True)
class Hello:
    """Client → relay, first. `cursor` is the last sequence number that this client knows to be done (0: none).

    `backlog`: how many of the deliveries missed so far it wants, the newest ones; -1 all. `instance` names the
    running client: the same instance may replace its own lost connection. `window_*` is the first credit.
    """

    version: int
    channel: str  # name or id; "" the channel of the key
    mode: Mode
    cursor: int
    backlog: int
    window_deliveries: int
    window_bytes: int
    instance: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """Relay → client, first: what this channel is and where it stands."""

    version: int
    channel: str  # its name
    url: str  # public URL, without a slash at the end
    session: str
    heartbeat_s: (
        float  # silence after which each side sends a Ping; three times that without a frame is a dead peer
    )
    deadline_s: float  # how long the relay waits for an answer before its policy answers
    policy: str  # "queued", "unavailable" or "hold"
    head: int  # the newest sequence number there is
    pending: int  # deliveries that will be sent now


@dataclass(frozen=True, slots=True)
class Delivery:
    """Relay → client: one delivery with the first (often only) piece of its body; DeliveryBody frames follow.

    `attempt` counts how often it was sent to a client: 2 and more are redeliveries. `url` is the URL the sender
    called, `target` what the app is to see (the channel's own path taken off).
    """

    seq: int
    delivery_id: str
    attempt: int
    received_at_s: float
    peer: str
    is_tls: bool
    http_version: str
    url: str
    method: str
    target: str
    headers: Headers
    body_bytes: int  # of the whole body
    body: bytes
    is_last: bool


@dataclass(frozen=True, slots=True)
class DeliveryBody:
    """Relay → client: the next piece of the body of delivery `seq`."""

    seq: int
    data: bytes
    is_last: bool


@dataclass(frozen=True, slots=True)
class Skipped:
    """Relay → client: deliveries `first` to `last` will not come, and why ("expired", "backlog", "quota", …)."""

    first: int
    last: int
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Credit:
    """Client → relay: so many more deliveries and body bytes may be sent."""

    deliveries: int
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Client → relay: the app's response to delivery `seq`, with the first piece of its body.

    Once its last piece is in, the delivery is acknowledged.
    """

    seq: int
    status: int
    reason: str
    headers: Headers
    body: bytes
    is_last: bool


@dataclass(frozen=True, slots=True)
class AnswerBody:
    """Client → relay: the next piece of the response's body to delivery `seq`."""

    seq: int
    data: bytes
    is_last: bool


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Client → relay: delivery `seq` is done without a response for its sender (known already, or skipped)."""

    seq: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Either way: are you there?"""

    nonce: int


@dataclass(frozen=True, slots=True)
class Pong:
    """Either way: yes. The nonce of the Ping."""

    nonce: int


@dataclass(frozen=True, slots=True)
class Close:
    """Either way, last: why this tunnel ends. The WebSocket is closed with the same code."""

    code: CloseCode
    message: str


Frame: TypeAlias = (
    Hello
    | Welcome
    | Delivery
    | DeliveryBody
    | Skipped
    | Credit
    | Answer
    | AnswerBody
    | Acknowledge
    | Ping
    | Pong
    | Close
)
