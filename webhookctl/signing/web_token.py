"""JSON Web Tokens as signatures: made from claims, read back, their own signature judged.

Knows claims as names and bytes: no scheme, no header, no clock. The algorithm a token names counts only if allowed.
"""

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from webhookctl.signing import asymmetric
from webhookctl.signing.primitive import DECODINGS, ENCODINGS, PRIMITIVES

ALGORITHMS: Mapping[str, tuple[str, str]] = {
    "jwt-hs256": ("HS256", "hmac-sha256"),
    "jwt-hs384": ("HS384", "hmac-sha384"),
    "jwt-hs512": ("HS512", "hmac-sha512"),
    "jwt-rs256": ("RS256", "rsa-sha256"),
    "jwt-rs512": ("RS512", "rsa-sha512"),
    "jwt-es256": ("ES256", "ecdsa-p256-sha256"),
    "jwt-eddsa": ("EdDSA", "ed25519"),
}
"""By our name: the name in a token's header, and the primitive."""

TIMES = ("iat", "nbf", "exp")  # claims that are numbers
MAX_BYTES = 1 << 20

_encode = ENCODINGS["base64url"]
_decode = DECODINGS["base64url"]


@dataclass(frozen=True, slots=True)
class WebToken:
    """A token taken apart: `algorithm` as it names it, `claims`, the bytes that are `signed`, and the `signature`."""

    algorithm: str
    claims: Mapping[str, object]
    signed: bytes
    signature: bytes


def make(algorithm: str, key: bytes, claims: Sequence[tuple[str, bytes]], *, key_id: bytes = b"") -> bytes:
    """The token of `claims`, signed with `key`. Raises ValueError when the key does not fit or a claim is no UTF-8."""
    name, primitive = ALGORITHMS[algorithm]
    header = {"alg": name, "typ": "JWT"} | ({"kid": key_id.decode("ascii")} if key_id else {})
    content = {claim: int(value) if claim in TIMES else value.decode("utf-8") for claim, value in claims}
    signed = b".".join(
        _encode(json.dumps(part, separators=(",", ":")).encode("ascii")) for part in (header, content)
    )
    if primitive in PRIMITIVES:
        signature = PRIMITIVES[primitive](key, signed)
    else:
        signature = asymmetric.make_signature(primitive, key, signed)
        if name == "ES256":
            signature = asymmetric.to_raw_ecdsa(signature)
    return signed + b"." + _encode(signature)


def is_shared_only(algorithms: Sequence[str]) -> bool:
    """True when all of `algorithms` take a shared secret."""
    return all(ALGORITHMS[algorithm][1] in PRIMITIVES for algorithm in algorithms)


def read(text: bytes) -> WebToken:
    """The token written as `text`; ValueError when it is none."""
    if len(text) > MAX_BYTES:
        raise ValueError("too long")
    signed, dot, signature = text.rpartition(b".")
    header, second_dot, claims = signed.partition(b".")
    if not (dot and second_dot):
        raise ValueError("not three parts")
    try:
        names, content = json.loads(_decode(header)), json.loads(_decode(claims))
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not (isinstance(names, dict) and isinstance(content, dict)):
        raise ValueError("not objects")
    return WebToken(str(names.get("alg")), content, signed, _decode(signature))


def is_signed(token: WebToken, algorithms: Sequence[str], key: bytes) -> bool:
    """True when `key` made the token's signature, by the algorithm it names, and that is one of `algorithms`."""
    for algorithm in algorithms:
        name, primitive = ALGORITHMS[algorithm]
        if name != token.algorithm:
            continue
        if primitive in PRIMITIVES:
            # A public key must not be taken for a shared one: everybody knows it.
            is_public = not is_shared_only(algorithms) and asymmetric.is_written_key(key)
            return not is_public and hmac.compare_digest(
                PRIMITIVES[primitive](key, token.signed), token.signature
            )
        try:
            signature = asymmetric.from_raw_ecdsa(token.signature) if name == "ES256" else token.signature
            return asymmetric.is_signature(primitive, key, signature, token.signed)
        except ValueError:
            return False
    return False
