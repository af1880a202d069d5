"""No test here sees the real home folder, user configuration or environment."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder of the test's own, beside its projects."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in list(os.environ):
        if name.startswith(("XDG_", "WEBHOOKCTL_")):
            monkeypatch.delenv(name)
    return folder


@pytest.fixture
def user_file(home: Path) -> Path:
    """Where the user's configuration lies; not there yet."""
    import platformdirs

    path = platformdirs.user_config_path("webhookctl") / "config.toml"
    assert path.is_relative_to(home)
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project folder: the root of a repository."""
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    return folder
