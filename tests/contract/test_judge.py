"""Each expectation of an answer: met, and not met with the right words and place."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.contract.expectation import read_expectation
from webhookctl.contract.judge import judge_attempt, judge_body
from webhookctl.contract.model import BodyExpectation, Expectation
from webhookctl.contract.result import Complaint, Place
from webhookctl.model import Attempt, Response

JSON = st.recursive(
    st.booleans() | st.integers(-1000, 1000) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


def invalid(schema: object, value: object) -> Sequence[str]:
    return ["the schema says no"] if schema == {"type": "never"} else []


def attempt(body: bytes = b'{"received": true, "n": 1, "list": [1, 2]}', status: int = 200) -> Attempt:
    headers = ((b"Content-Type", b"application/json"), (b"X-Twice", b"one"), (b"x-twice", b"two"))
    return Attempt("http://localhost/", 0.0, 1500.0, Response(status, "Sample", headers, body))


def complaints(**expected: object) -> list[Complaint]:
    return judge_attempt(read_expectation(expected, origin="x"), attempt(), validate=invalid)


@pytest.mark.parametrize(
    "expected",
    [
        {"status": 200},
        {"status": "2xx"},
        {"status": [200, "4xx"]},
        {"status": "!5xx"},
        {"status": ["!5xx", "!400"]},
        {"within": "2s"},
        {"within": "1500ms"},
        {"headers": {"content-type": "json$", "X-Twice": "two", "X-None": False}},
        {"body": {"received": True}},
        {"body": {"n": 1.0, "list": [1, 2]}},
        {"exactly": {"received": True, "n": 1, "list": [1, 2]}},
        {"text": ' {"received": true, "n": 1, "list": [1, 2]}\n'},
        {"matches": "rec.*true"},
        {"schema": {"type": "object"}},
        {"absent": ["error", "list.2", "n.x"]},
        {},
    ],
    ids=str,
)
def test_an_expectation_that_is_met_is_silent(expected: dict[str, object]) -> None:
    assert complaints(**expected) == []


@pytest.mark.parametrize(
    ("expected", "what", "message", "wanted", "received"),
    [
        ({"status": 201}, "status", "answered 200 Sample", "201", "200 Sample"),
        ({"status": "!2xx"}, "status", "answered 200 Sample", "!2xx", "200 Sample"),
        ({"within": "1s"}, "within", "answered after 1,500 ms", "1,000 ms", "1,500 ms"),
        ({"headers": {"X-None": "."}}, "headers.X-None", "is missing", ".", "absent"),
        ({"headers": {"X-Twice": False}}, "headers.X-Twice", "is there", "absent", "one, two"),
        ({"headers": {"X-Twice": "three"}}, "headers.X-Twice", "is another", "three", "one, two"),
        ({"body": {"received": 1}}, "body.received", "is another", "1", "true"),
        ({"body": {"gone": {}}}, "body.gone", "is missing", "{}", "absent"),
        ({"body": {"list": [1]}}, "body.list", "has 2 items", "1 items", "[1, 2]"),
        ({"body": {"list": [1, 3]}}, "body.list[1]", "is another", "3", "2"),
        ({"body": [1]}, "body", "is another", "[1]", '{"received": true, "n": 1, "list": [1, 2]}'),
        ({"exactly": {"received": True, "n": 1}}, "body.list", "is there too", "absent", "[1, 2]"),
        ({"text": "ok"}, "body", "is another text", "ok", '{"received": true, "n": 1, "list": [1, 2]}'),
        ({"matches": "^no"}, "body", "does not match", "^no", '{"received": true, "n": 1, "list": [1, 2]}'),
        ({"schema": {"type": "never"}}, "body", "the schema says no", "valid by its schema", None),
        ({"absent": ["list.1"]}, "body.list.1", "is there", "absent", "2"),
    ],
    ids=str,
)
def test_an_expectation_that_is_not_met_is_told(
    expected: dict[str, object], what: str, message: str, wanted: str, received: str | None
) -> None:
    (complaint,) = complaints(**expected)
    assert (complaint.what, complaint.message, complaint.expected) == (what, message, wanted)
    assert received is None or complaint.received == received


def test_a_complaint_points_at_what_was_asked_for() -> None:
    places = {
        "status": Place("a", 1),
        "body": Place("a", 2),
        "within": Place("a", 3),
        "headers": Place("a", 4),
    }
    wanted = read_expectation(
        {"status": 500, "body": {"x": 1}, "within": "1ms", "headers": {"X": "y"}}, origin="x"
    )
    expect = Expectation(wanted.statuses, wanted.headers, wanted.body, wanted.within_s, places)
    found = judge_attempt(expect, attempt(), validate=invalid)
    assert [each.place and each.place.line for each in found] == [1, 4, 2, 3]


@pytest.mark.parametrize("body", [b"", b"ok", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_is_said_to_be_none(body: bytes) -> None:
    (found,) = judge_body(BodyExpectation(subset={"a": 1}), body, validate=invalid)
    assert found[1] == "is not JSON"


def test_long_values_are_cut() -> None:
    (found,) = judge_body(BodyExpectation(text="x"), b"y" * 1_000, validate=invalid)
    assert found[3] == "y" * 200 + "… (1,000 characters)"


@settings(derandomize=True, deadline=None)
@given(JSON)
def test_every_document_is_its_own_subset_and_exactly_itself(document: object) -> None:
    body = json.dumps(document).encode()
    assert not list(judge_body(BodyExpectation(subset=document, exactly=document), body, validate=invalid))


@settings(derandomize=True, deadline=None)
@given(st.dictionaries(st.text(max_size=3), JSON, min_size=1, max_size=4), st.data())
def test_more_keys_break_exactly_but_no_subset(document: dict[str, object], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(document)))
    less = {name: value for name, value in document.items() if name != key}
    body = json.dumps(document).encode()
    assert not list(judge_body(BodyExpectation(subset=less), body, validate=invalid))
    assert list(judge_body(BodyExpectation(exactly=less), body, validate=invalid))
    assert list(judge_body(BodyExpectation(subset=document), json.dumps(less).encode(), validate=invalid))
