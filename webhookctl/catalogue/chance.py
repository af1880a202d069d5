"""Values that look random and are a function of their key alone: the same key gives the same value everywhere.

Knows no template and no provider; there is no state, so one value never changes another.
"""

import hashlib
import string
import uuid

ALPHABETS = {
    "alnum": string.digits + string.ascii_uppercase + string.ascii_lowercase,
    "upper": string.digits + string.ascii_uppercase,
    "digits": string.digits,
    "hex": "0123456789abcdef",
}


def characters(key: str, *, alphabet: str, length: int) -> str:
    """`length` characters of the alphabet of that name; a shorter text is the beginning of a longer one.

    Source: SHAKE-256 of the key, which is the same in every Python version and process.
    """
    letters = ALPHABETS[alphabet]
    return "".join(letters[byte % len(letters)] for byte in _stream(key, length=length))


def integer(key: str, *, low: int, high: int) -> int:
    """A whole number, `low` and `high` included."""
    return low + int.from_bytes(_stream(key, length=16), "big") % (high - low + 1)


def uuid4(key: str) -> str:
    """A version 4 UUID in its usual text form (RFC 9562 §5.4)."""
    return str(uuid.UUID(bytes=_stream(key, length=16), version=4))


def _stream(key: str, *, length: int) -> bytes:
    return hashlib.shake_256(key.encode()).digest(length)
