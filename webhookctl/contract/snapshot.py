"""Snapshots: what a receiver answered once, saved beside its contract, and how an answer differs from it.

Pure. Must not know files.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

from webhookctl import jsontext
from webhookctl.contract.judge import differences
from webhookctl.contract.model import Json
from webhookctl.contract.result import Complaint, Delivered, Place
from webhookctl.errors import UsageError
from webhookctl.model import Response, header_value

FORMAT = 1
_HINT = "webhookctl test --update writes it anew"


def answers(deliveries: Sequence[Delivered], unstable: Sequence[str]) -> Json:
    """What was answered to each delivery: status, content type, body without the paths in `unstable`."""
    return [
        None if each.attempt.response is None else _answer(each.attempt.response, unstable)
        for each in deliveries
    ]


def _answer(response: Response, unstable: Sequence[str]) -> Json:
    content_type = (header_value(response.headers, "content-type") or b"").decode("latin-1")
    body = response.body
    if unstable and jsontext.is_json(body):
        present = [path for path in unstable if jsontext.value_at(body, path) is not None]
        body = jsontext.edit(body, assignments=(), removals=present, create=False) if present else body
    try:
        content: Json = json.loads(body)
    except (ValueError, RecursionError):
        content = body.decode("utf-8", "backslashreplace")
    return {"status": response.status, "content_type": content_type, "body": content}


def judge_snapshot(saved: Json | None, got: Json, place: Place) -> Iterator[Complaint]:
    """How the answers differ from those saved; a complaint too when none are."""
    if saved is None:
        yield Complaint(
            "snapshot", "nothing is saved yet: webhookctl test --update", "answers", "none", place
        )
        return
    for path, message, wanted, found in differences(saved, got, "", is_exact=True):
        yield Complaint(f"snapshot{path}", message, wanted, found, place)


def read_snapshots(data: bytes, *, origin: str) -> dict[str, Json]:
    """Saved answers by the id of their case. Raises UsageError `snapshot-invalid`."""
    try:
        document = json.loads(data)
        if document["format"] != FORMAT or not isinstance(document["cases"], dict):
            raise ValueError("it has another format")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError("snapshot-invalid", f"{origin} is no snapshot: {error}", _HINT) from None
    cases: dict[str, Json] = document["cases"]
    return cases


def write_snapshots(cases: Mapping[str, Json]) -> bytes:
    """The text of a snapshot file: sorted, indented, for people to review."""
    document = {"format": FORMAT, "cases": dict(sorted(cases.items()))}
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
