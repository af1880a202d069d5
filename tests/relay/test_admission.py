"""The door: proxies that are believed, allow-lists, rates, quotas, and the gate that lets signed deliveries in only."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.relay.doors import NOW_S
from tests.relay.test_channel import made
from webhookctl import signing
from webhookctl.errors import UsageError
from webhookctl.model import Headers, Request, Secret, header_value
from webhookctl.relay import admission as door
from webhookctl.relay.admission import Admission, Buckets, Origin, Rate, Reason, Refusal, network_of
from webhookctl.relay.channel import Channel, Gate, revoked

SECRET = Secret("whsec_dGVzdHMgb25seTogYSBzZWNyZXQ=", "env:GATE")


def read_secret(reference: str) -> Secret:
    if reference != "env:GATE":
        raise UsageError("secret-missing", "the environment variable is not set")
    return SECRET


def admission(*, trusted: tuple[str, ...] = (), rate: Rate | None = None) -> Admission:
    return Admission(read_secret=read_secret, trusted_proxies=trusted, address_rate=rate)


def checked(
    channel: Channel | None,
    at: Admission | None = None,
    *,
    address: str = "192.0.2.7",
    now_s: float = NOW_S,
    body_bytes: int | None = 10,
    pending: int = 0,
    pending_bytes: int = 0,
) -> Refusal | None:
    return (at or admission()).check(
        channel,
        address=address,
        now_s=now_s,
        body_bytes=body_bytes,
        pending=pending,
        pending_bytes=pending_bytes,
    )


def refused(refusal: Refusal | None) -> tuple[int, Reason]:
    assert refusal is not None
    return refusal.response.status, refusal.reason


def retry_after(refusal: Refusal | None) -> bytes | None:
    assert refusal is not None
    return header_value(refusal.response.headers, "Retry-After")


def test_an_ordinary_delivery_comes_in() -> None:
    assert checked(made()[0]) is None
    assert checked(made()[0], body_bytes=None) is None


def test_unknown_revoked_and_expired_channels_are_the_same_404_to_the_byte() -> None:
    channel, _ = made()
    expired = replace(channel, expires_at_s=NOW_S)
    answers = [checked(each) for each in (None, revoked(channel), expired)]
    assert {refused(answer) for answer in answers} == {(404, Reason.UNKNOWN)}
    assert len({answer.response.body for answer in answers if answer}) == 1
    assert len({answer.response.headers for answer in answers if answer}) == 1


def test_a_channel_is_open_until_the_moment_it_expires() -> None:
    channel = replace(made()[0], expires_at_s=NOW_S + 1)
    assert checked(channel) is None
    assert refused(checked(channel, now_s=NOW_S + 1)) == (404, Reason.UNKNOWN)


@pytest.mark.parametrize(
    ("address", "is_in"),
    [
        ("192.0.2.7", True),
        ("192.0.3.7", False),
        ("2001:db8::9", True),
        ("2001:db9::9", False),
        ("no address", False),
    ],
)
def test_an_allow_list_lets_its_networks_in_alone(address: str, is_in: bool) -> None:
    channel = replace(made()[0], allowed_networks=("192.0.2.0/24", "2001:db8::/32"))
    answer = checked(channel, address=address)
    assert answer is None if is_in else refused(answer) == (403, Reason.NETWORK)


def test_an_address_written_as_ipv6_is_judged_as_the_ipv4_address_it_is() -> None:
    channel = replace(made()[0], allowed_networks=("192.0.2.0/24",))
    assert checked(channel, address="::ffff:192.0.2.7") is None


def test_above_its_rate_a_channel_answers_429_until_tokens_are_back() -> None:
    channel, at = replace(made()[0], rate_per_s=2.0, burst=3), admission()
    assert [checked(channel, at) for _ in range(3)] == [None] * 3
    answer = checked(channel, at)
    assert refused(answer) == (429, Reason.RATE)
    assert retry_after(answer) == b"1"
    assert checked(channel, at, now_s=NOW_S + 0.5) is None
    assert refused(checked(channel, at, now_s=NOW_S + 0.5)) == (429, Reason.RATE)


def test_without_a_burst_a_channel_takes_twice_its_rate_at_once() -> None:
    channel, at = replace(made()[0], rate_per_s=2.0), admission()
    answers = [checked(channel, at) for _ in range(5)]
    assert [answer is None for answer in answers] == [True, True, True, True, False]


def test_the_wait_of_a_slow_rate_is_told_in_whole_seconds() -> None:
    channel, at = replace(made()[0], rate_per_s=1 / 60), admission()
    assert checked(channel, at) is None
    assert retry_after(checked(channel, at)) == b"60"


def test_one_address_above_its_rate_stops_nobody_else() -> None:
    at, channel = admission(rate=Rate(1.0, 2.0)), made()[0]
    answers = [checked(channel, at) for _ in range(3)]
    assert refused(answers[2]) == (429, Reason.RATE)
    assert checked(channel, at, address="192.0.2.8") is None


def test_the_addresses_of_one_ipv6_network_are_one_sender_and_guessing_counts() -> None:
    at = admission(rate=Rate(1.0, 2.0))
    assert refused(checked(None, at, address="2001:db8::1")) == (404, Reason.UNKNOWN)
    assert refused(checked(None, at, address="2001:db8::2")) == (404, Reason.UNKNOWN)
    assert refused(checked(None, at, address="2001:db8::3")) == (429, Reason.RATE)
    assert refused(checked(None, at, address="2001:db8:0:1::3")) == (404, Reason.UNKNOWN)


def test_a_body_larger_than_the_channel_takes_is_413_before_it_is_read() -> None:
    channel = replace(made()[0], max_body_bytes=10)
    assert checked(channel, body_bytes=10) is None
    assert refused(checked(channel, body_bytes=11)) == (413, Reason.TOO_LARGE)
    assert refused(door.too_large(channel)) == (413, Reason.TOO_LARGE)


@pytest.mark.parametrize(
    ("pending", "pending_bytes", "body_bytes", "is_in"),
    [(1, 0, 0, True), (2, 0, 0, False), (0, 90, 10, True), (0, 90, 11, False), (0, 101, None, False)],
)
def test_a_full_channel_answers_429_and_when_to_come_again(
    pending: int, pending_bytes: int, body_bytes: int | None, is_in: bool
) -> None:
    channel = replace(made()[0], max_pending=2, max_pending_bytes=100)
    answer = checked(channel, pending=pending, pending_bytes=pending_bytes, body_bytes=body_bytes)
    if is_in:
        assert answer is None
    else:
        assert refused(answer) == (429, Reason.QUOTA)
        assert retry_after(answer) == b"60"


def test_limits_of_zero_are_none() -> None:
    channel = replace(made()[0], max_pending=0, max_pending_bytes=0, max_body_bytes=0)
    assert checked(channel, pending=10**6, pending_bytes=10**12, body_bytes=10**12) is None


# Who sent it


FORWARDED: Headers = ((b"X-Forwarded-For", b"203.0.113.9, 198.51.100.4"), (b"X-Forwarded-Proto", b"https"))


def test_nobody_is_believed_who_is_not_trusted() -> None:
    origin = admission().origin("127.0.0.1:5000", is_tls=False, headers=FORWARDED)
    assert origin == Origin("127.0.0.1", is_tls=False)


def test_a_trusted_proxy_tells_who_came_to_it_and_no_more() -> None:
    """What stands before the last hop was written by the sender, who may write anything."""
    origin = admission(trusted=("127.0.0.0/8",)).origin("127.0.0.1", is_tls=False, headers=FORWARDED)
    assert origin == Origin("198.51.100.4", is_tls=True)


def test_a_chain_of_trusted_proxies_is_followed_to_its_first_stranger() -> None:
    at = admission(trusted=("127.0.0.0/8", "198.51.100.0/24"))
    assert at.origin("127.0.0.1", is_tls=True, headers=FORWARDED) == Origin("203.0.113.9", is_tls=True)
    only_proxies: Headers = ((b"x-forwarded-for", b"198.51.100.1"),)
    assert at.origin("127.0.0.1", is_tls=True, headers=only_proxies).address == "198.51.100.1"


@pytest.mark.parametrize("value", [b"", b"unknown", b"203.0.113.9, unknown", b"<script>", b",,"])
def test_a_hop_that_is_no_address_ends_the_chain(value: bytes) -> None:
    at = admission(trusted=("127.0.0.1",))
    assert at.origin("127.0.0.1", is_tls=False, headers=((b"X-Forwarded-For", value),)).address == "127.0.0.1"


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_addresses_are_read_with_and_without_port(peer: str, address: str) -> None:
    assert admission().origin(peer, is_tls=False, headers=()).address == address


def test_senders_count_by_address_and_in_ipv6_by_network() -> None:
    assert network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert network_of("elsewhere") == "elsewhere"


# The gate


def gated(secret: str = "env:GATE", provider: str = "standardwebhooks") -> Channel:
    return replace(made()[0], gate=Gate(provider, secret))


def signed(body: bytes, *, at_s: float = NOW_S) -> Request:
    scheme = signing.load("standardwebhooks")
    made_headers = signing.sign(scheme, SECRET, body=body, timestamp_s=at_s, message_id="msg_1")
    return Request("POST", "/", made_headers, body)


def test_what_the_provider_signed_comes_through_the_gate() -> None:
    request = signed(b'{"type":"sample"}')
    assert admission().check_signature(gated(), request, url="https://x.example.com/", now_s=NOW_S) is None


def test_what_was_forged_changed_or_is_old_is_401_and_the_log_knows_why() -> None:
    request = signed(b'{"type":"sample"}')
    at = admission()
    for bad, now_s in (
        (replace(request, body=b'{"type":"another"}'), NOW_S),
        (replace(request, headers=()), NOW_S),
        (request, NOW_S + 3600),
    ):
        answer = at.check_signature(gated(), bad, url="https://x.example.com/", now_s=now_s)
        assert refused(answer) == (401, Reason.SIGNATURE)
        assert answer is not None
        assert answer.detail
        assert answer.detail.encode() not in answer.response.body
        assert SECRET.reveal() not in answer.detail


def test_a_gate_that_cannot_judge_stays_shut() -> None:
    request = signed(b"{}")
    for channel in (gated(secret="env:NOT_SET"), gated(provider="no-such-provider")):
        answer = admission().check_signature(channel, request, url="", now_s=NOW_S)
        assert refused(answer) == (503, Reason.GATE)
        assert retry_after(answer) is not None


def test_without_a_gate_nothing_is_judged() -> None:
    request = Request("POST", "/", (), b"")
    assert admission().check_signature(made()[0], request, url="", now_s=NOW_S) is None


def test_a_scheme_that_signs_the_url_gets_the_url_the_sender_called() -> None:
    url = "https://hooks.example.com/abc?x=1"
    scheme = signing.load("square")
    secret = Secret("an auth token", "env:GATE")
    signature = signing.sign_request(
        scheme, secret, body=b'{"type":"sample"}', timestamp_s=NOW_S, message_id="", url=url
    )
    request = Request("POST", "/", signature.headers, b'{"type":"sample"}')
    at = Admission(read_secret=lambda _: secret)
    channel = gated(provider="square")
    assert at.check_signature(channel, request, url=url, now_s=NOW_S) is None
    assert refused(at.check_signature(channel, request, url=url + "2", now_s=NOW_S)) == (
        401,
        Reason.SIGNATURE,
    )


# Token buckets


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.floats(0.5, 10), st.integers(1, 8))
@settings(derandomize=True, deadline=None)
def test_a_bucket_never_lets_more_through_than_its_burst_and_its_rate(
    steps: list[float], per_s: float, burst: int
) -> None:
    buckets, now_s, taken = Buckets(), 0.0, 0
    for step in steps:
        now_s += step
        taken += buckets.wait_s("one", Rate(per_s, burst), now_s) == 0.0
        assert taken <= burst + per_s * now_s + 1e-6


def test_looking_takes_nothing_and_a_clock_that_goes_back_gives_nothing() -> None:
    buckets, rate = Buckets(), Rate(1.0, 1.0)
    assert buckets.wait_s("a", rate, 10.0, is_taken=False) == 0.0
    assert buckets.wait_s("a", rate, 10.0) == 0.0
    assert buckets.wait_s("a", rate, 10.0, is_taken=False) == 1.0
    assert buckets.wait_s("a", rate, 5.0) == 1.0


def test_buckets_forget_who_was_not_seen_for_longest() -> None:
    buckets, rate = Buckets(max_keys=2), Rate(0.001, 1.0)
    for key in ("a", "b", "a", "c"):
        buckets.wait_s(key, rate, 0.0)
    assert len(buckets) == 2
    assert buckets.wait_s("a", rate, 0.0) > 0
    assert buckets.wait_s("b", rate, 0.0) == 0.0
