"""`webhookctl providers`: what is known, how each signs, and whether a file of one's own can be used."""

from tests.cli.commands import Project, run
from webhookctl import signing

OWN = """
id = "acme"
name = "Acme \x1b[2J Corp"
evidence = "unverified"

[signature]
template = "{ts}.{body}"
algorithm = "hmac-sha256"
encoding = "hex"

[[header]]
name = "Acme-Signature"
value = "t={ts},v1={sig}"
separator = ","

[timestamp]
unit = "s"
tolerance_s = 60
direction = "both"
""".replace("\x1b", "\\u001b")


def test_every_shipped_provider_is_listed_with_its_evidence(project: Project) -> None:
    data = run("providers", "list", "--json").data
    assert [entry["id"] for entry in data["providers"]] == sorted(signing.provider_ids())
    stripe = next(entry for entry in data["providers"] if entry["id"] == "stripe")
    assert (stripe["evidence"], stripe["headers"]) == ("verified", ["Stripe-Signature"])
    assert any("Webhook.construct_event" in oracle for oracle in stripe["verified_with"])
    assert sum(data["counts"].values()) == len(data["providers"])


def test_ones_own_provider_is_listed_and_shown_with_the_others(project: Project) -> None:
    project.write("acme.toml", OWN)
    project.write("webhookctl.toml", 'providers = ["acme.toml"]\n')
    listed = run("providers", "list")
    assert "acme" in listed.text
    assert "unverified" in listed.text
    assert "\x1b" not in listed.text
    shown = run("providers", "show", "acme").text
    assert "1. read      Acme-Signature: t={ts},v1={sig}" in shown
    assert "3. sign      {ts}.{body}" in shown
    assert "at most 60 s old, or as far ahead" in shown
    assert "\x1b" not in shown


def test_a_recipe_says_what_is_signed_and_who_accepted_it(project: Project) -> None:
    shown = run("providers", "show", "github").text
    assert "sign      {body}" in shown
    assert "no timestamp" in shown
    assert "evidence  verified" in shown


def test_an_unknown_provider_is_suggested_for(project: Project) -> None:
    result = run("providers", "show", "strpe")
    assert result.exit_code == 2
    assert "stripe" in result.errors


def test_lint_says_what_is_wrong_with_which_file(project: Project) -> None:
    project.write("good.toml", OWN)
    project.write("bad.toml", OWN.replace("hmac-sha256", "hmac-sha257"))
    assert run("providers", "lint", "good.toml").exit_code == 0
    result = run("providers", "lint", "good.toml", "bad.toml")
    assert result.exit_code == 2
    assert "bad.toml" in result.text
    assert "hmac-sha257" in result.text
    assert "good.toml" not in result.text
    assert "2 checked, 1 cannot be used" in result.errors


def test_lint_of_what_is_no_text_is_a_problem_and_no_crash(project: Project) -> None:
    project.write("bytes.toml", "x")
    (project.folder / "bytes.toml").write_bytes(b"\xff\xfe")
    result = run("providers", "lint", "bytes.toml", "--json")
    assert result.exit_code == 2
    assert result.data["problems"][0]["path"] == "bytes.toml"
