"""Makes keys for tests, in the form in which a provider shows its own: shared secrets and key pairs.

Pure but for the randomness passed in. Must not know where secrets are kept.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import gcd, prod
from typing import TYPE_CHECKING, TypeAlias

from webhookctl.errors import SignatureError, UsageError
from webhookctl.model import Secret
from webhookctl.signing import asymmetric, web_token
from webhookctl.signing.key_form import forms_of, private_text, public_text
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
_TOLD_FORM = re.compile(r"(\w+_)…")  # of a secret that is used whole, prefix and all
ORDER_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True, slots=True)
class NewKey:
    """`secret` signs; `public` verifies, and is the same text where sender and receiver share one secret."""

    secret: str
    public: str

    @property
    def is_pair(self) -> bool:
        return self.secret != self.public


def make_key(scheme: Scheme, random: Random, *, algorithm: str | None = None) -> NewKey:
    """A new key for `scheme`, from as many of the bytes of `random` as it takes (RSA: many, and about a second).

    `algorithm` is one of the scheme's, its first by default. Raises SignatureError `keys-not-used` for a provider
    that signs nothing, `algorithm-unknown` for one that the scheme does not take.
    """
    if not scheme.is_signed:
        raise SignatureError("keys-not-used", f"{scheme.name} does not sign its requests")
    algorithm = algorithm or scheme.algorithm
    known = (scheme.algorithm, *scheme.other_algorithms)
    if algorithm not in known:
        raise SignatureError(
            "algorithm-unknown", f"{scheme.name} does not sign by {algorithm}", f"known: {', '.join(known)}"
        )
    if scheme.is_web_token:
        algorithm = web_token.ALGORITHMS[algorithm][1]
    parts = "".join(f"test_{part}:" for part in scheme.key_parts)
    if algorithm not in asymmetric.ALGORITHMS:
        secret = parts + _shared(scheme, random)
        return NewKey(secret, secret)
    private = _private_key(algorithm, random)
    prefixes = (*scheme.key_prefixes, "", "")
    return NewKey(
        parts + prefixes[0] + private_text(scheme.public_key, private),
        parts + prefixes[1] + public_text(scheme.public_key, private, key_id=key_id_of(scheme)),
    )


def key_id_of(scheme: Scheme) -> str:
    """The name of a test key: the one that the scheme's requests carry, else one that tells whose it is."""
    return scheme.values.get("kid", b"").decode("ascii") or f"webhookctl-{scheme.id}"


def with_key_url(scheme: Scheme, url: str) -> Scheme:
    """`scheme` whose requests name `url` as the place of the certificate. Raises UsageError `key-url-unused`."""
    if "key_url" not in scheme.values:
        raise UsageError(
            "key-url-unused",
            f"requests of {scheme.name} name no URL of a key",
            "AWS SNS and PayPal do; other receivers are told in their own settings where keys are",
        )
    if not (url.isascii() and url.isprintable()):
        raise UsageError("key-url-unused", "the URL of a key is printable ASCII", "write it percent-encoded")
    return replace(scheme, values={**scheme.values, "key_url": url.encode("ascii")})


def public_forms(scheme: Scheme, secret: Secret) -> Mapping[str, str]:
    """The public half of `secret` in every form there is, by form; empty when it holds no private key."""
    from webhookctl.signing.presented import key_of

    for derivation in scheme.keys:
        try:
            key = key_of(scheme, secret, derivation).key
            private = asymmetric.load_keys(key)[0]
        except ValueError:  # a shared secret
            continue
        if private:
            name = key_id_of(scheme)
            return {form: public_text(form, private[0], key_id=name) for form in forms_of(private[0])}
    return {}


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
    told = _TOLD_FORM.match(scheme.secret_form)
    if told and not prefix:
        prefix = told.group(1)
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
