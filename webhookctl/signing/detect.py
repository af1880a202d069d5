"""Tells what a request says of itself: provider, event type, delivery id.

Must not know secrets or judge signatures; every rule comes from the schemes.
"""

import json
from collections.abc import Iterable
from functools import cache

from webhookctl.model import Detection, Request
from webhookctl.signing.place import Place, Rule, look_up
from webhookctl.signing.scheme import DetectionRules, Recognition, Scheme
from webhookctl.signing.scheme_file import load, provider_ids

MAX_BODY_BYTES = 256 << 10  # a longer body is not parsed: the event type is not worth the time
MAX_LENGTH = 200  # of an event type or id; a longer text is something else
MAX_FORM_FIELDS = 100

_FALLBACK = "generic"  # its rules read the requests of providers nobody knows
_FORM = b"application/x-www-form-urlencoded"


class Detector:
    """Recognises the requests of the providers whose `schemes` it is given, by tables made once.

    Where several fit, the lowest rank wins, then the scheme given first.
    """

    def __init__(self, schemes: Iterable[Scheme]) -> None:
        self._rules: dict[str, DetectionRules] = {}
        self._by_header: dict[bytes, list[tuple[int, int, str, Recognition]]] = {}
        for number, scheme in enumerate(schemes):
            self._rules.setdefault(scheme.id, scheme.detection)
            for recognition in scheme.detection.headers:
                candidate = (scheme.detection.rank, number, scheme.id, recognition)
                self._by_header.setdefault(recognition.name, []).append(candidate)
        self._fallback = self._rules.get(_FALLBACK) or load(_FALLBACK).detection

    def detect(self, request: Request, *, provider: str | None = None) -> Detection:
        """Provider, event type and delivery id of `request`; None for what it does not say. Never raises.

        With `provider` given, recognition is skipped. Values with control or invisible characters are left out.
        `reason` names the header that gave the provider away.
        """
        fields: dict[bytes, bytes] = {}
        best: tuple[int, int, str, Recognition] | None = None
        for key, value in request.headers:
            name = key.lower()
            if name in fields:
                continue
            fields[name] = value
            for candidate in self._by_header.get(name, ()):
                if value.startswith(candidate[3].prefix) and (best is None or candidate[:2] < best[:2]):
                    best = candidate
        if provider is not None:
            reason = "provider given"
        elif best is not None:
            provider, reason = best[2], f"header {best[3].text}"
        else:
            reason = "no header tells the provider"
        rules = self._rules.get(provider or "", self._fallback)
        content = _Content(fields, request.body)
        event = content.first(rules.event)
        delivery_id = content.first(rules.delivery_id)
        if content.is_skipped:
            reason += f"; the body is over {MAX_BODY_BYTES >> 10} KiB and was not read"
        return Detection(provider, event, delivery_id, reason)


class _Content:
    """A request's headers by lower-case name, and its body, parsed when a rule first asks for it, and once."""

    __slots__ = ("_body", "_document", "_fields", "_form", "_is_parsed", "is_skipped")

    def __init__(self, fields: dict[bytes, bytes], body: bytes) -> None:
        self._fields = fields
        self._body = body
        self._document: object = None
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

    def _read(self, place: Place) -> str | None:
        if place.source == "header":
            value = self._fields.get(place.header)
            return None if value is None else value.decode("latin-1")
        self._parse()
        found = (
            self._form.get(place.path[0]) if place.source == "form" else look_up(self._document, place.path)
        )
        return found if isinstance(found, str) else None

    def _parse(self) -> None:
        """Body to document; of a form the document is the JSON in its field `payload`."""
        if self._is_parsed:
            return
        self._is_parsed = True
        if len(self._body) > MAX_BODY_BYTES:
            self.is_skipped = True
            return
        text: bytes | str = self._body
        if self._fields.get(b"content-type", b"").lower().startswith(_FORM):
            self._form = _parse_form(self._body)
            text = self._form.get("payload", "")
        if text[:1] not in (b"{", b"[", "{", "["):
            text = text.lstrip()
        if text[:1] in (b"{", b"[", "{", "["):
            try:
                self._document = json.loads(text)
            except (ValueError, RecursionError):
                self._document = None


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
    return Detector(load(provider_id) for provider_id in provider_ids())


def detect(request: Request, *, provider: str | None = None) -> Detection:
    """`Detector.detect` with the packaged schemes; their files are read on the first call."""
    return _packaged().detect(request, provider=provider)
