"""Where each key of a TOML text stands, and its value: tomllib gives values without their lines.

Reads texts that tomllib accepted; must not know what the keys mean.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""``("cases", 1, "expect", "status")``: names of tables and keys, indexes of arrays."""

Spot = tuple[int, int]
"""Line and column, both from 1."""

_TOKEN = re.compile(
    r'''
    (?P<blank>[\x20\t]+|\#[^\n]*)
    | (?P<text>"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')
    | (?P<mark>\n|[\[\]{}=,.])
    | (?P<bare>[^\x20\t\n\[\]{}=,.\#"']+)
    ''',
    re.VERBOSE | re.DOTALL,
)
_Found = tuple[Path, int, int | None]
"""A path, the offset of its key (of an array item: the item), and that of its value where it has one."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where each path of a text is written: its key, table header or array item, and where its value begins."""

    keys: Mapping[Path, Spot]
    values: Mapping[Path, Spot]


def places(text: str) -> Places:
    """The places of everything in `text` (line ends are line feeds). Tables named only in passing count too."""
    starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def spot(offset: int) -> Spot:
        line = bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    keys: dict[Path, Spot] = {}
    values: dict[Path, Spot] = {}
    for path, offset, value_offset in _Scanner(text).found():
        if value_offset is not None:
            values[path] = spot(value_offset)
        around = path
        while around and around not in keys:
            keys[around] = spot(offset)
            around = around[:-1]
    return Places(keys, values)


class _Scanner:
    """One pass over the tokens. Tables of an array carry their index in the path."""

    def __init__(self, text: str) -> None:
        self._tokens = [
            (match[0], match.start(), match.lastgroup == "text")
            for match in _TOKEN.finditer(text)
            if match.lastgroup != "blank"
        ]
        self._at = 0
        self._counts: dict[Path, int] = {}

    def found(self) -> Iterator[_Found]:
        table: Path = ()
        while self._at < len(self._tokens):
            mark, offset = self._peek(0), self._tokens[self._at][1]
            if mark == "\n":
                self._at += 1
            elif mark == "[":
                table = self._header()
                yield table, offset, None
            else:
                yield from self._assignment(table)

    def _header(self) -> Path:
        is_array = self._peek(1) == "["
        self._at += 2 if is_array else 1
        names = self._key()
        self._at += 2 if is_array else 1
        path: Path = ()
        for position, name in enumerate(names):
            path += (name,)
            if is_array and position == len(names) - 1:
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path += (self._counts[path],)
        return path

    def _assignment(self, table: Path) -> Iterator[_Found]:
        offset = self._tokens[self._at][1]
        path = table + self._key()
        self._at += 1  # the equals sign
        yield path, offset, self._tokens[self._at][1]
        yield from self._value(path)

    def _key(self) -> tuple[str, ...]:
        names = []
        while True:
            token, _, is_text = self._tokens[self._at]
            names.append(_unquoted(token) if is_text else token)
            self._at += 1
            if self._peek(0) != ".":
                return tuple(names)
            self._at += 1

    def _value(self, path: Path) -> Iterator[_Found]:
        opening = self._peek(0)
        if opening == "[":
            yield from self._array(path)
        elif opening == "{":
            yield from self._inline_table(path)
        else:  # a number like 1.5 and a date are several tokens
            while self._at < len(self._tokens) and self._peek(0) not in ("\n", ",", "]", "}"):
                self._at += 1

    def _array(self, path: Path) -> Iterator[_Found]:
        self._at += 1
        index = 0
        while (token := self._peek(0)) != "]":
            if token in ("\n", ","):
                self._at += 1
                continue
            offset = self._tokens[self._at][1]
            yield (*path, index), offset, offset
            yield from self._value((*path, index))
            index += 1
        self._at += 1

    def _inline_table(self, path: Path) -> Iterator[_Found]:
        self._at += 1
        while (token := self._peek(0)) != "}":
            if token in ("\n", ","):
                self._at += 1
                continue
            yield from self._assignment(path)
        self._at += 1

    def _peek(self, ahead: int) -> str:
        """The token there, "" for a text: what looks like a mark inside quotes is none."""
        position = self._at + ahead
        if position >= len(self._tokens):
            return ""
        token, _, is_text = self._tokens[position]
        return "" if is_text else token


def _unquoted(token: str) -> str:
    import tomllib

    name = tomllib.loads(f"key = {token}")["key"]
    assert isinstance(name, str)
    return name
