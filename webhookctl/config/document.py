"""Configuration files: finding the project's, reading TOML with its line numbers, errors with their place.

Must not know which settings there are.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from os.path import exists, isdir, lexists  # unlike pathlib's these never raise
from pathlib import Path
from typing import Any

from webhookctl.errors import UsageError

PROJECT_FILE = "webhookctl.toml"
_PYPROJECT = "pyproject.toml"
_STATE_FOLDER = ".webhookctl"
_MAX_FILE_BYTES = 1024 * 1024
_OWN_TABLE = re.compile(rb"^\s*\[\s*tool\s*\.\s*[\"']?webhookctl[\"']?\s*[].]", re.MULTILINE)
_OWN_PREFIX = "tool.webhookctl."
_KEY = r"(?:[\w-]+|\"[^\"]*\"|'[^']*')"
_NAMED_LINE = re.compile(rf"\s*(\[\[?\s*)?({_KEY}(?:\s*\.\s*{_KEY})*)\s*[]=]")
_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)")


@dataclass(frozen=True, slots=True)
class Document:
    """One file's settings, parsed; `title` is how people are told of it.

    A private document lies outside any repository, so that it may hold secrets as they are.
    """

    path: Path
    title: str
    table: Mapping[str, Any]
    lines: Mapping[str, int]
    is_private: bool = False

    def place(self, name: str) -> str:
        """``webhookctl.toml:3``, or the file alone when the line of `name` (dotted) is not found."""
        while name:
            if line := self.lines.get(name):
                return f"{self.title}:{line}"
            name = name.rpartition(".")[0]
        return self.title


def find_project_root(cwd: Path) -> Path:
    """The nearest folder from `cwd` upward that shows a project, else `cwd` itself; absolute, links resolved.

    A project shows itself by webhookctl.toml, a pyproject.toml with ``[tool.webhookctl]``, `.webhookctl/` or
    `.git`. The search stops at the repository root, else at the user's home folder; `.webhookctl` in the home
    folder itself does not count.
    """
    home = _home()
    for folder in _upward(cwd):
        if (
            exists(folder / ".git")
            or lexists(folder / PROJECT_FILE)
            or _has_own_table(folder / _PYPROJECT)
            or (folder != home and isdir(folder / _STATE_FOLDER))
        ):
            return folder
    return cwd.resolve()


def find_project_document(cwd: Path) -> Document | None:
    """The settings of the nearest project file from `cwd` upward; None when there is none.

    Raises UsageError `config-ambiguous` when one folder holds two, and what `read_document` raises.
    """
    for folder in _upward(cwd):
        own, shared = folder / PROJECT_FILE, folder / _PYPROJECT
        is_own, is_shared = lexists(own), _has_own_table(shared)
        if is_own and is_shared:
            raise UsageError(
                "config-ambiguous",
                f"{folder} holds both {PROJECT_FILE} and [tool.webhookctl] in {_PYPROJECT}",
                "keep one of them",
            )
        if is_own or is_shared:
            return read_document(own if is_own else shared)
    return None


def read_document(path: Path, *, title: str | None = None, is_private: bool = False) -> Document:
    """The settings in the TOML file at `path`: of a pyproject.toml its ``[tool.webhookctl]`` table.

    Raises UsageError `config-missing`, `config-unreadable` or, with line and column, `config-syntax`.
    """
    title = title or path.name
    text = _read(path)
    table, lines = _parse(text, title), _line_numbers(text)
    if path.name == _PYPROJECT:
        table = _own_table(table, title)
        lines = {
            name.removeprefix(_OWN_PREFIX): line
            for name, line in lines.items()
            if name.startswith(_OWN_PREFIX)
        }
    return Document(path, title, table, lines, is_private)


def _upward(cwd: Path) -> list[Path]:
    """`cwd` and its parents as far as a project may reach: to the repository, else home, else the root."""
    folder = cwd.resolve()
    folders = [folder, *folder.parents]
    home = _home()
    repositories = [place for place in folders if exists(place / ".git")]
    last = repositories[0] if repositories else home
    return folders[: folders.index(last) + 1] if last in folders else folders


def _home() -> Path | None:
    try:
        return Path.home().resolve()
    except RuntimeError:  # a user without a home folder
        return None


def _has_own_table(path: Path) -> bool:
    """True for a pyproject.toml with our table. One that cannot be read is somebody else's business."""
    try:
        return _OWN_TABLE.search(path.read_bytes()) is not None
    except OSError:
        return False


def _own_table(table: Any, title: str) -> dict[str, Any]:
    for key in ("tool", "webhookctl"):
        table = table.get(key, {})
        if not isinstance(table, dict):
            raise UsageError("config-value", f"{title}: {key} must be a table", "write [tool.webhookctl]")
    return dict(table)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError("config-missing", f"there is no file {path}", "check the path") from error
    except OSError as error:
        raise _unreadable(path, f"{error.strerror}", "make it a file you may read") from error
    if len(data) > _MAX_FILE_BYTES:
        raise _unreadable(path, "larger than 1 MiB", "a configuration is a few lines of TOML")
    try:
        return data.decode("utf-8-sig")  # editors on Windows put a byte order mark in front
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"not UTF-8 text (byte {error.start})", "save it as UTF-8") from error


def _unreadable(path: Path, reason: str, hint: str) -> UsageError:
    return UsageError("config-unreadable", f"cannot read {path}: {reason}", hint)


def _parse(text: str, title: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise UsageError("config-syntax", f"{title}: nested too deeply") from error
    except tomllib.TOMLDecodeError as error:
        place = _SYNTAX_PLACE.search(str(error))
        end = (text.count("\n") + 1, len(text) - text.rfind("\n"))
        line, column = (place[1], place[2]) if place and place[1] else end
        reason = _SYNTAX_PLACE.sub("", str(error))
        raise UsageError(
            "config-syntax",
            f"{title}:{line}:{column}: not TOML: {reason}",
            'texts are in quotes: host = "127.0.0.1"',
        ) from error


def _line_numbers(text: str) -> dict[str, int]:
    """The line each table and key (dotted name) first appears on, as far as single lines show it."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if match := _NAMED_LINE.match(line):
            name = re.sub(r"[\"'\s]", "", match[2])
            if match[1]:
                table = f"{name}."
            found.setdefault(name if match[1] else table + name, number)
    return found
