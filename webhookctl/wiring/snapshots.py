"""The snapshot file beside a contract: read when a case asks, written when answers are to be saved.

Must not know what is in an answer.
"""

from pathlib import Path

from webhookctl.contract.model import Json
from webhookctl.contract.snapshot import read_snapshots, write_snapshots
from webhookctl.errors import UsageError

_MAX_BYTES = 16 * 1024 * 1024


class Snapshots:
    """The saved answers of the contract at `contract`, in ``<name>.snapshots.json`` in its folder."""

    def __init__(self, contract: Path, *, is_updating: bool) -> None:
        self._path = contract.parent / f"{contract.name.removesuffix('.contract.toml')}.snapshots.json"
        self._is_updating = is_updating
        self._cases: dict[str, Json] | None = None
        self._has_changed = False

    def saved(self, name: str, answers: Json) -> Json | None:
        """What is saved for case `name`; with `is_updating` these `answers` from now on.

        Raises UsageError `snapshot-invalid`.
        """
        if self._cases is None:
            self._cases = self._read()
        if self._is_updating and self._cases.get(name) != answers:
            self._cases[name] = answers
            self._has_changed = True
        return self._cases.get(name)

    def save(self) -> None:
        """Write what changed. Raises UsageError `snapshot-unwritable`."""
        if not self._has_changed or self._cases is None:
            return
        try:
            self._path.write_bytes(write_snapshots(self._cases))
        except OSError as error:
            raise UsageError(
                "snapshot-unwritable", f"{self._path} cannot be written: {error.strerror}"
            ) from error
        self._has_changed = False

    def _read(self) -> dict[str, Json]:
        try:
            with self._path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UsageError("snapshot-invalid", f"{self._path} cannot be read: {error.strerror}") from error
        if len(data) > _MAX_BYTES:
            raise UsageError("snapshot-invalid", f"{self._path} is larger than 16 MiB")
        return read_snapshots(data, origin=str(self._path))
