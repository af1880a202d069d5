"""The keys that `keys new` made, a file for each provider, in the project's `.webhookctl/`.

Knows files; must not know schemes, or what makes a key.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from os.path import lexists
from pathlib import Path

from webhookctl.errors import UsageError
from webhookctl.model import Secret
from webhookctl.store.private_file import publish, read_file, refuse_link, replace_file, writing


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key of `provider`: `secret` signs; `public` is what the provider would show, "" for a shared secret."""

    provider: str
    algorithm: str
    secret: Secret
    public: str
    made_at_s: float


class KeyFolder:
    """The folder of keys. Reading never makes it; `make_parent` makes the folder it lies in.

    Provider ids are names of files: whoever calls has checked that they are ids.
    """

    __slots__ = ("_folder", "_make_parent")

    def __init__(self, folder: Path, make_parent: Callable[[], object]) -> None:
        self._folder = folder
        self._make_parent = make_parent

    def providers(self) -> tuple[str, ...]:
        """The ids of all providers that have a key here, sorted. Never raises."""
        with suppress(OSError):
            return tuple(sorted(path.stem for path in self._folder.iterdir() if path.suffix == ".json"))
        return ()

    def find(self, provider: str) -> StoredKey | None:
        """The key of `provider`, or None. Raises UsageError `key-damaged` or `state-unsafe`."""
        if not lexists(f"{self._folder}/{provider}.json"):  # the usual case, asked for each delivery
            return None
        refuse_link(self._folder.parent)
        refuse_link(self._folder)
        path = self._path(provider)
        try:
            return _parsed(provider, read_file(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(
                "key-damaged",
                f"{path} does not hold a readable key",
                f"make a new one: webhookctl keys new {provider} --force",
            ) from error

    def keep(self, key: StoredKey, *, is_replacing: bool) -> None:
        """Write `key`, readable by its owner alone. Raises UsageError `key-exists` unless `is_replacing`, `state-…`."""
        self._make_parent()
        refuse_link(self._folder)
        path = self._path(key.provider)
        text = json.dumps(
            {
                "algorithm": key.algorithm,
                "secret": key.secret.reveal(),
                "public": key.public,
                "made_at_s": key.made_at_s,
            },
            indent=1,
        ).encode("ascii")
        with writing(path):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if is_replacing:
                replace_file(path, text)
            elif not publish(path, text):
                raise self.refusal(key.provider)

    @staticmethod
    def refusal(provider: str) -> UsageError:
        """The error for a key that would be overwritten."""
        return UsageError(
            "key-exists",
            f"this project has a key for {provider} already",
            f"webhookctl keys show {provider} shows it; --force makes another in its place",
        )

    def remove(self, provider: str) -> bool:
        """Delete the key of `provider`; False when there is none. Raises UsageError `state-unwritable`."""
        refuse_link(self._folder)
        path = self._path(provider)
        with writing(path):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return False
        return True

    def _path(self, provider: str) -> Path:
        return self._folder / f"{provider}.json"


def _parsed(provider: str, data: bytes) -> StoredKey:
    match json.loads(data):
        case {
            "algorithm": str(algorithm),
            "secret": str(secret),
            "public": str(public),
            "made_at_s": float() | int() as made_at_s,
        } if secret:
            return StoredKey(provider, algorithm, Secret(secret, "development"), public, float(made_at_s))
    raise ValueError("not a key")
