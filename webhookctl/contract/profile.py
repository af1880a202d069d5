"""What the bodies of an event look like: every path with the kinds, values and formats that were seen there.

Pure. Must not know what is read of it, nor how a change is judged.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NamedTuple

from webhookctl.contract.model import Json

KINDS = ("string", "integer", "number", "boolean", "object", "array", "null", "absent")
"""What can be at a path. A number is an integer too; ``absent`` is nothing at all."""

MAX_VALUES = 12  # different texts at a path, up to which they may be all there are
MAX_DEPTH = 64  # no event has more; a body made to exhaust us may
MIN_SAMPLES = 20  # texts at a path, from which they are taken for all there are

_LONGEST_FORMATTED = 2_000
_NEEDS_QUOTES = re.compile(r"[.\"\[\]{}*]")
# A name like one of these is an id: the object that holds it is a map, its names say nothing.
_ID_LIKE = re.compile(
    r"[0-9]{3,}|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-f]{16,}|[a-z]{2,8}_(?=.*[0-9])[0-9A-Za-z]{8,}"
)
_FORMATS = {
    "uuid": re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"),
    "time": re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "url": re.compile(r"https?://\S+"),
    "email": re.compile(r"[^\s@/]+@[^\s@/]+\.[^\s@/]+"),
    "number": re.compile(r"-?\d+(?:\.\d+)?"),
    "prefixed id": re.compile(r"[a-z]{2,8}_(?=.*[0-9])[0-9A-Za-z]{8,}"),
}
_ALTERNATIVE = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^|"\s]+)\s*(\||$)')


class Spot(NamedTuple):
    """One value of a body: its path among all bodies (``commits[].id``), its own (``commits.0.id``), and itself."""

    pattern: str
    path: str
    value: Json


@dataclass(frozen=True, slots=True)
class Type:
    """What may be at a path: kinds, and the only texts that may be there (None: any).

    Written ``string``, ``integer | null``, ``"paid" | "open" | absent``.
    """

    kinds: frozenset[str]
    texts: frozenset[str] | None = None

    def __str__(self) -> str:
        parts = [json.dumps(text, ensure_ascii=False) for text in sorted(self.texts or ())]
        parts += [kind for kind in KINDS if kind in self.kinds and not (kind == "string" and self.texts)]
        return " | ".join(parts)

    def allows(self, kind: str) -> bool:
        """Whether a value of `kind` may be there."""
        return kind in self.kinds or (kind == "integer" and "number" in self.kinds)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen at a path: how often, in how many places that could have held it, which kinds and texts.

    `texts` is None when there were more than `MAX_VALUES`; `text_format` is "" when they had none in common.
    """

    count: int
    chances: int
    kinds: Mapping[str, int]
    texts: frozenset[str] | None
    text_format: str

    @property
    def type(self) -> Type:
        """What may be there, by what was: the texts too when they seem to be all there are."""
        kinds = frozenset(self.kinds) | ({"absent"} if self.count < self.chances else set())
        is_closed = self.texts is not None and self.kinds.get("string", 0) >= MIN_SAMPLES
        return Type(kinds, self.texts if is_closed else None)


@dataclass(frozen=True, slots=True)
class Profile:
    """All that was seen in `count` bodies of one event, by path."""

    count: int
    paths: Mapping[str, Seen]


def parse_type(text: str) -> Type:
    """A type from ``string | null`` or ``"paid" | "open"``. Raises ValueError with a suggestion."""
    kinds: set[str] = set()
    texts: set[str] = set()
    position, is_open = 0, True
    while is_open and (match := _ALTERNATIVE.match(text, position)):
        word = match[1]
        if word.startswith('"'):
            texts.add(json.loads(word))
            kinds.add("string")
        elif word in KINDS:
            kinds.add(word)
        else:
            near = get_close_matches(word, KINDS, 1)
            raise ValueError(
                f"{word!r} is not a type: " + (f"did you mean {near[0]}?" if near else ", ".join(KINDS))
            )
        position, is_open = match.end(), match[2] == "|"
    if is_open or position < len(text):
        raise ValueError(f'{text!r} is not a type: write string, integer | null, or "paid" | "open"')
    return Type(frozenset(kinds), frozenset(texts) or None)


def kind_of(value: Json) -> str:
    """The kind of a value of JSON: ``string``, ``integer``, …"""
    if value is None:
        return "null"
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}
    return kinds[type(value)]


def step_text(name: str) -> str:
    """`name` as a step of a path: in quotes where it would be misread."""
    if name and name.isprintable() and not _NEEDS_QUOTES.search(name):
        return name
    return json.dumps(name, ensure_ascii=not name.isprintable())


def spots(document: Json) -> Iterator[Spot]:
    """Every value in `document` but the whole, containers before what they hold; a name of an id is ``{*}``.

    What lies deeper than `MAX_DEPTH` levels is left out.
    """
    return _spots(document, "", "", MAX_DEPTH)


def _spots(document: Json, pattern: str, path: str, room: int) -> Iterator[Spot]:
    children: list[Spot] = []
    if not room:
        return
    if isinstance(document, dict):
        for name, value in document.items():
            step = step_text(name)
            shared = "{*}" if _ID_LIKE.fullmatch(name) else step
            children.append(Spot(_joined(pattern, shared), _joined(path, step), value))
    elif isinstance(document, list):
        children = [Spot(f"{pattern}[]", f"{path}[{index}]", value) for index, value in enumerate(document)]
    for child in children:
        yield child
        yield from _spots(child.value, child.pattern, child.path, room - 1)


def _joined(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def parent_of(pattern: str) -> str:
    """The path of what holds `pattern`; "" for the whole body."""
    if pattern.endswith("[]"):
        return pattern[:-2]
    steps = re.findall(r'"(?:[^"\\]|\\.)*"(?:\[\])*|[^.]+', pattern)
    return ".".join(steps[:-1])


def profile(documents: Iterable[Json]) -> Profile:
    """What `documents`, all bodies of one event, look like."""
    drafts: dict[str, _Draft] = {}
    count = 0
    containers: Counter[str] = Counter()
    for document in documents:
        count += 1
        found = list(spots(document))
        here = Counter(spot.pattern for spot in found if isinstance(spot.value, dict))
        containers += here + Counter({"": 1})
        for spot in found:
            drafts.setdefault(spot.pattern, _Draft()).add(spot.value)
    return Profile(
        count,
        {pattern: draft.seen(_chances(pattern, draft, containers)) for pattern, draft in drafts.items()},
    )


def _chances(pattern: str, draft: "_Draft", containers: Mapping[str, int]) -> int:
    """How many objects could have held `pattern`; elements of arrays and of maps are never missed."""
    if pattern.endswith(("[]", "{*}")):
        return draft.count
    return containers[parent_of(pattern)]


@dataclass(slots=True)
class _Draft:
    """What was seen at a path so far."""

    count: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    texts: set[str] = field(default_factory=set)
    formats: set[str] = field(default_factory=set)

    def add(self, value: Json) -> None:
        self.count += 1
        self.kinds[kind_of(value)] += 1
        if isinstance(value, str):
            if len(self.texts) <= MAX_VALUES:
                self.texts.add(value)
            self.formats.add(format_of(value))

    def seen(self, chances: int) -> Seen:
        texts = frozenset(self.texts) if 0 < len(self.texts) <= MAX_VALUES else None
        text_format = next(iter(self.formats)) if len(self.formats) == 1 else ""
        return Seen(self.count, chances, dict(self.kinds), texts, text_format)


def format_of(text: str) -> str:
    """The format that `text` has: ``uuid``, ``time``, ``url``, …; "" for none of them, and for long texts."""
    if len(text) > _LONGEST_FORMATTED:
        return ""
    return next((name for name, pattern in _FORMATS.items() if pattern.fullmatch(text)), "")
