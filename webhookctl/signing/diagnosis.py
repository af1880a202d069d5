"""Why a signature was refused: the X-ray's finding as a verdict, and honest words where it has none.

Runs after a failure only. Must not know the clock: the verdict on the time comes in.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from webhookctl.model import Finding, Request, Secret, Verdict, VerdictKind, header_value
from webhookctl.signing.content import Unsignable
from webhookctl.signing.engine import judged
from webhookctl.signing.moment import duration, signed_at_s
from webhookctl.signing.presented import Presented, contradiction, keys_of
from webhookctl.signing.primitive import DECODINGS, ENCODINGS, PRIMITIVES
from webhookctl.signing.scheme import Coverage, Scheme
from webhookctl.signing.xray.bodies import body_forms
from webhookctl.signing.xray.causes import CAUSES, Deviation, words_of
from webhookctl.signing.xray.examination import Examination, examine, present
from webhookctl.signing.xray.json_forms import has_sorted_names
from webhookctl.signing.xray.schemes import other_schemes
from webhookctl.signing.xray.search import CHEAP_SIGNATURES, MAX_BODY_BYTES, Search

_WRONG = "no known secret makes this signature: wrong secret"
_FALLBACKS = {
    VerdictKind.NO_HEADER: "header-missing",
    VerdictKind.MALFORMED: "malformed",
    VerdictKind.BODY_CHANGED: "body-changed",
    VerdictKind.WRONG_SECRET: "unexplained",
}
_SORTED = (
    "the names in this body stand in alphabetical order, as Go's maps and sort_keys write them: "
    "where the sender's do not, it was written anew"
)
MAX_CLAIMED_FORMS = 400  # of a body that a claim is about
_HOUR_S = 3_600
_ZONE_S = 60  # how near to whole hours a time zone's shift is
_MAX_ZONE_HOURS = 14


def diagnosed(
    scheme: Scheme,
    secrets: Sequence[Secret],
    request: Request,
    verdict: Verdict,
    *,
    url: str,
    search: Search,
) -> tuple[Verdict, Examination]:
    """The bad `verdict` on a signature with its cause, and what was tried. Never raises."""
    is_full = search.max_signatures > CHEAP_SIGNATURES
    if is_full and verdict.kind is VerdictKind.NO_HEADER and not _speaks_of(scheme, request):
        other = _by_another_scheme(scheme, secrets, request, url, search)
        if other is not None:
            return other, Examination(None, {})
    examination = examine(scheme, secrets, request, url=url, search=search)
    hit = examination.hit
    if hit is not None and hit.deviations:
        return _explained(scheme, hit.deviations, hit.origin), examination
    if hit is not None:
        return _beside_the_signature(scheme, secrets, request, url, verdict, hit.origin), examination
    if is_full:
        other = _by_another_scheme(scheme, secrets, request, url, search)
        if other is not None:
            return other, examination
    lost = _lost_bytes(request, verdict)
    if lost:
        return _explained(scheme, (Deviation("body-truncated", lost),), ""), examination
    if verdict.kind is VerdictKind.WRONG_SECRET:
        malformed = _malformed(scheme, request, url)
        kind = VerdictKind.MALFORMED if malformed else VerdictKind.WRONG_SECRET
        verdict = Verdict(kind, scheme.id, malformed or _mismatch(scheme, secrets))
    verdict = _told(verdict, _FALLBACKS[verdict.kind])
    return _with_clue(scheme, request, verdict) if is_full else verdict, examination


def _with_clue(scheme: Scheme, request: Request, verdict: Verdict) -> Verdict:
    """`verdict` with what the body itself lets suspect, where the order that it was signed in cannot be known."""
    finding = verdict.finding
    if finding is None or finding.cause != "unexplained" or scheme.coverage is not Coverage.BYTES:
        return verdict
    if len(request.body) > MAX_BODY_BYTES or not has_sorted_names(request.body):
        return verdict
    return replace(verdict, finding=replace(finding, fix=f"{finding.fix}; {_SORTED}"))


def _beside_the_signature(
    scheme: Scheme, secrets: Sequence[Secret], request: Request, url: str, verdict: Verdict, origin: str
) -> Verdict:
    """The verdict where the signature is right: the timestamp's form is not, or what it claims of the body."""
    presented = present(scheme, request, url)
    if isinstance(signed_at_s(scheme.timestamp, presented, request.body), str):
        return _explained(scheme, (Deviation("timestamp-form", verdict.reason),), origin)
    keys = [key for key in keys_of(scheme, tuple(secrets)) if secrets[key.number - 1].origin == origin]
    parts = keys[0].parts if keys else {}
    for form in islice(body_forms(request.body), MAX_CLAIMED_FORMS):
        presented.values["body"] = form.body
        with suppress(Unsignable):
            if contradiction(presented, parts) is None:
                return _explained(scheme, form.deviations, origin)
    return _told(verdict, _FALLBACKS[verdict.kind])


def _speaks_of(scheme: Scheme, request: Request) -> bool:
    """True when a header of `request` tells its provider."""
    names = {name.lower() for name, _ in request.headers}
    return any(recognition.name in names for recognition in scheme.detection.headers)


def _by_another_scheme(
    scheme: Scheme, secrets: Sequence[Secret], request: Request, url: str, search: Search
) -> Verdict | None:
    """The verdict where a scheme whose header is there too fits: it signs as that one, or the body was changed."""
    for other in other_schemes(scheme, request, search):
        known = [*secrets, *(secret for provider, secret in search.secrets if provider == other.id)]
        if not other.is_signed or (other.needs_url and not url):
            continue
        right = judged(other, known, request, url)
        if isinstance(right, Verdict) or right.key is None:
            continue
        number = right.key.number
        origin = known[number - 1].origin
        if scheme.covers_body and not other.covers_body and number <= len(secrets):
            deviation = Deviation("body-changed", f"what {other.name} sends beside the body's signature fits")
        else:
            deviation = Deviation("scheme-other", other.name)
        return _explained(scheme, (deviation,), origin)
    return None


def _told(verdict: Verdict, cause: str) -> Verdict:
    """`verdict` with the finding of `cause`."""
    return replace(verdict, finding=Finding(cause, CAUSES[cause].fix))


def timed(scheme: Scheme, presented: Presented, verdict: Verdict, now_s: float) -> Verdict:
    """The verdict on a signature that is right but too old or too new, with its cause."""
    cause = "timestamp-stale" if verdict.kind is VerdictKind.EXPIRED else "timestamp-future"
    at_s = presented.at_s
    if at_s is None:
        return _told(verdict, cause)
    policy = scheme.timestamp
    limit_s = (policy.tolerance_s if policy is not None else None) or _HOUR_S
    for factor, words in (
        (1_000, "in seconds, not in milliseconds"),
        (0.001, "in milliseconds, not in seconds"),
    ):
        if abs(now_s - at_s * factor) <= limit_s:
            return replace(
                _told(verdict, "timestamp-unit"), reason=f"{verdict.reason}: it is written {words}"
            )
    verdict = _told(verdict, cause)
    age_s = abs(now_s - at_s)
    hours = round(age_s / _HOUR_S)
    if 0 < hours <= _MAX_ZONE_HOURS and abs(age_s - hours * _HOUR_S) <= _ZONE_S and verdict.finding:
        hint = (
            f"{duration(hours * _HOUR_S)} to the minute: a time zone may be at fault; {verdict.finding.fix}"
        )
        return replace(verdict, finding=replace(verdict.finding, fix=hint))
    return verdict


def _explained(scheme: Scheme, deviations: tuple[Deviation, ...], origin: str) -> Verdict:
    first = CAUSES[deviations[0].cause]
    names = tuple(dict.fromkeys(deviation.cause for deviation in deviations))
    finding = Finding(names[0], first.fix, origin, names[1:])
    return Verdict(first.kind, scheme.id, words_of(deviations), finding)


def _mismatch(scheme: Scheme, secrets: Sequence[Secret]) -> str:
    """What can be said of a signature that nothing explains."""
    if not keys_of(scheme, tuple(secrets)):
        return f"the secret is not in the form of {scheme.name}: {scheme.secret_form or scheme.keys[0]}"
    if scheme.coverage is Coverage.BYTES and not scheme.is_web_token:
        return _WRONG + ", another URL" * scheme.needs_url + ", or the body was changed"
    return _WRONG


def _lost_bytes(request: Request, verdict: Verdict) -> str:
    """How much of the body is here, where its own Content-Length says that some is missing; else ""."""
    if verdict.kind is not VerdictKind.WRONG_SECRET or header_value(request.headers, "Content-Encoding"):
        return ""
    length = header_value(request.headers, "Content-Length") or b""
    if not length.isdigit() or len(length) > 12 or int(length) <= len(request.body):
        return ""
    return f"{len(request.body)} of {int(length)}"


def _malformed(scheme: Scheme, request: Request, url: str) -> str:
    """What is wrong with the form of the signatures, in words; "" when one of them could be right."""
    presented = present(scheme, request, url)
    form = f"{scheme.algorithm} in {scheme.encoding}"
    if scheme.is_web_token or scheme.algorithm == "token" or scheme.other_algorithms:
        return ""
    if scheme.algorithm in PRIMITIVES:
        raw = PRIMITIVES[scheme.algorithm](b"", b"")
        lengths = [len(signature) for signature in presented.signatures]
        made = len(ENCODINGS[scheme.encoding](raw))
        return "" if made in lengths else f"the signature has {lengths[0]} characters, {form} has {made}"
    for signature in presented.signatures:
        try:
            DECODINGS[scheme.encoding](signature)
        except ValueError:
            continue
        return ""
    return f"the signature is not {form}"
