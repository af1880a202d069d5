"""A scheme as a recipe to read: numbered steps from the request to the verdict, and what goes wrong on the way.

Must not know requests or secrets; every sentence follows from the scheme.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from webhookctl.signing.asymmetric import ALGORITHMS as PAIRS
from webhookctl.signing.rotation import max_signatures
from webhookctl.signing.scheme import Coverage, HeaderTemplate, Scheme


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to verify: `steps` as (what, how) in their order, and `traps` in whole sentences."""

    steps: tuple[tuple[str, str], ...]
    traps: tuple[str, ...]


def recipe(scheme: Scheme) -> Recipe:
    """The recipe of `scheme`; no steps for one that signs nothing."""
    if not scheme.is_signed:
        return Recipe((), (f"{scheme.name} does not sign its requests: anybody can send them.",))
    steps = (
        *(("read", _shown(header)) for header in scheme.headers),
        *(("read", f"{field.name} = {field.value.text}") for field in scheme.fields),
        ("key", _key(scheme)),
        *_signed(scheme),
        ("compare", _comparison(scheme)),
        ("time", _time(scheme)),
        ("rotation", _rotation(scheme)),
    )
    return Recipe(steps, _traps(scheme))


def _shown(header: HeaderTemplate) -> str:
    return f"{header.name}: {header.value.text}{' (may be missing)' if header.is_optional else ''}"


_KEYS: Mapping[str, str] = {
    "utf8": "the secret as text",
    "whole": "the secret as text, prefix and all",
    "base64": "the secret decoded from base64",
    "base64url": "the secret decoded from base64url",
    "hex": "the secret decoded from hex",
    "sha1": "the SHA-1 digest of the secret",
    "sha256": "the SHA-256 digest of the secret",
    "base64-after-underscore": "what follows the first underscore of the secret, decoded from base64",
    "base64-when-prefixed": "the secret decoded from base64 when it has the prefix, else as text",
}
_PUBLIC_KEYS: Mapping[str, str] = {
    "pem": "the provider's public key, in PEM",
    "hex": "the provider's public key, raw bytes in hex",
    "base64": "the provider's public key, raw bytes in base64",
    "spki": "the provider's public key, DER in base64",
    "jwks": "the provider's public key, from a JWKS by its key id",
    "certificate": "the public key of the provider's certificate",
}


_SLOTS: Mapping[str, str] = {
    "body_sha256": "the SHA-256 digest of the body, in hex",
    "body_sha256_base64": "the SHA-256 digest of the body, in base64",
    "body_crc32": "the CRC-32 of the body, in decimal",
    "jws_payload": "base64url of the time, a dot and the body in base64url",
    "json": "the body parsed, and written again without white space",
    "json_canonical": "the body parsed, and written again by RFC 8785",
    "sorted_form": "each field of the form, name and value, in the order of names, without anything between",
    "php_form": "the form without its signature, sorted by name, as PHP serialises an array",
    "sns_lines": "the name and the value of each signed member of the message, a line each, in the order of names",
    "query": "what follows the question mark of the URL",
    "query_hash": "the SHA-256 digest of method, path and sorted query",
    "url_sha256": "the SHA-256 digest of the URL, in hex",
    "host": "the host of the URL",
    "named_headers": "the headers that are listed, as name:value, with semicolons between",
    "escaped_path": "the path, percent-encoded, its query twice",
}


def _key(scheme: Scheme) -> str:
    prefixes = " and ".join(prefix for prefix in scheme.key_prefixes)
    if scheme.needs_pair:
        text = _PUBLIC_KEYS[scheme.public_key]
    elif scheme.algorithm == "token":
        return "the secret itself is sent"
    else:
        text = ", or ".join(_KEYS[key] for key in scheme.keys)
    if prefixes and scheme.keys[0] != "whole":
        text += f", without {prefixes}"
    if scheme.key_parts:
        text += f"; before it stand {', '.join(scheme.key_parts)}, each with a colon"
    return text


def _signed(scheme: Scheme) -> tuple[tuple[str, str], ...]:
    if scheme.algorithm == "token":
        return ()
    names = " or ".join((scheme.algorithm, *scheme.other_algorithms))
    if scheme.is_web_token:
        claims = ", ".join(f"{name} = {claim.text}" for name, claim in scheme.claims)
        return (("token", f"a JSON Web Token ({names}) with the claims {claims}"),)
    templates = " or ".join(one.text for one in (scheme.template, *scheme.other_templates))
    made = tuple(("where", f"{{{slot}}} is {_SLOTS[slot]}") for slot in scheme.computed if slot in _SLOTS)
    return (
        ("sign", templates.replace("\n", "\\n")),
        *made,
        ("with", names),
        ("encode", scheme.encoding),
    )


def _comparison(scheme: Scheme) -> str:
    if scheme.algorithm in PAIRS or scheme.is_web_token:
        return "let the library verify the signature; never trust an algorithm that the request names"
    return "in constant time, and with every signature that the request holds"


def _time(scheme: Scheme) -> str:
    policy = scheme.timestamp
    if policy is None:
        return "no timestamp: a replay is not refused for its age"
    if policy.tolerance_s is None:
        return f"in {policy.unit}; no age is checked"
    direction = "old, or as far ahead" if policy.is_future_refused else "old; the future is accepted"
    return f"in {policy.unit}, at most {policy.tolerance_s:g} s {direction}"


def _rotation(scheme: Scheme) -> str:
    most = max_signatures(scheme)
    if most == 1:
        return "one signature: both sides change the secret at once, or the receiver accepts two"
    return "several signatures in one header" if most > 2 else "a second signature in a header of its own"


def _traps(scheme: Scheme) -> tuple[str, ...]:
    found = []
    if scheme.coverage is Coverage.BYTES:
        found.append("Verify the raw bytes of the body, before any framework parses them.")
    elif scheme.coverage is Coverage.NONE:
        found.append("The signature does not cover the body: whoever can change it is not noticed.")
    elif scheme.coverage is Coverage.PARTS:
        found.append("The signature covers parts of the body only.")
    if scheme.needs_url:
        found.append("The public URL is signed: behind a proxy, use the one that the provider calls.")
    if "whsec_" in scheme.secret_form and scheme.keys[0] == "utf8" and not scheme.key_prefixes:
        found.append("The secret looks like base64 and is not decoded.")
    if scheme.timestamp is None and scheme.algorithm != "token":
        found.append("Remember delivery ids: nothing else tells a replay from the original.")
    if scheme.note:
        found.append(scheme.note)
    return tuple(found)
