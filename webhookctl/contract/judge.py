"""Compares an answer with what was expected of it: complaints in words a reviewer understands, none when all is well.

Pure. Must not know how the answer came about.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from webhookctl.contract.model import BodyExpectation, Expectation, Json
from webhookctl.contract.result import Complaint
from webhookctl.model import Attempt, Response

Validate: TypeAlias = Callable[[Json, Json], Sequence[str]]
"""What is wrong with a value (second) by a JSON Schema (first), in words."""

_SHOWN = 200  # characters of a value in a complaint
_ABSENT = object()


def judge_attempt(expect: Expectation, attempt: Attempt, *, validate: Validate) -> list[Complaint]:
    """What is wrong with the answer of `attempt`; it has to have one."""
    response = attempt.response
    assert response is not None
    complaints = list(_status(expect, response))
    complaints += _headers(expect, response)
    complaints += [
        Complaint(f"body{path}", message, wanted, got, expect.place.get("body"))
        for path, message, wanted, got in judge_body(expect.body, response.body, validate=validate)
    ]
    if expect.within_s is not None and attempt.latency_ms > expect.within_s * 1000:
        took, limit = f"{attempt.latency_ms:,.0f} ms", f"{expect.within_s * 1000:,.0f} ms"
        complaints.append(
            Complaint("within", f"answered after {took}", limit, took, expect.place.get("within"))
        )
    return complaints


def _status(expect: Expectation, response: Response) -> Iterator[Complaint]:
    if expect.statuses is not None and not expect.statuses.allows(response.status):
        got = f"{response.status} {response.reason}".strip()
        yield Complaint("status", f"answered {got}", expect.statuses.text, got, expect.place.get("status"))


def _headers(expect: Expectation, response: Response) -> Iterator[Complaint]:
    place = expect.place.get("headers")
    for name, pattern in expect.headers.items():
        wanted = name.lower().encode("latin-1", "replace")
        values = [value.decode("latin-1") for key, value in response.headers if key.lower() == wanted]
        if pattern is None:
            if values:
                yield Complaint(f"headers.{name}", "is there", "absent", _short(", ".join(values)), place)
        elif not values:
            yield Complaint(f"headers.{name}", "is missing", pattern, "absent", place)
        elif not any(re.search(pattern, value) for value in values):
            yield Complaint(f"headers.{name}", "is another", pattern, _short(", ".join(values)), place)


def judge_body(
    expect: BodyExpectation, body: bytes, *, validate: Validate
) -> Iterator[tuple[str, str, str, str]]:
    """What is wrong with `body`: path ("" for the whole, ``.received``), message, expected, received."""
    text = body.decode("utf-8", "replace")
    if expect.text is not None and text.strip() != expect.text.strip():
        yield "", "is another text", _short(expect.text), _short(text)
    if expect.matches is not None and not re.search(expect.matches, text):
        yield "", "does not match", expect.matches, _short(text)
    if expect.subset is None and expect.exactly is None and expect.schema is None and not expect.absent:
        return
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        yield "", "is not JSON", "JSON", _short(text)
        return
    if expect.subset is not None:
        yield from differences(expect.subset, document, "", is_exact=False)
    if expect.exactly is not None:
        yield from differences(expect.exactly, document, "", is_exact=True)
    if expect.schema is not None:
        for problem in validate(expect.schema, document):
            yield "", problem, "valid by its schema", _short(text)
    for path in expect.absent:
        found = _at(document, path)
        if found is not _ABSENT:
            yield f".{path}", "is there", "absent", _shown(found)


def differences(wanted: Json, got: Json, path: str, *, is_exact: bool) -> Iterator[tuple[str, str, str, str]]:
    """How `got` differs: path, message, expected, received.

    Objects may hold more keys unless `is_exact`; lists are compared as they are.
    """
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key, value in wanted.items():
            if key not in got:
                yield f"{path}.{key}", "is missing", _shown(value), "absent"
            else:
                yield from differences(value, got[key], f"{path}.{key}", is_exact=is_exact)
        if is_exact:
            for key in got:
                if key not in wanted:
                    yield f"{path}.{key}", "is there too", "absent", _shown(got[key])
    elif isinstance(wanted, list) and isinstance(got, list):
        if len(wanted) != len(got):
            yield path, f"has {len(got)} items", f"{len(wanted)} items", _shown(got)
        for index, (each, other) in enumerate(zip(wanted, got, strict=False)):
            yield from differences(each, other, f"{path}[{index}]", is_exact=is_exact)
    elif not _is_same(wanted, got):
        yield path, "is another", _shown(wanted), _shown(got)


def _is_same(wanted: Json, got: Json) -> bool:
    """Equality of JSON: 1 is 1.0, but true is not 1."""
    return wanted == got and isinstance(wanted, bool) is isinstance(got, bool)


def _at(document: Json, path: str) -> Json:
    for step in path.split("."):
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return _ABSENT
    return document


def _shown(value: Json) -> str:
    return _short(json.dumps(value, ensure_ascii=False, default=str))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"
