"""Saved answers, and how others differ from them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhookctl.contract.result import Complaint, Delivered, Place
from webhookctl.contract.snapshot import answers, judge_snapshot, read_snapshots, write_snapshots
from webhookctl.errors import UsageError
from webhookctl.model import Attempt, Failure, FailureKind, Request, Response

PLACE = Place("x.contract.toml", 3, 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def delivered(body: bytes, status: int = 200) -> Delivered:
    response = Response(status, "", ((b"content-type", b"application/json"),), body)
    attempt = Attempt("http://localhost/", 0.0, 1.0, response)
    return Delivered("x", "", Request("POST", "/", (), b""), attempt, 0.0)


def complaints(saved: object, got: object) -> list[Complaint]:
    return list(judge_snapshot(saved, got, PLACE))


def test_the_same_answer_is_the_snapshot() -> None:
    got = answers([delivered(b'{"id": 1, "at": "now"}')], ["at", "gone"])
    assert got == [{"status": 200, "content_type": "application/json", "body": {"id": 1}}]
    assert complaints(got, got) == []


def test_another_answer_is_told_path_by_path() -> None:
    saved = answers([delivered(b'{"id": 1}')], [])
    (status, body) = complaints(saved, answers([delivered(b'{"id": 2}', 201)], []))
    assert (status.what, status.expected, status.received) == ("snapshot[0].status", "200", "201")
    assert (body.what, body.expected, body.received, body.place) == ("snapshot[0].body.id", "1", "2", PLACE)


def test_without_a_snapshot_the_way_to_one_is_told() -> None:
    (complaint,) = complaints(None, [])
    assert "--update" in complaint.message


def test_no_answer_and_no_json_have_a_form_too() -> None:
    failed = Attempt("http://localhost/", 0.0, 1.0, failure=Failure(FailureKind.CLOSED, "gone"))
    lost = Delivered("x", "", Request("POST", "/", (), b""), failed, 0.0)
    assert answers([lost, delivered(b"\xffok")], ["a"]) == [
        None,
        {"status": 200, "content_type": "application/json", "body": "\\xffok"},
    ]


@settings(derandomize=True, deadline=None)
@given(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON))
def test_what_is_written_is_read_again(cases: dict[str, object]) -> None:
    assert read_snapshots(write_snapshots(cases), origin="x") == cases


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"format": 2, "cases": {}}', b'{"format": 1, "cases": []}', b"\xff"]
)
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        read_snapshots(data, origin="x.snapshots.json")
    assert (caught.value.code, "--update" in caught.value.hint) == ("snapshot-invalid", True)


def test_the_file_is_sorted_for_people_to_review() -> None:
    text = write_snapshots({"b": 1, "a": "ü"}).decode()
    assert list(json.loads(text)["cases"]) == ["a", "b"]
    assert "ü" in text
