"""JSON Web Tokens as signatures: claims judged, algorithms not confused, times counted."""

import base64
import hashlib
import hmac
import json

import pytest

from tests.signing.keys import URL, key_for
from webhookctl.errors import SignatureError
from webhookctl.model import Request, Secret, VerdictKind
from webhookctl.signing import Scheme, load, parse_scheme, sign, sign_request, verify, web_token

BODY = b'{"id":"evt_1"}'
NOW_S = 1_700_000_000.0
SECRET = Secret("topsecret_key")


def part(document: object) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=")


def token(claims: object, *, key: bytes = b"topsecret_key", header: object = None) -> bytes:
    """A token as another hand makes it."""
    signed = part(header or {"alg": "HS256"}) + b"." + part(claims)
    return signed + b"." + base64.urlsafe_b64encode(hmac.digest(key, signed, "sha256")).rstrip(b"=")


def netlify(value: bytes, body: bytes = BODY) -> Request:
    return Request("POST", "/", ((b"X-Webhook-Signature", value),), body)


def own(claims: str, **more: str) -> Scheme:
    text = 'id = "own"\nname = "Own"\n[signature]\nalgorithm = "jwt-hs256"\n' + more.get("signature", "")
    text += '\n[[header]]\nname = "X-Signature"\nvalue = "{sig}"\n' + more.get("rest", "")
    return parse_scheme(text + "\n[claims]\n" + claims, "own.toml")


GOOD = {"iss": "netlify", "sha256": hashlib.sha256(BODY).hexdigest()}


def test_a_token_of_another_hand_is_accepted() -> None:
    assert verify(load("netlify"), [SECRET], netlify(token(GOOD)), now_s=NOW_S).reason == "ok"


@pytest.mark.parametrize(
    ("claims", "body", "kind", "reason"),
    [
        (GOOD, b"changed", VerdictKind.BODY_CHANGED, "claim sha256 is not {body_sha256} of this request"),
        (GOOD | {"sha256": None}, BODY, VerdictKind.BODY_CHANGED, "claim sha256"),
        ({"iss": "netlify"}, BODY, VerdictKind.BODY_CHANGED, "claim sha256"),
        (GOOD | {"iss": "other"}, BODY, VerdictKind.MALFORMED, "claim iss is not netlify of this request"),
        ({"sha256": GOOD["sha256"]}, BODY, VerdictKind.MALFORMED, "claim iss"),
        (GOOD | {"iss": ["netlify"]}, BODY, VerdictKind.MALFORMED, "claim iss"),
    ],
)
def test_a_claim_that_does_not_hold_is_named(
    claims: object, body: bytes, kind: VerdictKind, reason: str
) -> None:
    verdict = verify(load("netlify"), [SECRET], netlify(token(claims), body), now_s=NOW_S)
    assert verdict.kind is kind
    assert verdict.reason.startswith(reason)


def test_a_claim_about_the_body_may_be_missing_where_there_is_none() -> None:
    assert verify(load("netlify"), [SECRET], netlify(token({"iss": "netlify"}), b""), now_s=NOW_S).is_ok


def test_a_wrong_key_is_judged_before_claims() -> None:
    request = netlify(token({}, key=b"another"))
    assert verify(load("netlify"), [SECRET], request, now_s=NOW_S).kind is VerdictKind.WRONG_SECRET


@pytest.mark.parametrize(
    "value",
    [
        b"x",
        b"a.b",
        b"a.b.c",
        b"!.!.!",
        b"W10.W10.",
        b"e30.W10.",
        b"." + b"." * 9,
        b"x" * (web_token.MAX_BYTES + 1),
    ],
)
def test_what_is_no_token_is_malformed(value: bytes) -> None:
    verdict = verify(load("netlify"), [SECRET], netlify(value), now_s=NOW_S)
    assert (verdict.kind, verdict.reason) == (VerdictKind.MALFORMED, "the signature is not a JSON Web Token")


def test_a_token_nested_too_deep_is_malformed() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 100_000).rstrip(b"=")
    assert (
        verify(load("netlify"), [SECRET], netlify(b"e30." + deep + b"."), now_s=NOW_S).kind
        is VerdictKind.MALFORMED
    )


@pytest.mark.parametrize("name", ["none", "HS512", "RS256", None])
def test_an_algorithm_that_is_not_allowed_is_refused(name: str | None) -> None:
    request = netlify(token(GOOD, header={"alg": name}))
    assert verify(load("netlify"), [SECRET], request, now_s=NOW_S).kind is VerdictKind.WRONG_SECRET


@pytest.mark.parametrize("provider", ["gong", "sendgrid"])
def test_a_public_key_is_not_taken_for_a_shared_secret(provider: str) -> None:
    public = key_for(provider).public
    digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    forged = token({"request_body_sha256": digest}, key=public.encode())
    request = Request("POST", "/", ((b"X-FusionAuth-Signature-JWT", forged),), BODY)
    assert verify(load("fusionauth"), [Secret(public)], request, now_s=NOW_S).kind is VerdictKind.WRONG_SECRET


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("gong", "RS256"),
        ("sendgrid", "ES256"),
        ("plaid", "ES256"),
        ("netlify", "HS256"),
    ],
)
def test_a_scheme_of_several_algorithms_signs_by_the_one_the_key_is_for(
    provider: str, name: str | None
) -> None:
    key = key_for(provider)
    headers = sign(load("fusionauth"), Secret(key.secret), body=BODY, timestamp_s=NOW_S, message_id="m")
    request = Request("POST", "/", headers, BODY)
    assert verify(load("fusionauth"), [Secret(key.public)], request, now_s=NOW_S).is_ok
    if name:
        assert web_token.read(headers[0][1]).algorithm == name


def test_an_es256_signature_of_another_length_is_refused() -> None:
    key = key_for("plaid")
    ((name, value),) = sign(load("plaid"), Secret(key.secret), body=BODY, timestamp_s=NOW_S, message_id="m")
    request = Request("POST", "/", ((name, value + b"AAAA"),), BODY)
    assert verify(load("plaid"), [Secret(key.public)], request, now_s=NOW_S).kind is VerdictKind.WRONG_SECRET


@pytest.mark.parametrize("text", ["topsecret_key", "-----BEGIN PUBLIC KEY-----"])
def test_a_text_that_is_no_private_key_does_not_sign(text: str) -> None:
    with pytest.raises(SignatureError) as caught:
        sign(load("plaid"), Secret(text), body=BODY, timestamp_s=NOW_S, message_id="m")
    assert caught.value.code == "secret-malformed"
    assert text not in caught.value.message


def test_a_token_says_when_it_ends_and_the_key_it_is_signed_with() -> None:
    scheme, secret = load("messagebird"), Secret("k")
    headers = sign(scheme, secret, body=BODY, timestamp_s=NOW_S, message_id="m", url=URL)
    claims = web_token.read(headers[0][1]).claims
    assert (claims["nbf"], claims["exp"], claims["jti"]) == (1700000000, 1700000300, "m")
    request = Request("POST", "/hooks?x=1", headers, BODY)
    assert verify(scheme, [secret], request, now_s=NOW_S + 300, url=URL).is_ok
    late = verify(scheme, [secret], request, now_s=NOW_S + 301, url=URL)
    assert (late.kind, late.reason) == (VerdictKind.EXPIRED, "expired: its time was over 1s ago")
    assert verify(scheme, [secret], request, now_s=NOW_S + 301, url=URL, tolerance_s=400).is_ok
    other = verify(scheme, [secret], request, now_s=NOW_S, url=URL + "0")
    assert other.reason == "claim url_hash is not {url_sha256} of this request"
    assert verify(scheme, [secret], request, now_s=NOW_S).kind is VerdictKind.UNKNOWN_SCHEME
    key_id = web_token.make("jwt-hs256", b"k", [], key_id=b"k1").partition(b".")[0]
    assert json.loads(base64.urlsafe_b64decode(key_id + b"==")) == {"alg": "HS256", "typ": "JWT", "kid": "k1"}


@pytest.mark.parametrize("at", [1700000000, 1700000000.9, "01700000000"])
def test_times_may_be_numbers_of_any_kind(at: object) -> None:
    scheme = own('iat = "{ts}"', rest='[timestamp]\nunit = "s"\ntolerance_s = 60')
    request = Request("POST", "/", ((b"X-Signature", token({"iat": at})),), BODY)
    assert verify(scheme, [SECRET], request, now_s=NOW_S + 60).is_ok
    assert verify(scheme, [SECRET], request, now_s=NOW_S + 61).kind is VerdictKind.EXPIRED


@pytest.mark.parametrize("at", ["soon", 1e999, True])
def test_a_time_that_is_none_is_malformed(at: object) -> None:
    scheme = own('iat = "{ts}"', rest='[timestamp]\nunit = "s"\ntolerance_s = 60')
    request = Request("POST", "/", ((b"X-Signature", token({"iat": at})),), BODY)
    assert verify(scheme, [SECRET], request, now_s=NOW_S).kind is VerdictKind.MALFORMED


def test_a_token_without_its_times_does_not_expire() -> None:
    scheme = own('iat = "{ts}"\nexp = "{expires}"', rest='[timestamp]\nunit = "s"\ntolerance_s = 60')
    request = Request("POST", "/", ((b"X-Signature", token({})),), BODY)
    assert verify(scheme, [SECRET], request, now_s=NOW_S * 2).is_ok


def test_a_claim_of_the_schemes_own_is_taken_as_it_comes() -> None:
    scheme = own('account = "{account}"', signature='values = { account = "sample" }')
    assert verify(
        scheme, [SECRET], Request("POST", "/", ((b"X-Signature", token({"account": "x"})),), b""), now_s=0
    ).is_ok
    assert verify(scheme, [SECRET], Request("POST", "/", ((b"X-Signature", token({})),), b""), now_s=0).is_ok


def test_a_claim_that_holds_a_free_slot_among_others_may_say_anything() -> None:
    scheme = own('a = "x{ts}"')
    ((_, made),) = sign(scheme, SECRET, body=b"", timestamp_s=NOW_S, message_id="m")
    assert web_token.read(made).claims == {"a": "x1700000000"}
    for claims in ({"a": "y"}, {}):
        request = Request("POST", "/", ((b"X-Signature", token(claims)),), b"")
        assert verify(scheme, [SECRET], request, now_s=NOW_S).is_ok


def test_a_claim_of_the_secrets_own_must_hold() -> None:
    scheme, secret = load("atlassian_connect"), Secret("client-1:shared")
    headers = sign(scheme, secret, body=BODY, timestamp_s=NOW_S, message_id="m", url=URL)
    request = Request("POST", "/hooks?x=1", headers, BODY)
    assert verify(scheme, [secret], request, now_s=NOW_S).is_ok
    assert verify(scheme, [secret], Request("POST", "/hooks?x=1", headers, b"any"), now_s=NOW_S).is_ok
    other = verify(scheme, [Secret("client-2:shared")], request, now_s=NOW_S)
    assert other.reason == "claim iss is not {client_key} of this request"
    moved = verify(scheme, [secret], Request("POST", "/hooks?x=2", headers, BODY), now_s=NOW_S)
    assert moved.reason == "claim qsh is not {query_hash} of this request"


def test_a_body_that_is_no_text_cannot_become_a_token() -> None:
    with pytest.raises(SignatureError, match="the body is not UTF-8") as caught:
        sign_request(
            load("wix"), Secret(key_for("wix").secret), body=b"\xff", timestamp_s=NOW_S, message_id="m"
        )
    assert caught.value.code == "body-malformed"


def test_a_body_that_is_a_token_holds_what_was_signed() -> None:
    signed = sign_request(
        load("wix"), Secret(key_for("wix").secret), body=BODY, timestamp_s=NOW_S, message_id="m"
    )
    assert web_token.read(signed.body).claims["data"] == BODY.decode()
    assert signed.headers == ()
