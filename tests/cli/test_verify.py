"""`webhookctl verify`: each verdict, each kind of target."""

from pathlib import Path

import pytest

from tests.cli.commands import NOW_S, Delivery, Project, Result, run, signature
from webhookctl.model import Verdict, VerdictKind

BODY = b'{"id":"evt_1","type":"invoice.paid","data":{"amount":1}}'
AT = ("--at", str(int(NOW_S)))


@pytest.fixture(autouse=True)
def secret(project: Project) -> Path:
    """The file of the secret that everything here is signed with."""
    return project.write("secret", "whsec_" + "QUJD" * 8 + "\n")


def verdict_line(result: Result) -> str:
    """The answer; what follows says why."""
    return result.text.partition("\n")[0]


def verify(*arguments: str, stdin: bytes = BODY) -> Result:
    return run("verify", "--secret", "file:secret", *arguments, stdin=stdin)


@pytest.mark.parametrize(
    "provider", ["stripe", "github", "slack", "shopify", "generic", "svix", "standardwebhooks"]
)
def test_what_sign_makes_verify_takes(project: Project, provider: str) -> None:
    headers = [part for line in signature(provider, BODY).split("\n") for part in ("-H", line)]
    result = verify("-p", provider, *headers, *AT)
    assert (result.exit_code, result.errors) == (0, "")
    assert result.text.startswith("valid ")


def test_a_file_and_standard_input_are_judged_alike(project: Project) -> None:
    project.write("body.json", BODY)
    arguments = ("-p", "stripe", "-H", signature("stripe", BODY), *AT)
    for result in (verify(*arguments, "body.json"), verify(*arguments, "-"), verify(*arguments)):
        assert (result.exit_code, result.text) == (0, "valid Stripe signature\n")


def test_the_provider_is_recognised_by_its_header(project: Project) -> None:
    assert verify("-H", signature("stripe", BODY), *AT).text == "valid Stripe signature\n"


def test_a_missing_header_is_named(project: Project) -> None:
    result = verify("-p", "stripe")
    assert (result.exit_code, verdict_line(result)) == (3, "invalid: no header Stripe-Signature")


def test_a_header_of_another_form_is_shown_the_form(project: Project) -> None:
    result = verify("-p", "stripe", "-H", "Stripe-Signature: nonsense")
    assert (result.exit_code, verdict_line(result)) == (
        3,
        "invalid: header Stripe-Signature is not of the form t={ts},v1={sig}",
    )


def test_another_secret_or_another_body_is_refused(project: Project) -> None:
    header = signature("stripe", BODY)
    other_secret = run("verify", "-H", header, "--secret", "another", *AT, stdin=BODY)
    other_body = verify("-H", header, *AT, stdin=BODY.replace(b"1}", b"2}"))
    for result in (other_secret, other_body):
        assert result.exit_code == 3
        assert (
            verdict_line(result)
            == "invalid: no known secret makes this signature: wrong secret, or the body was changed"
        )


def test_json_that_was_encoded_anew_on_the_way_is_recognised(project: Project) -> None:
    changed = BODY.replace(b":", b": ").replace(b",", b", ")
    result = verify("-H", signature("stripe", BODY), *AT, "--json", stdin=changed)
    assert result.exit_code == 3
    assert result.data["verdict"] == "body_changed"
    assert "re-encoded" in result.data["reason"]


def test_a_stale_signature_says_how_old_it_is(project: Project) -> None:
    result = verify("-H", signature("stripe", BODY, timestamp=NOW_S - 372), *AT)
    assert (result.exit_code, verdict_line(result)) == (
        3,
        "invalid: expired: signed 6m12s ago, the limit is 5m00s",
    )


def test_a_signature_from_the_future_is_refused_where_the_provider_does(project: Project) -> None:
    lines = signature("slack", BODY, timestamp=NOW_S + 3_600).split("\n")
    result = verify("-H", lines[0], "-H", lines[1], *AT, "--json")
    assert (result.exit_code, result.data["verdict"]) == (3, "future")


def test_the_configured_tolerance_counts(project: Project) -> None:
    project.write("webhookctl.toml", 'tolerance_s = "10m"\n')
    result = verify("-H", signature("stripe", BODY, timestamp=NOW_S - 372), *AT)
    assert (result.exit_code, result.text) == (0, "valid Stripe signature\n")


@pytest.mark.parametrize("text", ["noon", "nan", "inf"])
def test_at_takes_only_times(project: Project, text: str) -> None:
    result = verify("-H", signature("stripe", BODY), "--at", text)
    assert (result.exit_code, result.errors.splitlines()[0]) == (2, f"error: --at {text!r} is not a time")


def test_any_secret_of_several_may_fit_while_one_is_rotated(project: Project) -> None:
    header = signature("stripe", BODY)
    result = run("verify", "-H", header, *AT, "--secret", "new", "--secret", "file:secret", stdin=BODY)
    assert result.exit_code == 0
    assert result.text.startswith("valid Stripe signature (")


def test_the_development_secret_is_named_when_it_does_not_fit(project: Project) -> None:
    project.development_secret()
    result = run("verify", "-H", signature("stripe", BODY), *AT, stdin=BODY)
    assert result.exit_code == 3
    assert result.errors == (
        "note: judged with this project's development secret; the provider's: --secret env:STRIPE_WEBHOOK_SECRET\n"
    )


def test_an_unknown_provider_is_a_usage_error_not_a_verdict(project: Project) -> None:
    assert verify("-p", "strip").errors == "error: no provider 'strip'\nhint: did you mean stripe?\n"
    unnamed = verify()
    assert (unnamed.exit_code, unnamed.stdout) == (2, b"")
    assert unnamed.errors == "error: whose signature is this?\nhint: name the provider: --provider stripe\n"


def test_a_header_that_is_none_is_refused(project: Project) -> None:
    result = verify("-p", "stripe", "-H", "no colon")
    assert (result.exit_code, result.errors) == (
        2,
        "error: 'no colon' is not a header\nhint: write it as 'X-Name: value'\n",
    )


def test_json_has_validity_verdict_scheme_and_reason(project: Project) -> None:
    good = verify("-H", signature("stripe", BODY), *AT, "--json")
    assert good.data == {
        "valid": True,
        "verdict": "ok",
        "scheme": "stripe",
        "reason": "ok",
        "cause": None,
        "provider": "stripe",
        "event": "invoice.paid",
        "signed": None,
        "expected": None,
        "received": None,
        "explanation": None,
    }
    bad = verify("-p", "stripe", "--json")
    assert bad.exit_code == 3
    assert bad.envelope["status"] == "finding"
    assert (bad.data["valid"], bad.data["verdict"]) == (False, "no_header")


def signed_delivery(body: bytes = BODY) -> Delivery:
    name, _, value = signature("stripe", body).partition(": ")
    return Delivery(body, ((b"Content-Type", b"application/json"), (name.encode(), value.encode())))


@pytest.mark.parametrize("target", ["#1", "1", "last"])
def test_a_recorded_delivery_is_judged_as_of_when_it_came_in(project: Project, target: str) -> None:
    project.record(signed_delivery())
    assert verify(target).text == "valid Stripe signature\n"
    late = verify(target, "--at", str(int(NOW_S) + 86_400))
    assert (late.exit_code, verdict_line(late)) == (
        3,
        "invalid: expired: signed 1d00h ago, the limit is 5m00s",
    )


def test_a_delivery_that_was_not_recorded_is_told(project: Project) -> None:
    assert verify("last").errors == "error: the history is empty\nhint: webhookctl log shows what there is\n"
    project.record(signed_delivery())
    result = verify("#7")
    assert (result.exit_code, result.errors.splitlines()[0]) == (4, "error: the history has no delivery #7")


def test_a_redacted_fixture_is_judged_by_the_original_in_the_history(project: Project) -> None:
    project.record(signed_delivery())
    assert run("fixtures", "save", "#1").exit_code == 0
    for target in ("invoice.paid", "stripe/invoice.paid", "fixtures/stripe/invoice.paid.body.json"):
        assert verify(target).text == "valid Stripe signature\n"


def test_a_redacted_fixture_without_its_original_gets_an_error_and_no_verdict(project: Project) -> None:
    project.record(signed_delivery())
    run("fixtures", "save", "#1")
    project.history_path.unlink()
    result = verify("invoice.paid", "--json")
    assert (result.exit_code, result.envelope["data"]) == (4, None)
    [error] = result.envelope["errors"]
    assert error["code"] == "fixture-redacted"
    assert error["message"] == (
        "invoice.paid cannot be judged: Stripe-Signature was redacted when it was saved, "
        "and this project's history does not have the original"
    )
    assert "--keep-secrets" in error["hint"]


def test_a_redacted_fixture_that_was_edited_leads_to_the_delivery_it_was(project: Project) -> None:
    project.record(signed_delivery())
    run("fixtures", "save", "#1")
    body = project.folder / "fixtures/stripe/invoice.paid.body.json"
    body.write_text(body.read_text().replace("1\n", "2\n"))
    result = verify("invoice.paid")
    assert result.exit_code == 4
    assert "the body was edited since" in result.errors
    assert result.errors.endswith("hint: webhookctl verify '#1' judges what came in\n")


def test_a_redacted_signature_can_be_given_again(project: Project) -> None:
    project.record(signed_delivery())
    run("fixtures", "save", "#1")
    project.history_path.unlink()
    assert verify("invoice.paid", "-H", signature("stripe", BODY)).text == "valid Stripe signature\n"


def test_a_fixture_saved_with_its_secrets_is_judged_on_its_own(project: Project) -> None:
    project.record(signed_delivery())
    run("fixtures", "save", "#1", "--keep-secrets")
    project.history_path.unlink()
    assert verify("invoice.paid").text == "valid Stripe signature\n"


def test_several_fixtures_are_not_judged_as_if_they_were_one(project: Project) -> None:
    project.record(signed_delivery(), signed_delivery(b"{}"))
    run("fixtures", "save", "#1")
    run("fixtures", "save", "#2")
    result = verify("stripe")
    assert (result.exit_code, result.stdout) == (4, b"")
    assert result.errors.startswith("error: stripe is 2 fixtures\nhint: for example ")


@pytest.mark.parametrize("target", ["boddy.json", "", "../none"])
def test_a_target_that_is_nothing_is_told_as_file_and_as_fixture(project: Project, target: str) -> None:
    result = verify("-p", "stripe", target)
    assert result.exit_code == 4
    assert result.errors.startswith(f"error: no file and no fixture is called {target!r}\nhint: ")


def test_the_verdict_of_a_bad_delivery_is_made_anew_and_not_read_from_the_history(project: Project) -> None:
    delivery = signed_delivery()
    stored = Verdict(VerdictKind.NO_SECRET, "stripe", "not checked then")
    project.record(Delivery(delivery.body, delivery.headers, verdict=stored))
    assert verify("#1").text == "valid Stripe signature\n"
