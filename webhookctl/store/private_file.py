"""Private files (0600), each complete from the moment it is there; no symbolic link is followed.

Must not know what they hold.
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from webhookctl.errors import UsageError

_MAX_FILE_BYTES = 64 * 1024


def read_file(path: Path) -> bytes:
    """The file's bytes. Raises OSError (also for a symbolic link), ValueError when it is too large."""
    # Non-blocking, so that a named pipe in its place cannot hang us.
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        data = file.read(_MAX_FILE_BYTES + 1)
    if len(data) > _MAX_FILE_BYTES:
        raise ValueError("too large")
    return data


def publish(path: Path, data: bytes) -> bool:
    """Make `path` with `data` in one step; False when it exists already (then it stays as it is)."""
    if os.path.lexists(path):
        return False
    with _temporary(path, data) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # no hard links on this file system (FAT, some shared folders)
            try:
                _write_new(path, data)
            except FileExistsError:
                return False
    return True


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step, whatever was there."""
    with _temporary(path, data) as temporary:
        temporary.replace(path)


def write_texts(folder: Path, texts: Mapping[str, str], *, is_replacing: bool) -> list[str]:
    """Write each of `texts` to its name in `folder`; the paths. None is written when one exists already.

    Raises UsageError `file-exists` unless `is_replacing`, and `state-unwritable`.
    """
    paths = [folder / name for name in texts]
    taken = next((path for path in paths if os.path.lexists(path)), None)
    if taken is not None and not is_replacing:
        raise UsageError("file-exists", f"{taken} exists already", "--force replaces it")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, texts.values(), strict=True):
            replace_file(path, text.rstrip("\n").encode() + b"\n")
    return [str(path) for path in paths]


@contextmanager
def _temporary(path: Path, data: bytes) -> Iterator[Path]:
    """A complete file with `data` beside `path`, gone afterwards if it was not moved away."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write_new(temporary, data)
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink()


def _write_new(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # else a power cut leaves an empty file under the final name


@contextmanager
def writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            "state-unwritable",
            f"cannot write {path}: {error.strerror}",
            "make the folder writable and the disk not full, or run in another project folder",
        ) from error


def refuse_link(folder: Path) -> None:
    if folder.is_symlink():  # a cloned repository could make us write anywhere
        raise unsafe(folder)


def unsafe(path: Path) -> UsageError:
    return UsageError(
        "state-unsafe",
        f"{path} is a symbolic link; its target could lie anywhere",
        "remove the link; webhookctl makes the real thing by itself",
    )
