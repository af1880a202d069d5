"""Where things of a user, not of a project, are kept on this system."""

from pathlib import Path


def relay_data_folder() -> Path:
    """The folder of a relay that was told none. It is not made."""
    from platformdirs import user_data_path

    return user_data_path("webhookctl", appauthor=False) / "relay"
