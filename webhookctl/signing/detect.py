"""Tells what a request says of itself: provider, event type, delivery id.

Must not know secrets or judge signatures; every rule comes from the schemes.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from webhookctl.model import Detection, Request
from webhookctl.signing.content import Content
from webhookctl.signing.index import index
from webhookctl.signing.place import Place, Rule, look_up
from webhookctl.signing.scheme import DetectionRules, FieldRecognition, Scheme
from webhookctl.signing.scheme_file import load, provider_ids

if TYPE_CHECKING:
    from webhookctl.jsontext.outline import Outline

OUTLINED_BYTES = 8 << 10  # of a JSON body from here on only the levels that are asked for are parsed
MAX_BODY_BYTES = 256 << 10  # a longer body of another kind is not: the event type is not worth the time
MAX_LENGTH = 200  # of an event type or id; a longer text is something else
MAX_FORM_FIELDS = 100
MAX_NUMBER = 10**30  # a longer one is no event type or id
MAX_OTHERS = 3  # who else sends a header: so many are named

_FALLBACK = "generic"  # its rules read the requests of providers nobody knows
_FORM = b"application/x-www-form-urlencoded"
_MULTIPART = b"multipart/form-data"


class _Candidate(NamedTuple):
    """A provider that a header of the value `prefix` gives away; the lowest of (`rank`, `number`) wins."""

    rank: int
    number: int
    provider: str
    prefix: bytes
    reason: str


class Detector:
    """Recognises the requests of the providers whose `schemes` it is given, by tables made once.

    Where several fit, the lowest rank wins, then the scheme given first. Fields of the body count where no header
    tells.
    """

    def __init__(self, schemes: Iterable[Scheme], *, is_packaged: bool = False) -> None:
        """`is_packaged`: the packaged schemes come after `schemes`, by the index; their files are read when needed."""
        self._rules: dict[str, DetectionRules] = {}
        for scheme in schemes:
            self._rules.setdefault(scheme.id, scheme.detection)
        known = dict(self._rules)
        if is_packaged:
            for provider, rules in index():
                known.setdefault(provider, rules)
        self._is_packaged = is_packaged
        self._fallback = self._rules.get(_FALLBACK) or load(_FALLBACK).detection
        self._by_header: dict[bytes, list[_Candidate]] = {}
        self._by_fields: list[tuple[int, int, str, tuple[FieldRecognition, ...]]] = []
        self._fill(known)

    def _fill(self, known: Mapping[str, DetectionRules]) -> None:
        senders: dict[tuple[bytes, bytes], list[str]] = {}
        for provider, rules in known.items():
            for recognition in rules.headers:
                senders.setdefault((recognition.name, recognition.prefix), []).append(provider)
        for number, (provider, rules) in enumerate(known.items()):
            for recognition in rules.headers:
                others = [name for name in senders[recognition.name, recognition.prefix] if name != provider]
                reason = f"header {recognition.text}{_also(others)}"
                candidate = _Candidate(rules.rank, number, provider, recognition.prefix, reason)
                self._by_header.setdefault(recognition.name, []).append(candidate)
            if rules.fields:
                self._by_fields.append((rules.rank, number, provider, rules.fields))
        self._by_fields.sort(key=lambda entry: entry[:2])

    def _rules_of(self, provider: str | None) -> DetectionRules:
        if provider is None:
            return self._fallback
        rules = self._rules.get(provider)
        if rules is None:
            is_known = self._is_packaged and provider in provider_ids()
            rules = self._rules[provider] = load(provider).detection if is_known else self._fallback
        return rules

    def detect(self, request: Request, *, provider: str | None = None) -> Detection:
        """Provider, event type and delivery id of `request`; None for what it does not say. Never raises.

        With `provider` given, recognition is skipped. Values with control or invisible characters are left out.
        `reason` names the header or the fields that gave the provider away, and who else sends that header.
        """
        fields: dict[bytes, bytes] = {}
        best: _Candidate | None = None
        for key, value in request.headers:
            name = key.lower()
            if name in fields:
                continue
            fields[name] = value
            for candidate in self._by_header.get(name, ()):
                if value.startswith(candidate.prefix) and (best is None or candidate < best):
                    best = candidate
        content = _Content(fields, request.body)
        if provider is not None:
            reason = "provider given"
        elif best is not None:
            provider, reason = best.provider, best.reason
        else:
            provider, reason = self._by_content(content)
        rules = self._rules_of(provider)
        event = content.first(rules.event)
        delivery_id = content.first(rules.delivery_id)
        if content.is_skipped:
            reason += f"; the body is over {MAX_BODY_BYTES >> 10} KiB and was not read"
        return Detection(provider, event, delivery_id, reason)

    def candidates(self, request: Request) -> tuple[tuple[str, str], ...]:
        """Every provider that `request` could come from, with what speaks for it, the likeliest first. Never raises.

        Those that a header gives away come first, by their rank; then those whose fields are all in the body.
        """
        found: dict[str, str] = {}
        named = [
            candidate
            for name, value in {key.lower(): value for key, value in reversed(request.headers)}.items()
            for candidate in self._by_header.get(name, ())
            if value.startswith(candidate.prefix)
        ]
        for candidate in sorted(named):
            found.setdefault(candidate.provider, candidate.reason.partition(" (")[0])
        content = _Content({key.lower(): value for key, value in reversed(request.headers)}, request.body)
        for _, _, provider, fields in self._by_fields:
            if all(content.has(field.place, field.prefix) for field in fields):
                found.setdefault(provider, f"fields {', '.join(field.text for field in fields)}")
        return tuple(found.items())

    def _by_content(self, content: "_Content") -> tuple[str | None, str]:
        """The first provider all of whose fields are in the body, and which they are."""
        for _, _, provider, fields in self._by_fields:
            if all(content.has(field.place, field.prefix) for field in fields):
                return provider, f"fields {', '.join(field.text for field in fields)}"
        return None, "no header tells the provider"


def _also(others: list[str]) -> str:
    if not others:
        return ""
    shown = ", ".join(others[:MAX_OTHERS])
    more = f" and {len(others) - MAX_OTHERS} more" if len(others) > MAX_OTHERS else ""
    return f" (also sent by {shown}{more})"


class _Content:
    """A request's headers by lower-case name, and its body, parsed when a rule first asks for it, and once."""

    __slots__ = ("_body", "_document", "_fields", "_form", "_is_parsed", "_outline", "is_skipped")

    def __init__(self, fields: dict[bytes, bytes], body: bytes) -> None:
        self._fields = fields
        self._body = body
        self._document: object = None
        self._outline: Outline | None = None
        self._form: dict[str, str] = {}
        self._is_parsed = False
        self.is_skipped = False

    def first(self, rules: Iterable[Rule]) -> str | None:
        """What the first rule gives all places of which are there, when it is short and printable."""
        for rule in rules:
            text = self._apply(rule)
            if text is not None:
                return text
        return None

    def _apply(self, rule: Rule) -> str | None:
        if rule.condition is not None and self._read(rule.condition) is None:
            return None
        text = ""
        for literal, place in rule.pieces:
            text += literal
            if place is not None:
                value = self._read(place)
                if not value:
                    return None
                text += value
        return text if len(text) <= MAX_LENGTH and text.isprintable() else None

    def has(self, place: Place, prefix: str) -> bool:
        """True when a text or a number that begins with `prefix` stands at `place`."""
        value = self._read(place)
        return value is not None and value.startswith(prefix)

    def _read(self, place: Place) -> str | None:
        if place.source == "header":
            value = self._fields.get(place.header)
            return None if value is None else value.decode("latin-1")
        self._parse()
        found = self._in_form(place.path) if place.source == "form" else self._in_document(place.path)
        if isinstance(found, str):
            return found
        is_number = isinstance(found, int) and not isinstance(found, bool) and abs(found) < MAX_NUMBER
        return str(found) if is_number else None

    def _in_document(self, path: tuple[str, ...]) -> object:
        if self._outline is None:
            return look_up(self._document, path)
        try:
            return self._outline.value_at(path)
        except (ValueError, RecursionError):
            return None

    def _in_form(self, path: tuple[str, ...]) -> object:
        value = self._form.get(path[0])
        if value is None or len(path) == 1:
            return value
        try:
            return look_up(json.loads(value), path[1:])
        except (ValueError, RecursionError):
            return None

    def _parse(self) -> None:
        """Body to document; of a form the document is the JSON in its field `payload`."""
        if self._is_parsed:
            return
        self._is_parsed = True
        kind = self._fields.get(b"content-type", b"").lower()
        if len(self._body) >= OUTLINED_BYTES and not kind.startswith((_FORM, _MULTIPART)):
            self._outline = _outlined(self._body)
            if self._outline is not None:
                return
        if len(self._body) > MAX_BODY_BYTES:
            self.is_skipped = True
            return
        text: bytes | str = self._body
        if kind.startswith(_FORM):
            self._form = _parse_form(self._body)
            text = self._form.get("payload", "")
        elif kind.startswith(_MULTIPART):
            fields = Content(self._body).fields if self._body.startswith(b"--") else []
            self._form = {
                name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in reversed(fields)
            }
        if text[:1] not in (b"{", b"[", "{", "["):
            text = text.lstrip()
        if text[:1] in (b"{", b"[", "{", "["):
            try:
                self._document = json.loads(text)
            except (ValueError, RecursionError):
                self._document = None


def _outlined(body: bytes) -> "Outline | None":
    """The outline of a JSON body; None for what is not, or not quite (NaN, UTF-16)."""
    from webhookctl.jsontext.outline import Outline  # it loads a library that small bodies do not need

    try:
        return Outline(body) if body[:64].lstrip()[:1] in (b"{", b"[") else None
    except (ValueError, RecursionError):
        return None


def _parse_form(body: bytes) -> dict[str, str]:
    from urllib.parse import parse_qsl  # most bodies are JSON

    try:
        pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    except ValueError:
        return {}
    form: dict[str, str] = {}
    for name, value in pairs:
        form.setdefault(name, value)
    return form


@cache
def _packaged() -> Detector:
    return Detector((), is_packaged=True)


def detect(request: Request, *, provider: str | None = None) -> Detection:
    """`Detector.detect` with the packaged schemes; the recognised one's file is read, no other's."""
    return _packaged().detect(request, provider=provider)
