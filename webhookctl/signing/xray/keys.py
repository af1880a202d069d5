"""The keys that a sender may have used: the judged secrets taken otherwise, and the other known secrets.

Must not know bodies or requests. A secret is shown by its origin and by what was done to it, never itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from webhookctl.model import Secret
from webhookctl.signing.presented import key_of, keys_of
from webhookctl.signing.primitive import DERIVATIONS
from webhookctl.signing.scheme import Scheme
from webhookctl.signing.xray.causes import Deviation
from webhookctl.signing.xray.search import Search

MAX_OTHERS = 40

_PREFIXES = ("whsec_", "v1,whsec_", "sha256=", "base64:")
_PLACEHOLDERS = ("undefined", "null", "None", "nil")
_DECODINGS: Mapping[str, str] = {
    "base64": "decoded from base64",
    "base64url": "decoded from base64url",
    "hex": "decoded from hex",
}


class TriedKey(NamedTuple):
    """A key to try, with the values that stood before it in the secret, where it came from, and how it deviates."""

    key: bytes
    parts: Mapping[str, bytes]
    origin: str
    deviations: tuple[Deviation, ...]

    def __repr__(self) -> str:
        return f"TriedKey(****, {self.origin!r}, {self.deviations!r})"


def own_keys(scheme: Scheme, secrets: Sequence[Secret]) -> tuple[TriedKey, ...]:
    """The keys that the scheme makes of the judged secrets."""
    return tuple(
        TriedKey(key.key, key.parts, secrets[key.number - 1].origin, ())
        for key in keys_of(scheme, tuple(secrets))
    )


def other_keys(scheme: Scheme, secrets: Sequence[Secret], search: Search) -> tuple[TriedKey, ...]:
    """The keys of the other known secrets, those of the same provider first."""
    judged = {secret.reveal() for secret in secrets}
    known = sorted(search.secrets, key=lambda entry: entry[0] != scheme.id)
    found: list[TriedKey] = []
    for provider, secret in known[:MAX_OTHERS]:
        if secret.reveal() in judged:
            continue
        judged.add(secret.reveal())
        whose = "" if provider == scheme.id else f" ({provider})" if provider else ""
        deviation = Deviation("secret-other", f"{secret.origin}{whose}")
        found += [
            TriedKey(key.key, key.parts, secret.origin, (deviation,)) for key in keys_of(scheme, (secret,))
        ]
    return tuple(found)


def secret_variants(scheme: Scheme, secrets: Sequence[Secret]) -> Iterator[TriedKey]:
    """The keys that come out when a judged secret is taken otherwise; some of them several times."""
    for secret in secrets:
        for deviation, text in _texts(secret.reveal()):
            yield from _derived(scheme, Secret(text, secret.origin), deviation)
        yield from _taken_otherwise(scheme, secret)
    if secrets and not scheme.needs_pair:
        origin = secrets[0].origin
        yield TriedKey(b"", {}, origin, (Deviation("secret-empty"),))
        for text in _PLACEHOLDERS:
            yield TriedKey(text.encode("ascii"), {}, origin, (Deviation("secret-placeholder", text),))


def _texts(text: str) -> Iterator[tuple[Deviation, str]]:
    """The secret as it may have been copied."""
    white = "secret-white-space"
    yield Deviation(white, "the secret has white space around it; without that it fits"), text.strip()
    for end, name in (("\n", "a newline"), ("\r\n", "a CRLF"), (" ", "a blank")):
        yield Deviation(white, f"it was signed with {name} at the end of the secret"), text + end
    bare = text.strip().strip("\"'")
    yield Deviation("secret-quotes", "without the quotes round it"), bare
    for quote in "\"'":
        yield Deviation("secret-quotes", f"in {quote} quotes"), f"{quote}{text}{quote}"
    if bare and all(letter in "0123456789abcdefABCDEF-" for letter in bare):
        yield Deviation("secret-case", "upper case"), text.upper()
        yield Deviation("secret-case", "lower case"), text.lower()


def _derived(scheme: Scheme, secret: Secret, deviation: Deviation) -> Iterator[TriedKey]:
    for derivation in scheme.keys:
        try:
            key = key_of(scheme, secret, derivation)
        except ValueError:
            continue
        yield TriedKey(key.key, key.parts, secret.origin, (deviation,))


def _taken_otherwise(scheme: Scheme, secret: Secret) -> Iterator[TriedKey]:
    """As text, decoded, with its prefix or without: whatever the scheme does not do."""
    if scheme.needs_pair or scheme.key_parts:
        return
    text = secret.reveal()
    does_decode = any(derivation not in ("utf8", "whole") for derivation in scheme.keys)
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # no secret that a sender could have
        return
    yield _tried(
        text, secret, "secret-not-decoded" if does_decode else "secret-prefix", "taken whole as text"
    )
    for prefix in (*scheme.key_prefixes, *_PREFIXES):
        bare = text.removeprefix(prefix)
        if "*" not in prefix and bare and bare != text:
            yield _tried(bare, secret, "secret-prefix", f"without its prefix {prefix}, as text")
            yield from _decoded(bare, secret, f"without its prefix {prefix}, ")
    yield from _decoded(text, secret, "")
    for prefix in scheme.key_prefixes[:1]:
        if "*" not in prefix and not text.startswith(prefix):
            yield _tried(prefix + text, secret, "secret-prefix", f"with the prefix {prefix}")


def _tried(text: str, secret: Secret, cause: str, detail: str) -> TriedKey:
    key = text.encode("utf-8", "surrogateescape")
    return TriedKey(key, {}, secret.origin, (Deviation(cause, detail),))


def _decoded(text: str, secret: Secret, before: str) -> Iterator[TriedKey]:
    for derivation, words in _DECODINGS.items():
        try:
            key = DERIVATIONS[derivation](text.encode("ascii"))
        except ValueError:
            continue
        if key:
            yield TriedKey(key, {}, secret.origin, (Deviation("secret-decoded", before + words),))
