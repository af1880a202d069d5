"""A channel's options as JSON, in and out: what the admin API takes and what is shown of a channel.

Pure. The same names on the command line, in the API and in --json; keys and hashes never come out.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from math import isfinite
from typing import Any, TypeAlias

from webhookctl.errors import UsageError
from webhookctl.relay.channel import Channel, Gate, Policy, check, parse_canned, parse_policy

Record: TypeAlias = dict[str, object]

_NUMBERS = ("deadline_s", "retention_s", "rate_per_s")
_COUNTS = ("max_pending", "max_pending_bytes", "max_body_bytes", "burst")
_LIMITS = ("retention_s", *_COUNTS, "rate_per_s")
OPTIONS = ("policy", *_NUMBERS, *_COUNTS, "gate", "allow", "respond", "sse")


def apply(channel: Channel, options: Mapping[str, object]) -> Channel:
    """`channel` with `options` (parsed JSON) on top; null takes one away. Raises UsageError for what cannot be."""
    changes: dict[str, Any] = {}
    for name, value in options.items():
        field, read = _READERS.get(name, ("", None))
        if read is None:
            near = get_close_matches(name, OPTIONS, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(OPTIONS)}"
            raise UsageError("channel-option-unknown", f"{name[:80]!r} is no option of a channel", hint)
        changes[field] = read(name, value)
    changed = replace(channel, **changes)
    if changed.has_events and changed.policy is not Policy.QUEUED:
        raise _invalid("sse together with another policy than queued", "readers of events cannot answer")
    return check(changed)


def apply_as_guest(channel: Channel, options: Mapping[str, object]) -> Channel:
    """As `apply`, for who has no admin key: limits may only be lowered, nothing is read from the relay's machine."""
    if options.get("gate") is not None:
        raise _invalid("a gate", "its secret lies on the relay: only the relay's owner can set it")
    changed = apply(channel, options)
    for name in _LIMITS:
        before, after = getattr(channel, name), getattr(changed, name)
        if before and (after > before or not after):
            raise _invalid(f"{name} {after:g}", f"at most {before:g} without an admin key")
    return changed


def describe(channel: Channel, *, url: str, pending: int, pending_bytes: int, head: int) -> Record:
    """What is shown of a channel: options by their names, times as RFC 3339, no key."""
    canned = channel.canned
    return {
        "id": channel.id,
        "name": channel.name,
        "url": url,
        "created_at": _timestamp(channel.created_at_s),
        "expires_at": None if channel.expires_at_s is None else _timestamp(channel.expires_at_s),
        "is_paused": channel.is_paused,
        "is_revoked": channel.is_revoked,
        "received": head,
        "pending": pending,
        "pending_bytes": pending_bytes,
        "policy": channel.policy.value,
        **{name: getattr(channel, name) for name in (*_NUMBERS, *_COUNTS)},
        "gate": None
        if channel.gate is None
        else {"provider": channel.gate.provider, "secret": channel.gate.secret},
        "allow": list(channel.allowed_networks),
        "respond": None if canned is None else f"{canned.status}:{canned.body.decode()}".removesuffix(":"),
        "sse": channel.has_events,
    }


def _timestamp(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise _invalid(f"{name} {value!r:.80}", "it is a number")
    return float(value)


def _count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise _invalid(f"{name} {value!r:.80}", "it is a whole number; 0 means no limit")
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _invalid(f"{name} {value!r:.80}", "it is a text")
    return value


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _invalid(f"{name} {value!r:.80}", "it is true or false")
    return value


def _gate(name: str, value: object) -> Gate | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {"provider", "secret"}:
        raise _invalid(name, 'it is {"provider": "stripe", "secret": "env:NAME"}, or null')
    return Gate(_text("gate.provider", value["provider"]), _text("gate.secret", value["secret"]))


def _networks(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _invalid(f"{name} {value!r:.80}", "it is a list of networks")
    return tuple(_text(name, each) for each in value)


_READERS: dict[str, tuple[str, Callable[[str, object], object]]] = {
    "policy": ("policy", lambda name, value: parse_policy(_text(name, value))),
    **{name: (name, _number) for name in _NUMBERS},
    **{name: (name, _count) for name in _COUNTS},
    "gate": ("gate", _gate),
    "allow": ("allowed_networks", _networks),
    "respond": ("canned", lambda name, value: None if value is None else parse_canned(_text(name, value))),
    "sse": ("has_events", _flag),
}


def _invalid(what: str, hint: str) -> UsageError:
    return UsageError("channel-option-invalid", f"{what} cannot be used", hint)
