"""Results as JSON: the shapes that the JSON and NDJSON reports share.

Must not know files or terminals.
"""

import json

from webhookctl.contract.result import CaseResult, Complaint, Delivered, Outcome, Place, RunResult
from webhookctl.output import record
from webhookctl.output.record import Record


def json_report(run: RunResult) -> str:
    """The whole run as one JSON document, as `data` of the envelope has it."""
    return json.dumps(run_record(run), indent=2) + "\n"


def run_record(run: RunResult) -> Record:
    """`summary`, `seed`, `started_at`, `duration_s`, `notes`, `cases`."""
    return {
        "summary": {outcome.value: run.count(outcome) for outcome in Outcome},
        "seed": run.seed,
        "started_at": record.timestamp(run.started_at_s),
        "duration_s": round(run.duration_s, 6),
        "notes": list(run.notes),
        "cases": [case_record(case) for case in run.cases],
    }


def case_record(case: CaseResult) -> Record:
    return {
        "contract": case.contract.path,
        "line": case.contract.line or None,
        "name": case.name,
        "variant": case.variant or None,
        "outcome": case.outcome.value,
        "reason": case.reason or None,
        "complaints": [_complaint(each) for each in case.complaints],
        "deliveries": [_delivered(each) for each in case.deliveries],
        "started_at": record.timestamp(case.started_at_s),
        "duration_s": round(case.duration_s, 6),
        "output": case.output or None,
        "reproduction": case.reproduction or None,
    }


def _complaint(complaint: Complaint) -> Record:
    return {
        "what": complaint.what,
        "message": complaint.message,
        "expected": complaint.expected,
        "received": complaint.received,
        "place": _place(complaint.place),
    }


def _place(place: Place | None) -> Record | None:
    if place is None or not place.line:
        return None
    return {"path": place.path, "line": place.line, "column": place.column}


def _delivered(delivered: Delivered) -> Record:
    return {
        "label": delivered.label,
        "variant": delivered.variant or None,
        "offset_s": round(delivered.offset_s, 6),
        "request": record.request(delivered.request),
        **record.attempt(delivered.attempt),
    }
