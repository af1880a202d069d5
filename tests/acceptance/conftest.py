"""Each test gets a project folder and a home of its own; nothing of the machine's configuration is seen."""

from pathlib import Path

import pytest

from tests.acceptance.running import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project: the root of a repository."""
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    home = tmp_path / "home"
    home.mkdir()
    return Project(folder, home)
