"""The words of webhookctl as frozen data: request, response, attempt, exchange, verdict, secret.

Knows the standard library only: no I/O, no clock, no provider, no rendering.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self, TypeAlias, final

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Header fields as on the wire: order, case and duplicates kept; values are latin-1 bytes."""


HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that are for one connection and are not passed on (RFC 9110 §7.6.1), in lower case."""


def named_in_connection(headers: Headers) -> frozenset[bytes]:
    """The further fields, in lower case, that `headers` declare hop-by-hop in a Connection field."""
    named: set[bytes] = set()
    for name, value in headers:
        if len(name) == 10 and name.lower() == b"connection":
            named.update(token.strip().lower() for token in value.split(b","))
    return frozenset(named)


def header_value(headers: Headers, name: str) -> bytes | None:
    """The first value of the header `name` (any case), or None when it is absent (b"" when it is empty)."""
    wanted = name.lower().encode("latin-1")
    for key, value in headers:
        if key.lower() == wanted:
            return value
    return None


def with_headers(headers: Headers, replacements: Headers) -> Headers:
    """`headers` with each of `replacements` put in the place of the first field of that name (any case).

    Further fields of a replaced name are dropped; names not present yet are appended in the order given.
    A name that occurs several times in `replacements` keeps all its values, in one place.
    """
    wanted: dict[bytes, list[tuple[bytes, bytes]]] = {}
    for key, value in replacements:
        wanted.setdefault(key.lower(), []).append((key, value))
    kept: list[tuple[bytes, bytes]] = []
    placed: set[bytes] = set()
    for key, value in headers:
        lower = key.lower()
        if lower not in wanted:
            kept.append((key, value))
        elif lower not in placed:
            placed.add(lower)
            kept.extend(wanted[lower])
    for lower, fields in wanted.items():
        if lower not in placed:
            kept.extend(fields)
    return tuple(kept)


@final
class Secret:
    """A secret that never shows itself: not in `repr`, `str`, formatting, pickles or comparisons' output.

    `origin` says where it came from (``env:STRIPE_WEBHOOK_SECRET``, ``development``) and may be shown.
    """

    __slots__ = ("_value", "origin")

    def __init__(self, value: str, origin: str = "given") -> None:
        self._value = value
        self.origin = origin

    def reveal(self) -> str:
        """The secret itself. Only for signing, verifying and `--print-secret`."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(****)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, exact: what was captured, or what is to be sent.

    `target` is the raw request target (``/hooks?x=1``; every character one byte of the wire, latin-1).
    """

    method: str
    target: str
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response as it came from the wire, the body de-chunked but not decompressed."""

    status: int
    reason: str
    headers: Headers
    body: bytes


class VerdictKind(StrEnum):
    """What a signature check found. The values are API (machine output, fixtures)."""

    OK = "ok"
    NO_HEADER = "no_header"  # a header the scheme needs is missing
    MALFORMED = "malformed"  # the header is there but neither written nor made in the scheme's way
    WRONG_SECRET = "wrong_secret"  # noqa: S105  (a verdict, not a password)
    BODY_CHANGED = "body_changed"
    EXPIRED = "expired"
    FUTURE = "future"
    NO_SECRET = "no_secret"  # noqa: S105  (the same)
    UNKNOWN_SCHEME = "unknown_scheme"  # no provider recognised, or it has no scheme


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a signature was refused: the `cause` (a stable name in kebab-case), and what to do about it (`fix`).

    A cause that explains was tried, and the signature came out right. `also` are causes that came along with it;
    `secret` is the origin of the secret that fits ("" when none does).
    """

    cause: str
    fix: str
    secret: str = ""
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of a signature: `kind`, the `scheme` it was judged by, and a `reason` in words (no secrets).

    `finding` says why, of every signature that was judged and refused.
    """

    kind: VerdictKind
    scheme: str | None
    reason: str
    finding: Finding | None = None

    @property
    def is_ok(self) -> bool:
        return self.kind is VerdictKind.OK

    @property
    def is_explained(self) -> bool:
        """True when trying showed why the signature was refused."""
        return self.finding is not None and self.finding.cause != "unexplained"

    @property
    def is_bad(self) -> bool:
        """True when a signature was judged and refused (not when nothing could be judged)."""
        return self.kind not in (VerdictKind.OK, VerdictKind.NO_SECRET, VerdictKind.UNKNOWN_SCHEME)


@dataclass(frozen=True, slots=True)
class Detection:
    """What a request says of itself: provider id, event type, delivery id; None where it does not say.

    `reason` names what gave the provider away (``header Stripe-Signature``), for `-v` and `--explain`.
    """

    provider: str | None = None
    event: str | None = None
    delivery_id: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL that receives: where to connect (`host` without brackets) and what the Host field says (`authority`).

    `path` is the target that every request takes there ("/webhooks?x=1"); "" keeps each request's own target.
    """

    host: str
    port: int
    is_tls: bool
    authority: str
    path: str = ""

    @property
    def origin(self) -> str:
        return f"{'https' if self.is_tls else 'http'}://{self.authority}"

    @property
    def url(self) -> str:
        return self.origin + self.path


class FailureKind(StrEnum):
    """Why an attempt got no response. The values are API."""

    REFUSED = "refused"
    DNS = "dns"
    TIMEOUT = "timeout"
    TLS = "tls"
    CLOSED = "closed"  # the connection ended before a whole response
    PROTOCOL = "protocol"  # what came back is not HTTP
    NETWORK = "network"  # any other OS error


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt got no response, in words a user can act on."""

    kind: FailureKind
    message: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One forward of a request to an endpoint: the response, or the failure. Never both, never neither."""

    url: str
    started_at_s: float  # Unix time
    latency_ms: float
    response: Response | None = None
    failure: Failure | None = None

    @property
    def status(self) -> int | None:
        return self.response.status if self.response else None

    @property
    def is_success(self) -> bool:
        """A webhook sender counts 2xx alone as delivered; a redirect is a failure to it."""
        return self.response is not None and 200 <= self.response.status < 300


@dataclass(frozen=True, slots=True)
class Relayed:
    """A delivery's way through a relay: its id there, the same over all redeliveries, and how often it was sent."""

    delivery_id: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class LargeBody:
    """A body too large to be held: its size, its SHA-256 in hex, and the file it lies in ("" once that is gone)."""

    size: int
    sha256: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Capture:
    """A request as the listener took it in: when (Unix time), from whom (``127.0.0.1:50312``), over TLS or not.

    `url` is the whole URL that the sender called, where the way here changed host or path (a relay); "" where the
    request itself tells it. With a `large_body` the request's own body is empty.
    """

    request: Request
    received_at_s: float
    peer: str
    is_tls: bool = False
    http_version: str = "1.1"
    url: str = ""
    relayed: Relayed | None = None
    large_body: LargeBody | None = None

    @property
    def body_bytes(self) -> int:
        """The size of the body, held or not."""
        return self.large_body.size if self.large_body else len(self.request.body)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A captured request with what was found out about it and its attempts, oldest first. `id` counts from 1."""

    id: int
    capture: Capture
    detection: Detection
    verdict: Verdict
    duplicate_of: int | None = None
    attempts: tuple[Attempt, ...] = field(default=())

    def with_attempts(self, attempts: tuple[Attempt, ...]) -> Self:
        return type(self)(self.id, self.capture, self.detection, self.verdict, self.duplicate_of, attempts)
