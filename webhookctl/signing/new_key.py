"""Makes keys for tests, in the form in which a provider shows its own: shared secrets and key pairs.

Pure but for the randomness passed in. Must not know where secrets are kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import gcd, prod
from typing import TYPE_CHECKING, TypeAlias

from webhookctl.errors import SignatureError
from webhookctl.signing import asymmetric, web_token
from webhookctl.signing.primitive import ENCODINGS, WHEN_PREFIXED
from webhookctl.signing.scheme import Scheme

if TYPE_CHECKING:
    from webhookctl.signing.asymmetric import PrivateKey

Random: TypeAlias = Callable[[int], bytes]
"""So many random bytes."""

KEY_BYTES = 32
RSA_BITS = 2048
RSA_EXPONENT = 65537
ROUNDS = 40  # of Miller and Rabin: an error is less likely than a broken machine
_SMALL = prod(range(3, 600, 2))  # a candidate with a common divisor is no prime
ORDER_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True, slots=True)
class NewKey:
    """`secret` signs; `public` verifies, and is the same text where sender and receiver share one secret."""

    secret: str
    public: str


def make_key(scheme: Scheme, random: Random) -> NewKey:
    """A new key for `scheme`, from as many of the bytes of `random` as it takes (RSA: many, and about a second).

    Raises SignatureError `keys-not-used` for a provider that signs nothing.
    """
    if not scheme.is_signed:
        raise SignatureError("keys-not-used", f"{scheme.name} does not sign its requests")
    parts = "".join(f"test_{part}:" for part in scheme.key_parts)
    algorithm = scheme.algorithm
    if scheme.is_web_token:
        algorithm = web_token.ALGORITHMS[algorithm][1]
    if algorithm not in asymmetric.ALGORITHMS:
        secret = parts + _shared(scheme, random)
        return NewKey(secret, secret)
    private, public = _WRITERS[scheme.public_key](_private_key(algorithm, random))
    prefixes = (*scheme.key_prefixes, "", "")
    return NewKey(parts + prefixes[0] + private, parts + prefixes[1] + public)


def _shared(scheme: Scheme, random: Random) -> str:
    form = scheme.keys[0]
    prefix = "".join(scheme.key_prefixes).replace("*", "test")
    raw = random(KEY_BYTES)
    if form in ("base64", WHEN_PREFIXED):
        return prefix + ENCODINGS["base64"](raw).decode("ascii")
    if form == "base64url":
        return prefix + ENCODINGS["base64url"](raw).decode("ascii")
    if form == "base64-after-underscore":
        return "test_" + ENCODINGS["base64"](raw).decode("ascii")
    if scheme.algorithm == "token" and scheme.encoding == "base64":
        return f"webhookctl:{raw.hex()}"  # basic authentication: user and password
    return prefix + raw.hex()


def _private_key(algorithm: str, random: Random) -> "PrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if algorithm == "ed25519":
        return ed25519.Ed25519PrivateKey.from_private_bytes(random(KEY_BYTES))
    if algorithm.startswith("ecdsa"):
        return ec.derive_private_key(
            1 + int.from_bytes(random(KEY_BYTES), "big") % (ORDER_P256 - 1), ec.SECP256R1()
        )
    return _rsa(random)


def _rsa(random: Random) -> "PrivateKey":
    from cryptography.hazmat.primitives.asymmetric import rsa

    p, q = _prime(random), _prime(random)
    d = pow(RSA_EXPONENT, -1, (p - 1) * (q - 1))
    return rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, p),
        dmq1=rsa.rsa_crt_dmq1(d, q),
        iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(RSA_EXPONENT, p * q),
    ).private_key()


def _prime(random: Random) -> int:
    """A prime of half the bits of a modulus, its two highest bits set, to which the exponent is no divisor."""
    length = RSA_BITS // 16
    start = int.from_bytes(random(length), "big") | 3 << (8 * length - 2) | 1
    candidate = start
    while gcd(candidate, _SMALL) > 1 or candidate % RSA_EXPONENT == 1 or not _is_prime(candidate, random):
        candidate += 2
    return candidate


def _is_prime(number: int, random: Random) -> bool:
    """Miller and Rabin's test of an odd number."""
    odd, halvings = number - 1, 0
    while odd % 2 == 0:
        odd, halvings = odd // 2, halvings + 1
    for _ in range(ROUNDS):
        witness = 2 + int.from_bytes(random(16), "big") % (number - 3)
        power = pow(witness, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(halvings - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def _pem(key: "PrivateKey") -> tuple[str, str]:
    from cryptography.hazmat.primitives import serialization

    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode("ascii"), public.decode("ascii")


def _spki(key: "PrivateKey") -> tuple[str, str]:
    private, public = _pem(key)
    return "".join(private.splitlines()[1:-1]), "".join(public.splitlines()[1:-1])


def _raw(key: "PrivateKey", encoding: str) -> tuple[str, str]:
    encode = ENCODINGS[encoding]
    return (
        encode(key.private_bytes_raw()).decode("ascii"),  # type: ignore[union-attr]  # raw forms are Ed25519's alone
        encode(key.public_key().public_bytes_raw()).decode("ascii"),  # type: ignore[union-attr]  # as above
    )


def _raw_hex(key: "PrivateKey") -> tuple[str, str]:
    return _raw(key, "hex")


def _raw_base64(key: "PrivateKey") -> tuple[str, str]:
    return _raw(key, "base64")


_WRITERS: Mapping[str, Callable[["PrivateKey"], tuple[str, str]]] = {
    "pem": _pem,
    "spki": _spki,
    "hex": _raw_hex,
    "base64": _raw_base64,
}
"""By the form in which a provider shows a public key: private and public key as texts."""
