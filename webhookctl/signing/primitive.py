"""The tables of the signing engine: primitives, key derivations, encodings; a scheme names one of each.

Knows bytes only: no scheme, no header, no request. A new primitive is one row; key pairs are in `asymmetric`.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from binascii import a2b_base64, b2a_base64, hexlify
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

Primitive: TypeAlias = Callable[[bytes, bytes], bytes]
"""From key and canonical bytes to the raw signature."""


def _hmac(digest: str, key: bytes, canonical: bytes) -> bytes:
    return hmac.digest(key, canonical, digest)


def _sha512(_key: bytes, canonical: bytes) -> bytes:
    return hashlib.sha512(canonical).digest()


def _md5(_key: bytes, canonical: bytes) -> bytes:
    return hashlib.md5(canonical, usedforsecurity=False).digest()


def _sha256(_key: bytes, canonical: bytes) -> bytes:
    return hashlib.sha256(canonical).digest()


def _sha1(_key: bytes, canonical: bytes) -> bytes:
    return hashlib.sha1(canonical, usedforsecurity=False).digest()


def _token(key: bytes, _canonical: bytes) -> bytes:
    return key


PRIMITIVES: Mapping[str, Primitive] = {
    "hmac-sha256": partial(_hmac, "sha256"),
    "hmac-sha1": partial(_hmac, "sha1"),
    "hmac-sha384": partial(_hmac, "sha384"),
    "hmac-sha512": partial(_hmac, "sha512"),
    "hmac-md5": partial(_hmac, "md5"),
    "sha256": _sha256,  # plain digests: the template itself holds the {secret}
    "sha512": _sha512,
    "sha1": _sha1,
    "md5": _md5,
    "token": _token,  # the secret itself is sent
}


_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


def set_up(algorithm: str, key: bytes) -> Callable[[bytes], bytes]:
    """`PRIMITIVES[algorithm]` for one key: that of an HMAC (RFC 2104) costs as much as 1 KiB, and is set up once."""
    digest = algorithm.removeprefix("hmac-")
    if digest == algorithm:
        return partial(PRIMITIVES[algorithm], key)
    inner, outer = hashlib.new(digest), hashlib.new(digest)
    block = key if len(key) <= inner.block_size else hashlib.new(digest, key).digest()
    block = block.ljust(inner.block_size, b"\0")
    inner.update(block.translate(_INNER_PAD))
    outer.update(block.translate(_OUTER_PAD))
    begun, ended = inner.copy, outer.copy

    def make(canonical: bytes) -> bytes:
        first, last = begun(), ended()
        first.update(canonical)
        last.update(first.digest())
        return last.digest()

    return make


def _from_base64(text: bytes) -> bytes:
    return a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)


def _from_base64url(text: bytes) -> bytes:
    return _from_base64(text.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/")))


def _from_hex(text: bytes) -> bytes:
    return bytes.fromhex(text.decode("ascii"))


def _as_shown(text: bytes) -> bytes:
    return text


def _after_underscore(text: bytes) -> bytes:
    return _from_base64(text.partition(b"_")[2] or text)


def _digest_sha1(text: bytes) -> bytes:
    return _sha1(b"", text)


def _digest_sha256(text: bytes) -> bytes:
    return _sha256(b"", text)


WHOLE = "whole"
WHEN_PREFIXED = "base64-when-prefixed"

DERIVATIONS: Mapping[str, Callable[[bytes], bytes]] = {
    "utf8": _as_shown,
    "base64": _from_base64,
    "base64url": _from_base64url,
    "hex": _from_hex,
    "sha1": _digest_sha1,
    "sha256": _digest_sha256,
    "base64-after-underscore": _after_underscore,
    WHOLE: _as_shown,  # no prefix is taken off
    WHEN_PREFIXED: _from_base64,  # as text when it has none of the prefixes
}
"""From the secret's text, prefixes taken off, to the key; a ValueError when the text is not in that form."""


def _upper_hex(raw: bytes) -> bytes:
    return hexlify(raw).upper()


def _base64(raw: bytes) -> bytes:
    return b2a_base64(raw, newline=False)


def _base64url(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")


ENCODINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "hex": hexlify,
    "upper-hex": _upper_hex,
    "base64": _base64,
    "base64url": _base64url,
    "base64url-padded": urlsafe_b64encode,
    "raw": _as_shown,
}
"""From the raw signature to the bytes that stand in the header."""

DECODINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "hex": _from_hex,
    "upper-hex": _from_hex,
    "base64": _from_base64,
    "base64url": _from_base64url,
    "base64url-padded": _from_base64url,
    "raw": _as_shown,
}
"""The ways back from `ENCODINGS`; a ValueError when the bytes are not in that form."""


def derive_key(secret: str, derivation: str, prefixes: tuple[str, ...]) -> bytes:
    """The key bytes of `secret`: each of `prefixes` taken off in turn where it is there, then the derivation.

    A ``*`` in a prefix stands for letters, digits and underscores. Bytes of an environment variable that are not
    UTF-8 come through as they were (surrogateescape). Raises ValueError when the text is not in the derivation's
    form, or when nothing is left of it.
    """
    text = secret
    if derivation != WHOLE:
        for prefix in prefixes:
            text = _without(text, prefix)
    if derivation == WHEN_PREFIXED and text == secret:
        derivation = WHOLE
    key = DERIVATIONS[derivation](text.encode("utf-8", "surrogateescape"))
    if not key:
        raise ValueError("an empty secret")
    return key


def _without(text: str, prefix: str) -> str:
    if "*" not in prefix:
        return text.removeprefix(prefix)
    return re.sub(r"\A" + re.escape(prefix).replace(r"\*", r"\w+"), "", text, count=1)
