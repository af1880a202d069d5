"""Slots that are computed: known answers of the providers' own libraries and of the standards."""

import hashlib

import pytest

from webhookctl.model import Headers
from webhookctl.signing.computed import COMPUTATIONS, Offer
from webhookctl.signing.content import MAX_FIELDS, Content, Unsignable


def made(slot: str, body: bytes = b"", *, headers: Headers = (), **values: bytes) -> bytes:
    return COMPUTATIONS[slot](Offer({"path": b"/hooks?b=2&a=1&jwt=zzz", **values}, headers, Content(body)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", "0"),
        ("-0.0", "0"),
        ("1.0", "1"),
        ("-1.50", "-1.5"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("1.5e300", "1.5e+300"),
        ("12345678901234567890", "12345678901234567000"),
        ("0.000001", "0.000001"),
        ("1e-7", "1e-7"),
        ("123e-9", "1.23e-7"),
        ("1e999", "null"),
        ("true", "true"),
        ("null", "null"),
        ('"\\u00e9\\/\\n\\ud800\\u2028"', '"é/\\n\\ud800\u2028"'),
        ('[ 1 , "a" ]', '[1,"a"]'),
        ('{"b": 1, "a": {"10": 1, "9": 2, "x": 3}}', '{"b":1,"a":{"9":2,"10":1,"x":3}}'),
        ('{"01": 1, "4294967295": 2, "4294967294": 3}', '{"4294967294":3,"01":1,"4294967295":2}'),
        ('{"a": 1, "a": 2}', '{"a":2}'),
    ],
)
def test_json_is_written_anew_as_javascript_writes_it(text: str, expected: str) -> None:
    assert made("json", text.encode()) == expected.encode()


def test_a_name_of_very_many_digits_is_a_name_like_others() -> None:
    name = "1" * 5000
    assert made("json", f'{{"{name}": 1, "2": 2}}'.encode()) == f'{{"2":2,"{name}":1}}'.encode()


def test_canonical_json_sorts_names_by_utf16_units_and_leaves_nothing_as_nothing() -> None:
    body = '{"\ufb01": 1, "\U0001f600": 2, "a": {"2": 1, "10": 2}}'
    assert made("json_canonical", body.encode()) == '{"a":{"10":2,"2":1},"\U0001f600":2,"\ufb01":1}'.encode()
    assert made("json_canonical", b"") == b""


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_not_written_anew(body: bytes) -> None:
    with pytest.raises(Unsignable, match="the body is not JSON"):
        made("json", body)


def test_hashes_of_body_and_url() -> None:
    assert made("body_sha256", b"x") == hashlib.sha256(b"x").hexdigest().encode()
    assert made("body_sha256_base64", b"") == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert made("url_sha256", url=b"u") == hashlib.sha256(b"u").hexdigest().encode()


def test_the_crc_is_that_of_paypals_own_library() -> None:
    body = '{"id":"evt_1","type":"demo.created","data":{"n":1,"name":"café"}}'.encode()
    assert made("body_crc32", body) == b"510372572"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        (b"https://example.com:8443/a", b"example.com:8443"),
        (b"https://example.com?x", b"example.com"),
        (b"", b""),
    ],
)
def test_host_and_query_are_parts_of_the_url(url: bytes, host: bytes) -> None:
    assert made("host", url=url) == host
    assert made("query", path=b"/a?b=c?d") == b"b=c?d"


def test_a_sorted_form_has_each_value_once() -> None:
    assert made("sorted_form", b"b=2&a=%C3%A9+x&b=1&b=2&c") == "aé xb1b2c".encode()


def test_a_form_with_too_many_fields_is_not_signed() -> None:
    with pytest.raises(Unsignable, match="more than"):
        made("sorted_form", b"a=1&" * (MAX_FIELDS + 1))


def test_a_php_form_is_sorted_and_numbers_as_names_are_numbers() -> None:
    body = b"b=%C3%A9&a=x&p_signature=zz&7=n&07=m"
    assert (
        made("php_form", body)
        == b'a:4:{s:2:"07";s:1:"m";i:7;s:1:"n";s:1:"a";s:1:"x";s:1:"b";s:2:"\xc3\xa9";}'
    )


def test_the_lines_of_an_sns_message() -> None:
    notification = (
        b'{"Type":"Notification","Message":"m","MessageId":"i","Timestamp":"t","TopicArn":"a","Other":"o"}'
    )
    assert (
        made("sns_lines", notification)
        == b"Message\nm\nMessageId\ni\nTimestamp\nt\nTopicArn\na\nType\nNotification\n"
    )
    subject = notification.replace(b'"Other"', b'"Subject"')
    assert b"\nMessageId\ni\nSubject\no\nTimestamp\n" in made("sns_lines", subject)
    confirmation = notification.replace(
        b'"Notification"', b'"SubscriptionConfirmation","Token":"k","SubscribeURL":"u"'
    )
    assert b"\nSubscribeURL\nu\nTimestamp\nt\nToken\nk\nTopicArn\n" in made("sns_lines", confirmation)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[]", "no SNS message"),
        (b"{}", "has no Message"),
        (b"{", "not JSON"),
        (b'{"Message":true}', "has no Message"),
    ],
)
def test_what_is_no_sns_message_is_not_signed(body: bytes, reason: str) -> None:
    with pytest.raises(Unsignable, match=reason):
        made("sns_lines", body)


def test_named_headers_are_sorted_and_trimmed_and_a_missing_one_is_empty() -> None:
    headers = ((b"X-B", b" two "), (b"x-a", b"one"))
    assert made("named_headers", headers=headers, names=b"x-b, X-A,x-c") == b"x-a:one;x-b:two;x-c:"


@pytest.mark.parametrize(
    ("path", "escaped"),
    [
        (b"/a b?x=1", b"/a%20b?x%253D1"),
        (b"/a?x=%20&y=(z)", b"/a?x%253D%252520%2526y%253D(z)"),
        (b"/a?", b"/a"),
        (b"/a?b?c", b"/a?b"),
    ],
)
def test_a_query_is_escaped_twice(path: bytes, escaped: bytes) -> None:
    assert made("escaped_path", path=path) == escaped


def test_the_query_hash_is_that_of_atlassians_own_library() -> None:
    expected = b"71964bc2cf5d07299a270f9caf01c8d0d5212d35d830e6340402fa05faa9a84e"
    assert made("query_hash", method=b"post") == expected
    several = hashlib.sha256(b"GET&/&a=1,2%2F&b=").hexdigest().encode()
    assert made("query_hash", method=b"GET", path=b"/?a=2/&b&a=1") == several


def test_a_detached_payload_is_encoded_twice() -> None:
    assert made("jws_payload", b"\xff", ts=b"1") == b"MS5fdw"
