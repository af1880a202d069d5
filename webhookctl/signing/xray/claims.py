"""The signatures that a request may claim, wherever and however they are written, and how that deviates.

Must not know keys, bodies or what was tried: a signature comes in, the claim of it goes out.
"""

import re
from collections.abc import Iterator
from hmac import compare_digest
from typing import NamedTuple

from webhookctl.model import Headers
from webhookctl.signing.presented import Presented
from webhookctl.signing.primitive import DECODINGS, ENCODINGS
from webhookctl.signing.scheme import HeaderTemplate, Scheme
from webhookctl.signing.xray.causes import Deviation

MAX_HEADERS = 100
MAX_VALUE_BYTES = 8_192
MAX_CLAIMS = 400
SHORTEST = 16  # characters that a signature, or what is left of it, must have
_KEY_BYTES = 8  # what claims are found by; SHORTEST characters of hex are as many

_RUN = re.compile(rb"[A-Za-z0-9+/_-]{%d,}={0,2}" % SHORTEST)
_READINGS = ("hex", "base64", "base64url")
_QUOTES = b"\"'`"


class Claim(NamedTuple):
    """`text` in the value of the header (or field) `name`, read as `raw` in one of the encodings."""

    name: str
    value: bytes
    text: bytes
    encoding: str
    raw: bytes


class Claims:
    """The claimed signatures of a request, found by what is made."""

    def __init__(self, scheme: Scheme, presented: Presented, headers: Headers) -> None:
        self._scheme = scheme
        self._presented = presented
        self._first = dict(reversed(_own_values(scheme, headers)))
        self._own = set(self._first)
        self._own |= {field.name for field in scheme.fields if field.has_signature}
        self._by_start: dict[bytes, list[Claim]] = {}
        values = _own_values(scheme, headers)
        own = {name.lower() for name in self._own}
        named = [(name.decode("latin-1"), value) for name, value in headers[:MAX_HEADERS]]
        values += [(name, value) for name, value in named if name.lower() not in own]
        signed = [field.name for field in scheme.fields if field.has_signature]
        values += [(name, text) for name in signed for text in presented.signatures]
        count = 0
        for name, value in dict.fromkeys(values):
            for claim in _read(name, value[:MAX_VALUE_BYTES], is_token=scheme.algorithm == "token"):
                if count >= MAX_CLAIMS:
                    return
                count += 1
                self._by_start.setdefault(claim.raw[:_KEY_BYTES], []).append(claim)

    @property
    def all(self) -> tuple[Claim, ...]:
        """Every claim, the scheme's own headers first."""
        return tuple(claim for claims in self._by_start.values() for claim in claims)

    def find(self, raw: bytes) -> tuple[Claim, tuple[Deviation, ...]] | None:
        """The claim of the signature `raw` with the fewest deviations from the scheme's form, or None."""
        best: tuple[Claim, tuple[Deviation, ...]] | None = None
        for claim in self._by_start.get(raw[:_KEY_BYTES], ()):
            deviations = self._deviations(claim, raw)
            if deviations is not None and (best is None or _rank(deviations) < _rank(best[1])):
                best = claim, deviations
        return best

    def deviations_of(self, claim: Claim) -> tuple[Deviation, ...]:
        """How the form of `claim`, known to be right, deviates."""
        return self._deviations(claim, claim.raw) or ()

    def _deviations(self, claim: Claim, raw: bytes) -> tuple[Deviation, ...] | None:
        """How `claim` deviates from the scheme's form of the signature `raw`; None when it is another one."""
        whole = ENCODINGS[claim.encoding](raw)
        if not compare_digest(_normal(claim.encoding, claim.text), _normal(claim.encoding, whole)):
            return self._if_cut(claim, whole)
        deviations = list(self._place(claim))
        expected = ENCODINGS[self._scheme.encoding](raw)
        if claim.text != expected:
            deviations.append(_written_otherwise(claim, self._scheme.encoding, expected))
        elif claim.name in self._own and expected not in self._presented.signatures:
            deviations.append(self._surroundings(claim, expected))
        return tuple(deviations)

    def _if_cut(self, claim: Claim, whole: bytes) -> tuple[Deviation, ...] | None:
        left = _normal(claim.encoding, claim.text)
        is_part = SHORTEST <= len(left) < len(whole) and _normal(claim.encoding, whole).startswith(left)
        if not is_part or claim.name not in self._own:
            return None
        return (Deviation("signature-truncated", f"{len(claim.text)} of {len(whole)} characters"),)

    def _place(self, claim: Claim) -> Iterator[Deviation]:
        if claim.name in self._own:
            return
        if self._own and self._presented.signatures:
            yield Deviation("signature-replaced", claim.name)
        else:
            yield Deviation("header-name", claim.name)

    def _surroundings(self, claim: Claim, expected: bytes) -> Deviation:
        """Why the right text in the right header was not read as the signature."""
        at = claim.value.find(expected)
        before, after = claim.value[:at], claim.value[at + len(expected) :]
        prefixes = {
            element.prefix
            for template in (*self._scheme.headers, *self._scheme.fields)
            for element in template.elements
            if element.slot == "sig" and template.has_signature
        }
        if at < 0 and b"%" in claim.value:
            return Deviation("signature-encoding", "percent-encoded")
        if at < 0:
            return Deviation("signature-white-space")
        if (before[-1:] or b" ") in _QUOTES or (after[:1] or b" ") in _QUOTES:
            return Deviation("signature-quotes")
        prefix = next(iter(prefixes - {b""}), b"")
        shown = prefix.decode("latin-1")
        if self._first.get(claim.name, claim.value) != claim.value:
            return Deviation("signature-joined", f"{claim.name} occurs twice, and only the first counts")
        if prefix and before.endswith(prefix * 2):
            return Deviation("header-prefix", f"{claim.name}, with {shown} twice")
        if prefix and prefix not in before:
            return Deviation("header-prefix", f"{claim.name}, without {shown}")
        if not prefix and before.endswith(b"="):
            return Deviation("header-prefix", f"{claim.name}, with a prefix that does not belong there")
        return Deviation("signature-joined", f"{claim.name} holds more than the scheme writes there")


def _rank(deviations: tuple[Deviation, ...]) -> tuple[bool, int]:
    """A whole signature before a cut one, then the one that deviates least."""
    return any(one.cause == "signature-truncated" for one in deviations), len(deviations)


def _own_values(scheme: Scheme, headers: Headers) -> list[tuple[str, bytes]]:
    """The headers that hold the scheme's signature, by the scheme's spelling of their names."""
    by_name = scheme.headers_by_name
    found: list[tuple[str, bytes]] = []
    for name, value in headers[:MAX_HEADERS]:
        template: HeaderTemplate | None = by_name.get(name.lower())
        if template is not None and template.has_signature:
            found.append((template.name if "{" not in template.name else name.decode("latin-1"), value))
    return found


def _read(name: str, value: bytes, *, is_token: bool) -> Iterator[Claim]:
    if is_token:
        whole = value.strip()
        last = whole.rpartition(b" ")[2]
        named = whole.rpartition(b"=")[2]
        for text in dict.fromkeys((whole, last, named, whole.strip(_QUOTES), last.strip(_QUOTES))):
            if text:
                yield Claim(name, value, text, "raw", text)
        return
    texts = _RUN.findall(value)
    if re.search(rb"\s", value):
        texts += _RUN.findall(re.sub(rb"\s+", b"", value))
    if b"%" in value:
        from urllib.parse import unquote_to_bytes

        texts += _RUN.findall(unquote_to_bytes(value))
    for text in dict.fromkeys(texts):
        for encoding in _READINGS:
            raw = _decoded(encoding, text)
            if raw is not None:
                yield Claim(name, value, text, encoding, raw)


def _decoded(encoding: str, text: bytes) -> bytes | None:
    """`text` decoded as far as it goes: of one that was cut, the last characters may tell no whole byte."""
    bare = text.rstrip(b"=")
    step = 2 if encoding == "hex" else 4
    try:
        if len(bare) % step == 0:
            return DECODINGS[encoding](bare)
        if encoding != "hex" and len(bare) % 4 > 1:
            return DECODINGS[encoding](bare)
        return DECODINGS[encoding](bare[: len(bare) // step * step])
    except ValueError:
        return None


def _normal(encoding: str, text: bytes) -> bytes:
    """`text` without what may differ in the writing of the same signature."""
    if encoding == "raw":
        return text
    return text.lower() if encoding == "hex" else text.rstrip(b"=")


def _written_otherwise(claim: Claim, encoding: str, expected: bytes) -> Deviation:
    if claim.encoding == "hex" and encoding in ("hex", "upper-hex"):
        if claim.text == claim.text.lower():
            return Deviation("signature-case", "lower case")
        return Deviation("signature-case", "upper case" if claim.text == claim.text.upper() else "mixed case")
    if claim.text.rstrip(b"=") == expected.rstrip(b"="):
        return Deviation("signature-encoding", f"its padding is not that of {encoding}")
    return Deviation("signature-encoding", f"written in {claim.encoding}, not in {encoding}")
