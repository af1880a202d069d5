"""How commands on this machine find the relay that uses a data folder: its URLs and a key for this run, in one file.

Readable for its owner alone. The key dies with the run; what else stands there serves the next commands.
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from webhookctl.errors import UsageError
from webhookctl.model import Secret

_NAME = "relay.json"


@dataclass(frozen=True, slots=True)
class Control:
    """`public_url` and `domain` make the URLs of channels; `url` is where this machine reaches the running relay."""

    public_url: str
    domain: str
    url: str
    key: Secret


def write_control(folder: Path, control: Control) -> None:
    """Tell commands about the relay that starts now. Raises UsageError `relay-data-unusable`."""
    record = {
        "public_url": control.public_url,
        "domain": control.domain,
        "url": control.url,
        "key": control.key.reveal(),
    }
    path, draft = folder / _NAME, folder / f"{_NAME}.new"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            draft.unlink()
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
            json.dump(record, file)
        draft.replace(path)
    except OSError as error:
        raise UsageError(
            "relay-data-unusable",
            f"the data folder {folder} cannot be used: {error.strerror}",
            "the relay needs a folder it may write: --data",
        ) from error


def read_control(folder: Path) -> Control | None:
    """What the relay of this folder wrote last; None when there is nothing that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads((folder / _NAME).read_text("utf-8"))
        texts = {name: str(record[name]) for name in ("public_url", "domain", "url")}
        return Control(**texts, key=Secret(str(record["key"]), "relay"))
    return None
