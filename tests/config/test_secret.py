"""Secrets from options, the environment, files and the configuration."""

import os
from pathlib import Path

import pytest

from webhookctl.config import Config, load, read_secret, secrets_for
from webhookctl.errors import UsageError
from webhookctl.model import Secret


def revealed(secrets: tuple[Secret, ...]) -> list[tuple[str, str]]:
    return [(secret.reveal(), secret.origin) for secret in secrets]


def refusal(text: str, base: Path, **environ: str) -> UsageError:
    with pytest.raises(UsageError) as failure:
        read_secret(text, environ=environ, base=base)
    assert failure.value.hint
    return failure.value


def test_a_literal_is_itself(tmp_path: Path) -> None:
    assert revealed((read_secret("s3cr et:x", environ={}, base=tmp_path),)) == [("s3cr et:x", "flag")]


def test_an_empty_literal_is_missing(tmp_path: Path) -> None:
    assert refusal("", tmp_path).code == "secret-missing"


def test_a_variable_is_read_without_the_line_end_that_came_along(tmp_path: Path) -> None:
    secret = read_secret("env:SAMPLE", environ={"SAMPLE": " test_a b\r\n"}, base=tmp_path)
    assert revealed((secret,)) == [(" test_a b", "env:SAMPLE")]


@pytest.mark.parametrize("environ", [{}, {"SAMPLE": ""}, {"SAMPLE": "\n"}])
def test_a_variable_that_is_not_set_is_missing(tmp_path: Path, environ: dict[str, str]) -> None:
    error = refusal("env:SAMPLE", tmp_path, **environ)
    assert error.code == "secret-missing"
    assert "SAMPLE" in error.message
    assert error.hint.startswith("export SAMPLE=")


def test_a_variable_without_a_name_is_missing(tmp_path: Path) -> None:
    assert refusal("env:", tmp_path).hint.startswith("export NAME=")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"test_a", "test_a"),
        (b"test_a\nrest\n", "test_a"),
        (b" test_a \r\nrest", " test_a "),
        ("geheim-ü\n".encode(), "geheim-ü"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",) * 2,
    ],
)
def test_of_a_file_the_first_line_counts_or_the_whole_key(
    tmp_path: Path, content: bytes, expected: str | bytes
) -> None:
    (tmp_path / "secret").write_bytes(content)
    secret = read_secret("file:secret", environ={}, base=tmp_path)
    assert secret.reveal() == (expected if isinstance(expected, str) else expected.decode())
    assert secret.origin == "file:secret"


def test_a_path_in_the_home_folder_may_start_with_a_tilde(home: Path, tmp_path: Path) -> None:
    (home / "secret").write_text("test_home\n")
    assert read_secret("file:~/secret", environ={}, base=tmp_path).reveal() == "test_home"
    (tmp_path / "~nobody-of-that-name").write_text("test_odd\n")
    assert read_secret("file:~nobody-of-that-name", environ={}, base=tmp_path).reveal() == "test_odd"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("missing", "secret-missing"),
        ("empty", "secret-missing"),
        ("blank", "secret-missing"),
        ("folder", "secret-unreadable"),
        ("binary", "secret-unreadable"),
        ("", "secret-unreadable"),
        ("a\0b", "secret-unreadable"),
    ],
)
def test_a_file_without_a_secret_is_reported(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "blank").write_bytes(b"\ntest_second\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    error = refusal(f"file:{name}", tmp_path)
    assert error.code == code
    assert str(tmp_path) in error.message


@pytest.fixture
def config(project: Path) -> Config:
    (project / "webhookctl.toml").write_text(
        '[secrets]\nStripe = ["env:NEW", "file:old"]\ngithub = "test_literal"\n'
    )
    (project / "old").write_text("test_old\n")
    (project / "deep").mkdir()
    return load(cwd=project / "deep", environ={})


def test_the_configured_secrets_come_last_in_their_order(config: Config) -> None:
    secrets = secrets_for(config, "stripe", flag=(), usual_variables=("USUAL",), environ={"NEW": "test_new"})
    assert revealed(secrets) == [("test_new", "env:NEW"), ("test_old", "file:old")]


def test_a_literal_in_the_configuration_says_where_it_stands(config: Config) -> None:
    secrets = secrets_for(config, "github", flag=(), usual_variables=(), environ={})
    assert revealed(secrets) == [("test_literal", "config webhookctl.toml:3")]


def test_a_configured_variable_that_is_not_set_is_reported(config: Config) -> None:
    with pytest.raises(UsageError) as failure:
        secrets_for(config, "stripe", flag=(), usual_variables=(), environ={})
    assert failure.value.code == "secret-missing"


def test_the_flag_wins_alone(config: Config, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    environ = {"NEW": "test_new", "USUAL": "test_usual"}
    secrets = secrets_for(
        config, "stripe", flag=("test_1", "env:NEW", "file:old"), usual_variables=("USUAL",), environ=environ
    )
    assert revealed(secrets) == [("test_1", "flag"), ("test_new", "env:NEW"), ("test_old", "file:old")]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["WEBHOOKCTL_SECRET"], "WEBHOOKCTL_SECRET"),
        (["WEBHOOKCTL_SECRET", "STRIPE_WEBHOOK_SECRET"], "STRIPE_WEBHOOK_SECRET"),
        (["WEBHOOKCTL_SECRET", "STRIPE_WEBHOOK_SECRET", "SECOND"], "SECOND"),
        (["WEBHOOKCTL_SECRET", "STRIPE_WEBHOOK_SECRET", "SECOND", "FIRST"], "FIRST"),
    ],
)
def test_the_first_variable_that_is_set_counts(config: Config, names: list[str], expected: str) -> None:
    environ = {"FIRST": ""} | {name: f"test_{name}" for name in names}
    secrets = secrets_for(config, "stripe", flag=(), usual_variables=("FIRST", "SECOND"), environ=environ)
    assert revealed(secrets) == [(f"test_{expected}", f"env:{expected}")]


def test_a_providers_variable_is_named_without_punctuation(config: Config) -> None:
    environ = {"SAMPLE_PAY_2_WEBHOOK_SECRET": "test_x\n"}
    secrets = secrets_for(config, "sample-pay.2", flag=(), usual_variables=(), environ=environ)
    assert revealed(secrets) == [("test_x", "env:SAMPLE_PAY_2_WEBHOOK_SECRET")]


def test_an_unknown_provider_gets_the_general_secret_or_none(config: Config) -> None:
    assert secrets_for(config, None, flag=(), usual_variables=(), environ={}) == ()
    assert secrets_for(config, "other", flag=(), usual_variables=(), environ={}) == ()
    environ = {"WEBHOOKCTL_SECRET": "test_x"}
    assert revealed(secrets_for(config, None, flag=(), usual_variables=(), environ=environ)) == [
        ("test_x", "env:WEBHOOKCTL_SECRET")
    ]


def test_without_an_environment_given_the_real_one_counts(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "SAMPLE_WEBHOOK_SECRET", "test_real")
    assert revealed(secrets_for(config, "sample", flag=(), usual_variables=())) == [
        ("test_real", "env:SAMPLE_WEBHOOK_SECRET")
    ]
