"""Help: for every command, with examples that can be copied."""

import re

import pytest
import typer

from tests.cli.commands import Project, run
from webhookctl.cli.app import app


def command_names() -> list[str]:
    """Every command with its groups: `sign`, `fixtures list`, `relay channel new`."""
    return sorted(_below(typer.main.get_command(app), ""))


def _below(group: object, prefix: str) -> list[str]:
    names: list[str] = []
    for name, command in getattr(group, "commands", {}).items():
        is_group = hasattr(command, "commands")
        names += _below(command, f"{prefix}{name} ") if is_group else [prefix + name]
    return names


@pytest.mark.parametrize("command", command_names())
def test_every_command_has_help_with_two_examples_of_itself(project: Project, command: str) -> None:
    result = run(*command.split(), "--help")
    assert (result.exit_code, result.errors) == (0, "")
    assert result.text.startswith(f"Usage: webhookctl {command} ")
    examples = re.search(r"\n  Examples:\n((?:    .+\n)+)", result.text)
    assert examples is not None
    lines = examples[1].splitlines()
    assert len(lines) == 2
    assert all(f"webhookctl {command}" in line for line in lines)


@pytest.mark.parametrize("command", command_names())
def test_the_short_flag_gives_the_same_help(project: Project, command: str) -> None:
    assert run(*command.split(), "-h").text == run(*command.split(), "--help").text


@pytest.mark.parametrize("command", command_names())
def test_the_options_in_the_examples_exist(project: Project, command: str) -> None:
    text = run(*command.split(), "--help").text
    examples, _, rest = text.partition("Examples:\n")[2].partition("\n\n")
    options = rest.partition("Options:\n")[2]
    for line in examples.splitlines():
        call = re.split(r"\)\"| \| | > ", line.partition(f"webhookctl {command}")[2])[0]
        for option in re.findall(r"(?<= )--?[a-z][a-z-]*", call):
            assert re.search(rf"(^|[ ,]){option}\b", options, re.MULTILINE), option


@pytest.mark.parametrize("arguments", [("-h",), ("--help",)])
def test_the_first_page_names_every_command_and_exit_code(
    project: Project, arguments: tuple[str, ...]
) -> None:
    result = run(*arguments)
    assert result.exit_code == 0
    for command in command_names():
        assert f"\n  {command.split()[0]} " in result.text
    for code in (
        "0 ok",
        "1 a finding",
        "2 usage",
        "3 signature",
        "4 fixture",
        "5 unreachable",
        "6 relay",
        "70 a bug",
        "130",
    ):
        assert code in result.text


@pytest.mark.parametrize("group", [(), ("fixtures",), ("config",), ("relay",), ("relay", "channel")])
def test_a_command_that_lacks_its_verb_shows_its_help_on_stderr(
    project: Project, group: tuple[str, ...]
) -> None:
    result = run(*group)
    assert (result.exit_code, result.stdout) == (2, b"")
    assert result.errors == run(*group, "--help").text


def test_help_fits_eighty_columns_except_for_examples(project: Project) -> None:
    for command in command_names():
        text = run(*command.split(), "--help").text
        lines = [line for line in text.splitlines() if "webhookctl" not in line]
        assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_is_one_line(project: Project, flag: str) -> None:
    from webhookctl import __version__

    assert run(flag).text == f"webhookctl {__version__}\n"
