"""A provider's signing scheme as frozen data.

Knows nothing of files, requests, secrets or cryptography.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from webhookctl.signing.place import Place, Rule, Template


@dataclass(frozen=True, slots=True)
class Element:
    """One item of a header's value: `prefix`, a slot, `suffix`.

    `position` is None where a literal tells the item from the others, else its place in the list (from 0).
    """

    prefix: bytes
    slot: str
    suffix: bytes
    position: int | None


@dataclass(frozen=True, slots=True)
class HeaderTemplate:
    """One header of a scheme. `name` may end in ``{n}`` (numbered headers); `separator` splits a list value.

    An optional header is read when it is there, and never written.
    """

    name: str
    value: Template
    separator: bytes
    elements: tuple[Element, ...]
    is_optional: bool

    @property
    def has_signature(self) -> bool:
        return "sig" in self.value.slots


@dataclass(frozen=True, slots=True)
class TimestampPolicy:
    """How old a delivery may be: `unit` s, ms or iso8601; no `tolerance_s` means that no age is checked.

    `is_future_refused` is False for providers whose own SDK looks at the past alone. `place` is None when the
    timestamp stands in a header (slot ``{ts}``), else where it stands in the body.
    """

    unit: str
    tolerance_s: float | None
    is_future_refused: bool
    place: Place | None


@dataclass(frozen=True, slots=True)
class Recognition:
    """A header that gives a provider away: its lower-case `name`, and how its value must begin (b"" = anyhow)."""

    name: bytes
    prefix: bytes
    text: str


@dataclass(frozen=True, slots=True)
class DetectionRules:
    """How a provider's requests are recognised (any one header; the lowest `rank` wins) and read (first rule)."""

    headers: tuple[Recognition, ...] = ()
    rank: int = 10
    event: tuple[Rule, ...] = ()
    delivery_id: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """What the provider does with an answer: its time limit in seconds, its retries in words, and who says so."""

    timeout_s: float | None = None
    retries: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Scheme:
    """A provider's signing scheme; `scheme_file` reads it from TOML.

    `template` gives the canonical bytes that `algorithm` signs. Of `keys` (derivations) the first one signs
    and each is tried when verifying. `values` are the scheme's own slots with what is sent for them; where a
    header carries such a slot, its value counts when verifying.
    """

    id: str
    name: str
    origin: str
    template: Template
    algorithm: str
    keys: tuple[str, ...]
    key_prefixes: tuple[str, ...]
    encoding: str
    headers: tuple[HeaderTemplate, ...]
    timestamp: TimestampPolicy | None
    detection: DetectionRules
    delivery: DeliveryPolicy
    secret_variables: tuple[str, ...] = ()
    secret_form: str = ""
    secret_fields: tuple[str, ...] = ()  # dotted body paths that hold secrets, for redaction
    evidence: str = "unverified"
    verified_with: tuple[str, ...] = ()
    source: str = ""
    note: str = ""
    values: Mapping[str, bytes] = field(default_factory=dict, hash=False)
    headers_by_name: Mapping[bytes, HeaderTemplate] = field(default_factory=dict, hash=False, repr=False)
    header_slots: tuple[str, ...] = ()  # slots of `template` that are read back from headers

    @property
    def is_verified(self) -> bool:
        """True when code that is not ours accepted such a signature (`verified_with` says which)."""
        return self.evidence == "verified"

    @property
    def signature_names(self) -> tuple[str, ...]:
        """Names of the headers that hold a signature: what redaction takes out and replay makes anew."""
        return tuple(header.name for header in self.headers if header.has_signature)
