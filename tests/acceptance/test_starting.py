"""A forked command is what a started one is: the same output, the same end."""

import signal

import pytest

from tests.acceptance import starting
from tests.acceptance.running import Project, Result


def started_and_forked(
    project: Project, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[Result, Result]:
    forked = project.run(*arguments, stdin=b'{"a":1}')
    with monkeypatch.context() as without:
        without.setattr(starting, "_servers", [])
        return project.run(*arguments, stdin=b'{"a":1}'), forked


@pytest.mark.parametrize(
    "arguments",
    [("--version",), ("--help",), ("sign", "-p", "github", "--secret", "s"), ("log", "--json"), ("lgo",)],
    ids=" ".join,
)
def test_a_forked_command_writes_and_ends_as_a_started_one(
    project: Project, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    started, forked = started_and_forked(project, monkeypatch, *arguments)
    assert forked == started


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGKILL, -9)]
)
def test_a_signal_ends_a_forked_command_as_a_started_one(
    project: Project, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    with project.listening("--json") as listening:
        assert isinstance(listening.process, starting.Forked)
        assert listening.stop(number) == code
    monkeypatch.setattr(starting, "_servers", [])
    with project.listening("--json") as listening:
        assert not isinstance(listening.process, starting.Forked)
        assert listening.stop(number) == code


def test_a_terminal_is_one_to_a_forked_command(project: Project) -> None:
    with project.watching() as listening:
        assert "\x1b[" in listening.lines.raw.decode()
