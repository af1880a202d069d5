"""Every cause beside the body: secrets, URLs, headers, algorithms, contents, time; each is made, and named."""

import base64
import hashlib
import hmac
from collections.abc import Callable

import pytest

from tests.signing.keys import key_for
from tests.signing.xray import BODY, NOW_S, SECRET, TEXT, URL, causes, judged, request, with_value
from webhookctl.model import Request, Secret, VerdictKind
from webhookctl.signing import Scheme, Search, load, parse_scheme, sign, verify
from webhookctl.signing.explanation import explain
from webhookctl.signing.xray.causes import CAUSES
from webhookctl.signing.xray.examination import examine

OTHER = Secret("another_secret_1", "env:STRIPE_WEBHOOK_SECRET_TEST")
DECODED = base64.b64decode(TEXT.removeprefix("whsec_"))


def own(template: str, *, encoding: str = "hex", algorithm: str = "hmac-sha256", rest: str = "") -> Scheme:
    return parse_scheme(
        f'id = "own"\nname = "Own"\n[signature]\ntemplate = "{template}"\nalgorithm = "{algorithm}"\n'
        f'encoding = "{encoding}"\n[[header]]\nname = "X-Signature"\nvalue = "{{sig}}"\n{rest}',
        "own.toml",
    )


def made(secret: bytes, content: bytes, name: str = "sha256") -> str:
    return hmac.new(secret, content, name).hexdigest()


def github(signature: str | bytes, *, body: bytes = BODY, prefix: str = "sha256=") -> Request:
    text = signature.decode() if isinstance(signature, bytes) else signature
    return Request("POST", "/hooks", ((b"X-Hub-Signature-256", (prefix + text).encode()),), body)


def stripe(secret: bytes, content: bytes) -> Request:
    value = f"t={int(NOW_S)},v1={made(secret, content)}".encode()
    return Request("POST", "/hooks", ((b"Stripe-Signature", value),), BODY)


def stamped(body: bytes = BODY) -> bytes:
    return b"%d.%s" % (NOW_S, body)


# secrets


@pytest.mark.parametrize("provider", ["stripe", "github"])
def test_another_known_secret_is_named_by_its_origin(provider: str) -> None:
    search = Search(secrets=(("slack", Secret("x", "env:X")), ("stripe", OTHER)))
    verdict = judged(provider, request(provider, secret=OTHER), search=search)
    assert (verdict.kind, causes(verdict)) == (VerdictKind.WRONG_SECRET, ("secret-other",))
    assert verdict.reason.startswith(
        "another known secret makes this signature: env:STRIPE_WEBHOOK_SECRET_TEST"
    )
    assert verdict.finding is not None
    assert verdict.finding.secret == "env:STRIPE_WEBHOOK_SECRET_TEST"


def test_the_same_secret_known_twice_is_no_other_one() -> None:
    search = Search(secrets=(("stripe", SECRET), ("stripe", OTHER), ("slack", OTHER)))
    wrong = stripe(b"nobody's", stamped())
    examination = examine(load("stripe"), [SECRET], wrong, url="", search=search)
    assert examination.hit is None
    assert judged("stripe", request("stripe"), search=search).is_ok


SECRETS: list[tuple[str, str, bytes, str]] = [
    ("a newline signed", "key_1", b"key_1\n", "secret-white-space"),
    ("a CRLF signed", "key_1", b"key_1\r\n", "secret-white-space"),
    ("white space here", " key_1 ", b"key_1", "secret-white-space"),
    ("a newline here", "key_1\n", b"key_1", "secret-white-space"),
    ("double quotes here", '"key_1"', b"key_1", "secret-quotes"),
    ("quotes signed", "key_1", b"'key_1'", "secret-quotes"),
    ("upper-case hex", "00ffaa11", b"00FFAA11", "secret-case"),
    ("lower-case hex", "00FFAA11", b"00ffaa11", "secret-case"),
    ("prefix left out", TEXT, TEXT.removeprefix("whsec_").encode(), "secret-prefix"),
    ("decoded after its prefix", TEXT, DECODED, "secret-decoded"),
    ("decoded from base64", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY", DECODED, "secret-decoded"),
    ("decoded from base64url", "-_-_QUJD", base64.urlsafe_b64decode("-_-_QUJD"), "secret-decoded"),
    ("decoded from hex", "00ffaa11", bytes.fromhex("00ffaa11"), "secret-decoded"),
    ("empty", "key_1", b"", "secret-empty"),
    ("undefined", "key_1", b"undefined", "secret-placeholder"),
    ("None", "key_1", b"None", "secret-placeholder"),
]


@pytest.mark.parametrize(("text", "key", "expected"), [c[1:] for c in SECRETS], ids=[c[0] for c in SECRETS])
def test_a_secret_taken_otherwise_is_named(text: str, key: bytes, expected: str) -> None:
    for provider, given in (("stripe", stripe(key, stamped())), ("github", github(made(key, BODY)))):
        verdict = judged(provider, given, secrets=[Secret(text, "env:OURS")])
        assert (verdict.kind, causes(verdict)) == (VerdictKind.WRONG_SECRET, (expected,))
        assert verdict.finding is not None
        assert verdict.finding.secret == "env:OURS"
        for shown in (verdict.reason, verdict.finding.fix):
            assert text.strip().strip("\"'") not in shown


@pytest.mark.parametrize(
    ("key", "expected"),
    [(TEXT.encode(), "secret-not-decoded"), (TEXT.removeprefix("whsec_").encode(), "secret-prefix")],
)
def test_a_secret_that_should_be_decoded_and_was_not_is_named(key: bytes, expected: str) -> None:
    content = b"msg_1." + stamped()
    signature = base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    for provider, prefix in (("standardwebhooks", "webhook"), ("svix", "svix")):
        headers = {"id": "msg_1", "timestamp": str(int(NOW_S)), "signature": f"v1,{signature}"}
        pairs = tuple((f"{prefix}-{name}".encode(), value.encode()) for name, value in headers.items())
        assert causes(judged(provider, Request("POST", "/", pairs, BODY))) == (expected,)


def test_a_prefix_that_is_missing_from_the_secret_is_named() -> None:
    bare = TEXT.removeprefix("whsec_")
    text = (
        'id = "own"\nname = "Own"\n[signature]\ntemplate = "{body}"\nalgorithm = "hmac-sha256"\nencoding = "hex"\n'
        'key_prefixes = ["key_"]\n[[header]]\nname = "X-Signature"\nvalue = "{sig}"\n'
    )
    given = Request("POST", "/", ((b"X-Signature", made(b"key_" + bare.encode(), BODY).encode()),), BODY)
    assert causes(judged(parse_scheme(text, "own"), given, secrets=[Secret(bare)])) == ("secret-prefix",)


def test_a_secret_that_is_not_in_the_form_is_tried_as_text() -> None:
    content = b"msg_1." + stamped()
    signature = base64.b64encode(hmac.digest(b"not base64!", content, "sha256"))
    headers = (
        (b"webhook-id", b"msg_1"),
        (b"webhook-timestamp", b"%d" % NOW_S),
        (b"webhook-signature", b"v1," + signature),
    )
    verdict = judged("standardwebhooks", Request("POST", "/", headers, BODY), secrets=[Secret("not base64!")])
    assert causes(verdict) == ("secret-not-decoded",)


def test_a_token_is_tried_as_well() -> None:
    given = Request("POST", "/", ((b"X-Gitlab-Token", b"the_token_1"),), BODY)
    for text, expected in (("the_token_1\n", "secret-white-space"), ('"the_token_1"', "secret-quotes")):
        assert causes(judged("gitlab", given, secrets=[Secret(text)])) == (expected,)
    other = Search(secrets=(("gitlab", Secret("the_token_1", "env:B")),))
    assert causes(judged("gitlab", given, search=other)) == ("secret-other",)
    assert causes(judged("gitlab", given)) == ("unexplained",)
    moved = Request("POST", "/", ((b"X-Token", b"Bearer the_token_1"),), BODY)
    assert causes(judged("gitlab", moved, secrets=[Secret("the_token_1")])) == ("header-name",)


# URLs

URLS: list[tuple[str, str, tuple[tuple[bytes, bytes], ...], tuple[str, ...]]] = [
    ("http://example.com/hooks?x=1", URL, (), ("url-scheme",)),
    (
        URL,
        "http://localhost:3000/hooks?x=1",
        ((b"Host", b"example.com"),),
        ("url-scheme", "url-host", "url-port"),
    ),
    (URL, "https://inner/hooks?x=1", ((b"X-Forwarded-Host", b"example.com, inner"),), ("url-host",)),
    ("https://example.com:443/hooks?x=1", URL, (), ("url-port",)),
    (URL, "https://example.com:8443/hooks?x=1", (), ("url-port",)),
    (
        "https://example.com:8443/hooks",
        "https://example.com/hooks",
        ((b"X-Forwarded-Port", b"8443"),),
        ("url-port",),
    ),
    ("https://example.com:9000/h", "https://example.com/h", ((b"Host", b"example.com:9000"),), ("url-port",)),
    ("https://example.com/hooks/", "https://example.com/hooks", (), ("url-slash",)),
    ("https://example.com/hooks", "https://example.com/hooks/", (), ("url-slash",)),
    ("https://example.com/hooks", URL, (), ("url-query",)),
    ("https://example.com/h?a=x y", "https://example.com/h?a=x%20y", (), ("url-query",)),
    ("https://example.com/h?a=x+y", "https://example.com/h?a=x%20y", (), ("url-query",)),
    ("https://example.com/h?a=1&b=2", "https://example.com/h?b=2&a=1", (), ("url-query",)),
    ("https://example.com/hooks", "https://example.com/api/hooks", (), ("url-path",)),
    ("https://example.com/v1/h", "https://example.com/h", ((b"X-Forwarded-Prefix", b"/v1/"),), ("url-path",)),
    ("https://example.com/v1/h", "https://example.com/h", ((b"X-Original-URI", b"/v1/h?q"),), ("url-path",)),
    (
        "https://example.com/v1/h",
        "https://example.com/h",
        ((b"X-Original-URL", b"https://example.com/v1/h"),),
        ("url-path",),
    ),
    ("https://example.com/a b", "https://example.com/a%20b", (), ("url-path",)),
    ("https://example.com/a%20b", "https://example.com/a b", (), ("url-path",)),
    ("https://[::1]:8080/h", "http://[::1]:8080/h", (), ("url-scheme",)),
]


@pytest.mark.parametrize(("signed", "seen", "more", "expected"), URLS)
@pytest.mark.parametrize("template", ["{url}{body}", "{body}|{url}"])
def test_another_url_is_named(
    signed: str, seen: str, more: tuple[tuple[bytes, bytes], ...], expected: tuple[str, ...], template: str
) -> None:
    scheme = own(template)
    verdict = judged(scheme, request(scheme, url=signed, more=more), url=seen)
    assert (verdict.kind, causes(verdict)) == (VerdictKind.MALFORMED, expected)
    assert verdict.reason.startswith("the signature fits another URL: with")


@pytest.mark.parametrize("provider", ["square", "trello"])
def test_another_url_is_named_for_providers_that_sign_it(provider: str) -> None:
    given = request(provider, url=URL)
    assert judged(provider, given, url=URL).is_ok
    assert causes(judged(provider, given, url=URL.replace("https", "http"))) == ("url-scheme",)


def test_another_path_is_named_where_only_the_path_is_signed() -> None:
    scheme = own("{method}{path}{body}")
    given = request(scheme, url="https://example.com/hooks/?x=1")
    assert causes(judged(scheme, given, url="")) == ("url-slash",)


def test_a_url_that_is_none_varies_into_nothing() -> None:
    scheme = own("{url}{body}")
    for url in ("https://[bad", "https://example.com:x/", "\ud800"):
        assert causes(judged(scheme, request(scheme, url=URL), url=url)) == ("unexplained",)


def test_a_body_and_a_url_that_both_changed_are_named_together() -> None:
    scheme = own("{url}{body}")
    given = request(scheme, arrived=BODY + b"\n", url=URL)
    assert causes(judged(scheme, given, url=URL.replace("https", "http"))) == ("url-scheme", "body-newline")


# headers

RIGHT = made(TEXT.encode(), BODY)
RAW = bytes.fromhex(RIGHT)
HEADERS: list[tuple[str, bytes, str]] = [
    ("no prefix", RIGHT.encode(), "header-prefix"),
    ("prefix twice", b"sha256=sha256=" + RIGHT.encode(), "header-prefix"),
    ("upper case", b"sha256=" + RIGHT.upper().encode(), "signature-case"),
    ("mixed case", b"sha256=" + (RIGHT[:32].upper() + RIGHT[32:]).encode(), "signature-case"),
    ("base64", b"sha256=" + base64.b64encode(RAW), "signature-encoding"),
    ("base64url", b"sha256=" + base64.urlsafe_b64encode(RAW).rstrip(b"="), "signature-encoding"),
    ("cut", b"sha256=" + RIGHT[:40].encode(), "signature-truncated"),
    ("cut to the shortest", b"sha256=" + RIGHT[:16].encode(), "signature-truncated"),
    ("cut at an odd place", b"sha256=" + RIGHT[:33].encode(), "signature-truncated"),
    ("quotes round it", b'sha256="' + RIGHT.encode() + b'"', "signature-quotes"),
    ("quotes round all", b'"sha256=' + RIGHT.encode() + b'"', "signature-quotes"),
    ("folded", b"sha256=" + RIGHT[:32].encode() + b"\t " + RIGHT[32:].encode(), "signature-white-space"),
    ("joined", b"sha256=" + b"0" * 64 + b", sha256=" + RIGHT.encode(), "signature-joined"),
]


@pytest.mark.parametrize(("value", "expected"), [c[1:] for c in HEADERS], ids=[c[0] for c in HEADERS])
def test_a_header_written_otherwise_is_named(value: bytes, expected: str) -> None:
    given = Request("POST", "/", ((b"x-hub-signature-256", value),), BODY)
    verdict = judged("github", given)
    assert (verdict.kind, causes(verdict)) == (VerdictKind.MALFORMED, (expected,))


CHANGES: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("hex", lambda text: base64.b64decode(text).hex().encode(), "signature-encoding"),
    ("base64url", lambda text: base64.urlsafe_b64encode(base64.b64decode(text)), "signature-encoding"),
    ("no padding", lambda text: text.rstrip(b"="), "signature-encoding"),
    ("percent-encoded", lambda text: text.replace(b"=", b"%3D").replace(b"+", b"%2B"), "signature-encoding"),
    ("cut", lambda text: text[:30], "signature-truncated"),
    ("with a prefix", lambda text: b"sha256=" + text, "header-prefix"),
    ("in quotes", lambda text: b'"' + text + b'"', "signature-quotes"),
]


@pytest.mark.parametrize(("change", "expected"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_a_base64_signature_written_otherwise_is_named(
    change: Callable[[bytes], bytes], expected: str
) -> None:
    ((name, value),) = request("shopify").headers
    given = Request("POST", "/", ((name, change(value)),), BODY)
    assert causes(judged("shopify", given)) == (expected,)


@pytest.mark.parametrize("provider", ["github", "shopify", "stripe"])
def test_the_right_signature_under_another_name_is_found(provider: str) -> None:
    ((_, value),) = request(provider).headers
    given = Request("POST", "/", ((b"Host", b"example.com"), (b"X-Other", value)), BODY)
    verdict = judged(provider, given)
    assert "header-name" in causes(verdict)
    assert "X-Other" in verdict.reason


def test_a_timestamp_under_another_name_is_found() -> None:
    at, signature = request("slack").headers
    given = Request("POST", "/", ((b"X-Time", at[1]), signature), BODY)
    verdict = judged("slack", given)
    assert causes(verdict) == ("header-name",)
    assert "X-Time (the timestamp)" in verdict.reason


def test_parts_of_a_header_with_other_separators_are_read() -> None:
    given = with_value(request("stripe"), "Stripe-Signature", (b",", b"; "))
    assert causes(judged("stripe", given)) == ("header-form",)
    quoted = with_value(request("stripe"), "Stripe-Signature", (b"t=", b't="'))
    quoted = with_value(quoted, "Stripe-Signature", (b",", b'",'))
    assert causes(judged("stripe", quoted)) == ("header-form",)


def test_the_older_signature_beside_a_wrong_one_shows_that_the_new_one_was_replaced() -> None:
    sha1 = made(TEXT.encode(), BODY, "sha1").encode()
    headers = ((b"X-Hub-Signature", b"sha1=" + sha1), (b"X-Hub-Signature-256", b"sha256=" + b"0" * 64))
    verdict = judged("github", Request("POST", "/", headers, BODY))
    assert causes(verdict) == ("algorithm-hash", "signature-replaced")


def test_a_header_that_says_nothing_keeps_its_verdict() -> None:
    none = judged("github", Request("POST", "/", (), BODY))
    assert (none.kind, causes(none)) == (VerdictKind.NO_HEADER, ("header-missing",))
    odd = judged("github", Request("POST", "/", ((b"X-Hub-Signature-256", b"odd"),), BODY))
    assert (odd.kind, causes(odd)) == (VerdictKind.MALFORMED, ("malformed",))


@pytest.mark.parametrize("length", [8, 15])
def test_too_little_of_a_signature_is_no_proof(length: int) -> None:
    assert causes(judged("github", github(RIGHT[:length]))) == ("malformed",)


# algorithms and contents


@pytest.mark.parametrize("name", ["sha1", "sha512", "sha384", "md5"])
def test_another_hash_is_named(name: str) -> None:
    assert causes(judged("github", github(made(TEXT.encode(), BODY, name)))) == ("algorithm-hash",)
    assert causes(judged("stripe", with_value_of_stripe(made(TEXT.encode(), stamped(), name)))) == (
        "algorithm-hash",
    )


def with_value_of_stripe(signature: str) -> Request:
    return Request("POST", "/", ((b"Stripe-Signature", f"t={int(NOW_S)},v1={signature}".encode()),), BODY)


@pytest.mark.parametrize("content", [BODY, TEXT.encode() + BODY, BODY + TEXT.encode()])
def test_a_plain_digest_is_named(content: bytes) -> None:
    verdict = judged("github", github(hashlib.sha256(content).hexdigest()))
    assert causes(verdict) == ("algorithm-plain-digest",)


@pytest.mark.parametrize("provider", ["github", "stripe"])
def test_key_and_content_swapped_are_named(provider: str) -> None:
    given = (
        github(made(BODY, TEXT.encode()))
        if provider == "github"
        else with_value_of_stripe(made(stamped(), TEXT.encode()))
    )
    assert causes(judged(provider, given)) == ("algorithm-swapped",)


CONTENTS = [
    ("stripe", BODY, "content-without-timestamp"),
    ("stripe", b"%d:%s" % (NOW_S, BODY), "content-separator"),
    ("stripe", b"v0:%d:%s" % (NOW_S, BODY), "content-separator"),
    ("stripe", b"%d000.%s" % (NOW_S, BODY), "timestamp-unit"),
    ("github", BODY, ""),
]


@pytest.mark.parametrize(("provider", "content", "expected"), CONTENTS)
def test_another_content_is_named(provider: str, content: bytes, expected: str) -> None:
    signature = made(TEXT.encode(), content)
    given = github(signature) if provider == "github" else with_value_of_stripe(signature)
    verdict = judged(provider, given)
    assert verdict.is_ok if not expected else causes(verdict) == (expected,)


def test_an_id_or_a_url_that_was_not_signed_is_named() -> None:
    signature = base64.b64encode(hmac.digest(DECODED, stamped(), "sha256"))
    headers = (
        (b"webhook-id", b"msg_1"),
        (b"webhook-timestamp", b"%d" % NOW_S),
        (b"webhook-signature", b"v1," + signature),
    )
    assert causes(judged("standardwebhooks", Request("POST", "/", headers, BODY))) == ("content-without-id",)
    scheme = own("{url}{body}")
    given = Request("POST", "/", ((b"X-Signature", RIGHT.encode()),), BODY)
    assert causes(judged(scheme, given, url=URL)) == ("content-without-url",)


def test_seconds_signed_and_milliseconds_sent_are_named() -> None:
    scheme = own("{ts}{body}", rest='[[header]]\nname = "X-Time"\nvalue = "{ts}"\n[timestamp]\nunit = "ms"\n')
    signature = made(TEXT.encode(), b"%d%s" % (NOW_S, BODY))
    headers = ((b"X-Signature", signature.encode()), (b"X-Time", b"%d000" % NOW_S))
    verdict = judged(scheme, Request("POST", "/", headers, BODY))
    assert causes(verdict) == ("timestamp-unit",)


def test_a_signature_with_a_timestamp_nobody_asked_for_is_named() -> None:
    headers = (
        (b"X-Hub-Signature-256", b"sha256=" + made(TEXT.encode(), stamped()).encode()),
        (b"X-Timestamp", b"%d" % NOW_S),
    )
    verdict = judged("github", Request("POST", "/", headers, BODY))
    assert causes(verdict) == ("content-other",)
    assert verdict.reason == "something else was signed: {ts}.{body} instead of {body}"


def test_a_request_signed_as_another_provider_does_is_told() -> None:
    for secret, search in ((SECRET, Search()), (OTHER, Search(secrets=(("slack", OTHER),)))):
        verdict = judged("github", request("slack", secret=secret), search=search)
        assert (verdict.kind, causes(verdict)) == (VerdictKind.MALFORMED, ("scheme-other",))
        assert verdict.reason == "it is signed as Slack does"
        assert verdict.finding is not None
        assert verdict.finding.secret == secret.origin


def test_a_users_own_scheme_is_tried_before_the_packaged_ones() -> None:
    scheme = own("a very own {body} content")
    given = request(scheme)
    verdict = judged("github", given, search=Search(schemes=(scheme, load("github"))))
    assert causes(verdict) == ("scheme-other",)
    assert verdict.reason == "it is signed as Own does"


def test_a_token_beside_the_signature_shows_that_the_body_was_changed() -> None:
    token = Secret("the_token_1", "env:T")
    headers = (*request("gitlab_signing", secret=SECRET).headers, (b"X-Gitlab-Token", TEXT.encode()))
    given = Request("POST", "/", headers, b'{"a":2}')
    verdict = judged("gitlab_signing", given)
    assert (verdict.kind, causes(verdict)) == (VerdictKind.BODY_CHANGED, ("body-changed",))
    assert causes(judged("gitlab_signing", given, secrets=[token])) != ("body-changed",)


# time


def test_the_age_of_a_stale_signature_is_told_and_its_clock_suspected() -> None:
    verdict = judged("stripe", request("stripe"), now_s=NOW_S + 41 * 60)
    assert (verdict.kind, causes(verdict)) == (VerdictKind.EXPIRED, ("timestamp-stale",))
    ahead = judged("slack", request("slack"), now_s=NOW_S - 700)
    assert (ahead.kind, causes(ahead)) == (VerdictKind.FUTURE, ("timestamp-future",))


@pytest.mark.parametrize(
    ("seconds", "is_hinted"), [(7_200, True), (7_230, True), (7_400, False), (3_600 * 20, False)]
)
def test_whole_hours_hint_at_a_time_zone(seconds: int, is_hinted: bool) -> None:
    verdict = judged("stripe", request("stripe"), now_s=NOW_S + seconds)
    assert verdict.finding is not None
    assert ("time zone" in verdict.finding.fix) is is_hinted


@pytest.mark.parametrize(("unit", "text"), [("ms", b"%d" % NOW_S), ("s", b"%d000" % NOW_S)])
def test_a_timestamp_in_the_other_unit_is_named(unit: str, text: bytes) -> None:
    scheme = own(
        "{ts}{body}",
        rest=f'[[header]]\nname = "X-Time"\nvalue = "{{ts}}"\n[timestamp]\nunit = "{unit}"\ntolerance_s = 300.0\n',
    )
    signature = made(TEXT.encode(), text + BODY).encode()
    verdict = judged(scheme, Request("POST", "/", ((b"X-Signature", signature), (b"X-Time", text)), BODY))
    assert causes(verdict) == ("timestamp-unit",)


def test_a_web_token_that_is_over_is_stale() -> None:
    key = key_for("plaid")
    scheme = load("plaid")
    headers = sign(scheme, Secret(key.secret), body=BODY, timestamp_s=NOW_S, message_id="m")
    given = Request("POST", "/", headers, BODY)
    verdict = judged(scheme, given, secrets=[Secret(key.public)], now_s=NOW_S + 86_400)
    assert causes(verdict) == ("timestamp-stale",)


# key pairs and web tokens


@pytest.mark.parametrize("provider", ["discord", "sendgrid"])
def test_key_pairs_are_tried_with_other_bodies_and_other_keys(provider: str) -> None:
    scheme, key = load(provider), key_for(provider)
    given = request(scheme, secret=Secret(key.secret), arrived=BODY.replace(b",", b", ").replace(b":", b": "))
    spaced = Request("POST", "/", given.headers, BODY + b"\n")
    public = Secret(key.public, "env:PUBLIC")
    assert causes(judged(scheme, spaced, secrets=[public])) == ("body-newline",)
    raw = request(scheme, secret=Secret(key.secret))
    other = Secret(key_for("postal").public, "env:OTHER")
    search = Search(secrets=((provider, public),))
    assert causes(judged(scheme, raw, secrets=[other], search=search)) == ("secret-other",)
    wrong = Request("POST", "/", raw.headers, b"{}")
    assert causes(judged(scheme, wrong, secrets=[public])) == ("unexplained",)


def test_a_web_token_of_another_known_key_is_named() -> None:
    scheme = load("netlify")
    given = request(scheme, secret=Secret("token_secret_1"))
    assert judged(scheme, given, secrets=[Secret("token_secret_1")]).is_ok
    search = Search(secrets=(("netlify", Secret("token_secret_1", "env:N")),))
    assert causes(judged(scheme, given, search=search)) == ("secret-other",)
    assert causes(judged(scheme, given, secrets=[Secret("token_secret_1 ")])) == ("secret-white-space",)
    assert causes(judged(scheme, given)) == ("unexplained",)


def test_a_body_that_a_claim_is_about_is_found_when_it_was_re_encoded() -> None:
    scheme = load("netlify")
    given = request(scheme, secret=Secret("s"), arrived=BODY + b"\n")
    verdict = judged(scheme, given, secrets=[Secret("s")])
    assert (verdict.kind, causes(verdict)) == (VerdictKind.BODY_CHANGED, ("body-newline",))
    other = judged(scheme, Request("POST", "/", given.headers, b"{}"), secrets=[Secret("s")])
    assert (other.kind, causes(other)) == (VerdictKind.BODY_CHANGED, ("body-changed",))
    odd = Request("POST", "/", ((given.headers[0][0], b"no token"),), BODY)
    assert causes(judged(scheme, odd, secrets=[Secret("s")])) == ("malformed",)


# together, and the budget


def test_a_changed_body_and_another_secret_are_named_together() -> None:
    for provider in ("stripe", "github"):
        given = request(provider, secret=OTHER, arrived=BODY + b"\n")
        verdict = judged(provider, given, search=Search(secrets=((provider, OTHER),)))
        assert causes(verdict) == ("secret-other", "body-newline")
        assert "; and the signature fits the body without its trailing newline" in verdict.reason


def test_a_changed_body_and_a_lost_prefix_are_named_together() -> None:
    given = github(RIGHT, prefix="", body=BODY + b"\n")
    assert causes(judged("github", given)) == ("body-newline", "header-prefix")


@pytest.mark.parametrize("count", [0, 1, 40, 4_000])
def test_no_more_signatures_are_made_than_allowed(count: int) -> None:
    examination = examine(
        load("stripe"), [SECRET], stripe(b"?", stamped()), url="", search=Search(max_signatures=count)
    )
    assert sum(examination.tried.values()) <= count
    assert examination.is_cut_short is (count < 4_000)


def test_key_pairs_are_tried_much_less() -> None:
    key = key_for("discord")
    given = request("discord", secret=Secret(key.secret), arrived=b'{"a":[1,2,{"b":"/"}]}')
    examination = examine(load("discord"), [Secret(key.public)], given, url="", search=Search())
    assert sum(examination.tried.values()) < 100


def test_every_cause_has_words_and_a_fix_that_end_without_a_full_stop() -> None:
    for name, cause in CAUSES.items():
        assert name == name.lower()
        assert cause.words
        assert cause.fix
        assert not cause.fix.endswith(".")


def test_the_verdict_of_a_right_signature_asks_for_no_search() -> None:
    def fail() -> Search:
        raise AssertionError("nothing is searched for a signature that is right")

    given = request("stripe")
    verdict = verify(load("stripe"), [SECRET], given, now_s=NOW_S, search=fail)
    assert (verdict.is_ok, verdict.finding) == (True, None)


def test_a_content_that_could_be_the_schemes_own_with_another_body_is_not_called_another_content() -> None:
    signed = request("stripe", signed=b"{}", arrived=b".{}")
    assert causes(judged("stripe", signed)) == ("unexplained",)


def test_a_detail_that_two_causes_share_is_said_once() -> None:
    spaced = BODY.replace(b",", b", ").replace(b":", b": ").replace(b": //", b"://")
    verdict = judged("stripe", request("stripe", signed=BODY + b"\n", arrived=spaced))
    assert causes(verdict) == ("json-layout", "body-newline")
    assert verdict.reason.count("compact JSON with a trailing newline") == 1


def test_a_flood_of_claims_is_cut_off() -> None:
    flood = b" ".join(b"%064d" % number for number in range(125))
    headers = tuple((b"X-%d" % number, flood) for number in range(20))
    right = (b"X-Last", b"sha256=" + RIGHT.encode())
    wrong = (b"X-Hub-Signature-256", b"sha256=" + b"0" * 64)
    assert causes(judged("github", Request("POST", "/", (wrong, right), BODY))) == ("signature-replaced",)
    assert causes(judged("github", Request("POST", "/", (wrong, *headers, right), BODY))) == ("unexplained",)


def test_other_schemes_that_sign_nothing_or_need_a_url_are_left_out() -> None:
    headers = (
        *((name, b"x") for name in (b"x-square-hmacsha256-signature", b"X-Trello-Webhook")),
        (b"X-Hub-Signature-256", b"sha256=" + b"0" * 64),
    )
    assert causes(judged("github", Request("POST", "/", headers, BODY))) == ("unexplained",)


def test_a_cut_lower_or_upper_case_signature_is_told_from_the_scheme_that_writes_upper_case() -> None:
    scheme = own("{body}", encoding="upper-hex")
    given = Request("POST", "/", ((b"X-Signature", RIGHT.encode()),), BODY)
    verdict = judged(scheme, given)
    assert causes(verdict) == ("signature-case",)
    assert verdict.reason == "the signature is right, but in lower case"


def test_a_body_that_is_not_of_the_schemes_form_keeps_its_verdict() -> None:
    scheme = own("{json_canonical}")
    verdict = judged(scheme, Request("POST", "/", ((b"X-Signature", RIGHT.encode()),), b"no json"))
    assert (verdict.kind, verdict.reason) == (VerdictKind.MALFORMED, "the body is not JSON")
    assert causes(verdict) == ("malformed",)


def test_an_id_that_is_nowhere_leaves_nothing_to_try() -> None:
    headers = request("standardwebhooks").headers[1:]
    verdict = judged("standardwebhooks", Request("POST", "/", headers, BODY))
    assert (verdict.kind, causes(verdict)) == (VerdictKind.NO_HEADER, ("header-missing",))


def test_an_explanation_holds_for_key_pairs_tokens_and_what_cannot_be_read() -> None:
    for provider in ("discord", "plaid", "gitlab", "twitter", "standardwebhooks", "sendgrid", "twilio_form"):
        scheme, key = load(provider), key_for(provider)
        given = Request("POST", "/", ((b"X-Odd", b"1"),), BODY)
        verdict = judged(scheme, given, secrets=[Secret(key.public), Secret("\ud800")], url=URL)
        explained = explain(
            scheme, [Secret(key.public), Secret("\ud800")], given, verdict, now_s=NOW_S, url=URL
        )
        assert explained.verdict is verdict
        assert {note.outcome for note in explained.keys} <= {"fits", "does-not-fit", "not-in-form"}
        assert explained.received is None


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (b"%d" % NOW_S, "0s old; the provider checks no age"),
        (b"x", "the timestamp is not a whole number of seconds"),
    ],
)
def test_an_explanation_tells_what_the_time_was_judged_by(at: bytes, expected: str) -> None:
    rest = '[[header]]\nname = "X-Time"\nvalue = "{ts}"\n[timestamp]\nunit = "s"\n'
    scheme = own("{ts}{body}", rest=rest)
    given = Request("POST", "/", ((b"X-Signature", RIGHT.encode()), (b"X-Time", at)), BODY)
    verdict = judged(scheme, given)
    assert explain(scheme, [SECRET], given, verdict, now_s=NOW_S).time == expected
    bare = Request("POST", "/", ((b"X-Signature", RIGHT.encode()),), BODY)
    assert (
        explain(scheme, [SECRET], bare, judged(scheme, bare), now_s=NOW_S).time
        == "the request has no timestamp"
    )


def test_a_header_that_cannot_be_split_is_shown_by_its_beginning_alone() -> None:
    given = Request("POST", "/", ((b"Stripe-Signature", RIGHT.encode()),), BODY)
    explained = explain(load("stripe"), [SECRET], given, judged("stripe", given), now_s=NOW_S)
    assert explained.headers == (("Stripe-Signature", f"{RIGHT[:6]}…(64 characters)"),)
    assert explained.content == ()


def test_a_timestamp_of_another_form_under_a_right_signature_is_named() -> None:
    rest = '[[header]]\nname = "X-Time"\nvalue = "{ts}"\n[timestamp]\nunit = "s"\ntolerance_s = 300.0\n'
    scheme = own("{ts}{body}", rest=rest)
    text = b"2026-11-23T15:00:00Z"
    signature = made(TEXT.encode(), text + BODY).encode()
    given = Request("POST", "/", ((b"X-Signature", signature), (b"X-Time", text)), BODY)
    verdict = judged(scheme, given)
    assert (verdict.kind, causes(verdict)) == (VerdictKind.MALFORMED, ("timestamp-form",))
    assert verdict.reason == "the signature is right, but the timestamp is not a whole number of seconds"
