"""What a request presents of a scheme (slots and signatures read back from its headers), and which key fits it.

Must not know the clock or verdicts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hmac import compare_digest

from webhookctl.model import Headers, Secret
from webhookctl.signing.primitive import ENCODINGS, PRIMITIVES, derive_key
from webhookctl.signing.scheme import HeaderTemplate, Scheme

MAX_SIGNATURES = 64  # a rotation has two or three; more are an attempt to keep us busy

Key = tuple[int, bytes]
"""The number of a secret, from 1, and a key made from it."""


@dataclass(slots=True)
class Presented:
    """`values` by slot, `signatures` as encoded in headers, lower-case `names` of the scheme's headers found."""

    values: dict[str, bytes] = field(default_factory=dict)
    signatures: list[bytes] = field(default_factory=list)
    names: set[bytes] = field(default_factory=set)


def read(scheme: Scheme, headers: Headers) -> Presented:
    """What `headers` present of `scheme`; of a header that occurs several times the first counts."""
    presented = Presented()
    by_name = scheme.headers_by_name
    for key, value in headers:
        name = key.lower()
        template = by_name.get(name)
        if template is not None and name not in presented.names:
            presented.names.add(name)
            _read_value(template, value, presented)
    for slot, default in scheme.values.items():
        presented.values.setdefault(slot, default)
    return presented


def _read_value(template: HeaderTemplate, value: bytes, presented: Presented) -> None:
    items = value.split(template.separator) if template.separator else (value,)
    last = len(template.elements) - 1
    for position, item in enumerate(items):
        text = item.strip()
        for element in template.elements:
            if element.position is not None and element.position != min(position, last):
                continue
            if not (text.startswith(element.prefix) and text.endswith(element.suffix)):
                continue
            found = text[len(element.prefix) : len(text) - len(element.suffix)]
            if found and element.slot != "sig":
                presented.values.setdefault(element.slot, found)
            elif found and len(presented.signatures) < MAX_SIGNATURES:
                presented.signatures.append(found)
            break


def keys_of(scheme: Scheme, secrets: Sequence[Secret]) -> tuple[Key, ...]:
    """Every key that the scheme's derivations make of `secrets`; a secret that is not in their form makes none."""
    keys = []
    for number, secret in enumerate(secrets, start=1):
        for derivation in scheme.keys:
            try:
                key = derive_key(secret.reveal(), derivation=derivation, prefixes=scheme.key_prefixes)
            except ValueError:
                continue
            keys.append((number, key))
    return tuple(keys)


def signature_of(scheme: Scheme, key: bytes, values: dict[str, bytes]) -> bytes:
    """The signature of `values` by `key` as it stands in a header."""
    if "secret" in scheme.template.slots:
        values = {**values, "secret": key}
    return ENCODINGS[scheme.encoding](PRIMITIVES[scheme.algorithm](key, scheme.template.render(values)))


def fitting_secret(scheme: Scheme, keys: Sequence[Key], presented: Presented) -> int | None:
    """The number of the first secret of which a key made one of the presented signatures, or None."""
    for number, key in keys:
        expected = signature_of(scheme, key, presented.values)
        for signature in presented.signatures:
            if compare_digest(expected, signature):
                return number
    return None
