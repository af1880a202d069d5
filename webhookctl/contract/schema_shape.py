"""What a JSON Schema says may be at a path: its kinds, its texts, whether it may be missing.

Pure. Must not know what is read of it. A reference leads within the document only; none is ever fetched.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import product
from typing import TypeAlias, cast
from urllib.parse import unquote

from webhookctl.contract.model import Json
from webhookctl.contract.profile import Type, kind_of

MAX_VIEWS = 5_000  # alternatives of one place; more are made by a mistake

Schema: TypeAlias = Mapping[str, Json]
View: TypeAlias = tuple[Schema, ...]
"""Schemas that hold at once. Their references and alternatives were followed already."""

_ANY = frozenset({"string", "integer", "number", "boolean", "object", "array", "null"})
_NULL: View = ({"type": "null"},)
_NAMED = ("properties", "patternProperties")
_OF_OBJECTS = (*_NAMED, "required", "additionalProperties", "unevaluatedProperties")
_OF_ARRAYS = ("items", "prefixItems", "additionalItems")


class Each(Enum):
    """A step of a path that leads to more than one value."""

    ELEMENT = "[]"
    ENTRY = "{*}"


Step: TypeAlias = str | Each


@dataclass(frozen=True, slots=True)
class Children:
    """What the views of a place say of one step further.

    `is_missing`: it may not be there though the place is. `is_open`: some of it is left open.
    """

    views: tuple[View, ...]
    is_missing: bool = False
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A document with schemas in it. Its methods raise ValueError for what is no schema."""

    root: Json

    def at(self, pointer: str) -> Json:
        """What a JSON pointer (``/a/b``, percent-encoded or not; "" the whole) names. Raises ValueError."""
        here = self.root
        if pointer and not pointer.startswith("/"):
            raise ValueError(f"#{pointer} is no JSON pointer: they begin with #/")
        for token in unquote(pointer).split("/")[1:]:
            name = token.replace("~1", "/").replace("~0", "~")
            if isinstance(here, dict) and name in here:
                here = here[name]
            elif isinstance(here, list) and name.isdecimal() and int(name) < len(here):
                here = here[int(name)]
            else:
                raise ValueError(f"#{pointer} leads nowhere: there is no {name!r}")
        return here

    def views(self, schema: Json) -> tuple[View, ...]:
        """The alternatives of `schema`, those that contradict themselves left out; none: nothing satisfies it."""
        return self.views_of_all((schema,))

    def views_of_all(self, schemas: Sequence[Json]) -> tuple[View, ...]:
        """The alternatives where every one of `schemas` holds."""
        return _together([self._expanded(schema, frozenset()) for schema in schemas])

    def _expanded(self, schema: Json, followed: frozenset[str]) -> tuple[View, ...]:
        """`followed` are the references on the way here: one that leads back to itself says nothing new."""
        if isinstance(schema, bool):
            return ((),) if schema else ()
        if not isinstance(schema, dict):
            raise ValueError(f"there is {_a(kind_of(schema))} where a schema has to be")
        parts: list[tuple[View, ...]] = [((schema,),)]
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in followed:
            parts.append(self._expanded(self.target(reference), followed | {reference}))
        parts += [self._expanded(each, followed) for each in _schemas(schema, "allOf")]
        for key in ("anyOf", "oneOf"):
            if key in schema:
                parts.append(self._any(_schemas(schema, key), followed))
        if "if" in schema:
            parts.append(self._any([schema.get("then", True), schema.get("else", True)], followed))
        views = _together(parts)
        return (*views, _NULL) if schema.get("nullable") is True else views

    def _any(self, schemas: Sequence[Json], followed: frozenset[str]) -> tuple[View, ...]:
        return tuple(view for each in schemas for view in self._expanded(each, followed))

    def target(self, reference: str) -> Json:
        """What ``#/components/schemas/Order`` refers to. Raises ValueError, for other documents too."""
        document, _, pointer = reference.partition("#")
        if document:
            raise ValueError(f"it refers to another document, {reference}: bundle them into one file")
        return self.at(pointer)

    def child(self, view: View, step: Step) -> Children:
        """What `view` says of one step further."""
        if isinstance(step, str):
            return self._named(view, step)
        return self._elements(view) if step is Each.ELEMENT else self._entries(view)

    def _named(self, view: View, name: str) -> Children:
        found: list[Json] = []
        entries: list[Json] = []
        for schema in view:
            here = [*_named_in(schema, name)]
            found += here
            others = schema.get("additionalProperties", True)
            if not here and others is False:
                return Children((), is_missing=True)
            if not here and others is not True and others != {}:
                entries.append(others)
        is_required = any(name in _list(schema, "required") for schema in view)
        if not found and any(schema.get("unevaluatedProperties") is False for schema in view):
            return Children((), is_missing=True)
        if found or entries:
            # An entry of a map has no name in the schema: whether it is always there cannot be said.
            views = self.views_of_all([*found, *entries])
            return Children(views, is_missing=not views or (bool(found) and not is_required))
        if is_required or not any(_table(schema, key) for schema in view for key in _NAMED):
            return Children((), is_open=True)
        return Children((), is_missing=True)

    def _entries(self, view: View) -> Children:
        schemas = [each for schema in view for key in _NAMED for each in _table(schema, key).values()]
        others = [schema["additionalProperties"] for schema in view if "additionalProperties" in schema]
        schemas += [each for each in others if isinstance(each, dict) and each]
        views = tuple(found for each in schemas for found in self.views(each))
        return Children(views, not views and False in others, not views and False not in others)

    def _elements(self, view: View) -> Children:
        schemas: list[Json] = []
        for schema in view:
            for key in _OF_ARRAYS:
                each = schema.get(key)
                schemas += each if isinstance(each, list) else [each] if key in schema else []
        views = tuple(found for each in schemas for found in self.views(each))
        return Children(views, bool(schemas) and not views, not schemas)


def type_of(views: Sequence[View]) -> Type:
    """What may be there in any of `views`; the texts when every one of them names its own."""
    found = frozenset(kind for view in views for kind in kinds(view))
    texts = [_texts(view) for view in views if "string" in kinds(view)]
    named = [each for each in texts if each is not None]
    is_closed = bool(texts) and len(named) == len(texts)
    return Type(
        found - {"integer"} if "number" in found else found,
        frozenset(text for each in named for text in each) if is_closed else None,
    )


def is_unsaid(view: View) -> bool:
    """Whether `view` leaves open what is there."""
    return kinds(view) == _ANY


def kinds(view: View) -> frozenset[str]:
    """The kinds that satisfy every schema of `view`; a number is an integer too.

    Where no schema names one, keys that speak of objects or arrays do: who writes `properties` means an object.
    """
    found = _ANY
    for schema in view:
        found &= _kinds(schema)
    if "string" in found and _texts(view) == frozenset():
        found -= {"string"}
    if found == _ANY:
        spoken = {"object"} if _speaks_of(view, _OF_OBJECTS) else set()
        spoken |= {"array"} if _speaks_of(view, _OF_ARRAYS) else set()
        return frozenset(spoken) or found
    return found


def _speaks_of(view: View, keys: Sequence[str]) -> bool:
    return any(key in schema for schema in view for key in keys)


def _kinds(schema: Schema) -> frozenset[str]:
    said = schema.get("type")
    values = _values(schema)
    if said is None:
        return _ANY if values is None else _widened(kind_of(each) for each in values)
    named = said if isinstance(said, list) else [said]
    for each in named:
        if not isinstance(each, str) or each not in _ANY:
            raise ValueError(f"{each!r} is no type of JSON Schema")
    found = _widened(each for each in named if isinstance(each, str))
    return found if values is None else found & _widened(kind_of(each) for each in values)


def _widened(names: Iterable[str]) -> frozenset[str]:
    found = frozenset(names)
    return found | {"integer"} if "number" in found else found


def _values(schema: Schema) -> list[Json] | None:
    if "const" in schema:
        return [schema["const"]]
    values = schema.get("enum")
    return values if isinstance(values, list) else None


def _texts(view: View) -> frozenset[str] | None:
    found: frozenset[str] | None = None
    for schema in view:
        values = _values(schema)
        if values is not None:
            texts = frozenset(each for each in values if isinstance(each, str))
            found = texts if found is None else found & texts
    return found


def _together(parts: Sequence[tuple[View, ...]]) -> tuple[View, ...]:
    """Every combination of one view of each part that does not contradict itself."""
    views: tuple[View, ...] = ((),)
    for part in parts:
        if len(views) * len(part) > MAX_VIEWS:
            raise ValueError(f"it has more than {MAX_VIEWS:,} alternatives at one place")
        views = tuple(view for one, other in product(views, part) if kinds(view := one + other))
    return views


def _named_in(schema: Schema, name: str) -> Iterator[Json]:
    own = _table(schema, "properties")
    if name in own:
        yield own[name]
    for pattern, each in _table(schema, "patternProperties").items():
        try:
            is_meant = re.search(pattern, name) is not None
        except re.error as error:
            raise ValueError(f"{pattern!r} is no pattern that can be used: {error}") from error
        if is_meant:
            yield each


def _table(schema: Schema, key: str) -> dict[str, Json]:
    value = schema.get(key)
    return cast("dict[str, Json]", value) if isinstance(value, dict) else {}


def _list(schema: Schema, key: str) -> list[Json]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _schemas(schema: Schema, key: str) -> list[Json]:
    if key in schema and not isinstance(schema[key], list):
        raise ValueError(f"there is {_a(kind_of(schema[key]))} where {key} has its schemas")
    return _list(schema, key)


def _a(kind: str) -> str:
    return {"null": "null"}.get(kind, f"{'an' if kind[0] in 'aio' else 'a'} {kind}")
