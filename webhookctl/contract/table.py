"""A table of a contract file taken apart key by key, with errors that show file, line, column and a caret.

Must not know contracts.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NoReturn, TypeVar

from webhookctl.contract.places import Path, Places, Spot, places
from webhookctl.contract.result import Place
from webhookctl.errors import UsageError

Value = TypeVar("Value")
_KINDS: Mapping[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)")
_SHOWN_COLUMNS = 100  # of a source line that is longer, those around the caret


@dataclass(frozen=True, slots=True)
class Source:
    """A TOML file read: its path as people know it, its lines, and where each key and value stands."""

    origin: str
    lines: Sequence[str]
    places: Places

    def place(self, path: Path) -> Place:
        """Where the key `path` is written; the nearest thing around it when it is not there itself."""
        keys = self.places.keys
        while path and path not in keys:
            path = path[:-1]
        line, column = keys.get(path, (0, 0))
        return Place(self.origin, line, column)

    def fault(self, path: Path, problem: str, hint: str = "", *, is_value: bool = False) -> UsageError:
        """The error `contract-invalid` that points at the key `path`, or with `is_value` at its value."""
        place = self.place(path)
        spot = (place.line, place.column)
        if is_value:
            spot = self.places.values.get(path, spot)
        return self.fault_at(spot, problem, hint)

    def fault_at(self, spot: Spot, problem: str, hint: str = "") -> UsageError:
        """The error `contract-invalid` that points at line and column; at the file alone for line 0."""
        line, column = spot
        if not line:
            return UsageError("contract-invalid", f"{self.origin}: {problem}", hint)
        start = max(0, column - 1 - _SHOWN_COLUMNS // 2)
        text = self.lines[line - 1].replace("\t", " ")[start : start + _SHOWN_COLUMNS]
        caret = " " * (column - 1 - start) + "^"
        shown = f"{self.origin}:{line}:{column}: {problem}\n  {text}\n  {caret}"
        return UsageError("contract-invalid", shown, hint)


NO_PLACES = Places({}, {})


def parse(toml: bytes, origin: str) -> "Table":
    """The top table of a contract file. Raises UsageError `contract-invalid`, also for what is not TOML."""
    try:
        text = toml.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        problem = f"{origin}: byte {error.start} is not UTF-8"
        raise UsageError("contract-invalid", problem, "save it as UTF-8") from None
    lines = text.split("\n")
    try:
        content = tomllib.loads(text)
        return Table(Source(origin, lines, places(text)), (), content)
    except RecursionError:
        raise UsageError("contract-invalid", f"{origin}: nested too deeply") from None
    except ValueError as error:  # also numbers of thousands of digits
        found = _SYNTAX_PLACE.search(str(error))
        spot = (len(lines), len(lines[-1]) + 1)
        if found is not None and found[1]:
            spot = (int(found[1]), int(found[2]))
        problem = f"not TOML: {_SYNTAX_PLACE.sub('', str(error))}"
        source = Source(origin, lines, NO_PLACES)
        raise source.fault_at(spot, problem, 'texts are in quotes: send = "stripe/paid"') from None


class Table:
    """One table; `finish` refuses what nobody asked for. Every method raises UsageError `contract-invalid`."""

    def __init__(self, source: Source, path: Path, content: Mapping[str, object]) -> None:
        self.source = source
        self._path = path
        self._rest = dict(content)
        self._asked: list[str] = []

    @property
    def path(self) -> Path:
        return self._path

    @property
    def place(self) -> Place:
        return self.source.place(self._path)

    def place_of(self, key: str) -> Place:
        return self.source.place((*self._path, key))

    def refuse(self, key: str, problem: str, hint: str = "") -> NoReturn:
        """Raise the error that points at the value of `key`."""
        raise self.source.fault((*self._path, key), f"{key} {problem}", hint, is_value=True)

    def has(self, key: str) -> bool:
        self._asked.append(key)
        return key in self._rest

    def raw(self, key: str) -> object:
        """The value of `key` whatever it is; None when it is absent."""
        self._asked.append(key)
        return self._rest.pop(key, None)

    def take(self, key: str, kind: type[Value]) -> Value | None:
        """The value of `key`, None when it is absent. Whole numbers are floats too."""
        value = self.raw(key)
        if kind is float and type(value) is int:
            value = float(value)
        if value is not None and type(value) is not kind:
            self.refuse(key, f"is {_shown(value)}, it has to be {_KINDS[kind]}")
        return value

    def need(self, key: str, kind: type[Value], hint: str = "") -> Value:
        value = self.take(key, kind)
        if value is None:
            self.refuse_missing(key, f"{key} is missing", hint)
        return value

    def refuse_missing(self, key: str, problem: str, hint: str) -> NoReturn:
        """Raise the error that `key` is not there; where another looks like it, that one is wrong."""
        for near in get_close_matches(key, self._rest, 1):
            raise self.source.fault((*self._path, near), f"{near} is not known here", f"did you mean {key}?")
        raise self.source.fault(self._path, problem, hint)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, or one text as a list of one; empty when absent."""
        value = self.raw(key)
        if value is None:
            return ()
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            self.refuse(key, "has to be a list of texts")
        return tuple(values)

    def parsed(self, key: str, parse_text: Callable[[str], Value]) -> Value | None:
        """The text of `key` read by `parse_text`, whose ValueError says what is wrong."""
        text = self.take(key, str)
        if text is None:
            return None
        try:
            return parse_text(text)
        except ValueError as error:
            self.refuse(key, f"{text!r}: {error}")

    def choice(self, key: str, names: Iterable[str]) -> str | None:
        """One of `names`, None when absent."""
        value = self.take(key, str)
        if value is not None and value not in (known := tuple(names)):
            self.refuse(key, f"{value!r} is not known here", suggestion(value, known))
        return value

    def table(self, key: str) -> "Table | None":
        content = self.take(key, dict)
        return None if content is None else Table(self.source, (*self._path, key), content)

    def tables(self, key: str) -> "tuple[Table, ...]":
        """The tables of an array; empty when absent."""
        found = self.take(key, list) or []
        if not all(isinstance(content, dict) for content in found):
            self.refuse(key, "has to be tables")
        return tuple(
            Table(self.source, (*self._path, key, index), content) for index, content in enumerate(found)
        )

    def named_tables(self, key: str) -> "tuple[tuple[str, Table], ...]":
        """The tables within a table, by name."""
        inner = self.table(key)
        if inner is None:
            return ()
        return tuple(inner.every_table())

    def every_table(self) -> "Iterator[tuple[str, Table]]":
        for name in tuple(self._rest):
            if (found := self.table(name)) is not None:
                yield name, found

    def every_item(self) -> "Iterator[tuple[str, object]]":
        for name in tuple(self._rest):
            yield name, self.raw(name)

    def pairs(self, key: str) -> tuple[tuple[str, object], ...]:
        """Names and values of a table; empty when absent."""
        return tuple((self.take(key, dict) or {}).items())

    def finish(self) -> None:
        """Refuse a key that nobody asked for, with what was probably meant."""
        for key in self._rest:
            problem = f"{key} is not known here"
            raise self.source.fault((*self._path, key), problem, suggestion(key, self._asked))


def suggestion(name: str, known: Iterable[str]) -> str:
    """``did you mean status?``, or all that is known."""
    names = tuple(dict.fromkeys(known))
    near = get_close_matches(name, names, 1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(names)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else _KINDS.get(type(value), "something else")
