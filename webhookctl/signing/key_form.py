"""The texts in which key pairs are shown: PEM, SPKI, raw bytes, JWKS, certificate.

Knows keys only: no provider's rules, no randomness, no clock. `cryptography` is imported when first needed.
"""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from webhookctl.signing.primitive import ENCODINGS

if TYPE_CHECKING:
    from webhookctl.signing.asymmetric import PrivateKey

RAW = ("hex", "base64")  # forms of raw bytes: for Ed25519 alone
_YEARS = (2000, 2049)  # a test's clock may stand anywhere; later ones are written in another way


def private_text(form: str, key: "PrivateKey") -> str:
    """The private `key` in the text that goes with the public `form`: raw, DER in base64, or PKCS #8 in PEM."""
    from cryptography.hazmat.primitives import serialization

    if form in RAW:
        raw: bytes = key.private_bytes_raw()  # type: ignore[union-attr]  # raw forms are Ed25519's alone
        return ENCODINGS[form](raw).decode("ascii")
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")
    return "".join(pem.splitlines()[1:-1]) if form == "spki" else pem


def public_text(form: str, key: "PrivateKey", *, key_id: str = "") -> str:
    """The public half of `key` in `form`; `key_id` names it in a JWKS, and is the subject of a certificate."""
    return PUBLIC_FORMS[form](key, key_id)


def forms_of(key: "PrivateKey") -> tuple[str, ...]:
    """The forms that can show the public half of `key`."""
    return tuple(form for form in PUBLIC_FORMS if form not in RAW or hasattr(key, "private_bytes_raw"))


def _pem(key: "PrivateKey", _key_id: str) -> str:
    from cryptography.hazmat.primitives import serialization

    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode("ascii")


def _spki(key: "PrivateKey", _key_id: str) -> str:
    return "".join(_pem(key, "").splitlines()[1:-1])


def _hex(key: "PrivateKey", _key_id: str) -> str:
    return _raw_public(key).hex()


def _base64(key: "PrivateKey", _key_id: str) -> str:
    return ENCODINGS["base64"](_raw_public(key)).decode("ascii")


def _raw_public(key: "PrivateKey") -> bytes:
    raw: bytes = key.public_key().public_bytes_raw()  # type: ignore[union-attr]  # raw forms are Ed25519's alone
    return raw


def _jwks(key: "PrivateKey", key_id: str) -> str:
    """RFC 7517: a set of one key."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    public = key.public_key()
    jwk: dict[str, str]
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        jwk = {"kty": "RSA", "alg": "RS256", "n": _number(numbers.n), "e": _number(numbers.e)}
    elif isinstance(public, ec.EllipticCurvePublicKey):
        point = public.public_numbers()
        jwk = {"kty": "EC", "alg": "ES256", "crv": "P-256"}
        jwk |= {"x": _number(point.x, 32), "y": _number(point.y, 32)}
    else:
        jwk = {"kty": "OKP", "alg": "EdDSA", "crv": "Ed25519", "x": _url_text(_raw_public(key))}
    return json.dumps({"keys": [{"kid": key_id, "use": "sig", **jwk}]})


def _number(value: int, length: int = 0) -> str:
    return _url_text(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def _url_text(raw: bytes) -> str:
    return ENCODINGS["base64url"](raw).decode("ascii")


def _certificate(key: "PrivateKey", key_id: str) -> str:
    """A certificate that the key itself has signed; of an RSA key it is always the same."""
    from datetime import UTC, datetime
    from hashlib import sha256

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"webhookctl {key_id}".strip())])
    first, last = _YEARS
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(sha256(_pem(key, "").encode()).digest()[:8], "big") or 1)
        .not_valid_before(datetime(first, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(last, 12, 31, tzinfo=UTC))
    )
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(serialization.Encoding.PEM).decode("ascii")


PUBLIC_FORMS: Mapping[str, Callable[["PrivateKey", str], str]] = {
    "pem": _pem,
    "spki": _spki,
    "hex": _hex,
    "base64": _base64,
    "jwks": _jwks,
    "certificate": _certificate,
}
"""By the form in which a provider shows a public key: the text of a key's public half, given the key's name."""
