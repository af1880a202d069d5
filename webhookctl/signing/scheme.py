"""A provider's signing scheme as frozen data.

Knows nothing of files, requests, secrets or cryptography.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from webhookctl.signing.place import Place, Render, Rule, Template

SENT_SLOTS = ("id", "nonce", "ts")  # the engine makes them, requests carry them


class Coverage(StrEnum):
    """How much of a body its signature covers."""

    BYTES = "bytes"  # every byte
    MEANING = "meaning"  # what it says, not how it is written
    PARTS = "parts"  # some of its fields
    NONE = "none"


class Element(NamedTuple):
    """One item of a header's value: `prefix`, a slot, `suffix`.

    `position` is None where a literal tells the item from the others, else its place in the list (from 0).
    `is_claim`: the slot can be computed, so that what the request says of it can be checked.
    """

    prefix: bytes
    slot: str
    suffix: bytes
    position: int | None
    is_claim: bool = False


@dataclass(frozen=True, slots=True)
class HeaderTemplate:
    """One header of a scheme, or with a `place` one field of the body or the query.

    `name` may end in ``{n}`` (numbered headers); of a field it is the place as written. `separator` splits a list
    value, `rotation` such lists. An optional one is read when it is there, and never written. `is_number`: a field
    that is not there yet becomes a number in JSON. `is_repeated`: its list may hold a signature of each of several
    secrets. `whole` is the slot that is sent and fills the value, "" where there is more to it.
    """

    name: str
    wire_name: bytes  # as it is sent, the first number in place of {n}
    value: Template
    separator: bytes
    elements: tuple[Element, ...]
    is_optional: bool
    last: int = 0  # the highest position of its elements
    rotation: bytes = b""
    place: Place | None = None
    is_number: bool = False
    is_repeated: bool = False
    whole: str = ""

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
class FieldRecognition:
    """A place in a body that gives a provider away, and how its value must begin ("" = any value)."""

    place: Place
    prefix: str
    text: str


@dataclass(frozen=True, slots=True)
class DetectionRules:
    """How a provider's requests are recognised (any one header; the lowest `rank` wins) and read (first rule).

    `fields` are places in the body; all of them together tell the provider where no header does.
    """

    headers: tuple[Recognition, ...] = ()
    fields: tuple[FieldRecognition, ...] = ()
    rank: int = 10
    event: tuple[Rule, ...] = ()
    delivery_id: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """What the provider does with an answer: its time limit in seconds, its retries in words, and who says so."""

    timeout_s: float | None = None
    retries: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Scheme:
    """A provider's signing scheme; `scheme_file` reads it from TOML. Each is equal to itself alone.

    `template` gives the canonical bytes that `algorithm` signs. Of `keys` (derivations) the first one signs
    and each is tried when verifying, as are `other_algorithms` and `other_templates`. `values` are the scheme's own
    slots with what is sent for them; where a header carries such a slot, its value counts when verifying.
    `key_parts` are slots whose values stand before the key in the secret's text, each with a colon after it.
    `claims` are those of a web token, by name.
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
    verified_with: tuple[str, ...] = ()  # `make test-oracles` repeats each of these
    verified_once: tuple[str, ...] = ()  # seen to accept it, not run again
    source: str = ""
    note: str = ""
    values: Mapping[str, bytes] = field(default_factory=dict)
    headers_by_name: Mapping[bytes, HeaderTemplate] = field(default_factory=dict, repr=False)
    # Name and value of the headers that are not optional.
    sent: tuple[tuple[bytes, Render], ...] = field(default=(), repr=False)
    header_slots: tuple[str, ...] = ()  # slots of `template` that are read back from headers and fields
    other_algorithms: tuple[str, ...] = ()
    other_templates: tuple[Template, ...] = ()
    key_parts: tuple[str, ...] = ()
    public_key: str = "pem"  # how the provider shows a public key
    fields: tuple[HeaderTemplate, ...] = ()
    claims: tuple[tuple[str, Template], ...] = ()
    computed: tuple[str, ...] = ()  # slots of the canonical templates that are computed or stand in the body
    shown_computed: tuple[str, ...] = ()  # such slots of headers
    coverage: Coverage = Coverage.NONE
    needs_url: bool = False  # the public URL is needed to verify
    needs_target: bool = False  # the URL or a part of it is needed to sign
    needs_line: bool = True  # method, URL or path may be needed, signing or verifying
    needs_pair: bool = False  # its keys are halves of pairs: no shared secret will do
    is_web_token: bool = False
    is_signed: bool = True  # False for a provider that signs nothing and sends no token
    is_plain: bool = False  # one shared-key signature of one template, from headers and the body's bytes

    @property
    def is_verified(self) -> bool:
        """True when code that is not ours accepted such a signature (`verified_with` says which)."""
        return self.evidence == "verified"

    @property
    def covers_body(self) -> bool:
        """False when a body can be changed without breaking the signature."""
        return self.coverage in (Coverage.BYTES, Coverage.MEANING)

    @property
    def signature_names(self) -> tuple[str, ...]:
        """Names of the headers that hold a signature: what redaction takes out and replay makes anew."""
        return tuple(header.name for header in self.headers if header.has_signature)
