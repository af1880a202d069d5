"""Each test runs in an empty project, with a home folder of its own; nothing of this machine's settings is seen."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import Project
from tests.ports import refusing_port


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project, the working folder of the test."""
    for name in list(os.environ):
        if name.startswith(("XDG_", "WEBHOOKCTL_", "COVERAGE_")) or name.endswith("_SECRET"):
            monkeypatch.delenv(name)
    home, folder = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    (folder / ".git").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.chdir(folder)
    return Project(folder, home)


@pytest.fixture
def refusing() -> Iterator[str]:
    """The URL of an endpoint that refuses connections."""
    with refusing_port() as port:
        yield f"http://127.0.0.1:{port}"
