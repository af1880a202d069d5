"""Who may say what when: the two ends of a tunnel as state machines over frames, with credit and heartbeats.

Knows no socket and no clock: bytes in, bytes out, `now_s` (any steady clock) is passed in.
"""

from collections.abc import Callable, Mapping, Set
from enum import Enum, auto
from math import inf
from typing import Any, ClassVar, TypeAlias

from webhookctl.tunnel_protocol.codec import MAX_COUNT, ProtocolError, decode, encode
from webhookctl.tunnel_protocol.frames import (
    VERSION,
    Acknowledge,
    Answer,
    AnswerBody,
    Close,
    CloseCode,
    Credit,
    Delivery,
    DeliveryBody,
    Frame,
    Hello,
    Mode,
    Ping,
    Pong,
    Skipped,
    Welcome,
)

GREETING_S = 15.0  # how long a side waits for the other's first frame
DEAD_AFTER = 3  # heartbeats without a frame

_Kinds: TypeAlias = frozenset[type[Frame]]


class State(Enum):
    """Where a tunnel stands, as one side sees it."""

    NEW = auto()
    GREETED = auto()  # Hello was said
    OPEN = auto()  # Welcome was said
    CLOSING = auto()  # this side said Close; what the other had under way still comes
    ENDED = auto()  # the other side said Close


_FROM_CLIENT: _Kinds = frozenset({Credit, Answer, AnswerBody, Acknowledge, Ping, Pong, Close})
_FROM_RELAY: _Kinds = frozenset({Delivery, DeliveryBody, Skipped, Ping, Pong, Close})
_CLOSE: _Kinds = frozenset({Close})
_NOTHING: _Kinds = frozenset()


def common_version(version: int) -> int:
    """The highest version that we and a peer whose newest is `version` both speak.

    Raises ProtocolError (UPGRADE_NEEDED) when there is none.
    """
    if version < 1:
        raise ProtocolError(CloseCode.UPGRADE_NEEDED, f"protocol version {version} is not spoken here")
    return min(version, VERSION)


class _Side:
    """What both ends have in common: most of the account is the same, whoever speaks.

    A frame that is refused changes nothing: the side can still send Close.
    """

    _sends: ClassVar[Mapping[State, _Kinds]]
    _receives: ClassVar[Mapping[State, _Kinds]]

    def __init__(self, now_s: float) -> None:
        self.state = State.NEW
        self.hello: Hello | None = None
        self.welcome: Welcome | None = None
        self.credit_deliveries = 0
        """How many more deliveries the relay may send."""
        self.credit_bytes = 0
        """How many more body bytes the relay may send."""
        self._outstanding: dict[int, bool] = {}  # seq: has its answer begun?
        self._last_seq = 0
        self._body_seq = 0  # of the delivery whose body is under way, 0: none
        self._body_missing = 0
        self._pings: list[int] = []
        self._heard_s = now_s
        self._pinged_s = now_s

    def send(self, frame: Frame, now_s: float) -> bytes:
        """The bytes of `frame`, which is taken as said. Raises ProtocolError when it may not be said now."""
        kind = type(frame)
        if kind not in self._sends[self.state]:
            raise _refusal(f"{kind.__name__} cannot be sent now ({self.state.name})")
        data = encode(frame)
        if kind is Close:
            self.state = State.ENDED if self.state is State.ENDED else State.CLOSING
        elif isinstance(frame, Ping):
            self._pings.append(frame.nonce)
            self._pinged_s = now_s
        elif kind is not Pong:
            self._count(frame)
        return data

    def receive(self, data: bytes, now_s: float) -> Frame:
        """The frame that the peer sent. Raises ProtocolError when it is none, or not one for now."""
        frame = decode(data)
        kind = type(frame)
        if kind not in self._receives[self.state]:
            raise _refusal(f"{kind.__name__} came out of turn ({self.state.name})")
        if kind is Close:
            self.state = State.ENDED
        elif isinstance(frame, Pong):
            if frame.nonce not in self._pings:
                raise _refusal("Pong without its Ping")
            del self._pings[: self._pings.index(frame.nonce) + 1]  # it answers those before as well
        elif kind is not Ping:
            self._count(frame)
        self._heard_s = now_s
        return frame

    @property
    def outstanding(self) -> Set[int]:
        """Sequence numbers sent and neither answered to the end nor acknowledged; a live view, oldest first."""
        return self._outstanding.keys()

    @property
    def ping_due_s(self) -> float:
        """When a Ping is due if nothing is heard until then; infinity before the tunnel is open."""
        if self.welcome is None:
            return inf
        return max(self._heard_s, self._pinged_s) + self.welcome.heartbeat_s

    @property
    def dead_at_s(self) -> float:
        """When the peer counts as dead if nothing is heard until then."""
        silence_s = GREETING_S if self.welcome is None else DEAD_AFTER * self.welcome.heartbeat_s
        return self._heard_s + silence_s

    def _count(self, frame: Frame) -> None:
        self._COUNTS[type(frame)](self, frame)

    def _count_hello(self, frame: Hello) -> None:
        common_version(frame.version)
        self.hello = frame
        self.credit_deliveries, self.credit_bytes = frame.window_deliveries, frame.window_bytes
        self.state = State.GREETED if self.state is State.NEW else self.state

    def _count_welcome(self, frame: Welcome) -> None:
        if self.hello is None:
            raise _refusal("Welcome before Hello")
        if not 1 <= frame.version <= min(self.hello.version, VERSION):
            raise ProtocolError(CloseCode.UPGRADE_NEEDED, f"protocol version {frame.version} was not offered")
        if frame.heartbeat_s <= 0:
            raise _refusal("a heartbeat of no length")
        self.welcome = frame
        self.state = State.OPEN if self.state is State.GREETED else self.state

    def _count_credit(self, frame: Credit) -> None:
        deliveries = self.credit_deliveries + frame.deliveries
        body_bytes = self.credit_bytes + frame.body_bytes
        if max(deliveries, body_bytes) > MAX_COUNT:
            raise _refusal("credit beyond all bounds")
        self.credit_deliveries, self.credit_bytes = deliveries, body_bytes

    def _count_delivery(self, frame: Delivery) -> None:
        size = len(frame.body)
        if self._body_seq:
            raise _refusal(f"delivery {frame.seq} before the body of {self._body_seq} was complete")
        if frame.seq <= self._last_seq:
            raise _refusal(f"delivery {frame.seq} after {self._last_seq}")
        if self.credit_deliveries < 1:
            raise _refusal("a delivery without credit")
        self._spend(size, frame.body_bytes - size, is_last=frame.is_last)
        self.credit_deliveries -= 1
        self._last_seq = frame.seq
        if not frame.is_last:
            self._body_seq = frame.seq
        if self.hello is not None and self.hello.mode is not Mode.OBSERVE:
            self._outstanding[frame.seq] = False

    def _count_delivery_body(self, frame: DeliveryBody) -> None:
        if frame.seq != self._body_seq:
            raise _refusal(f"a piece of {frame.seq}, whose body is not under way")
        size = len(frame.data)
        self._spend(size, self._body_missing - size, is_last=frame.is_last)
        if frame.is_last:
            self._body_seq = 0

    def _spend(self, size: int, missing: int, *, is_last: bool) -> None:
        if missing < 0 or is_last != (missing == 0):
            raise _refusal("a body that is not as long as announced")
        if not size and missing and self._body_seq:
            raise _refusal("an empty piece")
        if size > self.credit_bytes:
            raise _refusal("body bytes without credit")
        self.credit_bytes -= size
        self._body_missing = missing

    def _count_skipped(self, frame: Skipped) -> None:
        if self._body_seq and frame.first == frame.last == self._body_seq:
            self._body_seq = 0  # the rest of this body will not come
        elif frame.first <= self._last_seq or self._body_seq:
            raise _refusal(f"{frame.first} is skipped after {self._last_seq}")
        self._last_seq = frame.last

    def _count_answer(self, frame: Answer) -> None:
        self._settle(frame.seq, has_begun=False, is_last=frame.is_last)

    def _count_answer_body(self, frame: AnswerBody) -> None:
        self._settle(frame.seq, has_begun=True, is_last=frame.is_last)

    def _count_acknowledge(self, frame: Acknowledge) -> None:
        self._settle(frame.seq, has_begun=False, is_last=True)

    def _settle(self, seq: int, *, has_begun: bool, is_last: bool) -> None:
        if self._outstanding.get(seq) is not has_begun:
            raise _refusal(f"an answer to {seq}, which is not waiting for it")
        if is_last:
            del self._outstanding[seq]
        else:
            self._outstanding[seq] = True

    _COUNTS: ClassVar[Mapping[type[Frame], Callable[[Any, Any], None]]] = {
        Hello: _count_hello,
        Welcome: _count_welcome,
        Credit: _count_credit,
        Delivery: _count_delivery,
        DeliveryBody: _count_delivery_body,
        Skipped: _count_skipped,
        Answer: _count_answer,
        AnswerBody: _count_answer_body,
        Acknowledge: _count_acknowledge,
    }


class RelaySide(_Side):
    """The relay's end of one tunnel: hears Hello, says Welcome, then deliveries within the credit."""

    _sends: ClassVar[Mapping[State, _Kinds]] = {
        State.NEW: _CLOSE,
        State.GREETED: _CLOSE | {Welcome},
        State.OPEN: _FROM_RELAY,
        State.CLOSING: _NOTHING,
        State.ENDED: _CLOSE,
    }
    _receives: ClassVar[Mapping[State, _Kinds]] = {
        State.NEW: _CLOSE | {Hello},
        State.GREETED: _CLOSE,
        State.OPEN: _FROM_CLIENT,
        State.CLOSING: _FROM_CLIENT | {Hello},
        State.ENDED: _NOTHING,
    }


class ClientSide(_Side):
    """The client's end of one tunnel: says Hello, hears Welcome, then answers and gives credit."""

    _sends: ClassVar[Mapping[State, _Kinds]] = {
        State.NEW: _CLOSE | {Hello},
        State.GREETED: _CLOSE,
        State.OPEN: _FROM_CLIENT,
        State.CLOSING: _NOTHING,
        State.ENDED: _CLOSE,
    }
    _receives: ClassVar[Mapping[State, _Kinds]] = {
        State.NEW: _CLOSE,
        State.GREETED: _CLOSE | {Welcome},
        State.OPEN: _FROM_RELAY,
        State.CLOSING: _FROM_RELAY | {Welcome},
        State.ENDED: _NOTHING,
    }


def _refusal(message: str) -> ProtocolError:
    return ProtocolError(CloseCode.PROTOCOL_ERROR, message)
