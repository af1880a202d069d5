"""The codec: every frame comes back as it was, and no bytes whatever do anything else than fail as they should."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tunnel_protocol.drawing import ANSWER, CLOSE, DELIVERY, EACH, HELLO, PIECE, WELCOME, frames
from webhookctl.errors import ExitCode
from webhookctl.tunnel_protocol import (
    CHUNK_BYTES,
    MAX_COUNT,
    MAX_FIELDS,
    MAX_FRAME_BYTES,
    MAX_HEAD_BYTES,
    MAX_TEXT_BYTES,
    Acknowledge,
    Answer,
    AnswerBody,
    Close,
    CloseCode,
    Credit,
    Delivery,
    DeliveryBody,
    Frame,
    Ping,
    ProtocolError,
    Skipped,
    decode,
    encode,
)

EXAMPLES = settings(derandomize=True, deadline=None, database=None, max_examples=2_000)

HAS_BODY = (Delivery, DeliveryBody, Answer, AnswerBody)


def is_refused(data: bytes) -> bool:
    """Whether `data` decodes to nothing; anything but a ProtocolError passes through and fails the test."""
    try:
        decode(data)
    except ProtocolError:
        return True
    return False


@settings(EXAMPLES, max_examples=800)
@given(frames)
def test_every_frame_comes_back_as_it_was(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


@pytest.mark.parametrize("frame", EACH, ids=lambda frame: type(frame).__name__)
def test_a_frame_cut_at_any_byte_is_refused_or_lacks_only_body(frame: Frame) -> None:
    whole = encode(frame)
    body = getattr(frame, "body", getattr(frame, "data", b""))
    for end in range(len(whole)):
        if end < len(whole) - len(body):
            assert is_refused(whole[:end]), end
        else:
            assert not is_refused(whole[:end]), end  # its body only is shorter: the sides count that


@pytest.mark.parametrize("frame", EACH, ids=lambda frame: type(frame).__name__)
def test_bytes_after_the_end_are_refused_or_belong_to_the_body(frame: Frame) -> None:
    assert is_refused(encode(frame) + b"\x00") != isinstance(frame, HAS_BODY)


@EXAMPLES
@given(st.binary(max_size=300))
def test_random_bytes_are_a_frame_or_a_protocol_error(data: bytes) -> None:
    is_refused(data)


@EXAMPLES
@given(st.integers(0, 13), st.binary(max_size=120))
def test_random_bytes_after_a_kind_are_a_frame_or_a_protocol_error(kind: int, data: bytes) -> None:
    is_refused(bytes((kind,)) + data)


def test_damaged_frames_are_a_frame_that_can_be_sent_on_or_a_protocol_error() -> None:
    draw = random.Random(20_261_123)
    originals = [encode(frame) for frame in EACH]
    accepted = 0
    for number in range(14_000):
        data = bytearray(originals[number % len(originals)])
        for _ in range(draw.randrange(1, 4)):
            place = draw.randrange(len(data) + 1)
            match draw.randrange(4):
                case 0:
                    data[place:place] = draw.randbytes(draw.randrange(1, 9))
                case 1:
                    del data[place : place + draw.randrange(1, 9)]
                case 2:
                    data[place : place + 4] = draw.choice(
                        (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff")
                    )
                case _:
                    data[place : place + 1] = draw.randbytes(1)
        try:
            frame = decode(bytes(data))
        except ProtocolError:
            continue
        accepted += 1
        assert decode(encode(frame)) == frame
    assert 0 < accepted < 14_000


def test_all_kinds_that_do_not_exist_are_refused() -> None:
    known = {encode(frame)[0] for frame in EACH}
    assert known == set(range(1, 13))
    for kind in set(range(256)) - known:
        assert is_refused(bytes((kind,)) + bytes(40))


def test_nothing_is_no_frame_and_neither_is_too_much() -> None:
    assert is_refused(b"")
    assert is_refused(encode(PIECE) + bytes(MAX_FRAME_BYTES))


def test_the_largest_head_with_the_largest_first_piece_fits_into_one_frame() -> None:
    value = bytes(b"v" * (MAX_HEAD_BYTES - 200 - MAX_FIELDS * 4))
    headers = ((b"Long", value), *((b"X-A", b""),) * (MAX_FIELDS - 1))
    frame = replace(DELIVERY, headers=tuple(headers), body=bytes(CHUNK_BYTES))
    data = encode(frame)
    assert len(data) <= MAX_FRAME_BYTES
    assert decode(data) == frame


def too_much() -> list[Frame]:
    """Frames that no side may send."""
    long = "x" * (MAX_TEXT_BYTES + 1)
    wrong: list[Frame] = [
        replace(HELLO, channel=long),
        replace(HELLO, cursor=-1),
        replace(HELLO, window_bytes=MAX_COUNT + 1),
        replace(HELLO, backlog=-2),
        replace(HELLO, version=256),
        replace(WELCOME, url=long),
        replace(WELCOME, heartbeat_s=float("nan")),
        replace(WELCOME, deadline_s=float("inf")),
        replace(WELCOME, heartbeat_s=-1.0),
        replace(WELCOME, head=MAX_COUNT + 1),
        replace(WELCOME, session="\ud800"),
        replace(DELIVERY, seq=0),
        replace(DELIVERY, seq=MAX_COUNT + 1),
        replace(DELIVERY, attempt=2**32),
        replace(DELIVERY, received_at_s=float("inf")),
        replace(DELIVERY, body_bytes=-1),
        replace(DELIVERY, target="/\u0100"),
        replace(DELIVERY, target="/\r\n"),
        replace(DELIVERY, method="GET\0"),
        replace(DELIVERY, body=bytes(CHUNK_BYTES + 1)),
        replace(DELIVERY, headers=((b"", b"1"),)),
        replace(DELIVERY, headers=((b"X: y", b"1"),)),
        replace(DELIVERY, headers=((b"X\xe9", b"1"),)),
        replace(DELIVERY, headers=((b"X", b"1\r\nY: 2"),)),
        replace(DELIVERY, headers=((b"X", b"1\n"),)),
        replace(DELIVERY, headers=((b"X", b"1\r"),)),
        replace(DELIVERY, headers=((b"X", b"\0"),)),
        replace(DELIVERY, headers=((b"X", b"v" * MAX_HEAD_BYTES),)),
        replace(DELIVERY, headers=((b"X", b""),) * (MAX_FIELDS + 1)),
        replace(ANSWER, status=99),
        replace(ANSWER, status=1_000),
        replace(ANSWER, reason="\u0100"),
        replace(ANSWER, reason="OK\r\nX: 1"),
        replace(ANSWER, body=bytes(CHUNK_BYTES + 1)),
        DeliveryBody(1, bytes(CHUNK_BYTES + 1), False),
        AnswerBody(0, b"", True),
        Skipped(0, 1, 1, ""),
        Skipped(2, 1, 1, ""),
        Skipped(1, 2, 3, ""),
        Skipped(1, 2, 0, ""),
        Credit(-1, 0),
        Credit(0, -1),
        Acknowledge(0),
        Ping(2**64),
        Close(CloseCode.REVOKED, long),
    ]
    return wrong


@pytest.mark.parametrize("frame", too_much())
def test_what_no_peer_would_take_is_not_encoded(frame: Frame) -> None:
    with pytest.raises(ProtocolError) as caught:
        encode(frame)
    assert caught.value.close_code is CloseCode.PROTOCOL_ERROR
    assert caught.value.exit_code == ExitCode.RELAY


def swapped(frame: Frame, old: bytes, new: bytes) -> bytes:
    """The frame's bytes with one part replaced by another of the same length."""
    data = encode(frame)
    assert data.count(old) == 1
    assert len(old) == len(new)
    return data.replace(old, new)


@pytest.mark.parametrize(
    "data",
    [
        swapped(DELIVERY, b"Content-Type", b"Content:Type"),
        swapped(DELIVERY, b"application/json", b"application\r\nX: "),
        swapped(DELIVERY, b"192.0.2.1", b"192.0.2.\n"),
        swapped(ANSWER, b"OK", b"O\0"),
        swapped(CLOSE, b"soon", b"soo\xff"),
        swapped(CLOSE, (4503).to_bytes(2), (4999).to_bytes(2)),
        swapped(PIECE, (42).to_bytes(8), bytes(8)),
    ],
    ids=["name", "line-break", "peer", "reason", "utf-8", "code", "seq"],
)
def test_a_peer_that_sends_what_may_not_be_encoded_is_refused_as_well(data: bytes) -> None:
    assert is_refused(data)


def test_unknown_flags_and_numbers_out_of_range_are_refused() -> None:
    flags: dict[Frame, int] = {DELIVERY: 21, ANSWER: 11, PIECE: 9}
    for frame, place in flags.items():
        data = bytearray(encode(frame))
        data[place] |= 0x80
        assert is_refused(bytes(data)), frame
    hello = bytearray(encode(HELLO))
    hello[2] = 3
    assert is_refused(bytes(hello))  # no such mode
    answer = bytearray(encode(ANSWER))
    answer[9:11] = (42).to_bytes(2)
    assert is_refused(bytes(answer))  # no such status


def test_more_header_fields_than_allowed_are_refused_before_their_lengths_are_read() -> None:
    answer = bytearray(encode(ANSWER))
    answer[12:14] = (MAX_FIELDS + 1).to_bytes(2)
    with pytest.raises(ProtocolError, match="header fields"):
        decode(bytes(answer))


def test_a_later_hello_may_say_more_at_its_end_so_that_its_version_can_be_answered() -> None:
    later = bytearray(encode(replace(HELLO, version=2)) + b"what version 2 added")
    assert decode(bytes(later)) == replace(HELLO, version=2)
    later[1] = 1
    assert is_refused(bytes(later))


def test_the_hint_of_a_version_error_names_the_remedy() -> None:
    hints: dict[Any, str] = {code: ProtocolError(code, "it is so").hint for code in CloseCode}
    assert hints[CloseCode.UPGRADE_NEEDED] == "upgrade the older side"
    assert set(hints.values()) == {hints[CloseCode.UPGRADE_NEEDED], hints[CloseCode.PROTOCOL_ERROR]}
    assert ProtocolError(CloseCode.REVOKED, "it is so").code == "tunnel-protocol"


def test_the_bytes_of_a_frame_are_pinned() -> None:
    """A change here breaks every client and relay that is out there: it needs a new version."""
    assert encode(Acknowledge(7)).hex() == "090000000000000007"
    answer = Answer(7, 200, "OK", ((b"A", b"b"),), b"!", True)
    assert encode(answer).hex() == (
        "07000000000000000700c802000100000002" + "0000000100000001" + "4f4b" + "4162" + "21"
    )
    assert encode(Close(CloseCode.REVOKED, "no")).hex() == "0c113300026e6f"
