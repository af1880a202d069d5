"""A TOML table taken apart key by key, with errors that name file and key and what was probably meant.

Must not know schemes.
"""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import NoReturn, TypeVar

from webhookctl.errors import UsageError

Value = TypeVar("Value")


class Table:
    """One TOML table that is taken apart key by key; `finish` refuses what nobody asked for."""

    def __init__(self, origin: str, path: str, content: Mapping[str, object]) -> None:
        self._origin = origin
        self._path = path
        self._rest = dict(content)
        self._asked: list[str] = []

    def refuse(self, key: str, problem: str, hint: str = "") -> NoReturn:
        raise UsageError("scheme-invalid", f"{self._origin}: {self._path}{key}: {problem}", hint)

    def take(self, key: str, kind: type[Value], default: Value | None = None) -> Value:
        """The value of `key`, or `default`; without a default the key must be there. Whole numbers are floats too."""
        self._asked.append(key)
        value = self._rest.pop(key, default)
        if value is None:
            self.refuse(key, "is missing")
        if kind is float and type(value) is int and abs(value) < 2**53:
            value = float(value)
        if type(value) is not kind:
            self.refuse(key, f"must be {_KINDS[kind]}, not {value!r}")
        return value

    def has(self, key: str) -> bool:
        self._asked.append(key)
        return key in self._rest

    def texts(self, key: str, default: Iterable[str] | None = None) -> tuple[str, ...]:
        values = self.take(key, list, None if default is None else list(default))
        if not all(isinstance(value, str) for value in values):
            self.refuse(key, "must be a list of texts")
        return tuple(values)

    def all_texts(self) -> dict[str, bytes]:
        found = {key: self.take(key, str) for key in tuple(self._rest)}
        for key, value in found.items():
            if not (value.isascii() and value.isprintable()):
                self.refuse(key, "must be printable ASCII")
        return {key: value.encode("ascii") for key, value in found.items()}

    def all_texts_as_written(self) -> tuple[tuple[str, str], ...]:
        return tuple((key, value.decode("ascii")) for key, value in self.all_texts().items())

    def known(self, key: str, value: str, names: Iterable[str]) -> str:
        """`value` when it is one of `names`, else an error that suggests the nearest."""
        names = tuple(names)
        if value not in names:
            near = get_close_matches(value, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
            self.refuse(key, f"there is no {value!r}", hint)
        return value

    def choice(self, key: str, names: Iterable[str], default: str | None = None) -> str:
        return self.known(key, self.take(key, str, default), names)

    def parsed(self, key: str, text: str, parse: Callable[[str], Value]) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            self.refuse(key, str(error))

    def table(self, key: str) -> "Table":
        return Table(self._origin, f"{self._path}{key}.", self.take(key, dict, {}))

    def tables(self, key: str, is_needed: bool) -> tuple["Table", ...]:
        found = self.take(key, list, None if is_needed else [])
        if not found and not is_needed:
            return ()
        if not found or not all(isinstance(content, dict) for content in found):
            self.refuse(key, "must be one or more tables")
        return tuple(Table(self._origin, f"{self._path}{key}.", content) for content in found)

    def finish(self) -> None:
        for key in self._rest:
            near = get_close_matches(key, self._asked, 1)
            self.refuse(
                key, "unknown key", f"did you mean {near[0]}?" if near else f"known: {', '.join(self._asked)}"
            )


_KINDS: Mapping[type, str] = {
    str: "text",
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}
