"""Templates with slots, and places in a request (header, JSON body, form) that detection rules read.

Knows text, bytes and parsed JSON only: no provider, no scheme, no signature.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from string import Formatter
from typing import TypeAlias

Render: TypeAlias = Callable[[Mapping[str, bytes]], bytes]
"""From values by slot to a template that is filled with them; KeyError for a slot without a value."""

_SOURCES = ("header", "body", "form", "query")


def _pieces(text: str) -> tuple[tuple[str, str | None], ...]:
    """`text` as (literal, slot name after it or None); ValueError for stray braces and for formats."""
    pieces = []
    for literal, slot, specification, conversion in Formatter().parse(text):
        if slot == "" or specification or conversion:
            raise ValueError(f"a slot is a plain name in braces: {text}")
        pieces.append((literal, slot))
    return tuple(pieces)


@dataclass(frozen=True, slots=True)
class Template:
    """Bytes with named `slots`: `text` as it was written, `parts` as (literal, slot name after it or None)."""

    text: str
    parts: tuple[tuple[bytes, str | None], ...]
    slots: tuple[str, ...]
    render: Render = field(repr=False, compare=False)


def parse_template(text: str) -> Template:
    """The template written as `text` (``v0:{ts}:{body}``); ValueError when its braces are wrong."""
    pieces = _pieces(text)
    parts = tuple((literal.encode("utf-8"), slot) for literal, slot in pieces)
    slots = tuple(slot for _, slot in pieces if slot is not None)
    return Template(text, parts, slots, _renderer(parts, slots))


def _renderer(parts: tuple[tuple[bytes, str | None], ...], slots: tuple[str, ...]) -> Render:
    """Every delivery renders several templates: each way is the one that is quickest for its kind."""
    literals = b"".join(literal for literal, _ in parts)
    if not slots:
        return lambda _: literals
    pick = itemgetter(*slots)
    if not literals and len(slots) == 1:
        return pick  # the value itself: a body is not copied
    form = b"".join(literal.replace(b"%", b"%%") + (b"%b" if slot else b"") for literal, slot in parts)
    return lambda values: form % pick(values)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands in a request: `source` is header, body (JSON), form or query; `path` leads there.

    An empty path means the whole body. A form's path may lead on into JSON in the field.
    """

    source: str
    path: tuple[str, ...]
    header: bytes = b""  # the lower-case name, for source header


def parse_place(text: str) -> Place:
    """The place written as ``header.X-GitHub-Event``, ``body.data.0.type``, ``form.command`` or ``query.hash``.

    ``body`` alone is the whole body. Raises ValueError for anything else.
    """
    source, _, rest = text.partition(".")
    if text == "body":
        return Place("body", ())
    if source not in _SOURCES or not rest:
        raise ValueError(f"a place is header.NAME, body.PATH or form.FIELD, not {text}")
    if source == "header":
        return Place(source, (), rest.lower().encode("latin-1"))
    return Place(source, tuple(rest.split(".")))


def look_up(document: object, path: tuple[str, ...]) -> object:
    """The value at `path` in parsed JSON (members by name, elements by number), or None when there is none."""
    for step in path:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to find an event type or id: `pieces` as (literal, place after it), if `condition` is there."""

    pieces: tuple[tuple[str, Place | None], ...]
    condition: Place | None = None


def parse_rule(text: str) -> Rule:
    """The rule written as ``{header.X-Event}.{body.action}`` or ``slash_command if form.command``; else ValueError."""
    value, _, condition = text.partition(" if ")
    pieces = tuple(
        (literal, parse_place(slot) if slot is not None else None) for literal, slot in _pieces(value)
    )
    return Rule(pieces, parse_place(condition) if condition else None)
