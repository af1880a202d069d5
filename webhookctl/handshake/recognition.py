"""Tells whether a request is a handshake: a precheck that costs ordinary deliveries next to nothing, then the rules.

Must not know answers or secrets.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from webhookctl.handshake.place import Reader
from webhookctl.handshake.table import Condition, Handshake, load_all
from webhookctl.model import Request

_UNNAMED = (None, "generic")
_MAX_MARKED_BYTES = 8 * 1024  # a longer body is no challenge, and searching it would cost every delivery


class _Marks(NamedTuple):
    """What at least one of some handshakes by POST shows: header names, parts of a target, parts of a body.

    `lengths` are those of the header names. `is_any`: one of them shows nothing.
    """

    headers: frozenset[bytes]
    lengths: frozenset[int]
    targets: tuple[str, ...]
    bodies: tuple[bytes, ...]
    is_any: bool


def find(request: Request, provider: str | None = None) -> Handshake | None:
    """The handshake that `request` is, or None. `provider` is who is known to send it; its handshakes come first.

    Of handshakes of other providers, none is found where the provider is known.
    """
    rows = _rows(request.method, provider)
    if not rows or (request.method == "POST" and not _is_marked(request, _marks(provider))):
        return None
    reader = Reader(request)
    fitting = [row for row in rows if _fits(row, reader)]
    return min(fitting, key=lambda row: row.provider != provider, default=None)


def _is_marked(request: Request, marks: _Marks) -> bool:
    if marks.is_any:
        return True
    target, body, lengths = request.target, request.body, marks.lengths
    if "?" in target:
        for text in marks.targets:
            if text in target:
                return True
    for name, _ in request.headers:
        if len(name) in lengths and name.lower() in marks.headers:
            return True
    if len(body) <= _MAX_MARKED_BYTES:
        for mark in marks.bodies:
            if mark in body:
                return True
    return False


def _is_of(handshake: Handshake, provider: str | None) -> bool:
    if provider in _UNNAMED:
        return not handshake.is_named_only
    return provider == handshake.provider or provider in handshake.also


def _fits(handshake: Handshake, reader: Reader) -> bool:
    if not all(_holds(condition, reader) for condition in handshake.conditions):
        return False
    return not handshake.is_alone or reader.holds_only(handshake.conditions[0].place)


def _holds(condition: Condition, reader: Reader) -> bool:
    found = reader.read(condition.place)
    if condition.is_absent or found is None:
        return condition.is_absent and found is None
    if condition.value is None:
        return bool(found)
    if condition.place.source == "text":
        return condition.value in found
    return found == condition.value


@lru_cache(maxsize=1_024)
def _rows(method: str, provider: str | None) -> tuple[Handshake, ...]:
    """The handshakes that a request by `method` of `provider` may be; none for most."""
    return tuple(row for row in load_all() if row.method == method and _is_of(row, provider))


@lru_cache(maxsize=256)
def _marks(provider: str | None) -> _Marks:
    """One mark of each handshake by POST is enough: its header, else its query, else a part of its body."""
    headers, targets, bodies, is_any = set[bytes](), set[str](), set[bytes](), False
    for row in _rows("POST", provider):
        places = {each.place.source: each for each in _positive(row.conditions)}
        if "header" in places:
            headers.add(places["header"].place.name.lower().encode("ascii"))
        elif "query" in places:
            targets.add(f"{places['query'].place.name}=")
        elif row.is_named_only:
            is_any = True
        else:
            bodies.add(_body_mark(row))
    lengths = frozenset(len(name) for name in headers)
    return _Marks(frozenset(headers), lengths, tuple(targets), tuple(bodies), is_any)


def _positive(conditions: Iterable[Condition]) -> list[Condition]:
    return [condition for condition in conditions if not condition.is_absent]


def _body_mark(handshake: Handshake) -> bytes:
    first = handshake.conditions[0]
    if first.place.source == "form":
        return f"{first.place.name}=".encode()
    if first.value is not None and not first.value.isdecimal():
        return first.value.encode()
    return f'"{first.place.path[-1]}"'.encode()
