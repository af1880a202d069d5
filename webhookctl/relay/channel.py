"""A channel: one public URL on a relay, its key and its options; made, checked, and written as text.

Pure: time and random bytes are passed in. Must not know where channels are kept, nor sockets.
"""

import json
import re
from base64 import b32encode, b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_network
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from webhookctl.errors import UsageError
from webhookctl.model import Headers, Response

RandomBytes: TypeAlias = Callable[[int], bytes]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_KEY = re.compile(r"wck_([A-Za-z0-9_-]{22})_([A-Za-z0-9_-]{22})")
_ID = re.compile(r"[a-z2-7]{26}")
_NO_HASH = bytes(32)
_MAX_ALLOWED_NETWORKS = 256
_MAX_CANNED_BYTES = 16 * 1024


class Policy(StrEnum):
    """What the sender is told when the app has not answered by the deadline. The values are API."""

    QUEUED = "queued"  # 202: it is stored and will be delivered
    UNAVAILABLE = "unavailable"  # 503 and Retry-After
    HOLD = "hold"  # nothing: the sender waits until the app answers, or leaves


@dataclass(frozen=True, slots=True)
class Gate:
    """Only deliveries that `provider` signed are taken in. `secret` is a reference (env:NAME, file:PATH)."""

    provider: str
    secret: str


@dataclass(frozen=True, slots=True)
class Channel:
    """One public URL on a relay. Times in seconds, sizes in bytes; 0 for a limit means none.

    `canned` answers every sender at once, whatever the app says later. While `is_paused`, deliveries are taken in
    and answered by the policy, and none is sent to a client. `has_events` lets everybody who knows the URL read
    deliveries as server-sent events. `expires_at_s` is set for channels without an owner. `key_hash` is the SHA-256
    of the key's secret half, b"" once the key is revoked.
    """

    id: str
    name: str
    key_id: str
    key_hash: bytes
    created_at_s: float
    policy: Policy = Policy.QUEUED
    deadline_s: float = 10.0
    retention_s: float = 7 * 86_400.0
    max_pending: int = 10_000
    max_pending_bytes: int = 256 * 1024 * 1024
    max_body_bytes: int = 32 * 1024 * 1024
    rate_per_s: float = 0.0
    burst: int = 0  # requests at once above the rate; 0 takes twice the rate
    gate: Gate | None = None
    allowed_networks: tuple[str, ...] = ()
    canned: Response | None = None
    is_paused: bool = False
    has_events: bool = False
    expires_at_s: float | None = None
    creator: str = ""  # address of who made a channel without an owner

    @property
    def is_revoked(self) -> bool:
        return not self.key_hash


def new_channel(name: str, *, now_s: float, random_bytes: RandomBytes) -> tuple[Channel, str]:
    """A channel with default options, and its key, which is not kept. Raises UsageError `channel-name-invalid`.

    An empty `name` takes a part of the id.
    """
    id = b32encode(random_bytes(16)).decode().rstrip("=").lower()  # noqa: A001  (the field's name)
    key_id, key_hash, key = _new_key(random_bytes)
    channel = Channel(id, check_name(name or f"ch-{id[:8]}"), key_id, key_hash, now_s)
    return channel, key


def rotated(channel: Channel, *, random_bytes: RandomBytes) -> tuple[Channel, str]:
    """The channel with a new key, and that key. The old one fits no more; a revoked channel can be used again."""
    key_id, key_hash, key = _new_key(random_bytes)
    return replace(channel, key_id=key_id, key_hash=key_hash), key


def revoked(channel: Channel) -> Channel:
    """The channel without a key that fits: nobody can listen until it is rotated."""
    return replace(channel, key_hash=b"")


def key_id_of(key: str) -> str | None:
    """The half of a key that finds its channel; None for what is no key."""
    found = _KEY.fullmatch(key)
    return found[1] if found else None


def fits(channel: Channel | None, key: str) -> bool:
    """Whether `key` opens `channel`, in the same time whether there is a channel or not."""
    found = _KEY.fullmatch(key)
    secret = found[2] if found else ""
    known = channel.key_hash if channel is not None and channel.key_hash else _NO_HASH
    is_same = compare_digest(sha256(secret.encode()).digest(), known)
    return is_same and found is not None and channel is not None and found[1] == channel.key_id


def is_id(text: str) -> bool:
    """Whether `text` has the form of a channel id: 26 characters of base32 in lower case."""
    return _ID.fullmatch(text) is not None


def url_of(channel: Channel, *, public_url: str, domain: str = "") -> str:
    """The public URL of `channel`, without a slash at its end: a host of its own when there is a `domain`."""
    if not domain:
        return f"{public_url.rstrip('/')}/{channel.id}"
    parts = urlsplit(public_url)
    port = f":{parts.port}" if parts.port and ":" not in domain else ""
    return f"{parts.scheme}://{channel.id}.{domain}{port}"


def check_name(name: str) -> str:
    """`name` itself. Raises UsageError `channel-name-invalid`."""
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            "channel-name-invalid",
            f"{name[:80]!r} is no channel name",
            "up to 63 lower-case letters, digits and hyphens, a letter or digit first: my-app",
        )
    return name


def check(channel: Channel) -> Channel:
    """`channel` itself, or with its networks in their usual form. Raises UsageError for options that cannot be."""
    check_name(channel.name)
    for option in ("deadline_s", "retention_s"):
        value = getattr(channel, option)
        if not 0 < value <= 366 * 86_400:
            raise _invalid(f"{option.removesuffix('_s')} {value:g} s", "it is above 0 and at most a year")
    for option in ("max_pending", "max_pending_bytes", "max_body_bytes", "rate_per_s", "burst"):
        if getattr(channel, option) < 0:
            raise _invalid(f"{option} {getattr(channel, option)}", "0 means no limit")
    if channel.canned is not None and len(channel.canned.body) > _MAX_CANNED_BYTES:
        raise _invalid("a canned body of that size", f"it has at most {_MAX_CANNED_BYTES} bytes")
    if channel.gate is not None and not channel.gate.secret.startswith(("env:", "file:")):
        raise UsageError(
            "gate-secret-invalid",
            "the secret of a gate is kept by reference, never itself",
            "--gate-secret env:NAME or file:PATH; the relay reads it from its own environment or data folder",
        )
    return replace(channel, allowed_networks=check_networks(channel.allowed_networks))


def check_networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Networks such as 10.0.0.0/8, or single addresses, in their usual form. Raises UsageError `network-invalid`."""
    if len(texts) > _MAX_ALLOWED_NETWORKS:
        raise _invalid(f"{len(texts)} networks", f"at most {_MAX_ALLOWED_NETWORKS}")
    found = []
    for text in texts:
        try:
            found.append(str(ip_network(text.strip(), strict=False)))
        except ValueError as error:
            raise UsageError(
                "network-invalid",
                f"{text[:80]!r} is no network",
                "write 192.0.2.0/24, 2001:db8::/32 or an address",
            ) from error
    return tuple(found)


def parse_policy(text: str) -> Policy:
    """The policy named `text`. Raises UsageError `policy-invalid` with a suggestion."""
    try:
        return Policy(text)
    except ValueError:
        near = get_close_matches(text, list(Policy), 1)
        hint = f"did you mean {near[0]}?" if near else "there is queued, unavailable and hold"
        raise UsageError("policy-invalid", f"{text[:80]!r} is no policy", hint) from None


def parse_canned(text: str) -> Response:
    """The answer in ``204``, ``200:ok``, ``200:{"ok":true}``; JSON is recognised. Raises `respond-invalid`."""
    status_text, _, body_text = text.partition(":")
    if not (status_text.isascii() and status_text.isdigit() and 200 <= int(status_text) <= 599):
        raise UsageError(
            "respond-invalid", f"{text[:80]!r} is no answer", "STATUS or STATUS:BODY, for example 200:ok"
        )
    body = body_text.encode()
    headers: Headers = ()
    if body:
        kind = b"application/json" if _is_json(body_text) else b"text/plain; charset=utf-8"
        headers = ((b"Content-Type", kind),)
    return Response(int(status_text), "", headers, body)


def to_text(channel: Channel) -> str:
    """The channel as JSON, for a store. `from_text` gives it back."""
    record: dict[str, Any] = asdict(channel) | {"key_hash": channel.key_hash.hex(), "canned": None}
    if channel.canned is not None:
        record["canned"] = {
            "status": channel.canned.status,
            "reason": channel.canned.reason,
            "headers": [
                [name.decode("latin-1"), value.decode("latin-1")] for name, value in channel.canned.headers
            ],
            "body": b64encode(channel.canned.body).decode(),
        }
    return json.dumps(record, separators=(",", ":"))


def from_text(text: str) -> Channel:
    """The channel that `to_text` wrote. What a newer version added is left out, what an older one lacks is default."""
    record: dict[str, Any] = json.loads(text)
    known = {each.name for each in fields(Channel)}
    values = {name: value for name, value in record.items() if name in known}
    values["key_hash"] = bytes.fromhex(values["key_hash"])
    values["policy"] = Policy(values.get("policy", Policy.QUEUED))
    values["allowed_networks"] = tuple(values.get("allowed_networks", ()))
    if values.get("gate"):
        values["gate"] = Gate(**values["gate"])
    if canned := values.get("canned"):
        headers = tuple(
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in canned["headers"]
        )
        values["canned"] = Response(canned["status"], canned["reason"], headers, b64decode(canned["body"]))
    return Channel(**values)


def _new_key(random_bytes: RandomBytes) -> tuple[str, bytes, str]:
    key_id, secret = (urlsafe_b64encode(random_bytes(16)).decode().rstrip("=") for _ in range(2))
    return key_id, sha256(secret.encode()).digest(), f"wck_{key_id}_{secret}"


def _invalid(what: str, hint: str) -> UsageError:
    return UsageError("channel-option-invalid", f"{what} cannot be used", hint)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return text.lstrip()[:1] in ("{", "[")
