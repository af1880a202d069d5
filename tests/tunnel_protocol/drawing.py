"""Frames as hypothesis draws them: every kind, every field over its whole range."""

from hypothesis import strategies as st

from webhookctl.model import Headers
from webhookctl.tunnel_protocol import (
    MAX_COUNT,
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

TOKEN = "!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz"

counts = st.one_of(st.integers(0, 3), st.integers(0, MAX_COUNT))
seqs = st.one_of(st.integers(1, 3), st.integers(1, MAX_COUNT))
small = st.integers(0, 2**32 - 1)
nonces = st.integers(0, 2**64 - 1)
seconds = st.floats(0, 1e12)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
lines = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=60)
names = st.text(TOKEN, min_size=1, max_size=20).map(str.encode)
values = lines.map(lambda line: line.encode("latin-1"))
headers: st.SearchStrategy[Headers] = st.lists(st.tuples(names, values), max_size=6).map(tuple)
bodies = st.binary(max_size=80)

hellos = st.builds(
    Hello,
    version=st.just(1),
    channel=texts,
    mode=st.sampled_from(Mode),
    cursor=counts,
    backlog=st.integers(-1, MAX_COUNT),
    window_deliveries=small,
    window_bytes=counts,
    instance=texts,
)
welcomes = st.builds(
    Welcome,
    version=st.integers(0, 255),
    channel=texts,
    url=texts,
    session=texts,
    heartbeat_s=seconds,
    deadline_s=seconds,
    policy=texts,
    head=counts,
    pending=counts,
)
deliveries = st.builds(
    Delivery,
    seq=seqs,
    delivery_id=lines,
    attempt=small,
    received_at_s=seconds,
    peer=lines,
    is_tls=st.booleans(),
    http_version=lines,
    url=lines,
    method=lines,
    target=lines,
    headers=headers,
    body_bytes=counts,
    body=bodies,
    is_last=st.booleans(),
)


@st.composite
def skips(draw: st.DrawFn) -> Skipped:
    """A range, and how many of it."""
    first, last = sorted((draw(seqs), draw(seqs)))
    return Skipped(first, last, draw(st.integers(1, last - first + 1)), draw(texts))


frames: st.SearchStrategy[Frame] = st.one_of(
    hellos,
    welcomes,
    deliveries,
    st.builds(DeliveryBody, seq=seqs, data=bodies, is_last=st.booleans()),
    skips(),
    st.builds(Credit, deliveries=small, body_bytes=counts),
    st.builds(
        Answer,
        seq=seqs,
        status=st.integers(100, 999),
        reason=lines,
        headers=headers,
        body=bodies,
        is_last=st.booleans(),
    ),
    st.builds(AnswerBody, seq=seqs, data=bodies, is_last=st.booleans()),
    st.builds(Acknowledge, seq=seqs),
    st.builds(Ping, nonce=nonces),
    st.builds(Pong, nonce=nonces),
    st.builds(Close, code=st.sampled_from(CloseCode), message=texts),
)

HEADERS: Headers = ((b"Content-Type", b"application/json"), (b"X-A", b""), (b"x-a", b"\xe9"))

HELLO = Hello(1, "my-app", Mode.CONSUME, 41, -1, 64, 4_194_304, "instance-1")
WELCOME = Welcome(1, "my-app", "https://hooks.example.com/abc", "s1", 20.0, 10.0, "queued", 44, 3)
DELIVERY = Delivery(
    42,
    "0198f0",
    1,
    1_795_000_000.25,
    "192.0.2.1:50312",
    True,
    "1.1",
    "https://hooks.example.com/abc/x?y=%2F\xe9",
    "POST",
    "/x?y=%2F\xe9",
    HEADERS,
    7,
    b"\x00\xffbody!",
    True,
)
PIECE = DeliveryBody(42, b"more", False)
SKIPPED = Skipped(1, 41, 40, "expired")
CREDIT = Credit(1, 7)
ANSWER = Answer(42, 200, "OK", HEADERS, b"thanks", True)
ANSWER_PIECE = AnswerBody(42, b"", True)
DONE = Acknowledge(42)
PING = Ping(1)
PONG = Pong(1)
CLOSE = Close(CloseCode.SHUTTING_DOWN, "back soon")

EACH: tuple[Frame, ...] = (
    HELLO,
    WELCOME,
    DELIVERY,
    PIECE,
    SKIPPED,
    CREDIT,
    ANSWER,
    ANSWER_PIECE,
    DONE,
    PING,
    PONG,
    CLOSE,
)
"""One of each kind."""
