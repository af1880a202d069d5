"""Secrets never appear: not in any output, file, error or traceback."""

from pathlib import Path

import pytest

from tests.cli.commands import Delivery, Project, run

SECRET = "whsec_RECOGNISABLE0123456789abcdefghijklmnop"  # not base64: schemes that decode it refuse it
TAKING_SECRETS = ("sign", "verify", "trigger", "replay")


def commands(refusing: str) -> list[tuple[str, ...]]:
    """Every command that meets secrets; `refusing` is an endpoint that is not there."""
    return [
        ("sign", "-p", "stripe"),
        ("sign", "-p", "stripe", "--json"),
        ("sign", "-p", "svix"),
        ("verify", "-p", "stripe", "-H", "Stripe-Signature: t=1,v1=00"),
        ("verify", "-p", "stripe", "-H", "Stripe-Signature: nonsense", "--json"),
        (
            "verify",
            "-p",
            "svix",
            "-H",
            "svix-id: a",
            "-H",
            "svix-timestamp: 1",
            "-H",
            "svix-signature: v1,AA==",
        ),
        ("verify", "#1"),
        ("trigger", "payment_intent.succeeded", "--dry-run"),
        ("trigger", "payment_intent.succeeded", "--dry-run", "--json"),
        ("trigger", "payment_intent.succeeded", "--to", refusing),
        ("replay", "#1", "--dry-run"),
        ("replay", "invoice.paid", "--dry-run", "--json"),
        ("fixtures", "save", "1"),
        ("fixtures", "list"),
        ("fixtures", "lint"),
        ("fixtures", "show", "invoice.paid"),
        ("log",),
        ("log", "--json"),
        ("show", "1"),
        ("config", "show", "--origin"),
        ("config", "show", "--json"),
        ("doctor",),
        ("doctor", "--json"),
    ]


def files_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def recorded(project: Project) -> Project:
    project.record(Delivery())
    run("fixtures", "save", "1")
    return project


@pytest.mark.parametrize("source", ["flag", "env", "file", "usual variable", "configuration"])
def test_no_command_shows_or_writes_the_secret_it_uses(
    recorded: Project, monkeypatch: pytest.MonkeyPatch, source: str, tmp_path: Path, refusing: str
) -> None:
    flags: tuple[str, ...] = ()
    secret_file = tmp_path / "secret"
    secret_file.write_text(SECRET)
    if source == "flag":
        flags = ("--secret", SECRET)
    elif source == "env":
        monkeypatch.setenv("SAMPLE", SECRET)
        flags = ("--secret", "env:SAMPLE")
    elif source == "file":
        flags = ("--secret", f"file:{secret_file}")
    elif source == "usual variable":
        monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", SECRET)
        monkeypatch.setenv("SVIX_WEBHOOK_SECRET", SECRET)
    else:
        recorded.write(
            "webhookctl.toml", f'[secrets]\nstripe = "file:{secret_file}"\nsvix = "file:{secret_file}"\n'
        )
    for command in commands(refusing):
        result = run(*command, *(flags if command[0] in TAKING_SECRETS else ()), "--traceback")
        assert result.exit_code in (0, 3, 4, 5), (command, result.errors)
        assert "RECOGNISABLE" not in result.text + result.errors, command
    assert b"RECOGNISABLE" not in files_below(recorded.folder)


def test_a_secret_in_a_shared_file_is_refused_and_not_shown(project: Project, refusing: str) -> None:
    project.write("webhookctl.toml", f'[secrets]\nstripe = "{SECRET}"\n')
    for command in commands(refusing):
        result = run(*command, "--traceback")
        assert result.exit_code in (1, 2)
        assert "RECOGNISABLE" not in result.text + result.errors, command


def test_a_bug_while_a_secret_is_in_use_does_not_show_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr("webhookctl.signing.sign_with_each", fail)
    result = run("sign", "-p", "stripe", "--secret", SECRET, "--traceback")
    assert result.exit_code == 70
    assert "planted" in result.errors
    assert "RECOGNISABLE" not in result.text + result.errors


def test_the_development_secret_is_shown_when_it_is_asked_for_and_else_never(
    recorded: Project, refusing: str
) -> None:
    secret = recorded.development_secret()
    assert secret.startswith("whsec_")
    for command in commands(refusing):
        result = run(*command, "--traceback")
        assert secret not in result.text + result.errors, command
