"""Fresh deliveries against what is read of them and against how they used to look."""

from typing import Any

import pytest

from webhookctl.contract.drift import Change, EventDrift, Known, Sample, Weight, compare, known
from webhookctl.contract.profile import profile

ORDER = {
    "id": "ord_1a2b3c4d",
    "total": 10,
    "customer": {"email": "sample@example.com"},
    "lines": [{"sku": "a"}],
}
READS = {"id": "string", "customer.email": "string", "lines[].sku": "string"}


def changed(**changes: object) -> dict[str, object]:
    return {**ORDER, **changes}


def drift(knowledge: Known, *documents: Any) -> EventDrift:
    samples = [Sample(f"capture {number}", "order", each) for number, each in enumerate(documents, start=1)]
    (found,) = compare(samples, {"order": knowledge})
    return found


def told(found: EventDrift) -> list[tuple[str, str, str]]:
    return [(each.path, each.change.value, each.weight.value) for each in found.findings]


def test_what_did_not_change_is_silent() -> None:
    found = drift(known(READS, None), ORDER, ORDER)
    assert (found.findings, found.checked, found.same, found.samples) == ((), 3, 3, 2)
    assert not found.is_breaking


@pytest.mark.parametrize(
    ("document", "path", "change"),
    [
        ({key: value for key, value in ORDER.items() if key != "id"}, "id", "vanished"),
        (changed(id=7), "id", "retyped"),
        (changed(id=None), "id", "null"),
        (changed(customer={}), "customer.email", "vanished"),
        (changed(customer=None), "customer.email", "vanished"),
        (changed(customer="sample"), "customer.email", "vanished"),
        ({"id": "ord_1", "lines": []}, "customer.email", "vanished"),
        (changed(lines=[{"sku": "a"}, {}]), "lines[].sku", "vanished"),
        (changed(lines=None), "lines[].sku", "vanished"),
        (changed(lines=["a"]), "lines[].sku", "vanished"),
    ],
)
def test_any_change_of_what_is_read_breaks(document: Any, path: str, change: str) -> None:
    found = drift(known(READS, None), document)
    assert told(found) == [(path, change, "breaking")]
    assert (found.is_breaking, found.same) == (True, 2)


@pytest.mark.parametrize(
    "document",
    [changed(total="ten"), changed(lines=[]), changed(extra=1), changed(customer={"email": "x", "y": 1})],
)
def test_what_is_not_read_may_change(document: Any) -> None:
    assert drift(known(READS, None), document).findings == ()


def test_what_may_be_absent_or_null_is_no_finding() -> None:
    reads = {"customer": "object | null", "customer.email": "string", "note": "string | absent"}
    assert drift(known(reads, None), {"customer": None}, {"customer": {"email": "x"}}).findings == ()
    assert told(drift(known(reads, None), {})) == [("customer", "vanished", "breaking")]


def test_a_text_outside_of_those_allowed_breaks() -> None:
    found = drift(known({"status": '"open" | "paid"'}, None), {"status": "void"})
    assert told(found) == [("status", "value", "breaking")]
    assert (found.findings[0].expected, found.findings[0].received) == ('"open" | "paid"', "'void'")


def test_the_first_and_the_last_capture_with_a_change_are_named() -> None:
    broken = changed(id=7)
    found = drift(known(READS, None), ORDER, broken, ORDER, broken, ORDER)
    assert [(each.first, each.last, each.count) for each in found.findings] == [("capture 2", "capture 4", 2)]


def test_without_reads_a_new_type_breaks_and_absence_only_where_it_is_sure() -> None:
    few, many = known(None, profile([ORDER] * 9)), known(None, profile([ORDER] * 10))
    without = {key: value for key, value in ORDER.items() if key != "total"}
    assert told(drift(few, changed(total="ten"))) == [("total", "retyped", "breaking")]
    assert told(drift(few, without)) == [("total", "vanished", "notice")]
    assert told(drift(many, without)) == [("total", "vanished", "breaking")]
    assert told(drift(many, changed(total=None))) == [("total", "null", "notice")]


def test_against_fixtures_new_paths_and_formats_are_noticed_the_outermost_alone() -> None:
    baseline = known(None, profile([ORDER] * 20))
    found = drift(baseline, changed(extra={"deep": 1}, id="7"))
    assert told(found) == [("extra", "new", "notice"), ("id", "value", "notice")]
    dates = known(None, profile([{"at": f"2026-11-{day}"} for day in range(10, 24)]))
    assert told(drift(dates, {"at": "soon"})) == [("at", "format", "notice")]
    assert told(drift(dates, {"at": "2027-01-01"})) == []


def test_with_reads_and_fixtures_only_what_is_read_can_break() -> None:
    knowledge = known({"total": "integer"}, profile([ORDER] * 20))
    found = drift(knowledge, changed(total="ten", lines="none", id="other"))
    assert told(found) == [
        ("total", "retyped", "breaking"),
        ("id", "value", "notice"),
        ("lines", "retyped", "notice"),
    ]


def test_texts_that_were_all_there_are_hold_for_a_path_that_is_read() -> None:
    usual = profile([{"status": "open"}] * 20)
    assert told(drift(known({"status": "string"}, usual), {"status": "void"})) == [
        ("status", "value", "breaking")
    ]


def test_a_body_that_is_no_json_any_more_breaks() -> None:
    (finding,) = drift(known(READS, None), None).findings
    assert (finding.path, finding.change, finding.weight) == ("", Change.RETYPED, Weight.BREAKING)
    assert drift(known(READS, None), "text").findings[0].received == "string"


def test_an_event_nobody_knows_is_noticed_once() -> None:
    found = compare([Sample("a", "refund", {}), Sample("b", "refund", {}), Sample("c", None, {})], {})
    assert [(each.event, told(each), each.samples) for each in found] == [
        ("(no event)", [("", "unknown-event", "notice")], 1),
        ("refund", [("", "unknown-event", "notice")], 2),
    ]


def test_a_body_that_is_a_list_is_looked_at_too() -> None:
    knowledge = known({"[].id": "string"}, None)
    assert drift(knowledge, [{"id": "a"}]).findings == ()
    assert told(drift(knowledge, [{}])) == [("[].id", "vanished", "breaking")]


def test_maps_are_looked_at_in_each_of_their_entries() -> None:
    knowledge = known({"files.{*}.size": "integer"}, None)
    assert drift(knowledge, {"files": {}}).findings == ()
    assert told(drift(knowledge, {"files": {"file_12345678": {"size": "1"}}})) == [
        ("files.{*}.size", "retyped", "breaking")
    ]
