"""Requests signed where the signature is not in headers alone: in the body, in a form, in the query; parts of keys."""

import base64
import hashlib
import hmac
import json
from urllib.parse import parse_qs, quote_plus

import pytest

from tests.signing.keys import URL, key_for
from webhookctl.errors import SignatureError, UsageError
from webhookctl.model import Request, Secret, VerdictKind
from webhookctl.signing import Signed, load, parse_scheme, sign, sign_request, verify

NOW_S = 1_700_000_000.0
SECRET = Secret("topsecret_key")


def made(
    provider: str, body: bytes, *, secret: Secret = SECRET, url: str = "", message_id: str = "m-1"
) -> Signed:
    return sign_request(load(provider), secret, body=body, timestamp_s=NOW_S, message_id=message_id, url=url)


def sent(signed: Signed, body: bytes | None = None) -> Request:
    target = "/" + signed.url.partition("://")[2].partition("/")[2]
    return Request("POST", target, signed.headers, signed.body if body is None else body)


@pytest.mark.parametrize(
    ("provider", "body", "expected"),
    [
        ("linear", b'{"type":"Issue"}', b'{"type":"Issue","webhookTimestamp":1700000000000}'),
        ("linear", b'{"webhookTimestamp": 5, "a" : 1}', b'{"webhookTimestamp": 1700000000000, "a" : 1}'),
        ("pusher", b'{"time_ms":1,"events":[]}', b'{"time_ms":1700000000000,"events":[]}'),
    ],
)
def test_a_time_in_the_body_is_written_before_it_is_signed(
    provider: str, body: bytes, expected: bytes
) -> None:
    signed = made(provider, body)
    assert signed.body == expected
    assert signed.headers[-1][1] == hmac.new(b"topsecret_key", expected, "sha256").hexdigest().encode()
    scheme = load(provider)
    assert verify(scheme, [SECRET], sent(signed), now_s=NOW_S + 60).is_ok
    assert verify(scheme, [SECRET], sent(signed), now_s=NOW_S + 301).kind is VerdictKind.EXPIRED
    plain = sign(scheme, SECRET, body=b"as it is", timestamp_s=NOW_S, message_id="m")
    assert verify(scheme, [SECRET], Request("POST", "/", plain, b"as it is"), now_s=NOW_S).is_ok


def test_mailguns_known_answer_is_put_into_the_body() -> None:
    token = "a" * 50
    body = b'{"signature":{"timestamp":"1","token":"t","signature":"s"},"event-data":{"event":"opened"}}'
    signed = made("mailgun", body, message_id=token)
    expected = {
        "timestamp": "1700000000",
        "token": token,
        "signature": "325fa65731e9a179ff22aeebf60a1de2578a2dc1933618647bbbd8994c603bd8",
    }
    assert json.loads(signed.body)["signature"] == expected
    assert signed.headers == ()
    scheme = load("mailgun")
    assert verify(scheme, [SECRET], sent(signed), now_s=NOW_S).is_ok
    other = signed.body.replace(b"opened", b"clicked")
    assert verify(scheme, [SECRET], sent(signed, other), now_s=NOW_S).is_ok, (
        "the rest of the body is not covered"
    )
    form = "&".join(f"{name}={value}" for name, value in expected.items()).encode()
    assert verify(scheme, [SECRET], sent(signed, form), now_s=NOW_S).is_ok
    absent = verify(scheme, [SECRET], sent(signed, b"{}"), now_s=NOW_S)
    assert (absent.kind, absent.reason) == (VerdictKind.NO_HEADER, "no field body.signature.signature")


def test_a_field_in_another_form_is_malformed() -> None:
    body = b"bt_payload=x&bt_signature="
    verdict = verify(load("braintree"), [Secret("p:k")], Request("POST", "/", (), body), now_s=NOW_S)
    assert verdict.kind is VerdictKind.MALFORMED
    assert verdict.reason == "field form.bt_signature is not of the form {public_key}|{sig}"


def test_braintree_signs_with_the_digest_of_the_private_key_and_names_the_public_one() -> None:
    payload = base64.encodebytes(b"<notification/>")
    body = b"bt_payload=" + quote_plus(payload).encode()
    signed = made("braintree", body, secret=Secret("pubkey:privkey"))
    digest = hmac.new(hashlib.sha1(b"privkey").digest(), payload, "sha1").hexdigest()
    assert parse_qs(signed.body.decode())["bt_signature"] == [f"pubkey|{digest}"]
    scheme, secret = load("braintree"), Secret("pubkey:privkey")
    rotated = body + b"&bt_signature=" + quote_plus(f"other|{'0' * 40}&pubkey|{digest}").encode()
    assert verify(scheme, [secret], sent(signed, rotated), now_s=NOW_S).is_ok
    stripped = signed.body.replace(b"%0A&", b"&")
    assert stripped != signed.body
    assert verify(scheme, [secret], sent(signed, stripped), now_s=NOW_S).is_ok
    with pytest.raises(SignatureError) as caught:
        made("braintree", body, secret=Secret("privkey"))
    assert (caught.value.code, caught.value.hint) == ("secret-malformed", "PUBLIC_KEY:PRIVATE_KEY of the API")


def test_a_part_before_the_key_is_sent_and_may_be_left_out_where_it_has_a_value() -> None:
    body = b'{"time_ms":1,"events":[]}'
    assert made("pusher", body, secret=Secret("key-1:topsecret_key")).headers[0] == (
        b"X-Pusher-Key",
        b"key-1",
    )
    assert made("pusher", body).headers[0] == (b"X-Pusher-Key", b"app_key")
    signed = made("pusher", body, secret=Secret("key-1:topsecret_key"))
    assert verify(load("pusher"), [SECRET], sent(signed), now_s=NOW_S).is_ok


def test_a_part_before_the_key_is_signed() -> None:
    headers = sign(load("tiktok_shop"), Secret("app:key"), body=b"{}", timestamp_s=NOW_S, message_id="m")
    assert headers == ((b"Authorization", hmac.new(b"key", b"app{}", "sha256").hexdigest().encode()),)


def test_twilios_known_answer() -> None:
    body = b"From=%2B15551230000&Body=h%C3%A9llo&AccountSid=AC1"
    signed = made("twilio_form", body, url=URL)
    assert signed.headers[0] == (b"X-Twilio-Signature", b"b8nKIUwYsBdsXtcqr0tFjwdc/PE=")
    canonical = f"{URL}AccountSidAC1Bodyhéllo".encode() + b"From+15551230000"
    newer = base64.b64encode(hmac.digest(b"topsecret_key", canonical, "sha256"))
    request = Request("POST", "/hooks?x=1", ((b"X-Twilio-Signature", newer),), body)
    assert verify(load("twilio_form"), [SECRET], request, now_s=NOW_S, url=URL).is_ok


def test_a_hash_in_the_query_is_added_to_the_url_and_judged() -> None:
    signed = made("twilio_json", b'{"a":1}', url=URL)
    digest = hashlib.sha256(b'{"a":1}').hexdigest()
    assert signed.url == f"{URL}&bodySHA256={digest}"
    scheme = load("twilio_json")
    assert verify(scheme, [SECRET], sent(signed), now_s=NOW_S, url=signed.url).is_ok
    changed = verify(scheme, [SECRET], sent(signed, b"{}"), now_s=NOW_S, url=signed.url)
    assert changed.kind is VerdictKind.BODY_CHANGED
    assert changed.reason == "query.bodySHA256 is not {body_sha256} of this request"
    again = made("twilio_json", b"{}", url=signed.url)
    assert again.url.count("bodySHA256") == 1
    many = "https://example.com/?" + "a&" * 2000
    assert verify(scheme, [SECRET], sent(signed), now_s=NOW_S, url=many).kind is VerdictKind.WRONG_SECRET
    assert verify(scheme, [SECRET], sent(signed), now_s=NOW_S).kind is VerdictKind.UNKNOWN_SCHEME
    with pytest.raises(SignatureError) as caught:
        made("twilio_json", b"{}")
    assert caught.value.code == "url-missing"


def test_an_sns_message_carries_its_signature_and_the_headers_that_repeat_it() -> None:
    body = b'{"Type":"Notification","Message":"m","MessageId":"i","Timestamp":"t","TopicArn":"a"}'
    key, scheme = key_for("aws_sns"), load("aws_sns")
    signed = made("aws_sns", body, secret=Secret(key.secret))
    assert signed.headers[0] == (b"x-amz-sns-message-type", b"Notification")
    assert json.loads(signed.body)["SignatureVersion"] == "1"
    assert verify(scheme, [Secret(key.public)], sent(signed), now_s=NOW_S).is_ok
    headers = ((b"x-amz-sns-message-type", b"SubscriptionConfirmation"),)
    other = verify(scheme, [Secret(key.public)], Request("POST", "/", headers, signed.body), now_s=NOW_S)
    assert other.reason == "x-amz-sns-message-type is not {body.Type} of this request"
    forged = verify(
        scheme, [Secret(key.public)], sent(signed, signed.body.replace(b'"m"', b'"n"')), now_s=NOW_S
    )
    assert forged.kind is VerdictKind.WRONG_SECRET


def test_paypals_signed_text_is_that_of_its_own_library() -> None:
    text = (
        'id = "own"\nname = "Own"\n[signature]\ntemplate = "{id}|{ts}|{webhook_id}|{body_crc32}"\n'
        'algorithm = "sha256"\nencoding = "raw"\nkey_parts = ["webhook_id"]\n[timestamp]\nunit = "iso8601"\n'
        '[[header]]\nname = "I"\nvalue = "{id}"\n[[header]]\nname = "T"\nvalue = "{ts}"\n'
        '[[header]]\nname = "S"\nvalue = "{sig}"\n'
    )
    scheme = parse_scheme(text, "own.toml")
    assert load("paypal").template.text == scheme.template.text
    body = '{"id":"evt_1","type":"demo.created","data":{"n":1,"name":"café"}}'.encode()
    headers = sign(scheme, Secret("hook-1:k"), body=body, timestamp_s=NOW_S, message_id="id-1")
    canonical = b"id-1|2023-11-14T22:13:20Z|hook-1|510372572"
    assert headers[2] == (b"S", hashlib.sha256(canonical).digest())


@pytest.mark.parametrize(
    ("provider", "body", "reason"),
    [
        ("linear", b"no json", "cannot hold webhookTimestamp"),
        ("mailgun", b"[]", "cannot hold signature.timestamp"),
        ("figma", b"no json", "cannot hold passcode"),
        ("crisp", b"no json", "the body is not JSON"),
        ("dropbox_sign", b"a=1", "not a form with the field json"),
    ],
)
def test_a_body_of_another_form_is_not_signed(provider: str, body: bytes, reason: str) -> None:
    with pytest.raises(SignatureError, match=reason) as caught:
        made(provider, body)
    assert caught.value.code == "body-malformed"


def test_a_body_of_another_form_is_malformed() -> None:
    headers = sign(load("crisp"), SECRET, body=b"{}", timestamp_s=NOW_S, message_id="m")
    verdict = verify(load("crisp"), [SECRET], Request("POST", "/", headers, b"no json"), now_s=NOW_S)
    assert (verdict.kind, verdict.reason) == (VerdictKind.MALFORMED, "the body is not JSON")


def test_white_space_is_no_change_where_the_meaning_is_signed() -> None:
    headers = sign(load("crisp"), SECRET, body=b'{"a":1}', timestamp_s=NOW_S, message_id="m")
    assert verify(load("crisp"), [SECRET], Request("POST", "/", headers, b'{ "a": 1.0 }'), now_s=NOW_S).is_ok


def test_a_detached_signature_is_read_around_its_gap() -> None:
    key = key_for("neon")
    headers = sign(load("neon"), Secret(key.secret), body=b"{}", timestamp_s=NOW_S, message_id="m")
    assert headers[0][1].startswith(b"eyJhbGciOiJFZERTQSJ9..")
    other = ((b"X-Neon-Signature", headers[0][1].replace(b"..", b".x.")), *headers[1:])
    assert verify(load("neon"), [Secret(key.public)], Request("POST", "/", other, b"{}"), now_s=NOW_S).is_ok
    short = ((b"X-Neon-Signature", b"eyJhbGciOiJFZERTQSJ9"), *headers[1:])
    verdict = verify(load("neon"), [Secret(key.public)], Request("POST", "/", short, b"{}"), now_s=NOW_S)
    assert verdict.kind is VerdictKind.MALFORMED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[[field]]\nplace = "header.X"\nvalue = "{sig}"',
            "field.place: must be body.PATH, form.FIELD or query.NAME",
        ),
        ('[[field]]\nplace = "nowhere"\nvalue = "{sig}"', "field.place: a place is"),
        ('[[field]]\nplace = "body.a"\nvalue = "{sgi}"', "field.value: there is no 'sgi'"),
        ('[claims]\niat = "{st}"', "claims.iat: there is no 'st'"),
        ('[[header]]\nname = "Y"\nvalue = "{expires}"', "header.value: there is no 'expires'"),
        ('[detection]\nfields = ["nowhere"]', "detection.fields: a place is"),
    ],
)
def test_mistakes_in_the_newer_tables_are_named(text: str, message: str) -> None:
    base = 'id = "own"\nname = "Own"\n[signature]\ntemplate = "{body}"\nalgorithm = "md5"\nencoding = "hex"\n'
    with pytest.raises(UsageError) as caught:
        parse_scheme(f'{base}[[header]]\nname = "X"\nvalue = "{{sig}}"\n{text}', "own.toml")
    assert caught.value.message.startswith(f"own.toml: {message}")


@pytest.mark.parametrize(
    ("algorithm", "other", "message"),
    [
        ("md5", "jwt-hs256", "there is no 'jwt-hs256'"),
        ("md5", "none", "there is no 'none'"),
        ("jwt-hs256", "hmac-sha256", "there is no 'hmac-sha256'"),
    ],
)
def test_other_algorithms_are_of_the_same_kind(algorithm: str, other: str, message: str) -> None:
    text = (
        f'id = "own"\nname = "Own"\n[signature]\ntemplate = "{{body}}"\nalgorithm = "{algorithm}"\n'
        f'other_algorithms = ["{other}"]\nencoding = "hex"\n[[header]]\nname = "X"\nvalue = "{{sig}}"'
    )
    with pytest.raises(UsageError, match=message):
        parse_scheme(text, "own.toml")


@pytest.mark.parametrize("algorithm", ["md5", "sha512", "hmac-md5", "hmac-sha384"])
def test_further_digests(algorithm: str) -> None:
    text = (
        f'id = "own"\nname = "Own"\n[signature]\ntemplate = "{{body}}"\nalgorithm = "{algorithm}"\n'
        'encoding = "base64url-padded"\n[[header]]\nname = "X"\nvalue = "{sig}"'
    )
    name = algorithm.removeprefix("hmac-")
    is_keyed = algorithm != name
    raw = hmac.digest(b"topsecret_key", b"b", name) if is_keyed else hashlib.new(name, b"b").digest()
    headers = sign(parse_scheme(text, "own.toml"), SECRET, body=b"b", timestamp_s=0, message_id="m")
    assert headers == ((b"X", base64.urlsafe_b64encode(raw)),)


@pytest.mark.parametrize(
    ("derivation", "secret", "key"),
    [
        ("sha256", "abc", hashlib.sha256(b"abc").digest()),
        ("base64url", "_-8", b"\xff\xef"),
        ("base64-after-underscore", "any_a2V5", b"key"),
        ("base64-after-underscore", "a2V5", b"key"),
        ("base64-when-prefixed", "p_a2V5", b"key"),
        ("base64-when-prefixed", "a2V5", b"a2V5"),
        ("whole", "p_a2V5", b"p_a2V5"),
        ("utf8", "q-test_1-x", b"x"),
    ],
)
def test_further_derivations(derivation: str, secret: str, key: bytes) -> None:
    text = (
        'id = "own"\nname = "Own"\n[signature]\ntemplate = "{body}"\nalgorithm = "hmac-sha256"\nencoding = "raw"\n'
        f'key_prefixes = ["p_", "q-*-"]\nkeys = ["{derivation}"]\n[[header]]\nname = "X"\nvalue = "{{sig}}"'
    )
    headers = sign(parse_scheme(text, "own.toml"), Secret(secret), body=b"b", timestamp_s=0, message_id="m")
    assert headers == ((b"X", hmac.digest(key, b"b", "sha256")),)
