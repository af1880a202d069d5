"""Finds out which fields a receiver reads: each is taken away, nulled and retyped, and what is visible compared.

Must not know sockets, fixtures or signatures: deliveries are made and sent by a `Subject`.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from webhookctl.contract.model import Json
from webhookctl.contract.profile import KINDS, Spot, kind_of, spots
from webhookctl.errors import EndpointError, SignatureError, UsageError
from webhookctl.model import Attempt, FailureKind, Request

_COMPARED = 100_000  # characters of a text
_CALM = 2  # deliveries of the whole body, told apart by nothing: what differs between them changes by itself
_CHANGING = re.compile(
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-f]{16,}|[0-9]+|\b[a-z]{1,20}_[0-9A-Za-z]{8,}"
)


@dataclass(frozen=True, slots=True)
class Reaction:
    """All that could be seen of one delivery: the attempt, and the calls of each mock."""

    attempt: Attempt
    calls: tuple[tuple[str, Request], ...] = ()


class Subject(Protocol):
    """A receiver and one delivery that it accepts."""

    @property
    def body(self) -> bytes:
        """The body as it is, before it gets a fresh id."""

    async def react(
        self, assignments: Sequence[tuple[str, bytes]], removals: Sequence[str], *, calls: int | None
    ) -> Reaction:
        """Send the delivery so changed, signed, with a fresh id; wait for `calls` calls of mocks (None: settle)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A field that is read: its path, what may be there, and what showed it (``removed: 500 instead of 200``)."""

    path: str
    type: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Learned:
    """What was found out with one delivery. `untried` paths were left out because of the limit on requests."""

    event: str
    label: str
    readings: tuple[Reading, ...]
    paths: int
    requests: int
    untried: int = 0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _View:
    """What is compared of a reaction: the class of the status, the answer and the calls as (kind, value) by path."""

    status: str
    details: str
    parts: Mapping[str, tuple[str, str]]

    def difference(self, other: "_View", noise: "_Noise") -> str:
        """How `other` differs from this, "" when it does not."""
        if self.status != other.status:
            return f"{other.details} instead of {self.details}"
        for path in sorted((self.parts.keys() | other.parts.keys()) - noise.presence):
            mine, theirs = self.parts.get(path), other.parts.get(path)
            if mine is None or theirs is None:
                return f"{path} {'is missing' if mine else 'is there'}"
            if mine[0] != theirs[0] or (mine[1] != theirs[1] and path not in noise.values):
                return f"{path} is another"
        return ""


@dataclass(frozen=True, slots=True)
class _Noise:
    """Paths that change from one delivery to the next all by themselves: their values, or whether they are there."""

    values: frozenset[str] = frozenset()
    presence: frozenset[str] = frozenset()


async def require_accepted(subject: Subject, label: str) -> None:
    """Raises EndpointError `baseline-refused` when the delivery is not accepted as it is: cheap, so done first."""
    reaction = await subject.react((), (), calls=None)
    if not reaction.attempt.is_success:
        raise _refused(label, reaction.attempt)


async def learn(
    subject: Subject, *, event: str, label: str, max_requests: int, tell: Callable[[int, int], None]
) -> Learned:
    """Which fields are read of one delivery; `tell` hears how many paths of how many are done.

    Raises EndpointError `baseline-refused` when the delivery is not accepted as it is, or no longer, and
    UsageError `body-not-json`.
    """
    try:
        document: Json = json.loads(subject.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, (dict, list)):
        raise UsageError(
            "body-not-json",
            f"the body of {label} is no JSON object",
            "fields are taken away from JSON bodies only",
        )
    groups: dict[str, list[Spot]] = {}
    for spot in spots(document):
        groups.setdefault(spot.pattern, []).append(spot)
    study = _Study(subject, label, max_requests)
    await study.calm()
    found: dict[str, Reading] = {}
    untried: list[str] = []
    for number, (pattern, group) in enumerate(groups.items()):
        tell(number, len(groups))
        if study.is_exhausted:
            untried = list(groups)[number:]
            break
        reading = await study.ablate(pattern, group)
        if reading is not None:
            found[pattern] = reading
    tell(len(groups), len(groups))
    if not untried:
        await study.find_hidden(groups, found)
    if await study.is_still_calm():
        remarks = study.remarks
    else:
        remarks = [
            *study.remarks,
            "the whole delivery is answered otherwise than at the beginning: do not trust this",
        ]
    readings = [found[path] for path in groups if path in found and not _is_implied(path, found)]
    return Learned(event, label, tuple(readings), len(groups), study.requests, len(untried), tuple(remarks))


def merged(several: Sequence[Learned]) -> dict[str, dict[str, str]]:
    """What is read of each event, over all deliveries of it: path → type, in the order they were found."""
    reads: dict[str, dict[str, set[str]]] = {}
    for learned in several:
        paths = reads.setdefault(learned.event, {})
        for reading in learned.readings:
            paths.setdefault(reading.path, set()).update(reading.type.split(" | "))
    return {
        event: {
            path: " | ".join(kind for kind in KINDS if kind in kinds)
            for path, kinds in paths.items()
            if not _is_implied(path, paths)
        }
        for event, paths in reads.items()
    }


def _is_implied(path: str, found: Collection[str]) -> bool:
    """Whether something within `path` is read: then it goes without saying that `path` is there."""
    return any(other.startswith((f"{path}.", f"{path}[")) for other in found)


@dataclass(slots=True)
class _Study:
    """The experiments on one delivery."""

    subject: Subject
    label: str
    max_requests: int
    requests: int = 0
    remarks: list[str] = field(default_factory=list)
    _usual: _View = field(default_factory=lambda: _View("", "", {}))
    _noise: _Noise = _Noise()
    _calls: int = 0
    _is_hanging: bool = False  # the last change got no answer in time

    @property
    def is_exhausted(self) -> bool:
        """Whether not even one path more could be tried."""
        return self.requests + 3 > self.max_requests

    async def calm(self) -> None:
        """The whole delivery, twice: it has to be accepted, and what differs of itself is noise."""
        views = []
        for _ in range(_CALM):
            reaction = await self._react((), ())
            response = reaction.attempt.response
            if response is None or not reaction.attempt.is_success:
                raise _refused(self.label, reaction.attempt)
            self._calls = len(reaction.calls)
            views.append(_view(reaction))
        self._usual = views[0]
        first, second = views[0].parts, views[1].parts
        presence = first.keys() ^ second.keys()
        values = {path for path in first.keys() & second.keys() if first[path] != second[path]}
        self._noise = _Noise(frozenset(values), frozenset(presence))
        if presence:
            self.remarks.append(
                f"{min(presence)} comes and goes when the same delivery is sent with another id: "
                "the receiver may know it again by more than its id, which hides reads"
            )

    async def is_still_calm(self) -> bool:
        reaction = await self._react((), ())
        return not self._usual.difference(_view(reaction), self._noise)

    async def ablate(self, pattern: str, group: Sequence[Spot]) -> Reading | None:
        """`pattern` taken away, nulled and retyped, everywhere at once; None when nothing of it shows."""
        kinds = {kind_of(spot.value) for spot in group}
        paths = [spot.path for spot in group]
        removed = await self._change((), paths)
        nulled = retyped = ""
        if not self._is_hanging:  # it is read, and each further try would take the whole time limit
            nulled = await self._change([(path, b"null") for path in paths], ()) if kinds != {"null"} else ""
            retyped = await self._change([(spot.path, _otherwise(spot.value)) for spot in group], ())
        evidence = {"removed": removed, "null": nulled, "retyped": retyped}
        if not any(evidence.values()):
            return None
        if not removed:
            kinds.add("absent")
            kinds |= set() if nulled else {"null"}
        text = " | ".join(kind for kind in KINDS if kind in kinds)
        return Reading(pattern, text, tuple(f"{how}: {why}" for how, why in evidence.items() if why))

    async def find_hidden(self, groups: dict[str, list[Spot]], found: dict[str, Reading]) -> None:
        """What stands in for a field that is missing is read only then: take all away that seems unread.

        Where that shows, halves are taken away until the field is found; it is restored, and so on.
        """
        leaves = [path for path in groups if not _has_inner(path, groups) and path not in found]
        gone: list[str] = []
        await self._strip(leaves, gone, groups, found)

    async def _strip(
        self, paths: list[str], gone: list[str], groups: dict[str, list[Spot]], found: dict[str, Reading]
    ) -> None:
        """Take `paths` away for good, beside those `gone`; what cannot be missed is found and stays."""
        if not paths or self.is_exhausted:
            return
        removals = [spot.path for path in [*gone, *paths] for spot in groups[path]]
        why = await self._change((), removals)
        if not why:
            gone.extend(paths)
        elif len(paths) == 1:
            kinds = {kind_of(spot.value) for spot in groups[paths[0]]}
            found[paths[0]] = Reading(
                paths[0],
                " | ".join(kind for kind in KINDS if kind in kinds),
                (f"removed with others: {why}",),
            )
        else:
            half = len(paths) // 2
            await self._strip(paths[:half], gone, groups, found)
            await self._strip(paths[half:], gone, groups, found)

    async def _change(self, assignments: Sequence[tuple[str, bytes]], removals: Sequence[str]) -> str:
        """How the reaction to a delivery so changed differs from the usual one, "" when it does not."""
        try:
            reaction = await self._react(assignments, removals)
        except SignatureError as error:  # it is what the signature is made of
            self.remarks.append(f"{(*removals, *(path for path, _ in assignments))[0]}: {error.message}")
            return ""
        failure = reaction.attempt.failure
        self._is_hanging = failure is not None and failure.kind is FailureKind.TIMEOUT
        if failure is not None:
            check = await self._react((), ())
            if not check.attempt.is_success:
                raise _refused(self.label, check.attempt, is_later=True)
        return self._usual.difference(_view(reaction), self._noise)

    async def _react(self, assignments: Sequence[tuple[str, bytes]], removals: Sequence[str]) -> Reaction:
        self.requests += 1
        calls = self._calls if self._usual.status else None
        return await self.subject.react(assignments, removals, calls=calls)


def _has_inner(path: str, groups: dict[str, list[Spot]]) -> bool:
    return any(other.startswith((f"{path}.", f"{path}[")) for other in groups)


def _otherwise(value: Json) -> bytes:
    """A value of another kind."""
    return b"1" if isinstance(value, str) else b'"another kind"'


def _view(reaction: Reaction) -> _View:
    attempt = reaction.attempt
    if attempt.response is None:
        assert attempt.failure is not None
        return _View(attempt.failure.kind.value, attempt.failure.message, {})
    response = attempt.response
    parts = _parts("the answer", response.body)
    for number, (mock, call) in enumerate(reaction.calls, start=1):
        where = f"call {number} of {mock}"
        parts[where] = ("call", f"{call.method} {_still(call.target)}")
        parts |= _parts(f"the body of {where}", call.body)
    return _View(f"{response.status // 100}xx", str(response.status), parts)


def _parts(where: str, body: bytes) -> dict[str, tuple[str, str]]:
    """A body as values by path; text without what changes from one time to the next: ids, times, numbers."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {where: ("text", _still(body.decode("utf-8", "replace")))}
    if not isinstance(document, (dict, list)):
        return {where: (kind_of(document), json.dumps(document))}
    return {f"{where}.{spot.path}": (kind_of(spot.value), _value(spot.value)) for spot in spots(document)}


def _value(value: Json) -> str:
    return "" if isinstance(value, (dict, list)) else json.dumps(value)


def _still(text: str) -> str:
    return _CHANGING.sub("0", text[:_COMPARED])


def _refused(label: str, attempt: Attempt, *, is_later: bool = False) -> EndpointError:
    answer = str(attempt.status) if attempt.response else attempt.failure.message if attempt.failure else ""
    when = "no longer accepted" if is_later else "not accepted as it is"
    return EndpointError(
        "baseline-refused",
        f"{label} is {when}: {answer}",
        "the receiver lost a delivery that was changed and did not come back"
        if is_later
        else "it has to be answered 2xx before fields are taken away: is the secret the receiver's?",
    )
