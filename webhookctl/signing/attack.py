"""Forged deliveries that a receiver has to refuse, each proved wrong by our own verifier before.

Must not send anything, nor know what a receiver answers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from webhookctl import jsontext
from webhookctl.model import Headers, Request, Secret
from webhookctl.signing.engine import verify
from webhookctl.signing.new_key import Random, make_key
from webhookctl.signing.scheme import Coverage, Scheme

SignRequest = Callable[[Scheme, Secret, float], Request]
"""A whole request, rightly signed by the scheme with the secret at the Unix time."""

_BEYOND_S = 60.0  # past the tolerance, so that clocks a little apart agree on it
_NUMBERED = 10  # signature headers called name-1, name-2, …


@dataclass(frozen=True, slots=True)
class Attack:
    """One way to forge: its `name` (API), what it is, and what is wrong with a receiver that accepts it."""

    name: str
    title: str
    finding: str


ATTACKS = (
    Attack("unsigned", "no signature at all", "the signature is not required"),
    Attack("empty-signature", "an empty signature", "an empty signature is taken for a right one"),
    Attack("truncated-signature", "the right signature without its end", "only a part of it is compared"),
    Attack("wrong-secret", "signed with another secret", "the signature is not checked"),
    Attack("tampered", "one character of the body changed", "the signature is not checked over the body"),
    Attack(
        "reserialised",
        "the body laid out anew after signing",
        "the parsed body is checked instead of the bytes",
    ),
    Attack("weak-algorithm", "signed with SHA-1", "a weaker algorithm is accepted"),
    Attack("stale", "rightly signed, long ago", "the age is not checked: old deliveries can be played again"),
    Attack("future", "rightly signed, in the future", "timestamps of the future are accepted"),
)

REPLAYED = Attack(
    "replayed",
    "a delivery that was accepted, byte for byte once more",
    "a delivery that was recorded can be played again",
)
"""Right by its signature, so no verifier tells it from the first: it takes two deliveries."""

FORGERIES = (*ATTACKS, REPLAYED)
"""All that `test` and `trigger` can do."""


@dataclass(frozen=True, slots=True)
class Attacked:
    """A forged request, and the words of our verifier on why it is wrong."""

    attack: Attack
    request: Request
    verdict: str


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """Why an attack cannot be made on this scheme or this delivery, in words."""

    attack: Attack
    reason: str


def attack_named(name: str) -> Attack | None:
    """The attack called `name`, or None."""
    return next((attack for attack in ATTACKS if attack.name == name), None)


def forge_attack(
    attack: Attack,
    scheme: Scheme,
    secret: Secret,
    sign_request: SignRequest,
    *,
    now_s: float,
    url: str,
    random: Random,
    tolerance_s: float | None = None,
) -> Attacked | NotApplicable:
    """The request of `attack`, made from what `sign_request` signs, or why there is none.

    What our own verifier would accept is never returned: a receiver that takes it is not at fault. `random` gives
    the bytes of the other secret; `tolerance_s` replaces the scheme's own, where the receiver is known to have another.
    Raises what `sign_request` raises.
    """
    if not scheme.is_signed:
        return NotApplicable(attack, f"{scheme.name} does not sign its requests")
    made = _MAKERS[attack.name](_Way(scheme, secret, sign_request, now_s, random, tolerance_s))
    if isinstance(made, str):
        return NotApplicable(attack, made)
    verdict = verify(scheme, (secret,), made, now_s=now_s, url=url, tolerance_s=tolerance_s)
    if not verdict.is_bad:
        why = "covers no such change" if verdict.is_ok else verdict.reason
        return NotApplicable(attack, f"the signature of {scheme.name} {why}" if verdict.is_ok else why)
    return Attacked(attack, made, verdict.reason)


@dataclass(frozen=True, slots=True)
class _Way:
    """How to sign, and for whom."""

    scheme: Scheme
    secret: Secret
    sign: SignRequest
    now_s: float
    random: Random
    tolerance_s: float | None

    def signed(self) -> Request:
        return self.sign(self.scheme, self.secret, self.now_s)

    @property
    def limit_s(self) -> float | None:
        policy = self.scheme.timestamp
        if policy is None or policy.tolerance_s is None:
            return None
        return policy.tolerance_s if self.tolerance_s is None else self.tolerance_s


def _unsigned(way: _Way) -> Request | str:
    names = _signature_names(way.scheme)
    if not names:
        return f"{way.scheme.name} does not sign in a header"
    request = way.signed()
    kept = tuple((name, value) for name, value in request.headers if name.lower() not in names)
    return replace(request, headers=kept)


def _empty(way: _Way) -> Request | str:
    request = way.signed()
    return _with_signatures(way.scheme, request, lambda _: b"")


def _truncated(way: _Way) -> Request | str:
    right, other = way.signed(), way.signed()
    if right != other and not way.scheme.is_plain:
        return f"{way.scheme.name} signs at random: half of a signature says nothing"
    return _with_signatures(way.scheme, right, lambda value: value[: -max(1, min(len(value) // 2, 20))])


def _wrong_secret(way: _Way) -> Request | str:
    return way.sign(way.scheme, Secret(make_key(way.scheme, way.random).secret, "made up"), way.now_s)


def _tampered(way: _Way) -> Request | str:
    if not way.scheme.covers_body:
        return f"the signature of {way.scheme.name} does not cover the body"
    request = way.signed()
    return replace(request, body=tampered(request.body))


def _reserialised(way: _Way) -> Request | str:
    if way.scheme.coverage is not Coverage.BYTES:
        return f"{way.scheme.name} does not sign the bytes of the body"
    request = way.signed()
    if not jsontext.is_json(request.body):
        return "the body is not JSON"
    compact = jsontext.compact(request.body)
    other = jsontext.indented(request.body) if compact == request.body else compact
    if other == request.body:
        return "the body has only one layout"
    return replace(request, body=other)


def _weak_algorithm(way: _Way) -> Request | str:
    if way.scheme.algorithm not in ("hmac-sha256", "hmac-sha512"):
        return f"{way.scheme.name} has no weaker form of {way.scheme.algorithm}"
    return way.sign(replace(way.scheme, algorithm="hmac-sha1"), way.secret, way.now_s)


def _stale(way: _Way) -> Request | str:
    tolerance_s = way.limit_s
    if tolerance_s is None:
        return f"{way.scheme.name} has no time limit for deliveries"
    return way.sign(way.scheme, way.secret, way.now_s - 2 * tolerance_s - _BEYOND_S)


def _future(way: _Way) -> Request | str:
    tolerance_s = way.limit_s
    if tolerance_s is None or way.scheme.timestamp is None or not way.scheme.timestamp.is_future_refused:
        return f"{way.scheme.name} does not refuse timestamps of the future"
    return way.sign(way.scheme, way.secret, way.now_s + 2 * tolerance_s + _BEYOND_S)


_MAKERS: dict[str, Callable[[_Way], Request | str]] = {
    "unsigned": _unsigned,
    "empty-signature": _empty,
    "truncated-signature": _truncated,
    "wrong-secret": _wrong_secret,
    "tampered": _tampered,
    "reserialised": _reserialised,
    "weak-algorithm": _weak_algorithm,
    "stale": _stale,
    "future": _future,
}


def tampered(body: bytes) -> bytes:
    """`body` with one character changed so that JSON stays JSON: the last digit, else letter, else a space more."""
    for is_wanted, others in ((_is_digit, b"0123456789"), (_is_letter, b"abcdefghijklmnopqrstuvwxyz")):
        for position in range(len(body) - 1, -1, -1):
            if is_wanted(body, position):
                new = others[(others.index(body[position : position + 1].lower()) + 1) % len(others)]
                return body[:position] + bytes((new,)) + body[position + 1 :]
    return body + b" "


def _is_digit(body: bytes, position: int) -> bool:
    # A digit after another digit: what it becomes starts no number with a zero and ends no escape.
    return body[position : position + 1].isdigit() and body[position - 1 : position].isdigit()


def _is_letter(body: bytes, position: int) -> bool:
    # Between two letters of a word that is no literal of JSON: inside a string it stays a string.
    around = body[max(position - 1, 0) : position + 2]
    word_starts = max(body.rfind(mark, 0, position) for mark in (b'"', b":", b",", b"["))
    return len(around) == 3 and around.isalpha() and body[word_starts : word_starts + 1] == b'"'


def _signature_names(scheme: Scheme) -> frozenset[bytes]:
    return frozenset(
        name.lower().replace("{n}", str(number)).encode("latin-1")
        for name in scheme.signature_names
        for number in range(1, _NUMBERED)
    )


def _with_signatures(scheme: Scheme, request: Request, change: Callable[[bytes], bytes]) -> Request | str:
    names = _signature_names(scheme)
    if not names:
        return f"{scheme.name} does not sign in a header"
    headers: Headers = tuple(
        (name, change(value) if name.lower() in names else value) for name, value in request.headers
    )
    return replace(request, headers=headers)
