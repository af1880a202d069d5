"""No cause is named that is not true: ten thousand random corruptions, and what each finding claims is checked.

A body that was found must be the one that was signed; a signature that was found must be the one that was made.
"""

from functools import cache
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.signing.xray import BODY, NOW_S, SECRET, URL, causes, judged
from webhookctl.model import Request, Secret, Verdict
from webhookctl.signing import Search, load, sign
from webhookctl.signing.xray.examination import Hit, examine, first_signature

EXAMPLES = 250
CORRUPTIONS = 40  # in each example: 10,000 in all

SCHEMES = (
    "stripe",
    "github",
    "shopify",
    "slack",
    "standardwebhooks",
    "square",
    "zoom",
    "workos",
    "svix",
    "linear",
    "trello",
    "gitlab",
)
BODIES = (
    BODY,
    b'{"b": 1.0, "a": [true, null, "x\\/y"], "n": 12345678901234567890}\n',
    b'{\n  "type": "demo",\n  "n": 10\n}',
    b"a=x+y&b=2&payload=%7B%22a%22%3A1%7D",
    b"line\r\nline\r\n",
    "caf\ufffd text".encode(),
    b"{}",
    b"",
)
OTHERS = (("stripe", Secret("other_secret_1", "env:A")), ("slack", Secret("other_secret_2", "env:B")))
SEARCHES = (Search(OTHERS), *[Search(OTHERS, max_signatures=160)] * 7)  # the whole search for one in eight

HONEST = {"unexplained", "header-missing", "malformed"}
OF_BODIES = {"json-", "form-", "body-"}
OF_HEADERS = {"header-", "signature-", "timestamp-", "content-"}


def corrupted(text: bytes, random: Random) -> bytes:
    """`text` with a flipped bit, another byte, or some bytes more or less."""
    how = random.randrange(5)
    at = random.randrange(len(text) + 1)
    if how == 0 and text:
        at %= len(text)
        return text[:at] + bytes((text[at] ^ (1 << random.randrange(8)),)) + text[at + 1 :]
    if how == 1:
        return text[:at] + random.randbytes(random.randint(1, 3)) + text[at:]
    if how == 2:
        return text[:at] + bytes((random.choice(b' \n\r\t0".,=+'),)) + text[at:]
    if how == 3:
        return text[:at] + text[at + random.randint(1, 3) :]
    return random.randbytes(len(text) or 4)


def corrupted_request(request: Request, random: Random) -> tuple[str, Request]:
    """What was corrupted, and the request."""
    place = random.choice(("body", "value", "value", "name", "signature"))
    if place == "body":
        return place, Request(
            request.method, request.target, request.headers, corrupted(request.body, random)
        )
    headers = list(request.headers)
    number = random.randrange(len(headers))
    name, value = headers[number]
    if place == "name":
        headers[number] = (corrupted(name, random), value)
    elif place == "signature":
        half = len(value) // 2
        headers[number] = (name, value[:half] + corrupted(value[half:], random))
    else:
        headers[number] = (name, corrupted(value, random))
    return place, Request(request.method, request.target, tuple(headers), request.body)


@cache
def signed(provider: str, body: bytes) -> Request:
    headers = sign(load(provider), SECRET, body=body, timestamp_s=NOW_S, message_id="msg_1", url=URL)
    return Request("POST", "/hooks?x=1", headers, body)


def check(provider: str, body: bytes, random: Random) -> None:
    scheme = load(provider)
    url = URL if scheme.needs_url else ""
    original = signed(provider, body)
    place, request = corrupted_request(original, random)
    search = random.choice(SEARCHES)
    verdict = judged(scheme, request, search=search, url=url)
    if verdict.is_ok or set(causes(verdict)) <= HONEST:
        return
    what = (provider, place, causes(verdict), request.headers, request.body)
    assert fits(place, verdict), what
    if verdict.finding is not None and verdict.finding.cause in ("timestamp-stale", "timestamp-future"):
        return  # a fact about a timestamp that is not signed
    made = first_signature(scheme, [SECRET], original, url)
    hit = examine(scheme, [SECRET], request, url=url, search=search).hit
    assert made is not None, what
    assert hit is not None, what
    assert restores(hit, made, is_token=scheme.algorithm == "token"), what


def fits(place: str, verdict: Verdict) -> bool:
    """True when the causes are of the kind of place that was corrupted."""
    allowed = OF_BODIES if place == "body" else OF_HEADERS
    return all(any(cause.startswith(kind) for kind in allowed) for cause in causes(verdict))


def restores(hit: Hit, made: Hit, *, is_token: bool) -> bool:
    """True when what was found is what had been signed, with the secret it was signed with."""
    if is_token:
        return hit.origin == made.origin and made.signature.startswith(hit.signature)
    return hit.origin == made.origin and (hit.body, hit.content) == (made.body, made.content)


@settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=EXAMPLES,
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_cause_is_named_that_is_not_true(seed: int) -> None:
    random = Random(seed)
    for _ in range(CORRUPTIONS):
        check(random.choice(SCHEMES), random.choice(BODIES), random)


def test_the_check_sees_a_false_cause() -> None:
    made = first_signature(load("github"), [SECRET], Request("POST", "/", (), BODY), "")
    assert made is not None
    false = Hit((), BODY + b"!", made.origin, made.signature, BODY + b"!")
    assert not restores(false, made, is_token=False)
