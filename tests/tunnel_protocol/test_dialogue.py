"""Both sides driven against each other at random, over a line that delays: they agree, and nothing is refused."""

from collections import deque
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.tunnel_protocol.test_sides import BYE, HELLO, WELCOME, answer, delivery
from webhookctl.tunnel_protocol import (
    Acknowledge,
    AnswerBody,
    ClientSide,
    Credit,
    Delivery,
    DeliveryBody,
    Frame,
    Ping,
    Pong,
    RelaySide,
    Skipped,
    State,
)


class Dialogue(RuleBasedStateMachine):
    """What is said lies on a line for a while. Each side says only what its own account allows."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.relay, self.client = RelaySide(0.0), ClientSide(0.0)
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        self.seq = 0
        self.body: tuple[int, int] | None = None  # seq and size of what is missing
        self.to_answer: dict[int, bool] = {}  # what the client knows: has the answer begun?
        self.pings: list[int] = []
        self.nonce = 0
        self.spent_bytes = 0
        self.given_bytes = HELLO.window_bytes
        self._say(HELLO)
        self._hear_up()
        self._tell(WELCOME)
        self._hear_down()

    def _say(self, frame: Frame) -> None:
        self.up.append(self.client.send(frame, self.now_s))

    def _tell(self, frame: Frame) -> None:
        self.down.append(self.relay.send(frame, self.now_s))

    def _hear_up(self) -> Frame:
        return self.relay.receive(self.up.popleft(), self.now_s)

    def _hear_down(self) -> Frame:
        return self.client.receive(self.down.popleft(), self.now_s)

    def _is_talking(self) -> bool:
        return self.relay.state is State.OPEN

    def _client_is_talking(self) -> bool:
        return self.client.state is State.OPEN

    @precondition(lambda self: self._is_talking() and self.body is None and self.relay.credit_deliveries)
    @rule(size=st.integers(0, 40), first=st.integers(0, 40), gap=st.integers(1, 3))
    def send_a_delivery(self, size: int, first: int, gap: int) -> None:
        first = min(size, first, self.relay.credit_bytes)
        self.seq += gap
        self.spent_bytes += first
        self._tell(delivery(self.seq, bytes(first), size))
        if first < size:
            self.body = self.seq, size - first

    @precondition(lambda self: self._is_talking() and self.body is not None and self.relay.credit_bytes)
    @rule(size=st.integers(1, 40))
    def send_a_piece(self, size: int) -> None:
        assert self.body is not None
        seq, missing = self.body
        size = min(size, missing, self.relay.credit_bytes)
        self.spent_bytes += size
        self._tell(DeliveryBody(seq, bytes(size), size == missing))
        self.body = (seq, missing - size) if size < missing else None

    @precondition(lambda self: self._is_talking())
    @rule(count=st.integers(1, 3))
    def skip(self, count: int) -> None:
        if self.body is not None:
            seq, _ = self.body
            self.body = None
            self._tell(Skipped(seq, seq, 1, "expired"))
        else:
            self._tell(Skipped(self.seq + 1, self.seq + count, count, "expired"))
            self.seq += count

    @precondition(lambda self: self._client_is_talking())
    @rule(deliveries=st.integers(0, 3), body_bytes=st.integers(0, 60))
    def give_credit(self, deliveries: int, body_bytes: int) -> None:
        self.given_bytes += body_bytes
        self._say(Credit(deliveries, body_bytes))

    @precondition(lambda self: self._client_is_talking() and self.to_answer)
    @rule(data=st.data(), is_last=st.booleans(), is_plain=st.booleans())
    def answer_one(self, data: st.DataObject, is_last: bool, is_plain: bool) -> None:
        seq = data.draw(st.sampled_from(sorted(self.to_answer)))
        has_begun = self.to_answer.pop(seq)
        if has_begun:
            self._say(AnswerBody(seq, b"more", is_last))
        elif is_plain:
            self._say(Acknowledge(seq))
            return
        else:
            self._say(replace(answer(seq), is_last=is_last))
        if not is_last:
            self.to_answer[seq] = True

    @precondition(lambda self: self._client_is_talking())
    @rule()
    def ping(self) -> None:
        self.nonce += 1
        self._say(Ping(self.nonce))

    @precondition(lambda self: self._is_talking() and self.pings)
    @rule()
    def pong(self) -> None:
        self._tell(Pong(self.pings.pop(0)))

    @rule(seconds=st.floats(0, 5))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @precondition(lambda self: self.up)
    @rule()
    def hear_the_client(self) -> None:
        frame = self._hear_up()
        if isinstance(frame, Ping):
            self.pings.append(frame.nonce)

    @precondition(lambda self: self.down)
    @rule()
    def hear_the_relay(self) -> None:
        frame = self._hear_down()
        if isinstance(frame, Delivery):
            self.to_answer[frame.seq] = False

    @precondition(lambda self: self._is_talking() and self.seq > 12)
    @rule()
    def shut_down(self) -> None:
        self._tell(BYE)

    @invariant()
    def credit_is_never_negative_and_the_relay_never_believes_in_more_than_was_given(self) -> None:
        for side in (self.relay, self.client):
            assert side.credit_deliveries >= 0
            assert side.credit_bytes >= 0
        assert self.spent_bytes <= self.given_bytes
        assert self.relay.credit_bytes <= self.client.credit_bytes or self.down

    @invariant()
    def with_an_empty_line_both_accounts_are_the_same(self) -> None:
        if not self.up and not self.down:
            assert self.relay.outstanding == self.client.outstanding == set(self.to_answer)
            assert self.relay.credit_bytes == self.client.credit_bytes == self.given_bytes - self.spent_bytes
            assert self.relay.credit_deliveries == self.client.credit_deliveries

    @invariant()
    def nobody_is_dead_before_a_ping_was_due(self) -> None:
        for side in (self.relay, self.client):
            assert side.dead_at_s >= 3 * WELCOME.heartbeat_s
            assert side.ping_due_s >= WELCOME.heartbeat_s


Dialogue.TestCase.settings = settings(
    derandomize=True, deadline=None, database=None, max_examples=150, stateful_step_count=50
)
TestDialogue = Dialogue.TestCase
