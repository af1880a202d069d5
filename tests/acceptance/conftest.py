"""Each test gets a project folder and a home of its own; nothing of the machine's configuration is seen."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.running import Project
from tests.acceptance.starting import fork_server


@pytest.fixture(scope="session", autouse=True)
def quick_starts() -> Iterator[None]:
    """Commands are forked from one that has imported everything; each hears Ctrl-C, also in a run in the background.

    A shell starts what runs in its background with SIGINT ignored, and processes inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
