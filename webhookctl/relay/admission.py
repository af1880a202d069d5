"""Who gets in at the door of a channel: trusted proxies, allow-list, rates, quotas, the signature gate.

Values in, a Refusal or None out; time is passed in. Must not know sockets or the store.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from math import ceil
from typing import TypeAlias

from webhookctl import signing
from webhookctl.errors import WebhookctlError
from webhookctl.model import Headers, Request, Response, Secret, VerdictKind
from webhookctl.relay.channel import Channel
from webhookctl.signing import Scheme

_Network: TypeAlias = IPv4Network | IPv6Network
_Address: TypeAlias = IPv4Address | IPv6Address

_QUOTA_RETRY_S = 60
_MAX_BUCKETS = 20_000


class Reason(StrEnum):
    """Why a request was refused. The values are API (metrics, the relay's log)."""

    NETWORK = "network"  # 403: not on the channel's allow-list
    RATE = "rate"  # 429
    QUOTA = "quota"  # 429: too many deliveries or bytes pending
    TOO_LARGE = "too_large"  # 413
    SIGNATURE = "signature"  # 401: forged, or not signed
    GATE = "gate"  # 503: the gate's secret cannot be read, so nothing can be judged
    UNKNOWN = "unknown"  # 404: there is no such channel, or no more: revoked, or its time is over
    STORAGE = "storage"  # 503, 507: the disk is full or refuses
    INVALID = (
        "invalid"  # any other: no HTTP that a channel takes, or not whole in time, or the relay is stopping
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the sender is answered, and why; `detail` is for the relay's log alone."""

    response: Response
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who sent a request, as far as proxies can be believed: its address without a port, and whether by TLS."""

    address: str
    is_tls: bool


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second, and so many at once."""

    per_s: float
    burst: float


class Buckets:
    """Token buckets by key, in bounded memory: the ones that were not used for longest are forgotten (full)."""

    def __init__(self, max_keys: int = _MAX_BUCKETS) -> None:
        self._max_keys = max_keys
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key: (tokens, at_s)

    def wait_s(self, key: str, rate: Rate, now_s: float, *, is_taken: bool = True) -> float:
        """Take a token: 0.0 when there was one, else seconds until there will be. `is_taken=False` only looks."""
        tokens, at_s = self._levels.pop(key, (rate.burst, now_s))
        tokens = min(rate.burst, tokens + max(0.0, now_s - at_s) * rate.per_s)
        is_enough = tokens >= 1
        self._levels[key] = (tokens - 1 if is_enough and is_taken else tokens, now_s)
        if len(self._levels) > self._max_keys:
            self._levels.popitem(last=False)
        return 0.0 if is_enough else (1 - tokens) / rate.per_s

    def __len__(self) -> int:
        return len(self._levels)


class Admission:
    """The door of all channels of one relay.

    `read_secret` turns a gate's reference into its secret, `scheme` a provider's id into its signing scheme; both
    may raise WebhookctlError. `address_rate` limits each sender's address over all channels.
    """

    def __init__(
        self,
        *,
        read_secret: Callable[[str], Secret],
        scheme: Callable[[str], Scheme] = signing.load,
        trusted_proxies: tuple[str, ...] = (),
        address_rate: Rate | None = None,
    ) -> None:
        self._read_secret = read_secret
        self._scheme = scheme
        self._trusted = _networks(trusted_proxies)
        self._address_rate = address_rate
        self._by_address = Buckets()
        self._by_channel = Buckets()

    def origin(self, peer: str, *, is_tls: bool, headers: Headers) -> Origin:
        """Who sent this: the `peer` address, or what proxies that are trusted say in X-Forwarded-For and -Proto."""
        address = _address(peer)
        if not self._is_trusted(address):
            return Origin(str(address) if address else peer, is_tls)
        hops = [hop.strip() for hop in _joined(headers, b"x-forwarded-for").split(",") if hop.strip()]
        while hops:
            hop = _address(hops.pop())
            if hop is None:  # whatever stands before it was not written by a proxy of ours either
                break
            address = hop
            if not self._is_trusted(hop):
                break
        scheme = _joined(headers, b"x-forwarded-proto").rpartition(",")[2].strip().lower()
        return Origin(str(address), scheme == "https" if scheme else is_tls)

    def check(
        self,
        channel: Channel | None,
        *,
        address: str,
        now_s: float,
        body_bytes: int | None,
        pending: int,
        pending_bytes: int,
    ) -> Refusal | None:
        """Before the body is read: None, or the refusal. `body_bytes` is the Content-Length, None when chunked.

        In this order: the address's rate 429, unknown (`channel` is None), revoked or expired 404, allow-list 403,
        the channel's rate 429, size 413, quota 429. 429 and 503 carry Retry-After.
        """
        if channel is None or not is_open(channel, now_s=now_s):
            return self.refuse_unknown(address, now_s)
        wait_s = self._address_wait_s(address, now_s)
        if wait_s:
            return _too_many(wait_s, address)
        if channel.allowed_networks and not _contains(_networks(channel.allowed_networks), _address(address)):
            return Refusal(_answer(403, "this address may not send here"), Reason.NETWORK, address)
        if channel.rate_per_s:
            rate = Rate(channel.rate_per_s, channel.burst or max(1.0, 2 * channel.rate_per_s))
            wait_s = self._by_channel.wait_s(channel.id, rate, now_s)
            if wait_s:
                return _too_many(wait_s, address)
        if channel.max_body_bytes and (body_bytes or 0) > channel.max_body_bytes:
            return too_large(channel)
        is_full = 0 < channel.max_pending <= pending
        if is_full or 0 < channel.max_pending_bytes < pending_bytes + (body_bytes or 0):
            answer = _answer(429, "this channel holds as much as it may", retry_s=_QUOTA_RETRY_S)
            return Refusal(answer, Reason.QUOTA, f"{pending} deliveries, {pending_bytes} bytes")
        return None

    def refuse_unknown(self, address: str, now_s: float) -> Refusal:
        """For a path that leads to no channel: 404, or 429 when this address asks too often. Guessing counts, too."""
        wait_s = self._address_wait_s(address, now_s)
        return _too_many(wait_s, address) if wait_s else Refusal(not_found(), Reason.UNKNOWN)

    def check_signature(
        self, channel: Channel, request: Request, *, url: str, now_s: float
    ) -> Refusal | None:
        """Once the body is there, before it is stored: None when the channel has no gate or the signature is right.

        `url` is the URL the sender called. A gate that cannot judge refuses (503): it never opens by itself.
        """
        gate = channel.gate
        if gate is None:
            return None
        try:
            scheme, secret = self._scheme(gate.provider), self._read_secret(gate.secret)
        except WebhookctlError as error:
            answer = _answer(503, "this channel cannot check signatures now", retry_s=_QUOTA_RETRY_S)
            return Refusal(answer, Reason.GATE, error.message)
        verdict = signing.verify(
            scheme, (secret,), request, now_s=now_s, url=url if scheme.needs_line else ""
        )
        if verdict.kind is VerdictKind.OK:
            return None
        return Refusal(_answer(401, "the signature is missing or wrong"), Reason.SIGNATURE, verdict.reason)

    def _address_wait_s(self, address: str, now_s: float) -> float:
        if self._address_rate is None:
            return 0.0
        return self._by_address.wait_s(network_of(address), self._address_rate, now_s)

    def _is_trusted(self, address: _Address | None) -> bool:
        return address is not None and _contains(self._trusted, address)


def network_of(address: str) -> str:
    """What counts as one sender: an IPv4 address, or the /64 of an IPv6 one. Other text is its own."""
    found = _address(address)
    return (
        str(ip_network((found, 64), strict=False))
        if isinstance(found, IPv6Address)
        else str(found or address)
    )


def is_open(channel: Channel, *, now_s: float) -> bool:
    """Whether the channel takes deliveries and clients in: neither revoked nor expired."""
    return not channel.is_revoked and (channel.expires_at_s is None or now_s < channel.expires_at_s)


def too_large(channel: Channel) -> Refusal:
    """413: for a body that turns out to be too long while it is read, too."""
    text = f"the body has more than {channel.max_body_bytes} bytes"
    return Refusal(_answer(413, text), Reason.TOO_LARGE)


def not_found() -> Response:
    """The one 404 of all paths and channels that there are not, that expired or that were removed."""
    return _answer(404, "no such channel")


def _too_many(wait_s: float, address: str) -> Refusal:
    return Refusal(_answer(429, "too many requests", retry_s=wait_s), Reason.RATE, address)


def _answer(status: int, text: str, *, retry_s: float = 0.0) -> Response:
    retry: Headers = ((b"Retry-After", str(max(1, ceil(retry_s))).encode()),) if retry_s else ()
    return Response(
        status, "", ((b"Content-Type", b"text/plain; charset=utf-8"), *retry), f"{text}\n".encode()
    )


@lru_cache(maxsize=1024)
def _networks(texts: tuple[str, ...]) -> tuple[_Network, ...]:
    return tuple(ip_network(text, strict=False) for text in texts)


@lru_cache(maxsize=4096)  # a sender that keeps its connection is the same peer each time
def _address(text: str) -> _Address | None:
    """The address in ``192.0.2.1``, ``192.0.2.1:80``, ``[2001:db8::1]:80``; an IPv4 address in IPv6 is IPv4."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _contains(networks: tuple[_Network, ...], address: _Address | None) -> bool:
    return address is not None and any(address in network for network in networks)


def _joined(headers: Headers, name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in headers if key.lower() == name)
