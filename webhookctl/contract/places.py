"""Where each key of a TOML text stands: tomllib gives values without their lines.

Reads texts that tomllib accepted; must not know what the keys mean.
"""

import re
from collections.abc import Iterator

Path = tuple[str | int, ...]
"""``("cases", 1, "expect", "status")``: names of tables and keys, indexes of arrays."""

_OPENING = "["
_TOKEN = re.compile(
    r'''
    (?P<blank>[\x20\t]+|\#[^\n]*)
    | (?P<text>"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')
    | (?P<mark>\n|\r\n|[\[\]{}=,.])
    | (?P<bare>[^\x20\t\r\n\[\]{}=,.\#"']+)
    ''',
    re.VERBOSE | re.DOTALL,
)


def places(text: str) -> dict[Path, tuple[int, int]]:
    """Line and column (from 1) of each key, table header and array item in `text`, by their path."""
    return dict(_Scanner(text).found())


class _Scanner:
    """One pass over the tokens. Tables of an array carry their index in the path."""

    def __init__(self, text: str) -> None:
        self._tokens = [(match.lastgroup or "", match[0], match.start()) for match in _TOKEN.finditer(text)]
        self._tokens = [token for token in self._tokens if token[0] != "blank"]
        self._at = 0
        starts = [0]
        starts.extend(match.end() for match in re.finditer("\n", text))
        self._starts = starts
        self._counts: dict[Path, int] = {}

    def found(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        table: Path = ()
        while self._at < len(self._tokens):
            _, token, offset = self._tokens[self._at]
            if token in ("\n", "\r\n"):
                self._at += 1
            elif token == _OPENING:
                table = self._header()
                yield table, self._place(offset)
            else:
                path = table + self._key()
                yield path, self._place(offset)
                self._at += 1  # the equals sign
                yield from self._value(path)

    def _header(self) -> Path:
        is_array = self._peek(1) == "["
        self._at += 2 if is_array else 1
        names = self._key()
        self._at += 2 if is_array else 1
        path: Path = ()
        for position, name in enumerate(names):
            path += (name,)
            is_last = position == len(names) - 1
            if is_array and is_last:
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path += (self._counts[path],)
        return path

    def _key(self) -> tuple[str, ...]:
        names = []
        while True:
            kind, token, _ = self._tokens[self._at]
            names.append(_unquoted(token) if kind == "text" else token)
            self._at += 1
            if self._peek(0) != ".":
                return tuple(names)
            self._at += 1

    def _value(self, path: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
        opening = self._peek(0)
        if opening == "[":
            yield from self._array(path)
        elif opening == "{":
            yield from self._inline_table(path)
        else:  # a number like 1.5 and a date are several tokens
            while self._at < len(self._tokens) and self._peek(0) not in ("\n", "\r\n", ",", "]", "}"):
                self._at += 1

    def _array(self, path: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
        self._at += 1
        index = 0
        while (token := self._peek(0)) != "]":
            if token in ("\n", "\r\n", ","):
                self._at += 1
                continue
            yield (*path, index), self._place(self._tokens[self._at][2])
            yield from self._value((*path, index))
            index += 1
        self._at += 1

    def _inline_table(self, path: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
        self._at += 1
        while (token := self._peek(0)) != "}":
            if token in ("\n", "\r\n", ","):
                self._at += 1
                continue
            offset = self._tokens[self._at][2]
            key = path + self._key()
            yield key, self._place(offset)
            self._at += 1
            yield from self._value(key)
        self._at += 1

    def _peek(self, ahead: int) -> str:
        position = self._at + ahead
        return self._tokens[position][1] if position < len(self._tokens) else ""

    def _place(self, offset: int) -> tuple[int, int]:
        from bisect import bisect_right

        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


def _unquoted(token: str) -> str:
    import tomllib

    name = tomllib.loads(f"key = {token}")["key"]
    assert isinstance(name, str)
    return name
