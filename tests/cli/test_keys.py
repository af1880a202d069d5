"""`webhookctl keys`: made, kept, shown, used by the other commands, and never printed unasked."""

import json
import stat

import pytest

from tests.cli.commands import Project, run
from webhookctl.model import Request, Secret
from webhookctl.signing import load, verify

BODY = b'{"id":"evt_1","type":"sample.happened"}'


def kept(project: Project, provider: str) -> dict[str, str]:
    document = json.loads((project.folder / ".webhookctl" / "keys" / f"{provider}.json").read_text())
    assert isinstance(document, dict)
    return document


def test_a_pair_prints_its_public_half_and_keeps_the_private_one_to_its_owner(project: Project) -> None:
    result = run("keys", "new", "discord")
    name, _, public = result.text.strip().partition("=")
    assert (result.exit_code, name, len(public)) == (0, "DISCORD_PUBLIC_KEY", 64)
    assert kept(project, "discord")["secret"] not in result.text + result.errors
    path = project.folder / ".webhookctl" / "keys" / "discord.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_shared_secret_is_printed_when_asked_for_alone(project: Project) -> None:
    made = run("keys", "new", "stripe")
    assert made.text == ""
    assert "--print-secret" in made.errors
    secret = kept(project, "stripe")["secret"]
    assert secret.startswith("whsec_")
    assert secret not in made.errors + run("keys", "list").text + run("keys", "list", "--json").text
    assert secret not in run("keys", "show", "stripe", "--json").text
    assert run("keys", "show", "stripe", "--print-secret").text == f"STRIPE_WEBHOOK_SECRET={secret}\n"
    assert run("keys", "show", "stripe", "--print-secret", "--json").data["secret"] == secret


@pytest.mark.parametrize("provider", ["stripe", "standardwebhooks", "discord", "sendgrid", "plaid"])
def test_what_the_app_is_given_verifies_what_is_signed_with_the_key(project: Project, provider: str) -> None:
    made = run("keys", "new", provider, "--json", "--print-secret").data
    given = made["public"] or made["secret"]
    result = run("sign", "-p", provider, "--timestamp", "1700000000", stdin=BODY)
    assert result.exit_code == 0, result.errors
    headers = tuple(
        (name.encode(), value.encode())
        for name, _, value in (line.partition(": ") for line in result.text.splitlines())
    )
    request = Request("POST", "/", headers, BODY)
    assert verify(load(provider), [Secret(given)], request, now_s=1_700_000_000.0).is_ok
    arguments = [word for line in result.text.splitlines() for word in ("-H", line)]
    assert run("verify", "-p", provider, "--at", "1700000000", *arguments, stdin=BODY).exit_code == 0


def test_a_key_is_not_overwritten_unless_forced(project: Project) -> None:
    run("keys", "new", "discord")
    first = kept(project, "discord")["secret"]
    refused = run("keys", "new", "discord")
    assert (refused.exit_code, kept(project, "discord")["secret"]) == (2, first)
    assert "--force" in refused.errors
    assert run("keys", "new", "discord", "--force").exit_code == 0
    assert kept(project, "discord")["secret"] != first


def test_list_show_and_remove_tell_what_is_there(project: Project) -> None:
    assert "keys new" in run("keys", "list").errors
    assert run("keys", "list", "--json").data == {"keys": []}
    run("keys", "new", "discord")
    assert run("keys", "list").text.startswith("discord  key pair ")
    (entry,) = run("keys", "list", "--json").data["keys"]
    assert (entry["provider"], entry["algorithm"], entry["is_pair"]) == ("discord", "ed25519", True)
    assert run("keys", "remove", "discord").exit_code == 0
    for arguments in (("show", "discord"), ("remove", "discord")):
        missing = run("keys", *arguments)
        assert missing.exit_code == 2
        assert "keys new discord" in missing.errors


def test_files_hold_what_the_app_needs_and_are_not_overwritten(project: Project) -> None:
    result = run("keys", "new", "plaid", "--out", "keys")
    assert result.text == ""
    assert "keys/plaid.jwks.json" in result.errors
    jwks = json.loads((project.folder / "keys" / "plaid.jwks.json").read_text())
    assert jwks["keys"][0]["kid"] == "webhookctl-test"
    assert not (project.folder / "keys" / "plaid.private.pem").exists()
    assert run("keys", "show", "plaid", "--out", "keys").exit_code == 2
    assert run("keys", "show", "plaid", "--out", "keys", "--force", "--print-secret").exit_code == 0
    private = project.folder / "keys" / "plaid.private.pem"
    assert private.read_text().startswith("-----BEGIN PRIVATE KEY")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    run("keys", "new", "github", "--out", "keys")
    assert (project.folder / "keys" / "github.env").read_text().startswith("GITHUB_WEBHOOK_SECRET=")


def test_a_refused_file_leaves_no_key_behind(project: Project) -> None:
    project.write("keys/github.env", "mine")
    assert run("keys", "new", "github", "--out", "keys").exit_code == 2
    assert run("keys", "list", "--json").data == {"keys": []}


def test_the_public_half_is_shown_in_other_forms(project: Project) -> None:
    run("keys", "new", "discord")
    assert "BEGIN CERTIFICATE" in run("keys", "show", "discord", "--form", "certificate").text
    refused = run("keys", "show", "discord", "--form", "xml")
    assert refused.exit_code == 2
    assert "jwks" in refused.errors


def test_a_public_half_in_the_environment_does_not_keep_us_from_signing(project: Project) -> None:
    public = run("keys", "new", "discord", "--json").data["public"]
    environ = {"DISCORD_PUBLIC_KEY": public}
    assert run("sign", "-p", "discord", stdin=BODY, environ=environ).exit_code == 0
    other = run("keys", "show", "discord", environ={"DISCORD_PUBLIC_KEY": "0" * 64})
    assert "env:DISCORD_PUBLIC_KEY is set too" in other.errors
    assert "set too" not in run("keys", "show", "discord", environ=environ).errors


def test_a_scheme_with_a_choice_takes_the_algorithm(project: Project) -> None:
    result = run("keys", "new", "fusionauth", "--algorithm", "jwt-eddsa", "--json")
    assert result.data["public"].startswith("-----BEGIN PUBLIC KEY")
    assert run("sign", "-p", "fusionauth", stdin=BODY).exit_code == 0
    assert run("keys", "new", "fusionauth", "--algorithm", "md5", "--force").exit_code == 3


def test_a_damaged_key_says_how_to_mend_it(project: Project) -> None:
    run("keys", "new", "stripe")
    project.write(".webhookctl/keys/stripe.json", "[]")
    result = run("sign", "-p", "stripe", stdin=BODY)
    assert result.exit_code == 2
    assert "keys new stripe --force" in result.errors
    assert run("keys", "new", "stripe", "--force").exit_code == 0


def test_a_provider_that_signs_nothing_has_no_key(project: Project) -> None:
    result = run("keys", "new", "strava")
    assert result.exit_code == 3
    assert "does not sign" in result.errors


def test_unknown_providers_are_suggested_for(project: Project) -> None:
    assert "stripe" in run("keys", "new", "strip").errors
