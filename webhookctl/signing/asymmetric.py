"""Signatures by key pairs: Ed25519, ECDSA P-256, RSA PKCS #1 v1.5; keys in every form that providers show them in.

Knows bytes only. `cryptography` is imported when a scheme first needs it.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from webhookctl.signing.primitive import DECODINGS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

    PrivateKey: TypeAlias = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey
    PublicKey: TypeAlias = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

ALGORITHMS = ("ed25519", "ecdsa-p256-sha256", "rsa-sha1", "rsa-sha256", "rsa-sha512")
RAW_LENGTH = 32  # of an Ed25519 public key, and of the seed of a private one
MAX_JWKS = 20


def make_signature(algorithm: str, key: bytes, canonical: bytes) -> bytes:
    """The signature of `canonical` by the private key written in `key`; ValueError when it holds none."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

    for private in load_keys(key)[0]:
        if algorithm == "ed25519" and isinstance(private, ed25519.Ed25519PrivateKey):
            return private.sign(canonical)
        if algorithm.startswith("ecdsa") and isinstance(private, ec.EllipticCurvePrivateKey):
            return private.sign(canonical, ec.ECDSA(hashes.SHA256()))
        if algorithm.startswith("rsa") and isinstance(private, rsa.RSAPrivateKey):
            return private.sign(canonical, padding.PKCS1v15(), _hash(algorithm))
    raise ValueError(f"no private key for {algorithm}")


def is_signature(algorithm: str, key: bytes, signature: bytes, canonical: bytes) -> bool:
    """True when the public key in `key`, or the one of its private key, proves `signature` of `canonical`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

    for public in load_keys(key)[1]:
        try:
            if algorithm == "ed25519" and isinstance(public, ed25519.Ed25519PublicKey):
                public.verify(signature, canonical)
            elif algorithm.startswith("ecdsa") and isinstance(public, ec.EllipticCurvePublicKey):
                public.verify(signature, canonical, ec.ECDSA(hashes.SHA256()))
            elif algorithm.startswith("rsa") and isinstance(public, rsa.RSAPublicKey):
                public.verify(signature, canonical, padding.PKCS1v15(), _hash(algorithm))
            else:
                continue
        except InvalidSignature:
            continue
        return True
    return False


def _hash(algorithm: str) -> Any:  # Any: a class of cryptography, which is not imported here
    from cryptography.hazmat.primitives import hashes

    by_name: Mapping[str, Any] = {
        "rsa-sha1": hashes.SHA1,
        "rsa-sha256": hashes.SHA256,
        "rsa-sha512": hashes.SHA512,
    }
    return by_name[algorithm]()


@lru_cache(maxsize=32)
def load_keys(key: bytes) -> "tuple[tuple[PrivateKey, ...], tuple[PublicKey, ...]]":
    """The private keys and the public keys written in `key`; 32 raw bytes may be either kind. ValueError for none.

    PEM (key or certificate; a backslash and an n count as a line end), DER, SPKI or raw in hex or base64, JWK, JWKS.
    """
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        found = list(_read(key.strip()))
    except (ValueError, TypeError, KeyError, UnsupportedAlgorithm, RecursionError):
        # Nothing of the parser's words: they may quote the key.
        raise ValueError("no key in a known form") from None
    private = tuple(one for one in found if hasattr(one, "public_key"))
    public = tuple(one.public_key() for one in private)
    return private, (*(one for one in found if not hasattr(one, "public_key")), *public)


def is_written_key(key: bytes) -> bool:
    """True when `key` is plainly half of a pair (PEM, DER, JWK); raw bytes could be any secret."""
    if key.lstrip().startswith((b"-----BEGIN", b"{")):
        return True
    try:
        load_keys(key)
        return len(_decoded(key.strip())) not in (RAW_LENGTH, 2 * RAW_LENGTH)
    except ValueError:
        return False


def _read(key: bytes) -> Iterator[Any]:  # Any: private and public keys of cryptography
    if key.startswith(b"{"):
        yield from _read_jwk(json.loads(key))
    elif key.startswith(b"-----BEGIN"):
        yield _read_pem(key.replace(b"\\n", b"\n"))
    else:
        yield from _read_der(_decoded(key))


def _read_pem(pem: bytes) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    if b"CERTIFICATE" in pem[:40]:
        return x509.load_pem_x509_certificate(pem).public_key()
    if b"PRIVATE" in pem[:40]:
        return serialization.load_pem_private_key(pem, None)
    return serialization.load_pem_public_key(pem)


def _decoded(key: bytes) -> bytes:
    try:
        return DECODINGS["hex"](key)
    except ValueError:
        return DECODINGS["base64url"](b"".join(key.split()))


def _read_der(key: bytes) -> Iterator[Any]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    if len(key) == RAW_LENGTH:
        yield ed25519.Ed25519PublicKey.from_public_bytes(key)
    if len(key) in (RAW_LENGTH, 2 * RAW_LENGTH):  # the longer form is the seed and the public key
        yield ed25519.Ed25519PrivateKey.from_private_bytes(key[:RAW_LENGTH])
        return
    try:
        yield serialization.load_der_public_key(key)
    except ValueError:
        yield serialization.load_der_private_key(key, None)


def _read_jwk(jwk: Mapping[str, Any]) -> Iterator[Any]:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if "keys" in jwk:
        for one in jwk["keys"][:MAX_JWKS]:
            yield from _read_jwk(one)
    elif jwk["kty"] == "OKP":
        yield ed25519.Ed25519PublicKey.from_public_bytes(_bytes(jwk["x"]))
    elif jwk["kty"] == "EC":
        yield ec.EllipticCurvePublicNumbers(
            _integer(jwk["x"]), _integer(jwk["y"]), ec.SECP256R1()
        ).public_key()
    else:
        yield rsa.RSAPublicNumbers(_integer(jwk["e"]), _integer(jwk["n"])).public_key()


def _bytes(text: str) -> bytes:
    return DECODINGS["base64url"](text.encode("ascii"))


def _integer(text: str) -> int:
    return int.from_bytes(_bytes(text), "big")


def to_raw_ecdsa(signature: bytes) -> bytes:
    """A DER signature as JSON Web Tokens write it: two numbers of 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))


def from_raw_ecdsa(signature: bytes) -> bytes:
    """The way back from `to_raw_ecdsa`; ValueError when it is not 64 bytes."""
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    if len(signature) != 64:
        raise ValueError("not two numbers of 32 bytes")
    return encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
