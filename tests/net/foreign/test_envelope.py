"""Envelopes of smee and gosmee turned back into requests: what is exact, what is dropped, what is refused."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.net.foreign.envelope import EnvelopeError, unwrap


def envelope(**fields: Any) -> bytes:
    return json.dumps({"body": {}, **fields}).encode()


def test_the_body_of_gosmee_is_exact() -> None:
    body = b'{ "price": 1.50,\r\n "name": "\\u00e9" }\n'
    unwrapped = unwrap(
        b'{"x-github-event":"push","content-type":"application/json","timestamp":"1795441771000","bodyB":"'
        + b64encode(body)
        + b'"}'
    )
    assert unwrapped.request.body == body
    assert unwrapped.is_body_exact
    assert unwrapped.sent_at_s == 1_795_441_771.0
    assert unwrapped.request.method == "POST"
    assert unwrapped.request.target == "/"
    assert unwrapped.request.headers == (
        (b"x-github-event", b"push"),
        (b"content-type", b"application/json"),
    )


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_survive_in_base64(body: bytes) -> None:
    assert unwrap(json.dumps({"bodyB": b64encode(body).decode()}).encode()).request.body == body


def test_the_body_of_smee_is_taken_as_it_stands_in_the_envelope() -> None:
    inner = '{"2":1,"price":1e21,"big":12345678901234567000,"name":"é","nested":{"body":[]}}'
    unwrapped = unwrap(
        f'{{"host":"smee.example","body":{inner},"query":{{}},"timestamp":1795441771123}}'.encode()
    )
    assert unwrapped.request.body == inner.encode()
    assert not unwrapped.is_body_exact
    assert unwrapped.sent_at_s == 1_795_441_771.123


def test_of_two_bodies_the_last_one_counts_as_everywhere() -> None:
    assert unwrap(b'{"body":{"a":1},"body":{"a":2}}').request.body == b'{"a":2}'


def test_a_raw_body_beside_the_parsed_one_is_the_exact_one() -> None:
    unwrapped = unwrap(envelope(rawdata='{"a": 1.0}', body={"a": 1}))
    assert unwrapped.request.body == b'{"a": 1.0}'
    assert unwrapped.is_body_exact
    assert not unwrap(envelope(rawdata='"\N{REPLACEMENT CHARACTER}"')).is_body_exact


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ({}, "/"),
        ({"a": "1", "b": ""}, "/?a=1&b="),
        ({"a": ["1", "2"]}, "/?a=1&a=2"),
        ({"a": {"b": "x y", "c": ["é"]}}, "/?a[b]=x+y&a[c]=%C3%A9"),
        ({"a b": "&="}, "/?a+b=%26%3D"),
        ({"n": 1, "t": True, "nothing": None}, "/?n=1&t=true"),
        ("?a=1&b=%20", "/?a=1&b=%20"),
        ("a b", "/?a+b"),
        (7, "/"),
        ({"\ud800": "\ud800"}, "/?%3F=%3F"),
    ],
)
def test_the_query_is_restored(query: object, target: str) -> None:
    assert unwrap(envelope(query=query)).request.target == target


def test_a_query_nested_for_ever_ends() -> None:
    query: dict[str, Any] = {}
    for _ in range(200):
        query = {"a": query or "x"}
    assert unwrap(envelope(query=query)).request.target == "/"


def test_framing_and_the_relays_own_keys_are_no_headers() -> None:
    unwrapped = unwrap(
        envelope(
            connection="close",
            **{
                "content-length": "99",
                "transfer-encoding": "chunked",
                "content-encoding": "gzip",
                "x-a": "1",
            },
            query={},
            timestamp=1,
        )
    )
    assert unwrapped.request.headers == ((b"x-a", b"1"),)
    assert unwrapped.original_bytes == 99


def test_a_length_that_fits_stays() -> None:
    unwrapped = unwrap(envelope(**{"content-length": "2"}))
    assert unwrapped.request.headers == ((b"content-length", b"2"),)
    assert unwrapped.original_bytes == 2


def test_the_content_encoding_of_an_exact_body_stays() -> None:
    unwrapped = unwrap(b'{"content-encoding":"identity","bodyB":""}')
    assert unwrapped.request.headers == ((b"content-encoding", b"identity"),)


def test_header_bytes_come_back_and_lists_are_several_fields() -> None:
    unwrapped = unwrap(envelope(**{"x-latin": "caf\u00e9", "x-wide": "\u20ac", "x-many": ["1", "2"]}))
    assert unwrapped.request.headers == (
        (b"x-latin", b"caf\xe9"),
        (b"x-wide", "\u20ac".encode()),
        (b"x-many", b"1"),
        (b"x-many", b"2"),
    )


def test_what_cannot_be_a_header_is_left_out_and_named() -> None:
    unwrapped = unwrap(envelope(**{"x a": "1", "x-split": "a\r\nx-forged: 1", "x-number": 7, "x-fine": "1"}))
    assert unwrapped.request.headers == ((b"x-fine", b"1"),)
    assert unwrapped.dropped == ("x a", "x-split", "x-number")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no JSON object"),
        (b"{}", "no body"),
        (b'{"bodyB":7}', "base64"),
        (b'{"bodyB":"%%%"}', "base64"),
        (b'{"body":NaN}', "not JSON"),
        (b'{"encrypted":true,"version":1,"epk":"","nonce":"","ciphertext":""}', "encrypted"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_delivery_is_refused_with_a_reason(data: bytes, why: str) -> None:
    with pytest.raises(EnvelopeError, match=why):
        unwrap(data)


@pytest.mark.parametrize("timestamp", [None, True, "soon", "-1", -1, 0, 1e300, {}, "9" * 50], ids=repr)
def test_an_odd_timestamp_is_none(timestamp: object) -> None:
    assert unwrap(envelope(timestamp=timestamp)).sent_at_s is None


def test_an_odd_length_is_unknown() -> None:
    assert unwrap(envelope(**{"content-length": "x"})).original_bytes is None
    assert unwrap(envelope(**{"content-length": "9" * 30})).original_bytes is None
