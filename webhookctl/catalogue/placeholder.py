"""The notation inside template texts: literal text and placeholders such as ``{id:pi_}`` or ``{customer.id}``.

Knows how a text is taken apart, not what any placeholder stands for.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from webhookctl.errors import WebhookctlError

_TOKEN = re.compile(r"(\{\{|\}\}|\{[^{}]*\}|[{}])")
_REFERENCE = re.compile(r"(?P<entity>[a-z0-9_]*)\.(?P<path>[\w.-]+)")
_PLACEHOLDER = re.compile(
    r"(?P<kind>[a-z]+)(?P<shift>[+-]\d+[smhdw])?(?::(?P<argument>[^#]*?))?(?:\s*#(?P<name>\S+))?"
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Placeholder:
    """``{kind:argument #name}``; `shift_s` is the offset in ``{now-1h}``, in seconds."""

    kind: str
    argument: str = ""
    name: str = ""
    shift_s: int = 0


@dataclass(frozen=True, slots=True)
class Reference:
    """``{entity.path}``, or ``{.path}`` for a field of the entity the text stands in (then `entity` is empty)."""

    entity: str
    path: tuple[str, ...]


Part: TypeAlias = str | Placeholder | Reference


def broken(message: str) -> WebhookctlError:
    """The error for a template that cannot be read: a bug in the catalogue's data."""
    return WebhookctlError("template-invalid", message, "this is a bug in the catalogue, please report it")


@cache
def parse(text: str) -> tuple[Part, ...]:
    """The parts of `text` in order; adjacent literal text is one part, an empty text has none.

    ``{{`` and ``}}`` are literal braces, as in Python's format strings.
    Raises WebhookctlError (``template-invalid``) for a lone brace and for what is no placeholder.
    """
    parts: list[Part] = []
    for index, token in enumerate(_TOKEN.split(text)):
        part: Part = token
        if index % 2:
            part = token[0] if token in ("{{", "}}") else _inner(token, text)
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        elif part != "":
            parts.append(part)
    return tuple(parts)


def reference(text: str) -> Reference | None:
    """``customer.id`` or ``.id`` as a Reference; None when `text` is something else."""
    match = _REFERENCE.fullmatch(text)
    return Reference(match["entity"], tuple(match["path"].split("."))) if match else None


def _inner(token: str, text: str) -> Part:
    inner = token[1:-1]
    found = reference(inner)
    if found:
        return found
    match = _PLACEHOLDER.fullmatch(inner)
    if not match:
        raise broken(f"no placeholder: {token!r} in {text!r}")
    shift = match["shift"]
    shift_s = int(shift[:-1]) * _SECONDS[shift[-1]] if shift else 0
    return Placeholder(match["kind"], match["argument"] or "", match["name"] or "", shift_s)
