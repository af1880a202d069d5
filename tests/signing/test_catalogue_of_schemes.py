"""The shipped schemes: what each file says of itself, known answers, ages, and who wins a shared header."""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from webhookctl.model import Request, Secret, VerdictKind
from webhookctl.signing import Coverage, Scheme, Signed, detect, load, provider_ids, sign_request, verify

VECTORS = tomllib.loads((Path(__file__).parent / "vectors.toml").read_text(encoding="utf-8"))
AT_S: int = VECTORS["timestamp_s"]
URL: str = VECTORS["url"]

EVIDENCE_TO_SHIP = ("verified", "sdk-read", "doc", "spec", "source-code", "partial", "secondary")
WITNESS = re.compile(r"(pypi:[\w.-]+==|npm:(@[\w-]+/)?[\w.-]+@)\d[\w.]* \S.+")

# Their requests carry no header of their own (some not even a field): the user says who it is.
UNRECOGNISED_BY_HEADERS = {
    "adyen_item": "a field tells",
    "auth0": "the secret is the Authorization header",
    "braintree": "fields tell",
    "chargebee": "HTTP Basic",
    "dockerhub": "fields tell",
    "figma": "fields tell",
    "gong": "a field tells",
    "helius": "the secret is the Authorization header",
    "mailchimp": "no signature",
    "mailerlite": "its header is just called Signature",
    "mailgun": "fields tell",
    "mautic": "its header is that of Standard Webhooks",
    "microsoft_graph": "fields tell",
    "mollie": "no signature",
    "monday": "a field tells",
    "okta": "the secret is the Authorization header",
    "paddle_classic": "fields tell",
    "postmark": "HTTP Basic",
    "revenuecat": "the secret is the Authorization header",
    "salesforce": "no signature",
    "strava": "no signature",
    "tiktok_shop": "a field tells",
    "vonage": "fields tell",
    "wix": "the body is the token",
}

every = pytest.mark.parametrize("provider", provider_ids())


@dataclass(frozen=True)
class Vector:
    """A known answer: the headers that `provider` sends for `body`, and for how long they are good (None: for ever)."""

    provider: str
    secret: Secret
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    good_for_s: int | None
    is_future_refused: bool


def vectors() -> Iterator[Vector]:
    for entry in VECTORS["vector"]:
        yield Vector(
            entry["provider"],
            Secret(entry["secret"]),
            entry.get("body", VECTORS["body"]).encode(),
            tuple((name.encode(), value.encode()) for name, value in entry["headers"]),
            entry.get("good_for_s"),
            entry.get("future_refused", False),
        )


known = pytest.mark.parametrize("vector", tuple(vectors()), ids=lambda vector: vector.provider)


def signed(vector: Vector, *, at_s: float = AT_S) -> Signed:
    return sign_request(
        load(vector.provider),
        vector.secret,
        body=vector.body,
        timestamp_s=at_s,
        message_id=VECTORS["message_id"],
        url=URL,
    )


def verdict(vector: Vector, made: Signed, *, now_s: float, body: bytes | None = None) -> VerdictKind:
    request = Request("POST", "/hooks?x=1", made.headers, made.body if body is None else body)
    return verify(load(vector.provider), [vector.secret], request, now_s=now_s, url=made.url).kind


@every
def test_a_file_holds_the_scheme_of_its_name(provider: str) -> None:
    scheme = load(provider)
    assert scheme.id == provider
    assert scheme.origin == f"{provider}.toml"
    assert scheme.name.isprintable()


@every
def test_a_scheme_says_how_far_it_can_be_trusted(provider: str) -> None:
    scheme = load(provider)
    assert scheme.evidence in EVIDENCE_TO_SHIP
    if scheme.is_verified:
        assert scheme.verified_with
        assert all(WITNESS.fullmatch(witness) for witness in scheme.verified_with), scheme.verified_with
    else:
        assert scheme.source
        assert not scheme.verified_with


@every
def test_a_delivery_policy_names_its_source(provider: str) -> None:
    policy = load(provider).delivery
    assert bool(policy.source) is bool(policy.timeout_s or policy.retries)


@every
def test_a_scheme_is_recognised_by_headers_or_deliberately_not(provider: str) -> None:
    assert bool(load(provider).detection.headers) is (provider not in UNRECOGNISED_BY_HEADERS)


@every
def test_a_scheme_that_signs_says_which_secret_it_wants(provider: str) -> None:
    scheme = load(provider)
    assert bool(scheme.secret_variables) is bool(scheme.secret_form) is (scheme.algorithm != "none")


@known
def test_a_scheme_makes_its_known_answer(vector: Vector) -> None:
    made = {name.lower(): value for name, value in signed(vector).headers}
    assert {name.lower(): value for name, value in vector.headers}.items() <= made.items()


@known
def test_a_known_answer_is_believed_and_a_changed_one_is_not(vector: Vector) -> None:
    scheme = load(vector.provider)
    made = Signed(vector.headers, vector.body, URL)
    assert verdict(vector, made, now_s=AT_S) is VerdictKind.OK
    other = replace(vector, secret=Secret(vector.secret.reveal()[::-1]))
    assert verdict(other, made, now_s=AT_S) in (VerdictKind.WRONG_SECRET, VerdictKind.MALFORMED)
    changed = vector.body.replace(b"evt_1", b"evt_2").replace(b"AC1", b"AC2")
    assert changed != vector.body
    is_believed = verdict(vector, made, now_s=AT_S, body=changed) is VerdictKind.OK
    assert is_believed is (scheme.coverage is Coverage.NONE)


@known
def test_a_delivery_is_believed_as_long_as_its_provider_says(vector: Vector) -> None:
    made = signed(vector)
    limit_s = vector.good_for_s
    if limit_s is None:
        assert verdict(vector, made, now_s=AT_S + 10 * 365 * 86_400) is VerdictKind.OK
        return
    future = VerdictKind.FUTURE if vector.is_future_refused else VerdictKind.OK
    assert verdict(vector, made, now_s=AT_S + limit_s) is VerdictKind.OK
    assert verdict(vector, made, now_s=AT_S + limit_s + 1) is VerdictKind.EXPIRED
    assert verdict(vector, made, now_s=AT_S - limit_s) is VerdictKind.OK
    assert verdict(vector, made, now_s=AT_S - limit_s - 1) is future


def rivals() -> dict[tuple[bytes, bytes], list[Scheme]]:
    """The schemes that one header in one form gives away, where these are several."""
    found: dict[tuple[bytes, bytes], list[Scheme]] = defaultdict(list)
    for scheme in map(load, provider_ids()):
        for recognition in scheme.detection.headers:
            found[recognition.name, recognition.prefix].append(scheme)
    return {form: schemes for form, schemes in found.items() if len(schemes) > 1}


@pytest.mark.parametrize("form", rivals(), ids=lambda form: b"-".join(form).decode())
def test_of_several_senders_of_a_header_the_lowest_rank_wins_and_the_others_are_named(
    form: tuple[bytes, bytes],
) -> None:
    first, *others = sorted(rivals()[form], key=lambda scheme: scheme.detection.rank)
    assert first.detection.rank < others[0].detection.rank, "two leaders"
    found = detect(Request("POST", "/", ((form[0], form[1] + b"x"),), b"{}"))
    assert found.provider == first.id
    assert "also sent by" in found.reason
    if len(others) <= 3:
        assert all(other.id in found.reason for other in others)


HELD_APART = [
    ({"X-GitHub-Event": "push", "X-Hub-Signature": "sha1=0", "X-Hub-Signature-256": "sha256=0"}, "github"),
    ({"X-GitHub-Event": "push", "X-Gitea-Event": "push", "X-Hub-Signature-256": "sha256=0"}, "gitea"),
    ({"X-Hub-Signature": "sha1=0", "X-Hub-Signature-256": "sha256=0"}, "meta"),
    ({"X-Hub-Signature": "sha1=0"}, "intercom"),
    ({"X-Hub-Signature": "sha256=0"}, "fireflies"),
    ({"X-Hub-Signature": "sha256=0", "X-Event-Key": "repo:push"}, "bitbucket_cloud"),
    ({"X-Hub-Signature": "sha256=0", "X-Atlassian-Webhook-Identifier": "1"}, "jira"),
    ({"X-Signature": "0"}, "clickup"),
    ({"X-Signature": "0", "X-Event-Name": "order_created"}, "lemonsqueezy"),
    ({"X-Signature": "0", "X-Topic": "payment_order"}, "modern_treasury"),
    ({"Signature": "0"}, "mailersend"),
    ({"Signature": "sha256 0"}, "greenhouse"),
    ({"Webhook-Signature": "0"}, "gocardless"),
    ({"Webhook-Signature": "time=1,sig1=0"}, "cloudflare_stream"),
    ({"Webhook-Id": "m", "Webhook-Timestamp": "1", "Webhook-Signature": "v1,0"}, "standardwebhooks"),
    ({"X-Webhook-Signature": "sha256=0"}, "generic"),
    ({"X-Webhook-Signature": "sha256=0", "X-Webhook-Event": "demo"}, "cursor"),
    ({"X-HubSpot-Signature": "0", "X-HubSpot-Signature-Version": "v2"}, "hubspot_v2"),
    (
        {"X-HubSpot-Signature": "0", "X-HubSpot-Signature-Version": "v1", "X-HubSpot-Signature-v3": "0"},
        "hubspot_v3",
    ),
    ({"Authorization": "HMAC 0"}, "teams_outgoing"),
    ({"X-Gitlab-Token": "t", "X-Gitlab-Event": "Push Hook", "webhook-signature": "v1,0"}, "gitlab"),
]


@pytest.mark.parametrize(("headers", "provider"), HELD_APART, ids=lambda value: str(value)[:60])
def test_senders_of_like_headers_are_held_apart(headers: dict[str, str], provider: str) -> None:
    for pairs in (list(headers.items()), list(headers.items())[::-1]):
        request = Request("POST", "/", tuple((name.encode(), value.encode()) for name, value in pairs), b"{}")
        assert detect(request).provider == provider
