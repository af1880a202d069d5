"""Right answers of apps are right in any form that the provider takes; each wrong one is named by its fault."""

from dataclasses import replace

import pytest

from tests.handshake.requests import ALL, KNOWN, UNJUDGED, WRONG, get, incoming, named, post
from webhookctl.handshake import Handshake, Known, answer, check, check_refusal
from webhookctl.model import Headers, Request, Response, Secret

TEXT = (b"Content-Type", b"text/plain")
JSON = (b"content-type", b"application/json; charset=utf-8")
HTML = (b"Content-Type", b"text/html; charset=utf-8")
SLACK = post(b'{"type":"url_verification","challenge":"abc"}')
META = get("/?hub.mode=subscribe&hub.challenge=42&hub.verify_token=sample-token")
ZOOM = post(b'{"event":"endpoint.url_validation","payload":{"plainToken":"a"}}')


def complaints(
    name: str,
    request: Request,
    body: bytes = b"",
    *headers: tuple[bytes, bytes],
    status: int = 200,
    known: Known = KNOWN,
    took_s: float | None = None,
) -> tuple[str, ...]:
    response = Response(status, "", headers, body)
    return check(named(name), request, response, known, took_s=took_s).complaints


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.id)
def test_our_own_answer_is_right_by_our_own_check(row: Handshake) -> None:
    request = incoming(row)
    assert check(row, request, answer(row, request, KNOWN).response, KNOWN).is_right


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.id)
def test_an_error_is_no_answer_to_any(row: Handshake) -> None:
    found = check(row, incoming(row), Response(500, "", (), b""), KNOWN).complaints
    assert len(found) == 1
    assert "answered 500" in found[0]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"challenge": "abc"}', (JSON,)),
        (b'{"ok": true, "challenge": "abc"}', (JSON,)),
        (b"abc", (TEXT,)),
        (b"abc", ()),
        (b"challenge=abc", ((b"Content-Type", b"application/x-www-form-urlencoded"),)),
    ],
)
def test_each_form_that_slack_takes_is_right(body: bytes, headers: Headers) -> None:
    assert complaints("slack", SLACK, body, *headers) == ()


@pytest.mark.parametrize(
    ("body", "header", "fault"),
    [
        (b"abc", HTML, "as a page (text/html)"),
        (b"<html>abc</html>", TEXT, "not the JSON object"),
        (b'{"challenge":"abd"}', JSON, "the field challenge is 'abd', not 'abc'"),
        (b'{"token":"abc"}', JSON, "no field challenge"),
        (b"", TEXT, "asked for: empty"),
    ],
)
def test_a_wrong_answer_to_slack_is_named_by_its_fault(
    body: bytes, header: tuple[bytes, bytes], fault: str
) -> None:
    found = complaints("slack", SLACK, body, header)
    assert any(fault in complaint for complaint in found), found


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'"42"', "stands in quotes"),
        (b"42\n", "white space"),
        (b"43", "the body is '43', not '42'"),
        (b"x" * 200, "…'"),
    ],
)
def test_a_wrong_echo_is_named_by_its_fault(body: bytes, fault: str) -> None:
    (complaint,) = complaints("meta", META, body, TEXT)
    assert fault in complaint


def test_a_page_without_a_body_is_harmless() -> None:
    assert complaints("aws_sns", incoming(named("aws_sns")), b"", HTML) == ()


def test_a_provider_that_wants_a_content_type_is_told_of_another() -> None:
    asked = post(b"", target="/?validationToken=a")
    (complaint,) = complaints("microsoft_graph", asked, b"a", JSON)
    assert "wants text/plain" in complaint
    (complaint,) = complaints("microsoft_graph", asked, b"a")
    assert "missing" in complaint


@pytest.mark.parametrize(
    ("name", "status", "wanted"),
    [("meta", 201, "wants 200"), ("asana", 201, "200 or 204"), ("websub", 301, "2xx")],
)
def test_another_status_is_told_with_the_one_that_was_wanted(name: str, status: int, wanted: str) -> None:
    (complaint,) = complaints(name, incoming(named(name)), status=status)
    assert wanted in complaint


def test_an_answer_that_comes_too_late_is_told() -> None:
    right = b'{"challenge":"abc"}'
    assert complaints("slack", SLACK, right, JSON, took_s=2.9) == ()
    (complaint,) = complaints("slack", SLACK, right, JSON, took_s=3.1)
    assert complaint == "took 3.1 s: Slack waits 3 s"
    assert complaints("meta", META, b"42", TEXT, took_s=60.0) == ()


def test_a_wrong_hmac_is_told_where_the_secret_is_known_and_let_pass_where_it_is_not() -> None:
    body = b'{"plainToken":"a","encryptedToken":"ffff"}'
    (complaint,) = complaints("zoom", ZOOM, body, JSON)
    assert "another secret" in complaint
    unknown = replace(KNOWN, secrets=(Secret("dev", "development"),))
    assert complaints("zoom", ZOOM, body, JSON, known=unknown) == ()
    (complaint,) = complaints("zoom", ZOOM, b'{"plainToken":"b","encryptedToken":"f"}', JSON, known=unknown)
    assert "plainToken" in complaint
    assert complaints("zoom", ZOOM, b"anything", TEXT, known=replace(KNOWN, secrets=())) == ()


def test_a_keyed_text_is_checked_as_far_as_it_can_be() -> None:
    asked = get("/?bt_challenge=a")
    unknown = replace(KNOWN, secrets=(Secret("a:b", "development"),))
    assert complaints("braintree", asked, b"x|y", TEXT, known=unknown) == ()
    assert complaints("braintree", asked, b"", TEXT, known=unknown) == ("the body is empty",)


def test_headers_are_looked_at_and_a_secret_is_not_quoted() -> None:
    asked = post(b"", (b"X-Hook-Secret", b"hidden-secret"))
    assert complaints("asana", asked, b"", (b"x-hook-secret", b"hidden-secret")) == ()
    assert complaints("asana", asked) == ("the header X-Hook-Secret is missing",)
    (complaint,) = complaints("asana", asked, b"", (b"X-Hook-Secret", b"other"))
    assert "hidden-secret" not in complaint


def test_a_grant_to_everybody_is_a_grant() -> None:
    asked = Request("OPTIONS", "/", ((b"WebHook-Request-Origin", b"a.example.com"),), b"")
    assert complaints("cloudevents", asked, b"", (b"WebHook-Allowed-Origin", b"*")) == ()
    (complaint,) = complaints("cloudevents", asked, b"", (b"WebHook-Allowed-Origin", b"b"))
    assert "'a.example.com'" in complaint


def test_what_counts_of_a_longer_text_is_enough() -> None:
    asked = incoming(named("salesforce"))
    kind = (b"Content-Type", b"text/xml")
    assert complaints("salesforce", asked, b"<e:Envelope><Ack>true</Ack></e:Envelope>", kind) == ()
    assert len(complaints("salesforce", asked, b"<Ack>false</Ack>", kind)) == 1


def test_a_body_that_has_to_be_empty_is_told_when_it_is_not() -> None:
    (complaint,) = complaints("xero", incoming(named("xero")), b"thanks", TEXT)
    assert "has to be empty" in complaint


def test_what_has_to_be_refused_is_wrong_when_it_is_accepted() -> None:
    wrong = replace(KNOWN, verdict=WRONG)
    (complaint,) = complaints("discord", incoming(named("discord")), b'{"type":1}', JSON, known=wrong)
    assert "wants 401" in complaint
    assert complaints("discord", incoming(named("discord")), status=401, known=wrong) == ()
    assert len(complaints("discord", incoming(named("discord")), status=403, known=wrong)) == 1


def test_a_provider_that_does_not_test_takes_any_refusal() -> None:
    for status in (400, 403, 404):
        assert check_refusal(named("meta"), Response(status, "", (), b""), 403).is_right
    assert not check_refusal(named("meta"), Response(200, "", (), b""), 403).is_right
    assert not check_refusal(named("meta"), Response(500, "", (), b""), 403).is_right


def test_where_nobody_here_can_tell_a_refusal_is_as_right_as_an_answer() -> None:
    known = Known(accepts_any_token=True)
    judged = check(named("meta"), META, Response(403, "", (), b""), known)
    assert judged.is_right
    assert judged.is_refusal
    assert complaints("meta", META, b"42", TEXT, known=known) == ()
    unjudged = replace(KNOWN, verdict=UNJUDGED)
    assert complaints("discord", incoming(named("discord")), status=401, known=unjudged) == ()
    assert complaints("discord", incoming(named("discord")), b'{"type":1}', JSON, known=unjudged) == ()
