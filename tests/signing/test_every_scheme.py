"""Every packaged scheme: what it signs verifies, a flipped bit is refused where it is covered, nothing raises."""

from functools import cache
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.signing.keys import URL, bodies_for, key_for
from webhookctl.errors import SignatureError
from webhookctl.model import Headers, Request, Secret, VerdictKind
from webhookctl.signing import (
    Coverage,
    Scheme,
    Search,
    Signed,
    load,
    provider_ids,
    sign,
    sign_request,
    verify,
)
from webhookctl.signing.content import Unsignable
from webhookctl.signing.presented import filled

NOW_S = 1_700_000_000.0
MESSAGE_ID = "msg_sample_0001"
SIGNED = tuple(provider for provider in provider_ids() if load(provider).is_signed)

NONE, FEW = Search(max_signatures=0), Search(max_signatures=16)
"""For tests that ask whether it is refused, not why: looking for the cause costs a hundred times the verdict."""

repeatable = settings(
    derandomize=True, deadline=None, max_examples=8, suppress_health_check=list(HealthCheck)
)


def made(scheme: Scheme, body: bytes) -> tuple[Signed, Request]:
    secret = Secret(key_for(scheme.id).secret)
    signed = sign_request(scheme, secret, body=body, timestamp_s=NOW_S, message_id=MESSAGE_ID, url=URL)
    return signed, Request("POST", target_of(signed.url), signed.headers, signed.body)


def target_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def with_bit_flipped(data: bytes, bit: int) -> bytes:
    flipped = bytearray(data)
    flipped[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(flipped)


def says_the_same(scheme: Scheme, one: bytes, other: bytes) -> bool:
    """True when both bodies give the same canonical values, as two ways to write the same content do."""

    def said(body: bytes) -> list[bytes]:
        values = {"body": body, "path": b"/", "url": b"", "method": b"POST", "ts": b"1"}
        found = filled(values, (), scheme.computed)
        return [found[slot] for slot in scheme.computed]

    try:
        return said(one) == said(other)
    except Unsignable:
        return False


@pytest.mark.parametrize("provider", SIGNED)
def test_what_is_signed_verifies_with_either_half_of_the_key(provider: str) -> None:
    scheme, key = load(provider), key_for(provider)

    @repeatable
    @given(body=bodies_for(scheme))
    def check(body: bytes) -> None:
        signed, request = made(scheme, body)
        for text in (key.secret, key.public):
            verdict = verify(scheme, [Secret(text)], request, now_s=NOW_S, url=signed.url)
            assert (verdict.kind, verdict.reason) == (VerdictKind.OK, "ok")

    check()


@pytest.mark.parametrize("provider", SIGNED)
def test_a_flipped_bit_in_a_covered_body_is_refused(provider: str) -> None:
    scheme, secret = load(provider), Secret(key_for(provider).public)

    @repeatable
    @given(body=bodies_for(scheme), bit=st.integers(min_value=0))
    def check(body: bytes, bit: int) -> None:
        signed, request = made(scheme, body)
        # The last part of a web token is its signature, some bits of which stand for nothing.
        covered = signed.body.rpartition(b".")[0] if provider == "wix" else signed.body
        assume(covered)
        changed = with_bit_flipped(covered, bit) + signed.body[len(covered) :]
        other = Request("POST", request.target, request.headers, changed)
        verdict = verify(scheme, [secret], other, now_s=NOW_S, url=signed.url, search=lambda: NONE)
        if scheme.coverage is Coverage.BYTES:
            assert verdict.is_bad
        elif scheme.coverage is Coverage.MEANING:
            assert verdict.is_bad or says_the_same(scheme, signed.body, changed)
            if not scheme.fields:
                assert verdict.is_ok == says_the_same(scheme, signed.body, changed)

    check()


@pytest.mark.parametrize("provider", SIGNED)
def test_a_flipped_bit_in_a_signed_header_is_refused(provider: str) -> None:
    scheme, secret = load(provider), Secret(key_for(provider).public)
    body = example_body(provider)
    signed, request = made(scheme, body)
    seen: set[str] = set()  # of a slot that several headers hold the first counts
    for number, (name, value) in enumerate(signed.headers):
        slots = set(scheme.headers_by_name[name.lower()].value.slots) & {"ts", "id", "nonce"} - seen
        seen |= slots
        if slots.isdisjoint(scheme.header_slots):
            continue
        for bit in range(len(value) * 8):
            headers = (
                *signed.headers[:number],
                (name, with_bit_flipped(value, bit)),
                *signed.headers[number + 1 :],
            )
            other = Request("POST", request.target, headers, signed.body)
            verdict = verify(scheme, [secret], other, now_s=NOW_S, url=signed.url, search=lambda: NONE)
            assert not verdict.is_ok, (name, bit)


@cache
def example_body(provider: str) -> bytes:
    found: list[bytes] = []

    @settings(derandomize=True, max_examples=4, database=None, suppress_health_check=list(HealthCheck))
    @given(body=bodies_for(load(provider)))
    def draw(body: bytes) -> None:
        found.append(body)

    draw()
    return found[-1]


@pytest.mark.parametrize("provider", SIGNED)
def test_another_key_is_refused(provider: str) -> None:
    scheme = load(provider)
    signed, request = made(scheme, example_body(provider))
    wrong = verify(scheme, [Secret("another_key")], request, now_s=NOW_S, url=signed.url)
    assert wrong.kind is VerdictKind.WRONG_SECRET
    assert verify(scheme, [], request, now_s=NOW_S, url=signed.url).kind is VerdictKind.NO_SECRET


names = [header.name.encode() for provider in provider_ids() for header in load(provider).headers]
pieces = [
    b"t=",
    b"v1=",
    b"v1,",
    b"sha256=",
    b"1700000000",
    b",",
    b" ",
    b".",
    b"0" * 64,
    b"A" * 44,
    b"e30",
    b"JWT ",
    b"Bearer ",
]
values = st.one_of(st.binary(max_size=80), st.lists(st.sampled_from(pieces), max_size=9).map(b"".join))
hostile = [
    b"[" * 5000,
    b'{"a":"\\ud800"}',
    b"1" * 5000,
    b'{"a":NaN}',
    b"--x\r\n\r\n--x",
    b"--",
    b"a=%ff&b",
    b'{"Type":1}',
]


@pytest.mark.parametrize("provider", provider_ids())
def test_a_verdict_never_raises(provider: str) -> None:
    scheme = load(provider)
    own = st.sampled_from([header.name.replace("{n}", "1").encode() for header in scheme.headers] or [b"X"])
    key = Secret(key_for(provider).public) if scheme.is_signed else Secret("x")

    @repeatable
    @given(
        headers=st.lists(
            st.tuples(st.one_of(own, own, st.sampled_from(names), st.binary(max_size=9)), values), max_size=6
        ),
        body=st.one_of(st.binary(max_size=50), st.sampled_from(hostile), bodies_for(scheme)),
        target=st.text(max_size=5),
        secret=st.text(max_size=9),
        url=st.sampled_from(["", "\ud800", URL, "https://example.com/?bodySHA256=0"]),
    )
    def check(headers: list[tuple[bytes, bytes]], body: bytes, target: str, secret: str, url: str) -> None:
        request = Request("\ud800", target, tuple(headers), body)
        verdict = verify(scheme, [Secret(secret), key], request, now_s=NOW_S, url=url)
        assert verdict.scheme == provider
        assert not verdict.is_ok

    check()


Damage = tuple[str, int]
"""A way to damage a request, and where."""

WAYS = ("dropped", "doubled", "before", "emptied", "halved", "spaced", "reordered", "body", "query", "no url")


def damaged(request: Request, url: str, damages: list[Damage]) -> tuple[Request, str]:
    """`request` and the URL it was sent to, after all of `damages`."""
    headers, body, target = list(request.headers), request.body, request.target
    for way, number in damages:
        at = number % len(headers) if headers else 0
        name, value = headers[at] if headers else (b"X", b"")
        if way == "dropped":
            headers[at : at + 1] = []
        elif way == "doubled":
            headers.append((name.upper(), b"zz"))
        elif way == "before":
            headers.insert(0, (name.lower(), b" "))
        elif way in ("emptied", "halved", "spaced"):
            other = {"emptied": b"", "halved": value[: len(value) // 2], "spaced": b"  " + value + b"\t"}[way]
            headers[at : at + 1] = [(name, other)]
        elif way == "reordered":
            headers.reverse()
        elif way == "body":
            body = body[:number] + body[number + 1 :]
        elif way == "query":
            target += "&y=2"
        else:
            url = ""
    return Request(request.method, target, tuple(headers), body), url


@pytest.mark.parametrize("provider", SIGNED)
def test_a_verdict_of_a_right_request_that_was_damaged_never_raises(provider: str) -> None:
    scheme, secret = load(provider), Secret(key_for(provider).public)
    signed, request = made(scheme, example_body(provider))
    assert verify(scheme, [secret], request, now_s=NOW_S, url=signed.url).is_ok

    @settings(repeatable, max_examples=20)
    @given(st.lists(st.tuples(st.sampled_from(WAYS), st.integers(0, 30)), min_size=1, max_size=3))
    def check(damages: list[Damage]) -> None:
        other, url = damaged(request, signed.url, damages)
        verdict = verify(scheme, [Secret("x"), secret], other, now_s=NOW_S, url=url, search=lambda: FEW)
        assert verdict.scheme == provider
        if verdict.is_ok:
            assert other.body == request.body or scheme.coverage is not Coverage.BYTES
            assert url or not scheme.needs_url

    check()


@pytest.mark.parametrize("provider", SIGNED)
def test_signing_any_body_gives_a_signature_or_says_why_not(provider: str) -> None:
    scheme = load(provider)

    @repeatable
    @given(body=st.one_of(st.binary(max_size=50), st.sampled_from(hostile)))
    def check(body: bytes) -> None:
        problem = ""
        try:
            signed, request = made(scheme, body)
            secret = Secret(key_for(provider).public)
            assert verify(scheme, [secret], request, now_s=NOW_S, url=signed.url).is_ok
        except SignatureError as error:
            problem = error.code
        assert problem in ("", "body-malformed")

    check()


def test_which_schemes_do_not_cover_every_byte_of_the_body() -> None:
    by_coverage: dict[Coverage, list[str]] = {}
    for provider in provider_ids():
        by_coverage.setdefault(load(provider).coverage, []).append(provider)
    assert by_coverage[Coverage.MEANING] == ["crisp", "inngest", "mandrill", "paddle_classic", "twilio_form"]
    assert by_coverage[Coverage.PARTS] == ["adyen_item", "aws_sns", "braintree", "dropbox_sign", "travis"]
    signed = [
        provider
        for provider in by_coverage[Coverage.NONE]
        if load(provider).algorithm not in ("token", "none")
    ]
    assert signed == ["atlassian_connect", "google_pubsub", "mailgun", "monday"]
    for provider in provider_ids():
        scheme = load(provider)
        assert scheme.covers_body == (scheme.coverage in (Coverage.BYTES, Coverage.MEANING))


@pytest.mark.parametrize("provider", SIGNED)
def test_headers_alone_serve_the_schemes_without_fields(provider: str) -> None:
    scheme, secret, body = load(provider), Secret(key_for(provider).secret), example_body(provider)
    if scheme.fields:
        with pytest.raises(SignatureError) as caught:
            sign(scheme, secret, body=body, timestamp_s=NOW_S, message_id=MESSAGE_ID, url=URL)
        assert caught.value.code == "signature-in-body"
        return
    headers: Headers = sign(scheme, secret, body=body, timestamp_s=NOW_S, message_id=MESSAGE_ID, url=URL)
    request = Request("POST", target_of(URL), headers, body)
    assert verify(scheme, [secret], request, now_s=NOW_S, url=URL).is_ok


@pytest.mark.parametrize("provider", [provider for provider in provider_ids() if provider not in SIGNED])
def test_what_is_not_signed_is_neither_made_nor_judged(provider: str) -> None:
    scheme = load(provider)
    signed = sign_request(scheme, Secret("x"), body=b"{}", timestamp_s=NOW_S, message_id=MESSAGE_ID, url=URL)
    assert (signed.body, signed.url) == (b"{}", URL)
    verdict = verify(scheme, [Secret("x")], Request("POST", "/", signed.headers, b"{}"), now_s=NOW_S)
    assert verdict.kind is VerdictKind.UNKNOWN_SCHEME
    assert verdict.reason.endswith("does not sign its requests")
