"""The two ends of a tunnel: who may say what when, what is counted, and when a silent peer is dead."""

from dataclasses import replace
from math import inf
from typing import TypeAlias

import pytest

from tests.tunnel_protocol.drawing import EACH
from webhookctl.tunnel_protocol import (
    MAX_COUNT,
    Acknowledge,
    Answer,
    AnswerBody,
    ClientSide,
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
    ProtocolError,
    RelaySide,
    Skipped,
    State,
    Welcome,
    common_version,
    encode,
)

Side: TypeAlias = RelaySide | ClientSide

HELLO = Hello(1, "my-app", Mode.CONSUME, 0, -1, 4, 100, "instance-1")
WELCOME = Welcome(1, "my-app", "https://hooks.example.com/abc", "s1", 20.0, 10.0, "queued", 9, 9)
BYE = Close(CloseCode.SHUTTING_DOWN, "back soon")


def delivery(seq: int, body: bytes = b"", body_bytes: int | None = None) -> Delivery:
    size = len(body) if body_bytes is None else body_bytes
    example = next(frame for frame in EACH if isinstance(frame, Delivery))
    return replace(example, seq=seq, body=body, body_bytes=size, is_last=size == len(body))


def answer(seq: int, *, is_last: bool = True) -> Answer:
    return Answer(seq, 200, "OK", (), b"", is_last)


class Tunnel:
    """A relay's and a client's side; what one sends the other receives at once, at `now_s`."""

    def __init__(self, hello: Hello = HELLO, welcome: Welcome = WELCOME, *, is_open: bool = True) -> None:
        self.now_s = 1_000.0
        self.relay, self.client = RelaySide(self.now_s), ClientSide(self.now_s)
        if is_open:
            self.up(hello)
            self.down(welcome)

    def down(self, *frames: Frame) -> None:
        for frame in frames:
            assert self.client.receive(self.relay.send(frame, self.now_s), self.now_s) == frame

    def up(self, *frames: Frame) -> None:
        for frame in frames:
            assert self.relay.receive(self.client.send(frame, self.now_s), self.now_s) == frame


def refused(side: Side, frame: Frame, *, match: str | None = None, is_sent: bool = False) -> None:
    """`frame` is refused, received or sent, and nothing of the side's account has changed."""
    before = account(side)
    with pytest.raises(ProtocolError, match=match) as caught:
        put(side, frame, is_sent=is_sent)
    assert caught.value.close_code is CloseCode.PROTOCOL_ERROR
    assert account(side) == before


def put(side: Side, frame: Frame, *, is_sent: bool) -> None:
    """Have the side send the frame, or receive it."""
    if is_sent:
        assert side.send(frame, 0.0) == encode(frame)
    else:
        assert side.receive(encode(frame), 0.0) == frame


def account(side: Side) -> tuple[object, ...]:
    times = (side.ping_due_s, side.dead_at_s)
    return (side.state, side.credit_deliveries, side.credit_bytes, list(side.outstanding), *times)


# The table


FROM_CLIENT = {Credit, Answer, AnswerBody, Acknowledge, Ping, Pong, Close}
FROM_RELAY = {Delivery, DeliveryBody, Skipped, Ping, Pong, Close}

TABLE: list[tuple[type[Side], str, State, set[type[Frame]]]] = [
    (RelaySide, "receive", State.NEW, {Hello, Close}),
    (RelaySide, "receive", State.GREETED, {Close}),
    (RelaySide, "receive", State.OPEN, FROM_CLIENT),
    (RelaySide, "receive", State.CLOSING, FROM_CLIENT | {Hello}),
    (RelaySide, "receive", State.ENDED, set()),
    (RelaySide, "send", State.NEW, {Close}),
    (RelaySide, "send", State.GREETED, {Welcome, Close}),
    (RelaySide, "send", State.OPEN, FROM_RELAY),
    (RelaySide, "send", State.CLOSING, set()),
    (RelaySide, "send", State.ENDED, {Close}),
    (ClientSide, "receive", State.NEW, {Close}),
    (ClientSide, "receive", State.GREETED, {Welcome, Close}),
    (ClientSide, "receive", State.OPEN, FROM_RELAY),
    (ClientSide, "receive", State.CLOSING, FROM_RELAY | {Welcome}),
    (ClientSide, "receive", State.ENDED, set()),
    (ClientSide, "send", State.NEW, {Hello, Close}),
    (ClientSide, "send", State.GREETED, {Close}),
    (ClientSide, "send", State.OPEN, FROM_CLIENT),
    (ClientSide, "send", State.CLOSING, set()),
    (ClientSide, "send", State.ENDED, {Close}),
]


def in_state(kind: type[Side], state: State) -> Side:
    """A side in that state, with deliveries 1 and 2 and a Ping under way where the state has them."""
    tunnel = Tunnel(is_open=False)
    if state is not State.NEW:
        tunnel.up(HELLO)
    if state not in (State.NEW, State.GREETED):
        tunnel.down(WELCOME, delivery(1), delivery(2), delivery(3, b"a", 4), Ping(7))
        tunnel.up(Ping(7), answer(2, is_last=False))
    side: Side = tunnel.relay if kind is RelaySide else tunnel.client
    if state is State.CLOSING:
        side.send(BYE, 0.0)
    if state is State.ENDED:
        side.receive(encode(BYE), 0.0)
    assert side.state is state
    return side


def example(kind: type[Frame]) -> Frame:
    """A frame of that kind that fits what `in_state` has under way."""
    fitting: dict[type[Frame], Frame] = {
        Hello: HELLO,
        Welcome: WELCOME,
        Delivery: delivery(9),
        DeliveryBody: DeliveryBody(3, b"b", False),
        Skipped: Skipped(3, 3, 1, "expired"),
        Answer: answer(1),
        AnswerBody: AnswerBody(2, b"", False),
        Acknowledge: Acknowledge(1),
        Pong: Pong(7),
    }
    return fitting.get(kind) or next(frame for frame in EACH if type(frame) is kind)


@pytest.mark.parametrize(
    ("kind", "way", "state", "allowed"),
    TABLE,
    ids=lambda cell: cell.name if isinstance(cell, State) else getattr(cell, "__name__", cell),
)
def test_each_frame_is_taken_in_its_turn_and_refused_out_of_it(
    kind: type[Side], way: str, state: State, allowed: set[type[Frame]]
) -> None:
    for each in {type(frame) for frame in EACH}:
        side, frame = in_state(kind, state), example(each)
        is_sent = way == "send"
        if each is Delivery and Skipped in allowed and state is State.OPEN:
            put(side, Skipped(3, 3, 1, "expired"), is_sent=is_sent)  # or the body of 3 would be in the way
        if each not in allowed:
            refused(side, frame, match=r"out of turn|cannot be sent now", is_sent=is_sent)
        elif each is Delivery and state is State.CLOSING:
            refused(side, frame, match="before the body of 3")  # its turn, but a body is under way
        else:
            put(side, frame, is_sent=is_sent)


def test_a_tunnel_opens_with_hello_and_welcome() -> None:
    tunnel = Tunnel()
    for side in (tunnel.relay, tunnel.client):
        assert side.state is State.OPEN
        assert (side.hello, side.welcome) == (HELLO, WELCOME)
        assert (side.credit_deliveries, side.credit_bytes) == (4, 100)


def test_after_close_what_the_other_side_had_under_way_still_counts() -> None:
    tunnel = Tunnel()
    tunnel.down(delivery(1, b"x"), delivery(2))
    late = tunnel.client.send(answer(1), 0.0)
    tunnel.down(BYE)
    assert (tunnel.relay.state, tunnel.client.state) == (State.CLOSING, State.ENDED)
    tunnel.relay.receive(late, 0.0)
    assert list(tunnel.relay.outstanding) == [2]
    tunnel.up(Close(CloseCode.SHUTTING_DOWN, "too"))
    assert (tunnel.relay.state, tunnel.client.state) == (State.ENDED, State.ENDED)


def test_a_relay_that_turns_a_client_away_before_its_hello_may_still_hear_it() -> None:
    tunnel = Tunnel(is_open=False)
    tunnel.relay.send(Close(CloseCode.TOO_MANY, "later"), 0.0)
    tunnel.relay.receive(tunnel.client.send(HELLO, 0.0), 0.0)
    assert tunnel.relay.state is State.CLOSING


def test_a_welcome_for_a_client_that_gave_up_before_its_hello_is_refused() -> None:
    client = ClientSide(0.0)
    client.send(BYE, 0.0)
    refused(client, WELCOME, match="before Hello")
    refused(client, delivery(1), match="without credit")


def test_a_welcome_under_way_while_the_client_gives_up_is_taken() -> None:
    client = ClientSide(0.0)
    client.send(HELLO, 0.0)
    client.send(BYE, 0.0)
    client.receive(encode(WELCOME), 0.0)
    assert (client.state, client.welcome) == (State.CLOSING, WELCOME)


# Versions


def test_the_highest_common_version_is_spoken_and_none_means_upgrade() -> None:
    assert [common_version(version) for version in (1, 2, 255)] == [1, 1, 1]
    for side in (RelaySide(0.0),):
        with pytest.raises(ProtocolError) as caught:
            side.receive(encode(replace(HELLO, version=0)), 0.0)
        assert caught.value.close_code is CloseCode.UPGRADE_NEEDED
        assert side.state is State.NEW


@pytest.mark.parametrize("version", [0, 2])
def test_a_welcome_in_a_version_that_was_not_offered_means_upgrade(version: int) -> None:
    client = ClientSide(0.0)
    client.send(replace(HELLO, version=5), 0.0)
    with pytest.raises(ProtocolError) as caught:
        client.receive(encode(replace(WELCOME, version=version)), 0.0)
    assert caught.value.close_code is CloseCode.UPGRADE_NEEDED
    assert client.state is State.GREETED
    client.send(Close(CloseCode.UPGRADE_NEEDED, "a later relay"), 0.0)


def test_a_heartbeat_of_no_length_is_refused() -> None:
    client = ClientSide(0.0)
    client.send(HELLO, 0.0)
    refused(client, replace(WELCOME, heartbeat_s=0.0), match="heartbeat")


# Deliveries and credit


def test_credit_is_spent_by_deliveries_and_pieces_and_given_back_by_the_client() -> None:
    tunnel = Tunnel()
    tunnel.down(delivery(1, b"abc"), delivery(2, b"", 70), DeliveryBody(2, bytes(60), False))
    tunnel.down(DeliveryBody(2, bytes(10), True))
    for side in (tunnel.relay, tunnel.client):
        assert (side.credit_deliveries, side.credit_bytes) == (2, 27)
        assert list(side.outstanding) == [1, 2]
    tunnel.up(Credit(1, 3), Credit(0, 0))
    for side in (tunnel.relay, tunnel.client):
        assert (side.credit_deliveries, side.credit_bytes) == (3, 30)


@pytest.mark.parametrize("is_sent", [True, False])
def test_nothing_is_sent_or_taken_beyond_the_credit(is_sent: bool) -> None:
    tunnel = Tunnel(replace(HELLO, window_deliveries=2, window_bytes=10))
    side: Side = tunnel.relay if is_sent else tunnel.client
    refused(side, delivery(1, bytes(11)), match="bytes without credit", is_sent=is_sent)
    tunnel.down(delivery(1, bytes(10)), delivery(2, b"", 4))
    refused(side, DeliveryBody(2, b"abcd", True), match="bytes without credit", is_sent=is_sent)
    tunnel.up(Credit(0, 4))
    tunnel.down(DeliveryBody(2, b"abcd", True))
    refused(side, delivery(3), match="delivery without credit", is_sent=is_sent)


@pytest.mark.parametrize("credit", [Credit(0, MAX_COUNT), Credit(1, MAX_COUNT)])
def test_credit_beyond_all_bounds_is_refused(credit: Credit) -> None:
    refused(Tunnel().relay, credit, match="bounds")


def test_sequence_numbers_only_rise() -> None:
    tunnel = Tunnel()
    tunnel.down(delivery(5))
    for seq in (5, 4, 1):
        refused(tunnel.client, delivery(seq), match="after 5")
        refused(tunnel.relay, delivery(seq), match="after 5", is_sent=True)
    tunnel.down(delivery(8))


WRONG_PIECES: list[tuple[Frame, str]] = [
    (DeliveryBody(2, b"d", True), "not under way"),
    (DeliveryBody(1, b"defg", True), "as long as announced"),
    (DeliveryBody(1, b"def", False), "as long as announced"),
    (DeliveryBody(1, b"de", True), "as long as announced"),
    (DeliveryBody(1, b"", False), "empty piece"),
    (delivery(2), "before the body of 1"),
    (Skipped(2, 2, 1, "expired"), "skipped after"),
    (Skipped(1, 2, 1, "expired"), "skipped after"),
]


@pytest.mark.parametrize(("frame", "match"), WRONG_PIECES)
def test_a_body_comes_in_order_and_as_long_as_announced(frame: Frame, match: str) -> None:
    tunnel = Tunnel()
    tunnel.down(delivery(1, b"abc", 6))
    refused(tunnel.client, frame, match=match)
    refused(tunnel.relay, frame, match=match, is_sent=True)
    tunnel.down(DeliveryBody(1, b"def", True))
    refused(tunnel.client, DeliveryBody(1, b"", True), match="not under way")


@pytest.mark.parametrize(
    "wrong",
    [
        replace(delivery(1, b"abc"), body_bytes=2),
        replace(delivery(1, b"abc"), body_bytes=4),
        replace(delivery(1, b"abc"), is_last=False),
    ],
    ids=["too much", "too little", "more to come"],
)
def test_a_first_piece_that_is_not_as_announced_is_refused(wrong: Delivery) -> None:
    refused(Tunnel().client, wrong, match="as long as announced")


def test_a_first_piece_may_be_empty_while_there_is_no_credit_for_bytes() -> None:
    tunnel = Tunnel(replace(HELLO, window_bytes=0))
    tunnel.down(delivery(1, b"", 3))
    tunnel.up(Credit(0, 3))
    tunnel.down(DeliveryBody(1, b"abc", True))


def test_skipped_numbers_do_not_come_later() -> None:
    tunnel = Tunnel()
    tunnel.down(Skipped(1, 4, 3, "expired"), delivery(5))
    refused(tunnel.client, Skipped(5, 6, 1, "expired"), match="skipped after 5")
    tunnel.down(Skipped(6, 9, 4, "backlog"))
    refused(tunnel.client, delivery(9), match="after 9")


def test_a_body_that_breaks_off_is_skipped_and_may_still_be_acknowledged() -> None:
    tunnel = Tunnel()
    tunnel.down(delivery(1, b"abc", 6), Skipped(1, 1, 1, "expired"), delivery(2))
    tunnel.up(Acknowledge(1), answer(2))
    assert not tunnel.relay.outstanding


# Answers


def test_answers_may_come_in_any_order_and_in_pieces_side_by_side() -> None:
    tunnel = Tunnel()
    tunnel.down(delivery(1), delivery(2), delivery(3))
    tunnel.up(answer(3, is_last=False), answer(1, is_last=False), AnswerBody(3, b"x", False), Acknowledge(2))
    assert list(tunnel.relay.outstanding) == [1, 3]
    tunnel.up(AnswerBody(1, b"", True), AnswerBody(3, b"y", True))
    assert list(tunnel.relay.outstanding) == list(tunnel.client.outstanding) == []


def test_an_answer_may_come_before_the_body_is_complete() -> None:
    tunnel = Tunnel()
    tunnel.down(delivery(1, b"abc", 6))
    tunnel.up(answer(1))
    tunnel.down(DeliveryBody(1, b"def", True), delivery(2))
    assert list(tunnel.relay.outstanding) == [2]


WRONG_ANSWERS: list[Frame] = [
    answer(4),  # never sent
    Acknowledge(4),
    AnswerBody(4, b"", True),
    answer(1),  # answered
    Acknowledge(1),
    AnswerBody(1, b"", True),
    answer(2),  # has begun
    Acknowledge(2),
    AnswerBody(3, b"", True),  # has not begun
]


@pytest.mark.parametrize("wrong", WRONG_ANSWERS)
def test_an_answer_to_what_does_not_wait_for_it_is_refused(wrong: Frame) -> None:
    tunnel = Tunnel()
    tunnel.down(delivery(1), delivery(2), delivery(3))
    tunnel.up(answer(1), answer(2, is_last=False))
    refused(tunnel.relay, wrong, match="not waiting")
    refused(tunnel.client, wrong, match="not waiting", is_sent=True)


def test_an_observer_gives_credit_but_answers_nothing() -> None:
    tunnel = Tunnel(replace(HELLO, mode=Mode.OBSERVE))
    tunnel.down(delivery(1, b"abc"))
    tunnel.up(Credit(1, 3))
    assert not tunnel.client.outstanding
    refused(tunnel.client, answer(1), is_sent=True)
    refused(tunnel.relay, Acknowledge(1))


# Heartbeats


@pytest.mark.parametrize("kind", [RelaySide, ClientSide])
def test_a_peer_that_says_nothing_at_first_is_dead_soon_and_never_pinged(kind: type[Side]) -> None:
    side = kind(100.0)
    assert (side.ping_due_s, side.dead_at_s) == (inf, 115.0)


def test_a_ping_is_due_after_silence_and_death_after_three_times_that() -> None:
    tunnel = Tunnel()
    tunnel.now_s = 1_005.0
    tunnel.down(delivery(1))
    assert (tunnel.client.ping_due_s, tunnel.client.dead_at_s) == (1_025.0, 1_065.0)
    assert (tunnel.relay.ping_due_s, tunnel.relay.dead_at_s) == (1_020.0, 1_060.0)  # it heard nothing since
    tunnel.client.send(Ping(1), 1_025.0)
    assert (tunnel.client.ping_due_s, tunnel.client.dead_at_s) == (1_045.0, 1_065.0)
    tunnel.client.receive(encode(Pong(1)), 1_026.0)
    assert (tunnel.client.ping_due_s, tunnel.client.dead_at_s) == (1_046.0, 1_086.0)


def test_a_pong_answers_its_ping_and_those_before_and_nothing_else() -> None:
    tunnel = Tunnel()
    refused(tunnel.client, Pong(1), match="without its Ping")
    for nonce in (1, 2, 3):
        tunnel.up(Ping(nonce))
    tunnel.down(Pong(1), Pong(3))
    for nonce in (1, 2, 3):
        refused(tunnel.client, Pong(nonce), match="without its Ping")


def test_bytes_that_are_no_frame_leave_the_side_as_it_was() -> None:
    tunnel = Tunnel()
    before = account(tunnel.relay)
    with pytest.raises(ProtocolError):
        tunnel.relay.receive(b"\xff", 5_000.0)
    assert account(tunnel.relay) == before


def test_a_frame_that_cannot_be_encoded_leaves_the_side_as_it_was() -> None:
    tunnel = Tunnel()
    tunnel.down(delivery(1))
    refused(tunnel.client, replace(answer(1), reason="\n"), match="CR, LF", is_sent=True)
    tunnel.up(answer(1))
