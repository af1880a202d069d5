"""What a verifier of a scheme has to do, in the few kinds of steps that every language's writer can write.

Knows schemes; must not know any language.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from webhookctl.signing.asymmetric import ALGORITHMS as PAIRS
from webhookctl.signing.scheme import Element, HeaderTemplate, Scheme, TimestampPolicy

NAMES: Mapping[str, str] = {"ts": "timestamp", "id": "message_id", "nonce": "nonce"}
GIVEN = ("body", "url", "method", "path", "secret")
COMPUTED = ("body_sha256", "body_crc32", "sorted_form")
_OWN = ("app_key", "user", "webhook_id")  # slots of packaged schemes, whose names serve as they are
_REASONS = {
    "body": "its signature stands in the body or the URL",
    "token": "its signature is a JSON Web Token, which a library for these checks",
    "form": "the bytes that it signs are made of the body in a way of its own",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A header that a verifier reads: its lower-case `names` (any that is there), and the `elements` of its list.

    Without `separator` there is one element, the whole value. `is_numbered`: the names are beginnings of names.
    """

    names: tuple[str, ...]
    shown: str
    separator: str
    rotation: str
    elements: tuple[Element, ...]
    is_numbered: bool

    @property
    def has_signature(self) -> bool:
        return any(element.slot == "sig" for element in self.elements)

    @property
    def is_positional(self) -> bool:
        """The items are told apart by their places alone, the signatures last."""
        places = [element.position for element in self.elements]
        return places == [*range(len(places))] and self.elements[-1].slot == "sig"

    @property
    def is_told_apart(self) -> bool:
        """What stands where can be told by places, or by literals, not by both at once."""
        is_literal = all(element.position is None for element in self.elements)
        return not self.separator or is_literal or self.is_positional


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a verifier of `scheme` needs. `content` is (literal, slot after it or None), as in a template.

    `parameters` are slots that the caller gives besides body, headers and key; `timestamp` None where none is checked.
    """

    scheme: Scheme
    sources: tuple[Source, ...]
    content: tuple[tuple[bytes, str | None], ...]
    parameters: tuple[str, ...]
    timestamp: TimestampPolicy | None

    @property
    def is_pair(self) -> bool:
        return self.scheme.algorithm in PAIRS

    @property
    def is_token(self) -> bool:
        return self.scheme.algorithm == "token"

    @property
    def hash(self) -> str:
        """The name of the hash: sha1, sha256, …"""
        return self.scheme.algorithm.rpartition("-")[2]

    @property
    def is_keyed(self) -> bool:
        return self.scheme.algorithm.startswith("hmac-")

    @property
    def key_form(self) -> str:
        """The form of the public key that the code takes; of a JWKS it is given as PEM."""
        form = self.scheme.public_key
        return "pem" if form == "jwks" else form

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots that the content holds."""
        return tuple(dict.fromkeys(slot for _, slot in self.content if slot is not None))

    @property
    def read_slots(self) -> tuple[str, ...]:
        """The slots that are read from headers, in their order there."""
        found = (element.slot for source in self.sources for element in source.elements)
        return tuple(dict.fromkeys(slot for slot in found if slot != "sig"))


def plan(scheme: Scheme) -> Plan | str:
    """How to verify `scheme`, or in words why no code is made for it."""
    reason = _reason(scheme)
    if reason is not None:
        return reason
    signed = set(scheme.template.slots)
    has_time = scheme.timestamp is not None and scheme.timestamp.tolerance_s is not None
    needed = signed | {"sig"} | ({"ts"} if has_time else set())
    sources = _sources(scheme, needed)
    if not all(source.is_told_apart for source in sources):
        return _REASONS["form"]
    constant = {slot: value for slot, value in scheme.values.items() if not _is_shown(scheme, slot)}
    content = tuple(
        (literal + constant[slot], None) if slot in constant else (literal, slot)
        for literal, slot in scheme.template.parts
    )
    order = ("url", "method", "path", *scheme.key_parts)
    return Plan(
        scheme=scheme,
        sources=sources,
        content=content,
        parameters=tuple(slot for slot in order if slot in signed),
        timestamp=scheme.timestamp if has_time else None,
    )


def _reason(scheme: Scheme) -> str | None:
    if not scheme.is_signed:
        return f"{scheme.name} does not sign its requests"
    if scheme.is_web_token:
        return _REASONS["token"]
    if scheme.fields:
        return _REASONS["body"]
    known = (*GIVEN, *COMPUTED, *NAMES, *scheme.values, *scheme.key_parts)
    if scheme.timestamp and scheme.timestamp.place and len(scheme.timestamp.place.path) > 1:
        return _REASONS["form"]
    if scheme.other_templates or any(slot not in known for slot in scheme.template.slots):
        return _REASONS["form"]
    return None


def _is_shown(scheme: Scheme, slot: str) -> bool:
    return slot in scheme.key_parts or any(slot in header.value.slots for header in scheme.headers)


def _sources(scheme: Scheme, needed: set[str]) -> tuple[Source, ...]:
    """The headers that hold something of what is `needed`; the further ones of signatures go with the first."""
    found: list[Source] = []
    seen: set[str] = set()
    further = tuple(header for header in scheme.headers if header.has_signature and header.is_optional)
    for header in scheme.headers:
        slots = (set(header.value.slots) & needed) - seen
        if not slots or header in further:
            continue
        seen |= slots - {"sig"}
        names = (header, *further) if header.has_signature else (header,)
        found.append(_source(header, tuple(_lower(one) for one in names), slots))
    return tuple(found)


def _source(header: HeaderTemplate, names: tuple[str, ...], slots: set[str]) -> Source:
    return Source(
        names=names,
        shown=header.name,
        separator=header.separator.decode(),
        rotation=header.rotation.decode(),
        elements=tuple(element for element in header.elements if element.slot in slots),
        is_numbered=header.name.endswith("{n}"),
    )


def _lower(header: HeaderTemplate) -> str:
    return header.name.removesuffix("{n}").lower()


def name_of(slot: str) -> str:
    """A name, in snake case, for what `slot` holds; a name of the user's own is set apart from those of the code."""
    if slot in NAMES or slot in GIVEN:
        return NAMES.get(slot, slot)
    return slot if slot in _OWN else "own_" + re.sub(r"[^0-9A-Za-z]", "_", slot)
