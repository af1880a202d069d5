"""Why a signature does not fit: re-encoded bodies are told from wrong secrets, and garbage is refused cheaply."""

import json

import pytest

from webhookctl.model import Request, Secret, Verdict, VerdictKind
from webhookctl.signing import load, sign, verify
from webhookctl.signing.xray.search import MAX_BODY_BYTES

SECRET = Secret("topsecret_key")
DOCUMENT = {"z": 1, "name": "café", "url": "https://example.com/a", "list": [1.5, True, None]}
COMPACT = json.dumps(DOCUMENT, separators=(",", ":"), ensure_ascii=False).encode()


def verdict(original: bytes, arrived: bytes, *, secret: Secret = SECRET) -> Verdict:
    headers = sign(load("stripe"), SECRET, body=original, timestamp_s=0, message_id="m")
    return verify(load("stripe"), [Secret("other"), secret], Request("POST", "/", headers, arrived), now_s=0)


def dumped(**options: object) -> bytes:
    return json.dumps(DOCUMENT, **options).encode()  # type: ignore[arg-type]  # options of json.dumps


@pytest.mark.parametrize(
    ("original", "form"),
    [
        (COMPACT, "compact JSON"),
        (dumped(ensure_ascii=False), "spaced JSON"),
        (dumped(ensure_ascii=False, indent=2), "indented JSON"),
        (dumped(separators=(",", ":")), "compact JSON, non-ASCII escaped"),
        (
            dumped(separators=(",", ":")).replace(b"/", b"\\/"),
            "compact JSON, non-ASCII escaped, slashes escaped",
        ),
        (dumped(), "spaced JSON, non-ASCII escaped"),
        (dumped(sort_keys=True, ensure_ascii=False), "spaced JSON with sorted keys"),
        (dumped(sort_keys=True, separators=(",", ":")), "compact JSON with sorted keys, non-ASCII escaped"),
    ],
)
def test_a_re_encoded_json_body_is_told_with_its_form(original: bytes, form: str) -> None:
    arrived = json.dumps(DOCUMENT, indent=4, ensure_ascii=False).encode()
    found = verdict(original, arrived)
    assert found.kind is VerdictKind.BODY_CHANGED
    assert found.reason == f"the signature fits the body as {form}: a proxy or framework re-encoded it"


@pytest.mark.parametrize(
    ("original", "arrived", "form"),
    [
        (b"a=1", b"a=1\n", "without its trailing newline"),
        (b"a=1", b"a=1\r\n", "without its trailing newline"),
        (b"a=1\n", b"a=1", "with a trailing newline"),
        (b"a\nb\n", b"a\r\nb\r\n", "with LF line ends"),
        (b"a\r\nb\r\n", b"a\nb\n", "with CRLF line ends"),
    ],
)
def test_changed_line_ends_are_told(original: bytes, arrived: bytes, form: str) -> None:
    found = verdict(original, arrived)
    assert found.kind is VerdictKind.BODY_CHANGED
    assert found.reason == f"the signature fits the body {form}: a tool or proxy changed it"


@pytest.mark.parametrize("arrived", [b'{"z":2}', b"not json", b"[" * 100_000, b"", b'{"a":"\\ud800"}'])
def test_a_body_with_another_meaning_cannot_be_told_from_a_wrong_secret(arrived: bytes) -> None:
    found = verdict(COMPACT, arrived)
    assert found.kind is VerdictKind.WRONG_SECRET
    assert found.reason == "no known secret makes this signature: wrong secret, or the body was changed"


def test_a_lone_surrogate_does_not_end_the_search() -> None:
    found = verdict(b'{"a":"\\ud800"}', b'{"a": "\\ud800"}')
    assert found.reason.startswith("the signature fits the body as compact JSON:")


def test_a_wrong_secret_is_told_with_the_body_unchanged() -> None:
    assert verdict(COMPACT, COMPACT, secret=Secret("wrong")).kind is VerdictKind.WRONG_SECRET


def test_bodies_over_the_limit_are_not_re_encoded() -> None:
    document = json.dumps({"a": "x" * MAX_BODY_BYTES})
    just_fits = json.dumps({"a": "x" * (MAX_BODY_BYTES - 9)})
    assert len(just_fits) == MAX_BODY_BYTES
    assert verdict(document.replace(" ", "").encode(), document.encode()).kind is VerdictKind.WRONG_SECRET
    assert verdict(just_fits.replace(" ", "").encode(), just_fits.encode()).kind is VerdictKind.BODY_CHANGED


@pytest.mark.parametrize("signature", [b"{resign}", b"deadbeef", b"0" * 40])
def test_a_signature_of_another_length_is_malformed(signature: bytes) -> None:
    request = Request("POST", "/", ((b"X-Hub-Signature-256", b"sha256=" + signature),), COMPACT)
    found = verify(load("github"), [SECRET], request, now_s=0)
    assert found.kind is VerdictKind.MALFORMED
    assert found.reason == f"the signature has {len(signature)} characters, hmac-sha256 in hex has 64"


def test_no_reason_shows_a_secret_or_the_right_signature() -> None:
    right = sign(load("github"), SECRET, body=COMPACT, timestamp_s=0, message_id="m")[0][1].decode()
    for arrived in (COMPACT + b"\n", COMPACT + b"!"):
        reason = verdict(COMPACT, arrived).reason
        assert SECRET.reveal() not in reason
        assert right not in reason
