"""How fresh deliveries differ from what is read of them, or from how they used to look: breaking, notice, nothing.

Pure. Must not know where deliveries come from, nor how a finding is shown.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from webhookctl.contract.model import Json
from webhookctl.contract.profile import Profile, Spot, Type, format_of, kind_of, parent_of, parse_type, spots

CERTAIN = 10  # bodies in which a path never failed, before its absence counts as a break
NO_EVENT = "(no event)"
_SHOWN = 60


class Change(StrEnum):
    """What changed at a path. The values are API."""

    VANISHED = "vanished"
    RETYPED = "retyped"
    NULL = "null"
    VALUE = "value"  # a text never seen where few are
    FORMAT = "format"
    NEW = "new"
    OPTIONAL = "optional"  # a schema says that it may be missing
    VALUE_GONE = "value-gone"  # a schema has a text no more
    UNKNOWN_EVENT = "unknown-event"  # nothing is known to compare it with


class Weight(StrEnum):
    """What a change means. The values are API."""

    BREAKING = "breaking"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Sample:
    """A delivery: `label` names it for people, `document` is its body, None when that is not JSON."""

    label: str
    event: str | None
    document: Json


@dataclass(frozen=True, slots=True)
class Finding:
    """One change of an event: what was expected and received there, in which samples first and last, in how many."""

    path: str
    change: Change
    weight: Weight
    expected: str
    received: str
    first: str
    last: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class EventDrift:
    """What was found in `samples` deliveries of one event; `checked` paths were looked at, `same` did not change.

    No samples: its schema was looked at.
    """

    event: str
    samples: int
    findings: tuple[Finding, ...]
    checked: int
    same: int

    @property
    def is_breaking(self) -> bool:
        return any(finding.weight is Weight.BREAKING for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Rule:
    """What has to be at a path, and what a change there weighs: `is_read` by a receiver, `is_certain` to be there."""

    type: Type
    is_read: bool
    is_certain: bool = True
    text_format: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of one event: its rules by path. With `is_whole` a path without one is new."""

    rules: Mapping[str, Rule]
    is_whole: bool
    has_reads: bool


def known(reads: Mapping[str, str] | None, seen: Profile | None) -> Known:
    """What is known of an event: the paths that are read of it, the profile of how it used to look, or both.

    Raises ValueError for a type of `reads` that is none.
    """
    rules: dict[str, Rule] = {}
    for path, before in (seen.paths if seen else {}).items():
        is_certain = before.chances >= CERTAIN
        text_format = before.text_format if before.count >= 2 else ""
        rules[path] = Rule(before.type, False, is_certain, text_format)
    for path, text in (reads or {}).items():
        wanted = parse_type(text)
        usual = rules.get(path)
        if usual is not None and wanted.texts is None and "string" in wanted.kinds:
            wanted = replace(wanted, texts=usual.type.texts)
        rules[path] = Rule(wanted, True, True, usual.text_format if usual else "")
    return Known(rules, seen is not None, reads is not None)


def compare(samples: Iterable[Sample], knowledge: Mapping[str, Known]) -> tuple[EventDrift, ...]:
    """What changed, by event in the order of their names; `knowledge` is by event too."""
    by_event: dict[str, list[Sample]] = {}
    for sample in samples:
        by_event.setdefault(sample.event or NO_EVENT, []).append(sample)
    return tuple(_compared(event, by_event[event], knowledge.get(event)) for event in sorted(by_event))


def _compared(event: str, samples: list[Sample], what: Known | None) -> EventDrift:
    if what is None:
        label = samples[0].label
        unknown = Finding(
            "", Change.UNKNOWN_EVENT, Weight.NOTICE, "", "", label, samples[-1].label, len(samples)
        )
        return EventDrift(event, len(samples), (unknown,), 0, 0)
    found: dict[tuple[str, Change, str], Finding] = {}
    for sample in samples:
        for finding in _Look(sample, what).findings():
            key = (finding.path, finding.change, finding.received if finding.change is Change.RETYPED else "")
            before = found.get(key)
            found[key] = replace(before, last=sample.label, count=before.count + 1) if before else finding
    findings = sorted(found.values(), key=lambda each: (each.weight is not Weight.BREAKING, each.path))
    changed = {finding.path for finding in findings}
    return EventDrift(event, len(samples), tuple(findings), len(what.rules), len(what.rules.keys() - changed))


@dataclass(slots=True)
class _Look:
    """One sample looked at."""

    sample: Sample
    known: Known
    _values: dict[str, list[Spot]] = field(default_factory=dict)
    _objects: Counter[str] = field(default_factory=Counter)
    _arrays: Counter[str] = field(default_factory=Counter)

    def findings(self) -> Iterator[Finding]:
        document = self.sample.document
        if not isinstance(document, (dict, list)):
            expected, got = "object", kind_of(document) if document is not None else "no JSON"
            yield self._found("", Change.RETYPED, Weight.BREAKING, expected, got)
            return
        for spot in (Spot("", "", document), *spots(document)):
            self._values.setdefault(spot.pattern, []).append(spot)
            self._objects[spot.pattern] += isinstance(spot.value, dict)
            self._arrays[spot.pattern] += isinstance(spot.value, list)
        for path, rule in self.known.rules.items():
            yield from self._at(path, rule)
        if self.known.is_whole:
            yield from self._new()

    def _at(self, path: str, rule: Rule) -> Iterator[Finding]:
        if "absent" not in rule.type.kinds and self._is_lost(path):
            weight = self._weight(rule, is_breaking=rule.is_certain)
            yield self._found(path, Change.VANISHED, weight, str(rule.type), "absent")
        told = set()
        for spot in self._values.get(path, ()):
            change, received, is_breaking = _change(rule, spot.value)
            if change is not None and change not in told:
                told.add(change)
                weight = self._weight(rule, is_breaking=is_breaking)
                if change is Change.FORMAT:
                    weight = Weight.NOTICE
                expected = rule.text_format if change is Change.FORMAT else str(rule.type)
                yield self._found(path, change, weight, expected, received)

    def _is_lost(self, path: str) -> bool:
        """Whether something that could hold `path` is there without it, or cannot hold it any more.

        Where a rule of its own tells what has to hold it, that rule finds what is wrong there.
        """
        parent = parent_of(path)
        holders = self._arrays[parent] if path.endswith("[]") else self._objects[parent]
        if holders:
            return not path.endswith(("[]", "{*}")) and len(self._values.get(path, ())) < holders
        if parent in self.known.rules:
            return False
        return bool(self._values.get(parent)) or self._is_lost(parent)

    def _weight(self, rule: Rule, *, is_breaking: bool) -> Weight:
        """A path that is read breaks by any change; of others nothing breaks, where it is known which are read."""
        if self.known.has_reads:
            return Weight.BREAKING if rule.is_read else Weight.NOTICE
        return Weight.BREAKING if is_breaking else Weight.NOTICE

    def _new(self) -> Iterator[Finding]:
        for path, values in self._values.items():
            parent = parent_of(path)
            if path and path not in self.known.rules and (not parent or parent in self.known.rules):
                yield self._found(path, Change.NEW, Weight.NOTICE, "absent", kind_of(values[0].value))

    def _found(self, path: str, change: Change, weight: Weight, expected: str, received: str) -> Finding:
        return Finding(path, change, weight, expected, received, self.sample.label, self.sample.label)


def _change(rule: Rule, value: Json) -> tuple[Change | None, str, bool]:
    """How `value` breaks `rule` (None: it does not), what it is in words, and whether that breaks without reads."""
    kind = kind_of(value)
    if not rule.type.allows(kind):
        return (Change.NULL, kind, False) if kind == "null" else (Change.RETYPED, kind, True)
    if isinstance(value, str):
        if rule.type.texts is not None and value not in rule.type.texts:
            return Change.VALUE, _short(value), False
        if rule.text_format and format_of(value) != rule.text_format:
            return Change.FORMAT, _short(value), False
    return None, "", False


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
