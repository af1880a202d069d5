"""`webhookctl verify` says why: the cause, what was signed, the whole way; and gives no secret or signature away."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import NOW_S, Delivery, Project, Result, run, signature
from tests.cli.test_machine_output import validator

BODY = b'{"id":"evt_1","type":"invoice.paid","name":"caf\xc3\xa9"}'
SPACED = json.dumps(json.loads(BODY), ensure_ascii=False).encode()
AT = ("--at", str(int(NOW_S)))
TEXT = "whsec_" + "QUJD" * 8


@pytest.fixture(autouse=True)
def secret(project: Project) -> Path:
    """The file of the secret that everything here is signed with."""
    return project.write("secret", TEXT + "\n")


def verify(*arguments: str, stdin: bytes = BODY) -> Result:
    return run("verify", "--secret", "file:secret", *arguments, *AT, stdin=stdin)


def lines(result: Result) -> dict[str, str]:
    """What stands below the answer, by label; the first of each."""
    found: dict[str, str] = {}
    for line in result.text.splitlines()[1:]:
        label, _, text = line.strip().partition(" ")
        found.setdefault(label, text.strip())
    return found


def test_the_cause_what_was_signed_both_signatures_and_the_fix_are_shown(project: Project) -> None:
    header = signature("stripe", BODY)
    result = verify("-H", header, stdin=SPACED)
    shown = lines(result)
    assert result.exit_code == 3
    assert shown["cause"] == "json-layout"
    assert shown["secret"] == "file:secret"
    assert shown["signed"] == f"{int(NOW_S)}.{BODY.decode()}"
    received = header.rpartition("v1=")[2]
    assert shown["received"] == f"{received[:6]}… (64 characters)"
    assert shown["expected"].endswith("… (64 characters)")
    assert "express.raw()" in shown["fix"]
    assert "await request.body()" in shown["fix"]


def test_a_cause_that_is_not_known_is_said_to_be_unknown(project: Project) -> None:
    shown = lines(verify("-H", signature("stripe", BODY), stdin=b"{}"))
    assert shown["cause"] == "unexplained"
    assert shown["content"] == f"{int(NOW_S)}.{{}}"


@pytest.mark.parametrize("more", [(), ("--explain",), ("--json",), ("--json", "--explain")])
@pytest.mark.parametrize("body", [SPACED, b"{}"])
def test_neither_a_secret_nor_a_whole_signature_is_shown(
    project: Project, more: tuple[str, ...], body: bytes
) -> None:
    header = signature("stripe", BODY)
    right = signature("stripe", body).rpartition("v1=")[2]
    result = verify("-H", header, *more, stdin=body)
    assert result.exit_code == 3
    for hidden in (TEXT, right, right[:7], header.rpartition("v1=")[2]):
        assert hidden not in result.text + result.errors


def test_a_token_is_not_shown_at_all(project: Project) -> None:
    for more in ((), ("--explain",), ("--json", "--explain")):
        result = verify("-p", "gitlab", "-H", "X-Gitlab-Token: some_other_token_12345", *more)
        assert result.exit_code == 3
        assert "some_o" not in result.text
        assert TEXT[:6] not in result.text


def test_a_secret_inside_the_content_is_shown_as_a_slot(project: Project) -> None:
    headers = [part for line in signature("hubspot_v1", BODY).split("\n") for part in ("-H", line)]
    result = verify("-p", "hubspot_v1", *headers, stdin=BODY + b"\n")
    assert lines(result)["cause"] == "body-newline"
    assert lines(result)["signed"] == "{secret}" + BODY.decode()
    assert TEXT not in result.text


def test_explain_shows_every_step(project: Project) -> None:
    result = verify("-H", signature("stripe", BODY), "--explain", stdin=SPACED)
    shown = lines(result)
    assert shown["scheme"] == "Stripe (stripe), verified; header Stripe-Signature (also sent by stripe_thin)"
    assert shown["header"].startswith(f"Stripe-Signature: t={int(NOW_S)},v1=")
    assert shown["key"] == "file:secret, as utf8: does not fit"
    assert shown["signs"] == "{ts}.{body}"
    assert f"{{ts}} = {int(NOW_S)}" in result.text
    assert shown["makes"] == "hmac-sha256, as hex"
    assert shown["time"] == "0s old; the limit is 5m00s, into the past only"
    assert "json-layout" in shown["tried"]
    for framework in ("Express", "Flask", "Django", "FastAPI", "Rails", "Spring", "Go net/http"):
        assert f"\n  {framework}" in result.text


def test_explain_says_of_a_right_signature_which_secret_fits(project: Project) -> None:
    result = verify("-H", signature("stripe", BODY), "--explain")
    assert (result.exit_code, result.text.partition("\n")[0]) == (0, "valid Stripe signature")
    assert lines(result)["key"] == "file:secret, as utf8: fits"
    assert "tried" not in lines(result)


def test_explain_names_other_known_secrets_by_their_origin(project: Project) -> None:
    environ = {"STRIPE_WEBHOOK_SECRET_TEST": "another_secret"}
    header = signature("stripe", BODY, secret="another_secret")
    result = run(
        "verify", "--secret", "file:secret", "-H", header, *AT, "--explain", stdin=BODY, environ=environ
    )
    assert lines(result)["cause"] == "secret-other"
    known = "(known, but not for this request)"
    assert f"key       env:STRIPE_WEBHOOK_SECRET_TEST, as utf8: fits {known}" in result.text
    assert "another_secret" not in result.text


@pytest.mark.parametrize("provider", ["stripe", "slack", "plaid", "discord", "square", "twilio_form"])
def test_every_scheme_can_be_explained_without_a_header(project: Project, provider: str) -> None:
    result = verify("-p", provider, "--explain", "--json", "--url", "https://example.com/h")
    validator("verify").validate(result.envelope)
    assert result.exit_code in (2, 3)


def test_json_carries_the_cause_and_with_explain_the_way(project: Project) -> None:
    header = signature("stripe", BODY)
    short = verify("-H", header, "--json", stdin=SPACED)
    validator("verify").validate(short.envelope)
    assert short.data["cause"]["code"] == "json-layout"
    assert short.data["cause"]["secret"] == "file:secret"
    assert short.data["received"]["length"] == 64
    assert short.data["explanation"] is None
    whole = verify("-H", header, "--json", "--explain", stdin=SPACED)
    validator("verify").validate(whole.envelope)
    explanation = whole.data["explanation"]
    assert explanation["keys"][0] == {
        "secret": "file:secret",
        "derivation": "utf8",
        "outcome": "does-not-fit",
        "is_judged": True,
    }
    assert [slot["slot"] for slot in explanation["content"]] == ["ts", None, "body"]
    assert explanation["tried"]["json-layout"] >= 1


def test_what_the_body_holds_does_not_steer_the_terminal(project: Project) -> None:
    hostile = b'{"a":"\x1b[31m\xe2\x80\xae"}'
    result = verify("-H", signature("stripe", hostile), "--explain", stdin=hostile + b"\n")
    assert lines(result)["cause"] == "body-newline"
    assert "\x1b" not in result.text
    assert "\u202e" not in result.text


def square(url: str, target_host: str = "hooks.example.com") -> Delivery:
    result = run("sign", "-p", "square", "--secret", "file:secret", "--url", url, "--json", stdin=BODY)
    [[name, value]] = result.data["headers"]
    headers = (
        (b"Host", target_host.encode()),
        (b"X-Forwarded-Proto", b"https"),
        (name.encode(), value.encode()),
    )
    return Delivery(BODY, headers, provider="square", event="x")


def test_a_saved_delivery_is_judged_by_the_url_that_its_sender_called(project: Project) -> None:
    project.record(square("https://hooks.example.com/hooks"))
    assert verify("#1").text == "valid Square signature\n"
    assert run("fixtures", "save", "#1", "--keep-secrets").exit_code == 0
    [fixture] = (project.folder / "fixtures" / "square").glob("*.toml")
    project.history_path.unlink()
    assert verify(str(fixture.relative_to(project.folder))).text == "valid Square signature\n"
    other = verify(str(fixture.relative_to(project.folder)), "--url", "http://hooks.example.com/hooks")
    assert lines(other)["cause"] == "url-scheme"
