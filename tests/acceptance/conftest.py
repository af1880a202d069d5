"""Each test gets a project folder and a home of its own; nothing of the machine's configuration is seen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.running import Project
from tests.acceptance.starting import fork_server


@pytest.fixture(scope="session", autouse=True)
def quick_starts() -> Iterator[None]:
    """Commands are forked from a process that has imported everything."""
    with fork_server():
        yield


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project: the root of a repository."""
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    home = tmp_path / "home"
    home.mkdir()
    return Project(folder, home)
