"""What drift found, for people and as a record. What came from outside is made safe for a terminal here.

Knows findings only.
"""

from collections.abc import Iterator, Sequence

from webhookctl.contract.drift import Change, EventDrift, Finding, Weight
from webhookctl.formats import safe_line
from webhookctl.output.painter import Segments
from webhookctl.output.record import Record
from webhookctl.output.words import counted

_WEIGHTS = {Weight.BREAKING: ("bad", "BREAKING"), Weight.NOTICE: ("warn", "notice")}
_BODY = "the body"


def drift_lines(drifts: Sequence[EventDrift]) -> Iterator[Segments]:
    """One block for each event: what changed, then how much did not; the sum at the end."""
    for drift in drifts:
        looked_at = counted(drift.samples, "capture") if drift.samples else "its schema"
        yield [("event", safe_line(drift.event)), ("dim", f"  {looked_at}")]
        for finding in drift.findings:
            style, word = _WEIGHTS[finding.weight]
            yield [("plain", "  "), (style, f"{word:<9}"), *_sentence(finding)]
            yield [("dim", f"             {_where(finding)}")]
        if drift.checked:
            yield [("plain", "  "), ("ok", "ok       "), ("plain", _unchanged(drift))]
    breaking = sum(each.weight is Weight.BREAKING for drift in drifts for each in drift.findings)
    notices = sum(len(drift.findings) for drift in drifts) - breaking
    yield [("strong", f"{breaking or 'nothing'} breaking, {counted(notices, 'notice')}")]


def _unchanged(drift: EventDrift) -> str:
    of = "" if drift.same == drift.checked else f" of {drift.checked:,}"
    return f"{drift.same:,}{of} {'path is' if drift.checked == 1 else 'paths are'} as they were".replace(
        "path is as they were", "path is as it was"
    )


def _sentence(finding: Finding) -> list[tuple[str, str]]:
    expected, received = safe_line(finding.expected), safe_line(finding.received)
    said = {
        Change.VANISHED: f"vanished, it was {expected}",
        Change.RETYPED: f"is {received}, it was {expected}",
        Change.NULL: f"is {received}, it was {expected}",
        Change.VALUE: f"is {received}, it was {expected}",
        Change.FORMAT: f"is {received}, it was a {expected}",
        Change.OPTIONAL: f"may be absent, it was {expected}",
        Change.VALUE_GONE: f"is never {received}, it was {expected}",
        Change.NEW: f"is new: {received}",
        Change.UNKNOWN_EVENT: "nothing is known of this event",
    }[finding.change]
    if finding.change is Change.UNKNOWN_EVENT:
        return [("plain", said)]
    return [("key", safe_line(finding.path or _BODY)), ("plain", f"  {said}")]


def _where(finding: Finding) -> str:
    if finding.count == 1:
        return f"in {safe_line(finding.first)}"
    return f"in {counted(finding.count, 'capture')}: first {safe_line(finding.first)}, last {safe_line(finding.last)}"


def drift_record(drifts: Sequence[EventDrift]) -> Record:
    """`is_breaking`, and `events` with their findings."""
    return {
        "is_breaking": any(drift.is_breaking for drift in drifts),
        "events": [
            {
                "event": drift.event,
                "captures": drift.samples,
                "checked": drift.checked,
                "same": drift.same,
                "findings": [_finding(each) for each in drift.findings],
            }
            for drift in drifts
        ],
    }


def _finding(finding: Finding) -> Record:
    return {
        "path": finding.path,
        "change": finding.change.value,
        "weight": finding.weight.value,
        "expected": finding.expected,
        "received": finding.received,
        "first": finding.first,
        "last": finding.last,
        "count": finding.count,
    }
