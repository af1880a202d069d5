"""Bodies that were printed anew: the sender's bytes are found again where the signature proves them."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from webhookctl.jsontext import compact
from webhookctl.model import Capture, Detection, Request, Verdict, VerdictKind, header_value
from webhookctl.wiring.restoring import forms, restored

KEY = b"key"
DOCUMENT = {"url": "https://example.com/a", "name": "caf\u00e9 <&> \U0001f600", "list": [1, {}], "empty": []}


def signature(body: bytes) -> bytes:
    return hmac.new(KEY, body, hashlib.sha256).hexdigest().encode()


class Judge:
    """Knows one scheme: X-Signature is the HMAC of the body."""

    def __init__(self, kind: VerdictKind = VerdictKind.WRONG_SECRET, scheme: str | None = "sample") -> None:
        self.asked = 0
        self._bad = Verdict(kind, scheme, "no")

    def __call__(self, capture: Capture) -> tuple[Detection, Verdict]:
        self.asked += 1
        is_right = header_value(capture.request.headers, "X-Signature") == signature(capture.request.body)
        return Detection("sample"), Verdict(VerdictKind.OK, "sample", "ok") if is_right else self._bad


def relayed(sent: bytes) -> Capture:
    """What JavaScript makes of `sent` on its way."""
    printed = json.dumps(json.loads(sent), separators=(",", ":"), ensure_ascii=False).encode()
    return Capture(Request("POST", "/", ((b"X-Signature", signature(sent)),), printed), 1.0, "")


def php(document: Any) -> str:
    return json.dumps(document, separators=(",", ":")).replace("/", "\\/")


def go(document: Any) -> str:
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


SENT = {
    "as it is": json.dumps(DOCUMENT, separators=(",", ":"), ensure_ascii=False),
    "Python": json.dumps(DOCUMENT),
    "Python, compact": json.dumps(DOCUMENT, separators=(",", ":")),
    "indented": json.dumps(DOCUMENT, indent=2, ensure_ascii=False),
    "indented by four": json.dumps(DOCUMENT, indent=4),
    "PHP": php(DOCUMENT),
    "Go": go(DOCUMENT),
    "Go's encoder": go(DOCUMENT) + "\n",
}


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
@pytest.mark.parametrize("is_length_known", [True, False], ids=["length", "blind"])
def test_the_bytes_of_usual_printers_are_found_again(sent: str, is_length_known: bool) -> None:
    body = sent.encode()
    found = restored(relayed(body), Judge(), original_bytes=len(body) if is_length_known else None)
    assert found.request.body == body
    assert header_value(found.request.headers, "X-Signature") == signature(body)


def test_a_found_body_has_its_length() -> None:
    body = json.dumps(DOCUMENT).encode()
    found = restored(relayed(body), Judge(), original_bytes=len(body))
    assert header_value(found.request.headers, "Content-Length") == b"%d" % len(body)


def test_numbers_that_lost_their_form_cannot_be_found() -> None:
    sent = b'{"price":1.0}'
    capture = Capture(Request("POST", "/", ((b"X-Signature", signature(sent)),), b'{"price":1}'), 1.0, "")
    assert restored(capture, Judge(), original_bytes=len(sent)) is capture


def test_only_bodies_of_the_known_length_are_tried() -> None:
    judge = Judge()
    capture = relayed(b'{"a": "/"}')
    assert restored(capture, judge, original_bytes=3) is capture
    assert judge.asked == 1


@pytest.mark.parametrize("kind", [VerdictKind.NO_HEADER, VerdictKind.MALFORMED, VerdictKind.EXPIRED])
def test_what_no_other_body_can_mend_is_left_alone(kind: VerdictKind) -> None:
    judge = Judge(kind)
    restored(relayed(b'{"a": 1}'), judge, original_bytes=None)
    assert judge.asked == 1


def test_without_a_scheme_nothing_is_tried() -> None:
    judge = Judge(VerdictKind.NO_SECRET, None)
    restored(relayed(b'{"a": 1}'), judge, original_bytes=None)
    assert judge.asked == 1


def test_large_bodies_are_left_alone() -> None:
    judge = Judge()
    large = json.dumps({"a": "x" * 70_000}).encode()
    assert restored(relayed(large), judge, original_bytes=None).request.body != large
    assert judge.asked == 0
    assert restored(relayed(large), judge, original_bytes=len(large)).request.body == large


def test_every_form_is_the_same_json_and_comes_once() -> None:
    body = json.dumps(DOCUMENT, separators=(",", ":"), ensure_ascii=False).encode()
    found = list(forms(body))
    assert len(found) == len(set(found)) > 20
    assert body not in found
    assert all(json.loads(form) == DOCUMENT for form in found)
    assert all(compact(form).startswith(b'{"url":') for form in found)


@pytest.mark.parametrize("body", [b"", b"no json", b"\xff", b'"\xff"'])
def test_what_is_no_json_has_no_forms(body: bytes) -> None:
    assert list(forms(body)) == []
