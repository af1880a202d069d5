"""Known answers of the first schemes (the others: vectors.toml), and other forms that a user's own file can have."""

import base64
import hashlib
import hmac

import pytest

from webhookctl.errors import SignatureError
from webhookctl.model import Headers, Request, Secret, VerdictKind
from webhookctl.signing import Scheme, load, parse_scheme, sign, verify

BODY = '{"id":"evt_1","type":"demo.created","data":{"n":1,"name":"café"}}'.encode()
NOW_S = 1_700_000_000.0
PLAIN = Secret("topsecret_key")
ENCODED = Secret("whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode())
MESSAGE_ID = "msg_sample_0001"


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


# The expected signatures were made by the providers' own SDKs, or, where there is none in Python, by hand.
KNOWN_ANSWERS: dict[str, tuple[Secret, Headers]] = {
    "stripe": (
        PLAIN,
        (
            (
                b"Stripe-Signature",
                b"t=1700000000,v1=023d985ef4eed08c67d520c339ba1ecbd3bee25d2734e7477e56cf068a40f8d4",
            ),
        ),
    ),
    "github": (
        PLAIN,
        (
            (
                b"X-Hub-Signature-256",
                b"sha256=6d7ca776ebf754d5b2d69ebb715c5fa5d5197351e460b9407172081f7f60cf6a",
            ),
        ),
    ),
    "generic": (
        PLAIN,
        (
            (
                b"X-Webhook-Signature",
                b"sha256=6d7ca776ebf754d5b2d69ebb715c5fa5d5197351e460b9407172081f7f60cf6a",
            ),
        ),
    ),
    "shopify": (PLAIN, ((b"X-Shopify-Hmac-Sha256", b"bXynduv3VNWy1p67cVxfpdUZc1HkYLlAcXIIH39gz2o="),)),
    "slack": (
        PLAIN,
        (
            (b"X-Slack-Request-Timestamp", b"1700000000"),
            (b"X-Slack-Signature", b"v0=1f924d7b93113d3529c3e55646f1f621ec673ee482908d0da1bafe58609e5a7e"),
        ),
    ),
    "standardwebhooks": (
        ENCODED,
        (
            (b"webhook-id", b"msg_sample_0001"),
            (b"webhook-timestamp", b"1700000000"),
            (b"webhook-signature", b"v1,lt2zbvvqCOV+ezl1gmOTtgJiQF37u1uQeiP4mTlIpwE="),
        ),
    ),
    "svix": (
        ENCODED,
        (
            (b"svix-id", b"msg_sample_0001"),
            (b"svix-timestamp", b"1700000000"),
            (b"svix-signature", b"v1,lt2zbvvqCOV+ezl1gmOTtgJiQF37u1uQeiP4mTlIpwE="),
        ),
    ),
}


@pytest.mark.parametrize("provider", sorted(KNOWN_ANSWERS))
def test_the_first_schemes_make_the_known_answer(provider: str) -> None:
    secret, expected = KNOWN_ANSWERS[provider]
    made = sign(load(provider), secret, body=BODY, timestamp_s=NOW_S, message_id=MESSAGE_ID)
    assert made == expected


OTHER_SCHEMES = {
    "semicolons and ts=": (
        own(
            signature='template = "{ts}:{body}"\nalgorithm = "hmac-sha256"\nencoding = "hex"',
            header='[[header]]\nname = "Paddle-Signature"\nvalue = "ts={ts};h1={sig}"\nseparator = ";"',
        ),
        {
            "Paddle-Signature": "ts=1700000000;h1=1c5df3ea4d331f85152e15a2f42a08125c1ae36172744bad0f2ee084b1a4935c"
        },
    ),
    "a plain digest of body, time and secret": (
        own(
            signature='template = "{body}{ts}{secret}"\nalgorithm = "sha1"\nencoding = "hex"',
            header='[[header]]\nname = "X-Cld-Timestamp"\nvalue = "{ts}"\n'
            '[[header]]\nname = "X-Cld-Signature"\nvalue = "{sig}"',
        ),
        {"X-Cld-Timestamp": "1700000000", "X-Cld-Signature": "78792cc598a00031ac89b38207dd4066894f1baf"},
    ),
    "ISO 8601, fixed headers, a second key's header": (
        own(
            signature='template = "{body}{ts}"\nalgorithm = "hmac-sha256"\nencoding = "base64"',
            header='[[header]]\nname = "BOX-DELIVERY-TIMESTAMP"\nvalue = "{ts}"\n'
            '[[header]]\nname = "BOX-SIGNATURE-VERSION"\nvalue = "1"\n'
            '[[header]]\nname = "BOX-SIGNATURE-PRIMARY"\nvalue = "{sig}"\n'
            '[[header]]\nname = "BOX-SIGNATURE-SECONDARY"\nvalue = "{sig}"\noptional = true',
            rest='[timestamp]\nunit = "iso8601"\ntolerance_s = 600',
        ),
        {
            "BOX-DELIVERY-TIMESTAMP": "2023-11-14T22:13:20Z",
            "BOX-SIGNATURE-VERSION": "1",
            "BOX-SIGNATURE-PRIMARY": "erl31je3hzt98iqSYQaIBbTYjPWzj1mJarQ8HI1AR1A=",
        },
    ),
}


@pytest.mark.parametrize("name", OTHER_SCHEMES)
def test_a_users_own_file_carries_other_forms_of_scheme(name: str) -> None:
    scheme, expected = OTHER_SCHEMES[name]
    request = signed(scheme, PLAIN)
    assert request.headers == tuple((key.encode(), value.encode()) for key, value in expected.items())
    assert verify(scheme, [PLAIN], request, now_s=NOW_S).is_ok
    assert not verify(scheme, [PLAIN], with_body(request, BODY + b"!"), now_s=NOW_S).is_ok


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("hex", hashlib.sha256(b"x").hexdigest()),
        ("upper-hex", hashlib.sha256(b"x").hexdigest().upper()),
        ("base64", base64.b64encode(hashlib.sha256(b"x").digest()).decode()),
        ("base64url", base64.urlsafe_b64encode(hashlib.sha256(b"x").digest()).decode().rstrip("=")),
    ],
)
def test_encodings(encoding: str, expected: str) -> None:
    scheme = own(signature=f'template = "{{body}}"\nalgorithm = "sha256"\nencoding = "{encoding}"')
    assert signed(scheme, body=b"x").headers == ((b"X-Signature", expected.encode()),)


@pytest.mark.parametrize("name", ["sha1", "sha512"])
def test_hmac_with_other_digests(name: str) -> None:
    scheme = own(signature=f'template = "{{body}}"\nalgorithm = "hmac-{name}"\nencoding = "hex"')
    expected = hmac.new(b"topsecret_key", BODY, name).hexdigest().encode()
    assert signed(scheme, PLAIN).headers == ((b"X-Signature", expected),)


def test_a_token_scheme_sends_the_secret_and_compares_it() -> None:
    scheme = own(signature='template = ""\nalgorithm = "token"\nencoding = "raw"')
    request = signed(scheme, PLAIN)
    assert request.headers == ((b"X-Signature", b"topsecret_key"),)
    assert verify(scheme, [PLAIN], request, now_s=NOW_S).is_ok
    verdict = verify(scheme, [Secret("another")], request, now_s=NOW_S)
    assert verdict.kind is VerdictKind.WRONG_SECRET
    assert verdict.reason == "no known secret makes this signature: wrong secret"


def test_the_url_the_method_and_the_path_are_signed_where_the_scheme_says_so() -> None:
    scheme = own(
        signature='template = "{method} {url} {path} {body}"\nalgorithm = "sha256"\nencoding = "hex"'
    )
    url = "https://example.com/hooks?x=1"
    headers = sign(scheme, PLAIN, body=b"b", timestamp_s=0, message_id="m", url=url, method="PUT")
    assert headers == (
        (b"X-Signature", hashlib.sha256(b"PUT " + url.encode() + b" /hooks?x=1 b").hexdigest().encode()),
    )
    request = Request("PUT", "/hooks?x=1", headers, b"b")
    assert verify(scheme, [PLAIN], request, now_s=NOW_S, url=url).is_ok
    wrong = verify(scheme, [PLAIN], request, now_s=NOW_S, url="https://example.org/hooks?x=1")
    assert (
        wrong.reason
        == "no known secret makes this signature: wrong secret, another URL, or the body was changed"
    )
    unknown = verify(scheme, [PLAIN], request, now_s=NOW_S)
    assert unknown.kind is VerdictKind.UNKNOWN_SCHEME
    assert "public URL" in unknown.reason


@pytest.mark.parametrize(
    ("url", "path"), [("https://example.com", b"/"), ("https://example.com/a/b", b"/a/b"), ("/a", b"/")]
)
def test_the_path_of_a_url(url: str, path: bytes) -> None:
    scheme = own(signature='template = "{path}"\nalgorithm = "sha256"\nencoding = "hex"')
    made = sign(scheme, PLAIN, body=b"", timestamp_s=0, message_id="m", url=url)
    assert made == ((b"X-Signature", hashlib.sha256(path).hexdigest().encode()),)


def test_a_scheme_that_signs_the_url_is_not_signed_without_one() -> None:
    scheme = own(signature='template = "{url}{body}"\nalgorithm = "hmac-sha256"\nencoding = "hex"')
    with pytest.raises(SignatureError) as caught:
        signed(scheme)
    assert caught.value.code == "url-missing"


def test_a_slot_of_the_schemes_own_has_a_value_and_a_header_overrides_it() -> None:
    scheme = own(
        signature='template = "{app_key}{body}"\nalgorithm = "sha256"\nencoding = "hex"\nvalues = {app_key = "k1"}',
        header='[[header]]\nname = "X-Key"\nvalue = "{app_key}"\n[[header]]\nname = "X-Signature"\nvalue = "{sig}"',
    )
    request = signed(scheme)
    assert request.headers[0] == (b"X-Key", b"k1")
    assert verify(scheme, [PLAIN], request, now_s=NOW_S).is_ok
    assert verify(scheme, [PLAIN], Request("POST", "/", request.headers[1:], BODY), now_s=NOW_S).is_ok
    other = with_headers((b"X-Key", b"k2"), request.headers[1])
    assert not verify(scheme, [PLAIN], other, now_s=NOW_S).is_ok


def test_numbered_headers_are_written_first_and_read_all() -> None:
    scheme = own(header='[[header]]\nname = "X-Signature-{n}"\nvalue = "{sig}"')
    ((name, signature),) = signed(scheme).headers
    assert name == b"X-Signature-1"
    request = with_headers((b"X-Signature-1", b"0" * 64), (b"X-Signature-2", signature))
    assert verify(scheme, [ENCODED], request, now_s=NOW_S).is_ok
    assert verify(scheme, [ENCODED], with_headers(), now_s=NOW_S).reason == "no header X-Signature-1"


def test_list_items_without_a_literal_go_by_position_and_the_last_takes_the_rest() -> None:
    scheme = own(
        signature='template = "{ts}.{body}"\nalgorithm = "hmac-sha256"\nencoding = "hex"',
        header='[[header]]\nname = "X-Signature"\nvalue = "{ts},{sig}"\nseparator = ","',
    )
    ((name, value),) = signed(scheme).headers
    at, signature = value.split(b",")
    request = with_headers((name, b",".join([at, b"0" * 64, signature])))
    assert verify(scheme, [ENCODED], request, now_s=NOW_S).is_ok


def test_a_separator_with_a_space_is_written_so_and_read_with_or_without_it() -> None:
    scheme = own(
        signature='template = "{ts}.{body}"\nalgorithm = "hmac-sha256"\nencoding = "hex"',
        header='[[header]]\nname = "X-Signature"\nvalue = "t={ts}, v1={sig}"\nseparator = ", "',
        rest='[timestamp]\nunit = "ms"\ntolerance_s = 180',
    )
    request = signed(scheme)
    assert request.headers[0][1].startswith(b"t=1700000000000, v1=")
    assert verify(scheme, [ENCODED], request, now_s=NOW_S + 180).is_ok
    tight = with_headers((b"x-signature", request.headers[0][1].replace(b", ", b",")))
    assert verify(scheme, [ENCODED], tight, now_s=NOW_S).is_ok
    assert verify(scheme, [ENCODED], request, now_s=NOW_S + 180.5).kind is VerdictKind.EXPIRED


def test_a_literal_after_the_slot_is_taken_off() -> None:
    scheme = own(header='[[header]]\nname = "X-Signature"\nvalue = "<{sig}>"')
    request = signed(scheme)
    assert request.headers[0][1].endswith(b">")
    assert verify(scheme, [ENCODED], request, now_s=NOW_S).is_ok
    assert (
        verify(scheme, [ENCODED], with_headers((b"X-Signature", b"<1")), now_s=NOW_S).kind
        is VerdictKind.MALFORMED
    )
