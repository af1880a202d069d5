"""The envelopes of smee.io and gosmee, and who asks for one."""

import json
from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.relay.doors import NOW_S, arrival
from webhookctl.relay.event_text import Dialect, delivery, keepalive, opening
from webhookctl.relay.sse import EventStreams


def data_of(event: bytes) -> dict[str, Any]:
    lines = event.decode().split("\n")
    document = json.loads("\n".join(line[6:] for line in lines if line.startswith("data: ")))
    assert isinstance(document, dict)
    return document


def test_smees_envelope_has_headers_query_timestamp_and_the_body_as_json() -> None:
    one = arrival(
        b'{"a": 1.0}', target="/x?b=1&a=2&a=3&empty=", X_GitHub_Event="push", Transfer_Encoding="chunked"
    )
    event = delivery(Dialect.SMEE, one, b'{"a": 1.0}', seq=7)
    assert event.startswith(b"id: 7\ndata: ")
    assert data_of(event) == {
        "host": "hooks.example.com",
        "content-type": "application/json",
        "x-github-event": "push",
        "query": {"b": "1", "a": ["2", "3"], "empty": ""},
        "timestamp": int((NOW_S + 1) * 1000),
        "body": {"a": 1.0},
    }
    assert b'{"a": 1.0}' in event  # as it was written, so that what clients re-serialise is as near as can be


def test_gosmees_envelope_has_the_body_exact_and_the_first_of_each_header() -> None:
    one = arrival(X_GitHub_Event="push", x_github_event="other", body="ours")
    body = b"\x00\xff\r\n"
    assert data_of(delivery(Dialect.GOSMEE, one, body, seq=1)) == {
        "content-type": "application/json",
        "x-github-event": "push",
        "timestamp": str(int((NOW_S + 1) * 1000)),
        "bodyB": "AP8NCg==",
    }


def test_duplicate_headers_are_joined_for_smee_as_node_does() -> None:
    one = arrival(X_One="1", x_one="2")
    assert data_of(delivery(Dialect.SMEE, one, b"{}", seq=1))["x-one"] == "1, 2"


@pytest.mark.parametrize("name", ["body", "query", "timestamp", "Body", "bodyB"])
def test_a_header_cannot_take_the_place_of_what_the_relay_says(name: str) -> None:
    fields: dict[str, Any] = {name: "forged"}
    one = arrival(**fields)
    smee = data_of(delivery(Dialect.SMEE, one, b"{}", seq=1))
    gosmee = data_of(delivery(Dialect.GOSMEE, one, b"{}", seq=1))
    assert (smee["body"], smee["query"], smee["timestamp"]) == ({}, {}, int((NOW_S + 1) * 1000))
    assert (gosmee["bodyB"], gosmee["timestamp"]) == ("e30=", str(int((NOW_S + 1) * 1000)))


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", {}),
        (b"a=1&b=2", "a=1&b=2"),
        (b"NaN", "NaN"),
        (b"\xff", "�"),
        (b"[" * 3000, "[" * 3000),
        (b'{\r\n "a": "x",\n"b": 2\r}', {"a": "x", "b": 2}),
        (b'"\xe2\x80\xa8"', "\u2028"),
    ],
)
def test_smee_gets_json_as_it_is_and_anything_else_as_a_text(body: bytes, shown: object) -> None:
    assert data_of(delivery(Dialect.SMEE, arrival(), body, seq=1))["body"] == shown


@given(st.binary(max_size=200), st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3))
@settings(derandomize=True, deadline=None)
def test_whatever_is_sent_stays_one_event_and_gosmee_gets_its_bytes(
    body: bytes, fields: dict[str, str]
) -> None:
    text = json.dumps(fields).encode()
    for sent in (body, text):
        for dialect in Dialect:
            event = delivery(dialect, arrival(), sent, seq=1)
            assert event.endswith(b"\n\n")
            assert event.count(b"\n\n") == 1
            assert all(line.startswith((b"id: ", b"data: ")) for line in event[:-2].split(b"\n"))
        assert b64decode(data_of(delivery(Dialect.GOSMEE, arrival(), sent, seq=1))["bodyB"]) == sent
    assert data_of(delivery(Dialect.SMEE, arrival(), text, seq=1))["body"] == fields


def test_each_dialect_opens_and_keeps_alive_in_its_own_way() -> None:
    assert opening(Dialect.SMEE) == b"retry: 1000\nid: 0\nevent: ready\ndata: {}\n\n"
    assert (
        opening(Dialect.GOSMEE)
        == b'retry: 1000\ndata: {"message":"connected"}\n\ndata: {"message":"ready"}\n\n'
    )
    assert keepalive(Dialect.SMEE) == b"event: ping\ndata: {}\n\n"
    assert keepalive(Dialect.GOSMEE).startswith(b":")


@pytest.mark.parametrize(
    ("method", "target", "accept", "is_taken"),
    [
        ("GET", "/" + "a" * 26, "text/event-stream", True),
        ("GET", "/" + "a" * 26 + "?stream=x", "text/event-stream", True),
        ("GET", "/events/" + "a" * 26, "text/event-stream", True),
        ("GET", "/" + "a" * 26, "text/html", False),
        ("GET", "/" + "a" * 26, "", False),
        ("GET", "/" + "a" * 26 + "/x", "text/event-stream", False),
        ("GET", "/" + "a" * 25, "text/event-stream", False),
        ("POST", "/" + "a" * 26, "text/event-stream", False),
        ("HEAD", "/" + "a" * 26, "text/event-stream", False),
        ("GET", "/new", "", True),
        ("HEAD", "/new", "", True),
        ("POST", "/new", "", False),
        ("GET", "/version", "", True),
    ],
)
def test_readers_are_told_from_deliveries(method: str, target: str, accept: str, is_taken: bool) -> None:
    assert EventStreams.takes(method, target, ((b"Accept", accept.encode()),)) is is_taken
