"""Places in a request where a handshake's values stand, and reading them once.

Must not know any handshake, nor what a value is for.
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from webhookctl.model import Request, header_value

MAX_BODY_BYTES = 64 * 1024  # a longer body is no handshake
_MAX_FIELDS = 100
_MAX_NUMBER = 10**30
SOURCES = ("query", "header", "body", "form", "text")


@dataclass(frozen=True, slots=True)
class Place:
    """`source` query, header, form (then `name`), body (then `path`: names, and positions in lists) or text (all)."""

    source: str
    name: str
    path: tuple[str | int, ...] = ()

    @property
    def text(self) -> str:
        return f"{self.source}.{self.name}"


def parse_place(text: str) -> Place:
    """The place that ``query.hub.mode``, ``header.X-Name``, ``body.a.0.b``, ``form.name`` or ``text`` means.

    Raises ValueError for another source.
    """
    source, _, name = text.partition(".")
    if source not in SOURCES:
        raise ValueError(f"no place: {text}")
    if source != "body":
        return Place(source, name)
    return Place(source, name, tuple(int(part) if part.isdecimal() else part for part in name.split(".")))


class Reader:
    """Reads the places of one request; query, form and JSON are parsed when first asked for, and once."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._query: dict[str, str] | None = None
        self._form: dict[str, str] | None = None
        self._document: object = None
        self._is_parsed = False

    def read(self, place: Place) -> str | None:
        """The text or number at `place`, ``[]`` for an empty list; None when nothing of that kind stands there.

        What is not UTF-8 counts as not there.
        """
        if place.source == "header":
            value = header_value(self._request.headers, place.name)
            return None if value is None else _utf8(value)
        if place.source == "query":
            if self._query is None:
                self._query = _pairs(self._request.target.partition("?")[2].partition("#")[0])
            return self._query.get(place.name)
        if place.source == "form":
            if self._form is None:
                self._form = _pairs(self._body().decode("latin-1"))
            return self._form.get(place.name)
        if place.source == "text":
            return _utf8(self._body())
        return _scalar(self._at(place.path))

    def holds_only(self, place: Place) -> bool:
        """True when the JSON object or the form holds the field at `place` and no other."""
        if place.source == "form":
            self.read(place)
            return self._form is not None and len(self._form) == 1
        document = self.document()
        return isinstance(document, dict) and len(document) == 1

    def document(self) -> object:
        """The body as parsed JSON; None when it is none."""
        if not self._is_parsed:
            self._is_parsed = True
            self._document = parsed(self._body())
        return self._document

    def _body(self) -> bytes:
        body = self._request.body
        return body if len(body) <= MAX_BODY_BYTES else b""

    def _at(self, path: tuple[str | int, ...]) -> object:
        found: Any = self.document()
        for part in path:
            try:
                found = found[part]
            except (KeyError, IndexError, TypeError):
                return None
        return found


def parsed(body: bytes) -> object:
    """`body` as parsed JSON; None when it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _scalar(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if value == [] and isinstance(value, list):
        return "[]"
    is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_NUMBER
    return str(value) if is_number else None


def _pairs(text: str) -> dict[str, str]:
    """Names and values of a query or form; of a name that occurs several times the first counts."""
    found: dict[str, str] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, encoding="latin-1", max_num_fields=_MAX_FIELDS)
    except ValueError:
        return found
    for name, value in pairs:
        decoded = _utf8(value.encode("latin-1"))
        if decoded is not None:
            found.setdefault(name, decoded)
    return found


def _utf8(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None
