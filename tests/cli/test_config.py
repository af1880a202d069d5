"""`webhookctl config show`: every setting and where it came from."""

import pytest

from tests.cli.commands import Project, run


def rows(*arguments: str, environ: dict[str, str] | None = None) -> dict[str, tuple[str, str]]:
    result = run("config", "show", "--json", *arguments, environ=environ)
    assert result.exit_code == 0, result.errors
    return {setting["name"]: (setting["value"], setting["origin"]) for setting in result.data["settings"]}


def test_without_any_file_all_is_default(project: Project) -> None:
    assert {origin for _, origin in rows().values()} == {"default"}
    assert rows()["port"] == ("4400", "default")


def test_each_layer_names_itself(project: Project) -> None:
    import platformdirs

    user_file = platformdirs.user_config_path("webhookctl") / "config.toml"
    user_file.parent.mkdir(parents=True)
    user_file.write_text("port = 1\ntimeout_s = 5\n")
    project.write("webhookctl.toml", '# ours\nport = 2\nprovider = "github"\n')
    shown = rows(environ={"WEBHOOKCTL_PROVIDER": "slack"})
    assert shown["timeout_s"] == ("5", f"{user_file}:2")
    assert shown["port"] == ("2", "webhookctl.toml:2")
    assert shown["provider"] == ("slack", "env WEBHOOKCTL_PROVIDER")


def test_the_text_has_aligned_columns(project: Project) -> None:
    project.write("webhookctl.toml", "port = 5000\n")
    with_origin = run("config", "show", "--origin").text.splitlines()
    assert "port                  5000       webhookctl.toml:1" in with_origin
    assert "port                  5000" in run("config", "show").text.splitlines()


def test_secrets_and_secret_headers_are_hidden(project: Project) -> None:
    project.write(
        "webhookctl.toml",
        'endpoint = "http://sample:hidden-word@example.com/x"\n'
        '[secrets]\nstripe = "whsec_test_hidden-word"\n[headers]\nX-Api-Key = "hidden-word"\n',
    )
    for arguments in ((), ("--origin",), ("--json",)):
        assert "hidden-word" not in run("config", "show", *arguments).text
    assert rows()["secrets.stripe"] == ("****", "webhookctl.toml:3")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("port = \n", "webhookctl.toml:1:8: not TOML: Invalid value"),
        ("\nport = true\n", "webhookctl.toml:2: port must be a port from 0 to 65535, not 'true'"),
        ("prot = 1\n", "webhookctl.toml:1: unknown setting prot"),
        (
            '[secrets]\nstripe = "sample-secret"\n',
            "webhookctl.toml:2: the secret of stripe stands in a file that is shared with the project",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_line(project: Project, text: str, error: str) -> None:
    project.write("webhookctl.toml", text)
    for command in (("config", "show"), ("log",), ("sign", "-p", "stripe"), ("fixtures", "list")):
        result = run(*command)
        assert (result.exit_code, result.stdout) == (2, b"")
        assert result.errors.splitlines()[0] == f"error: {error}"
        assert result.errors.splitlines()[1].startswith("hint: ")


def test_a_misspelt_variable_gets_a_suggestion(project: Project) -> None:
    result = run("config", "show", environ={"WEBHOOKCTL_PRT": "1"})
    assert (result.exit_code, result.errors) == (
        2,
        "error: unknown variable WEBHOOKCTL_PRT\nhint: did you mean WEBHOOKCTL_PORT?\n",
    )


def test_settings_are_found_from_a_folder_below(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("webhookctl.toml", "port = 5000\n")
    project.write("src/deep/file", b"")
    monkeypatch.chdir(project.folder / "src" / "deep")
    assert rows()["port"] == ("5000", "webhookctl.toml:1")
