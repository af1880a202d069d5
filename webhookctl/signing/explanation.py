"""How a verdict came about, step by step: headers, keys, content, comparison, time, and everything that was tried.

Shows no secret and no whole signature: of a right one somebody could make a request of their own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from webhookctl.model import Headers, Request, Secret, Verdict, VerdictKind
from webhookctl.signing.moment import duration, signed_at_s
from webhookctl.signing.presented import Presented, fitting_key, key_of
from webhookctl.signing.scheme import Scheme
from webhookctl.signing.xray.examination import Hit, examine, first_signature, present
from webhookctl.signing.xray.search import Search

SHOWN_CHARACTERS = 6  # of a signature
_SHORTEST = 20  # a signature must have more characters, or nothing of it is shown


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A signature as far as it may be shown: how it `begins` ("" for a token, which is a secret), and its `length`."""

    begins: str
    length: int


@dataclass(frozen=True, slots=True)
class KeyNote:
    """What became of a secret: where it came from, how it is made into a key, and what came out.

    `outcome`: fits, does-not-fit, not-in-form. `is_judged` is False for one that is known, but not for this request.
    """

    origin: str
    derivation: str
    outcome: str
    is_judged: bool = True


@dataclass(frozen=True, slots=True)
class Slot:
    """A piece of the signed content: the slot's name ("" for what the template writes itself), and its value."""

    name: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Explanation:
    """How the verdict on a request came about.

    `headers` are those the scheme reads, signatures shortened; `content` is what the scheme signs of the request as
    it is, `signed` what the sender signed, where that was found out (else None). `tried` counts by cause.
    """

    scheme: Scheme
    verdict: Verdict
    headers: tuple[tuple[str, str], ...]
    keys: tuple[KeyNote, ...]
    content: tuple[Slot, ...]
    expected: Glimpse | None
    received: Glimpse | None
    time: str
    signed: bytes | None
    tried: Mapping[str, int]
    is_cut_short: bool

    @property
    def is_compared(self) -> bool:
        """True when there is a signature that was refused for itself, not for its age."""
        is_late = self.verdict.kind in (VerdictKind.EXPIRED, VerdictKind.FUTURE)
        return self.received is not None and self.verdict.is_bad and not is_late


def explain(
    scheme: Scheme,
    secrets: Sequence[Secret],
    request: Request,
    verdict: Verdict,
    *,
    now_s: float,
    url: str = "",
    search: Search | None = None,
) -> Explanation:
    """How `verdict` on `request` came about; `search` as it was judged with. Never raises."""
    presented = present(scheme, request, url)
    made = first_signature(scheme, secrets, request, url) if scheme.is_signed else None
    search = search or Search()
    hit, tried, is_cut_short = _tried(scheme, secrets, request, verdict, url=url, search=search)
    is_secret = scheme.algorithm == "token"
    received = presented.signatures[0] if presented.signatures else None
    return Explanation(
        scheme=scheme,
        verdict=verdict,
        headers=tuple(_headers(scheme, request.headers, presented)),
        keys=tuple(_keys(scheme, secrets, search, presented)),
        content=_content(scheme, presented, made),
        expected=_glimpse(made.signature, is_secret=is_secret) if made is not None else None,
        received=_glimpse(received, is_secret=is_secret) if received is not None else None,
        time=_time(scheme, presented, request.body, now_s),
        signed=hit.content if hit is not None else None,
        tried=tried,
        is_cut_short=is_cut_short,
    )


def _tried(
    scheme: Scheme, secrets: Sequence[Secret], request: Request, verdict: Verdict, *, url: str, search: Search
) -> tuple[Hit | None, Mapping[str, int], bool]:
    """What the search found, where the signature itself was refused."""
    if not verdict.is_bad or verdict.kind in (VerdictKind.EXPIRED, VerdictKind.FUTURE):
        return None, {}, False
    examination = examine(scheme, secrets, request, url=url, search=search)
    return examination.hit, examination.tried, examination.is_cut_short


def _glimpse(signature: bytes, *, is_secret: bool) -> Glimpse:
    text = signature.decode("latin-1")
    is_shown = not is_secret and len(text) > _SHORTEST
    return Glimpse(text[:SHOWN_CHARACTERS] if is_shown else "", len(text))


def _headers(scheme: Scheme, headers: Headers, presented: Presented) -> list[tuple[str, str]]:
    """What the scheme reads, as it came, without the middle of long items of headers that hold a signature."""
    found = []
    for name, value in headers:
        template = scheme.headers_by_name.get(name.lower())
        if template is None:
            continue
        text = value.decode("latin-1")
        if template.has_signature:
            for signature in sorted(presented.signatures, key=len, reverse=True):
                whole = signature.decode("latin-1")
                glimpse = _glimpse(signature, is_secret=scheme.algorithm == "token")
                text = text.replace(whole, f"{glimpse.begins}…({glimpse.length} characters)")
            if text == value.decode("latin-1") and len(text) > _SHORTEST:
                text = f"{text[:SHOWN_CHARACTERS]}…({len(text)} characters)"
        found.append((name.decode("latin-1"), text))
    return found


def _keys(
    scheme: Scheme, secrets: Sequence[Secret], search: Search, presented: Presented
) -> Iterator[KeyNote]:
    judged = {secret.reveal() for secret in secrets}
    others = {secret.reveal(): secret for _, secret in search.secrets if secret.reveal() not in judged}
    for secret, is_judged in (
        *((secret, True) for secret in secrets),
        *((secret, False) for secret in others.values()),
    ):
        for derivation in scheme.keys:
            yield KeyNote(
                secret.origin, derivation, _outcome(scheme, secret, derivation, presented), is_judged
            )


def _outcome(scheme: Scheme, secret: Secret, derivation: str, presented: Presented) -> str:
    try:
        key = key_of(scheme, secret, derivation)
    except ValueError:
        return "not-in-form"
    try:
        is_fit = presented.signatures and fitting_key(scheme, (key,), presented)
    except (ValueError, KeyError):  # the request is not of the scheme's form
        is_fit = None
    return "fits" if is_fit else "does-not-fit"


def _content(scheme: Scheme, presented: Presented, made: Hit | None) -> tuple[Slot, ...]:
    """The content by the template's slots; computed ones as a whole, and nothing where a value is missing."""
    if made is None or scheme.algorithm == "token":
        return ()
    values = {**presented.values, "secret": b"{secret}"}
    if any(slot not in values for slot in scheme.template.slots):
        return (Slot("content", made.content),)
    slots = []
    for literal, name in scheme.template.parts:
        if literal:
            slots.append(Slot("", literal))
        if name is not None:
            slots.append(Slot(name, values[name]))
    return tuple(slots)


def _time(scheme: Scheme, presented: Presented, body: bytes, now_s: float) -> str:
    """What the timestamp was judged against, in words."""
    policy = scheme.timestamp
    if policy is None:
        return "the scheme has no timestamp"
    at_s = signed_at_s(policy, presented, body)
    if at_s is None:
        return "the request has no timestamp"
    if isinstance(at_s, str):
        return at_s
    age_s = now_s - at_s
    when = f"{duration(abs(age_s))} {'old' if age_s >= 0 else 'ahead'}"
    if policy.tolerance_s is None:
        return f"{when}; the provider checks no age"
    future = "both ways" if policy.is_future_refused else "into the past only"
    return f"{when}; the limit is {duration(policy.tolerance_s)}, {future}"
