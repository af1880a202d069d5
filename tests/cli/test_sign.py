"""`webhookctl sign`."""

import pytest

from tests.cli.commands import NOW_S, Project, run
from webhookctl import catalogue, signing
from webhookctl.model import Secret

BODY = b'{"id":"evt_1","type":"sample.happened"}'
PLAIN_SECRET = "whsec_" + "QUJD" * 8  # base64, so that every scheme takes it


@pytest.mark.parametrize("provider", catalogue.providers())
def test_the_lines_are_the_headers_that_the_engine_makes(project: Project, provider: str) -> None:
    result = run(
        *("sign", "-p", provider, "--secret", PLAIN_SECRET, "--timestamp", str(int(NOW_S))),
        *("--id", "msg_sample", "--url", "http://example.com/hooks", "--method", "PUT"),
        stdin=BODY,
    )
    expected = signing.sign(
        signing.load(provider),
        Secret(PLAIN_SECRET),
        body=BODY,
        timestamp_s=NOW_S,
        message_id="msg_sample",
        url="http://example.com/hooks",
        method="PUT",
    )
    assert result.exit_code == 0
    assert result.text == "".join(f"{name.decode()}: {value.decode()}\n" for name, value in expected)
    assert result.errors == ""


def test_a_file_gives_the_same_signature_as_standard_input(project: Project) -> None:
    project.write("body.json", BODY)
    arguments = ("sign", "-p", "stripe", "--secret", "test_secret", "--timestamp", "1790000000")
    assert (
        run(*arguments, "body.json").text
        == run(*arguments, "-", stdin=BODY).text
        == run(*arguments, stdin=BODY).text
    )


@pytest.mark.parametrize("body", [b"", b"\x00\xff\r\n", b"x" * 3_000_000], ids=["empty", "binary", "large"])
def test_any_bytes_are_signed_as_they_are(project: Project, body: bytes) -> None:
    result = run("sign", "-p", "github", "--secret", "s", stdin=body)
    expected = signing.sign(
        signing.load("github"),
        Secret("s"),
        body=body,
        timestamp_s=NOW_S,
        message_id="",
        url="",
        method="POST",
    )
    assert result.text == f"X-Hub-Signature-256: {expected[0][1].decode()}\n"


@pytest.mark.parametrize(
    "text", ["1790000000", "1790000000.0", "2026-09-21T14:13:20Z", "2026-09-21T16:13:20+02:00"]
)
def test_times_are_unix_seconds_or_iso_8601(project: Project, text: str) -> None:
    result = run("sign", "-p", "stripe", "--secret", "s", "--timestamp", text, stdin=BODY)
    assert result.text.startswith("Stripe-Signature: t=1790000000,v1=")


@pytest.mark.parametrize("text", ["tomorrow", "", "nan", "inf", "-5", "1e300", "2026-13-01", "0001-01-01"])
def test_what_is_no_time_is_refused_with_the_forms_that_are(project: Project, text: str) -> None:
    result = run("sign", "-p", "stripe", "--secret", "s", "--timestamp", text, stdin=BODY)
    assert result.exit_code == 2
    assert result.stdout == b""
    assert result.errors == (
        f"error: --timestamp {text!r} is not a time\nhint: write Unix seconds, or 2026-11-23T14:02:11Z\n"
    )


def test_without_an_id_each_delivery_has_a_new_one(project: Project) -> None:
    first, second = (run("sign", "-p", "svix", "--secret", PLAIN_SECRET, stdin=BODY).text for _ in range(2))
    assert first.startswith("svix-id: msg_")
    assert first.splitlines()[0] != second.splitlines()[0]


def test_json_has_the_headers_as_pairs_and_how_well_the_scheme_is_known(project: Project) -> None:
    result = run("sign", "-p", "slack", "--secret", "s", "--timestamp", "1790000000", "--json", stdin=BODY)
    assert result.data["provider"] == "slack"
    assert result.data["evidence"] == "verified"
    assert [name for name, _ in result.data["headers"]] == ["X-Slack-Request-Timestamp", "X-Slack-Signature"]
    assert result.data["headers"][0][1] == "1790000000"


def test_the_development_secret_signs_where_no_other_is_known(project: Project) -> None:
    secret = project.development_secret()
    arguments = ("sign", "-p", "stripe", "--timestamp", "1790000000")
    assert run(*arguments, stdin=BODY).text == run(*arguments, "--secret", secret, stdin=BODY).text


def test_without_any_secret_nothing_is_signed_or_written_and_the_ways_out_are_named(project: Project) -> None:
    result = run("sign", "-p", "stripe", stdin=BODY)
    assert result.exit_code == 2
    assert result.errors.startswith(
        "error: no secret of Stripe is known here\nhint: --secret env:STRIPE_WEBHOOK_SECRET"
    )
    assert not (project.folder / ".webhookctl").exists()


def test_a_secret_comes_from_a_flag_a_variable_a_file_or_the_configuration(project: Project) -> None:
    project.write("secret", "test_a\n")
    arguments = ("sign", "-p", "stripe", "--timestamp", "1790000000")
    given = run(*arguments, "--secret", "test_a", stdin=BODY).text
    assert run(*arguments, "--secret", "env:NAMED", stdin=BODY, environ={"NAMED": "test_a"}).text == given
    assert run(*arguments, "--secret", "file:secret", stdin=BODY).text == given
    assert run(*arguments, stdin=BODY, environ={"STRIPE_WEBHOOK_SECRET": "test_a"}).text == given
    assert run(*arguments, stdin=BODY, environ={"WEBHOOKCTL_SECRET": "test_a"}).text == given
    project.write("webhookctl.toml", '[secrets]\nstripe = "file:secret"\n')
    assert run(*arguments, stdin=BODY).text == given


def test_a_variable_that_is_not_set_is_named_with_what_to_do(project: Project) -> None:
    result = run("sign", "-p", "stripe", "--secret", "env:MISSING_ONE", stdin=BODY)
    assert result.exit_code == 2
    assert (
        result.errors
        == "error: the environment variable MISSING_ONE is not set or empty\nhint: export MISSING_ONE=…\n"
    )


def test_a_secret_in_the_wrong_form_is_told_by_its_form_and_never_shown(project: Project) -> None:
    result = run("sign", "-p", "svix", "--secret", "whsec_!!not-base64!!", stdin=BODY)
    assert result.exit_code == 3
    assert result.stdout == b""
    assert result.errors.startswith(
        "error: the secret (flag) is not in the form Svix uses (base64)\nhint: whsec_"
    )
    assert "not-base64" not in result.errors


def test_a_file_that_cannot_be_read_is_a_usage_error(project: Project) -> None:
    project.development_secret()
    missing, folder = run("sign", "-p", "stripe", "missing.json"), run("sign", "-p", "stripe", ".")
    assert (missing.exit_code, folder.exit_code) == (2, 2)
    assert missing.errors.startswith("error: missing.json cannot be read: No such file or directory\nhint: ")
    assert folder.errors.startswith("error: . cannot be read: Is a directory\nhint: ")


def test_the_provider_is_asked_for_configured_or_suggested(project: Project) -> None:
    assert (
        run("sign", stdin=BODY).errors
        == "error: sign for which provider?\nhint: for example --provider stripe\n"
    )
    misspelt = run("sign", "-p", "strpe", "--secret", "s", stdin=BODY)
    assert (misspelt.exit_code, misspelt.errors) == (
        2,
        "error: no provider 'strpe'\nhint: did you mean stripe?\n",
    )
    project.write("webhookctl.toml", 'provider = "github"\n')
    assert run("sign", "--secret", "s", stdin=BODY).text.startswith("X-Hub-Signature-256: sha256=")


def test_a_scheme_of_the_users_own_signs_and_says_that_nobody_verified_it(project: Project) -> None:
    project.write(
        "acme.toml",
        'id = "acme"\nname = "Acme"\n[signature]\ntemplate = "{body}"\nalgorithm = "hmac-sha256"\nencoding = "hex"\n'
        '[[header]]\nname = "X-Acme"\nvalue = "{sig}"\n',
    )
    project.write("webhookctl.toml", 'providers = ["acme.toml"]\n')
    result = run("sign", "-p", "acme", "--secret", "s", stdin=BODY)
    assert result.text.startswith("X-Acme: ")
    assert result.errors == "note: the scheme of Acme is not verified (unverified)\n"
