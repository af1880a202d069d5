"""The tables of the signing engine: primitives, key derivations, encodings; a scheme names one of each.

Knows bytes only: no scheme, no header, no request. A new primitive is one row (asymmetric ones import lazily).
"""

import hashlib
import hmac
from base64 import b64encode, urlsafe_b64encode
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from typing import TypeAlias

Primitive: TypeAlias = Callable[[bytes, bytes], bytes]
"""From key and canonical bytes to the raw signature."""


def _hmac_sha256(key: bytes, canonical: bytes) -> bytes:
    return hmac.digest(key, canonical, "sha256")


def _hmac_sha1(key: bytes, canonical: bytes) -> bytes:
    return hmac.digest(key, canonical, "sha1")


def _hmac_sha512(key: bytes, canonical: bytes) -> bytes:
    return hmac.digest(key, canonical, "sha512")


def _sha256(_key: bytes, canonical: bytes) -> bytes:
    return hashlib.sha256(canonical).digest()


def _sha1(_key: bytes, canonical: bytes) -> bytes:
    return hashlib.sha1(canonical, usedforsecurity=False).digest()


def _token(key: bytes, _canonical: bytes) -> bytes:
    return key


PRIMITIVES: Mapping[str, Primitive] = {
    "hmac-sha256": _hmac_sha256,
    "hmac-sha1": _hmac_sha1,
    "hmac-sha512": _hmac_sha512,
    "sha256": _sha256,  # plain digests: the template itself holds the {secret}
    "sha1": _sha1,
    "token": _token,  # the secret itself is sent
}


def _from_base64(text: bytes) -> bytes:
    return a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)


def _from_hex(text: bytes) -> bytes:
    return bytes.fromhex(text.decode("ascii"))


def _as_shown(text: bytes) -> bytes:
    return text


DERIVATIONS: Mapping[str, Callable[[bytes], bytes]] = {
    "utf8": _as_shown,
    "base64": _from_base64,
    "hex": _from_hex,
}
"""From the secret's text, prefixes taken off, to the key; a ValueError when the text is not in that form."""


def _hex(raw: bytes) -> bytes:
    return raw.hex().encode("ascii")


def _upper_hex(raw: bytes) -> bytes:
    return raw.hex().upper().encode("ascii")


def _base64url(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")


ENCODINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "hex": _hex,
    "upper-hex": _upper_hex,
    "base64": b64encode,
    "base64url": _base64url,
    "raw": _as_shown,
}
"""From the raw signature to the bytes that stand in the header."""


def derive_key(secret: str, *, derivation: str, prefixes: tuple[str, ...]) -> bytes:
    """The key bytes of `secret`: each of `prefixes` taken off in turn where it is there, then the derivation.

    Bytes of an environment variable that are not UTF-8 come through as they were (surrogateescape).
    Raises ValueError when the text is not in the derivation's form, or when nothing is left of it.
    """
    for prefix in prefixes:
        secret = secret.removeprefix(prefix)
    key = DERIVATIONS[derivation](secret.encode("utf-8", "surrogateescape"))
    if not key:
        raise ValueError("an empty secret")
    return key
