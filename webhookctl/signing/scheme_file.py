"""Reads signing schemes from TOML: the packaged ones by provider id, and a user's own file.

Must not know requests or secrets. The form is shown in full by `data/slack.toml` and described in `parse_scheme`.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import NoReturn, TypeVar

from webhookctl.errors import UsageError
from webhookctl.signing.place import Rule, Template, parse_place, parse_rule, parse_template
from webhookctl.signing.primitive import DERIVATIONS, ENCODINGS, PRIMITIVES
from webhookctl.signing.scheme import (
    DeliveryPolicy,
    DetectionRules,
    Element,
    HeaderTemplate,
    Recognition,
    Scheme,
    TimestampPolicy,
)

SENT_SLOTS = ("id", "nonce", "ts")  # the engine makes them, headers carry them
KNOWN_SLOTS = ("body", "method", "path", "secret", "url")  # both sides know them; no header carries them

EVIDENCE = (
    "verified",
    "partial",
    "sdk-read",
    "doc",
    "spec",
    "source-code",
    "secondary",
    "memory",
    "unverified",
)
NUMBERED_HEADERS = 100  # how far ``{n}`` in a header's name counts

Value = TypeVar("Value")


class _Table:
    """One TOML table that is taken apart key by key; `finish` refuses what nobody asked for."""

    def __init__(self, origin: str, path: str, content: Mapping[str, object]) -> None:
        self._origin = origin
        self._path = path
        self._rest = dict(content)
        self._asked: list[str] = []

    def refuse(self, key: str, problem: str, hint: str = "") -> NoReturn:
        raise UsageError("scheme-invalid", f"{self._origin}: {self._path}{key}: {problem}", hint)

    def take(self, key: str, kind: type[Value], default: Value | None = None) -> Value:
        """The value of `key`, or `default`; without a default the key must be there. Whole numbers are floats too."""
        self._asked.append(key)
        value = self._rest.pop(key, default)
        if value is None:
            self.refuse(key, "is missing")
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            self.refuse(key, f"must be {_KINDS[kind]}, not {value!r}")
        return value

    def has(self, key: str) -> bool:
        self._asked.append(key)
        return key in self._rest

    def texts(self, key: str, default: Iterable[str] | None = None) -> tuple[str, ...]:
        values = self.take(key, list, None if default is None else list(default))
        if not all(isinstance(value, str) for value in values):
            self.refuse(key, "must be a list of texts")
        return tuple(values)

    def all_texts(self) -> dict[str, bytes]:
        found = {key: self.take(key, str) for key in tuple(self._rest)}
        for key, value in found.items():
            if not (value.isascii() and value.isprintable()):
                self.refuse(key, "must be printable ASCII")
        return {key: value.encode("ascii") for key, value in found.items()}

    def known(self, key: str, value: str, names: Iterable[str]) -> str:
        """`value` when it is one of `names`, else an error that suggests the nearest."""
        names = tuple(names)
        if value not in names:
            near = get_close_matches(value, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
            self.refuse(key, f"there is no {value!r}", hint)
        return value

    def choice(self, key: str, names: Iterable[str], default: str | None = None) -> str:
        return self.known(key, self.take(key, str, default), names)

    def parsed(self, key: str, text: str, parse: Callable[[str], Value]) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            self.refuse(key, str(error))

    def table(self, key: str) -> "_Table":
        return _Table(self._origin, f"{self._path}{key}.", self.take(key, dict, {}))

    def tables(self, key: str) -> tuple["_Table", ...]:
        found = self.take(key, list)
        if not found or not all(isinstance(content, dict) for content in found):
            self.refuse(key, "must be one or more tables")
        return tuple(_Table(self._origin, f"{self._path}{key}.", content) for content in found)

    def finish(self) -> None:
        for key in self._rest:
            near = get_close_matches(key, self._asked, 1)
            self.refuse(
                key, "unknown key", f"did you mean {near[0]}?" if near else f"known: {', '.join(self._asked)}"
            )


_KINDS: Mapping[type, str] = {
    str: "text",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


def parse_scheme(text: str, origin: str) -> Scheme:
    """The scheme written in TOML `text`; `origin` names the file in errors.

    ``id``, ``name``, ``[signature]`` (template, algorithm, keys, key_prefixes, encoding, values), one or more
    ``[[header]]`` (name, value, separator, optional), ``[timestamp]`` (unit, tolerance_s, direction, place),
    ``[detection]`` (headers, rank, event, delivery_id), ``[delivery]`` (timeout_s, retries, source),
    ``secret_variables``, ``secret_form``, ``secret_fields``, ``evidence``, ``verified_with``, ``source``, ``note``.
    Raises UsageError `scheme-invalid`, naming file and key, with a suggestion for a typing error.
    """
    try:
        root = _Table(origin, "", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError("scheme-invalid", f"{origin}: not TOML: {error}") from error
    scheme = _scheme(root, origin)
    root.finish()
    return scheme


def _scheme(root: _Table, origin: str) -> Scheme:
    signature = root.table("signature")
    values = signature.table("values").all_texts()
    headers = _headers(root, (*SENT_SLOTS, *values, "sig"))
    template = _template(signature, "template", (*SENT_SLOTS, *KNOWN_SLOTS, *values))
    keys = signature.texts("keys", ["utf8"])
    if not keys:
        signature.refuse("keys", "must not be empty")
    scheme = Scheme(
        id=_id(root),
        name=root.take("name", str),
        origin=origin,
        template=template,
        algorithm=signature.choice("algorithm", PRIMITIVES),
        keys=tuple(signature.known("keys", key, DERIVATIONS) for key in keys),
        key_prefixes=signature.texts("key_prefixes", ()),
        encoding=signature.choice("encoding", ENCODINGS),
        headers=headers,
        timestamp=_timestamp(root.table("timestamp")) if root.has("timestamp") else None,
        detection=_detection(root.table("detection")),
        delivery=_delivery(root.table("delivery")),
        secret_variables=root.texts("secret_variables", ()),
        secret_form=root.take("secret_form", str, ""),
        secret_fields=root.texts("secret_fields", ()),
        evidence=root.choice("evidence", EVIDENCE, "unverified"),
        verified_with=root.texts("verified_with", ()),
        source=root.take("source", str, ""),
        note=root.take("note", str, ""),
        values=values,
        headers_by_name=_by_name(headers),
        header_slots=_header_slots(root, template, headers, tuple(values)),
    )
    signature.finish()
    return scheme


def _id(root: _Table) -> str:
    provider_id = root.take("id", str)
    if not provider_id or not all("a" <= letter <= "z" or letter in "0123456789_-" for letter in provider_id):
        root.refuse("id", "must be lower-case letters, digits, _ and -")
    return provider_id


def _template(table: _Table, key: str, slots: tuple[str, ...]) -> Template:
    template = table.parsed(key, table.take(key, str), parse_template)
    for slot in template.slots:
        table.known(key, slot, slots)
    return template


def _headers(root: _Table, slots: tuple[str, ...]) -> tuple[HeaderTemplate, ...]:
    headers = []
    for table in root.tables("header"):
        name = table.take("name", str)
        if not name.removesuffix("{n}").replace("-", "").replace("_", "").isalnum() or not name.isascii():
            table.refuse("name", f"is not a header name: {name!r}")
        value = _template(table, "value", slots)
        if not value.text.isascii() or not value.text.isprintable():
            table.refuse("value", "must be printable ASCII")
        separator = table.take("separator", str, "")
        headers.append(
            HeaderTemplate(
                name=name,
                value=value,
                separator=(separator.strip() or separator).encode("latin-1"),
                elements=_elements(table, value.text, separator),
                is_optional=table.take("optional", bool, False),
            )
        )
        table.finish()
    if not any(header.has_signature for header in headers):
        root.refuse("header", "no header holds a {sig}")
    return tuple(headers)


def _elements(table: _Table, value: str, separator: str) -> tuple[Element, ...]:
    """The items of a header's value that hold a slot; each holds one, or the header could not be read back."""
    elements = []
    items = value.split(separator) if separator else [value]
    for position, item in enumerate(items):
        parts = parse_template(item).parts
        slots = [slot for _, slot in parts if slot is not None]
        if len(slots) > 1:
            table.refuse(
                "value", f"two slots in {item!r} cannot be told apart", "give the separator between them"
            )
        if slots:
            suffix = parts[1][0] if len(parts) > 1 else b""
            is_told_apart = bool(parts[0][0] or suffix)
            elements.append(Element(parts[0][0], slots[0], suffix, None if is_told_apart else position))
    return tuple(elements)


def _by_name(headers: tuple[HeaderTemplate, ...]) -> dict[bytes, HeaderTemplate]:
    found = {}
    for header in headers:
        if header.name.endswith("{n}"):
            stem = header.name.removesuffix("{n}")
            numbers = range(1, NUMBERED_HEADERS + 1)
            found.update({f"{stem}{number}".lower().encode(): header for number in numbers})
        else:
            found[header.name.lower().encode()] = header
    return found


def _header_slots(
    root: _Table, template: Template, headers: tuple[HeaderTemplate, ...], values: tuple[str, ...]
) -> tuple[str, ...]:
    """The slots of the canonical template that a verifier reads from headers; refuses one it cannot know."""
    sent = {slot for header in headers for slot in header.value.slots}
    for slot in template.slots:
        if slot in SENT_SLOTS and slot not in sent:
            root.refuse("signature.template", f"no header sends the slot {{{slot}}}")
    return tuple(slot for slot in template.slots if slot in sent and slot not in values)


def _timestamp(table: _Table) -> TimestampPolicy:
    unit = table.choice("unit", ("s", "ms", "iso8601"))
    direction = table.choice("direction", ("both", "past-only"), "both")
    tolerance_s = table.take("tolerance_s", float) if table.has("tolerance_s") else None
    place = table.parsed("place", table.take("place", str), parse_place) if table.has("place") else None
    if place is not None and place.source != "body":
        table.refuse("place", "must be body.PATH; a header with {ts} needs no place")
    table.finish()
    return TimestampPolicy(unit, tolerance_s, direction == "both", place)


def _detection(table: _Table) -> DetectionRules:
    recognitions = []
    for text in table.texts("headers", ()):
        name, _, prefix = text.partition(":")
        recognitions.append(Recognition(name.lower().encode("utf-8"), prefix.strip().encode("utf-8"), name))
    rank = table.take("rank", int, 10)
    event, delivery_id = _rules(table, "event"), _rules(table, "delivery_id")
    table.finish()
    return DetectionRules(tuple(recognitions), rank, event, delivery_id)


def _rules(table: _Table, key: str) -> tuple[Rule, ...]:
    return tuple(table.parsed(key, text, parse_rule) for text in table.texts(key, ()))


def _delivery(table: _Table) -> DeliveryPolicy:
    policy = DeliveryPolicy(
        timeout_s=table.take("timeout_s", float) if table.has("timeout_s") else None,
        retries=table.take("retries", str, ""),
        source=table.take("source", str, ""),
    )
    table.finish()
    return policy


@cache
def provider_ids() -> tuple[str, ...]:
    """The ids of the packaged schemes, sorted; read from file names alone."""
    from importlib.resources import files  # here: its import costs more than the rest of this room

    names = [entry.name for entry in files("webhookctl.signing").joinpath("data").iterdir()]
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def load(provider_id: str) -> Scheme:
    """The packaged scheme of `provider_id`, read on first use; no other provider's file is opened.

    Raises UsageError `provider-unknown` with a suggestion.
    """
    from importlib.resources import files

    if provider_id not in provider_ids():
        near = get_close_matches(provider_id.lower(), provider_ids(), 1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(provider_ids())}"
        raise UsageError("provider-unknown", f"no provider {provider_id!r}", hint)
    name = f"{provider_id}.toml"
    return parse_scheme(files("webhookctl.signing").joinpath("data", name).read_text(encoding="utf-8"), name)
