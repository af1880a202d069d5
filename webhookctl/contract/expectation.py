"""Reads what is expected of an answer: ``[expect]`` of contracts, cases, deliveries and fixtures.

Must not know what else a contract file holds.
"""

import json
import re
from collections.abc import Mapping

from webhookctl.contract.model import BodyExpectation, Expectation, Statuses
from webhookctl.contract.result import Place
from webhookctl.contract.table import NO_PLACES, Source, Table

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_UNITS_S = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0}
_BODY_KEYS = ("body", "exactly", "text", "matches", "schema", "absent")


def read_expectation(content: Mapping[str, object], *, origin: str) -> Expectation:
    """The expectation in a table without places, such as ``[expect]`` of a fixture.

    Raises UsageError `contract-invalid`.
    """
    return expectation(Table(Source(origin, (), NO_PLACES), ("expect",), content))


def expectation(table: Table | None) -> Expectation:
    """The keys of an expectation; refuses all others. Raises UsageError `contract-invalid`."""
    if table is None:
        return Expectation()
    places: dict[str, Place] = {}
    for key in ("status", "within", "headers"):
        if table.has(key):
            places[key] = table.place_of(key)
    for key in _BODY_KEYS:
        if table.has(key):
            places.setdefault("body", table.place_of(key))
    statuses = None
    if table.has("status"):
        value = table.raw("status")
        try:
            statuses = parse_statuses(value)
        except ValueError as error:
            table.refuse("status", str(error))
    within_s = table.parsed("within", parse_duration_s)
    found = Expectation(statuses, header_expectations(table), body_expectation(table), within_s, places)
    table.finish()
    return found


def header_expectations(table: Table) -> dict[str, str | None]:
    """The key ``headers``: by name a regular expression, or None for absent."""
    headers: dict[str, str | None] = {}
    for name, value in table.pairs("headers"):
        if value is not False and not isinstance(value, str):
            table.refuse("headers", f"{name} is neither a regular expression nor false (absent)")
        headers[name] = regular(table, "headers", value) if isinstance(value, str) else None
    return headers


def body_expectation(table: Table) -> BodyExpectation:
    """The keys that tell what a body has to be, taken out of `table`."""
    matches = table.take("matches", str)
    subset, exactly = table.raw("body"), table.raw("exactly")
    for key, value in (("body", subset), ("exactly", exactly)):
        json_text(table, key, value)
    return BodyExpectation(
        subset=subset,
        exactly=exactly,
        text=table.take("text", str),
        matches=None if matches is None else regular(table, "matches", matches),
        schema=table.take("schema", dict),
        absent=table.texts("absent"),
    )


def json_text(table: Table, key: str, value: object) -> str:
    """`value` as JSON; refuses what JSON does not have: dates, nan, inf."""
    try:
        return json.dumps(value, allow_nan=False)
    except TypeError:
        table.refuse(key, "holds a date or a time, which JSON does not have", "write it as a text, in quotes")
    except ValueError:
        table.refuse(key, "holds nan or inf, which JSON does not have")


def regular(table: Table, key: str, text: str) -> str:
    """`text`, refused unless it is a regular expression."""
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        table.refuse(key, f"{text!r} is not a regular expression: {error}")
    return text


def parse_duration_s(text: str) -> float:
    """Seconds from ``300ms``, ``2s``, ``1.5m``. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("a time is a number with ms, s, m or h")
    return float(match[1]) * _UNITS_S[match[2]]


def parse_statuses(value: object) -> Statuses:
    """Statuses from ``200``, ``"2xx"``, ``[200, 204]``, ``"!5xx"``. Raises ValueError."""
    values = value if isinstance(value, list) else [value]
    codes, classes, negations = set(), set(), set()
    for each in values:
        text = str(each)
        is_negated = text.startswith("!")
        bare = text.removeprefix("!")
        if re.fullmatch(r"[1-5]xx", bare):
            classes.add(int(bare[0]))
        elif re.fullmatch(r"[1-5][0-9][0-9]", bare):
            codes.add(int(bare))
        else:
            raise ValueError(f"{each!r} is not a status: 200, 2xx, [200, 204] or !5xx")
        negations.add(is_negated)
    if len(negations) != 1:
        raise ValueError("has to be all with ! or all without" if negations else "names no status")
    text = ", ".join(str(each) for each in values)
    return Statuses(text, frozenset(codes), frozenset(classes), negations.pop())
