"""The layers of configuration, the origin of each value, and what is refused."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import webhookctl
from webhookctl.config import Config, Route, load
from webhookctl.errors import UsageError


def shown(config: Config) -> dict[str, str]:
    return {entry.name: entry.shown_value for entry in config.entries()}


def refusal(project: Path, content: str = "", profile: str | None = None, **environ: str) -> UsageError:
    (project / "webhookctl.toml").write_text(content)
    with pytest.raises(UsageError) as failure:
        load(cwd=project, environ=environ, profile=profile)
    assert failure.value.hint
    return failure.value


def loaded(project: Path, content: str = "", profile: str | None = None, **environ: str) -> Config:
    (project / "webhookctl.toml").write_text(content)
    return load(cwd=project, environ=environ, profile=profile)


def test_without_files_and_variables_everything_is_default(project: Path) -> None:
    config = load(cwd=project, environ={})
    assert (config.host, config.port, config.ack, config.save, config.save_limit) == (
        "127.0.0.1",
        4400,
        "response",
        True,
        20,
    )
    assert (config.endpoint, config.provider, config.ca_file, config.tolerance_s) == (None, None, None, None)
    assert (config.timeout_s, config.max_body, config.history_max_bytes) == (30.0, 32 * 2**20, 2 * 2**30)
    assert (config.history_max_count, config.history_max_age_days) == (100_000, 30)
    assert (config.forward_to, config.events, config.route, config.headers, config.secrets) == (
        (),
        (),
        (),
        (),
        (),
    )
    assert (config.redact_headers, config.redact_fields, config.providers, config.insecure) == (
        (),
        (),
        (),
        False,
    )
    assert config.fixtures == project / "fixtures"
    assert (config.root, config.profile, config.files) == (project, None, ())
    assert {entry.origin for entry in config.entries()} == {"default"}
    assert config.origin("port") == "default"


def test_the_entries_are_every_setting_with_its_meaning(project: Path) -> None:
    entries = load(cwd=project, environ={}).entries()
    assert [entry.name for entry in entries] == [known.name for known in fields(Config) if known.metadata]
    assert all(entry.meaning for entry in entries)
    assert {
        entry.name: entry.shown_value for entry in entries if entry.name in ("save", "ca_file", "max_body")
    } == {
        "save": "true",
        "ca_file": "none",
        "max_body": "32MiB",
    }


def test_each_layer_beats_the_one_below(project: Path, user_file: Path) -> None:
    user_file.write_text("port = 1\nhost = 'user'\nprovider = 'user'\nack = 'early'\n")
    (project / "webhookctl.toml").write_text("port = 2\nhost = 'project'\nprovider = 'project'\n")
    config = load(cwd=project, environ={"WEBHOOKCTL_PORT": "3", "WEBHOOKCTL_HOST": ""})
    assert (config.port, config.host, config.ack, config.save) == (3, "project", "early", True)
    assert config.origin("port") == "env WEBHOOKCTL_PORT"
    assert config.origin("host") == "webhookctl.toml:2"
    assert config.origin("ack") == f"{user_file}:4"
    assert config.files == (user_file, project / "webhookctl.toml")


def test_the_own_table_of_a_pyproject_is_a_project_file(project: Path) -> None:
    (project / "pyproject.toml").write_text(
        "[tool.webhookctl]\nport = 5\n[tool.webhookctl.profile.p]\nhost='h'\n"
    )
    config = load(cwd=project, environ={}, profile="p")
    assert (config.port, config.origin("port")) == (5, "pyproject.toml:2")
    assert (config.host, config.origin("host")) == ("h", "pyproject.toml:4")


def test_every_setting_can_be_said_in_a_file(project: Path) -> None:
    config = loaded(
        project,
        'endpoint = "https://example.com/hook"\nprovider = "stripe"\nport = 0\nforward_to = "http://example.com"\n'
        'events = ["a", "b"]\nfixtures = "saved"\nsave = false\nsave_limit = 0\nack = "early"\ntimeout_s = "1m"\n'
        'max_body = 10\ninsecure = true\nca_file = "/etc/ca.pem"\ntolerance_s = 300\nhistory_max_count = 1\n'
        'history_max_age_days = 2\nhistory_max_bytes = "1MB"\nredact_headers = ["X-A"]\nredact_fields = ["email"]\n'
        'providers = ["own/a.toml", "~/b.toml"]\n[[route]]\nmatch = "stripe:*"\nto = "http://u:p@example.com"\n'
        '[headers]\nX-Sample = "1"\nAuthorization = "Bearer test_1"\n',
    )
    assert (config.endpoint, config.provider, config.port) == ("https://example.com/hook", "stripe", 0)
    assert (config.forward_to, config.events) == (("http://example.com",), ("a", "b"))
    assert (config.fixtures, config.ca_file) == (project / "saved", Path("/etc/ca.pem"))
    assert (config.save, config.save_limit, config.ack, config.insecure) == (False, 0, "early", True)
    assert (config.timeout_s, config.tolerance_s, config.max_body) == (60.0, 300.0, 10)
    assert (config.history_max_count, config.history_max_age_days, config.history_max_bytes) == (1, 2, 10**6)
    assert (config.redact_headers, config.redact_fields) == (("X-A",), ("email",))
    assert config.providers == (project / "own/a.toml", Path.home() / "b.toml")
    assert config.route == (Route("stripe:*", "http://u:p@example.com"),)
    assert config.headers == (("X-Sample", "1"), ("Authorization", "Bearer test_1"))
    assert config.origin("route") == "webhookctl.toml:21"
    texts = shown(config)
    assert texts["events"] == "a, b"
    assert texts["route"] == "stripe:* -> http://****@example.com"
    assert (texts["headers.X-Sample"], texts["headers.Authorization"]) == ("1", "****")
    assert (texts["insecure"], texts["timeout_s"], texts["fixtures"]) == ("true", "1m", "saved")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("port", "0", 0),
        ("save", "no", False),
        ("save", "ON", True),
        ("events", "a, b,,", ("a", "b")),
        ("forward_to", "http://example.com", ("http://example.com",)),
        ("timeout_s", "250ms", 0.25),
        ("tolerance_s", "5m", 300.0),
        ("max_body", "1k", 1000),
        ("endpoint", "http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("ack", "early", "early"),
    ],
)
def test_every_plain_setting_can_be_said_in_the_environment(
    project: Path, name: str, text: str, expected: object
) -> None:
    variable = f"WEBHOOKCTL_{name.upper()}"
    config = load(cwd=project, environ={variable: text})
    assert getattr(config, name) == expected
    assert config.origin(name) == f"env {variable}"
    assert shown(config)[name] == text


def test_paths_are_relative_to_whoever_says_them(project: Path, user_file: Path) -> None:
    deep = project / "deep"
    deep.mkdir()
    user_file.write_text('providers = ["own.toml"]')
    (project / "webhookctl.toml").write_text('ca_file = "ca.pem"')
    config = load(cwd=deep, environ={"WEBHOOKCTL_FIXTURES": "here"})
    assert config.providers == (user_file.parent / "own.toml",)
    assert config.ca_file == project / "ca.pem"
    assert config.fixtures == deep / "here"
    assert load(cwd=deep, environ={}).fixtures == project / "fixtures"


def test_a_relative_working_folder_gives_absolute_paths(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert load(cwd=Path(), environ={}).fixtures == project / "fixtures"


def test_an_explicit_file_stands_in_for_the_project_file(project: Path, user_file: Path) -> None:
    user_file.write_text("save_limit = 7")
    (project / "webhookctl.toml").write_text("port = nonsense")
    (project / "ci.toml").write_text("host = 'ci'")
    config = load(cwd=project, environ={"WEBHOOKCTL_CONFIG": "other.toml"}, explicit_path=Path("ci.toml"))
    assert (config.host, config.port, config.save_limit) == ("ci", 4400, 7)
    assert config.origin("host") == "ci.toml:1"
    assert load(cwd=project, environ={"WEBHOOKCTL_CONFIG": "ci.toml"}).host == "ci"


def test_an_explicit_file_that_is_missing_is_reported(project: Path) -> None:
    with pytest.raises(UsageError) as failure:
        load(cwd=project, environ={}, explicit_path=Path("missing.toml"))
    assert failure.value.code == "config-missing"


def test_a_profile_lies_over_the_files_and_under_the_environment(project: Path, user_file: Path) -> None:
    user_file.write_text("[profile.p]\nport = 1\nhost = 'user-p'\nprovider = 'user-p'\n")
    content = "port = 2\nhost = 'project'\n[profile.p]\nport = 3\n[profile.q]\nport = 4\n[headers]\n"
    config = loaded(project, content, profile="p", WEBHOOKCTL_PROVIDER="env")
    assert (config.port, config.host, config.provider, config.profile) == (3, "user-p", "env", "p")
    assert config.origin("port") == "webhookctl.toml:4"
    assert loaded(project, content).port == 2
    assert loaded(project, content, WEBHOOKCTL_PROFILE="q").port == 4
    assert loaded(project, content, profile="p", WEBHOOKCTL_PROFILE="q").port == 3


def test_an_unknown_profile_is_reported_with_a_suggestion(project: Path) -> None:
    error = refusal(project, "[profile.staging]\n", profile="stagin")
    assert (error.code, error.hint) == ("profile-unknown", "did you mean staging?")
    assert "stagin" in error.message
    assert refusal(project, "", profile="p").hint == "add a table [profile.NAME]"


def test_a_profile_that_is_not_chosen_is_checked_too(project: Path) -> None:
    error = refusal(project, "[profile.p]\nprot = 1\n")
    assert error.message == "webhookctl.toml:2: unknown setting prot"


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        ("\nprot = 1", "webhookctl.toml:2: unknown setting prot", "did you mean port?"),
        ("Port = 1", "webhookctl.toml:1: unknown setting Port", "did you mean port?"),
        ("[secret]\na = 'env:A'", "webhookctl.toml:1: unknown setting secret", "did you mean secrets?"),
        ("root = '/'", "webhookctl.toml:1: unknown setting root", "did you mean route?"),
        (
            "zzzz = 1",
            "webhookctl.toml:1: unknown setting zzzz",
            "there are: ack, ca_file, channel, confirm_sns",
        ),
    ],
)
def test_an_unknown_setting_is_reported_with_its_place(
    project: Path, content: str, message: str, hint: str
) -> None:
    error = refusal(project, content)
    assert (error.code, error.message) == ("config-unknown-key", message)
    assert error.hint.startswith(hint)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("port = '4400'", "port must be a port from 0 to 65535, not '4400'"),
        ("port = true", "port must be a port from 0 to 65535, not 'true'"),
        ("port = 65536", "port must be a port from 0 to 65535, not '65536'"),
        ("save = 'yes'", "save must be true or false, not 'yes'"),
        ("save_limit = -1", "save_limit must be a whole number, 0 or more, not '-1'"),
        ("save_limit = 1.0", "save_limit must be a whole number, 0 or more, not '1.0'"),
        ("host = 1", "host must be a text, not '1'"),
        ("host = ''", "host must be a text, not ''"),
        ('fixtures = "a\\u0000b"', "fixtures must be a path, not "),
        ("events = 1", "events must be a list of texts, not '1'"),
        ("events = ['a', 1]", "events must be a list of texts, not 'a, 1'"),
        ("providers = [1]", "providers must be a list of paths, not '1'"),
        ("ack = 'later'", 'ack must be "response" or "early", not \'later\''),
        ("timeout_s = 'soon'", "timeout_s must be seconds, or a duration like 30s, not 'soon'"),
        ("timeout_s = true", "timeout_s must be seconds, or a duration like 30s, not 'true'"),
        ("max_body = nan", "max_body must be a size like 32MiB, not 'nan'"),
        ("endpoint = 'example.com'", "endpoint must be an http:// or https:// URL, not 'example.com'"),
        ("endpoint = 'ftp://example.com'", "endpoint must be an http:// or https:// URL"),
        ("endpoint = 'http://'", "endpoint must be an http:// or https:// URL"),
        ("endpoint = 'http://u:hidden@'", "endpoint must be an http:// or https:// URL, not 'http://****@'"),
        ("endpoint = 'http://[::1'", "endpoint must be an http:// or https:// URL"),
        ("endpoint = 'http://a:99999'", "endpoint must be an http:// or https:// URL"),
        ("endpoint = 'http://a:0'", "endpoint must be an http:// or https:// URL"),
        ('endpoint = "http://a\\nb"', "endpoint must be an http:// or https:// URL"),
        ("route = 'x'", "route must be [[route]] tables with match and to, not 'x'"),
        ("[[route]]\nmatch = 'x'", "route must be [[route]] tables with match and to"),
        ("[[route]]\nmatch = 'x'\nto = 1", "route must be [[route]] tables with match and to"),
        ("headers = 1", "headers must be a table [headers]"),
        ("[headers]\nX = 1", "headers.X must be a text"),
        ("secrets = 'hidden'", "secrets must be a table [secrets]"),
        ("[secrets]\na = 1", "secrets.a must be a text or a list of texts"),
        ("[secrets]\na = ''", "secrets.a must be a text or a list of texts"),
        ("[secrets]\na = []", "secrets.a must be a text or a list of texts"),
        ("[secrets]\na = ['env:A', 'hidden', 1]", "secrets.a must be a text or a list of texts"),
        ("profile = 'p'", "profile must be tables [profile.NAME]"),
        ("[profile]\nport = 1", "profile must be tables [profile.NAME]"),
    ],
)
def test_a_wrong_value_is_reported_with_what_was_expected(project: Path, content: str, expected: str) -> None:
    error = refusal(project, content)
    assert error.code == "config-value"
    assert expected in error.message
    assert error.message.startswith("webhookctl.toml:")
    assert "hidden" not in error.message + error.hint


@pytest.mark.parametrize(
    ("name", "text"),
    [("PORT", "x"), ("PORT", "70000"), ("SAVE", "maybe"), ("MAX_BODY", "much"), ("ENDPOINT", "x")],
)
def test_a_wrong_variable_is_reported_by_its_name(project: Path, name: str, text: str) -> None:
    error = refusal(project, **{f"WEBHOOKCTL_{name}": text})
    assert error.code == "config-value"
    assert error.message.startswith(f"WEBHOOKCTL_{name}: {name.lower()} must be ")


def test_a_near_miss_of_a_variable_is_reported_and_others_are_left_alone(project: Path) -> None:
    error = refusal(project, WEBHOOKCTL_PROT="1")
    assert (error.code, error.hint) == ("config-unknown-key", "did you mean WEBHOOKCTL_PORT?")
    assert "WEBHOOKCTL_PROT" in error.message
    assert refusal(project, WEBHOOKCTL_SECRETS="x").hint == "did you mean WEBHOOKCTL_SECRET?"
    environ = {
        "WEBHOOKCTL_OF_SOMEBODY": "x",
        "WEBHOOKCTL_SECRET": "test_x",
        "PORT": "1",
        "WEBHOOKCTL_ROUTE": "x",
    }
    assert load(cwd=project, environ=environ).port == 4400


def test_a_setting_asked_for_by_a_wrong_name_is_reported(project: Path) -> None:
    with pytest.raises(UsageError) as failure:
        load(cwd=project, environ={}).origin("prot")
    assert failure.value.hint == "did you mean port?"


def test_secrets_and_headers_of_several_files_are_put_together(project: Path, user_file: Path) -> None:
    user_file.write_text(
        '[secrets]\nstripe = "live-one"\nGitHub = "live-two"\n[headers]\nx-a = "user"\nX-B = "b"\n'
    )
    config = loaded(
        project, '[secrets]\nstripe = ["env:NEW", "file:old", "test_old"]\n[headers]\nX-A = "project"\n'
    )
    assert config.headers == (("X-A", "project"), ("X-B", "b"))
    assert [(source.provider, source.origin) for source in config.secrets] == [
        ("stripe", "webhookctl.toml:2"),
        ("github", f"{user_file}:3"),
    ]
    assert [source.base for source in config.secrets] == [project, user_file.parent]
    texts = shown(config)
    assert texts["secrets.stripe"] == "**** (env:NEW), **** (file:old), ****"
    assert texts["secrets.GitHub"] == "****"
    assert config.origin("secrets.stripe") == "webhookctl.toml:2"
    assert "live-two" not in repr(config)
    assert "test_old" not in repr(config)


@pytest.mark.parametrize("reference", ["test_1", "whsec_test1", "env:A", "file:a"])
def test_a_project_file_may_hold_references_and_test_secrets(project: Path, reference: str) -> None:
    (source,) = loaded(project, f'[secrets]\na = "{reference}"\n').secrets
    assert source.references == (reference,)


@pytest.mark.parametrize("value", ['"whsec_hidden"', '["env:A", "hidden"]'])
def test_a_project_file_may_not_hold_a_real_secret(project: Path, value: str) -> None:
    error = refusal(project, f"[secrets]\na = {value}\n")
    assert error.code == "secret-in-project"
    assert error.message.startswith("webhookctl.toml:2: ")
    assert "env:NAME" in error.hint
    assert "hidden" not in error.message + error.hint


def test_without_an_environment_given_the_real_one_counts(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOKCTL_PORT", "7")
    assert load(cwd=project).port == 7


def test_loading_imports_nothing_heavy(project: Path) -> None:
    code = (
        "import sys, pathlib\nimport webhookctl.config\nbefore = set(sys.modules)\n"
        "webhookctl.config.load(cwd=pathlib.Path(), environ={'WEBHOOKCTL_PORT': '1'})\n"
        "heavy = {'rich', 'typer', 'asyncio', 'ssl', 'socket', 'difflib', 'tomllib', 'sqlite3', 'aiohttp'}\n"
        "print(sorted(heavy & set(sys.modules)), 'platformdirs' in before)\n"
    )
    environ = os.environ | {"PYTHONPATH": str(Path(webhookctl.__file__).parents[1])}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=environ, capture_output=True, text=True, check=True
    )
    assert result.stdout.split("\n")[0] == "[] False"
