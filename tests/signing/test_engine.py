"""Verdicts: what is told apart and in which words, rotation, and that nothing makes a verdict raise."""

import base64
import hmac
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.model import Request, Secret, Verdict, VerdictKind
from webhookctl.signing import Scheme, load, parse_scheme, sign, verify
from webhookctl.signing.engine import judged

BODY = '{"id":"evt_1","type":"demo.created","data":{"n":1,"name":"café"}}'.encode()
NOW_S = 1_700_000_000.0
PLAIN = Secret("topsecret_key")
ENCODED = Secret("whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode())
MESSAGE_ID = "msg_sample_0001"

PROVIDERS = ("generic", "github", "shopify", "slack", "standardwebhooks", "stripe", "svix")

repeatable = settings(derandomize=True, deadline=None)


def signed(scheme: Scheme, secret: Secret = ENCODED, *, body: bytes = BODY, at_s: float = NOW_S) -> Request:
    headers = sign(scheme, secret, body=body, timestamp_s=at_s, message_id=MESSAGE_ID)
    return Request("POST", "/hooks", headers, body)


def with_body(request: Request, body: bytes) -> Request:
    return Request(request.method, request.target, request.headers, body)


def with_headers(*headers: tuple[bytes, bytes], body: bytes = BODY) -> Request:
    return Request("POST", "/hooks", headers, body)


def own(**blocks: str) -> Scheme:
    """A scheme as a user would write it: hex HMAC over the body in X-Signature unless `blocks` say otherwise."""
    text = 'id = "own"\nname = "Own"\n[signature]\n'
    text += blocks.get("signature", 'template = "{body}"\nalgorithm = "hmac-sha256"\nencoding = "hex"')
    text += "\n" + blocks.get("header", '[[header]]\nname = "X-Signature"\nvalue = "{sig}"')
    return parse_scheme(text + "\n" + blocks.get("rest", ""), "own.toml")


ISO = own(
    signature='template = "{body}{ts}"\nalgorithm = "hmac-sha256"\nencoding = "base64"',
    header='[[header]]\nname = "X-Time"\nvalue = "{ts}"\n[[header]]\nname = "X-Signature"\nvalue = "{sig}"',
    rest='[timestamp]\nunit = "iso8601"\ntolerance_s = 600',
)


def test_without_a_secret_nothing_is_judged_and_the_usual_variable_is_named() -> None:
    verdict = verify(load("stripe"), [], signed(load("stripe")), now_s=NOW_S)
    assert verdict.kind is VerdictKind.NO_SECRET
    assert verdict.reason == "no secret to check with (set STRIPE_WEBHOOK_SECRET)"
    assert verify(own(), [], with_headers(), now_s=NOW_S).reason == "no secret to check with"


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ("stripe", "no header Stripe-Signature"),
        ("github", "no header X-Hub-Signature-256"),
        ("slack", "no header X-Slack-Signature"),
        ("standardwebhooks", "no header webhook-signature"),
    ],
)
def test_a_missing_header_is_named(provider: str, reason: str) -> None:
    verdict = verify(load(provider), [PLAIN], with_headers(), now_s=NOW_S)
    assert (verdict.kind, verdict.scheme, verdict.reason) == (VerdictKind.NO_HEADER, provider, reason)


def test_a_missing_timestamp_header_is_named() -> None:
    request = signed(load("slack"))
    verdict = verify(load("slack"), [ENCODED], with_headers(request.headers[1]), now_s=NOW_S)
    assert (verdict.kind, verdict.reason) == (VerdictKind.NO_HEADER, "no header X-Slack-Request-Timestamp")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"garbage",
        b"t=1700000000",
        b"t=1700000000,v0=" + b"0" * 64,
        b"v1=" + b"0" * 64,
        b"t=,v1=" + b"0" * 64,
    ],
)
def test_a_header_in_another_form_is_malformed(value: bytes) -> None:
    verdict = verify(load("stripe"), [PLAIN], with_headers((b"Stripe-Signature", value)), now_s=NOW_S)
    assert verdict.kind is VerdictKind.MALFORMED
    assert verdict.reason == "header Stripe-Signature is not of the form t={ts},v1={sig}"


@pytest.mark.parametrize("at", [b"now", b"-1700000000", b"1.7e9", b"\xb2", b"1" * 19])
def test_a_timestamp_that_is_no_number_is_malformed(at: bytes) -> None:
    value = b"t=" + at + b",v1=" + b"0" * 64
    verdict = verify(load("stripe"), [PLAIN], with_headers((b"Stripe-Signature", value)), now_s=NOW_S)
    assert verdict.kind is VerdictKind.MALFORMED
    assert verdict.reason == "the timestamp is not a whole number of seconds"


def test_the_unit_is_named_when_milliseconds_are_no_number() -> None:
    scheme = own(
        header='[[header]]\nname = "X-Time"\nvalue = "{ts}"\n[[header]]\nname = "X-Signature"\nvalue = "{sig}"',
        rest='[timestamp]\nunit = "ms"',
    )
    request = signed(scheme)
    verdict = verify(scheme, [ENCODED], with_headers((b"X-Time", b"x"), request.headers[1]), now_s=NOW_S)
    assert verdict.reason == "the signature is right, but the timestamp is not a whole number of milliseconds"
    unsigned = with_headers(request.headers[1])
    assert verify(scheme, [ENCODED], unsigned, now_s=NOW_S).is_ok, "the time is not signed: it may be absent"
    assert verify(scheme, [ENCODED], request, now_s=NOW_S * 2).is_ok, "without a tolerance no age is checked"
    assert verify(scheme, [ENCODED], request, now_s=NOW_S * 2, tolerance_s=9).kind is VerdictKind.EXPIRED


@pytest.mark.parametrize("at", [b"yesterday", b"\xff", b"2023-13-01", b"0000-01-01"])
def test_a_date_that_is_none_is_malformed(at: bytes) -> None:
    request = with_headers((b"X-Time", at), (b"X-Signature", b"0" * 44))
    verdict = verify(ISO, [PLAIN], request, now_s=NOW_S)
    assert verdict.kind is VerdictKind.MALFORMED
    assert verdict.reason == "the timestamp is not an ISO 8601 date and time"


@pytest.mark.parametrize("at", [b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59"])
def test_dates_at_the_ends_of_the_calendar_are_dates(at: bytes) -> None:
    request = with_headers((b"X-Time", at), (b"X-Signature", b"0" * 44))
    assert verify(ISO, [PLAIN], request, now_s=NOW_S).kind is VerdictKind.WRONG_SECRET


@pytest.mark.parametrize(
    "at", [b"2023-11-14T22:13:20Z", b"2023-11-14T22:13:20.000000", b"2023-11-15T00:13:20+02:00"]
)
def test_dates_are_read_with_and_without_an_offset(at: bytes) -> None:
    signature = base64.b64encode(hmac.digest(b"topsecret_key", BODY + at, "sha256"))
    request = with_headers((b"X-Time", at), (b"X-Signature", signature))
    assert verify(ISO, [PLAIN], request, now_s=NOW_S + 600).is_ok
    assert verify(ISO, [PLAIN], request, now_s=NOW_S + 601).kind is VerdictKind.EXPIRED


def test_a_timestamp_in_the_body_counts() -> None:
    scheme = own(rest='[timestamp]\nunit = "ms"\ntolerance_s = 60\nplace = "body.data.at_ms"')
    request = signed(scheme, body=b'{"data":{"at_ms":1700000000000}}')
    assert verify(scheme, [ENCODED], request, now_s=NOW_S + 60).is_ok
    assert verify(scheme, [ENCODED], request, now_s=NOW_S + 61).kind is VerdictKind.EXPIRED
    assert verify(scheme, [ENCODED], request, now_s=NOW_S - 61).kind is VerdictKind.FUTURE
    assert verify(scheme, [ENCODED], signed(scheme, body=b"not json"), now_s=NOW_S).is_ok
    assert verify(scheme, [ENCODED], signed(scheme, body=b'{"data":{"at_ms":[]}}'), now_s=NOW_S).is_ok
    soon = signed(scheme, body=b'{"data":{"at_ms":"soon"}}')
    assert verify(scheme, [ENCODED], soon, now_s=NOW_S).kind is VerdictKind.MALFORMED


@pytest.mark.parametrize(
    ("late_s", "words"),
    [
        (300.5, "5m01s"),
        (372, "6m12s"),
        (3 * 3600 + 5 * 60, "3h05m"),
        (2 * 86400 + 4 * 3600, "2d04h"),
    ],
)
def test_an_old_signature_says_how_old_it_is(late_s: float, words: str) -> None:
    verdict = verify(load("slack"), [ENCODED], signed(load("slack")), now_s=NOW_S + late_s)
    assert verdict.kind is VerdictKind.EXPIRED
    assert verdict.reason == f"expired: signed {words} ago, the limit is 5m00s"


@pytest.mark.parametrize("provider", ["stripe", "slack", "standardwebhooks", "svix"])
def test_the_last_moment_of_the_tolerance_is_in_time(provider: str) -> None:
    request = signed(load(provider))
    assert verify(load(provider), [ENCODED], request, now_s=NOW_S + 300).is_ok
    assert verify(load(provider), [ENCODED], request, now_s=NOW_S + 300.001).kind is VerdictKind.EXPIRED


@pytest.mark.parametrize("provider", ["slack", "standardwebhooks", "svix"])
def test_a_signature_from_the_future_is_refused_where_the_sdk_refuses_it(provider: str) -> None:
    request = signed(load(provider))
    assert verify(load(provider), [ENCODED], request, now_s=NOW_S - 300).is_ok
    verdict = verify(load(provider), [ENCODED], request, now_s=NOW_S - 320)
    assert (verdict.kind, verdict.reason) == (VerdictKind.FUTURE, "future: signed 5m20s ahead of this clock")


def test_stripe_accepts_a_signature_from_the_future() -> None:
    assert verify(load("stripe"), [ENCODED], signed(load("stripe")), now_s=NOW_S - 86400).is_ok


def test_another_tolerance_can_be_given() -> None:
    request = signed(load("slack"))
    tight = verify(load("slack"), [ENCODED], request, now_s=NOW_S + 11, tolerance_s=10)
    assert tight.reason == "expired: signed 11s ago, the limit is 10s"
    assert verify(load("slack"), [ENCODED], request, now_s=NOW_S * 9, tolerance_s=math.inf).is_ok


def test_a_wrong_signature_is_judged_as_wrong_before_its_age() -> None:
    request = signed(load("stripe"), Secret("another"))
    assert verify(load("stripe"), [PLAIN], request, now_s=NOW_S * 2).kind is VerdictKind.WRONG_SECRET


def test_schemes_without_a_timestamp_never_expire() -> None:
    assert verify(load("github"), [ENCODED], signed(load("github")), now_s=NOW_S * 2, tolerance_s=1).is_ok


@pytest.mark.parametrize("provider", PROVIDERS)
def test_several_secrets_are_honoured_and_the_fitting_one_is_named(provider: str) -> None:
    scheme = load(provider)
    other = Secret(base64.b64encode(b"x" * 32).decode())
    request = signed(scheme)
    assert verify(scheme, [ENCODED], request, now_s=NOW_S).reason == "ok"
    assert verify(scheme, [other, ENCODED], request, now_s=NOW_S).reason == "ok (secret 2 of 2)"
    assert verify(scheme, [ENCODED, other], request, now_s=NOW_S).reason == "ok (secret 1 of 2)"
    assert verify(scheme, [other], request, now_s=NOW_S).kind is VerdictKind.WRONG_SECRET


def test_several_signatures_in_one_stripe_header_are_honoured_and_v0_is_ignored() -> None:
    ((name, value),) = signed(load("stripe")).headers
    at, signature = value.split(b",")
    rotated = with_headers((name, b",".join([at, b"v1=" + b"0" * 64, signature, b"v0=" + b"1" * 64])))
    assert verify(load("stripe"), [ENCODED], rotated, now_s=NOW_S).is_ok
    old_kind = with_headers((name, value.replace(b"v1=", b"v0=")))
    assert verify(load("stripe"), [ENCODED], old_kind, now_s=NOW_S).kind is VerdictKind.MALFORMED


def test_several_standard_webhooks_signatures_are_honoured_and_other_versions_are_ignored() -> None:
    scheme = load("standardwebhooks")
    request = signed(scheme)
    signature = request.headers[2][1]
    value = b"v1a,AAAA v1," + b"A" * 43 + b"=  " + signature
    rotated = with_headers(*request.headers[:2], (b"Webhook-Signature", value))
    assert verify(scheme, [ENCODED], rotated, now_s=NOW_S).is_ok
    other_kind = with_headers(
        *request.headers[:2], (b"webhook-signature", signature.replace(b"v1,", b"v1a,"))
    )
    assert verify(scheme, [ENCODED], other_kind, now_s=NOW_S).kind is VerdictKind.MALFORMED


def test_a_flood_of_signatures_is_cut_off() -> None:
    ((name, value),) = signed(load("stripe")).headers
    at, signature = value.split(b",")
    flood = with_headers((name, b",".join([at, *[b"v1=" + b"0" * 64] * 64, signature])))
    verdict = verify(load("stripe"), [ENCODED], flood, now_s=NOW_S)
    assert (
        verdict.reason
        == "the right signature is there, but Stripe-Signature holds more than the scheme writes there"
    )


def test_of_a_header_that_occurs_twice_the_first_counts() -> None:
    ((name, value),) = signed(load("github")).headers
    wrong = b"sha256=" + b"0" * 64
    first = with_headers((name, value), (name.lower(), wrong))
    second = with_headers((name.lower(), wrong), (name, value))
    assert verify(load("github"), [ENCODED], first, now_s=NOW_S).is_ok
    verdict = verify(load("github"), [ENCODED], second, now_s=NOW_S)
    assert verdict.reason == (
        "the right signature is there, but X-Hub-Signature-256 occurs twice, and only the first counts"
    )


def test_of_several_timestamps_in_a_header_the_first_counts() -> None:
    ((name, value),) = signed(load("stripe")).headers
    assert verify(load("stripe"), [ENCODED], with_headers((name, value + b",t=1")), now_s=NOW_S).is_ok
    assert verify(load("stripe"), [ENCODED], with_headers((name, b"t=1," + value)), now_s=NOW_S).is_bad


def test_a_target_that_is_not_of_the_wire_is_judged_all_the_same() -> None:
    scheme = own(signature='template = "{path}{body}"\nalgorithm = "hmac-sha256"\nencoding = "hex"')
    request = Request("POST", "/\u20ac", ((b"X-Signature", b"0" * 64),), BODY)
    assert verify(scheme, [PLAIN], request, now_s=NOW_S).kind is VerdictKind.WRONG_SECRET


values = st.one_of(
    st.binary(max_size=80),
    st.lists(
        st.sampled_from(
            [b"t=", b"v1=", b"v0=", b"v1,", b"sha256=", b"1700000000", b",", b" ", b"0" * 64, b"A" * 44]
        )
    ).map(b"".join),
)


@repeatable
@given(at=values, body=st.binary(max_size=50), target=st.text(max_size=5), url=st.text(max_size=5))
def test_a_verdict_of_other_forms_of_scheme_never_raises(
    at: bytes, body: bytes, target: str, url: str
) -> None:
    scheme = own(
        signature='template = "{method}{url}{path}{ts}{body}"\nalgorithm = "hmac-sha256"\nencoding = "base64"',
        header='[[header]]\nname = "X-At"\nvalue = "{ts}"\n[[header]]\nname = "X-Signature"\nvalue = "{sig}"',
        rest='[timestamp]\nunit = "iso8601"\ntolerance_s = 1',
    )
    request = Request("POST", target, ((b"X-At", at), (b"X-Signature", b"A" * 44)), body)
    assert not verify(scheme, [PLAIN], request, now_s=NOW_S, url=url).is_ok


def test_a_second_template_is_passed_over_where_the_request_does_not_send_what_it_holds() -> None:
    scheme = own(
        signature='template = "{body}"\nother_templates = ["{ts}.{body}"]\nalgorithm = "hmac-sha256"\nencoding = "hex"',
        header='[[header]]\nname = "X-At"\nvalue = "{ts}"\noptional = true\n'
        '[[header]]\nname = "X-Signature"\nvalue = "{sig}"',
    )

    def made(content: bytes, *more: tuple[bytes, bytes]) -> Request:
        signature = hmac.new(PLAIN.reveal().encode(), content, "sha256").hexdigest().encode()
        return Request("POST", "/", ((b"X-Signature", signature), *more), BODY)

    at = (b"X-At", b"1700000000")
    for request, is_ok in (
        (made(BODY), True),
        (made(b"1700000000." + BODY, at), True),
        (made(b"1700000000." + BODY), False),
        (made(b"other", at), False),
    ):
        assert verify(scheme, [PLAIN], request, now_s=NOW_S).is_ok is is_ok


def test_what_was_judged_right_shows_no_key() -> None:
    secret = Secret("topsecret-of-mine")
    presented = judged(load("github"), [secret], signed(load("github"), secret), "")
    assert not isinstance(presented, Verdict)
    assert presented.key is not None
    assert presented.key.key == b"topsecret-of-mine"
    assert "topsecret" not in repr(presented) + str(presented.key) + f"{presented.key}"
