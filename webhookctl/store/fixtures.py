"""The fixture folder on disk: pairs of files saved so that nothing is lost, overwritten or written elsewhere.

Must not know how a fixture is laid out (fixture) nor what a secret looks like (redact).
"""

import difflib
import errno
import fnmatch
import glob
import os
import re
import secrets as randomness
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from webhookctl.errors import FixtureError, UsageError
from webhookctl.fixture import Fixture, FixtureFiles, body_name, dump, load, slug
from webhookctl.redact import find_secrets, redact_body, redact_headers

DEFAULT_LIMIT = 20
MAX_FILE_BYTES = 256 * 1024 * 1024
"""Larger files are not read: no fixture of ours is."""

_GIT_ATTRIBUTES = b"# Fixture bodies are wire bytes: git must not touch their line ends.\n*.body.* -text\n"
_NEW_FILE = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
# Non-blocking, so that a pipe in the place of a fixture does not hold us up.
_EXISTING_FILE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NO_HARD_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
_SETTINGS = ("webhookctl.toml", "pyproject.toml")
_FORMAT = re.compile(rb"^format *=", re.MULTILINE)
_LOOKED_AT_BYTES = 4096
_UNKNOWN_HINT = "webhookctl fixtures list shows them all"


@dataclass(frozen=True, slots=True)
class FixtureEntry:
    """One fixture in a listing. `size` is that of the body in bytes; `problem` is empty when it can be used."""

    path: Path
    provider: str | None
    event: str | None
    received_at: datetime | None
    size: int
    is_edited: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """What `lint` found wrong with one file: `code` as of the error tree, `message` and `hint` in words."""

    path: Path
    code: str
    message: str
    hint: str = ""


class FixtureFolder:
    """The fixtures below `root`, a folder that need not exist yet. May be used from several threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # By provider and name: the number to try next and, once all were taken, when the folder last changed.
        # So a burst of one event costs no listing, and a fixture that was deleted makes room again.
        self._next_number: dict[tuple[str, str], int] = {}
        self._full_since: dict[tuple[str, str], int] = {}

    def save(self, fixture: Fixture, *, limit: int | None = DEFAULT_LIMIT) -> Path | None:
        """Save `fixture` as ``<root>/<provider>/<name>.toml``, else ``name-2``, ``name-3`` … up to `limit`.

        Returns the path, or None when all these names are taken. Both files are whole and on the disk when
        this returns; other processes may save at the same time. Raises UsageError ``fixtures-unwritable``.
        """
        folder = self.root / slug(fixture.provider or "unknown")
        name = slug(fixture.name)
        try:
            if limit is not None and self._full_since.get((folder.name, name)) == _changed_at(folder):
                return None
            self._prepare(folder)
            return self._save_numbered(fixture, folder, name, limit)
        except OSError as error:
            raise _unwritable(folder, error) from error

    def load(self, path: Path) -> Fixture:
        """The fixture whose TOML file is `path`. Raises FixtureError, see `webhookctl.fixture.load`."""
        toml, body = _read_pair(path)
        return load(toml, body, origin=str(path))

    def resolve(self, target: str) -> list[Path]:
        """The TOML files that `target` means, sorted; never empty.

        A path to a fixture or to its body file; a name (``push``, ``github/push``, ``orders/paid``, ``push-2``);
        a folder, as a path or below the root; or a glob of paths or names. Raises FixtureError:
        ``fixture-unknown`` with suggestions, ``fixture-ambiguous`` when a name stands for several fixtures.
        """
        path = Path(target)
        if path.suffix == ".toml" and os.path.isfile(path):
            return [path]
        stem, separator, _ = path.name.rpartition(".body.")
        if separator and os.path.isfile(path.with_name(f"{stem}.toml")):
            return [path.with_name(f"{stem}.toml")]
        by_key = {file.relative_to(self.root).with_suffix("").as_posix(): file for file in _tomls(self.root)}
        found = _globbed(target, by_key) if glob.has_magic(target) else _named(target, by_key)
        if not found and target:
            found = _tomls(path) or _tomls(self.root / target)
        if not found:
            raise _unknown(target, by_key)
        return found

    def listing(self) -> list[FixtureEntry]:
        """Every fixture below the root, sorted by path; broken ones too, with their problem."""
        return [self._entry(path) for path in _tomls(self.root)]

    def lint(self, paths: Iterable[Path], *, secrets: bool) -> list[Problem]:
        """What is wrong with the fixtures at `paths`; with `secrets` also what should have been redacted."""
        problems: list[Problem] = []
        for path in paths:
            try:
                toml, body = _read_pair(path)
                fixture = load(toml, body, origin=str(path))
            except FixtureError as error:
                problems.append(Problem(path, error.code, error.message, error.hint))
                continue
            if secrets:
                problems += _secret_problems(path, toml, fixture)
        return problems

    def format_file(self, path: Path) -> bool:
        """Lay out the fixture at `path` anew, JSON bodies indented; True when that changed a file.

        Comments are not kept. The request stays the same to the byte. Raises FixtureError, and UsageError
        ``fixtures-unwritable``.
        """
        toml, body = _read_pair(path)
        files = dump(load(toml, body, origin=str(path)))
        try:
            if files.body_name and files.body != body:
                _replace(path.with_name(files.body_name), files.body)
            if files.toml != toml:
                _replace(path, files.toml)
        except OSError as error:
            raise _unwritable(path, error) from error
        return files.toml != toml or files.body != body

    def _prepare(self, folder: Path) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        attributes = self.root / ".gitattributes"
        if not os.path.lexists(attributes):
            _publish(attributes, _GIT_ATTRIBUTES)
        if folder.is_symlink():
            raise UsageError(
                "fixtures-unwritable",
                f"{folder} is a symbolic link: fixtures are not written through it",
                "remove the link, or configure another fixtures folder",
            )

    def _save_numbered(self, fixture: Fixture, folder: Path, name: str, limit: int | None) -> Path | None:
        key = (folder.name, name)
        number = self._next_number.get(key, 1)
        if limit is not None and number > limit:
            number = 1  # one of them may have been deleted
        while limit is None or number <= limit:
            numbered = name if number == 1 else f"{name}-{number}"
            path = folder / f"{numbered}.toml"
            number += 1
            if not os.path.lexists(path) and _publish_pair(path, dump(fixture.renamed(numbered))):
                self._next_number[key] = number
                return path
        self._full_since[key] = _changed_at(folder)
        return None

    def _entry(self, path: Path) -> FixtureEntry:
        try:
            fixture = self.load(path)
        except FixtureError as error:
            return FixtureEntry(path, path.parent.name, None, None, 0, is_edited=False, problem=error.message)
        return FixtureEntry(
            path,
            fixture.provider,
            fixture.event,
            fixture.received_at,
            len(fixture.request.body),
            fixture.is_edited,
        )


def _changed_at(folder: Path) -> int:
    """When an entry of `folder` was last made or removed, in nanoseconds; 0 when there is no folder."""
    return folder.stat().st_mtime_ns if os.path.isdir(folder) else 0


def _tomls(folder: Path) -> list[Path]:
    """The fixtures below `folder`, sorted: TOML files that are nothing else, not in hidden or installed folders."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder) if os.path.isdir(folder) else ():
        folders[:] = [name for name in folders if not name.startswith(".") and name != "node_modules"]
        found += [Path(place, name) for name in names if name.endswith(".toml") and name not in _SETTINGS]
    return sorted(
        path for path in found if not path.name.startswith(".") and path.is_file() and _is_ours(path)
    )


def _is_ours(path: Path) -> bool:
    """False for a contract: an event may end in ``.contract`` as well, so that the name alone does not tell."""
    if not path.name.endswith(".contract.toml"):
        return True
    try:
        with path.open("rb") as file:
            return _FORMAT.search(file.read(_LOOKED_AT_BYTES)) is not None
    except OSError:
        return True  # whoever reads it says why it cannot be


def _globbed(pattern: str, by_key: dict[str, Path]) -> list[Path]:
    matching = [path for key, path in by_key.items() if _matches(key, pattern)]
    return matching or sorted(Path(found) for found in glob.glob(pattern) if found.endswith(".toml"))


def _matches(key: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(key, pattern) or fnmatch.fnmatchcase(key.rpartition("/")[2], pattern)


def _named(name: str, by_key: dict[str, Path]) -> list[Path]:
    name = name.removesuffix(".toml")
    provider, _, event = name.partition("/")
    wanted = [name, f"{provider}/{slug(event)}", slug(name)] if event else [name, slug(name)] if name else []
    for key in wanted:
        if key in by_key:
            return [by_key[key]]
    matching = [key for key in by_key if key.endswith(tuple(f"/{each}" for each in wanted))]
    if len(matching) > 1:
        message = f"{name} stands for {len(matching)} fixtures: {', '.join(matching)}"
        raise FixtureError("fixture-ambiguous", message, f"say which: {matching[0]}")
    return [by_key[key] for key in matching]


def _unknown(target: str, by_key: dict[str, Path]) -> FixtureError:
    names = {key.rpartition("/")[2]: key for key in by_key} | {key: key for key in by_key}
    close = difflib.get_close_matches(target, names, n=3)
    suggestions = ", ".join(dict.fromkeys(names[name] for name in close))
    hint = f"did you mean {suggestions}?" if suggestions else _UNKNOWN_HINT
    return FixtureError("fixture-unknown", f"no fixture is called {target}", hint)


def _secret_problems(path: Path, toml: bytes, fixture: Fixture) -> list[Problem]:
    headers = fixture.request.headers
    content_types = [value.decode("latin-1") for name, value in headers if name.lower() == b"content-type"]
    content_type = content_types[0] if content_types else None
    findings = [
        *(f"header {name} is not redacted" for name in redact_headers(headers, signature_names=())[1]),
        *(
            f"body field {name} is not redacted"
            for name in redact_body(fixture.request.body, content_type=content_type)[1]
        ),
        *(f"holds a {kind}" for kind in find_secrets(toml)),
        *(f"the body holds a {kind}" for kind in find_secrets(fixture.request.body)),
    ]
    hint = "replace the value by {redacted}, and revoke the secret if it was committed"
    return [Problem(path, "fixture-secret", finding, hint) for finding in findings]


def _read_pair(path: Path) -> tuple[bytes, bytes]:
    toml = _read(path)
    name = body_name(toml, str(path))
    if name is None:
        return toml, b""
    body_path = path.with_name(name)
    if not os.path.lexists(body_path):
        hint = "restore the file, or remove body from [request] to send none"
        raise FixtureError("fixture-body-missing", f"{path}: its body file {name} is missing", hint)
    return toml, _read(body_path)


def _read(path: Path) -> bytes:
    try:
        with open(os.open(path, _EXISTING_FILE), "rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise FixtureError("fixture-unreadable", f"{path} is not a plain file")
            if state.st_size > MAX_FILE_BYTES:
                size = f"{state.st_size:,} bytes; the limit is {MAX_FILE_BYTES:,}"
                raise FixtureError("fixture-too-large", f"{path} has {size}")
            return file.read(MAX_FILE_BYTES)
    except (OSError, ValueError) as error:  # the latter for a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else error
        raise FixtureError("fixture-unreadable", f"cannot read {path}: {reason}") from error


def _publish_pair(path: Path, files: FixtureFiles) -> bool:
    """Body first: a fixture begins to exist with its TOML file, when all of it is there. False when taken."""
    body_path = path.with_name(files.body_name) if files.body_name else None
    if body_path and not _publish(body_path, files.body):
        return False
    is_published = False
    try:
        is_published = _publish(path, files.toml)
    finally:
        if body_path and not is_published:
            body_path.unlink(missing_ok=True)
    if is_published:
        _sync_folder(path.parent)
    return is_published


def _publish(path: Path, content: bytes) -> bool:
    """Make the file `path` appear at once with all its content; False when something of that name is there."""
    temporary = _write_temporary(path, content, mode=0o600)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        return _publish_without_links(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _publish_without_links(temporary: Path, path: Path) -> bool:
    """For file systems such as FAT: the name is reserved by an empty file, which is then replaced whole."""
    try:
        os.close(os.open(path, _NEW_FILE, 0o600))
    except FileExistsError:
        return False
    temporary.replace(path)
    return True


def _replace(path: Path, content: bytes) -> None:
    temporary = _write_temporary(path, content, mode=stat.S_IMODE(path.stat().st_mode))
    try:
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _write_temporary(path: Path, content: bytes, *, mode: int) -> Path:
    temporary = path.with_name(f".{path.name[:120]}.{randomness.token_hex(8)}.tmp")
    descriptor = os.open(temporary, _NEW_FILE, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # folders cannot be opened there; their entries are journaled
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> UsageError:
    reason = error.strerror or type(error).__name__
    hint = (
        "make room or allow writing there, name another folder with --fixtures, or save none with --no-save"
    )
    return UsageError("fixtures-unwritable", f"cannot write fixtures to {path}: {reason}", hint)
